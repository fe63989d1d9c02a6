package main

import (
	"context"
	"time"
)

// crowd is a number of operations that poll, or attempt a delivery, every gap until they
// are finished.
type crowd struct {
	subject    *role
	endpoint   string
	prefix     string
	counted    string // by the simulator: "count polls" or "count attempts"
	gap        time.Duration
	operations int
}

// further is the CPU time in ms of one further poll or attempt, without that of the idle
// processes.
func (s *testbed) further(ctx context.Context, c crowd) (float64, error) {
	idle, err := s.idleFor(ctx, c.subject, s.extent.PollsFor+settleTime)
	if err != nil {
		return 0, err
	}
	perSecond := min(float64(c.operations)/c.gap.Seconds(), steadyRate)
	l := load{Prefix: c.prefix, Endpoint: c.endpoint, Count: c.operations, PerSecond: perSecond}
	if _, err := s.startAll(ctx, c.subject.name, l); err != nil {
		return 0, err
	}
	// They were started evenly, and so are their polls.
	if err := s.await(ctx, c.counted, l, l.Count, time.Minute); err != nil {
		return 0, err
	}
	s.drainedBy(settleTime) // of what their starts cause
	s.drain()
	count := Request{Do: c.counted, Prefix: l.Prefix + "-"}
	before, err := s.simulator.ask(ctx, count)
	if err != nil {
		return 0, err
	}
	used, err := s.cpuFor(c.subject, func() error { time.Sleep(s.extent.PollsFor); return nil })
	if err != nil {
		return 0, err
	}
	after, err := s.simulator.ask(ctx, count)
	if err != nil {
		return 0, err
	}
	_, err = s.simulator.ask(ctx, Request{Do: "finish", Prefix: l.Prefix + "-"})
	s.drainedBy(c.gap + settleTime) // each ends with its next one
	return ms(used-idle) / float64(after.Count-before.Count), err
}

// idleFor is the CPU time of a subject, the server and the database in d with nothing to
// do. It is measured once, of both subjects at the same time.
func (s *testbed) idleFor(ctx context.Context, subject *role, d time.Duration) (time.Duration, error) {
	if len(s.idleCPU) == 0 {
		if err := s.awaitIdle(ctx, s.ringback); err != nil {
			return 0, err
		}
		for _, wait := range []time.Duration{s.extent.PollsFor, 0} {
			for _, r := range []*role{s.plain, s.ringback} {
				used, err := s.usedCPU(r)
				if err != nil {
					return 0, err
				}
				s.idleCPU[r.name] = used - s.idleCPU[r.name]
			}
			time.Sleep(wait)
		}
	}
	return time.Duration(float64(s.idleCPU[subject.name]) * d.Seconds() / s.extent.PollsFor.Seconds()), nil
}
