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

// lostActivityWait is the wait before an activity that left no record is replaced.
const lostActivityWait = 10 * time.Second

// activityRun is a Watch or a Deliver activity that was started.
type activityRun struct {
	name   string
	future workflow.Future
	cancel workflow.CancelFunc
	// pending is its record when it was stopped while it waited on the server, or was in
	// another worker.
	pending operation.Pending
}

func start(ctx workflow.Context, name string, input any, options workflow.ActivityOptions) *activityRun {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, options))
	return &activityRun{name: name, cancel: cancel, future: workflow.ExecuteActivity(ctx, name, input)}
}

func (t *activityRun) ready() bool { return t.future.IsReady() }

// stop ends the activity after the poll or attempt in flight, and returns when it has
// ended. A cancellation alone would reach a waiting one only with its next heartbeat.
func (t *activityRun) stop(ctx workflow.Context) { t.stopUnless(ctx, activities.InterruptInput{}) }

// stopUnless is stop, but leaves a watch alone that is about to poll, where in asks for
// that. It reports whether the activity has ended.
func (t *activityRun) stopUnless(ctx workflow.Context, in activities.InterruptInput) bool {
	if t.ready() {
		return true
	}
	execution := workflow.GetInfo(ctx).WorkflowExecution
	in.WorkflowID, in.RunID, in.Activity = execution.ID, execution.RunID, t.name
	var found activities.Interrupted
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 10 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumAttempts: 5},
	})
	if err := workflow.ExecuteLocalActivity(local, acts.Interrupt, in).Get(local, &found); err != nil {
		workflow.GetLogger(ctx).Warn("an activity could not be interrupted; its cancellation reaches it later", "error", err)
	}
	elsewhere := found.Worker != "" && !t.ready()
	if elsewhere && in.UnlessAboutToPoll {
		found.LeftAlone = !t.interruptIn(ctx, found.Worker, in)
		elsewhere = false
	}
	if found.LeftAlone {
		return t.ready()
	}
	t.pending = found.Pending
	if !t.ready() {
		t.cancel()
	}
	if elsewhere {
		t.interruptIn(ctx, found.Worker, in)
	}
	await(ctx, t.ready)
	return true
}

// InterruptQueue is the task queue that only the worker process with that identity polls.
func InterruptQueue(identity string) string { return TaskQueue + "@" + identity }

// interruptIn interrupts the activity in another worker's process, and reports whether
// that had it. One that is not reached has died, or learns of the cancellation later.
func (t *activityRun) interruptIn(ctx workflow.Context, worker string, in activities.InterruptInput) (here bool) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: InterruptQueue(worker), ScheduleToCloseTimeout: 5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var found activities.Interrupted
	err := workflow.ExecuteActivity(ctx, acts.InterruptHere, in).Get(ctx, &found)
	if err != nil {
		workflow.GetLogger(ctx).Warn("an activity could not be interrupted where it runs", "error", err)
	}
	return found.Here
}

// mergeRecorded merges into a record what pending and err recorded later, and reports
// whether err did.
func mergeRecorded[R any, P interface {
	*R
	Merge(R)
}](record P, pending *R, err error) (inError bool) {
	if pending != nil {
		record.Merge(*pending)
	}
	var recorded R
	if inError = recordIn(err, &recorded); inError {
		record.Merge(recorded)
	}
	return inError
}

// recordIn reads the record in an error's details, or in a timeout's heartbeat details.
func recordIn(err error, record any) bool {
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails() && timeout.LastHeartbeatDetails(record) == nil {
		return true
	}
	var failure *temporal.ApplicationError
	return errors.As(err, &failure) && failure.HasDetails() && failure.Details(record) == nil
}

// timedOut reports whether the activity ended since its worker was silent.
func timedOut(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout)
}

// wasCancelled reports whether the activity ended because the workflow cancelled it.
func wasCancelled(err error) bool {
	var failure *temporal.ActivityError
	return temporal.IsCanceledError(err) ||
		errors.As(err, &failure) && failure.RetryState() == enumspb.RETRY_STATE_CANCEL_REQUESTED
}
