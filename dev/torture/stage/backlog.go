package stage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ringback/internal/callback"
)

const (
	// backlogGap is h in the backlog: the worker itself waits that long.
	backlogGap = 3 * time.Second
	// backlogEndpoints share what is due, as receivers do.
	backlogEndpoints = 10
	// backlogStarts is how many operations a second are started, streamStarts how
	// many before, during and after the kill.
	backlogStarts = 200
	streamStarts  = 30
	// streamBefore is for how long before the kill, streamAfter after the worker
	// is ready again.
	streamBefore = 5 * time.Second
	streamAfter  = 3 * time.Second
	// downFor is from the kill to the restart.
	downFor = time.Second
	// overdueWithin is the target: from the restart to the last overdue callback.
	overdueWithin = 15 * time.Second
	// justAnswered is how long before the kill an answer may have come that was
	// not yet recorded.
	justAnswered = 500 * time.Millisecond
	// arriveWithin bounds every wait of a scenario.
	arriveWithin = 3 * time.Minute
)

// Backlog kills the only worker while it waits to ring some thousand receivers
// that have refused so far, and others are being rung for the first time, and
// starts it again.
func Backlog(ctx context.Context, o Options, operations int) (figures Figures, err error) {
	s, y, ctx, err := openScenario(ctx, o, ringback{programs: []string{"api-0", "worker-0"}, apiFlags: []string{"-worker=false"}})
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err != nil {
		return nil, err
	}
	b := &backlog{Stage: s, yard: y, caller: s.caller(), operations: operations}
	if err := b.run(ctx); err != nil {
		s.fail(err)
		return nil, err
	}
	return b.figures(), nil
}

// openScenario starts Ringback with the yard as its world.
func openScenario(ctx context.Context, o Options, r ringback) (*Stage, *yard, context.Context, error) {
	s, ctx := newStage(ctx, o)
	y, err := openYard()
	if err != nil {
		return s, nil, ctx, err
	}
	s.ends = append(s.ends, y.close)
	if err := s.openEngine(ctx); err != nil {
		return s, y, ctx, err
	}
	endpoints := []string{fresh}
	for n := range backlogEndpoints {
		endpoints = append(endpoints, fmt.Sprint(due, n))
	}
	r.config, r.environment = y.config(backlogGap, endpoints...), yardEnvironment
	return s, y, ctx, s.openRingback(ctx, r)
}

// backlog is that scenario under way.
type backlog struct {
	*Stage
	*yard
	*caller
	operations int
	// due and fresh are when the operations were begun whose callbacks wait, and
	// those that are rung at once.
	due, fresh map[callback.Key]time.Time
	killed     time.Time
	restarted  time.Time
	ready      time.Time
	// inFlight are requests that the kill left without an answer, unrecorded those
	// whose answer had only just gone.
	inFlight, unrecorded int
}

func (b *backlog) run(ctx context.Context) error {
	b.Say("starting %d operations whose receivers refuse", b.operations)
	b.due = b.stream(ctx, backlogStarts, func(n int) (callback.Key, bool) {
		return callback.Key{Endpoint: fmt.Sprint(due, n%backlogEndpoints), OperationID: fmt.Sprintf("%d", 1_000_000+n)}, n < b.operations
	})
	if err := b.arrive(ctx, b.due, func(r []rung) bool { return len(r) > 0 }); err != nil {
		return err
	}
	var streaming sync.WaitGroup
	var over atomic.Bool
	streaming.Go(func() {
		b.fresh = b.stream(ctx, streamStarts, func(n int) (callback.Key, bool) {
			return callback.Key{Endpoint: fresh, OperationID: fmt.Sprintf("%d", 2_000_000+n)}, !over.Load()
		})
	})
	err := b.crash(ctx)
	over.Store(true)
	streaming.Wait()
	if err != nil {
		return err
	}
	acknowledged := func(rungs []rung) bool {
		for _, r := range rungs {
			if r.took && !r.answered.IsZero() {
				return true
			}
		}
		return false
	}
	return errors.Join(b.arrive(ctx, b.due, acknowledged), b.arrive(ctx, b.fresh, acknowledged), until(ctx, time.Now().Add(settling)))
}

