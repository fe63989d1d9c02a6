package main

import (
	"context"
	"fmt"
	"time"
)

// polls measures the CPU time of one further poll, of Ringback and plain.
func (s *testbed) polls(ctx context.Context) error {
	var cpu [3]float64
	for i, p := range []polling{
		{"plain", s.plain, "ok", time.Second, 40},
		{"ringback", s.ringback, endpointSecond, time.Second, 100},
		{"ringback", s.ringback, endpointSchedule, scheduleGap, 240},
	} {
		var err error
		if cpu[i], err = s.furtherPoll(ctx, p); err != nil {
			return err
		}
	}
	plain, second, schedule := cpu[0], cpu[1], cpu[2]
	s.add("CPU of one further poll, plain", "ms", plain, nil, "a second apart")
	s.add("CPU of one further poll, a second apart", "ms", second, nil, "")
	s.add("CPU of one further poll, on a schedule", "ms", schedule, nil, fmt.Sprintf("gaps of %v: Ukrcard's are 5 s to 10 min, and wait on the server beyond 5 s", scheduleGap))
	s.add("CPU of one further poll, a second apart / plain", "", second/plain, atMost(0.1), "")
	s.add("CPU of one further poll, on a schedule / plain", "", schedule/plain, atMost(0.55), "")
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
func (s *testbed) furtherPoll(ctx context.Context, p polling) (float64, error) {
	idle, err := s.idleFor(ctx, p)
	if err != nil {
		return 0, err
	}
	l := steady(s.prefix(0), float64(p.operations)/p.gap.Seconds(), p.gap).to(p.endpoint)
	if p.name == "plain" {
		_, err = s.ask(ctx, p.subject, "start", l)
	} else {
		_, err = s.call(ctx, "starts", l, s.startOperation)
	}
	if err != nil {
		return 0, err
	}
	// They were started evenly over one gap, and so are their polls.
	if err := s.await(ctx, "count polls", l, l.Count, time.Minute); err != nil {
		return 0, err
	}
	count := Request{Do: "count polls", Prefix: l.Prefix + "-"}
	before, err := s.simulator.ask(ctx, count)
	if err != nil {
		return 0, err
	}
	used, err := s.cpuFor(p.subject, func() error { time.Sleep(s.extent.PollsFor); return nil })
	if err != nil {
		return 0, err
	}
	after, err := s.simulator.ask(ctx, count)
	if err != nil {
		return 0, err
	}
	_, err = s.simulator.ask(ctx, Request{Do: "finish", Prefix: l.Prefix + "-"})
	time.Sleep(min(p.gap, s.extent.PollsFor)) // each ends with its next poll
	return ms(used-idle) / float64(after.Count-before.Count), err
}

// idleFor is the CPU time of a subject and the server in PollsFor with nothing to do.
func (s *testbed) idleFor(ctx context.Context, p polling) (time.Duration, error) {
	if cost, known := s.idleCPU[p.name]; known {
		return cost, nil
	}
	if err := s.awaitIdle(ctx, p.subject); err != nil {
		return 0, err
	}
	cost, err := s.cpuFor(p.subject, func() error { time.Sleep(s.extent.PollsFor); return nil })
	s.idleCPU[p.name] = cost
	return cost, err
}
