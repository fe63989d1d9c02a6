package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/overload"
)

// WatchInput asks to poll until the status changes.
type WatchInput struct {
	Key    operation.Key        `json:"key"`
	Source string               `json:"source"`
	Query  operation.Query      `json:"query"`
	Policy operation.PollPolicy `json:"policy"`
	// AcceptedAt is when the operation was accepted: its lifetime begins here.
	AcceptedAt operation.Time `json:"accepted_at"`
	// Known is the status from which a change is awaited.
	Known string `json:"known,omitempty"`
	// Record is that of the run's earlier watches.
	Record operation.WatchRecord `json:"record"`
}

// WatchResult is why a watch ended.
type WatchResult struct {
	Record operation.WatchRecord `json:"record"`
	// End is operation.ReasonPollsUsedUp, operation.ReasonLifetimeOver, or empty where
	// the watch goes on.
	End string `json:"end,omitempty"`
}

const (
	// watchWaitsInWorker is the longest wait of a watch in the worker, which costs one
	// write for each poll; one on the server costs two. shortWatchWait is the least that
	// the longest one may be.
	watchWaitsInWorker = time.Minute
	shortWatchWait     = 10 * time.Second
	// watchTakeover is how much longer than its longest wait a watch may be silent.
	watchTakeover = 20 * time.Second
	// heldBackWait is how long a poll or attempt that was held back waits.
	heldBackWait = 2 * time.Second
	// missingWait is how long a poll waits for a configuration that names its source.
	missingWait = 15 * time.Second
	// maxYields is how often a poll gives way to late callbacks.
	maxYields = 3
)

// WatchHeartbeatTimeout is how long after a worker's death its watches are taken over: a
// little longer than their longest wait in the worker.
func WatchHeartbeatTimeout(p operation.PollPolicy) time.Duration {
	return max(p.LongestGap(watchWaitsInWorker), shortWatchWait) + watchTakeover
}

// Watch polls a source at the policy's gaps until the status is another than in.Known,
// the polls are used up or the lifetime is over (promise 2). Each poll is recorded on
// the server before it is made, by the start of this run or by a heartbeat.
func (a *Activities) Watch(ctx context.Context, in WatchInput) (WatchResult, error) {
	if err := checkWorkflow(ctx, in.Key.WorkflowID()); err != nil {
		return WatchResult{}, err
	}
	w := &watch{
		a: a, in: in, record: in.Record, recorder: a.newRecorder(ctx, overload.Poll), lateness: newLateness(ctx),
	}
	timeout := activity.GetInfo(ctx).HeartbeatTimeout
	w.longestWait = max(timeout-watchTakeover, shortWatchWait)
	if err := w.resume(ctx); err != nil {
		return WatchResult{}, err
	}
	defer a.running.begin(ctx, w.recorder)()
	defer w.recorder.keepAlive(ctx, max(timeout-watchTakeover*3/4, timeout/2, shortWatchWait))()
	for {
		if end := w.record.End(in.Policy, in.AcceptedAt); end != "" {
			return WatchResult{Record: w.record, End: end}, nil
		}
		err := w.wait(ctx)
		changed := false
		if err == nil {
			changed, err = w.poll(ctx)
		}
		switch {
		case err != nil:
			return w.stop(ctx, err)
		case changed:
			return WatchResult{Record: w.record}, nil
		}
	}
}

type watch struct {
	a        *Activities
	in       WatchInput
	record   operation.WatchRecord
	recorder *recorder
	lateness lateness
	// longestWait is how long it may wait in the worker.
	longestWait time.Duration
	// why and kind are what the next wait is for, and the error type of a long one.
	why, kind string
	// due is when the next poll was due before it gave way yields times.
	due    operation.Time
	yields int
}

func (w *watch) resume(ctx context.Context) error {
	lost, err := resume(ctx, w.recorder, &w.record, &w.record.Run, min(w.longestWait, shortWatchWait))
	if err != nil {
		return err
	}
	now := operation.At(time.Now())
	w.why, w.kind = "no poll made yet", TypeWaiting
	w.record.Interrupt()
	if w.record.PollBegunAt.IsZero() {
		w.record.NotBefore = clampFuture(w.record.NotBefore, now)
	}
	w.record.CatchUp(now)
	if lost {
		w.record.Lose(now, w.in.Policy, w.in.AcceptedAt)
	}
	w.recorder.polls.Store(int64(w.record.Polls))
	w.schedule()
	return nil
}

func (w *watch) schedule() {
	w.record.NextPollAt = w.record.Due(w.in.Policy, w.in.AcceptedAt)
	w.recorder.note(w.record)
}

func (w *watch) deadline() operation.Time { return w.in.AcceptedAt.Add(w.in.Policy.Lifetime()) }

// wait waits for the next poll, in the worker if that is short, else on the server.
// Where slots are scarce, only what is below the server's resolution is short.
func (w *watch) wait(ctx context.Context) error {
	due, short := w.record.NextPollAt.Time, w.longestWait
	if w.a.crowded() {
		short = time.Second
	}
	if time.Until(due) <= short {
		return w.recorder.sleepUntil(ctx, due)
	}
	return w.yieldSlot(ctx)
}

