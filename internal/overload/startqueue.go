package overload

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
)

const (
	// minStarts, maxStarts and firstStarts bound how many starts run at once where
	// that follows their latency.
	minStarts   = 16
	maxStarts   = 256
	firstStarts = 32
	// latencyWindows is how many windows of a second or longer the limiter
	// remembers for comparison.
	latencyWindows = 60
	// maxWaiting bounds the queue.
	maxWaiting = 1024
	// The first frontOfQueue starts wait for up to frontWait: so many callers with
	// one call after another each are never refused. Those behind them wait for
	// burstWait, or for standingWait once there has been a queue for that long.
	frontOfQueue = 64
	frontWait    = 5 * time.Second
	burstWait    = 3 * time.Second
	standingWait = time.Second
)

// startQueue runs as many starts at once as their latency allows, and fewer while
// callbacks are late; the others wait, first come, first served.
//
// The limit by latency is failsafe-go's. Its queue is not used: nothing outside
// can lower its limit, its length follows the limit, and its wait does not depend
// on the place in the queue.
type startQueue struct {
	// fixed is how many run at once, or 0 to follow the latency.
	fixed func() int
	// share is which part of the range from one to the limit is in use, 1 for all.
	share   func() float64
	latency adaptivelimiter.AdaptiveLimiter[any]

	mu      sync.Mutex
	running int
	// waiting is the queue; a channel is closed when its start may run.
	waiting []chan struct{}
	// emptyAt is when the queue was last empty.
	emptyAt time.Time
}

func newStartQueue(fixed func() int, share func() float64) *startQueue {
	return &startQueue{
		fixed: fixed, share: share,
		latency: adaptivelimiter.NewBuilder[any]().WithLimits(minStarts, maxStarts, firstStarts).
			WithBaselineWindow(latencyWindows).
			// A calm time is no reason to refuse the burst after it.
			WithMaxLimitFunc(func(int) float64 { return maxStarts }).
			Build(),
	}
}

// acquire waits for the start's turn; false if it does not come in time. The
// caller calls release once, with the error that the start ended with.
func (q *startQueue) acquire(ctx context.Context) (release func(error), ok bool) {
	turn, wait := q.enqueue()
	if turn == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if !q.await(ctx, turn) {
		return nil, false
	}
	// There is none where a fixed limit is above that of the latency: then
	// nothing is measured.
	permit, measured := q.latency.TryAcquirePermit()
	return func(err error) {
		switch {
		case !measured:
		case err == nil || errors.Is(err, context.DeadlineExceeded):
			permit.Record()
		default:
			permit.Drop() // it may have failed before it reached the server
		}
		q.release()
	}, true
}

// enqueue returns the start's turn and how long to wait for it; nil if the queue
// is full.
func (q *startQueue) enqueue() (turn chan struct{}, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == maxWaiting {
		return nil, 0
	}
	now := time.Now()
	turn = make(chan struct{})
	q.waiting = append(q.waiting, turn)
	q.runNext()
	if len(q.waiting) == 0 || q.emptyAt.IsZero() {
		q.emptyAt = now
	}
	switch {
	case len(q.waiting) <= frontOfQueue:
		return turn, frontWait
	case now.Sub(q.emptyAt) <= burstWait:
		return turn, burstWait
	}
	return turn, standingWait
}

// await reports whether the turn came before ctx ended.
func (q *startQueue) await(ctx context.Context, turn chan struct{}) bool {
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, turn)
	if i < 0 {
		return true // it came at the same moment
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return false
}

func (q *startQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	q.runNext()
}

// runNext lets those run that have waited longest, as far as the limit allows.
func (q *startQueue) runNext() {
	for limit := q.limit(); len(q.waiting) > 0 && q.running < limit; q.running++ {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
	}
}

// limit is how many may run at once, at least one. It is raised to a power below
// one while callbacks are late, because a linear cut still saturates the server.
func (q *startQueue) limit() int {
	limit := q.fixed()
	if limit == 0 {
		limit = q.latency.Limit()
	}
	return max(int(math.Round(math.Pow(float64(limit), q.share()))), 1)
}

type queueState struct{ limit, running, waiting int }

func (q *startQueue) state() queueState {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queueState{q.limit(), q.running, len(q.waiting)}
}
