package main

import (
	"context"
	"fmt"
	"time"
)

const (
	fewAttempts, manyAttempts = 2, 8
	fewPolls, manyPolls       = 2, 6
)

// histories measures that the history does not grow from few to many attempts and polls.
func (s *testbed) histories(ctx context.Context) error {
	if s.extent.Quick {
		return nil
	}
	pairs := []struct {
		what      string
		n, m      int
		few, many load
	}{
		{"attempts", fewAttempts, manyAttempts, burst(s.prefix(1), 1).to(endpointAttempts(fewAttempts)), burst(s.prefix(1), 1).to(endpointAttempts(manyAttempts))},
		{"polls", fewPolls, manyPolls, burst(s.prefix(fewPolls), 1).to(endpointSecond), burst(s.prefix(manyPolls), 1).to(endpointSecond)},
	}
	for _, p := range pairs {
		for _, l := range []load{p.few, p.many} {
			if _, _, err := s.deliver(ctx, "ringback", l); err != nil {
				return err
			}
		}
	}
	time.Sleep(2 * time.Second) // further attempts follow the first one
	for _, p := range pairs {
		few, err := s.historyOf(ctx, p.few)
		if err != nil {
			return err
		}
		many, err := s.historyOf(ctx, p.many)
		if err != nil {
			return err
		}
		s.add(fmt.Sprintf("history events, %d %s", p.n, p.what), "", float64(few.Events), nil, "")
		s.add(fmt.Sprintf("history bytes, %d %s", p.n, p.what), "", float64(few.Bytes), nil, "")
		s.add(fmt.Sprintf("history events, %d %s / %d", p.m, p.what, p.n), "", float64(many.Events)/float64(few.Events), atMost(1), "")
		s.add(fmt.Sprintf("history bytes, %d %s / %d", p.m, p.what, p.n), "", float64(many.Bytes)/float64(few.Bytes), nil, "")
	}
	return nil
}

// historyOf is the history's size of a load's one operation.
func (s *testbed) historyOf(ctx context.Context, l load) (historySize, error) {
	got, err := s.floor.ask(ctx, Request{Do: "history", Prefix: l.Endpoint + "/" + l.id(0)})
	return got.History, err
}
