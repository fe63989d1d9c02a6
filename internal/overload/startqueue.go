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
	// The first frontOfQueue starts of an endpoint wait for up to frontWait: so many
	// callers with one call after another each are never refused. Those behind them
	// wait for burstWait, or for standingWait once some have waited for that long.
	frontOfQueue = 64
	frontWait    = 5 * time.Second
	burstWait    = 3 * time.Second
	standingWait = time.Second
	// Troubled endpoints have 1/troubledPart of the starts that may run at once, and
	// one turn after so many of the others while both wait; they have all of it if no
	// other endpoint had a start for aloneAfter.
	troubledPart = 8
	aloneAfter   = 10 * time.Second
	// A troubled endpoint's start keeps its place for so many times longer than it
	// took, and for maxPause at most, where its share is down to 0: its cost is mostly
	// that of the attempts after it.
	pauseFactor = 9
	maxPause    = time.Second
)

// startQueue runs as many starts at once as their latency allows, and fewer while
// callbacks are late. The others wait: the endpoints take turns, the troubled ones
// behind the others, and of one endpoint they are served first come, first served.
//
// The limit by latency is failsafe-go's. Its queue is not used: nothing outside
// can lower its limit, its length follows the limit, and its wait does not depend
// on the place in the queue.
type startQueue struct {
	// fixed is how many run at once, or 0 to follow the latency.
	fixed func() int
	// shares are which part of the range from one to the limit is in use, 1 for all.
	shares   func() shares
	troubled func(endpoint string) bool
	latency  adaptivelimiter.AdaptiveLimiter[any]
	pace     *Pace

	mu sync.Mutex
	// running are the starts that run, kept the places that troubled ones keep.
	running, kept int
	waiting       int
	// lines are those of the endpoints with waiting starts; the first had no turn for
	// longest.
	lines []*line
	// othersTurns is how many turns went past waiting starts of troubled endpoints.
	othersTurns int
	// othersAt is when an endpoint that was not troubled last had a start.
	othersAt time.Time
}

// line is the waiting starts of one endpoint.
type line struct {
	endpoint string
	troubled bool
	waiting  []*turn
	since    time.Time
}

// turn is that of one start: true is sent when it may run, false if it is refused.
type turn struct {
	came     chan bool
	troubled bool
}

func newStartQueue(fixed func() int, shares func() shares, troubled func(string) bool, pace *Pace) *startQueue {
	return &startQueue{
		fixed: fixed, shares: shares, troubled: troubled, pace: pace,
		latency: adaptivelimiter.NewBuilder[any]().WithLimits(minStarts, maxStarts, firstStarts).
			WithBaselineWindow(latencyWindows).
			// A calm time is no reason to refuse the burst after it.
			WithMaxLimitFunc(func(int) float64 { return maxStarts }).
			Build(),
	}
}

// acquire waits for the start's turn; false if it does not come in time. The
// caller calls release once, with the error that the start ended with.
func (q *startQueue) acquire(ctx context.Context, endpoint string) (release func(error), ok bool) {
	t, wait := q.enqueue(endpoint)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if !q.await(ctx, endpoint, t) {
		return nil, false
	}
	begun := time.Now()
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
		took := time.Since(begun)
		if err == nil {
			q.pace.startEnded(took)
		}
		q.release(t, took)
	}, true
}

// enqueue returns the start's turn and how long to wait for it.
func (q *startQueue) enqueue(endpoint string) (t *turn, wait time.Duration) {
	troubled := q.troubled(endpoint)
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if !troubled {
		q.othersAt = now
	}
	i := q.find(endpoint)
	if i < 0 {
		i = len(q.lines)
		q.lines = append(q.lines, &line{endpoint: endpoint, since: now})
	}
	l := q.lines[i]
	t = &turn{came: make(chan bool, 1)}
	l.troubled, l.waiting = troubled, append(l.waiting, t)
	if q.waiting++; q.waiting > maxWaiting {
		q.refuseOne()
	}
	q.runNext()
	switch {
	case len(l.waiting) <= frontOfQueue:
		return t, frontWait
	case now.Sub(l.since) <= burstWait:
		return t, burstWait
	}
	return t, standingWait
}

