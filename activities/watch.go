package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"ringback/internal/bulkhead"
	"ringback/internal/callback"
)

// WatchInput asks to poll until the status changes.
type WatchInput struct {
	Key    callback.Key        `json:"key"`
	Source string              `json:"source"`
	Query  callback.Query      `json:"query"`
	Policy callback.PollPolicy `json:"policy"`
	// AcceptedAt is when the operation was accepted: its lifetime begins here.
	AcceptedAt callback.Time `json:"accepted_at"`
	// Known is the status from which a change is awaited.
	Known string `json:"known,omitempty"`
	// Progress is how far the run's earlier watches came.
	Progress callback.WatchProgress `json:"progress"`
}

// WatchResult is why a watch ended.
type WatchResult struct {
	Progress callback.WatchProgress `json:"progress"`
	// End is empty where the status changed; else callback.ReasonPollsUsedUp
	// or callback.ReasonLifetimeOver.
	End string `json:"end,omitempty"`
	// Unwanted says that the workflow had cancelled the watch.
	Unwanted bool `json:"unwanted,omitempty"`
}

const (
	// WatchHeartbeatTimeout is how long after a worker's death its watches are
	// taken over. Each beat costs as much as ten polls (docs/adr/0020).
	WatchHeartbeatTimeout = 20 * time.Second
	watchBeats            = 10 * time.Second
	// watchWaits is the longest wait for a poll that is sat out in the worker: it
	// costs a beat at most, and one on the server two writes.
	watchWaits = watchBeats
	// heldBackWait is how long a poll or attempt that was held back waits.
	heldBackWait = 2 * time.Second
	// missingWait is how long one waits for a configuration that names its
	// source or endpoint.
	missingWait = 15 * time.Second
	// gaveWayMost is how often a poll gives way to callbacks that are late; then
	// it is made, whatever is late.
	gaveWayMost = 3
)

// Watch polls a source at the policy's gaps until the status is another than
// in.Known, the polls are used up or the lifetime is over (promise 2). The last
// poll is clipped to the lifetime; the one due when the worker was away is made
// late rather than not at all.
func (a *Activities) Watch(ctx context.Context, in WatchInput) (WatchResult, error) {
	defer a.runs()()
	w := &watch{a: a, in: in, at: in.Progress, heart: a.newHeart(ctx), timer: newStopwatch(ctx)}
	if err := w.resume(ctx); err != nil {
		return WatchResult{}, badInput(err)
	}
	stop := w.heart.keepBeating(ctx, watchBeats)
	defer stop()
	for {
		if end := w.end(); end != "" {
			return WatchResult{Progress: w.at, End: end}, nil
		}
		if err := w.wait(ctx); err != nil {
			return w.interrupted(ctx, err)
		}
		if w.poll(ctx) {
			return WatchResult{Progress: w.at}, nil
		}
	}
}

type watch struct {
	a     *Activities
	in    WatchInput
	at    callback.WatchProgress
	heart *heart
	timer stopwatch
	// why is what the next wait is for, as operators read it.
	why string
	// kind is the error type with which the next long wait is left.
	kind string
	// due is when the next poll was due before it gave way, and gaveWay how often
	// it did.
	due     callback.Time
	gaveWay int
}

func (w *watch) resume(ctx context.Context) error {
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &w.at); err != nil {
			return fmt.Errorf("reading the watch's own record: %w", err)
		}
	}
	w.why, w.kind = "no poll made yet", TypeWaiting
	w.catchUp()
	w.schedule()
	w.heart.note(w.at)
	return nil
}

func (w *watch) deadline() time.Time { return w.in.AcceptedAt.Time.Add(w.in.Policy.Lifetime()) }

// end is why no further poll is due, or empty.
func (w *watch) end() string {
	if w.in.Policy.UsedUp(w.at.Polls) {
		return callback.ReasonPollsUsedUp
	}
	if !w.at.BegunAt.Before(callback.At(w.deadline())) {
		return callback.ReasonLifetimeOver
	}
	return ""
}

// schedule sets when the next poll is due: the gap after the latest poll's
// beginning (after its end, where it outlasted the gap), never past the
// deadline.
func (w *watch) schedule() {
	due := w.in.AcceptedAt.Add(w.in.Policy.InitialDelay())
	if !w.at.BegunAt.IsZero() {
		gap := w.in.Policy.Gap(w.at.Polls)
		due = w.at.BegunAt.Add(gap)
		if w.at.EndedAt.After(due) {
			due = w.at.EndedAt.Add(gap)
		}
	}
	if w.at.NotBefore.After(due) {
		due = w.at.NotBefore
	}
	if deadline := callback.At(w.deadline()); due.After(deadline) {
		due = deadline
	}
	w.at.NextPollAt = due
}

