package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

// deliverNext delivers the next callback until it is acknowledged or k attempts were
// made. A newer status, a revocation or a withdrawal ends it early.
func (r *run) deliverNext() {
	callback, record := r.op.StartDelivery()
	r.attemptInTask(callback, &record)
	record.Exhaust(r.in.Policy.Delivery.Attempts)
	r.recordDelivery(record)
	if record.Pending() {
		record = deliver(r.ctx, activities.DeliverInput{
			Callback: callback, URL: r.in.Start.Callback.URL, Policy: r.in.Policy.Delivery, Record: record,
		}, func() bool { return r.op.ShouldStopDelivery() || r.continuesAsNew() }, r.recordDelivery)
		if record.Pending() && r.op.ShouldStopDelivery() {
			record.Supersede(r.in.Policy.Delivery.Timeout())
		}
		r.recordDelivery(record)
	}
	r.startNotice(record.Delivery)
}

// attemptInTask makes a delivery's first attempt inside the workflow task, at most one
// in each, and none beside a pending watch: an Update that ends the watch would wait
// for it.
func (r *run) attemptInTask(c operation.Callback, record *operation.DeliveryRecord) {
	task, began := r.currentTask()
	watchPending := r.watchBegunIn != 0 && r.watchBegunIn != task
	if record.Made > 0 || r.attemptedIn == task || watchPending || r.op.ShouldStopDelivery() {
		return
	}
	r.attemptedIn = task
	policy, begun := r.in.Policy.Delivery, r.now()
	ctx := workflow.WithLocalActivityOptions(r.ctx, localOptions(policy.Timeout()))
	var result activities.AttemptResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Attempt, activities.AttemptInput{TaskBegan: began, AttemptRequest: activities.AttemptRequest{
		Callback: c, URL: r.in.Start.Callback.URL, TimeoutMS: policy.TimeoutMS, Number: record.NextNumber(),
	}}).Get(ctx, &result)
	switch {
	case err != nil:
		// The request may have been sent, so it counts.
		record.BeginAttempt(begun)
		record.Interrupt(policy.Timeout(), operation.ReasonUnseen)
	case result.OnHold:
		record.Delivery.OnHold = true
	case result.HeldBack == "":
		record.BeginAttempt(result.Attempt.At)
		record.EndAttempt(result.Attempt, result.Ended, result.Reason, result.NotBefore)
		record.Delivery.Host = result.Host
	}
}

// recordDelivery records how far the delivery came, and shows it to operators.
func (r *run) recordDelivery(record operation.DeliveryRecord) {
	r.op.RecordDelivery(record)
	r.showPhase()
	r.showDetails()
}

// deliver runs a Deliver activity until the delivery has an outcome or stop is true,
// and another where the server's retries are used up before k attempts were made. show
// gets the record when the endpoint is on hold, and when it no longer is.
func deliver(ctx workflow.Context, in activities.DeliverInput, stop func() bool, show func(operation.DeliveryRecord)) operation.DeliveryRecord {
	for in.Record.Pending() && !stop() {
		if in.Record.Delivery.OnHold {
			show(in.Record)
			awaitEndpoint(ctx, activities.AwaitEndpointInput{Endpoint: in.Callback.Key.Endpoint, URL: in.URL, Hold: true}, stop)
			if in.Record.Delivery.OnHold = stop(); !in.Record.Delivery.OnHold {
				show(in.Record)
			}
			continue
		}
		t := startDeliver(ctx, in)
		await(ctx, func() bool { return t.ready() || stop() })
		t.stop(ctx)
		heldBack := mergeDelivery(ctx, t, &in.Record, in.Policy)
		if heldBack != "" && in.Record.Pending() {
			awaitEndpoint(ctx, activities.AwaitEndpointInput{Endpoint: in.Callback.Key.Endpoint, Dialect: in.Callback.Dialect, URL: in.URL}, stop)
		}
	}
	return in.Record
}

// mergeDelivery takes over how far a Deliver activity came, and returns what holds the
// next attempt back.
func mergeDelivery(ctx workflow.Context, t *activityRun, record *operation.DeliveryRecord, policy operation.DeliveryPolicy) (heldBack string) {
	var result activities.DeliverResult
	err := t.future.Get(ctx, &result)
	if err == nil {
		*record = result.Record
		return result.HeldBack
	}
	record.Run = 0 // of this activity
	inError := mergeRecorded(record, t.pending.Delivery, err)
	var lost operation.Time
	now := operation.At(workflow.Now(ctx))
	switch {
	case t.pending.DeliveryLost > record.Run:
		lost = t.pending.LostAttempt(now)
	case timedOut(err) && wasCancelled(err): // else the last run has recorded what the ones before left
		lost = activities.AttemptBy(now.Add(-activities.DeliverHeartbeatTimeout))
	}
	sent := record.InFlight() || !record.Due(policy.Interval()).After(now)
	if !lost.IsZero() && record.Pending() && sent {
		record.Lose(lost, policy.Interval(), policy.Timeout(), operation.ReasonUnseen)
	}
	if wasCancelled(err) || !record.Pending() {
		return ""
	}
	workflow.GetLogger(ctx).Warn("a Deliver activity was lost; another goes on from its record", "error", err)
	if !inError {
		_ = workflow.Sleep(ctx, lostActivityWait)
	}
	return ""
}

// awaitEndpoint waits until the endpoint is configured and may be called. The retries
// of its activity add nothing to the history.
func awaitEndpoint(ctx workflow.Context, in activities.AwaitEndpointInput, stop func() bool) {
	timeout := 10 * time.Second
	if in.Hold {
		timeout = activities.HoldTimeout
	}
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: timeout,
		WaitForCancellation: !in.Hold, // it learns of none
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Priority:            temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: in.Endpoint},
		Summary:             ui.Summary("wait until the endpoint %s can be called", in.Endpoint),
	}))
	defer cancel()
	available := workflow.ExecuteActivity(ctx, acts.AwaitEndpoint, in)
	await(ctx, func() bool { return available.IsReady() || stop() })
	cancel()
	if err := available.Get(ctx, nil); err != nil && !wasCancelled(err) {
		workflow.GetLogger(ctx).Warn("waiting for an endpoint failed", "error", err)
	}
}
