package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	extent extent
	table  *table
	taken  []*taken
	begun  time.Time
	// checkTime is until when measures are taken again; 0: none is.
	checkTime time.Duration
	log       func(format string, a ...any)
	simulator *role
	// simulatorURL is the base URL of the simulated cores and receivers.
	simulatorURL string
}

// measure is one part of a run, which adds its rows to the table once a round.
type measure struct {
	// name is what -only takes.
	name string
	take func(*testbed, context.Context) error
	// once: it has no rounds, or makes its own. everywhere: on every database.
	once, everywhere bool
}

// measures are taken in this order, in which none disturbs the next one.
var measures = []measure{
	{"floor", (*testbed).floors, true, true},
	{"subjects", (*testbed).openSubjects, true, true},
	{"mix", (*testbed).mix, true, true},
	{"bursts", (*testbed).bursts, false, true},
	{"steady", (*testbed).steady, false, true},
	{"pushes", (*testbed).pushes, false, false},
	{"gaps", (*testbed).gaps, false, false},
	{"reads", (*testbed).reads, false, false},
	{"isolation", (*testbed).isolation, false, false},
	{"revocations", (*testbed).revocations, false, false},
	{"polls", (*testbed).polls, false, false},
	{"attempts", (*testbed).attempts, false, false},
	{"histories", (*testbed).histories, true, false},
	{"cluster", (*testbed).compareCluster, true, true},
	{"overload", (*testbed).overload, true, false},
	{"restart", (*testbed).restart, true, true},
	{"workflow", (*testbed).workflowPart, true, true},
	{"open", (*testbed).open, true, false},
}

