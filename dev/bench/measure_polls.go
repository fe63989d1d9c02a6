package main

import (
	"context"
	"fmt"
	"time"
)

// polls measures the CPU time of one further poll, of Ringback and plain.
func (b *bench) polls(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		plain, err := b.furtherPoll(ctx, s, polling{"plain", s.plain, "ok", time.Second, 40})
		if err != nil {
			return err
		}
		second, err := b.furtherPoll(ctx, s, polling{"ringback", s.ringback, endpointSecond, time.Second, 100})
		if err != nil {
			return err
		}
		schedule, err := b.furtherPoll(ctx, s, polling{"ringback", s.ringback, endpointSchedule, scheduleGap, 240})
		if err != nil {
			return err
		}
		t, d := b.table, s.database
		t.add(d, "CPU of one further poll, plain", "ms", plain, nil, "a second apart")
		t.add(d, "CPU of one further poll, a second apart", "ms", second, nil, "")
		t.add(d, "CPU of one further poll, on a schedule", "ms", schedule, nil, fmt.Sprintf("gaps of %v: Ukrcard's are 5 s to 10 min, and wait on the server beyond 5 s", scheduleGap))
		t.add(d, "CPU of one further poll, a second apart / plain", "", second/plain, atMost(0.1), "")
		t.add(d, "CPU of one further poll, on a schedule / plain", "", schedule/plain, atMost(0.55), "")
	}
	return nil
}

// polling is a number of operations whose status does not change.
type polling struct {
	name       string
	subject    *role
	endpoint   string
	gap        time.Duration
	operations int
}

// furtherPoll is the CPU time of one poll, without that of the idle processes.
func (b *bench) furtherPoll(ctx context.Context, s *testbed, p polling) (float64, error) {
	idle, err := b.idleCPU(ctx, s, p)
	if err != nil {
		return 0, err
	}
	l := steady(s.prefix(0), float64(p.operations)/p.gap.Seconds(), p.gap).to(p.endpoint)
	if p.name == "plain" {
		_, err = b.ask(ctx, s, p.subject, "start", l)
	} else {
		_, err = b.call(ctx, s, "starts", l, s.start)
	}
	if err != nil {
		return 0, err
	}
	// They were started evenly over one gap, and so are their polls.
	if err := b.awaitPolls(ctx, l, l.Count); err != nil {
		return 0, err
	}
	before, err := b.polled(ctx, l)
	if err != nil {
		return 0, err
	}
	used, err := s.cpuFor(p.subject, func() error { time.Sleep(b.extent.PollsFor); return nil })
	if err != nil {
		return 0, err
	}
	after, err := b.polled(ctx, l)
	if err != nil {
		return 0, err
	}
	if err := b.simulator.ask(ctx, request{Do: "finish", Prefix: l.Prefix + "-"}, nil); err != nil {
		return 0, err
	}
	// Each ends with its next poll.
	time.Sleep(min(p.gap, b.extent.PollsFor))
	return ms(used-idle) / float64(after-before), err
}

// idleCPU is the CPU time of a subject and the server in PollsFor with nothing to do.
func (b *bench) idleCPU(ctx context.Context, s *testbed, p polling) (time.Duration, error) {
	if cost, known := s.idleCPU[p.name]; known {
		return cost, nil
	}
	if err := s.awaitIdle(ctx, p.subject); err != nil {
		return 0, err
	}
	cost, err := s.cpuFor(p.subject, func() error { time.Sleep(b.extent.PollsFor); return nil })
	s.idleCPU[p.name] = cost
	return cost, err
}

func (b *bench) polled(ctx context.Context, l load) (n int, err error) {
	err = b.simulator.ask(ctx, request{Do: "count polls", Prefix: l.Prefix + "-"}, &n)
	return n, err
}

// awaitPolls waits until the core has got n polls of the load.
func (b *bench) awaitPolls(ctx context.Context, l load, n int) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if made, err := b.polled(ctx, l); err != nil || made >= n {
			return err
		}
	}
	return fmt.Errorf("%d operations did not get %d polls within a minute", l.Count, n)
}
