package activities

import (
	"context"
	"time"

	"ringback/internal/operation"
)

const (
	// recordsEarly is how much before its time an attempt is recorded, so that recording
	// it does not lengthen h. Where the record before it took longer it is twice as long
	// as that, maxRecordEarly at most.
	recordsEarly   = 25 * time.Millisecond
	maxRecordEarly = 200 * time.Millisecond
	// longestHold is the longest that an attempt is held back at a time.
	longestHold = 8 * heldBackWait
	// clockSkew is within what the clocks of two workers are taken to agree.
	clockSkew = time.Second
)

// awaitInterval waits for h after the end of the attempt before, but for the time that
// recording the next one takes, and returns when that is due. A short wait is sat out
// in the worker, a long one on the server.
func (d *delivery) awaitInterval(ctx context.Context) (due time.Time, err error) {
	d.adjustToClock()
	due = toMonotonic(d.record.Due(d.h))
	early := min(max(recordsEarly, 2*d.recorder.lastTook()), maxRecordEarly, d.h/2)
	until := due.Add(-early)
	if time.Until(until) <= waitsInWorker {
		return due, d.recorder.sleepUntil(ctx, until)
	}
	return due, d.yieldSlot(ctx, "")
}

// adjustToClock counts h from now if the record's times lie so far ahead that the
// clock must have been set back.
func (d *delivery) adjustToClock() {
	now := operation.At(time.Now())
	if d.record.Made == 0 {
		d.record.NotBefore = clampFuture(d.record.NotBefore, now)
		return
	}
	d.record.CatchUp(now, now.Add(d.in.Policy.Timeout()+clockSkew))
}

// clampFuture is until when the first poll or attempt of all is held back: now, where
// the record says longer than anything is, since the clock was set back.
func clampFuture(notBefore, now operation.Time) operation.Time {
	if notBefore.After(now.Add(longestHold)) {
		return now
	}
	return notBefore
}

// toMonotonic is due by the monotonic clock: recorded times are wall-clock, which may be
// set during the wait. What is due at once stays the zero time.
func toMonotonic(due operation.Time) time.Time {
	if due.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	return now.Add(due.Sub(now))
}
