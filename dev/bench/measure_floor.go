package main

import (
	"context"
	"errors"
	"time"
)

// floors compares the empty workflow on the tuned server with the stock one.
func (s *testbed) floors(ctx context.Context) (err error) {
	if s.extent.Floors == 0 {
		return nil
	}
	stock, err := s.openTestbed(ctx, s.database, Setup{Stock: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stock.close()) }()
	for round := range s.extent.Floors + 1 {
		tuned, err := s.floorOnce(ctx)
		if err != nil {
			return err
		}
		untuned, err := stock.floorOnce(ctx)
		if err != nil {
			return err
		}
		if round == 0 {
			continue // warm-up
		}
		s.add("CPU of the floor", "ms", tuned, nil, "an empty workflow: its eager start and its completion awaited; Temporal server as Ringback's dev runs it")
		s.add("CPU of the floor on the stock server", "ms", untuned, nil, "")
		s.add("CPU of the floor, tuned / stock server", "", tuned/untuned, atMost(floorTargets[s.database]), "")
	}
	return nil
}

// floorTargets are for the same durability on both servers.
var floorTargets = map[string]float64{onSQLite: 0.65, onPostgres: 0.85}

func (s *testbed) floorOnce(ctx context.Context) (float64, error) {
	l := burst(s.prefix(1), s.extent.Burst)
	var out result
	cpu, err := s.cpuFor(s.floor, func() (err error) {
		out, err = s.ask(ctx, s.floor, "complete", l)
		return err
	})
	s.stalls("the floor", out.Took)
	return ms(cpu) / float64(l.Count), err
}

// stalls counts calls that took nearly a workflow task timeout, which nothing may wait
// for.
func (s *testbed) stalls(what string, took []time.Duration) {
	stalled := 0.0
	for _, t := range took {
		if t >= 9*time.Second {
			stalled++
		}
	}
	s.add("operations stalled for a workflow task timeout, "+what, "", stalled, atMost(0), "")
}

// workflowPart compares Ringback without its HTTP API with the floor.
func (s *testbed) workflowPart(ctx context.Context) (err error) {
	if s.extent.Quick {
		return nil
	}
	// Both serve the same task queue.
	if err := s.end(s.ringback); err != nil {
		return err
	}
	service, _, err := s.start(ctx, "service", Setup{Temporal: s.temporal, Config: s.config})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end(service), s.openRingback(ctx)) }()
	for round := range s.extent.Rounds + 1 {
		floor, err := s.floorOnce(ctx)
		if err != nil {
			return err
		}
		l := burst(s.prefix(1), s.extent.Burst).to(endpointOK)
		used, err := s.cpuFor(service, func() error {
			if _, err := s.ask(ctx, service, "start", l); err != nil {
				return err
			}
			_, err := s.arrivals(ctx, l, 2*time.Minute)
			return err
		})
		if err != nil {
			return err
		}
		if round == 0 {
			continue // warm-up
		}
		cpu := ms(used) / float64(l.Count)
		s.add("CPU per operation, workflow part", "ms", cpu, nil, "Ringback without its HTTP API")
		s.add("CPU per operation, workflow part / floor", "", cpu/floor, atMost(1.1), "")
	}
	return nil
}
