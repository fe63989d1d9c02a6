package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// attemptInTask makes a delivery's first attempt inside the workflow task, at most
// one in each. Where a watch is pending it makes none: an Update that ends the watch
// would wait for the attempt. The run before may have been told to stop the delivery.
func (r *run) attemptInTask(c operation.Callback, record *operation.DeliveryRecord) {
	task := workflow.GetInfo(r.ctx).GetCurrentHistoryLength()
	watchPending := r.watchBegunIn != 0 && r.watchBegunIn != task
	if record.Made > 0 || r.attemptedIn == task || watchPending || r.op.ShouldStopDelivery() {
		return
	}
	r.attemptedIn = task
	policy, begun := r.in.Policy.Delivery, r.now()
	ctx := workflow.WithLocalActivityOptions(r.ctx, localOptions(policy.Timeout()))
	var result activities.AttemptResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Attempt, activities.AttemptInput{
		Callback: c, URL: r.in.Start.Callback.URL, TimeoutMS: policy.TimeoutMS, Number: record.NextNumber(),
	}).Get(ctx, &result)
	switch {
	case err != nil:
		// The request may have been sent, so it counts.
		record.BeginAttempt(begun)
		record.Interrupt(policy.Timeout(), operation.ReasonUnseen)
	case result.HeldBack == "":
		record.BeginAttempt(result.Attempt.At)
		record.EndAttempt(result.Attempt, result.Ended, result.Reason, result.NotBefore)
	}
}

// recordDelivery records how far the delivery came, and shows it to operators.
func (r *run) recordDelivery(record operation.DeliveryRecord) {
	r.op.RecordDelivery(record)
	r.showPhase()
	r.showDetails()
}

// supersede ends a delivery that was stopped, unless only the run ends.
func (r *run) supersede(record *operation.DeliveryRecord) {
	if record.Pending() && r.op.ShouldStopDelivery() {
		record.Interrupt(r.in.Policy.Delivery.Timeout(), operation.ReasonUnseen)
		record.Delivery.Outcome = operation.DeliverySuperseded
	}
}

// mergeDelivery takes over how far a Deliver activity came, and returns what its
// next attempt waits for, if anything.
func mergeDelivery(ctx workflow.Context, t *activityRun, record *operation.DeliveryRecord) (heldBack string) {
	var result activities.DeliverResult
	err := t.future.Get(ctx, &result)
	if err == nil {
		*record = result.Record
		return result.HeldBack
	}
	inError := mergeRecorded(record, t.pending.Delivery, err)
	if wasCancelled(err) {
		return ""
	}
	workflow.GetLogger(ctx).Warn("a Deliver activity was lost; another goes on from its record", "error", err)
	if !inError {
		_ = workflow.Sleep(ctx, lostActivityWait)
	}
	return ""
}

// awaitEndpoint waits until the endpoint is configured and may be called. Its retries
// add nothing to the history, however long that takes.
func awaitEndpoint(ctx workflow.Context, in activities.AwaitEndpointInput, stop func() bool) {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, awaitEndpointOptions(in.Endpoint)))
	defer cancel()
	available := workflow.ExecuteActivity(ctx, acts.AwaitEndpoint, in)
	awaitEither(ctx, available.IsReady, stop)
	cancel()
	if err := available.Get(ctx, nil); err != nil && !wasCancelled(err) {
		workflow.GetLogger(ctx).Warn("waiting for an endpoint failed", "error", err)
	}
}
