package main

import (
	"context"
	"fmt"
	"time"

	"ringback/dev/percentile"
	"ringback/dev/process"
)

// open opens operations in a Ringback of their own, which atRest looks at later.
func (b *bench) open(ctx context.Context, s *stage) (err error) {
	if b.extent.Open == 0 {
		return nil
	}
	if err := s.closeRole(s.ringback); err != nil {
		return err
	}
	if err := s.openRingback(ctx); err != nil {
		return err
	}
	if err := s.rest(ctx, s.ringback); err != nil {
		return err
	}
	if s.none, err = b.idle(ctx, s); err != nil {
		return err
	}
	for opened := 0; opened < b.extent.Open; {
		l := burst(s.prefix(0), min(openedAtOnce, b.extent.Open-opened)).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", l, s.api.start); err != nil {
			return err
		}
		opened += l.Count
		b.say("%s: %d of %d operations are open", s.database, opened, b.extent.Open)
	}
	return nil
}

// openedAtOnce is how many operations are opened between two lines of progress.
const openedAtOnce = 5000

// atRest measures what open operations cost of which no poll is due.
func (b *bench) atRest(ctx context.Context, s *stage) error {
	if b.extent.Open == 0 {
		return nil
	}
	if err := s.rest(ctx, s.ringback); err != nil {
		return err
	}
	none := s.none
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
		// Too few: the difference in CPU is less than the server's own
		// housekeeping, and almost all are in the worker's cache, which is bounded.
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

// idle leaves everything alone for a while, then starts a few.
func (b *bench) idle(ctx context.Context, s *stage) (idleness, error) {
	before, err := s.used(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	time.Sleep(b.extent.Idle)
	after, err := s.used(s.ringback)
	if err != nil {
		return idleness{}, err
	}
	if err := s.ringback.ask(ctx, order{Do: collecting}, nil); err != nil {
		return idleness{}, err
	}
	memory, err := process.MemoryOf(s.ringback.pid())
	if err != nil {
		return idleness{}, err
	}
	l := steady(s.prefix(0), steadyRate, b.extent.Steady).to(endpointOpen)
	out, err := b.call(ctx, s, "starts", l, s.api.start)
	return idleness{
		p99: percentile.Of(out.Took, 0.99), memory: memory.Resident,
		cpu: time.Duration(float64(after-before) * float64(time.Minute) / float64(b.extent.Idle)),
	}, err
}
