package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ringback/dev/temporalserver"
)

// floors compares the empty workflow on the server as it is tuned with the same
// on the stock one.
func (b *bench) floors(ctx context.Context, s *stage) (err error) {
	stock, err := b.openStage(ctx, serverSetup{Stock: true}, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stock.close()) }()
	for round := range b.extent.Floors + 1 {
		b.say("%s: the floor, tuned and stock, round %d of %d", s.database, round, b.extent.Floors)
		tuned, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		untuned, err := b.floorOnce(ctx, stock)
		if err != nil {
			return err
		}
		if round == 0 {
			continue // caches fill and pools grow
		}
		b.table.add(s.database, "CPU of the floor", "ms", tuned, nil, "an empty workflow: its eager start and its completion awaited; Temporal server as Ringback's dev runs it")
		b.table.add(s.database, "CPU of the floor on the stock server", "ms", untuned, nil, "")
		b.table.add(s.database, "CPU of the floor, tuned / stock server", "", tuned/untuned, atMost(floorTargets[s.database]), "")
	}
	return nil
}

// floorTargets are on the same durability on both sides.
var floorTargets = map[string]float64{onSQLite: 0.65, onPostgres: 0.85}

func (b *bench) floorOnce(ctx context.Context, s *stage) (float64, error) {
	l := burst(s.prefix(1), b.extent.Burst)
	var out loaded
	cpu, err := s.cost(s.floor, func() (err error) {
		out, err = b.ask(ctx, s, s.floor, "complete", l)
		return err
	})
	b.stalls(s, "the floor", out.Took)
	return ms(cpu) / float64(l.Count), err
}

// stalls records that nothing waited for a workflow task timeout.
func (b *bench) stalls(s *stage, what string, took []time.Duration) {
	stalled := 0.0
	for _, t := range took {
		if t >= stall {
			stalled++
		}
	}
	b.table.add(s.database, "operations stalled for a workflow task timeout, "+what, "", stalled, atMost(0), "")
}

// tunings measure what each tuning of the server is worth: the floor with it,
// against the floor without it.
func (b *bench) tunings(ctx context.Context, s *stage) error {
	if !b.extent.Tunings {
		return nil
	}
	for _, t := range temporalserver.Tunings() {
		if !t.On(s.cluster != nil) {
			continue
		}
		if err := b.tuning(ctx, s, t); err != nil {
			return fmt.Errorf("without %s: %w", t, err)
		}
	}
	return nil
}

// tuning opens both servers anew: the one that the other measures use has more in
// its database by now.
func (b *bench) tuning(ctx context.Context, s *stage, t temporalserver.Tuning) (err error) {
	with, err := b.openStage(ctx, serverSetup{}, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, with.close()) }()
	without, err := b.openStage(ctx, serverSetup{Without: []temporalserver.Tuning{t}}, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, without.close()) }()
	for round := range b.extent.Floors + 1 {
		b.say("%s: with and without %s, round %d of %d", s.database, t, round, b.extent.Floors)
		more, err := b.floorOnce(ctx, with)
		if err != nil {
			return err
		}
		less, err := b.floorOnce(ctx, without)
		if err != nil {
			return err
		}
		if round > 0 {
			b.table.add(s.database, fmt.Sprintf("CPU of the floor, with / without %s", t), "", more/less, nil, "")
		}
	}
	return nil
}

// workflowPart is Ringback's workflow, activities and start without its HTTP
// API, against the floor.
func (b *bench) workflowPart(ctx context.Context, s *stage) (err error) {
	if err := s.closeRole(s.ringback); err != nil {
		return err
	}
	if err := s.openDesk(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeRole(s.desk)) }()
	for round := range b.extent.Rounds + 1 {
		floor, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		l := burst(s.prefix(1), b.extent.Burst).to(endpointOK)
		used, err := s.cost(s.desk, func() error {
			if _, err := b.ask(ctx, s, s.desk, "start", l); err != nil {
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
		desk := ms(used) / float64(l.Count)
		b.table.add(s.database, "CPU per operation, workflow part", "ms", desk, nil, "Ringback without its HTTP API")
		b.table.add(s.database, "CPU per operation, workflow part / floor", "", desk/floor, atMost(1.1), "")
	}
	return nil
}
