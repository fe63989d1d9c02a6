package activities

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
)

const (
	// waitsInWorker is the longest wait that an activity sits out in the worker.
	waitsInWorker = 5 * time.Second
	// wakesEarly is how much before its time the server is asked to retry an activity:
	// the server is late, never early.
	wakesEarly = 500 * time.Millisecond
	// crowdedShare of the worker's slots may be taken before watches give theirs back sooner.
	crowdedShare = 0.8
)

// waitOnServer is the error with which an activity gives its slot back until due.
// details are its record (4 KB at most), for a workflow that cancels it at the same
// moment.
func waitOnServer(kind, message string, due time.Time, details ...any) error {
	// The zero time is as long ago as a duration can say: nothing is taken off it.
	delay := max(time.Until(due), wakesEarly+time.Millisecond) - wakesEarly
	return temporal.NewApplicationErrorWithOptions(message, kind, temporal.ApplicationErrorOptions{
		NextRetryDelay: delay,
		Category:       temporal.ApplicationErrorCategoryBenign,
		Details:        details,
	})
}

// notRecorded is the error of an activity whose poll or attempt the server did not record.
func notRecorded(what string, err error, record any) error {
	return temporal.NewApplicationErrorWithOptions(
		fmt.Sprintf("%s could not be recorded and was not made: %v", what, err), TypeNotRecorded,
		temporal.ApplicationErrorOptions{NextRetryDelay: heldBackWait, Cause: err, Details: []any{record}})
}

// crowded reports whether most slots of the worker are taken.
func (a *Activities) crowded() bool {
	return a.Slots > 0 && float64(a.running.count.Load()) > crowdedShare*float64(a.Slots)
}
