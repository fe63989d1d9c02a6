package activities

import (
	"context"
	"time"

	"ringback/internal/operation"
)

const (
	// recordsEarly is how much before its time an attempt is recorded, so that
	// recording does not lengthen h; twice as long as the record before took,
	// maxRecordEarly at most.
	recordsEarly   = 25 * time.Millisecond
	maxRecordEarly = 200 * time.Millisecond
	// longestHold is the longest that an attempt is held back at a time.
	longestHold = 8 * heldBackWait
	// clockSkew is within what the clocks of two workers are taken to agree.
	clockSkew = time.Second
)

// awaitInterval waits for h after the end of the attempt before, less the time to
// record the next one, and returns when that is due.
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

// adjustToClock counts h from now if the clock was set back since the record was made.
func (d *delivery) adjustToClock() {
	now := operation.At(time.Now())
	if d.record.Made == 0 {
		d.record.NotBefore = clampFuture(d.record.NotBefore, now)
		return
	}
	d.record.CatchUp(now, now.Add(d.in.Policy.Timeout()+clockSkew))
}

// clampFuture is until when the first poll or attempt of all is held back: now, if that
// is so far off that the clock was set back.
func clampFuture(notBefore, now operation.Time) operation.Time {
	if notBefore.After(now.Add(longestHold)) {
		return now
	}
	return notBefore
}

// toMonotonic is due by the monotonic clock: recorded times are wall-clock, which may
// be set during the wait. The zero time stays.
func toMonotonic(due operation.Time) time.Time {
	if due.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	return now.Add(due.Sub(now))
}