func (q *startQueue) find(endpoint string) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.endpoint == endpoint })
}

// refuseOne refuses the newest start of the endpoint that has most of them waiting, so
// that no endpoint takes the room of another.
func (q *startQueue) refuseOne() {
	longest := slices.MaxFunc(q.lines, func(a, b *line) int { return len(a.waiting) - len(b.waiting) })
	last := len(longest.waiting) - 1
	longest.waiting[last].came <- false
	q.remove(q.find(longest.endpoint), last)
}

// remove takes a start out of the queue.
func (q *startQueue) remove(i, at int) {
	l := q.lines[i]
	l.waiting = slices.Delete(l.waiting, at, at+1)
	q.waiting--
	if len(l.waiting) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
	}
}

// await reports whether the turn came before ctx ended.
func (q *startQueue) await(ctx context.Context, endpoint string, t *turn) bool {
	select {
	case ok := <-t.came:
		return ok
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := q.find(endpoint); i >= 0 {
		if at := slices.Index(q.lines[i].waiting, t); at >= 0 {
			q.remove(i, at)
			return false
		}
	}
	return <-t.came // at the same moment
}

// release ends a start that took as long.
func (q *startQueue) release(t *turn, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if t.troubled {
		pause := pauseFactor * (1 - q.troubledShare()) * float64(took)
		time.AfterFunc(min(time.Duration(pause), maxPause), q.releaseKept)
	}
	q.runNext()
}

func (q *startQueue) releaseKept() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kept--
	q.runNext()
}

// runNext gives the next turns, as far as the limit allows.
func (q *startQueue) runNext() {
	for limit := q.limit(); q.running < limit; q.running++ {
		i := q.next(limit)
		if i < 0 {
			return
		}
		l := q.lines[i]
		t := l.waiting[0]
		if t.troubled = l.troubled; t.troubled {
			q.kept++
		}
		t.came <- true
		q.remove(i, 0)
		if len(l.waiting) > 0 {
			q.lines = append(slices.Delete(q.lines, i, i+1), l)
		}
	}
}

// next is the line whose turn it is; -1 if none may have one.
func (q *startQueue) next(limit int) int {
	other := slices.IndexFunc(q.lines, func(l *line) bool { return !l.troubled })
	troubled := slices.IndexFunc(q.lines, func(l *line) bool { return l.troubled })
	switch {
	case troubled < 0 || q.kept >= q.troubledLimit(limit):
		return other
	case other < 0 || q.othersTurns >= troubledPart:
		q.othersTurns = 0
		return troubled
	}
	q.othersTurns++
	return other
}

// limit is how many may run at once, at least one. It is raised to a power below
// one while callbacks are late, because a linear cut still saturates the server, and is
// no more than the calls of activities at once while these are slow.
func (q *startQueue) limit() int {
	limit := q.fixed()
	if limit == 0 {
		limit = q.latency.Limit()
	}
	return q.pace.startsAtOnce(cut(limit, q.shares().starts))
}

// troubledLimit is how many of limit may be troubled endpoints'.
func (q *startQueue) troubledLimit(limit int) int {
	if q.troubledAlone() {
		return limit
	}
	return cut(limit/troubledPart, q.troubledShare())
}

// troubledShare is that of troubled endpoints; nothing is taken from them for others
// that are not there.
func (q *startQueue) troubledShare() float64 {
	if q.troubledAlone() {
		return 1
	}
	return q.shares().troubled
}

func (q *startQueue) troubledAlone() bool { return time.Since(q.othersAt) > aloneAfter }

func cut(limit int, share float64) int {
	return max(int(math.Round(math.Pow(float64(limit), share))), 1)
}

type queueState struct{ limit, running, waiting int }

func (q *startQueue) state() queueState {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queueState{q.limit(), q.running, q.waiting}
}
