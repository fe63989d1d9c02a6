package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// bench is one run.
type bench struct {
	extent extent
	table  *table
	say    func(format string, a ...any)
	world  *role
	// worldURL is where the cores and receivers are.
	worldURL string
	// profiles is where CPU profiles go; empty: none are made.
	profiles string
	mu       sync.Mutex
	// failed calls, by database.
	failed map[string]int
}

// run measures on each database in turn. What the first one's open operations
// cost is measured last, when their start is long past.
func (b *bench) run(ctx context.Context) (err error) {
	if b.world, err = startRole(ctx, "world", struct{}{}, &b.worldURL); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.world.stop()) }()
	// What leaves something behind is followed by what that doesn't disturb.
	steps := []step{
		{"floor", b.floors}, {"tunings", b.tunings}, {"subjects", b.subjects}, {"bursts", b.bursts}, {"steady", b.steady},
		{"pushes", b.pushes}, {"gaps", b.gaps}, {"reads", b.reads}, {"isolation", b.isolation}, {"revocations", b.revocations},
		{"polls", b.polls}, {"histories", b.histories}, {"workflow", b.workflowPart}, {"open", b.open},
	}
	var opened *stage
	for i, database := range b.extent.Databases {
		b.say("%s: starting the servers", database)
		s, err := b.openStage(ctx, serverSetup{}, database)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		if i == 0 {
			opened = s
		} else {
			steps = slices.DeleteFunc(steps, func(m step) bool { return !b.extent.wantsOn(m.name) })
		}
		if err := b.take(ctx, s, steps); err != nil {
			return fmt.Errorf("on %s: %w", database, err)
		}
	}
	err = b.take(ctx, opened, []step{{"open, at rest", b.atRest}})
	for _, database := range b.extent.Databases {
		b.table.add(database, "calls that failed", "", float64(b.failed[database]), atMost(0), "of all the measures")
	}
	return err
}

// take measures step by step.
func (b *bench) take(ctx context.Context, s *stage, steps []step) error {
	for _, m := range steps {
		if !b.extent.wants(m.name) {
			continue
		}
		b.say("%s: %s", s.database, m.name)
		if err := m.measure(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := b.world.ask(ctx, order{Do: "forget"}, nil); err != nil {
			return err
		}
	}
	return nil
}

// step is one part of a run, by the name that -only takes.
type step struct {
	name    string
	measure func(context.Context, *stage) error
}

// subjects starts plain and Ringback and lets them fill their caches.
func (b *bench) subjects(ctx context.Context, s *stage) error {
	if err := s.openSubjects(ctx, b.extent.Gaps); err != nil {
		return err
	}
	for _, subject := range []string{"plain", "ringback"} {
		if _, _, err := b.ring(ctx, s, subject, burst(s.prefix(1), 60)); err != nil {
			return err
		}
	}
	return nil
}

// ask lets a role make the load.
func (b *bench) ask(ctx context.Context, s *stage, r *role, do string, l load) (loaded, error) {
	var out loaded
	if err := r.ask(ctx, order{Do: do, Load: &l}, &out); err != nil {
		return out, err
	}
	return out, b.failures(s, do+" by "+r.name, out)
}

// call makes the load on Ringback's API from this process.
func (b *bench) call(ctx context.Context, s *stage, what string, l load, call func(ctx context.Context, endpoint, id string) error) (loaded, error) {
	out := l.run(ctx, call)
	return out, errors.Join(ctx.Err(), b.failures(s, what+" by Ringback's API", out))
}

// failures records how many calls failed; where most of them did there is
// nothing to measure.
func (b *bench) failures(s *stage, what string, out loaded) error {
	if out.Failed > 0 {
		b.say("%s: %d of %d %s failed; one of them: %s", s.database, out.Failed, len(out.Began), what, out.Sample)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[s.database] += out.Failed
	if 2*out.Failed > len(out.Began) {
		return fmt.Errorf("%d of %d %s failed; one of them: %s", out.Failed, len(out.Began), what, out.Sample)
	}
	return nil
}

// ring starts operations by plain or by Ringback and waits until all have rung.
func (b *bench) ring(ctx context.Context, s *stage, subject string, l load) (loaded, map[string][]arrival, error) {
	var out loaded
	var err error
	if subject == "plain" {
		out, err = b.ask(ctx, s, s.plain, "start", l.to("ok"))
	} else {
		if l.Endpoint == "" {
			l = l.to(endpointOK)
		}
		out, err = b.call(ctx, s, "starts", l, s.api.start)
	}
	if err != nil {
		return out, nil, err
	}
	l.Count -= out.Failed
	got, err := s.arrivals(ctx, l, 2*time.Minute)
	return out, got, err
}

// value is the median so far of a measure.
func (b *bench) value(s *stage, measure string) float64 {
	for _, r := range b.table.rows {
		if r.Database == s.database && r.Measure == measure {
			return r.median()
		}
	}
	return math.NaN()
}