// catchUp counts the gap from now where the record says that the latest poll is
// yet to come: the clock was set back since, and the next one would be late by
// that much (docs/adr/0045).
func (w *watch) catchUp() {
	now := callback.At(time.Now())
	if w.at.BegunAt.IsZero() {
		w.at.NotBefore = putOff(w.at.NotBefore, now)
		return
	}
	ahead := w.at.BegunAt.Sub(now.Time)
	if ahead <= 0 {
		return
	}
	w.at.BegunAt, w.at.EndedAt = w.at.BegunAt.Add(-ahead), w.at.EndedAt.Add(-ahead)
	if !w.at.NotBefore.IsZero() {
		w.at.NotBefore = w.at.NotBefore.Add(-ahead)
	}
}

// wait waits for the next poll: in the worker if that is short, else it returns
// the error that lets the server wake the activity. Where slots are scarce, only
// what is below the server's resolution is sat out.
func (w *watch) wait(ctx context.Context) error {
	due, short := w.at.NextPollAt.Time, watchWaits
	if w.a.crowded() {
		short = time.Second
	}
	if time.Until(due) <= short {
		return w.heart.sleepUntil(ctx, due)
	}
	return w.giveBack(ctx)
}

func (w *watch) giveBack(ctx context.Context) error {
	return w.heart.yield(ctx, w.at,
		waitOnServer(w.kind, fmt.Sprintf("%s; next poll at %s", w.why, w.at.NextPollAt), w.at.NextPollAt.Time))
}

func (w *watch) interrupted(ctx context.Context, err error) (WatchResult, error) {
	switch {
	case errors.Is(err, errUnwanted):
		return WatchResult{Progress: w.at, Unwanted: true}, nil
	case errors.Is(err, errLost):
		return WatchResult{}, activity.ErrResultPending
	case errors.Is(err, errStopping):
		ctx = context.WithoutCancel(ctx)
		return w.interrupted(ctx, w.giveBack(ctx))
	case errors.Is(err, errInterrupted):
		wake := unset(w.at.NextPollAt)
		w.heart.repeat(ctx)
		return WatchResult{}, waitOnServer(TypeWaiting, w.why+"; "+err.Error(), wake)
	}
	return WatchResult{}, err
}

// poll asks once and reports whether the status changed.
func (w *watch) poll(ctx context.Context) bool {
	src, ok := w.a.Source(w.in.Source)
	if !ok {
		w.hold(w.a.sourceMissing(w.in.Source).HeldBack, missingWait)
		return false
	}
	if w.givesWay() {
		return false
	}
	release, err := w.a.sources.of(w.in.Source).acquire((*bulkhead.Bulkhead).Acquire)
	if err != nil {
		w.a.Metrics.heldBack.WithLabelValues("source", w.in.Source).Inc()
		w.hold("poll held back: "+err.Error(), heldBackWait)
		return false
	}
	w.begins()
	answer := w.a.ask(context.WithoutCancel(ctx), src, PollInput{Source: w.in.Source, Query: w.in.Query}, release)
	w.take(answer)
	o := answer.Observation
	return o != nil && o.Status != "" && o.Status != w.in.Known
}

// givesWay puts a poll off while callbacks are late, for a few times. The last
// one, at the deadline, is made all the same.
func (w *watch) givesWay() bool {
	past := !time.Now().Before(w.deadline())
	if past || w.gaveWay == gaveWayMost || w.a.PollGivesWay == nil || !w.a.PollGivesWay() {
		return false
	}
	if w.gaveWay == 0 {
		w.due = w.at.NextPollAt
	}
	w.gaveWay++
	w.hold("the poll gives way to callbacks that are late", heldBackWait)
	return true
}

// begins tells how late the poll is that begins now.
func (w *watch) begins() {
	due := w.at.NextPollAt
	if w.gaveWay > 0 {
		due = w.due
	}
	w.gaveWay = 0
	if w.a.PollBegan != nil {
		w.a.PollBegan(w.timer.late(due.Time))
	}
}

// hold puts a poll off without counting it; the one at the deadline is dropped.
func (w *watch) hold(why string, wait time.Duration) {
	now := callback.At(time.Now())
	w.why, w.kind = why, TypeHeldBack
	w.at.NotBefore = now.Add(wait)
	if !now.Before(callback.At(w.deadline())) {
		w.at.BegunAt = now
	}
	w.schedule()
	w.heart.note(w.at)
}

// take keeps one poll's answer.
func (w *watch) take(p PollResult) {
	w.at.BegunAt, w.at.EndedAt, w.at.NotBefore = p.BegunAt, p.EndedAt, p.NotBefore
	w.kind = TypeWaiting
	if p.Free {
		// A little after the breaker, which opened after the poll's end.
		w.at.NotBefore = p.EndedAt.Add(sourceOpens + 100*time.Millisecond)
	} else {
		w.at.Polls++
	}
	w.why = fmt.Sprintf("poll %d: %s", w.at.Polls, p.Error)
	if p.Observation != nil {
		// It was asked for after the one before it was known, whatever the clock says.
		newer := p.Observation.Following(w.at.Last)
		w.at.Last = &newer
		w.why = fmt.Sprintf("poll %d: status %q is not another yet", w.at.Polls, p.Observation.Status)
	}
	w.schedule()
	w.heart.note(w.at)
}
