package main

import (
	"context"
	"fmt"
	"time"
)

// open opens operations in a new Ringback process; openIdle measures them later.
func (b *bench) open(ctx context.Context, s *testbed) (err error) {
	if b.extent.Open == 0 {
		return nil
	}
	if err := s.closeRole(s.ringback); err != nil {
		return err
	}
	if err := s.openRingback(ctx); err != nil {
		return err
	}
	if err := s.awaitIdle(ctx, s.ringback); err != nil {
		return err
	}
	if s.beforeOpen, err = b.idle(ctx, s); err != nil {
		return err
	}
	for opened := 0; opened < b.extent.Open; {
		l := burst(s.prefix(0), min(openedAtOnce, b.extent.Open-opened)).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", l, s.start); err != nil {
			return err
		}
		opened += l.Count
		b.log("%s: %d of %d operations are open", s.database, opened, b.extent.Open)
	}
	return nil
}

// openedAtOnce is how many operations are opened between two log lines.
const openedAtOnce = 5000

// openIdle measures what open operations cost while no poll is due.
func (b *bench) openIdle(ctx context.Context, s *testbed) error {
	if b.extent.Open == 0 {
		return nil
	}
	if err := s.awaitIdle(ctx, s.ringback); err != nil {
		return err
	}
	none := s.beforeOpen
	after, err := b.idle(ctx, s)
	if err != nil {
		return err
	}
	n := float64(b.extent.Open)
	t, d, open := b.table, s.database, fmt.Sprintf("with %d open operations", b.extent.Open)
	t.add(d, "start p99 at 50/s, with none open", "ms", ms(none.p99), nil, "")
	t.add(d, "start p99 at 50/s, "+open, "ms", ms(after.p99), nil, "")
	t.add(d, "start p99, "+open+" / none", "", float64(after.p99)/float64(none.p99), atMost(2), "")
	t.add(d, "CPU per idle minute, with none open", "ms", ms(none.cpu), nil, "")
	t.add(d, "CPU per idle minute, "+open, "ms", ms(after.cpu), nil, "")
	idle, memory := atMost(0.1), atMost(8)
	if b.extent.Open < cachedRuns*10 {
		// Too few: the server's housekeeping takes more CPU time, and the worker caches
		// almost all of them.
		idle, memory = nil, nil
	}
	t.add(d, "CPU per idle minute of one open operation", "ms", ms(after.cpu-none.cpu)/n, idle, "no poll is due in it; one costs about 2 ms")
	t.add(d, "memory of Ringback per open operation", "KiB", float64(after.memory-none.memory)/n/1024, memory, "resident after a collection, api and worker in one process")
	return nil
}

// cachedRuns is how many runs a worker of Ringback keeps in memory.
const cachedRuns = 2000

type idleness struct {
	p99, cpu time.Duration
	memory   int64
}

// idle measures an idle time, and then some starts.
func (b *bench) idle(ctx context.Context, s *testbed) (idleness, error) {
	before, err := s.usedCPU(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	time.Sleep(b.extent.Idle)
	after, err := s.usedCPU(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	if err := s.ringback.ask(ctx, request{Do: collecting}, nil); err != nil {
		return idleness{}, err
	}
	memory, _, err := memoryOf(s.ringback.pid())
	if err != nil {
		return idleness{}, err
	}
	l := steady(s.prefix(0), steadyRate, b.extent.Steady).to(endpointOpen)
	out, err := b.call(ctx, s, "starts", l, s.start)
	return idleness{
		p99: percentile(out.Took, 0.99), memory: memory,
		cpu: time.Duration(float64(after-before) * float64(time.Minute) / float64(b.extent.Idle)),
	}, err
}
