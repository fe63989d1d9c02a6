package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/callback"
)

// reasonUnseen is the reason of an attempt that was recorded and whose end was lost.
const reasonUnseen = "the end of the attempt was not seen"

// ring begins the next callback owed: its first attempt inside the workflow
// task at hand where that is allowed, whatever is left in a delivery activity.
// What was said meanwhile is heard first: nothing begins that is not wanted.
func (o *operation) ring() {
	for {
		o.hear()
		partial := o.ledger.Told()
		c, attempts, ok := o.ledger.Begin()
		if !ok {
			return
		}
		o.ringing = c
		o.delivering = callback.DeliveryProgress{
			Polls: o.ledger.Polls(), Status: o.ledger.State().Status, Partial: partial,
			Delivery: callback.Delivery{
				CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason,
				Outcome: callback.DeliveryPending, Attempts: attempts,
			},
		}
		if o.attemptOnce() {
			continue
		}
		if !o.ledger.Unwanted() {
			o.deliver()
			return
		}
		o.delivering.Delivery.Outcome = callback.DeliverySuperseded
		o.settle(o.delivering.Delivery)
	}
}

// attemptOnce makes the first attempt inside the workflow task, at most one in
// each, and reports whether that settled the delivery. Beside a watch it makes
// none: one that ends during the attempt would make the server refuse the task,
// if that closes the run, and forget the attempt (docs/adr/0015).
func (o *operation) attemptOnce() bool {
	task := workflow.GetInfo(o.ctx).GetCurrentHistoryLength()
	if o.localAt == task || o.watched() {
		return false
	}
	o.localAt = task
	begun := o.now()
	number := nextNumber(o.delivering.Delivery.Attempts)
	ctx := workflow.WithLocalActivityOptions(o.ctx, localOptions(o.in.Policy.Delivery.Timeout()))
	var result activities.AttemptResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Attempt, activities.AttemptInput{
		Callback: o.ringing, URL: o.in.Start.Callback.URL, TimeoutMS: o.in.Policy.Delivery.TimeoutMS, Number: number,
	}).Get(ctx, &result)
	if err != nil {
		// It may have been sent: it counts.
		result = activities.AttemptResult{Attempt: callback.Attempt{
			Number: number, At: begun, TookMS: o.in.Policy.Delivery.TimeoutMS,
			Verdict: callback.Unacknowledged, Reason: reasonUnseen,
		}}
	}
	// What was said until now was said while the attempt was in flight.
	o.hear()
	if result.HeldBack != "" {
		return false
	}
	return o.attempted(result)
}

func nextNumber(attempts []callback.Attempt) int {
	if len(attempts) == 0 {
		return 1
	}
	return attempts[len(attempts)-1].Number + 1
}

func (o *operation) attempted(r activities.AttemptResult) bool {
	d := &o.delivering
	d.Made++
	d.NotBefore = r.NotBefore
	d.Delivery.Attempts = callback.KeepNewest(append(d.Delivery.Attempts, r.Attempt))
	switch {
	case r.Attempt.Verdict == callback.Acknowledged:
		d.Delivery.Outcome = callback.DeliveryAcknowledged
	case r.Ended != "":
		d.Delivery.Outcome, d.Delivery.Reason = r.Ended, r.Reason
	case d.Made >= o.in.Policy.Delivery.Attempts:
		d.Delivery.Outcome = callback.DeliveryExhausted
	default:
		o.ledger.Attempted(d.Delivery.Attempts)
		return false
	}
	o.settle(d.Delivery)
	return true
}

func (o *operation) settle(d callback.Delivery) {
	if n := len(d.Attempts); n > 0 && d.Attempts[n-1].Verdict == "" {
		last := &d.Attempts[n-1]
		last.Verdict, last.Reason = callback.Unacknowledged, reasonUnseen
		last.TookMS = o.in.Policy.Delivery.TimeoutMS
	}
	o.ledger.Settle(d.Outcome, d.Reason, d.Attempts)
	o.delivery = nil
	o.giveNotice(d)
}

// deliver leaves the rest of the delivery to a regular activity.
func (o *operation) deliver() {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(o.ctx, deliverOptions(o.in.Start.Endpoint, o.in.Policy.Delivery, o.ringing)))
	o.delivery = &task{cancel: cancel, future: workflow.ExecuteActivity(ctx, acts.Deliver, activities.DeliverInput{
		Callback: o.ringing, URL: o.in.Start.Callback.URL, Policy: o.in.Policy.Delivery, Progress: o.delivering,
		Signal: SignalUnacknowledged,
	})}
}

// miss takes note of the first attempt that the activity at hand made.
func (o *operation) miss(m activities.Unacknowledged) {
	d := &o.delivering
	if o.delivery == nil || m.CallbackID != o.ringing.ID || d.Made > 0 {
		return
	}
	d.Made = 1
	d.Delivery.Attempts = callback.KeepNewest(append(d.Delivery.Attempts, m.Attempt))
	o.ledger.Attempted(d.Delivery.Attempts)
}

// showPhase writes AttributePhase where it changed, so that operators find what
// is being rung again. A run that is over is found by how it ended.
func (o *operation) showPhase() {
	phase := o.shown
	switch {
	case o.delivery != nil && o.delivering.Made > 0:
		phase = callback.Delivering
	case o.delivery == nil && phase == callback.Delivering:
		phase = callback.Watching
	}
	if phase == o.shown || o.ledger.Over() || !o.tellsMore() {
		return
	}
	o.shown = phase
	o.tag(AttributePhase.ValueSet(string(phase)))
}

// dropUnwanted asks the delivery in hand to end after the attempt in flight.
// Its attempts are read before: a delivery that waits on the server takes its
// record with it.
func (o *operation) dropUnwanted() {
	if o.delivery == nil || o.delivery.unwanted || !o.ledger.Unwanted() {
		return
	}
	if p := o.readPending().Delivery; p != nil {
		o.delivering = *p
	}
	o.delivery.unwanted = true
	o.delivery.cancel()
}

func (o *operation) gatherDelivery() {
	var result activities.DeliverResult
	err := o.delivery.future.Get(o.ctx, &result)
	switch {
	case err == nil:
		o.delivering = result.Progress
	case wasCancelled(err):
		o.delivering.Delivery.Outcome = callback.DeliverySuperseded
	default:
		o.takeUp(err)
	}
	if d := o.delivering.Delivery; d.Outcome != callback.DeliveryPending {
		o.settle(d)
		return
	}
	if o.delivery.unwanted {
		o.delivering.Delivery.Outcome = callback.DeliverySuperseded
		o.settle(o.delivering.Delivery)
		return
	}
	o.deliver()
}

// takeUp goes on where a delivery was lost: the server's count of runs was used
// up by a crash, and the record says how far it came.
func (o *operation) takeUp(err error) {
	workflow.GetLogger(o.ctx).Warn("a delivery was lost; another takes it up", "error", err)
	if progress, ok := failedDelivery(err); ok {
		o.delivering = progress
	}
}
