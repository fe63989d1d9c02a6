package main

import (
	"context"
	"time"

	"ringback/internal/operation"
)

// steady measures from a start to its callback.
func (s *testbed) steady(ctx context.Context) error {
	p50, p99 := map[string]time.Duration{}, map[string]time.Duration{}
	for _, subject := range []string{"plain", "ringback"} {
		l := steady(s.prefix(1), steadyRate, s.extent.Steady)
		out, got, err := s.deliver(ctx, subject, l)
		if err != nil {
			return err
		}
		all := latencies(l, out, got)
		p50[subject], p99[subject] = percentile(all, 0.5), percentile(all, 0.99)
		s.add("start to callback at 50/s, p50, "+subject, "ms", ms(p50[subject]), nil, "")
		s.add("start to callback at 50/s, p99, "+subject, "ms", ms(p99[subject]), nil, "")
	}
	ratio := func(of map[string]time.Duration) float64 { return float64(of["ringback"]) / float64(of["plain"]) }
	s.add("start to callback at 50/s, p50, Ringback / plain", "", ratio(p50), atMost(0.1), "")
	s.add("start to callback at 50/s, p99, Ringback / plain", "", ratio(p99), atMost(0.1), "")
	return nil
}

// pushes measures from a push of a final status to its callback, and compares it with
// a tenth of plain's p99 and one workflow task.
func (s *testbed) pushes(ctx context.Context) error {
	l := steady(s.prefix(0), steadyRate, s.extent.Steady/2).to(endpointOpen)
	if _, err := s.call(ctx, "starts", l, s.startOperation); err != nil {
		return err
	}
	tasks := l
	tasks.Prefix = s.prefix(1)
	if _, err := s.ask(ctx, s.floor, "wait", tasks); err != nil {
		return err
	}
	task, err := s.ask(ctx, s.floor, "signal", tasks)
	if err != nil {
		return err
	}
	out, err := s.call(ctx, "pushes", l, func(ctx context.Context, endpoint, id string) error {
		return s.api.Push(ctx, operation.Key{Endpoint: endpoint, OperationID: id}, "2")
	})
	if err != nil {
		return err
	}
	l.Count -= out.Failed
	got, err := s.arrivals(ctx, l, time.Minute)
	if err != nil {
		return err
	}
	push, one := percentile(latencies(l, out, got), 0.99), percentile(task.Took, 0.99)
	allowed := s.value("start to callback at 50/s, p99, plain")/10 + ms(one)
	s.add("push to callback, p99", "ms", ms(push), nil, "")
	s.add("a signal's workflow task, p99", "ms", ms(one), nil, "an empty workflow that ends at a signal: from the call to its end")
	s.add("push to callback, p99 / (plain's p99 / 10 + one workflow task)", "", ms(push)/allowed, atMost(1), "")
	return nil
}
