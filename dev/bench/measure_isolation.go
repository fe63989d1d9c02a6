package main

import (
	"context"
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
	alone, err := s.healthy(ctx, nil)
	if err != nil {
		return err
	}
	s.add("healthy endpoint alone at 50/s, p99", "ms", ms(alone.p99), nil, "")
	for _, d := range s.extent.Isolation {
		s.log("%s: isolation beside %v", s.database, d)
		beside, err := s.healthy(ctx, &d)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("healthy endpoint beside %v, ", d)
		s.add(name+"p99", "ms", ms(beside.p99), nil, "from the call to the callback")
		s.add(name+"p99 / alone", "", float64(beside.p99)/float64(alone.p99), atMost(d.Most), "")
		s.add(name+"the latest", "ms", ms(beside.latest), atMost(ms(lateMargin)), "")
		s.add(name+"starts shed", "", beside.shed, atMost(0), "")
		s.add(name+"starts shed of the other two", "", beside.othersShed, nil, fmt.Sprintf("of %d", beside.others))
	}
	return nil
}

// isolated is how the healthy endpoint fared: its callbacks' latency, and the starts that
// were shed of it and of the others.
type isolated struct {
	p99, latest      time.Duration
	shed, othersShed float64
	others           int
}

// healthy measures the healthy endpoint beside d, or alone if d is nil.
func (s *testbed) healthy(ctx context.Context, d *disturbance) (out isolated, err error) {
	s.drain()
	var running sync.WaitGroup
	var others [2]*flood
	l := steady(s.prefix(1), steadyRate, s.extent.Steady).to(endpointOK)
	if d != nil {
		// The others begin first.
		for i, endpoint := range []string{endpointFailing, endpointSlow(d.Slow)} {
			disturb := steady(s.prefix(1), d.Each, s.extent.Steady+d.Slow/2).to(endpoint)
			running.Go(func() { others[i] = s.flood(ctx, disturb) })
		}
		time.Sleep(d.Slow / 2)
	}
	f := s.flood(ctx, l)
	accepted := l
	accepted.Count -= f.result.Failed
	got, err := s.arrivals(ctx, accepted, 2*time.Minute)
	running.Wait()
	all := latencies(l, f.result, got)
	out = isolated{p99: percentile(all, 0.99), latest: percentile(all, 1), shed: f.shed()}
	s.failed.Add(f.failed.Load())
	if d == nil {
		return out, err
	}
	for _, other := range others {
		out.others += other.load.Count
		out.othersShed += other.shed()
		s.failed.Add(other.failed.Load())
	}
	s.drainedBy(max((failingAttempts-1)*failingGap, d.Slow) + settleTime) // then the other two end
	return out, err
}
