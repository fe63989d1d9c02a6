package main

import (
	"context"
	"time"
)

// steady measures from a start to its callback.
func (b *bench) steady(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		p50, p99 := map[string]time.Duration{}, map[string]time.Duration{}
		for _, subject := range []string{"plain", "ringback"} {
			l := steady(s.prefix(1), steadyRate, b.extent.Steady)
			out, got, err := b.deliver(ctx, s, subject, l)
			if err != nil {
				return err
			}
			all := latencies(l, out, got)
			p50[subject], p99[subject] = percentile(all, 0.5), percentile(all, 0.99)
			b.table.add(s.database, "start to callback at 50/s, p50, "+subject, "ms", ms(p50[subject]), nil, "")
			b.table.add(s.database, "start to callback at 50/s, p99, "+subject, "ms", ms(p99[subject]), nil, "")
		}
		ratio := func(of map[string]time.Duration) float64 { return float64(of["ringback"]) / float64(of["plain"]) }
		b.table.add(s.database, "start to callback at 50/s, p50, Ringback / plain", "", ratio(p50), atMost(0.1), "")
		b.table.add(s.database, "start to callback at 50/s, p99, Ringback / plain", "", ratio(p99), atMost(0.1), "")
	}
	return nil
}

// pushes measures from a push to its callback, and compares it with a tenth of plain's
// p99 and one workflow task.
func (b *bench) pushes(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		l := steady(s.prefix(0), steadyRate, b.extent.Steady/2).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", l, s.start); err != nil {
			return err
		}
		tasks := l
		tasks.Prefix = s.prefix(1)
		if _, err := b.ask(ctx, s, s.floor, "wait", tasks); err != nil {
			return err
		}
		task, err := b.ask(ctx, s, s.floor, "signal", tasks)
		if err != nil {
			return err
		}
		out, err := b.call(ctx, s, "pushes", l, s.push)
		if err != nil {
			return err
		}
		l.Count -= out.Failed
		got, err := s.arrivals(ctx, l, time.Minute)
		if err != nil {
			return err
		}
		push, one := percentile(latencies(l, out, got), 0.99), percentile(task.Took, 0.99)
		allowed := b.value(s, "start to callback at 50/s, p99, plain")/10 + ms(one)
		b.table.add(s.database, "push to callback, p99", "ms", ms(push), nil, "")
		b.table.add(s.database, "a signal's workflow task, p99", "ms", ms(one), nil, "an empty workflow that ends at a signal: from the call to its end")
		b.table.add(s.database, "push to callback, p99 / (plain's p99 / 10 + one workflow task)", "", ms(push)/allowed, atMost(1), "")
	}
	return nil
}
