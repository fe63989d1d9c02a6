package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// failingAttempts and failingGap are k and h of the failing endpoint.
	failingAttempts = 4
	failingGap      = 3 * time.Second
	// lateMargin is how late a callback of a healthy endpoint may be at most.
	lateMargin = 250 * time.Millisecond
)

// isolation measures a healthy endpoint alone and beside a failing and a slow one.
func (s *testbed) isolation(ctx context.Context) error {
	alone, _, err := s.healthy(ctx, nil)
	if err != nil {
		return err
	}
	s.add("healthy endpoint alone at 50/s, p99", "ms", ms(alone), nil, "")
	for _, d := range s.extent.Isolation {
		s.log("%s: isolation beside %v", s.database, d)
		p99, worst, err := s.healthy(ctx, &d)
		if err != nil {
			return err
		}
		s.add(fmt.Sprintf("healthy endpoint beside %v, p99", d), "ms", ms(p99), nil, "")
		s.add(fmt.Sprintf("healthy endpoint beside %v, p99 / alone", d), "", float64(p99)/float64(alone), atMost(d.Most), "")
		s.add(fmt.Sprintf("healthy endpoint beside %v, the latest", d), "ms", ms(worst), atMost(ms(lateMargin)), "")
	}
	return nil
}

// healthy is the latency of the healthy endpoint's callbacks beside d, or alone if d is
// nil.
func (s *testbed) healthy(ctx context.Context, d *disturbance) (p99, worst time.Duration, err error) {
	var others sync.WaitGroup
	var failed [2]error
	l := steady(s.prefix(1), steadyRate, s.extent.Steady)
	if d != nil {
		// The others begin first.
		for i, endpoint := range []string{endpointFailing, endpointSlow(d.Slow)} {
			disturb := steady(s.prefix(1), d.Each, s.extent.Steady+d.Slow/2).to(endpoint)
			others.Go(func() { _, failed[i] = s.call(ctx, "starts at "+endpoint, disturb, s.startOperation) })
		}
		time.Sleep(d.Slow / 2)
	}
	out, got, err := s.deliver(ctx, "ringback", l)
	others.Wait()
	if err = errors.Join(err, failed[0], failed[1]); err != nil {
		return 0, 0, err
	}
	if d != nil {
		time.Sleep((failingAttempts-1)*failingGap + d.Slow) // until the other two end
	}
	all := latencies(l, out, got)
	return percentile(all, 0.99), percentile(all, 1), nil
}
