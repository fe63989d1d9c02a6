package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"ringback/dev/temporalserver"
)

// extent says how much of everything a run makes.
type extent struct {
	// Floors is how often the floor is measured on both servers, Rounds how
	// often everything else is.
	Floors, Rounds int
	// Operations in a burst, and of plain in a burst.
	Burst, PlainBurst int
	// Steady is how long a load of steadyRate lasts.
	Steady time.Duration
	Gaps   []time.Duration
	// GapsFor is how long operations whose first attempt fails are started.
	GapsFor   time.Duration
	Isolation []disturbance
	// PollsFor is how long a crowd is watched to see what one further poll costs.
	PollsFor time.Duration
	// Open operations, and how long they are left alone.
	Open     int
	Idle     time.Duration
	ReadsFor time.Duration
	// Tunings says that each tuning of the server is measured by leaving it out.
	Tunings bool
	// Databases to measure on: everything on the first, on others what depends
	// on the database most.
	Databases []string
	// Only are the beginnings of the names of what is measured; empty: all.
	Only []string
}

const (
	steadyRate = 50.0
	readRate   = 200.0
	slow       = 5 * time.Second
	slower     = 20 * time.Second
	// fewAttempts and manyAttempts are what a history must not tell apart.
	fewAttempts, manyAttempts = 2, 8
	fewPolls, manyPolls       = 2, 6
	// stall is the workflow task timeout, which nothing may wait for.
	stall = 9 * time.Second
	// gapMargin is how late an attempt may be at p99 (promise 5).
	gapMargin = 50 * time.Millisecond
	// lateMargin is how late a healthy endpoint may be rung at most.
	lateMargin = 250 * time.Millisecond
	// failingFor is how long a delivery to the failing endpoint goes on.
	failingFor = (failingAttempts - 1) * failingGap
	// failingAttempts and failingGap are its k and h.
	failingAttempts = 4
	failingGap      = 3 * time.Second
	// revocationSlow is how long the receiver takes that a revocation must not wait for.
	revocationSlow = 10 * time.Second
)

// disturbance is what goes to two bad endpoints beside a healthy one's traffic.
type disturbance struct {
	Each float64
	Slow time.Duration
	Most float64
}

func (d disturbance) String() string {
	return fmt.Sprintf("%g/s failing and %g/s taking %v", d.Each, d.Each, d.Slow)
}

var disturbances = []disturbance{{10, slow, 2}, {30, slow, 6}, {30, slower, 8}}

// quick is under three minutes, full is what a claim should rest on.
var (
	quickExtent = extent{
		Floors: 3, Rounds: 1, Burst: 150, PlainBurst: 100, Steady: 4 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, time.Second}, GapsFor: 4 * time.Second,
		Isolation: disturbances[:1],
		PollsFor:  8 * time.Second, Open: 500, Idle: 3 * time.Second, ReadsFor: 4 * time.Second,
	}
	fullExtent = extent{
		Floors: 4, Rounds: 3, Burst: 600, PlainBurst: 200, Steady: 10 * time.Second,
		Gaps: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}, GapsFor: 10 * time.Second,
		Isolation: disturbances, PollsFor: 11 * time.Second,
		Open: 100_000, Idle: time.Minute, ReadsFor: 8 * time.Second, Tunings: true,
	}
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

