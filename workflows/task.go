package workflows

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// lostActivityWait is how long a run waits after an activity that failed and left
// no record before it begins another.
const lostActivityWait = 10 * time.Second

// task is a Watch or a Deliver activity that has begun.
type task struct {
	name   string
	future workflow.Future
	cancel workflow.CancelFunc
	// pending is what it had recorded when it was stopped and was in no process that
	// could be told: the server drops that with an activity that waits there.
	pending operation.Pending
}

func begin(ctx workflow.Context, options workflow.ActivityOptions, name string, input any) *task {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, options))
	return &task{name: name, cancel: cancel, future: workflow.ExecuteActivity(ctx, name, input)}
}

func (t *task) ready() bool { return t.future.IsReady() }

// stop ends the activity after the question or the attempt that it has in flight,
// and returns when it has ended. A cancellation alone would reach one that waits in
// a worker with its next heartbeat, so it is interrupted in its process first.
func (t *task) stop(ctx workflow.Context) {
	t.stopUnless(ctx, activities.InterruptInput{})
}

// stopUnless is stop, but a watch that is about to ask may be left alone as in says.
// It reports whether the activity has ended.
func (t *task) stopUnless(ctx workflow.Context, in activities.InterruptInput) bool {
	if t.ready() {
		return true
	}
	execution := workflow.GetInfo(ctx).WorkflowExecution
	in.WorkflowID, in.RunID, in.Activity = execution.ID, execution.RunID, t.name
	var found activities.Interrupted
	local := workflow.WithLocalActivityOptions(ctx, interruptOptions)
	if err := workflow.ExecuteLocalActivity(local, acts.Interrupt, in).Get(local, &found); err != nil {
		workflow.GetLogger(ctx).Warn("an activity could not be interrupted; its cancellation reaches it later", "error", err)
	}
	there := found.Worker != "" && !t.ready()
	if there && in.UnlessAboutToAsk {
		found.LeftAlone = !t.interruptThere(ctx, found.Worker, in)
		there = false
	}
	if found.LeftAlone {
		return t.ready()
	}
	t.pending = found.Pending
	if !t.ready() {
		t.cancel()
	}
	if there {
		t.interruptThere(ctx, found.Worker, in)
	}
	await(ctx, t.ready)
	return true
}

// interruptThere tells the activity to end in another process, and reports whether
// it will. One that can't be told has died, or learns of its cancellation later.
func (t *task) interruptThere(ctx workflow.Context, worker string, in activities.InterruptInput) bool {
	var found activities.Interrupted
	ctx = workflow.WithActivityOptions(ctx, interruptElsewhere(worker))
	if err := workflow.ExecuteActivity(ctx, acts.InterruptHere, in).Get(ctx, &found); err != nil {
		workflow.GetLogger(ctx).Warn("an activity could not be interrupted where it runs", "error", err)
	}
	return found.Here
}

// recordIn is the record that came with an activity's error: in the error's
// details, or in the heartbeat details of a time-out; nil: none did.
func recordIn[T any](err error) *T {
	var record T
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails() && timeout.LastHeartbeatDetails(&record) == nil {
		return &record
	}
	var failure *temporal.ApplicationError
	if errors.As(err, &failure) && failure.HasDetails() && failure.Details(&record) == nil {
		return &record
	}
	return nil
}

// wasCancelled reports whether the activity ended because the workflow asked
// for it: while it waited on the server, or with an attempt that failed then.
func wasCancelled(err error) bool {
	var failure *temporal.ActivityError
	return temporal.IsCanceledError(err) ||
		errors.As(err, &failure) && failure.RetryState() == enumspb.RETRY_STATE_CANCEL_REQUESTED
}
