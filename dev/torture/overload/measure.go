package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

const (
	// starters is how many call one after another while the capacity is measured.
	starters = 64
	// calmRate is how many starts a second disturb nobody.
	calmRate = 20
	// withdrawals and reads are how many of them a second go on during the overload.
	withdrawals = 10
	reads       = 20
)

// The targets.
const (
	callbacksLate = 2 * time.Second
	pollsLate     = 15 * time.Second
	// memoryGrows is by how much, in MiB, a program may grow under overload.
	memoryGrows   = 256
	recoversSoon  = time.Minute
	undisturbedBy = 5
	// calmStart is below what no start is called slow.
	calmStart = 250 * time.Millisecond
	// calmSeconds in a row end the recovery.
	calmSeconds = 5
)

// How many operations go on beside the starts.
const (
	nFailingNear, nFailingFar = 60, 120
	nWatchedNear, nWatchedFar = 150, 150
)

// bench is one measurement.
type bench struct {
	extent
	*stage
	world  *world
	caller *caller
	table  table
	// withdrawn are operations to be withdrawn during the overload.
	withdrawn []string
	memory    *memory
}

func measure(ctx context.Context, e extent) (met bool, err error) {
	w, err := openWorld()
	if err != nil {
		return false, err
	}
	say("PostgreSQL, Temporal, api and worker are being started")
	s, err := openStage(ctx, w.base)
	if err != nil {
		return false, errors.Join(err, w.close())
	}
	defer func() { err = errors.Join(err, s.close(), w.close()) }()
	b := &bench{extent: e, stage: s, world: w, caller: newCaller(s.base, s.key), memory: followMemory(ctx, s)}
	defer b.memory.stop()
	if err := b.live(ctx); err != nil {
		return false, err
	}
	return b.table.print(os.Stdout)
}

// live goes through the phases.
func (b *bench) live(ctx context.Context) error {
	if err := b.background(ctx); err != nil {
		return err
	}
	say("undisturbed: %d starts a second", calmRate)
	calm := b.caller.open(ctx, calmRate, b.calm)
	b.phase("undisturbed", calm)
	undisturbed := percentile(b.took(calm.span), 99)

	say("capacity: %d starters as fast as they go, for %v", starters, b.capacity)
	busy := b.caller.closed(ctx, starters, b.capacity)
	capacity := float64(b.rungIn(busy.span)) / b.capacity.Seconds()
	b.phase("capacity", busy)
	b.table.figure("capacity", "%.0f/s", capacity)
	b.table.target("shed while 64 starters go as fast as they can", fmt.Sprint(busy.shed), busy.shed == 0, "0")
	time.Sleep(5 * time.Second)

	over, err := b.flood(ctx, capacity)
	if err != nil {
		return err
	}
	if err := b.recover(ctx, capacity, undisturbed); err != nil {
		return err
	}
	return b.complete(ctx, over)
}

// background starts what goes on all the time.
func (b *bench) background(ctx context.Context) error {
	for _, o := range []struct {
		endpoint, prefix string
		n                int
	}{
		{failingNear, "fn", nFailingNear}, {failingFar, "ff", nFailingFar}, {watchedNear, "wn", nWatchedNear}, {watchedFar, "wf", nWatchedFar},
	} {
		if _, err := b.caller.startAll(ctx, o.endpoint, o.prefix, o.n); err != nil {
			return err
		}
	}
	var err error
	b.withdrawn, err = b.caller.startAll(ctx, quiet, "x", int(b.overload.Seconds())*withdrawals)
	time.Sleep(hFar)
	return err
}

