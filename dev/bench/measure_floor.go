package main

import (
	"context"
	"errors"
	"time"
)

// floors compares the empty workflow on the tuned server with the stock one.
func (b *bench) floors(ctx context.Context, s *testbed) (err error) {
	stock, err := b.openTestbed(ctx, serverSetup{Stock: true}, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stock.close()) }()
	for round := range b.extent.Floors + 1 {
		b.log("%s: the floor, tuned and stock, round %d of %d", s.database, round, b.extent.Floors)
		tuned, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		untuned, err := b.floorOnce(ctx, stock)
		if err != nil {
			return err
		}
		if round == 0 {
			continue // warm-up
		}
		b.table.add(s.database, "CPU of the floor", "ms", tuned, nil, "an empty workflow: its eager start and its completion awaited; Temporal server as Ringback's dev runs it")
		b.table.add(s.database, "CPU of the floor on the stock server", "ms", untuned, nil, "")
		b.table.add(s.database, "CPU of the floor, tuned / stock server", "", tuned/untuned, atMost(floorTargets[s.database]), "")
	}
	return nil
}

// floorTargets are for the same durability on both servers.
var floorTargets = map[string]float64{onSQLite: 0.65, onPostgres: 0.85}

func (b *bench) floorOnce(ctx context.Context, s *testbed) (float64, error) {
	l := burst(s.prefix(1), b.extent.Burst)
	var out result
	cpu, err := s.cpuFor(s.floor, func() (err error) {
		out, err = b.ask(ctx, s, s.floor, "complete", l)
		return err
	})
	b.stalls(s, "the floor", out.Took)
	return ms(cpu) / float64(l.Count), err
}

// stalls counts calls that took as long as a workflow task timeout.
func (b *bench) stalls(s *testbed, what string, took []time.Duration) {
	stalled := 0.0
	for _, t := range took {
		if t >= stall {
			stalled++
		}
	}
	b.table.add(s.database, "operations stalled for a workflow task timeout, "+what, "", stalled, atMost(0), "")
}

// workflowPart compares Ringback without its HTTP API with the floor.
func (b *bench) workflowPart(ctx context.Context, s *testbed) (err error) {
	if err := s.closeRole(s.ringback); err != nil {
		return err
	}
	// It serves the same task queue, so that Ringback must be closed before.
	if s.service, err = s.startRole(ctx, "service", roleSetup{Temporal: s.address, Config: s.config}, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeRole(s.service)) }()
	for round := range b.extent.Rounds + 1 {
		floor, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		l := burst(s.prefix(1), b.extent.Burst).to(endpointOK)
		used, err := s.cpuFor(s.service, func() error {
			if _, err := b.ask(ctx, s, s.service, "start", l); err != nil {
				return err
			}
			_, err := s.arrivals(ctx, l, 2*time.Minute)
			return err
		})
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		service := ms(used) / float64(l.Count)
		b.table.add(s.database, "CPU per operation, workflow part", "ms", service, nil, "Ringback without its HTTP API")
		b.table.add(s.database, "CPU per operation, workflow part / floor", "", service/floor, atMost(1.1), "")
	}
	return nil
}
