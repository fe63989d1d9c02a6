package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// histories measure what an operation leaves in the engine's history.
func (b *bench) histories(ctx context.Context, s *stage) error {
	loads := []load{
		burst(s.prefix(1), 1).to(endpointAttempts(fewAttempts)), burst(s.prefix(1), 1).to(endpointAttempts(manyAttempts)),
		burst(s.prefix(fewPolls), 1).to(endpointSecond), burst(s.prefix(manyPolls), 1).to(endpointSecond),
	}
	got, errs := make([]recorded, len(loads)), make([]error, len(loads))
	var all sync.WaitGroup
	for i, l := range loads {
		all.Go(func() { got[i], errs[i] = b.left(ctx, s, l) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b.compare(s, "attempts", got[0], got[1], fewAttempts, manyAttempts)
	b.compare(s, "polls", got[2], got[3], fewPolls, manyPolls)
	return nil
}

// left is what the one operation of a load left in the engine's history.
func (b *bench) left(ctx context.Context, s *stage, l load) (recorded, error) {
	var got recorded
	if _, _, err := b.ring(ctx, s, "ringback", l); err != nil {
		return got, err
	}
	// The last attempt follows the first by k - 1 gaps of h.
	time.Sleep(2 * time.Second)
	err := s.floor.ask(ctx, order{Do: "history", Prefix: l.Endpoint + "/" + l.id(0)}, &got)
	return got, err
}

func (b *bench) compare(s *stage, what string, few, many recorded, n, m int) {
	b.table.add(s.database, fmt.Sprintf("history events, %d %s", n, what), "", float64(few.Events), nil, "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s", n, what), "", float64(few.Bytes), nil, "")
	b.table.add(s.database, fmt.Sprintf("history events, %d %s / %d", m, what, n), "", float64(many.Events)/float64(few.Events), atMost(1), "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s / %d", m, what, n), "", float64(many.Bytes)/float64(few.Bytes), nil, "")
}