// run takes the measures on each database in turn. The open operations of the first one
// are measured last, long after their start.
func (b *bench) run(ctx context.Context) (err error) {
	if b.simulator, b.simulatorURL, err = startRole(ctx, "simulator", Setup{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.simulator.close()) }()
	var testbeds []*testbed
	for i, database := range b.extent.Databases {
		b.log("%s: starting the servers", database)
		s, err := b.openTestbed(ctx, database, Setup{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		testbeds = append(testbeds, s)
		for _, m := range measures {
			if i > 0 && !m.elsewhere(b.extent) {
				continue
			}
			if err := s.takeRounds(ctx, m); err != nil {
				return err
			}
		}
	}
	if err := b.takeAgain(ctx); err != nil {
		return err
	}
	if err := testbeds[0].takeRounds(ctx, measure{"open, idle", (*testbed).openIdle, true, false}); err != nil {
		return err
	}
	for _, s := range testbeds {
		s.add("calls that failed", "", float64(s.failed.Load()), atMost(0), "in all measurements")
	}
	return nil
}

// elsewhere reports whether a measure is taken on further databases. A quick run takes
// there only what CPU / floor needs.
func (m measure) elsewhere(e extent) bool {
	return m.everywhere && (!e.Quick || m.name == "subjects" || m.name == "bursts")
}

// takeRounds takes a measure as often as it has rounds.
func (s *testbed) takeRounds(ctx context.Context, m measure) error {
	if !s.extent.wants(m.name) {
		return nil
	}
	rounds := s.extent.Rounds
	if m.once {
		rounds = 1
	}
	begun := time.Now()
	for round := range rounds {
		s.log("%s: %s, round %d of %d", s.database, m.name, round+1, rounds)
		if err := s.takeOnce(ctx, m); err != nil {
			return err
		}
	}
	s.bench.taken = append(s.bench.taken, &taken{on: s, measure: m, took: time.Since(begun) / time.Duration(rounds)})
	return nil
}

// failedPause is how long a measure that failed waits before it is tried once more: on a
// noisy machine most calls of a load may be shed.
const failedPause = 10 * time.Second

func (s *testbed) takeOnce(ctx context.Context, m measure) error {
	s.measuring = m.name
	err := m.take(s, ctx)
	if err != nil && ctx.Err() == nil {
		s.log("%s: %s failed, and is tried once more: %v", s.database, m.name, err)
		time.Sleep(failedPause)
		err = m.take(s, ctx)
	}
	if err != nil {
		return fmt.Errorf("on %s: %s: %w", s.database, m.name, err)
	}
	_, err = s.simulator.ask(ctx, Request{Do: "reset"})
	return err
}

// add adds a value of this round to a measure.
func (s *testbed) add(measure, unit string, value float64, want *target, note string) {
	s.table.add(row{Database: s.database, Measure: measure, Unit: unit, Values: []float64{value}, Target: want, Note: note, by: s.measuring})
}

// value is the median so far of a measure.
func (s *testbed) value(measure string) float64 {
	for _, r := range s.table.rows {
		if r.Database == s.database && r.Measure == measure {
			return r.median()
		}
	}
	return math.NaN()
}

// extent is how much a run measures.
type extent struct {
	Quick bool
	// Floors is how often the floor is measured on both servers; 0: not at all. Rounds
	// is how often everything else is.
	Floors, Rounds int
	// Burst and PlainBurst are the operations of a burst of Ringback's and plain's.
	Burst, PlainBurst int
	// Steady is how long a load of steadyRate lasts.
	Steady time.Duration
	// Mix is the day of a payment core.
	Mix  mix
	Gaps []time.Duration
	// GapsFor is how long operations are started whose first attempt fails.
	GapsFor   time.Duration
	Isolation []disturbance
	// PollsFor is how long the CPU time of polls and of attempts is measured.
	PollsFor time.Duration
	// Due is how many callbacks are due after a crash, RestartGap their h, which the
	// server waits for.
	Due        int
	RestartGap time.Duration
	// Open is how many operations are opened, Idle how long they are left alone.
	Open     int
	Idle     time.Duration
	ReadsFor time.Duration
	// Overload is how long three times the capacity is asked for; 0: not at all.
	Overload  time.Duration
	Databases []string
	// Only are the beginnings of the measures' names; empty: all.
	Only []string
	// Profiles is the directory for a CPU profile of each measured process; empty: none.
	Profiles string
}

// steadyRate and readRate are calls a second.
const (
	steadyRate = 50.0
	readRate   = 200.0
)

// disturbance is load on a failing and a slow endpoint beside a healthy one: Each
// operations a second. The healthy one's p99 may become Most times as long.
type disturbance struct {
	Each float64
	Slow time.Duration
	Most float64
}

func (d disturbance) String() string {
	return fmt.Sprintf("%g/s failing and %g/s taking %v", d.Each, d.Each, d.Slow)
}

const (
	slow   = 5 * time.Second
	slower = 20 * time.Second
)

var disturbances = []disturbance{{10, slow, 2}, {30, slow, 6}, {30, slower, 8}}

// quickExtent takes three minutes, fullExtent some three quarters of an hour.
var (
	quickExtent = extent{
		Quick: true, Mix: quickMix, Rounds: 1, Burst: 150, PlainBurst: 100, Steady: 3 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, time.Second}, GapsFor: 6 * time.Second,
		Isolation: disturbances[:1], PollsFor: 3 * time.Second, Due: 200, RestartGap: 6 * time.Second,
		Idle: 10 * time.Second, ReadsFor: 3 * time.Second,
	}
	fullExtent = extent{
		Mix: fullMix, Floors: 3, Rounds: 3, Burst: 400, PlainBurst: 200, Steady: 8 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second}, GapsFor: 12 * time.Second,
		Isolation: disturbances[1:], PollsFor: 4 * time.Second, Due: 2000, RestartGap: 30 * time.Second,
		Open: 30_000, Idle: 30 * time.Second, ReadsFor: 5 * time.Second, Overload: 30 * time.Second,
	}
)

func (e extent) wants(name string) bool {
	begins := func(beginning string) bool { return strings.HasPrefix(name, beginning) }
	if len(e.Only) == 0 {
		return !(e.Quick && name == "mix") // it takes as long as all of a quick run
	}
	return name == "subjects" || slices.ContainsFunc(e.Only, begins)
}
