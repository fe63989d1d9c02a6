package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"ringback/dev/percentile"
	"ringback/dev/process"
	"ringback/internal/operation"
)

const (
	// overloadTimes is how many times the measured capacity is asked for.
	overloadTimes = 3
	// undisturbedRate is how many starts a second disturb nobody.
	undisturbedRate = 20
	undisturbedFor  = 10 * time.Second
	// capacityCallers start one after another while the capacity is measured.
	capacityCallers = 64
	capacityFor     = 15 * time.Second
	// relief is after much was started, for what came of it to end.
	relief = 5 * time.Second
	// withdrawalRate and readRate are how many of these a second go on beside it.
	withdrawalRate = 10
	readRate       = 20
)

// The targets.
const (
	callbacksLate = 2 * time.Second
	pollsLate     = 15 * time.Second
	// memoryGrows is by how many bytes the most that a program holds may grow.
	memoryGrows    = 256 << 20
	recoversWithin = time.Minute
	// Recovered is what goes on for so many seconds with no start shed, and the
	// 99th percentile of the others at most so many times what it was before, or
	// below what nobody calls slow.
	recoveredFor    = 5
	slowFactor      = 5
	slowStart       = 250 * time.Millisecond
	completesWithin = 2 * time.Minute
)

// The programs of this scenario: the api hosts a worker as well.
var overloadPrograms = []string{"api-0", "worker-0"}

// The endpoints beside the one that is started at: near ones are due again so soon
// that the worker waits for it, far ones are woken by the server.
const (
	dueNear     = due + "_NEAR"
	dueFar      = due + "_FAR"
	watchedNear = "WATCHED_NEAR"
	watchedFar  = "WATCHED_FAR"
	// withdrawn is where operations are withdrawn, to which nothing else happens.
	withdrawn = "WITHDRAWN"
)

// beside are operations that are due again one gap after the other, whatever else
// goes on: to be rung, for their receivers refuse, or to be polled, for they are
// never done.
type beside struct {
	what, endpoint string
	n              int
	gap            time.Duration
	polled         bool
	// late is the target: the 99th percentile under overload.
	late time.Duration
}

var besides = []beside{
	{what: "callbacks late where the worker waits", endpoint: dueNear, n: 60, gap: 2 * time.Second, late: callbacksLate},
	{what: "callbacks late where the server wakes them", endpoint: dueFar, n: 120, gap: 8 * time.Second, late: callbacksLate},
	{what: "polls late where the worker waits", endpoint: watchedNear, n: 150, gap: 5 * time.Second, polled: true, late: pollsLate},
	{what: "polls late where the server wakes them", endpoint: watchedFar, n: 150, gap: 15 * time.Second, polled: true, late: pollsLate},
}

func overloadEndpoints() map[string]string {
	policies := func(pollGap, h time.Duration) string {
		return fmt.Sprintf("poll: {interval: %s, lifetime: 48h}, delivery: {interval: %s, attempts: 1000, timeout: 10s}", pollGap, h)
	}
	const soon, never = 5 * time.Second, 12 * time.Hour
	endpoints := map[string]string{fresh: policies(soon, 3*time.Second), withdrawn: policies(never, time.Second)}
	for _, b := range besides {
		endpoints[b.endpoint] = policies(soon, b.gap)
		if b.polled {
			endpoints[b.endpoint] = policies(b.gap, time.Second)
		}
	}
	return endpoints
}

// Overload measures how many operations a second Ringback can do, asks for three
// times as many for so long, and says what became of them and of all that goes on
// beside.
func Overload(ctx context.Context, o Options, length time.Duration) (figures Figures, err error) {
	s, ctx, err := openScenario(ctx, o, ringback{programs: overloadPrograms, direct: true}, overloadEndpoints())
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err != nil {
		return nil, err
	}
	v := &overload{scenario: s, starts: newStarts(s.caller.apis[0]), length: length, ids: map[string][]string{}}
	if err := v.run(ctx); err != nil {
		s.fail(err)
		return nil, err
	}
	return v.figures, nil
}

