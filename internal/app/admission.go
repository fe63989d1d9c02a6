package app

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"ringback/activities"
	"ringback/internal/overload"
	"ringback/internal/service"
)

const (
	// connectionsAtOnce bounds the connections of a program's listener; more wait
	// in the kernel until one ends.
	connectionsAtOnce = 10_000
	// backlogSeen is how often the server is asked how much waits, and
	// backlogTimeout bounds the question.
	backlogSeen    = time.Second
	backlogTimeout = 2 * time.Second
)

const (
	// pollersAtLeast is more than the partitions of a task queue on the server (4
	// unless it is told otherwise): what waits in one at which nobody asks stays
	// there for up to a minute, the time of one long poll, as soon as it has
	// waited for 5 s (docs/adr/0046).
	pollersAtLeast = 8
	// pollersAtMost bounds how much a worker takes up at once.
	pollersAtMost = 16
)

// pollers ask for work, more of them while more waits: two, as the SDK has it,
// bring no more than two in the time that the server takes to answer, which is
// long when it matters.
func pollers() worker.PollerBehavior {
	return worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: pollersAtLeast, MinimumNumberOfPollers: pollersAtLeast, MaximumNumberOfPollers: pollersAtMost,
	})
}

// openAdmission makes what says who goes first.
func (p *program) openAdmission() {
	p.overload = overload.New(p.metrics, func() int { return p.registry.config().API.MaxStarts })
}

// givingWay lets the worker tell how late it is, and its polls and bulk
// redeliveries give way.
func (p *program) givingWay(a *activities.Activities) {
	a.Slots = activitySlots
	a.AttemptBegan = func(late time.Duration) { p.overload.ObserveDelay(overload.Callback, late) }
	a.PollBegan = func(late time.Duration) { p.overload.ObserveDelay(overload.Poll, late) }
	a.PollGivesWay = func() bool { return !p.overload.Allow(overload.Poll) }
	a.RedeliveryGivesWay = func() bool { return !p.overload.Allow(overload.Redelivery) }
}

// followBacklog looks at how much waits on the server until ctx ends.
func (p *program) followBacklog(ctx context.Context) *sync.WaitGroup {
	var following sync.WaitGroup
	following.Go(func() {
		ticker := time.NewTicker(backlogSeen)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.seeBacklog(ctx)
			}
		}
	})
	return &following
}

// seeBacklog asks once. What the server does not say is not known to be late.
func (p *program) seeBacklog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	seen, err := service.SeeBacklog(ctx, p.client, p.Temporal.Namespace, p.backlogCounts()...)
	if err != nil {
		p.Log.Debug("how much waits on the server is not known", zap.Error(err))
		return
	}
	p.overload.ObserveBacklog(seen)
}
