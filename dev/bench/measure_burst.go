package main

import (
	"context"
	"fmt"
	"time"
)

// floorShare is how many times the floor's CPU time an operation may cost.
var floorShare = map[string]float64{onSQLite: 1.25, onPostgres: 1.15}

// secondAttemptGaps are those of operations that are acknowledged at the second attempt.
var secondAttemptGaps = []time.Duration{300 * time.Millisecond, 3 * time.Second}

// bursts measures CPU time and throughput of the floor, Ringback and plain in turn.
func (s *testbed) bursts(ctx context.Context) error {
	floor, err := s.floorOnce(ctx)
	if err != nil {
		return err
	}
	happy, err := s.burst(ctx, "ringback", s.ringback, burst(s.prefix(1), s.extent.Burst))
	if err != nil {
		return err
	}
	s.add("CPU per operation, Ringback", "ms", happy.cpu, nil, "happy path, HTTP API with authentication included")
	s.add("CPU per operation, Ringback / floor", "", happy.cpu/floor, atMost(floorShare[s.database]), "")
	s.add("burst throughput, Ringback", "/s", happy.rate, nil, "64 callers, to the last callback received")
	if s.extent.Quick && s.database != s.extent.Databases[0] {
		return nil
	}
	plain, err := s.burst(ctx, "plain", s.plain, burst(s.prefix(1), s.extent.PlainBurst))
	if err != nil {
		return err
	}
	s.add("CPU per operation, plain", "ms", plain.cpu, nil, "two regular activities, normal start")
	s.add("CPU per operation, Ringback / plain", "", happy.cpu/plain.cpu, nil, "")
	s.add("burst throughput, plain", "/s", plain.rate, nil, "")
	s.add("burst throughput, Ringback / plain", "", happy.rate/plain.rate, atLeast(4), "")
	for _, h := range secondAttemptGaps {
		cpu, err := s.secondAttempt(ctx, h)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("CPU per operation, Ringback, acknowledged at the second attempt, h = %v", h)
		s.add(name, "ms", cpu, nil, "without what the idle processes use in h")
		s.add(name+" / happy path", "", cpu/happy.cpu, atMost(1.7), "")
	}
	return nil
}

// secondAttempt is the CPU time in ms of one operation whose first attempt fails.
func (s *testbed) secondAttempt(ctx context.Context, h time.Duration) (float64, error) {
	idle, err := s.idleFor(ctx, s.ringback, h)
	if err != nil {
		return 0, err
	}
	l := burst(s.prefix(1), s.extent.PlainBurst).to(endpointGap(h))
	used, err := s.cpuFor(s.ringback, func() error {
		out, err := s.begin(ctx, "ringback", l)
		if err != nil {
			return err
		}
		l.Count -= out.Failed
		return s.await(ctx, "count attempts", l, 2*l.Count, h+time.Minute)
	})
	return ms(used-idle) / float64(l.Count), err
}

// burstCost is the CPU time of one operation in ms, and operations a second.
type burstCost struct{ cpu, rate float64 }

func (s *testbed) burst(ctx context.Context, name string, subject *role, l load) (burstCost, error) {
	var out result
	var got map[string][]arrival
	used, err := s.cpuFor(subject, func() (err error) {
		out, got, err = s.deliver(ctx, name, l)
		return err
	})
	if err != nil {
		return burstCost{}, err
	}
	if name == "ringback" {
		s.stalls(name, latencies(l, out, got))
	}
	n := float64(l.Count)
	return burstCost{ms(used) / n, n / duration(out, got).Seconds()}, nil
}