// overload is that scenario under way.
type overload struct {
	*scenario
	*starts
	length time.Duration
	// ids are those of the operations that go on beside, by their endpoint.
	ids     map[string][]string
	figures Figures
}

func (o *overload) run(ctx context.Context) error {
	o.refuse(time.Now().Add(time.Hour))
	if err := o.background(ctx); err != nil {
		return err
	}
	o.Say("undisturbed: %d starts a second", undisturbedRate)
	calm := o.openLoop(ctx, undisturbedRate, undisturbedFor)
	o.phase("undisturbed", calm)
	o.lateness("undisturbed", calm.span, false)

	o.Say("capacity: %d callers, each with one start after another, for %s", capacityCallers, capacityFor)
	busy := o.closedLoop(ctx, capacityCallers, capacityFor)
	capacity := float64(o.rungIn(busy.span)) / capacityFor.Seconds()
	o.phase("capacity", busy)
	o.lateness("capacity", busy.span, false)
	o.figures.told("capacity: operations started and rung a second", fmt.Sprintf("%.0f", capacity))
	o.figures.wanted("capacity: starts shed", busy.shed, "none", busy.shed == 0)
	if calm.accepted == 0 || capacity == 0 {
		none := fmt.Errorf("nothing can be compared with %d starts accepted undisturbed and %.0f rung a second", calm.accepted, capacity)
		return errors.Join(none, calm.why, busy.why, context.Cause(ctx))
	}
	if err := until(ctx, time.Now().Add(relief)); err != nil {
		return err
	}
	if err := o.flood(ctx, overloadTimes*capacity); err != nil {
		return err
	}
	slow := max(slowFactor*percentile.Of(o.took(calm.span), 0.99), slowStart)
	if err := o.recovery(ctx, max(capacity/5, 1), slow); err != nil {
		return err
	}
	return o.completion(ctx)
}

// background starts what goes on beside all the time, and what is to be withdrawn.
func (o *overload) background(ctx context.Context) error {
	toWithdraw := beside{endpoint: withdrawn, n: int(o.length.Seconds() * withdrawalRate), polled: true}
	for _, b := range append(slices.Clone(besides), toWithdraw) {
		prefix := "due"
		if b.polled {
			prefix = endless
		}
		o.Say("starting %d operations at %s", b.n, b.endpoint)
		for range b.n {
			key := o.key(b.endpoint, prefix)
			if err := o.startOnce(ctx, key); err != nil {
				return fmt.Errorf("start %s: %w", key.WorkflowID(), err)
			}
			o.ids[b.endpoint] = append(o.ids[b.endpoint], key.OperationID)
		}
	}
	return until(ctx, time.Now().Add(relief))
}

// flood asks for too much, while operations are withdrawn and read.
func (o *overload) flood(ctx context.Context, rate float64) error {
	o.Say("overload: %.0f starts a second for %s", rate, o.length)
	before, err := o.peaks()
	if err != nil {
		return err
	}
	meanwhile, end := context.WithTimeout(ctx, o.length)
	defer end()
	withdrawals, reads := &answers{}, &answers{}
	endWithdrawals := beat(meanwhile, withdrawalRate, func(n int) {
		if ids := o.ids[withdrawn]; n < len(ids) {
			_, err := o.client.Withdraw(ctx, operation.Key{Endpoint: withdrawn, OperationID: ids[n]})
			withdrawals.note(err)
		}
	})
	endReads := beat(meanwhile, readRate, func(n int) {
		ids := o.ids[watchedNear]
		_, err := o.client.State(ctx, operation.Key{Endpoint: watchedNear, OperationID: ids[n%len(ids)]})
		reads.note(err)
	})
	starts := o.openLoop(ctx, rate, o.length)
	endWithdrawals()
	endReads()
	after, err := o.peaks()
	if err != nil {
		return err
	}
	o.floodFigures(starts, withdrawals, reads)
	o.memoryFigures(before, after)
	return errors.Join(o.sayShed(ctx), context.Cause(ctx))
}

