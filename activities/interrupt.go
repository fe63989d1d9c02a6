package activities

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"ringback/internal/operation"
)

// InterruptInput names the pending activity of a run that is to end after the poll or
// attempt in flight. A run has at most one of each type.
type InterruptInput struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	// Activity is its type, Watch or Deliver.
	Activity string `json:"activity"`
	// UnlessAboutToPoll leaves a watch alone that began in order to poll now, and has
	// made no more than Polls yet.
	UnlessAboutToPoll bool `json:"unless_about_to_ask,omitempty"`
	Polls             int  `json:"polls,omitempty"`
}

// Interrupted is where the activity was found. The zero value: it has ended.
type Interrupted struct {
	// LeftAlone says that it is a watch about to poll.
	LeftAlone bool `json:"left_alone,omitempty"`
	// Here says that it runs in this process and is ending.
	Here bool `json:"here,omitempty"`
	// Worker is the identity of another process in which it runs.
	Worker string `json:"worker,omitempty"`
	// Pending is its latest record, which a cancellation may drop; of one that is here only
	// whether its run has left one.
	Pending operation.Pending `json:"pending,omitzero"`
}

// PendingActivity is a pending activity as the server describes it.
type PendingActivity struct {
	operation.Pending
	// Running says that a worker runs it, and Worker which.
	Running bool
	Worker  string
	// Due is when the server wakes it; zero: as soon as a worker takes it.
	Due time.Time
}

const (
	// settledBefore is how long an activity must have left to wait on the server for
	// its cancellation to come first: else it could make an attempt that no record
	// shows.
	settledBefore = 200 * time.Millisecond
	// interruptWithin is how long Interrupt looks for an activity that is just beginning.
	interruptWithin   = 2 * time.Second
	interruptInterval = 20 * time.Millisecond
)

// Interrupt ends the activity if it runs in this process, or finds out where it is. It
// is a local activity, run before the cancellation.
func (a *Activities) Interrupt(ctx context.Context, in InterruptInput) (Interrupted, error) {
	for begun := time.Now(); ; time.Sleep(interruptInterval) {
		if found, ok := a.running.interrupt(in); ok {
			return found, nil
		}
		pending, err := a.Pending(ctx, in)
		late := time.Since(begun) > interruptWithin
		switch {
		case err != nil || pending == nil:
			return Interrupted{}, err
		case pending.Running && (pending.Worker != a.Identity || late):
			return Interrupted{Worker: pending.Worker, Pending: pending.Pending}, nil
		case !pending.Running && in.UnlessAboutToPoll && pending.Watch == nil:
			return Interrupted{LeftAlone: true}, nil
		case !pending.Running && (time.Until(pending.Due) > settledBefore || late):
			return Interrupted{Pending: pending.Pending}, nil
		}
	}
}

// InterruptHere ends the activity in the process whose own task queue this is on.
func (a *Activities) InterruptHere(_ context.Context, in InterruptInput) (Interrupted, error) {
	for begun := time.Now(); time.Since(begun) < interruptWithin; time.Sleep(interruptInterval) {
		if found, ok := a.running.interrupt(in); ok {
			return found, nil
		}
	}
	return Interrupted{}, nil
}

// running are the watches and deliveries that run in this process.
type running struct {
	byKey sync.Map // of *recorder by runningKey
	count atomic.Int64
}

type runningKey struct{ runID, activity string }

// begin lets an activity be interrupted until ended is called.
func (r *running) begin(ctx context.Context, rec *recorder) (ended func()) {
	info := activity.GetInfo(ctx)
	key := runningKey{info.WorkflowExecution.RunID, info.ActivityType.Name}
	r.byKey.Store(key, rec)
	r.count.Add(1)
	return func() {
		r.byKey.CompareAndDelete(key, rec)
		r.count.Add(-1)
	}
}

func (r *running) interrupt(in InterruptInput) (found Interrupted, ok bool) {
	entry, ok := r.byKey.Load(runningKey{in.RunID, in.Activity})
	if !ok {
		return Interrupted{}, false
	}
	rec := entry.(*recorder)
	if in.UnlessAboutToPoll && rec.polls.Load() <= int64(in.Polls) {
		return Interrupted{LeftAlone: true}, true
	}
	return Interrupted{Here: true, Pending: rec.unrecorded()}, rec.stop(errEndedByWorkflow)
}
