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
	extent    extent
	table     *table
	log       func(format string, a ...any)
	simulator *role
	// simulatorURL is the base URL of the simulated cores and receivers.
	simulatorURL string

	mu sync.Mutex
	// failed counts failed calls by database.
	failed map[string]int
}

// step is one part of a run, by the name that -only takes.
type step struct {
	name    string
	measure func(context.Context, *testbed) error
}

// run measures on each database in turn. The open operations of the first one are
// measured last, long after their start.
func (b *bench) run(ctx context.Context) (err error) {
	if b.simulator, err = startRole(ctx, "simulator", struct{}{}, &b.simulatorURL); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.simulator.stop()) }()
	// In this order no step disturbs the next one.
	steps := []step{
		{"floor", b.floors}, {"subjects", b.subjects}, {"bursts", b.bursts}, {"steady", b.steady},
		{"pushes", b.pushes}, {"gaps", b.gaps}, {"reads", b.reads}, {"isolation", b.isolation}, {"revocations", b.revocations},
		{"polls", b.polls}, {"histories", b.histories}, {"overload", b.overload}, {"workflow", b.workflowPart}, {"open", b.open},
	}
	var first *testbed
	for i, database := range b.extent.Databases {
		b.log("%s: starting the servers", database)
		s, err := b.openTestbed(ctx, serverSetup{}, database)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		if i == 0 {
			first = s
		} else {
			steps = slices.DeleteFunc(steps, func(m step) bool { return !b.extent.wantsOnOthers(m.name) })
		}
		if err := b.measure(ctx, s, steps); err != nil {
			return fmt.Errorf("on %s: %w", database, err)
		}
	}
	err = b.measure(ctx, first, []step{{"open, idle", b.openIdle}})
	for _, database := range b.extent.Databases {
		b.table.add(database, "calls that failed", "", float64(b.failed[database]), atMost(0), "in all measurements")
	}
	return err
}

func (b *bench) measure(ctx context.Context, s *testbed, steps []step) error {
	for _, m := range steps {
		if !b.extent.wants(m.name) {
			continue
		}
		b.log("%s: %s", s.database, m.name)
		if err := m.measure(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := b.simulator.ask(ctx, request{Do: "reset"}, nil); err != nil {
			return err
		}
	}
	return nil
}

// subjects starts plain and Ringback and warms them up.
func (b *bench) subjects(ctx context.Context, s *testbed) error {
	if err := s.openSubjects(ctx, b.extent.Gaps); err != nil {
		return err
	}
	for _, subject := range []string{"plain", "ringback"} {
		if _, _, err := b.deliver(ctx, s, subject, burst(s.prefix(1), 60)); err != nil {
			return err
		}
	}
	return nil
}

// ask lets a role make the load.
func (b *bench) ask(ctx context.Context, s *testbed, r *role, do string, l load) (result, error) {
	var out result
	if err := r.ask(ctx, request{Do: do, Load: &l}, &out); err != nil {
		return out, err
	}
	return out, b.countFailures(s, do+" by "+r.name, out)
}

// call makes the load on Ringback's API from this process.
func (b *bench) call(ctx context.Context, s *testbed, what string, l load, call func(ctx context.Context, endpoint, id string) error) (result, error) {
	out := l.run(ctx, call)
	return out, errors.Join(ctx.Err(), b.countFailures(s, what+" by Ringback's API", out))
}

// countFailures counts failed calls. It is an error if most of them failed.
func (b *bench) countFailures(s *testbed, what string, out result) error {
	if out.Failed > 0 {
		b.log("%s: %d of %d %s failed; one of them: %s", s.database, out.Failed, len(out.Began), what, out.Sample)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[s.database] += out.Failed
	if 2*out.Failed > len(out.Began) {
		return fmt.Errorf("%d of %d %s failed; one of them: %s", out.Failed, len(out.Began), what, out.Sample)
	}
	return nil
}

// deliver starts operations at plain or Ringback and waits until each has got its
// first callback.
func (b *bench) deliver(ctx context.Context, s *testbed, subject string, l load) (result, map[string][]arrival, error) {
	var out result
	var err error
	if subject == "plain" {
		out, err = b.ask(ctx, s, s.plain, "start", l.to("ok"))
	} else {
		if l.Endpoint == "" {
			l = l.to(endpointOK)
		}
		out, err = b.call(ctx, s, "starts", l, s.start)
	}
	if err != nil {
		return out, nil, err
	}
	l.Count -= out.Failed
	got, err := s.arrivals(ctx, l, 2*time.Minute)
	return out, got, err
}

// value is the median so far of a measure.
func (b *bench) value(s *testbed, measure string) float64 {
	for _, r := range b.table.rows {
		if r.Database == s.database && r.Measure == measure {
			return r.median()
		}
	}
	return math.NaN()
}
