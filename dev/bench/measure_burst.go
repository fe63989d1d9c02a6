package main

import (
	"context"
)

// bursts measures CPU time and throughput of the floor, Ringback and plain in turn.
func (b *bench) bursts(ctx context.Context, s *testbed) error {
	for round := range b.extent.Rounds {
		b.log("%s: burst, round %d of %d", s.database, round+1, b.extent.Rounds)
		floor, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		ringback, rate, err := b.burstOf(ctx, s, "ringback", s.ringback, b.extent.Burst)
		if err != nil {
			return err
		}
		plain, plainRate, err := b.burstOf(ctx, s, "plain", s.plain, b.extent.PlainBurst)
		if err != nil {
			return err
		}
		failing, _, err := b.burstOf(ctx, s, "failing", s.ringback, b.extent.PlainBurst)
		if err != nil {
			return err
		}
		t, d := b.table, s.database
		t.add(d, "CPU per operation, Ringback", "ms", ringback, nil, "happy path, HTTP API with authentication included")
		t.add(d, "CPU per operation, plain", "ms", plain, nil, "two regular activities, normal start")
		t.add(d, "CPU per operation, Ringback, acknowledged at the second attempt", "ms", failing, nil, "the first one fails, h = 50 ms")
		t.add(d, "CPU per operation, Ringback / floor", "", ringback/floor, atMost(1.25), "")
		t.add(d, "CPU per operation, Ringback / plain", "", ringback/plain, nil, "")
		t.add(d, "burst throughput, Ringback", "/s", rate, nil, "64 callers, to the last callback received")
		t.add(d, "burst throughput, plain", "/s", plainRate, nil, "")
		t.add(d, "burst throughput, Ringback / plain", "", rate/plainRate, atLeast(4), "")
	}
	return nil
}

func (b *bench) burstOf(ctx context.Context, s *testbed, name string, subject *role, count int) (cpu, rate float64, err error) {
	l := burst(s.prefix(1), count)
	if name == "failing" {
		l = l.to(endpointGap(b.extent.Gaps[0]))
	}
	var out result
	var got map[string][]arrival
	used, err := s.cpuFor(subject, func() (err error) {
		out, got, err = b.deliver(ctx, s, name, l)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if name == "ringback" {
		b.stalls(s, name, latencies(l, out, got))
	}
	return ms(used) / float64(count), float64(count) / duration(out, got).Seconds(), nil
}
