package main

import "context"

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
	plain, err := s.burst(ctx, "plain", s.plain, burst(s.prefix(1), s.extent.PlainBurst))
	if err != nil {
		return err
	}
	failing, err := s.burst(ctx, "failing", s.ringback, burst(s.prefix(1), s.extent.PlainBurst).to(endpointGap(s.extent.Gaps[0])))
	if err != nil {
		return err
	}
	s.add("CPU per operation, Ringback", "ms", happy.cpu, nil, "happy path, HTTP API with authentication included")
	s.add("CPU per operation, plain", "ms", plain.cpu, nil, "two regular activities, normal start")
	s.add("CPU per operation, Ringback, acknowledged at the second attempt", "ms", failing.cpu, nil, "the first one fails, h = 50 ms")
	s.add("CPU per operation, Ringback / floor", "", happy.cpu/floor, atMost(1.25), "")
	s.add("CPU per operation, Ringback / plain", "", happy.cpu/plain.cpu, nil, "")
	s.add("burst throughput, Ringback", "/s", happy.rate, nil, "64 callers, to the last callback received")
	s.add("burst throughput, plain", "/s", plain.rate, nil, "")
	s.add("burst throughput, Ringback / plain", "", happy.rate/plain.rate, atLeast(4), "")
	return nil
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
