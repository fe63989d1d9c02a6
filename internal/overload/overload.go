// Package overload decides what goes first while there is more to do than Temporal
// can: callbacks, then polls, then starts (docs/adr/0015).
//
// Starts run as many at a time as their measured latency allows, fewer while
// callbacks are late, and wait for a moment in a bounded queue, in which each endpoint
// has its turn and troubled ones wait behind the others. A share of the polls is put
// off if limiting starts does not help. The number of calls of each kind at once is
// limited, which bounds memory.
package overload

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"ringback/internal/operation"
)

// Work is a kind of work that competes with others.
type Work string

// The kinds of work.
const (
	// Start begins an operation, or the redelivery of one.
	Start Work = "start"
	// Search reads visibility: a list, a count, a bulk redelivery, which begins with one.
	Search Work = "search"
	// Change changes an open operation: a push, a revocation, a withdrawal.
	Change Work = "change"
	// Read reads one operation.
	Read Work = "read"
	// Request is any call of the API, beside its own kind.
	Request Work = "request"
	// Poll is one request to a source.
	Poll Work = "poll"
	// Redelivery is one operation of a bulk redelivery.
	Redelivery Work = "redelivery"
	// Callback is one attempt of a delivery. It is never refused or put off.
	Callback Work = "callback"
)

// Why something was refused or put off.
const (
	// reasonLate: callbacks or polls are late.
	reasonLate = "late"
	// reasonQueue: its turn did not come in time, or too many wait already.
	reasonQueue = "queue"
	// reasonBound: as many calls of the kind run as may at once.
	reasonBound = "bound"
)

// bound is how many calls of a kind may run at once, and how long one more waits.
type bound struct {
	*semaphore.Weighted
	wait   time.Duration
	reason string
}

func newBound(atOnce int64, wait time.Duration, reason string) bound {
	return bound{semaphore.NewWeighted(atOnce), wait, reason}
}

func (b bound) acquire(ctx context.Context) bool {
	if b.TryAcquire(1) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	return b.Weighted.Acquire(ctx, 1) == nil
}

// Limiter is the overload protection of one program. Its methods are safe for
// concurrent use.
type Limiter struct {
	pressure pressure
	starts   *startQueue
	bounds   map[Work]bound
	pace     *Pace
	metrics  *metrics
}

// New makes a Limiter whose metrics are in r. Two things are read at each start:
// startsAtOnce, how many may run at once, or 0 to follow their latency; and whether an
// endpoint is troubled, because most of its latest attempts failed or were slow.
func New(r prometheus.Registerer, startsAtOnce func() int, troubled func(endpoint string) bool) *Limiter {
	l := &Limiter{
		pace: NewPace(),
		// Each call is a goroutine and at most 64 KiB of body: some 300 MiB at the worst.
		bounds: map[Work]bound{
			Request: newBound(4096, 0, reasonBound),
			Change:  newBound(1024, 0, reasonBound),
			Read:    newBound(512, 0, reasonBound),
			Search:  newBound(32, time.Second, reasonQueue),
		},
	}
	l.starts = newStartQueue(startsAtOnce, l.pressure.shares, troubled, l.pace)
	l.metrics = newMetrics(r, l)
	return l
}

// Pace is that of the activities' calls to Temporal.
func (l *Limiter) Pace() *Pace { return l.pace }

// Acquire waits until a call of the API about an endpoint may go on, or refuses it with
// an operation.ProblemOverloaded, of which the API makes a 503 with Retry-After. The
// caller calls release once, with the error that the call ended with.
//
// Lateness refuses no start by itself: it lowers how many run at once, so that the
// start's turn does not come in time (reasonQueue).
func (l *Limiter) Acquire(ctx context.Context, w Work, endpoint string) (release func(error), err error) {
	if w == Start {
		release, ok := l.starts.acquire(ctx, endpoint)
		if !ok {
			return nil, l.refuse(w, reasonQueue)
		}
		return release, nil
	}
	if w == Search && !l.Allow(w) {
		return nil, l.refusal()
	}
	b := l.bounds[w]
	if !b.acquire(ctx) {
		return nil, l.refuse(w, b.reason)
	}
	return func(error) { b.Release(1) }, nil
}

func (l *Limiter) refuse(w Work, reason string) error {
	l.metrics.shed.WithLabelValues(string(w), reason).Inc()
	return l.refusal()
}

// refusal asks to come back after 1 to 5 s: the later the fewer starts run, and
// at random, so that not all come back at once.
func (l *Limiter) refusal() error {
	spread := time.Second + time.Duration((1-l.pressure.shares().starts)*float64(3*time.Second))
	return &operation.Error{
		Problem:    operation.ProblemOverloaded,
		Detail:     "Ringback is overloaded and did nothing about this request; wait as Retry-After says, then send the same request again.",
		RetryAfter: time.Second + rand.N(spread), //nolint:gosec // spreads load
	}
}

// Allow reports whether a poll, a search or the next operation of a bulk
// redelivery may go on now, and counts it if not: of each a share is put off
// while callbacks are late.
func (l *Limiter) Allow(w Work) bool {
	shares := l.pressure.shares()
	share := shares.starts
	if w == Poll {
		share = shares.polls
	}
	if share == 1 || rand.Float64() < max(share, minShare) { //nolint:gosec // which one is put off is no secret
		return true
	}
	l.metrics.shed.WithLabelValues(string(w), reasonLate).Inc()
	return false
}

// ObserveDelay takes how late an attempt of a delivery (Callback) or a poll
// began, after it was due.
func (l *Limiter) ObserveDelay(w Work, late time.Duration) {
	late = max(late, 0)
	l.metrics.late.WithLabelValues(string(w)).Observe(late.Seconds())
	l.pressure.observeDelay(w, late)
}

// Backlog is how long the oldest task of a kind waits on the server for a worker.
type Backlog struct {
	// Callbacks is that of deliveries and of workflow tasks.
	Callbacks time.Duration
	Polls     time.Duration
}

// ObserveBacklog takes what waits on the server, and what of it waits for workers of this
// build, which is shown alone. It holds for three seconds.
func (l *Limiter) ObserveBacklog(all, own Backlog) { l.pressure.observeBacklog(all, own) }