func (w *watch) yieldSlot(ctx context.Context) error {
	return w.recorder.yield(ctx, w.record, waitOnServer(w.kind,
		fmt.Sprintf("%s; next poll at %s", w.why, w.record.NextPollAt), w.record.NextPollAt.Time, w.record))
}

// stop ends this run of the activity for err.
func (w *watch) stop(ctx context.Context, err error) (WatchResult, error) {
	switch {
	case errors.Is(err, errEndedByWorkflow):
		return WatchResult{Record: w.record}, nil
	case errors.Is(err, errLost):
		return WatchResult{}, activity.ErrResultPending
	case errors.Is(err, errStopping):
		ctx = context.WithoutCancel(ctx)
		return w.stop(ctx, w.yieldSlot(ctx))
	case errors.Is(err, errPausedOrReset):
		wake := toMonotonic(w.record.NextPollAt)
		w.recorder.repeat(ctx)
		return WatchResult{}, waitOnServer(TypeWaiting, w.why+"; "+err.Error(), wake, w.record)
	}
	return WatchResult{}, err
}

// poll polls once, unless that is held back, and reports whether the status changed.
func (w *watch) poll(ctx context.Context) (changed bool, err error) {
	src, ok := w.a.Source(w.in.Source)
	if !ok {
		w.hold(w.a.sourceMissing(w.in.Source).HeldBack, missingWait)
		return false, nil
	}
	if w.givesWay() {
		return false, nil
	}
	permit, wait, err := w.a.sourceLimiter(w.in.Source).acquire(w.in.Query.OperationID, bulkhead.Activity)
	if err != nil {
		w.a.Metrics.heldBack.WithLabelValues("source", w.in.Source).Inc()
		w.hold("poll held back: "+err.Error(), max(wait, heldBackWait))
		return false, nil //nolint:nilerr // it is made later
	}
	due := w.record.NextPollAt
	if err := w.begin(ctx); err != nil {
		permit.release(0, errNotMade)
		return false, err
	}
	w.reportLateness(due)
	result := w.a.poll(context.WithoutCancel(ctx), src, PollInput{Source: w.in.Source, Query: w.in.Query}, w.record.Polls, permit)
	w.end(result)
	if result.Error != "" && time.Until(w.record.NextPollAt.Time) > shortWatchWait {
		w.recorder.repeat(context.WithoutCancel(ctx)) // else nobody would hear of it until then
	}
	o := result.Observation
	return o != nil && o.Status != "" && o.Status != w.in.Known, nil
}

// begin records the poll on the server before it is made.
func (w *watch) begin(ctx context.Context) error {
	before := w.record
	w.record.BeginPoll(operation.At(time.Now()))
	w.record.NextPollAt = w.record.Due(w.in.Policy, w.in.AcceptedAt) // the next record is written with that poll
	w.recorder.polls.Store(int64(w.record.Polls))
	ctx = context.WithoutCancel(ctx)
	err := w.recorder.record(ctx, w.record)
	if err == nil {
		return nil
	}
	w.record = before
	w.recorder.polls.Store(int64(before.Polls))
	if isStop(err) {
		return err
	}
	return w.recorder.yield(ctx, w.record, notRecorded(fmt.Sprintf("poll %d", w.record.Polls+1), err, w.record))
}

// givesWay puts a poll off while callbacks are late, but not the last one.
func (w *watch) givesWay() bool {
	past := !time.Now().Before(w.deadline().Time)
	if past || w.yields == maxYields || w.a.PollGivesWay == nil || !w.a.PollGivesWay() {
		return false
	}
	if w.yields == 0 {
		w.due = w.record.NextPollAt
	}
	w.yields++
	w.hold("the poll gives way to callbacks that are late", heldBackWait)
	return true
}

// reportLateness reports how late the poll is that begins now.
func (w *watch) reportLateness(due operation.Time) {
	if w.yields > 0 {
		due = w.due
	}
	w.yields = 0
	if w.a.PollBegan != nil {
		w.a.PollBegan(w.lateness.of(due.Time))
	}
}

// hold puts a poll off without counting it; the one at the deadline is dropped.
func (w *watch) hold(why string, wait time.Duration) {
	now := operation.At(time.Now())
	w.why, w.kind = why, TypeHeldBack
	w.record.NotBefore = now.Add(wait)
	if !now.Before(w.deadline()) {
		w.record.PollBegunAt, w.record.PollEndedAt, w.record.Repeat = now, now, false
	}
	w.schedule()
}

// end records a poll's answer.
func (w *watch) end(p PollResult) {
	w.kind = TypeWaiting
	p.RecordIn(&w.record)
	w.why = fmt.Sprintf("poll %d: %s", w.record.Polls, p.Error)
	if p.Observation != nil {
		w.why = fmt.Sprintf("poll %d: status %q is not another yet", w.record.Polls, p.Observation.Status)
	}
	w.schedule()
}
