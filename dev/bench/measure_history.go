package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// histories measures the history of operations with few and many attempts and polls.
func (b *bench) histories(ctx context.Context, s *testbed) error {
	loads := []load{
		burst(s.prefix(1), 1).to(endpointAttempts(fewAttempts)), burst(s.prefix(1), 1).to(endpointAttempts(manyAttempts)),
		burst(s.prefix(fewPolls), 1).to(endpointSecond), burst(s.prefix(manyPolls), 1).to(endpointSecond),
	}
	got, errs := make([]historySize, len(loads)), make([]error, len(loads))
	var all sync.WaitGroup
	for i, l := range loads {
		all.Go(func() { got[i], errs[i] = b.historyOf(ctx, s, l) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b.compare(s, "attempts", got[0], got[1], fewAttempts, manyAttempts)
	b.compare(s, "polls", got[2], got[3], fewPolls, manyPolls)
	return nil
}

// historyOf delivers the one operation of a load and returns its history's size.
func (b *bench) historyOf(ctx context.Context, s *testbed, l load) (historySize, error) {
	var got historySize
	if _, _, err := b.deliver(ctx, s, "ringback", l); err != nil {
		return got, err
	}
	// Further attempts follow the first one.
	time.Sleep(2 * time.Second)
	err := s.floor.ask(ctx, request{Do: "history", Prefix: l.Endpoint + "/" + l.id(0)}, &got)
	return got, err
}

func (b *bench) compare(s *testbed, what string, few, many historySize, n, m int) {
	b.table.add(s.database, fmt.Sprintf("history events, %d %s", n, what), "", float64(few.Events), nil, "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s", n, what), "", float64(few.Bytes), nil, "")
	b.table.add(s.database, fmt.Sprintf("history events, %d %s / %d", m, what, n), "", float64(many.Events)/float64(few.Events), atMost(1), "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s / %d", m, what, n), "", float64(many.Bytes)/float64(few.Bytes), nil, "")
}
