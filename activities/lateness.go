package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// crowdedShare is which part of the worker's slots may be taken before watches
// leave theirs sooner: callbacks need some.
const crowdedShare = 0.8

// crowded reports whether most slots of the worker are taken.
func (a *Activities) crowded() bool {
	return a.Slots > 0 && float64(a.running.count()) > crowdedShare*float64(a.Slots)
}

// lateness tells how late something begins that a run of an activity waited for.
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
