package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// isolation measures a healthy endpoint alone and beside a failing and a slow one.
func (b *bench) isolation(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		alone, _, err := b.healthy(ctx, s, nil)
		if err != nil {
			return err
		}
		b.table.add(s.database, "healthy endpoint alone at 50/s, p99", "ms", ms(alone), nil, "")
		for _, d := range b.extent.Isolation {
			b.log("%s: isolation beside %v", s.database, d)
			p99, worst, err := b.healthy(ctx, s, &d)
			if err != nil {
				return err
			}
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, p99", d), "ms", ms(p99), nil, "")
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, p99 / alone", d), "", float64(p99)/float64(alone), atMost(d.Most), "")
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, the latest", d), "ms", ms(worst), atMost(ms(lateMargin)), "")
		}
	}
	return nil
}

// healthy is the latency of the healthy endpoint's callbacks beside d, or alone if d is
// nil.
func (b *bench) healthy(ctx context.Context, s *testbed, d *disturbance) (p99, worst time.Duration, err error) {
	var others sync.WaitGroup
	var failed [2]error
	disturb := func(i int, l load, endpoint string) {
		others.Go(func() { _, failed[i] = b.call(ctx, s, "starts at "+endpoint, l.to(endpoint), s.start) })
	}
	l := steady(s.prefix(1), steadyRate, b.extent.Steady)
	if d != nil {
		// The others begin first.
		longer := b.extent.Steady + d.Slow/2
		disturb(0, steady(s.prefix(1), d.Each, longer), endpointFailing)
		disturb(1, steady(s.prefix(1), d.Each, longer), endpointSlow(d.Slow))
		time.Sleep(d.Slow / 2)
	}
	out, got, err := b.deliver(ctx, s, "ringback", l)
	others.Wait()
	if err = errors.Join(err, failed[0], failed[1]); err != nil {
		return 0, 0, err
	}
	if d != nil {
		b.log("%s: waiting for the other two to end", s.database)
		time.Sleep(failingFor + d.Slow)
	}
	all := latencies(l, out, got)
	return percentile(all, 0.99), percentile(all, 1), nil
}
