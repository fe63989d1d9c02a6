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
	// HoldTimeout bounds such a run on the server, which begins the next one up to half a
	// minute later (workflows/deliver.go).
	HoldTimeout = holdAtMost + 30*time.Second
	// releaseTimeout bounds one call that ends such a run, and releaseRetry is how long
	// after one that failed it is made again.
	releaseTimeout = 10 * time.Second
	releaseRetry   = 2 * time.Second
	// releasesAtOnce is how many such runs are ended at a time: the records of deliveries
	// that go on do not wait behind thousands of them.
	releasesAtOnce = 8
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
	// end completes the activity, or has the server run it again where the endpoint is on
	// hold still.
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
	h := &hold{endpoint: endpoint, end: func() error {
		ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
		defer cancel()
		token := activity.GetInfo(ctx).TaskToken
		if !a.onHold(endpoint) {
			// Completed, not run again: if that run's task were lost, the server would wait
			// for it as long as for an endpoint on hold.
			return a.Complete(ctx, token)
		}
		return a.Yield(ctx, token, stillHeldBack(reasonOnHold(endpoint), time.Millisecond), nil)
	}}
	h.over = time.AfterFunc(holdAtMost, func() {
		if err := a.release(ctx, h); err != nil && a.holds.take(h) {
			a.ended(h)
			a.Log.Warn("the wait for an endpoint on hold could not be ended; it ends by itself",
				zap.String("endpoint", endpoint), workflowID(ctx), zap.Duration("within", HoldTimeout-holdAtMost), zap.Error(err))
		}
	})
	a.Metrics.onHold.WithLabelValues(endpoint).Inc()
	a.holds.add(h)
	if !a.onHold(endpoint) && a.holds.take(h) { // the configuration was reloaded meanwhile
		a.ended(h)
		return nil
	}
	return activity.ErrResultPending
}

func (a *Activities) ended(h *hold) {
	h.over.Stop()
	a.Metrics.onHold.WithLabelValues(h.endpoint).Dec()
}

func (a *Activities) onHold(endpoint string) bool {
	e, _ := a.Endpoint(endpoint)
	return e.OnHold
}

// ReleaseHolds lets the deliveries of a go on whose endpoint is no longer on hold, after a
// reload, and goes on until the server has taken them back. Where the worker stops, it
// tries to give back all of them, once.
func ReleaseHolds(ctx context.Context, a *Activities, stopping bool) {
	for !a.releaseAll(ctx, stopping) && !stopping {
		select {
		case <-ctx.Done():
			return
		case <-time.After(releaseRetry):
		}
	}
}

// releaseAll reports whether it failed for none.
func (a *Activities) releaseAll(ctx context.Context, stopping bool) (done bool) {
	var releasing errgroup.Group
	releasing.SetLimit(releasesAtOnce)
	for _, h := range a.holds.all() {
		if ctx.Err() == nil && (stopping || !a.onHold(h.endpoint)) {
			releasing.Go(func() error { return a.release(ctx, h) })
		}
	}
	return releasing.Wait() == nil
}

// release ends a wait, unless that was done. After an error the wait goes on.
func (a *Activities) release(ctx context.Context, h *hold) error {
	called, err := a.Pace.Acquire(ctx, overload.Callback)
	if err != nil {
		return err
	}
	defer called()
	if !a.holds.take(h) {
		return nil
	}
	if err := h.end(); err != nil && stopCauseOf(err) == nil {
		a.holds.add(h)
		return err
	}
	a.ended(h)
	return nil
}

func reasonOnHold(endpoint string) string {
	return "the endpoint " + endpoint + " is on hold (enabled: hold)"
}
