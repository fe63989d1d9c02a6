// Package overload says who goes first while there is more to do than can be
// done: callbacks, then polls, then starts (docs/adr/0043).
//
// Three things bound what is let in. Calls that begin work enter the engine as
// many at a time as its measured latency allows, fewer while callbacks are late,
// and wait for a moment in a bounded queue. Of the polls a share gives way while
// callbacks are late and that was not enough. And every kind of call is bounded in
// number, so that memory is.
package overload

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"ringback/internal/operation"
)

// Work is what is let in, or gives way.
type Work string

// The kinds of work.
const (
	// Start begins an operation, or the redelivery of one or many.
	Start Work = "start"
	// Search asks visibility: a list, a count, a dry run.
	Search Work = "search"
	// Change says something to an operation: a push, a revocation, a withdrawal.
	Change Work = "change"
	// Read asks for one operation.
	Read Work = "read"
	// Request is any call of the API, whatever it asks for.
	Request Work = "request"
	// Poll is one question to a source.
	Poll Work = "poll"
	// Redelivery is one operation of a bulk redelivery.
	Redelivery Work = "redelivery"
	// Callback is one attempt of a delivery. It never gives way.
	Callback Work = "callback"
)

// Why something was shed.
const (
	// reasonLate: callbacks are late, or polls.
	reasonLate = "late"
	// reasonQueue: its turn did not come in time, or too many wait already.
	reasonQueue = "queue"
	// reasonBound: as many as there may be are on their way.
	reasonBound = "bound"
)

// How many calls of a kind may be on their way at once. Each is a goroutine and
// at most 64 KiB of body, so that together they take some 300 MiB at the worst.
const (
	requestsAtOnce = 4096
	changesAtOnce  = 1024
	readsAtOnce    = 512
	searchesAtOnce = 32
)

// searchWaits is how long a search may wait for one of the others to end.
const searchWaits = time.Second

// Control is the admission of one program. Its methods are safe for concurrent use.
type Control struct {
	pressure pressure
	starts   starts
	bounds   map[Work]*semaphore.Weighted
	metrics  *metrics
}

// New makes a Control whose metrics are in r. startsAtOnce is read at each
// start: how many may be in the engine at once, or 0 to follow its latency.
func New(r prometheus.Registerer, startsAtOnce func() int) *Control {
	c := &Control{
		bounds: map[Work]*semaphore.Weighted{
			Request: semaphore.NewWeighted(requestsAtOnce), Change: semaphore.NewWeighted(changesAtOnce),
			Read: semaphore.NewWeighted(readsAtOnce), Search: semaphore.NewWeighted(searchesAtOnce),
		},
	}
	c.starts.fixed = startsAtOnce
	c.starts.share = func() float64 { return c.pressure.shares().starts }
	c.metrics = newMetrics(r, c)
	return c
}

// Enter lets a call of the API in, or refuses it as a operation.ProblemOverloaded that says
// when to come back. Who was let in must call leave once, with how it ended.
func (c *Control) Enter(ctx context.Context, w Work) (leave func(error), err error) {
	switch w {
	case Start:
		return c.enterStart(ctx)
	case Search:
		return c.enterSearch(ctx)
	default:
		return c.enterBound(w)
	}
}

func (c *Control) enterBound(w Work) (leave func(error), err error) {
	bound := c.bounds[w]
	if !bound.TryAcquire(1) {
		return nil, c.shed(w, reasonBound)
	}
	return func(error) { bound.Release(1) }, nil
}

func (c *Control) enterStart(ctx context.Context) (leave func(error), err error) {
	leave, ok := c.starts.enter(ctx)
	if !ok {
		return nil, c.shed(Start, reasonQueue)
	}
	return leave, nil
}

func (c *Control) enterSearch(ctx context.Context) (leave func(error), err error) {
	if c.GivesWay(Search) {
		return nil, refusal(c.pressure.shares())
	}
	bound := c.bounds[Search]
	ctx, cancel := context.WithTimeout(ctx, searchWaits)
	defer cancel()
	if bound.Acquire(ctx, 1) != nil {
		return nil, c.shed(Search, reasonQueue)
	}
	return func(error) { bound.Release(1) }, nil
}

// GivesWay reports whether a poll, a search or the next operation of a bulk
// redelivery is to give way to what is more urgent and late, and counts it.
func (c *Control) GivesWay(w Work) bool {
	shares := c.pressure.shares()
	share := shares.starts
	if w == Poll {
		share = shares.polls
	}
	if share == 1 || rand.Float64() < max(share, fewest) { //nolint:gosec // who is let in is no secret
		return false
	}
	c.metrics.shed.WithLabelValues(string(w), reasonLate).Inc()
	return true
}

// Began tells how late an attempt of a delivery, or a poll, began after it was due.
func (c *Control) Began(w Work, late time.Duration) {
	late = max(late, 0)
	c.metrics.late.WithLabelValues(string(w)).Observe(late.Seconds())
	c.pressure.began(w, late)
}

// Backlog is how long what waits longest for a worker on the server waits.
type Backlog struct {
	// Callbacks is that of deliveries and of workflow tasks.
	Callbacks time.Duration
	Polls     time.Duration
}

// Saw tells how much waits on the server. It holds for three seconds.
func (c *Control) Saw(b Backlog) { c.pressure.saw(b) }

// shed counts and builds the refusal of a call.
func (c *Control) shed(w Work, reason string) error {
	c.metrics.shed.WithLabelValues(string(w), reason).Inc()
	return refusal(c.pressure.shares())
}

// comeBackWithin is the longest that a caller is asked to wait.
const comeBackWithin = 5 * time.Second

// refusal asks to come back: the later the less is let in, and not all at once.
func refusal(s shares) error {
	spread := time.Second + time.Duration((1-s.starts)*float64(comeBackWithin-2*time.Second))
	return &operation.Error{
		Problem:    operation.ProblemOverloaded,
		Detail:     "There is more to do than can be done now, and nothing was done about this; wait as Retry-After says, then send the same request again.",
		RetryAfter: time.Second + rand.N(spread), //nolint:gosec // spreads load
	}
}
