package activities

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ringback/internal/overload"
)

const (
	// holdAtMost is how long one run of AwaitEndpoint waits for an endpoint on hold. Where
	// a worker is killed, its deliveries wait for the rest of it, also once the endpoint is
	// enabled again.
	holdAtMost = 10 * time.Minute
	// HoldTimeout bounds such a run on the server.
	HoldTimeout = holdAtMost + time.Minute
	// releaseTimeout bounds one call that ends such a run.
	releaseTimeout = 10 * time.Second
)

// holds are the deliveries that wait in this worker while their endpoint is on hold.
// They take no slot: their activity ended without a result, which the worker owes.
type holds struct {
	mu      sync.Mutex
	waiting map[*hold]struct{}
}

// hold is one run of AwaitEndpoint.
type hold struct {
	endpoint string
	over     *time.Timer
	workflow zap.Field
	// end has the server run the activity again.
	end func() error
}

func (h *holds) add(one *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[*hold]struct{}{}
	}
	h.waiting[one] = struct{}{}
}

// take removes one, and reports whether it was there.
func (h *holds) take(one *hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.waiting[one]
	delete(h.waiting, one)
	return ok
}

func (h *holds) all() []*hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.waiting))
}

// waitOnHold waits for an endpoint on hold without a slot, until ReleaseHolds.
func (a *Activities) waitOnHold(ctx context.Context, endpoint string) error {
	ctx = context.WithoutCancel(ctx)
	h := &hold{endpoint: endpoint, workflow: workflowID(ctx), end: func() error {
		ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
		defer cancel()
		return a.Yield(ctx, activity.GetInfo(ctx).TaskToken, stillHeldBack(reasonOnHold(endpoint), time.Millisecond), nil)
	}}
	h.over = time.AfterFunc(holdAtMost, func() { a.release(ctx, h) })
	a.Metrics.onHold.WithLabelValues(endpoint).Inc()
	a.holds.add(h)
	if !a.onHold(endpoint) { // the configuration was reloaded meanwhile
		a.release(ctx, h)
	}
	return activity.ErrResultPending
}

func (a *Activities) onHold(endpoint string) bool {
	e, _ := a.Endpoint(endpoint)
	return e.OnHold
}

// ReleaseHolds lets the deliveries of a go on whose endpoint is no longer on hold, after a
// reload. Where the worker stops, it gives all of them back to the server.
func ReleaseHolds(ctx context.Context, a *Activities, stopping bool) {
	var releasing errgroup.Group
	for _, h := range a.holds.all() {
		if ctx.Err() == nil && (stopping || !a.onHold(h.endpoint)) {
			releasing.Go(func() error { a.release(ctx, h); return nil })
		}
	}
	_ = releasing.Wait()
}

// release ends a wait, unless that was done: the server runs its activity again at once.
// Where ctx ends first, the wait goes on.
func (a *Activities) release(ctx context.Context, h *hold) {
	called, err := a.Pace.Acquire(ctx, overload.Callback)
	if err != nil {
		return
	}
	defer called()
	if !a.holds.take(h) {
		return
	}
	h.over.Stop()
	a.Metrics.onHold.WithLabelValues(h.endpoint).Dec()
	if err := h.end(); err != nil && stopCauseOf(err) == nil {
		a.Log.Warn("the wait for an endpoint on hold could not be ended; it ends by itself",
			zap.String("endpoint", h.endpoint), h.workflow, zap.Duration("within", HoldTimeout), zap.Error(err))
	}
}

func reasonOnHold(endpoint string) string {
	return "the endpoint " + endpoint + " is on hold (enabled: hold)"
}
