package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// deliverNext delivers the next callback owed: its first attempt inside the
// workflow task at hand where that is allowed, the others by a Deliver activity.
func (r *run) deliverNext() {
	c, record := r.ledger.Begin()
	r.attemptInTask(c, &record)
	record.Exhaust(r.in.Policy.Delivery.Attempts)
	r.ledger.TakeDelivery(record)
	r.showPhase()
	r.showDetails()
	if record.Pending() {
		record = deliver(r.ctx, activities.DeliverInput{
			Callback: c, URL: r.in.Start.Callback.URL, Policy: r.in.Policy.Delivery, Record: record, Signal: SignalUnacknowledged,
		}, func() bool { return r.ledger.Unwanted() || r.leaving() })
	}
	if record.Pending() && r.ledger.Unwanted() {
		record.Interrupt(r.in.Policy.Delivery.Timeout(), operation.ReasonUnseen)
		record.Delivery.Outcome = operation.DeliverySuperseded
	}
	r.ledger.TakeDelivery(record)
	r.showPhase()
	r.giveNotice(record.Delivery)
}

// attemptInTask makes the first attempt inside the workflow task, at most one in
// each. Beside a watch it makes none: an Update that ends the watch would wait for
// the attempt.
func (r *run) attemptInTask(c operation.Callback, record *operation.DeliveryRecord) {
	task := workflow.GetInfo(r.ctx).GetCurrentHistoryLength()
	besideWatch := r.watchBegan != 0 && r.watchBegan != task
	if record.Made > 0 || r.attempted == task || besideWatch {
		return
	}
	r.attempted = task
	policy, begun := r.in.Policy.Delivery, r.now()
	ctx := workflow.WithLocalActivityOptions(r.ctx, localOptions(policy.Timeout()))
	var result activities.AttemptResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Attempt, activities.AttemptInput{
		Callback: c, URL: r.in.Start.Callback.URL, TimeoutMS: policy.TimeoutMS, Number: record.NextNumber(),
	}).Get(ctx, &result)
	switch {
	case err != nil:
		// It may have been sent: it counts.
		record.BeginAttempt(begun)
		record.Interrupt(policy.Timeout(), operation.ReasonUnseen)
	case result.HeldBack == "":
		record.BeginAttempt(result.Attempt.At)
		record.EndAttempt(result.Attempt, result.Ended, result.Reason, result.NotBefore)
	}
}

// deliver makes attempts by one Deliver activity after another until the delivery
// is settled, or stop says that it is to end after the attempt in flight: then it
// is still pending. One activity is enough unless the server's count of runs, which
// its retry policy limits to k, is used up by crashes and by attempts held back.
func deliver(ctx workflow.Context, in activities.DeliverInput, stop func() bool) operation.DeliveryRecord {
	endpoint := in.Callback.Key.Endpoint
	for in.Record.Pending() && !stop() {
		t := begin(ctx, deliverOptions(endpoint, in.Policy, in.Callback), ActivityDeliver, in)
		awaitEither(ctx, t.ready, stop)
		t.stop(ctx)
		heldBack := takeDeliver(ctx, t, &in.Record)
		if heldBack != "" && in.Record.Pending() {
			awaitEndpoint(ctx, activities.AwaitEndpointInput{Endpoint: endpoint, URL: in.URL}, stop)
		}
	}
	return in.Record
}

// takeDeliver takes over how far a Deliver activity came, and returns what its next
// attempt waits for, if anything.
func takeDeliver(ctx workflow.Context, t *task, record *operation.DeliveryRecord) (heldBack string) {
	var result activities.DeliverResult
	err := t.future.Get(ctx, &result)
	if err == nil {
		*record = result.Record
		return result.HeldBack
	}
	left := recordIn[operation.DeliveryRecord](err)
	for _, later := range []*operation.DeliveryRecord{t.pending.Delivery, left} {
		if later != nil {
			record.Merge(*later)
		}
	}
	if wasCancelled(err) {
		return ""
	}
	workflow.GetLogger(ctx).Warn("a delivery was lost; another goes on from its record", "error", err)
	if left == nil {
		_ = workflow.Sleep(ctx, lostActivityWait)
	}
	return ""
}

// awaitEndpoint waits until the endpoint can be called, however long that takes.
// What it waits for adds nothing to the history.
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

func awaitEither(ctx workflow.Context, one, other func() bool) {
	await(ctx, func() bool { return one() || other() })
}

// await waits for a condition. An operation's run waits on a disconnected context,
// on which no wait fails.
func await(ctx workflow.Context, condition func() bool) {
	if err := workflow.Await(ctx, condition); err != nil {
		workflow.GetLogger(ctx).Error("waiting on a disconnected context failed", "error", err)
	}
}

// showPhase writes AttributePhase where it changed, so that operators find what
// is being retried. A run that is over is found by how it ended.
func (r *run) showPhase() {
	phase := r.phase
	record, pending := r.ledger.Delivering()
	switch {
	case pending && record.Made > 0:
		phase = operation.Delivering
	case phase == operation.Delivering && !r.ledger.Owes():
		phase = operation.Watching
	}
	if phase == r.phase || r.ledger.Over() {
		return
	}
	r.phase = phase
	r.tag(AttributePhase.ValueSet(string(phase)))
}
