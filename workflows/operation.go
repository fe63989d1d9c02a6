package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

// Operation polls the source until the status is final, and delivers a callback about
// each status that the client is to get. However it ends, it ends with the operation.Record.
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

// pollUntilFinal watches the core. It runs one Watch activity after another: each polls until the status changes.
func (r *run) pollUntilFinal(ctx workflow.Context) {
	if r.in.Rules.PushOnly {
		r.awaitPushes(ctx)
		r.watchOver = true
		return
	}
	r.pollFirst(ctx)
	for r.op.Watching() && !r.continuesAsNew() {
		t := r.startWatch(ctx, r.in.Policy.Poll, r.in.AcceptedAt)
		r.awaitOutdated(ctx, t)
		r.endWatch(ctx, t)
	}
	r.watchOver = true
}

// startDeliver starts the Deliver activity, whose retry policy is h and k (doc.go).
func startDeliver(ctx workflow.Context, in activities.DeliverInput) *activityRun {
	h, k := max(in.Policy.Interval(), time.Millisecond), in.Policy.Attempts
	return start(ctx, ActivityDeliver, in, workflow.ActivityOptions{
		StartToCloseTimeout: time.Duration(k)*(h+in.Policy.Timeout()) + time.Hour,
		HeartbeatTimeout:    activities.DeliverHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: h, BackoffCoefficient: 1, MaximumInterval: h, MaximumAttempts: int32(k)},
		Priority:            temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: in.Callback.Key.Endpoint},
		Summary:             ui.Summary("deliver status %s (one run may make many attempts)", in.Callback.Observation.Status),
	})
}