// flood asks for too much.
func (b *bench) flood(ctx context.Context, capacity float64) (*tally, error) {
	rate := b.times * capacity
	say("overload: %.0f starts a second for %v", rate, b.overload)
	before := b.memory.peaks()
	beside, stop := context.WithTimeout(ctx, b.overload)
	defer stop()
	changes, states := &tally{}, &tally{}
	changing := each(beside, withdrawals, func(i int) {
		if i < len(b.withdrawn) {
			changes.note(b.caller.call(ctx, http.MethodDelete, "/v1/operations/"+quiet+"/"+b.withdrawn[i], ""))
		}
	})
	reading := each(beside, reads, func(int) {
		states.note(b.caller.call(ctx, http.MethodGet, "/v1/operations/"+watchedNear+"/wn-200", ""))
	})
	over := b.caller.open(ctx, rate, b.overload)
	showing := metrics(ctx, b.base, b.key, "ringback_shed_total", "ringback_admitted", "ringback_starts", "ringback_backlog")
	stop()
	changing.Wait()
	reading.Wait()
	for _, line := range showing {
		say("%s", line)
	}
	b.phase("overload", over)
	t := &b.table
	t.figure("offered, accepted, shed", "%d, %d, %d", over.offered, over.accepted, over.shed)
	t.target("shed without Retry-After", fmt.Sprint(over.withoutRetryAfter), over.withoutRetryAfter == 0, "0")
	t.target("starts answered otherwise, or not at all", fmt.Sprint(over.other+over.no), over.other+over.no == 0, "0")
	t.target("withdrawals of "+fmt.Sprint(changes.offered)+" not accepted", fmt.Sprint(changes.offered-changes.accepted), changes.offered == changes.accepted, "0")
	t.target("reads of "+fmt.Sprint(states.offered)+" not answered", fmt.Sprint(states.offered-states.accepted), states.offered == states.accepted, "0")
	b.table.lateness("callbacks late under overload, p99", worst(b.world.lateCallbacks(over.span)), callbacksLate)
	b.table.lateness("polls late under overload, p99", worst(b.world.latePolls(over.span)), pollsLate)
	for role, peak := range b.memory.peaks() {
		t.target("memory of "+role+" under overload", fmt.Sprintf("%.0f MiB, %.0f before", peak, before[role]), peak-before[role] <= memoryGrows, fmt.Sprintf("<= %d more", memoryGrows))
	}
	return over, ctx.Err()
}

