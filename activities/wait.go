package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
)

const (
	// waitsInWorker is the longest wait that a running activity sits out; a
	// longer one gives the slot back.
	waitsInWorker = 5 * time.Second
	// wakesEarly is how much before its time the server is asked to wake an
	// activity, which then waits out the rest: the server is late, never early.
	wakesEarly = 500 * time.Millisecond
	// crowdedShare is which part of the worker's slots may be taken before watches
	// give theirs back sooner: deliveries need some.
	crowdedShare = 0.8
	// clockSkew is within what the clocks of two workers are taken to agree.
	clockSkew = time.Second
)

// waitOnServer is the error with which an activity gives its slot back until due.
// details are its record, which reaches the workflow where that cancels the
// activity at the same moment; they must be small (4 KB).
func waitOnServer(kind, message string, due time.Time, details ...any) error {
	// The zero time is as long ago as a duration can say: nothing is taken off it.
	delay := max(time.Until(due), wakesEarly+time.Millisecond) - wakesEarly
	return temporal.NewApplicationErrorWithOptions(message, kind, temporal.ApplicationErrorOptions{
		NextRetryDelay: delay,
		Category:       temporal.ApplicationErrorCategoryBenign,
		Details:        details,
	})
}

// notRecorded is the error with which an activity gives its slot back where the
// server did not take the record of what, a poll or an attempt. record is what
// stands, as it reaches the workflow.
func notRecorded(what string, err error, record any) error {
	return temporal.NewApplicationErrorWithOptions(
		fmt.Sprintf("%s could not be recorded and was not made: %v", what, err), TypeNotRecorded,
		temporal.ApplicationErrorOptions{NextRetryDelay: heldBackWait, Cause: err, Details: []any{record}})
}

// crowded reports whether most slots of the worker are taken.
func (a *Activities) crowded() bool {
	return a.Slots > 0 && float64(a.running.count.Load()) > crowdedShare*float64(a.Slots)
}

// toMonotonic is due by the monotonic clock, from now on: recorded times are
// wall-clock and may be adjusted during the wait. What is due at
// once stays the zero time.
func toMonotonic(due operation.Time) time.Time {
	if due.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	return now.Add(due.Sub(now))
}

// clampFuture is until when the first poll or attempt of all is held back: now,
// where the record says longer than anything is, since the clock was set back.
func clampFuture(notBefore, now operation.Time) operation.Time {
	if notBefore.After(now.Add(longestHold)) {
		return now
	}
	return notBefore
}

// lateness measures how late the polls and attempts of one run of an activity
// begin.
type lateness struct {
	begun time.Time
	// queued is how long the activity waited for a worker until this run; later
	// runs are woken when something is due.
	queued time.Duration
	first  bool
}

func newLateness(ctx context.Context) lateness {
	info := activity.GetInfo(ctx)
	return lateness{begun: time.Now(), queued: info.StartedTime.Sub(info.ScheduledTime), first: info.Attempt == 1}
}

// of is now minus due. For a first run, and for what is due at once, it is capped
// at the queueing delay, measured by server time.
func (l lateness) of(due time.Time) time.Duration {
	late := time.Since(due)
	if l.first || due.IsZero() {
		return min(late, l.queued+time.Since(l.begun))
	}
	return late
}
