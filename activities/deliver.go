package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"

	"ringback/internal/callback"
	"ringback/internal/receiver"
)

// DeliverInput asks to get one callback acknowledged.
type DeliverInput struct {
	Callback callback.Callback `json:"callback"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL    string                  `json:"url,omitempty"`
	Policy callback.DeliveryPolicy `json:"policy"`
	// Progress is how far the delivery came before.
	Progress callback.DeliveryProgress `json:"progress"`
	// Signal is how the run is told that the first attempt of all was not
	// acknowledged, with an Unacknowledged; empty: it is not told.
	Signal string `json:"signal,omitempty"`
}

// Unacknowledged is the first attempt of a delivery, as its run is told of it.
type Unacknowledged struct {
	CallbackID string           `json:"callback_id"`
	Attempt    callback.Attempt `json:"attempt"`
}

// DeliverResult is how far a delivery came. Its outcome is
// callback.DeliveryPending where the server's count of runs is used up by runs
// that made no attempt: the workflow then goes on with a new activity.
type DeliverResult struct {
	Progress callback.DeliveryProgress `json:"progress"`
}

const (
	// DeliverHeartbeatTimeout is how long after a worker's death its
	// deliveries are taken over.
	DeliverHeartbeatTimeout = 10 * time.Second
	deliverBeats            = 3 * time.Second
	// recordsEarly is how much before its time an attempt is recorded at most,
	// so that recording it does not lengthen h.
	recordsEarly = 25 * time.Millisecond
	// longestHold is the longest that an attempt is put off at a time.
	longestHold = 8 * heldBackWait
	// reasonInterrupted is the reason of an attempt whose end nobody saw.
	reasonInterrupted = "the worker ended while the attempt was on its way"
)

// Deliver makes attempts until one is acknowledged, the receiver is gone, or k
// are recorded (promise 5). h and k are read from the activity's retry policy
// as it stands at the beginning of each run, so that an operator may edit them.
// Each attempt is recorded on the server before it is sent; the record survives
// a crash, and k is counted there.
func (a *Activities) Deliver(ctx context.Context, in DeliverInput) (DeliverResult, error) {
	defer a.runs()()
	d := &delivery{a: a, in: in, at: in.Progress, timer: newStopwatch(ctx), info: activity.GetInfo(ctx), heart: a.newHeart(ctx)}
	if err := d.resume(ctx); err != nil {
		return DeliverResult{}, badInput(err)
	}
	stop := d.heart.keepBeating(ctx, deliverBeats)
	defer stop()
	for d.at.Delivery.Outcome == callback.DeliveryPending {
		if d.at.Made >= d.k {
			d.at.Delivery.Outcome = callback.DeliveryExhausted
			break
		}
		if err := d.next(ctx); err != nil {
			return d.leave(ctx, err)
		}
	}
	d.at.Delivery.NextAttemptAt = nil
	return DeliverResult{Progress: d.at}, nil
}

type delivery struct {
	a     *Activities
	in    DeliverInput
	at    callback.DeliveryProgress
	info  activity.Info
	heart *heart
	timer stopwatch
	h     time.Duration
	k     int
	// why and kind are what the next wait is for, as operators read it.
	why, kind string
}

// errHandedBack ends a run whose waits the server would count no longer.
var errHandedBack = errors.New("the server's count of runs is used up")

func (d *delivery) resume(ctx context.Context) error {
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &d.at); err != nil {
			return fmt.Errorf("reading the delivery's own record: %w", err)
		}
	}
	d.h, d.k = d.in.Policy.Interval(), d.in.Policy.Attempts
	if p := d.info.RetryPolicy; p != nil && p.InitialInterval > 0 && p.MaximumAttempts > 0 {
		d.h, d.k = p.InitialInterval, int(p.MaximumAttempts)
	}
	d.closeInterrupted()
	d.explain()
	d.heart.note(d.snapshot())
	return nil
}

// closeInterrupted gives the verdict on an attempt that was recorded and whose
// end nobody saw. It may have been on its way for as long as its timeout: so
// that two never overlap, it is taken to have ended then.
func (d *delivery) closeInterrupted() {
	last := d.last()
	if last == nil || last.Verdict != "" {
		return
	}
	last.Verdict, last.Reason = callback.Unacknowledged, reasonInterrupted
	last.TookMS = d.in.Policy.TimeoutMS
}

func (d *delivery) last() *callback.Attempt {
	if n := len(d.at.Delivery.Attempts); n > 0 {
		return &d.at.Delivery.Attempts[n-1]
	}
	return nil
}

// ended is when the last attempt of this delivery ended; zero before the first.
func (d *delivery) ended() callback.Time {
	if d.at.Made == 0 || d.last() == nil {
		return callback.Time{}
	}
	if !d.at.EndedAt.IsZero() {
		return d.at.EndedAt
	}
	return d.last().End()
}

// due is when the next attempt is: h after the end of the last; zero: at once.
func (d *delivery) due() callback.Time {
	due := d.at.NotBefore
	if ended := d.ended(); !ended.IsZero() && ended.Add(d.h).After(due) {
		due = ended.Add(d.h)
	}
	return due
}

// catchUp counts h from now where the record says that the last attempt ended
// later than any can have: the clock was set back since, and the next attempt
// would be late by that much (docs/adr/0045). One that was interrupted is taken
// to end its time-out after it began, which may lie ahead.
func (d *delivery) catchUp() {
	now := callback.At(time.Now())
	if d.at.Made == 0 {
		d.at.NotBefore = putOff(d.at.NotBefore, now)
		return
	}
	ended := d.ended()
	if !ended.After(now.Add(d.in.Policy.Timeout() + clocksAgree)) {
		return
	}
	if !d.at.NotBefore.IsZero() {
		d.at.NotBefore = d.at.NotBefore.Add(now.Sub(ended.Time))
	}
	d.at.EndedAt = now
}

// next waits until the next attempt is due, records it, and makes it.
func (d *delivery) next(ctx context.Context) error {
	d.catchUp()
	due := unset(d.due())
	if err := d.wait(ctx, due.Add(-min(d.h/2, recordsEarly))); err != nil {
		return err
	}
	endpoint, missing := d.a.endpointFor(d.in.Callback.Key.Endpoint, d.in.URL)
	if missing != "" {
		return d.hold(ctx, missing, missingWait)
	}
	permit, err := d.a.receivers.Acquire(endpoint, d.in.URL)
	if err != nil {
		d.a.Metrics.heldBack.WithLabelValues("endpoint", endpoint.Name).Inc()
		return d.hold(ctx, "attempt held back: "+err.Error(), d.heldBackFor())
	}
	if err := d.record(ctx, due); err != nil {
		permit.Cancel()
		return err
	}
	d.begins(due)
	d.attempt(ctx, endpoint, due, permit)
	return nil
}

// wait waits in the worker if that is short, else on the server.
func (d *delivery) wait(ctx context.Context, until time.Time) error {
	if time.Until(until) <= waitsInWorker {
		return d.heart.sleepUntil(ctx, until)
	}
	return d.giveBack(ctx)
}

// giveBack leaves the slot until the next attempt is due. The server counts
// runs against k; where it would count no further, the workflow goes on with a
// new activity instead.
func (d *delivery) giveBack(ctx context.Context) error {
	due := d.due()
	if due.IsZero() {
		due = callback.At(time.Now())
	}
	d.at.Delivery.NextAttemptAt = &due
	// The wall clock may be set while the record is on its way.
	wake := unset(due)
	if p := d.info.RetryPolicy; p != nil && p.MaximumAttempts > 0 && d.info.Attempt >= p.MaximumAttempts {
		return errHandedBack
	}
	// A record that fails in passing leaves the one before it, which counts
	// the same attempts.
	if err := d.heart.record(ctx, d.snapshot()); isStop(err) {
		return err
	}
	return waitOnServer(d.kind, fmt.Sprintf("%s; next attempt at %s", d.why, due), wake)
}

// hold puts an attempt off without counting it.
func (d *delivery) hold(ctx context.Context, why string, wait time.Duration) error {
	d.why, d.kind = why, TypeHeldBack
	d.at.NotBefore = callback.At(time.Now().Add(wait))
	return d.giveBack(ctx)
}

// heldBackFor grows with the server's count of runs, so that a crowd that
// waits for one receiver costs less and less.
func (d *delivery) heldBackFor() time.Duration {
	return min(heldBackWait*time.Duration(max(int(d.info.Attempt)-d.at.Made, 1)), longestHold)
}

// record keeps the attempt on the server before it is sent.
func (d *delivery) record(ctx context.Context, due time.Time) error {
	at := time.Now()
	if due.After(at) {
		at = due
	}
	before := d.at
	d.at.Made++
	d.at.EndedAt = callback.Time{}
	d.at.Delivery.NextAttemptAt = nil
	d.at.Delivery.Attempts = callback.KeepNewest(append(slices.Clone(d.at.Delivery.Attempts),
		callback.Attempt{Number: d.nextNumber(), At: callback.At(at)}))
	err := d.heart.record(context.WithoutCancel(ctx), d.snapshot())
	if err == nil {
		return nil
	}
	d.at = before
	if isStop(err) {
		return err
	}
	// What is known goes along: the verdict on the attempt before it, too.
	return d.heart.yield(context.WithoutCancel(ctx), d.snapshot(), temporal.NewApplicationErrorWithOptions(
		fmt.Sprintf("attempt %d could not be recorded and was not made: %v", d.nextNumber(), err),
		TypeNotRecorded, temporal.ApplicationErrorOptions{
			NextRetryDelay: heldBackWait, Cause: err, Details: []any{d.snapshot()},
		}))
}

func (d *delivery) nextNumber() int {
	if last := d.last(); last != nil {
		return last.Number + 1
	}
	return 1
}

// begins tells how late the attempt is that is about to be made.
func (d *delivery) begins(due time.Time) {
	if d.a.AttemptBegan != nil {
		d.a.AttemptBegan(d.timer.late(due))
	}
}

// attempt waits out what is left of h and makes the recorded attempt.
func (d *delivery) attempt(ctx context.Context, endpoint receiver.Endpoint, due time.Time, permit *receiver.Permit) {
	time.Sleep(time.Until(due))
	result := d.a.send(context.WithoutCancel(ctx), endpoint, AttemptInput{
		Callback: d.in.Callback, URL: d.in.URL, TimeoutMS: d.in.Policy.TimeoutMS, Number: d.last().Number,
	}, permit)
	*d.last() = result.Attempt
	d.at.NotBefore = result.NotBefore
	switch {
	case result.Attempt.Verdict == callback.Acknowledged:
		d.at.Delivery.Outcome = callback.DeliveryAcknowledged
	case result.Ended != "":
		d.at.Delivery.Outcome, d.at.Delivery.Reason = result.Ended, result.Reason
	default:
		next := d.due()
		d.at.Delivery.NextAttemptAt = &next
	}
	d.explain()
	d.heart.note(d.snapshot())
	d.tell(ctx)
}

// tell lets the run know that its delivery goes past the first attempt, for the
// lists of operators alone: nothing is lost with it.
func (d *delivery) tell(ctx context.Context) {
	if d.in.Signal == "" || d.a.Signal == nil || d.at.Made != 1 || d.k == 1 || d.at.Delivery.Outcome != callback.DeliveryPending {
		return
	}
	run, what, told := d.info.WorkflowExecution, Unacknowledged{d.in.Callback.ID, *d.last()}, make(chan struct{})
	go func() {
		defer close(told)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatWithin)
		defer cancel()
		if err := d.a.Signal(ctx, run.ID, run.RunID, d.in.Signal, what); err != nil {
			d.a.Log.Warn("a run was not told that its first attempt was not acknowledged", zap.String("workflow_id", run.ID), zap.Error(err))
		}
	}()
	select {
	case <-told:
	// Waiting longer than this for the server could lengthen h.
	case <-time.After(max(d.h/2, recordsEarly)):
	}
}

func (d *delivery) explain() {
	d.why, d.kind = "no attempt made yet", TypeWaiting
	if last := d.last(); last != nil && d.at.Made > 0 {
		d.why = fmt.Sprintf("attempt %d (%d of %d) unacknowledged: %s", last.Number, d.at.Made, d.k, last.Reason)
	}
}

// snapshot is the record as it stands, sharing no memory with what goes on.
func (d *delivery) snapshot() callback.DeliveryProgress {
	at := d.at
	at.Delivery.Attempts = slices.Clone(at.Delivery.Attempts)
	return at
}

func (d *delivery) leave(ctx context.Context, err error) (DeliverResult, error) {
	switch {
	case errors.Is(err, errUnwanted):
		d.at.Delivery.Outcome = callback.DeliverySuperseded
		d.at.Delivery.NextAttemptAt = nil
		return DeliverResult{Progress: d.at}, nil
	case errors.Is(err, errHandedBack):
		return DeliverResult{Progress: d.at}, nil
	case errors.Is(err, errLost):
		return DeliverResult{}, activity.ErrResultPending
	case errors.Is(err, errStopping):
		ctx = context.WithoutCancel(ctx)
		return d.leave(ctx, d.giveBack(ctx))
	case errors.Is(err, errInterrupted):
		wake := unset(d.due())
		d.heart.repeat(ctx)
		return DeliverResult{}, waitOnServer(TypeWaiting, d.why+"; "+err.Error(), wake)
	}
	return DeliverResult{}, err
}