// recover asks for what disturbs nobody until nobody is disturbed.
func (b *bench) recover(ctx context.Context, capacity float64, undisturbed time.Duration) error {
	ended := time.Now()
	slow := max(undisturbedBy*undisturbed, calmStart)
	rate := max(capacity/5, 1)
	say("recovery: %.0f starts a second until %d seconds in a row none is shed or takes longer than %v", rate, calmSeconds, slow)
	calm := 0
	for calm < calmSeconds && time.Since(ended) < recoversSoon+calmSeconds*time.Second {
		t := b.caller.open(ctx, rate, time.Second)
		if calm++; t.shed > 0 || percentile(b.took(t.span), 99) > slow {
			calm = 0
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	took := max(time.Since(ended)-time.Duration(calm)*time.Second, 0)
	b.table.target("recovers within", fmt.Sprintf("%.0f s", took.Seconds()), calm == calmSeconds && took <= recoversSoon, "<= 60 s")
	return nil
}

// complete heals the receivers and waits until all that was accepted completed.
func (b *bench) complete(ctx context.Context, over *tally) error {
	say("completion: the receivers are healed")
	b.world.healed.Store(true)
	deadline := time.Now().Add(b.done)
	missing := b.missing()
	for len(missing) > 0 && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(250 * time.Millisecond)
		missing = b.missing()
	}
	b.table.target("accepted of "+fmt.Sprint(len(b.caller.within(over.span)))+" under overload, and all others, not completed", fmt.Sprint(len(missing)), len(missing) == 0, "0")
	for _, id := range missing[:min(len(missing), 5)] {
		say("not completed: %s", id)
	}
	return ctx.Err()
}

// missing are accepted operations that end and whose callback was not acknowledged.
func (b *bench) missing() []string {
	var all []string
	for id := range b.caller.within(span{to: time.Now()}) {
		if (id[0] == 'q' || id[0] == 'f') && !b.world.took(id) {
			all = append(all, id)
		}
	}
	return all
}

// phase adds what is told of each phase.
func (b *bench) phase(name string, t *tally) {
	took := b.took(t.span)
	b.table.figure(name+": starts accepted a second", "%.0f/s", float64(t.accepted)/t.span.to.Sub(t.span.from).Seconds())
	b.table.figure(name+": an accepted start takes, p50 and p99", "%v, %v", percentile(took, 50), percentile(took, 99))
	rings := b.rings(t.span)
	b.table.figure(name+": from start to callback, p50 and p99", "%v, %v", percentile(rings, 50), percentile(rings, 99))
	b.lateness(name+": callbacks late, p50 and p99", b.world.lateCallbacks, t.span)
	b.lateness(name+": polls late, p50 and p99", b.world.latePolls, t.span)
}

func (b *bench) lateness(what string, of func(span) (near, far []time.Duration), s span) {
	near, far := of(s)
	b.table.figure(what+", where the worker waits", "%v, %v", percentile(near, 50), percentile(near, 99))
	b.table.figure(what+", where the server does", "%v, %v", percentile(far, 50), percentile(far, 99))
}

// worst is the p99 of the worse of the two.
func worst(near, far []time.Duration) time.Duration {
	return max(percentile(near, 99), percentile(far, 99))
}

func (b *bench) took(s span) []time.Duration {
	var all []time.Duration
	for _, a := range b.caller.within(s) {
		all = append(all, a.took)
	}
	return all
}

// rings is how long after their start the accepted ones of that span were rung.
func (b *bench) rings(s span) []time.Duration {
	var all []time.Duration
	for id, a := range b.caller.within(s) {
		if at, ok := b.world.firstRung(id); ok {
			all = append(all, at.Sub(a.at))
		}
	}
	return all
}

// rungIn counts those that were first rung within that span.
func (b *bench) rungIn(s span) int {
	n := 0
	for id := range b.caller.within(s) {
		if at, ok := b.world.firstRung(id); ok && s.holds(at) {
			n++
		}
	}
	return n
}

// percentile is the p-th of all, rounded; 0 of none.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*p/100].Round(time.Millisecond)
}

// memory follows how much the programs hold.
type memory struct {
	mu   sync.Mutex
	peak map[string]float64
	stop func()
}

func followMemory(ctx context.Context, s *stage) *memory {
	ctx, cancel := context.WithCancel(ctx)
	m := &memory{peak: map[string]float64{}}
	following := each(ctx, 4, func(int) {
		for _, role := range []string{"api", "worker"} {
			now := resident(s.programs[role].PID())
			m.mu.Lock()
			m.peak[role] = max(m.peak[role], now)
			m.mu.Unlock()
		}
	})
	m.stop = func() { cancel(); following.Wait() }
	return m
}

// peaks are the most that each held so far.
func (m *memory) peaks() map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]float64{}
	for role, peak := range m.peak {
		all[role] = peak
	}
	return all
}

// table is what was measured.
type table struct{ rows []row }

type row struct {
	what, value, target string
	missed              bool
}

func (t *table) figure(what, format string, values ...any) {
	t.rows = append(t.rows, row{what: what, value: fmt.Sprintf(format, values...)})
}

func (t *table) target(what, value string, met bool, target string) {
	t.rows = append(t.rows, row{what: what, value: value, target: target, missed: !met})
}

func (t *table) lateness(what string, value, most time.Duration) {
	t.target(what, value.String(), value <= most, "<= "+most.String())
}

// print writes the table and reports whether every target was met.
func (t *table) print(to io.Writer) (met bool, err error) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	met = true
	for _, r := range t.rows {
		verdict := ""
		if r.target != "" {
			verdict = "met"
		}
		if r.missed {
			verdict, met = "MISSED", false
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.value, r.target, verdict); err != nil {
			return false, err
		}
	}
	return met, w.Flush()
}