func (o *overload) floodFigures(starts, withdrawals, reads *answers) {
	o.phase("overload", starts)
	o.figures.told("overload: starts offered, accepted, shed with 503 or 429", fmt.Sprintf("%d, %d, %d", starts.offered, starts.accepted, starts.shed))
	o.figures.wanted("overload: starts shed without Retry-After", starts.withoutRetryAfter, "none", starts.withoutRetryAfter == 0)
	o.refused("starts answered otherwise, or not at all", starts.failed, starts)
	o.refused(fmt.Sprintf("withdrawals, of %d, not accepted", withdrawals.offered), withdrawals.shed+withdrawals.failed, withdrawals)
	o.refused(fmt.Sprintf("reads, of %d, not answered", reads.offered), reads.shed+reads.failed, reads)
	o.lateness("overload", starts.span, true)
}

func (o *overload) memoryFigures(before, after []int64) {
	for i, name := range overloadPrograms {
		o.figures.wanted("overload: the most memory of "+name+", and before", fmt.Sprintf("%d MiB, %d MiB", after[i]>>20, before[i]>>20),
			fmt.Sprintf("at most %d MiB more", memoryGrows>>20), after[i]-before[i] <= memoryGrows)
	}
}

// refused adds a row of calls that should all have been accepted.
func (o *overload) refused(what string, n int, of *answers) {
	o.figures.wanted("overload: "+what, n, "none", n == 0)
	if of.why != nil {
		o.Say("overload: %s: %v", what, of.why)
	}
}

// shedding are the metrics that tell what an API sheds, and why.
var shedding = regexp.MustCompile(`^ringback_(shed_total|admitted|starts|backlog)`)

func (o *overload) sayShed(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.client.Base+"/metrics", http.NoBody)
	if err != nil {
		return fmt.Errorf("read the API's metrics: %w", err)
	}
	answer, err := o.client.HTTP.Do(request)
	if err != nil {
		return fmt.Errorf("read the API's metrics: %w", err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if shedding.MatchString(lines.Text()) {
			o.Say("%s", lines.Text())
		}
	}
	return lines.Err()
}

// peaks are the most that each program has held so far, in bytes.
func (o *overload) peaks() ([]int64, error) {
	var all []int64
	for _, name := range overloadPrograms {
		memory, err := process.MemoryOf(o.subjects[name].(*program).process.PID())
		if err != nil {
			return nil, err
		}
		all = append(all, memory.Peak)
	}
	return all, nil
}

// recovery asks for so little that it disturbs nobody until nobody is disturbed.
func (o *overload) recovery(ctx context.Context, rate float64, slow time.Duration) error {
	o.Say("recovery: %.0f starts a second until in each of %d seconds none is shed, and 99 of 100 take at most %s", rate, recoveredFor, slow)
	ended, calm := time.Now(), 0
	for calm < recoveredFor && time.Since(ended) < recoversWithin+recoveredFor*time.Second {
		second := o.openLoop(ctx, rate, time.Second)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if calm++; second.shed+second.failed > 0 || percentile.Of(o.took(second.span), 0.99) > slow {
			calm = 0
		}
	}
	took := max(time.Since(ended)-time.Duration(calm)*time.Second, 0).Round(time.Second)
	o.figures.wanted(fmt.Sprintf("none shed and 99 of 100 starts within %s again after", slow.Round(time.Millisecond)), took, "within "+recoversWithin.String(), calm == recoveredFor && took <= recoversWithin)
	return nil
}

// completion waits until all that was accepted is acknowledged, with no receiver
// that refuses.
func (o *overload) completion(ctx context.Context) error {
	o.Say("completion: no receiver refuses any more")
	o.refuse(time.Now())
	deadline := time.Now().Add(completesWithin)
	owed, missing := o.owed()
	for len(missing) > 0 && time.Now().Before(deadline) {
		if err := until(ctx, time.Now().Add(breath)); err != nil {
			return err
		}
		owed, missing = o.owed()
	}
	o.figures.wanted(fmt.Sprintf("accepted operations, of %d, that were not rung until acknowledged", owed), len(missing), "none", len(missing) == 0)
	for _, key := range missing[:min(len(missing), 5)] {
		o.Say("not acknowledged: %s", key.WorkflowID())
	}
	return nil
}
