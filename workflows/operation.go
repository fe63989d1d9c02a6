package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// Operation is the life of one payment operation: it polls the source until the
// status is final, and delivers a callback about each status that the client is to
// get. Its result, failure or cancellation carries the operation.Record.
func Operation(ctx workflow.Context, in Input) (operation.Record, error) {
	r, err := newRun(ctx, in)
	if err != nil {
		return operation.Record{}, err
	}
	workflow.Go(r.ctx, r.receiveSignals)
	workflow.Go(r.ctx, r.pollUntilFinal)
	for r.awaitCallback() {
		r.deliverNext()
	}
	return r.finish()
}

// pollUntilFinal runs one Watch activity after another: each polls until the status
// changes. The watch also ends when max_polls is reached or the lifetime has passed.
func (r *run) pollUntilFinal(ctx workflow.Context) {
	defer func() { r.watchOver = true }()
	if !r.pollFirst(ctx) {
		return
	}
	for r.op.Watching() && !r.continuesAsNew() {
		r.watch(ctx, r.in.Policy.Poll, r.in.AcceptedAt, r.awaitOutdated)
	}
}

// watch runs one Watch activity until it ends, or await returns. The activity counts
// and times its polls itself; its retry policy repeats the gap for the Temporal UI.
func (r *run) watch(ctx workflow.Context, policy operation.PollPolicy, acceptedAt operation.Time, await func(workflow.Context, *activityRun, operation.WatchRecord)) {
	in := r.watchInput(ctx, policy, acceptedAt)
	gap := max(r.in.Policy.Poll.Gap(1), time.Millisecond)
	t := start(ctx, ActivityWatch, in, workflow.ActivityOptions{
		StartToCloseTimeout: r.in.Policy.Poll.Lifetime() + time.Hour,
		HeartbeatTimeout:    activities.WatchHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: gap, BackoffCoefficient: 1, MaximumInterval: gap},
		Priority:            temporal.Priority{PriorityKey: PriorityWatch, FairnessKey: in.Key.Endpoint},
		Summary:             "watch " + in.Key.OperationID + " at " + in.Source,
	})
	await(ctx, t, in.Record)
	t.stop(ctx)
	r.recordWatch(ctx, t, in.Record)
}

// deliverNext delivers the next callback until it is acknowledged or k attempts were
// made: the first attempt inside this workflow task where that is allowed, the others
// by a Deliver activity. A newer status, a revocation or a withdrawal ends it early.
func (r *run) deliverNext() {
	callback, record := r.op.StartDelivery()
	r.attemptInTask(callback, &record)
	record.Exhaust(r.in.Policy.Delivery.Attempts)
	r.recordDelivery(record)
	if record.Pending() {
		record = deliver(r.ctx, activities.DeliverInput{
			Callback: callback, URL: r.in.Start.Callback.URL, Policy: r.in.Policy.Delivery, Record: record, Signal: SignalUnacknowledged,
		}, func() bool { return r.op.ShouldStopDelivery() || r.continuesAsNew() })
		r.supersede(&record)
		r.recordDelivery(record)
	}
	r.startNotice(record.Delivery)
}

// deliver runs a Deliver activity, whose retry policy is h and k (see the package
// comment), until the delivery has an outcome or stop is true. Another activity
// follows where the server's retries are used up before k attempts were made.
func deliver(ctx workflow.Context, in activities.DeliverInput, stop func() bool) operation.DeliveryRecord {
	h, k := max(in.Policy.Interval(), time.Millisecond), in.Policy.Attempts
	for in.Record.Pending() && !stop() {
		t := start(ctx, ActivityDeliver, in, workflow.ActivityOptions{
			StartToCloseTimeout: time.Duration(k)*(h+in.Policy.Timeout()) + time.Hour,
			HeartbeatTimeout:    activities.DeliverHeartbeatTimeout,
			WaitForCancellation: true,
			RetryPolicy:         &temporal.RetryPolicy{InitialInterval: h, BackoffCoefficient: 1, MaximumInterval: h, MaximumAttempts: int32(k)},
			Priority:            temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: in.Callback.Key.Endpoint},
			Summary:             fmt.Sprintf("deliver status %q", in.Callback.Observation.Status),
		})
		awaitEither(ctx, t.ready, stop)
		t.stop(ctx)
		heldBack := mergeDelivery(ctx, t, &in.Record)
		if heldBack != "" && in.Record.Pending() {
			awaitEndpoint(ctx, activities.AwaitEndpointInput{Endpoint: in.Callback.Key.Endpoint, URL: in.URL}, stop)
		}
	}
	return in.Record
}