// crash kills the worker and starts it again, with receivers that acknowledge.
func (b *backlog) crash(ctx context.Context) error {
	if err := until(ctx, time.Now().Add(streamBefore)); err != nil {
		return err
	}
	worker := b.subjects["worker-0"]
	b.Say("kill -9 of the worker")
	b.killed = time.Now()
	if err := worker.kill(); err != nil {
		return err
	}
	b.inFlight, b.unrecorded = b.underWay(b.killed)
	b.allow()
	if err := until(ctx, b.killed.Add(downFor)); err != nil {
		return err
	}
	b.restarted = time.Now()
	if err := worker.start(ctx); err != nil {
		return err
	}
	b.ready = time.Now()
	b.Say("the worker is ready again after %s", b.ready.Sub(b.restarted).Round(time.Millisecond))
	return until(ctx, time.Now().Add(streamAfter))
}

// arrive waits until what the receivers were sent about each operation is enough.
func (b *backlog) arrive(ctx context.Context, keys map[callback.Key]time.Time, enough func([]rung) bool) error {
	deadline := time.Now().Add(arriveWithin)
	for key := range keys {
		for !enough(b.of(key.OperationID)) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s was not rung as it should within %s: %+v", key.WorkflowID(), arriveWithin, b.of(key.OperationID))
			}
			if err := until(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *backlog) figures() Figures {
	var f Figures
	waited, waitedOnServer := b.overdue(b.fresh), b.overdue(b.due)
	duplicates := duplicates(b.yard, b.fresh) + duplicates(b.yard, b.due)
	f.told("callbacks that were due at the kill, their worker waiting for h", len(b.due))
	f.told("started before, during and after it, and rung at once", len(b.fresh))
	f.told("ready again after the restart", b.ready.Sub(b.restarted).Round(time.Millisecond))
	f.wanted("last overdue callback that was in a workflow task, after the restart", spread(waited), "within "+overdueWithin.String(), percentile(waited, 1) <= overdueWithin)
	f.wanted("last overdue callback that waited for h, after the restart", spread(waitedOnServer), "within "+overdueWithin.String(), percentile(waitedOnServer, 1) <= overdueWithin)
	f.told("requests in flight at the kill", b.inFlight)
	f.told(fmt.Sprintf("requests answered in the %s before it", justAnswered), b.unrecorded)
	f.wanted("duplicates", duplicates, "at most those two", duplicates <= b.inFlight+b.unrecorded)
	f.wanted("starts that failed", b.failed.Load(), "none", b.failed.Load() == 0)
	return f
}

// overdue is how long after the restart, or its own start, each operation was rung
// that the worker's death kept from it.
func (b *backlog) overdue(keys map[callback.Key]time.Time) []time.Duration {
	var late []time.Duration
	for key, began := range keys {
		if began.After(b.restarted) {
			continue
		}
		for _, r := range b.of(key.OperationID) {
			if r.came.Before(b.killed) && r.took {
				break
			}
			if r.came.After(b.restarted) {
				late = append(late, r.came.Sub(b.restarted))
				break
			}
		}
	}
	return late
}

// duplicates are the requests that came after a receiver had acknowledged.
func duplicates(y *yard, keys map[callback.Key]time.Time) (found int) {
	for key := range keys {
		took := 0
		for _, r := range y.of(key.OperationID) {
			if r.took {
				took++
			}
		}
		found += max(took-1, 0)
	}
	return found
}

func spread(of []time.Duration) string {
	return fmt.Sprintf("%s (median %s, of %d)", percentile(of, 1).Round(time.Millisecond), percentile(of, 0.5).Round(time.Millisecond), len(of))
}