// run measures on each database in turn: everything on the first, on others
// what depends on the database most. What the first one's open operations cost
// is measured last, when their start is long past.
func (b *bench) run(ctx context.Context) (err error) {
	if b.world, err = startRole(ctx, "world", struct{}{}, &b.worldURL); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.world.stop()) }()
	steps := []step{
		{"floor", b.floors}, {"tunings", b.tunings}, {"subjects", b.subjects}, {"bursts", b.bursts}, {"steady", b.steady},
	}
	first := []step{
		{"pushes", b.pushes}, {"isolation", b.isolation}, {"gaps", b.gaps}, {"polls", b.polls},
		{"reads", b.reads}, {"revocations", b.revocations}, {"histories", b.histories},
		{"workflow", b.workflowPart}, {"open", b.open},
	}
	others := []step{{"workflow", b.workflowPart}}
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
			err = b.take(ctx, s, append(steps, first...))
		} else {
			err = b.take(ctx, s, append(steps[:len(steps):len(steps)], others...))
		}
		if err != nil {
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

func (e extent) wants(name string) bool {
	begins := func(beginning string) bool { return strings.HasPrefix(name, beginning) }
	return len(e.Only) == 0 || name == "subjects" || slices.ContainsFunc(e.Only, begins)
}

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

func (b *bench) tuning(ctx context.Context, s *stage, t temporalserver.Tuning) (err error) {
	without, err := b.openStage(ctx, serverSetup{Without: []temporalserver.Tuning{t}}, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, without.close()) }()
	for round := range b.extent.Floors + 1 {
		b.say("%s: with and without %s, round %d of %d", s.database, t, round, b.extent.Floors)
		with, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		less, err := b.floorOnce(ctx, without)
		if err != nil {
			return err
		}
		if round > 0 {
			b.table.add(s.database, fmt.Sprintf("CPU of the floor, with / without %s", t), "", with/less, nil, "")
		}
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

// bursts measure CPU and throughput of the floor, plain and Ringback in turn.
func (b *bench) bursts(ctx context.Context, s *stage) error {
	for round := range b.extent.Rounds {
		b.say("%s: burst, round %d of %d", s.database, round+1, b.extent.Rounds)
		floor, err := b.floorOnce(ctx, s)
		if err != nil {
			return err
		}
		ringback, rate, err := b.burstOf(ctx, s, "ringback", s.ringback, b.extent.Burst)
		if err != nil {
			return err
		}
		plain, plainRate, err := b.burstOf(ctx, s, "plain", s.plain, b.extent.PlainBurst)
		if err != nil {
			return err
		}
		t, d := b.table, s.database
		t.add(d, "CPU per operation, Ringback", "ms", ringback, nil, "happy path, HTTP API with authentication included")
		t.add(d, "CPU per operation, plain", "ms", plain, nil, "two regular activities, normal start")
		t.add(d, "CPU per operation, Ringback / floor", "", ringback/floor, atMost(1.25), "")
		t.add(d, "CPU per operation, Ringback / plain", "", ringback/plain, nil, "")
		t.add(d, "burst throughput, Ringback", "/s", rate, nil, "64 starters, to the last callback received")
		t.add(d, "burst throughput, plain", "/s", plainRate, nil, "")
		t.add(d, "burst throughput, Ringback / plain", "", rate/plainRate, atLeast(4), "")
	}
	return nil
}

func (b *bench) burstOf(ctx context.Context, s *stage, name string, subject *role, count int) (cpu, rate float64, err error) {
	l := burst(s.prefix(1), count)
	var out loaded
	var got map[string][]arrival
	used, err := s.cost(subject, func() (err error) {
		out, got, err = b.ring(ctx, s, name, l)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if name == "ringback" {
		b.stalls(s, name, latencies(l, out, got))
	}
	return ms(used) / float64(count), float64(count) / lasted(out, got).Seconds(), nil
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

// steady measures the time from a start to its callback.
func (b *bench) steady(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		p50, p99 := map[string]time.Duration{}, map[string]time.Duration{}
		for _, subject := range []string{"plain", "ringback"} {
			l := steady(s.prefix(1), steadyRate, b.extent.Steady)
			out, got, err := b.ring(ctx, s, subject, l)
			if err != nil {
				return err
			}
			all := latencies(l, out, got)
			p50[subject], p99[subject] = percentile(all, 0.5), percentile(all, 0.99)
			b.table.add(s.database, "start to callback at 50/s, p50, "+subject, "ms", ms(p50[subject]), nil, "")
			b.table.add(s.database, "start to callback at 50/s, p99, "+subject, "ms", ms(p99[subject]), nil, "")
		}
		ratio := func(of map[string]time.Duration) float64 { return float64(of["ringback"]) / float64(of["plain"]) }
		b.table.add(s.database, "start to callback at 50/s, p50, Ringback / plain", "", ratio(p50), atMost(0.1), "")
		b.table.add(s.database, "start to callback at 50/s, p99, Ringback / plain", "", ratio(p99), atMost(0.1), "")
	}
	return nil
}

// pushes measure the time from a core's push to the callback, against a tenth
// of plain's p99 and one workflow task.
func (b *bench) pushes(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		l := steady(s.prefix(0), steadyRate, b.extent.Steady/2).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", l, s.api.start); err != nil {
			return err
		}
		tasks := l
		tasks.Prefix = s.prefix(1)
		if _, err := b.ask(ctx, s, s.floor, "wait", tasks); err != nil {
			return err
		}
		task, err := b.ask(ctx, s, s.floor, "signal", tasks)
		if err != nil {
			return err
		}
		out, err := b.call(ctx, s, "pushes", l, s.api.push)
		if err != nil {
			return err
		}
		l.Count -= out.Failed
		got, err := s.arrivals(ctx, l, time.Minute)
		if err != nil {
			return err
		}
		push, one := percentile(latencies(l, out, got), 0.99), percentile(task.Took, 0.99)
		allowed := b.value(s, "start to callback at 50/s, p99, plain")/10 + ms(one)
		b.table.add(s.database, "push to callback, p99", "ms", ms(push), nil, "")
		b.table.add(s.database, "a signal's workflow task, p99", "ms", ms(one), nil, "an empty workflow that ends at a signal: from the call to its end")
		b.table.add(s.database, "push to callback, p99 / (plain's p99 / 10 + one workflow task)", "", ms(push)/allowed, atMost(1), "")
	}
	return nil
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

// isolation measures a healthy endpoint alone and beside two bad ones.
func (b *bench) isolation(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		alone, _, err := b.healthy(ctx, s, nil)
		if err != nil {
			return err
		}
		b.table.add(s.database, "healthy endpoint alone at 50/s, p99", "ms", ms(alone), nil, "")
		for _, d := range b.extent.Isolation {
			b.say("%s: isolation beside %v", s.database, d)
			p99, worst, err := b.healthy(ctx, s, &d)
			if err != nil {
				return err
			}
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, p99", d), "ms", ms(p99), nil, "")
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, p99 / alone", d), "", float64(p99)/float64(alone), atMost(d.Most), "")
			b.table.add(s.database, fmt.Sprintf("healthy endpoint beside %v, the latest", d), "ms", ms(worst), atMost(ms(lateMargin)), "")
		}
	}
	return nil
}

func (b *bench) healthy(ctx context.Context, s *stage, d *disturbance) (p99, worst time.Duration, err error) {
	var others sync.WaitGroup
	disturb := func(l load, endpoint string) {
		others.Go(func() {
			// What it comes to is not measured; that it does not fail is.
			if _, e := b.call(ctx, s, "starts at "+endpoint, l.to(endpoint), s.api.start); e != nil {
				err = errors.Join(err, e)
			}
		})
	}
	l := steady(s.prefix(1), steadyRate, b.extent.Steady)
	if d != nil {
		// The others begin first, so that they are under way.
		longer := b.extent.Steady + d.Slow/2
		disturb(steady(s.prefix(1), d.Each, longer), endpointFailing)
		disturb(steady(s.prefix(1), d.Each, longer), endpointSlow(d.Slow))
		time.Sleep(d.Slow / 2)
	}
	out, got, e := b.ring(ctx, s, "ringback", l)
	others.Wait()
	if err = errors.Join(err, e); err != nil {
		return 0, 0, err
	}
	if d != nil {
		// What still goes to the bad endpoints is no part of the next measure.
		b.say("%s: letting the other two end", s.database)
		time.Sleep(failingFor + d.Slow)
	}
	all := latencies(l, out, got)
	return percentile(all, 0.99), percentile(all, 1), nil
}

// gaps measure the wait between the end of the first attempt and the beginning
// of the second against h, under a load of 50/s. Every round is started before
// the first is gathered: the longest h would be waited for in each.
func (b *bench) gaps(ctx context.Context, s *stage) error {
	rounds := make([][]load, b.extent.Rounds)
	for i := range rounds {
		var err error
		if rounds[i], err = b.startGaps(ctx, s); err != nil {
			return err
		}
	}
	for _, loads := range rounds {
		for i, h := range b.extent.Gaps {
			if err := b.gap(ctx, s, h, loads[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// startGaps starts operations whose first attempt fails, some for each h, and
// others that are acknowledged.
func (b *bench) startGaps(ctx context.Context, s *stage) ([]load, error) {
	var all sync.WaitGroup
	loads, errs := make([]load, len(b.extent.Gaps)+1), make([]error, len(b.extent.Gaps)+1)
	each := steadyRate / float64(len(loads))
	for i := range loads {
		endpoint := endpointOK
		if i < len(b.extent.Gaps) {
			endpoint = endpointGap(b.extent.Gaps[i])
		}
		loads[i] = steady(s.prefix(1), each, b.extent.GapsFor).to(endpoint)
		all.Go(func() {
			var out loaded
			out, errs[i] = b.call(ctx, s, "starts", loads[i], s.api.start)
			loads[i].Count -= out.Failed
		})
	}
	all.Wait()
	return loads, errors.Join(errs...)
}

func (b *bench) gap(ctx context.Context, s *stage, h time.Duration, l load) error {
	seconds := func(got map[string][]arrival) (over []time.Duration) {
		for _, a := range got {
			if len(a) > 1 && a[0].Answered > 0 {
				over = append(over, time.Duration(a[1].Came-a[0].Answered)-h)
			}
		}
		return over
	}
	var over []time.Duration
	for deadline := time.Now().Add(h + 20*time.Second); len(over) < l.Count; time.Sleep(50 * time.Millisecond) {
		got, err := s.arrivals(ctx, l, time.Minute)
		if err != nil {
			return err
		}
		if over = seconds(got); time.Now().After(deadline) && len(over) < l.Count {
			return fmt.Errorf("at h = %v, only %d of %d operations were rung a second time", h, len(over), l.Count)
		}
	}
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, p99", h), "ms", ms(percentile(over, 0.99)), atMost(ms(gapMargin)), "")
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, shortest", h), "ms", ms(percentile(over, 0)), atLeast(-1), "clocks are read on both sides of a socket")
	return nil
}

// polls measure what one further poll costs Ringback, at gaps that the server
// waits and every second, and plain.
func (b *bench) polls(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		plain, err := b.furtherPoll(ctx, s, polling{"plain", s.plain, "ok", time.Second, 40})
		if err != nil {
			return err
		}
		second, err := b.furtherPoll(ctx, s, polling{"ringback", s.ringback, endpointSecond, time.Second, 100})
		if err != nil {
			return err
		}
		schedule, err := b.furtherPoll(ctx, s, polling{"ringback", s.ringback, endpointSchedule, scheduleGap, 240})
		if err != nil {
			return err
		}
		t, d := b.table, s.database
		t.add(d, "CPU of one further poll, plain", "ms", plain, nil, "a second apart")
		t.add(d, "CPU of one further poll, a second apart", "ms", second, nil, "")
		t.add(d, "CPU of one further poll, on a schedule", "ms", schedule, nil, fmt.Sprintf("gaps of %v: Ukrcard's are 5 s to 10 min, and wait on the server beyond 5 s", scheduleGap))
		t.add(d, "CPU of one further poll, a second apart / plain", "", second/plain, atMost(0.1), "")
		t.add(d, "CPU of one further poll, on a schedule / plain", "", schedule/plain, atMost(0.55), "")
	}
	return nil
}

// polling is a crowd of operations whose status does not change.
type polling struct {
	name       string
	subject    *role
	endpoint   string
	gap        time.Duration
	operations int
}

// furtherPoll is what one poll of a crowd costs that is already being watched,
// less what the processes cost at rest.
func (b *bench) furtherPoll(ctx context.Context, s *stage, p polling) (float64, error) {
	resting, err := b.resting(ctx, s, p)
	if err != nil {
		return 0, err
	}
	l := steady(s.prefix(0), float64(p.operations)/p.gap.Seconds(), p.gap).to(p.endpoint)
	if p.name == "plain" {
		_, err = b.ask(ctx, s, p.subject, "start", l)
	} else {
		_, err = b.call(ctx, s, "starts", l, s.api.start)
	}
	if err != nil {
		return 0, err
	}
	if err := b.awaitPolls(ctx, l, 2*l.Count); err != nil {
		return 0, err
	}
	before, err := b.polled(ctx, l)
	if err != nil {
		return 0, err
	}
	used, err := s.cost(p.subject, func() error { time.Sleep(b.extent.PollsFor); return nil })
	if err != nil {
		return 0, err
	}
	after, err := b.polled(ctx, l)
	if err != nil {
		return 0, err
	}
	if err := b.world.ask(ctx, order{Do: "finish", Prefix: l.Prefix + "-"}, nil); err != nil {
		return 0, err
	}
	_, err = s.arrivals(ctx, l, time.Minute)
	return ms(used-resting) / float64(after-before), err
}

// resting is what a subject and the server cost in PollsFor with nothing to do.
func (b *bench) resting(ctx context.Context, s *stage, p polling) (time.Duration, error) {
	if cost, known := s.resting[p.name]; known {
		return cost, nil
	}
	if err := s.rest(ctx, p.subject); err != nil {
		return 0, err
	}
	cost, err := s.cost(p.subject, func() error { time.Sleep(b.extent.PollsFor); return nil })
	s.resting[p.name] = cost
	return cost, err
}

func (b *bench) polled(ctx context.Context, l load) (n int, err error) {
	err = b.world.ask(ctx, order{Do: "polled", Prefix: l.Prefix + "-"}, &n)
	return n, err
}

// awaitPolls waits until a crowd was asked about n times.
func (b *bench) awaitPolls(ctx context.Context, l load, n int) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if made, err := b.polled(ctx, l); err != nil || made >= n {
			return err
		}
	}
	return fmt.Errorf("%d operations were not asked about %d times within a minute", l.Count, n)
}

// reads measure how long a state takes beside 50 starts a second.
func (b *bench) reads(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		closed := steady(s.prefix(1), steadyRate, b.extent.ReadsFor).to(endpointOK)
		if _, _, err := b.ring(ctx, s, "ringback", closed); err != nil {
			return err
		}
		running := steady(s.prefix(0), steadyRate, b.extent.ReadsFor).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", running, s.api.start); err != nil {
			return err
		}
		p99 := map[string]time.Duration{}
		for _, m := range []struct {
			name  string
			of    load
			asked func(load) (loaded, error)
		}{
			{"Describe", closed, func(l load) (loaded, error) { return b.ask(ctx, s, s.floor, "describe", l) }},
			{"closed", closed, func(l load) (loaded, error) { return b.call(ctx, s, "reads", l, s.api.state) }},
			{"running", running, func(l load) (loaded, error) { return b.call(ctx, s, "reads", l, s.api.state) }},
		} {
			b.say("%s: reads, %s", s.database, m.name)
			took, err := b.beside(ctx, s, m.of, m.asked)
			if err != nil {
				return err
			}
			p99[m.name] = percentile(took, 0.99)
			if m.name == "Describe" {
				b.table.add(s.database, "Describe at 200/s beside 50 starts/s, p99", "ms", ms(p99[m.name]), nil, "")
				continue
			}
			b.table.add(s.database, "GET of a "+m.name+" state at 200/s beside 50 starts/s, p99", "ms", ms(p99[m.name]), nil, "")
		}
		b.table.add(s.database, "GET of a closed state, p99 / Describe", "", float64(p99["closed"])/float64(p99["Describe"]), atMost(2), "")
		b.table.add(s.database, "GET of a running state, p99 / Describe", "", float64(p99["running"])/float64(p99["Describe"]), nil, "")
	}
	return nil
}

// beside asks about the operations of a load, readRate a second, while as many
// are started as the steady load has.
func (b *bench) beside(ctx context.Context, s *stage, of load, ask func(load) (loaded, error)) ([]time.Duration, error) {
	var started error
	var all sync.WaitGroup
	all.Go(func() {
		l := steady(s.prefix(1), steadyRate, b.extent.ReadsFor/2).to(endpointOK)
		_, _, started = b.ring(ctx, s, "ringback", l)
	})
	of.PerSecond, of.Count = readRate, min(of.Count, int(readRate*b.extent.ReadsFor.Seconds()/2))
	out, err := ask(of)
	all.Wait()
	return out.Took, errors.Join(err, started)
}

// revocations measure how long one takes while a receiver takes ten seconds.
func (b *bench) revocations(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		var took []time.Duration
		for range 3 {
			id := s.prefix(0)
			address := s.worldURL + "/callback/" + endpointPath(revocationSlow) + "/" + id
			if err := s.api.startAt(ctx, endpointRevocable, id, address); err != nil {
				return err
			}
			if err := b.awaitRinging(ctx, id); err != nil {
				return err
			}
			one, err := b.revoked(ctx, s, id)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		b.table.add(s.database, "revocation while a receiver takes 10 s, the latest answer", "ms", ms(percentile(took, 1)), atMost(1000), "")
	}
	return nil
}

// revoked is how long it took until the revocation was accepted, as a core
// calls that tries again when it is told to.
func (b *bench) revoked(ctx context.Context, s *stage, id string) (time.Duration, error) {
	for begun := time.Now(); ; {
		err := s.api.revoke(ctx, endpointRevocable, id)
		if took := time.Since(begun); err == nil || took > time.Minute {
			return took, err
		}
	}
}

func (b *bench) awaitRinging(ctx context.Context, id string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var n int
		if err := b.world.ask(ctx, order{Do: "arrived", Prefix: id}, &n); err != nil {
			return err
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("the operation %s was not rung within 30 s", id)
}

// histories measure what an operation leaves in the engine's history.
func (b *bench) histories(ctx context.Context, s *stage) error {
	loads := []load{
		burst(s.prefix(1), 1).to(endpointAttempts(fewAttempts)), burst(s.prefix(1), 1).to(endpointAttempts(manyAttempts)),
		burst(s.prefix(fewPolls), 1).to(endpointSecond), burst(s.prefix(manyPolls), 1).to(endpointSecond),
	}
	got, errs := make([]recorded, len(loads)), make([]error, len(loads))
	var all sync.WaitGroup
	for i, l := range loads {
		all.Go(func() { got[i], errs[i] = b.left(ctx, s, l) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b.compare(s, "attempts", got[0], got[1], fewAttempts, manyAttempts)
	b.compare(s, "polls", got[2], got[3], fewPolls, manyPolls)
	return nil
}

// left is what the one operation of a load left in the engine's history.
func (b *bench) left(ctx context.Context, s *stage, l load) (recorded, error) {
	var got recorded
	if _, _, err := b.ring(ctx, s, "ringback", l); err != nil {
		return got, err
	}
	// The last attempt follows the first by k - 1 gaps of h.
	time.Sleep(2 * time.Second)
	err := s.floor.ask(ctx, order{Do: "history", Prefix: l.Endpoint + "/" + l.id(0)}, &got)
	return got, err
}

func (b *bench) compare(s *stage, what string, few, many recorded, n, m int) {
	b.table.add(s.database, fmt.Sprintf("history events, %d %s", n, what), "", float64(few.Events), nil, "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s", n, what), "", float64(few.Bytes), nil, "")
	b.table.add(s.database, fmt.Sprintf("history events, %d %s / %d", m, what, n), "", float64(many.Events)/float64(few.Events), atMost(1), "")
	b.table.add(s.database, fmt.Sprintf("history bytes, %d %s / %d", m, what, n), "", float64(many.Bytes)/float64(few.Bytes), nil, "")
}

// open opens operations in a Ringback of their own, which atRest looks at later.
func (b *bench) open(ctx context.Context, s *stage) (err error) {
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
	l := burst(s.prefix(0), b.extent.Open).to(endpointOpen)
	begun := time.Now()
	_, err = b.call(ctx, s, "starts", l, s.api.start)
	b.say("%s: %d operations opened in %v", s.database, l.Count, time.Since(begun).Round(time.Second))
	return err
}

// atRest measures what open operations cost of which no poll is due.
func (b *bench) atRest(ctx context.Context, s *stage) error {
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
	memory, err := residentOf(s.ringback.pid())
	if err != nil {
		return idleness{}, err
	}
	l := steady(s.prefix(0), steadyRate, b.extent.Steady).to(endpointOpen)
	out, err := b.call(ctx, s, "starts", l, s.api.start)
	return idleness{
		p99: percentile(out.Took, 0.99), memory: memory,
		cpu: time.Duration(float64(after-before) * float64(time.Minute) / float64(b.extent.Idle)),
	}, err
}
