package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ringback/dev/percentile"
	"ringback/internal/operation"
)

const (
	// backlogStarts is how many operations a second are started, streamStarts how
	// many before, during and after the kill.
	backlogStarts = 25
	streamStarts  = 30
	// calm is from the last start to the moment at which all receivers want to be
	// rung: more than a worker waits by itself.
	calm = 20 * time.Second
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
)

// Backlog kills the only worker at the moment at which it is to ring some thousand
// receivers that have refused so far, while others are rung for the first time,
// and starts it again.
func Backlog(ctx context.Context, o Options, operations int) (figures Figures, err error) {
	s, ctx, err := openScenario(ctx, o, ringback{programs: []string{"api-0", "worker-0"}, apiFlags: []string{"-worker=false"}}, usualEndpoints())
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err != nil {
		return nil, err
	}
	b := &backlog{scenario: s, operations: operations}
	if err := b.run(ctx); err != nil {
		s.fail(err)
		return nil, err
	}
	return b.figures(), nil
}

// backlog is that scenario under way.
type backlog struct {
	*scenario
	operations int
	// due are when the operations were begun whose callbacks wait.
	due map[operation.Key]time.Time
	// moment is when all that is due is.
	moment    time.Time
	killed    time.Time
	restarted time.Time
	ready     time.Time
	// inFlight are requests that the kill left without an answer, unrecorded those
	// whose answer had only just gone.
	inFlight, unrecorded int
}

func (b *backlog) run(ctx context.Context) error {
	b.moment = time.Now().Add(time.Duration(b.operations)*time.Second/backlogStarts + calm).Truncate(time.Second)
	b.refuse(b.moment)
	b.Say("starting %d operations whose receivers refuse until %s", b.operations, b.moment.Format(time.TimeOnly))
	b.due = b.stream(ctx, backlogStarts, func(n int) (operation.Key, bool) {
		return operation.Key{Endpoint: fmt.Sprint(due, n%dueEndpoints), OperationID: fmt.Sprintf("%d", 1_000_000+n)}, n < b.operations
	})
	if b.failed.Load() > 0 {
		return fmt.Errorf("%d operations could not be started: %w", b.failed.Load(), b.why)
	}
	if err := b.arrive(ctx, b.due, func(r []rung) bool { return len(r) > 0 }); err != nil {
		return err
	}
	if time.Until(b.moment) < streamBefore {
		return fmt.Errorf("%d operations took longer to start than the %s that they should: this machine is too slow, or busy", b.operations, time.Duration(b.operations)*time.Second/backlogStarts+calm)
	}
	b.Say("each has been refused")
	if err := until(ctx, b.moment.Add(-streamBefore)); err != nil {
		return err
	}
	var streaming sync.WaitGroup
	var over atomic.Bool
	streaming.Go(func() {
		b.fresh = b.stream(ctx, streamStarts, func(n int) (operation.Key, bool) {
			return operation.Key{Endpoint: fresh, OperationID: fmt.Sprintf("%d", 2_000_000+n)}, !over.Load()
		})
	})
	err := b.crash(ctx)
	over.Store(true)
	streaming.Wait()
	if err != nil {
		return err
	}
	return errors.Join(b.arrive(ctx, b.due, acknowledged), b.arrive(ctx, b.fresh, acknowledged), until(ctx, time.Now().Add(settling)))
}

// crash kills the worker at the moment and starts it again.
func (b *backlog) crash(ctx context.Context) error {
	if err := until(ctx, b.moment); err != nil {
		return err
	}
	worker := b.subjects["worker-0"]
	b.Say("kill -9 of the worker")
	b.killed = time.Now()
	if err := worker.kill(); err != nil {
		return err
	}
	b.inFlight, b.unrecorded = b.underWay(b.killed)
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

func (b *backlog) figures() Figures {
	var f Figures
	inTask, waited := b.overdue(b.fresh), b.overdue(b.due)
	duplicates := duplicates(b.yard, b.fresh) + duplicates(b.yard, b.due)
	f.told("callbacks due at the moment of the kill", len(b.due))
	f.told("started before, during and after it, and rung at once", len(b.fresh))
	f.told("ready again after the restart", b.ready.Sub(b.restarted).Round(time.Millisecond))
	f.wanted("last overdue callback that was in a workflow task, after the restart", spread(inTask), "within "+overdueWithin.String(), percentile.Of(inTask, 1) <= overdueWithin)
	f.wanted("last overdue callback that waited to be tried again, after the restart", spread(waited), "within "+overdueWithin.String(), percentile.Of(waited, 1) <= overdueWithin)
	f.told("requests in flight at the kill", b.inFlight)
	f.told(fmt.Sprintf("requests answered in the %s before it", justAnswered), b.unrecorded)
	f.wanted("duplicates", duplicates, "at most those two", duplicates <= b.inFlight+b.unrecorded)
	f.wanted("starts that failed", b.failed.Load(), "none", b.failed.Load() == 0)
	return f
}

// overdue is how long after the restart, or its own start, each operation was rung
// that the worker's death kept from it.
func (b *backlog) overdue(keys map[operation.Key]time.Time) []time.Duration {
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

func spread(of []time.Duration) string {
	return fmt.Sprintf("%s (median %s, of %d)", percentile.Of(of, 1).Round(time.Millisecond), percentile.Of(of, 0.5).Round(time.Millisecond), len(of))
}
