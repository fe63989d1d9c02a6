package activities

import (
	"time"

	"ringback/internal/operation"
)

// Recorded times are wall-clock and may have been adjusted since; within one run
// of an activity use the monotonic clock (docs/adr/0045).

// clockSkew is within what the clocks of two workers are taken to agree.
const clockSkew = time.Second

// toMonotonic is due by the monotonic clock, from now on. What is due at once
// stays the zero time.
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
