package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// lateness measures how late the polls and attempts of one run of an activity begin.
type lateness struct {
	begun time.Time
	// queued is how long the activity waited for a worker until this run.
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
