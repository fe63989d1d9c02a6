package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// crowdedShare is which part of the worker's slots may be taken before watches
// leave theirs sooner: callbacks need some.
const crowdedShare = 0.8

// runs counts a delivery or watch as running until over is called.
func (a *Activities) runs() (over func()) {
	a.running.Add(1)
	return func() { a.running.Add(-1) }
}

// crowded reports whether most slots of the worker are taken.
func (a *Activities) crowded() bool {
	return a.Slots > 0 && float64(a.running.Load()) > crowdedShare*float64(a.Slots)
}

// stopwatch tells how late something begins that a run of an activity waited for.
type stopwatch struct {
	begun time.Time
	// queued is how long the activity waited for a worker until this run; later
	// runs are woken when something is due.
	queued time.Duration
	first  bool
}

func newStopwatch(ctx context.Context) stopwatch {
	info := activity.GetInfo(ctx)
	return stopwatch{begun: time.Now(), queued: info.StartedTime.Sub(info.ScheduledTime), first: info.Attempt == 1}
}

// late is for how long it has been due. A first run may take up what was due
// long ago: it is late since it was scheduled, by the server's clock alone. So is
// what is due at once.
func (s stopwatch) late(due time.Time) time.Duration {
	late := time.Since(due)
	if s.first || due.IsZero() {
		return min(late, s.queued+time.Since(s.begun))
	}
	return late
}
