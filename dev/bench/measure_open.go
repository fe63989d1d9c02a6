package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// openedAtOnce is how many operations are opened between two log lines.
	openedAtOnce = 5000
	// cachedRuns is how many runs a worker of Ringback keeps in memory.
	cachedRuns = 2000
)

// open opens operations in a new Ringback process; openIdle measures them later.
func (s *testbed) open(ctx context.Context) (err error) {
	if s.extent.Open == 0 {
		return nil
	}
	if err := errors.Join(s.end(s.ringback), s.openRingback(ctx)); err != nil {
		return err
	}
	if s.beforeOpen, err = s.idle(ctx); err != nil {
		return err
	}
	for opened := 0; opened < s.extent.Open; {
		l := burst(s.prefix(0), min(openedAtOnce, s.extent.Open-opened)).to(endpointOpen)
		if _, err := s.call(ctx, "starts", l, s.startOperation); err != nil {
			return err
		}
		opened += l.Count
		s.log("%s: %d of %d operations are open", s.database, opened, s.extent.Open)
	}
	return nil
}

// openIdle measures what open operations cost while no poll is due.
func (s *testbed) openIdle(ctx context.Context) error {
	if s.extent.Open == 0 {
		return nil
	}
	none := s.beforeOpen
	after, err := s.idle(ctx)
	if err != nil {
		return err
	}
	n := float64(s.extent.Open)
	open := fmt.Sprintf("with %d open operations", s.extent.Open)
	s.add("start p99 at 50/s, with none open", "ms", ms(none.p99), nil, "")
	s.add("start p99 at 50/s, "+open, "ms", ms(after.p99), nil, "")
	s.add("start p99, "+open+" / none", "", float64(after.p99)/float64(none.p99), atMost(2), "")
	s.add("CPU per idle minute, with none open", "ms", ms(none.cpu), nil, "")
	s.add("CPU per idle minute, "+open, "ms", ms(after.cpu), nil, "")
	idle, memory := atMost(0.1), atMost(8)
	if s.extent.Open < cachedRuns*10 {
		// Too few: the server's housekeeping takes more CPU time, and the worker caches
		// almost all of them.
		idle, memory = nil, nil
	}
	s.add("CPU per idle minute of one open operation", "ms", ms(after.cpu-none.cpu)/n, idle, "no poll is due in it; one costs about 2 ms")
	s.add("memory of Ringback per open operation", "KiB", float64(after.memory-none.memory)/n/1024, memory, "resident after a collection, api and worker in one process")
	return nil
}

// idleness is the CPU time of an idle minute, the memory then, and p99 of starts.
type idleness struct {
	p99, cpu time.Duration
	memory   int64
}

// idle measures an idle time, and then some starts.
func (s *testbed) idle(ctx context.Context) (idleness, error) {
	if err := s.awaitIdle(ctx, s.ringback); err != nil {
		return idleness{}, err
	}
	before, err := s.usedCPU(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	time.Sleep(s.extent.Idle)
	after, err := s.usedCPU(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	if err := s.ringback.call(ctx, "Collect", struct{}{}, &struct{}{}); err != nil {
		return idleness{}, err
	}
	memory, _, err := memoryOf(s.ringback.PID())
	if err != nil {
		return idleness{}, err
	}
	l := steady(s.prefix(0), steadyRate, s.extent.Steady).to(endpointOpen)
	out, err := s.call(ctx, "starts", l, s.startOperation)
	return idleness{
		p99: percentile(out.Took, 0.99), memory: memory,
		cpu: time.Duration(float64(after-before) * float64(time.Minute) / float64(s.extent.Idle)),
	}, err
}
