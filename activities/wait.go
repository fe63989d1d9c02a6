package activities

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
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
