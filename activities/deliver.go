package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/internal/receiver"
)

// DeliverInput asks to get one callback acknowledged.
type DeliverInput struct {
	Callback operation.Callback `json:"callback"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL    string                   `json:"url,omitempty"`
	Policy operation.DeliveryPolicy `json:"policy"`
	// Record is that of the delivery's earlier activities.
	Record operation.DeliveryRecord `json:"record"`
}

// DeliverResult is how far a delivery came: acknowledged, or pending where the workflow
// interrupted it, or the activity's MaximumAttempts (the server's retries, not k) are
// used up.
type DeliverResult struct {
	Record operation.DeliveryRecord `json:"record"`
	// HeldBack says what only AwaitEndpoint can wait for; else empty.
	HeldBack string `json:"held_back,omitempty"`
}

const (
	// DeliverHeartbeatTimeout is how long after a worker's death its deliveries are taken over.
	DeliverHeartbeatTimeout  = 10 * time.Second
	deliverHeartbeatInterval = 3500 * time.Millisecond
	// startRecordsAttempt is for how long the start of a run records an attempt of it.
	startRecordsAttempt = 4 * time.Second
	// reasonWorkerLost is the reason of an attempt whose end nobody saw.
	reasonWorkerLost = "the worker ended while the attempt was on its way"
)

// AttemptBy is until when a run of Deliver that the server started at that time may begin
// an attempt that only its start records.
func AttemptBy(started operation.Time) operation.Time {
	return started.Add(startedLately + startRecordsAttempt)
}

// Deliver makes attempts until one is acknowledged, the receiver is gone, or k are
// recorded (promise 5). Where none is acknowledged it fails, so that operators see
// that, with the record in the failure's details. h and k are those of the activity's
// retry policy, which an operator may edit; k counts the attempts in the record.
func (a *Activities) Deliver(ctx context.Context, in DeliverInput) (DeliverResult, error) {
	if err := checkCallback(ctx, in.Callback); err != nil {
		return DeliverResult{}, err
	}
	d := &delivery{a: a, in: in, record: in.Record, lateness: newLateness(ctx), recorder: a.newRecorder(ctx, overload.Callback)}
	if err := d.resume(ctx); err != nil {
		return d.stop(ctx, err)
	}
	defer a.running.begin(ctx, d.recorder)()
	defer d.recorder.keepAlive(ctx, deliverHeartbeatInterval)()
	for d.record.Exhaust(d.k); d.record.Pending(); d.record.Exhaust(d.k) {
		if err := d.next(ctx); err != nil {
			return d.stop(ctx, err)
		}
	}
	d.record.Delivery.NextAttemptAt = nil
	result, err := d.result("")
	if d.record.Delivery.Outcome != operation.DeliveryAcknowledged {
		err = notAcknowledged(d.record)
	}
	return result, err
}

// notAcknowledged is the error with which a delivery ends that nobody acknowledged. It
// is benign: the worker did all that it should.
func notAcknowledged(record operation.DeliveryRecord) error {
	kind := TypeExhausted
	if record.Delivery.Outcome == operation.DeliveryGone {
		kind = TypeGone
	}
	return temporal.NewApplicationErrorWithOptions(record.Delivery.Ending(), kind, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Category:     temporal.ApplicationErrorCategoryBenign,
		Details:      []any{record},
	})
}

type delivery struct {
	a        *Activities
	in       DeliverInput
	record   operation.DeliveryRecord
	recorder *recorder
	lateness lateness
	h        time.Duration
	k        int
	// why and kind are what the next wait is for, as operators read it.
	why, kind string
}

// stillPending ends the activity before the delivery; heldBack is as in DeliverResult.
type stillPending struct{ heldBack string }

// Error implements error.
func (stillPending) Error() string { return "the delivery goes on in another activity" }

func (d *delivery) resume(ctx context.Context) error {
	startRecords := startRecordsAttempt
	if d.lastRun() {
		startRecords = 0 // none follows that could count it
	}
	lost, err := resume(ctx, d.recorder, &d.record, &d.record.Run, startRecords)
	if err != nil {
		return err
	}
	d.h, d.k = d.in.Policy.Interval(), d.in.Policy.Attempts
	if p := d.recorder.info.RetryPolicy; p != nil && p.InitialInterval > 0 && p.MaximumAttempts > 0 {
		d.h, d.k = p.InitialInterval, int(p.MaximumAttempts)
	}
	d.record.Interrupt(d.in.Policy.Timeout(), reasonWorkerLost)
	if lost {
		// The server waited for h after that run's heartbeat timeout, unless the run ended
		// and only its record was lost.
		began := operation.At(time.Now()).Add(-DeliverHeartbeatTimeout - d.h)
		d.record.Lose(AttemptBy(began), d.h, d.in.Policy.Timeout(), reasonWorkerLost)
	}
	d.explain()
	d.recorder.note(d.record.Clone())
	if lost {
		return d.recordLost(ctx)
	}
	return nil
}

// recordLost records the attempt of a lost run at once: none counts it again after the
// last run.
func (d *delivery) recordLost(ctx context.Context) error {
	err := d.recorder.record(context.WithoutCancel(ctx), d.record.Clone())
	if err != nil && !isStop(err) && d.lastRun() {
		return stillPending{}
	}
	return err
}

// next waits until the next attempt is due, records it, and makes it.
func (d *delivery) next(ctx context.Context) error {
	due, err := d.awaitInterval(ctx)
	if err != nil {
		return err
	}
	endpoint, missing := d.a.endpointFor(d.in.Callback.Key.Endpoint, d.in.Callback.Dialect, d.in.URL)
	if missing != "" {
		return stillPending{missing}
	}
	if d.record.Delivery.OnHold = endpoint.OnHold; endpoint.OnHold {
		d.record.Delivery.NextAttemptAt = nil
		return stillPending{}
	}
	permit, err := d.a.receivers.Acquire(endpoint, d.in.URL, bulkhead.Activity)
	if err != nil {
		d.a.Metrics.heldBack.WithLabelValues("endpoint", endpoint.Name).Inc()
		return d.hold(ctx, "attempt held back: "+err.Error())
	}
	if err := d.recordAttempt(ctx, due, endpoint.Host(d.in.URL)); err != nil {
		permit.Cancel()
		return err
	}
	if d.a.AttemptBegan != nil {
		d.a.AttemptBegan(d.lateness.of(due))
	}
	d.attempt(ctx, endpoint, permit)
	return nil
}

// yieldSlot ends this run of the activity until the next attempt is due. The server
// limits the runs to k; after the last, the workflow starts another activity.
func (d *delivery) yieldSlot(ctx context.Context, heldBack string) error {
	due := d.record.Due(d.h)
	if due.IsZero() {
		due = operation.At(time.Now())
	}
	d.record.Delivery.NextAttemptAt = &due
	// Taken before the record is sent: the wall clock may be set meanwhile.
	wake := toMonotonic(due)
	if d.lastRun() {
		return stillPending{heldBack}
	}
	return d.recorder.yield(ctx, d.record.Clone(),
		waitOnServer(d.kind, fmt.Sprintf("%s; next attempt at %s", d.why, due), wake, d.record.Brief()))
}

// lastRun reports whether the server would not run the activity once more. Of a last
// run that fails it keeps the error alone, which is too small for the record.
func (d *delivery) lastRun() bool {
	p := d.recorder.info.RetryPolicy
	return p != nil && p.MaximumAttempts > 0 && d.recorder.info.Attempt >= p.MaximumAttempts
}

// hold puts an attempt off without counting it, for longer each time.
func (d *delivery) hold(ctx context.Context, why string) error {
	times := max(int(d.recorder.info.Attempt)-d.record.Made, 1)
	d.why, d.kind = why, TypeHeldBack
	d.record.NotBefore = operation.At(time.Now().Add(min(heldBackWait*time.Duration(times), longestHold)))
	return d.yieldSlot(ctx, why)
}

// attempt makes the recorded attempt.
func (d *delivery) attempt(ctx context.Context, endpoint receiver.Endpoint, permit *receiver.Permit) {
	result := d.a.send(context.WithoutCancel(ctx), endpoint, AttemptRequest{
		Callback: d.in.Callback, URL: d.in.URL, TimeoutMS: d.in.Policy.TimeoutMS, Number: d.record.Last().Number,
	}, permit)
	d.record.EndAttempt(result.Attempt, result.Ended, result.Reason, result.NotBefore)
	if d.record.Pending() {
		next := d.record.Due(d.h)
		d.record.Delivery.NextAttemptAt = &next
	}
	d.explain()
	d.recorder.note(d.record.Clone())
}

func (d *delivery) explain() {
	d.why, d.kind = "no attempt made yet", TypeWaiting
	if last := d.record.Last(); last != nil && d.record.Made > 0 {
		d.why = fmt.Sprintf("attempt %d (%d of %d) unacknowledged: %s", last.Number, d.record.Made, d.k, last.Reason)
	}
}

func (d *delivery) result(heldBack string) (DeliverResult, error) {
	return DeliverResult{Record: d.record, HeldBack: heldBack}, nil
}

// stop ends this run of the activity for err.
func (d *delivery) stop(ctx context.Context, err error) (DeliverResult, error) {
	var pending stillPending
	switch {
	case errors.As(err, &pending):
		return d.result(pending.heldBack)
	case errors.Is(err, errEndedByWorkflow):
		return d.result("")
	case errors.Is(err, errLost):
		return DeliverResult{}, activity.ErrResultPending
	case errors.Is(err, errStopping):
		ctx = context.WithoutCancel(ctx)
		return d.stop(ctx, d.yieldSlot(ctx, ""))
	case errors.Is(err, errPausedOrReset) && d.lastRun():
		return d.result("")
	case errors.Is(err, errPausedOrReset):
		wake := toMonotonic(d.record.Due(d.h))
		d.recorder.repeat(ctx)
		return DeliverResult{}, waitOnServer(TypeWaiting, d.why+"; "+err.Error(), wake, d.record.Brief())
	}
	return DeliverResult{}, err
}
