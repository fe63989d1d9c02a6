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
	// fewestStarts, mostStarts and firstStarts bound how many starts are in the
	// engine at once where that follows its latency.
	fewestStarts = 16
	mostStarts   = 256
	firstStarts  = 32
	// baselineAge is over how many of its windows, a second or longer each, the
	// limiter remembers how long a start takes.
	baselineAge = 60
	// startsWaiting bounds the queue.
	startsWaiting = 1024
	// lineWaits is how long a start waits for its turn that has fewer than line
	// before it: so many callers, one call after another each, are not shed. Others
	// wait for burstWaits after a time without a queue, and for queueWaits where
	// there has been one for as long as that: what waits then waits in vain.
	line       = 64
	lineWaits  = 5 * time.Second
	burstWaits = 3 * time.Second
	queueWaits = time.Second
)

// starts lets as many calls that begin work into the engine as its latency
// allows, and fewer while callbacks are late; the others wait for a moment, the
// first to come the first to go.
type starts struct {
	// fixed is how many at once, or 0 to follow the latency.
	fixed func() int
	// share is which part of the range from one to that is let in: 1 for all.
	share func() float64

	mu      sync.Mutex
	limiter adaptivelimiter.AdaptiveLimiter[any]
	// bound is the fixed that limiter was made for.
	bound  int
	inside int
	// waiting are those whose turn has not come, each told by its channel.
	waiting []chan struct{}
	// rested is when a start last did not have to wait.
	rested time.Time
}

// enter waits for its turn; false where that did not come in time. Who was let
// in calls leave once, with how it ended.
func (s *starts) enter(ctx context.Context) (leave func(error), ok bool) {
	turn, wait := s.join()
	if turn == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if !s.await(ctx, turn) {
		return nil, false
	}
	// There is room but where the limit was lowered since.
	permit, err := s.current().AcquirePermit(ctx)
	if err != nil {
		s.leave()
		return nil, false
	}
	return func(err error) {
		settle(permit, err)
		s.leave()
	}, true
}

// settle lets the limit follow how long the call was in the engine, if it was.
func settle(permit adaptivelimiter.Permit, err error) {
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		permit.Record()
		return
	}
	permit.Drop()
}

// join queues up, and says for how long to wait; nil where the queue is full.
func (s *starts) join() (turn chan struct{}, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == startsWaiting {
		return nil, 0
	}
	now := time.Now()
	turn = make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.admit()
	if len(s.waiting) == 0 || s.rested.IsZero() {
		s.rested = now
	}
	switch {
	case len(s.waiting) <= line:
		return turn, lineWaits
	case now.Sub(s.rested) <= burstWaits:
		return turn, burstWaits
	}
	return turn, queueWaits
}

// await waits until it is its turn or ctx ends.
func (s *starts) await(ctx context.Context, turn chan struct{}) bool {
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, turn); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return false
	}
	return true // its turn came at the same moment
}

func (s *starts) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	s.admit()
}

// admit lets in who has waited longest, as far as there is room. At least one
// is let in at a time, and admits the others as it leaves.
func (s *starts) admit() {
	for room := s.room(); len(s.waiting) > 0 && s.inside < room; s.inside++ {
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

// room is for how many there is room: the latency's limit to the power of the
// share. Half of what saturates an engine saturates it, too: a root tells sooner.
func (s *starts) room() int {
	return max(int(math.Round(math.Pow(float64(s.inForce().Limit()), s.share()))), 1)
}

func (s *starts) current() adaptivelimiter.AdaptiveLimiter[any] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inForce()
}

// inForce is the limiter, made anew where the configuration changed. Who entered
// by an older one leaves by that.
func (s *starts) inForce() adaptivelimiter.AdaptiveLimiter[any] {
	if fixed := s.fixed(); s.limiter == nil || fixed != s.bound {
		s.limiter, s.bound = newLimiter(fixed), fixed
	}
	return s.limiter
}

func newLimiter(fixed int) adaptivelimiter.AdaptiveLimiter[any] {
	b := adaptivelimiter.NewBuilder[any]().WithLimits(fewestStarts, mostStarts, firstStarts).
		WithBaselineWindow(baselineAge).
		// A calm time is no reason to shed the burst after it.
		WithMaxLimitFunc(func(int) float64 { return mostStarts })
	if fixed > 0 {
		b = b.WithLimits(uint(fixed), uint(fixed), uint(fixed)).WithMaxLimitFunc(func(int) float64 { return float64(fixed) })
	}
	return b.Build()
}

// standing is how the starts stand.
type standing struct{ room, inside, waiting int }

func (s *starts) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return standing{s.room(), s.inside, len(s.waiting)}
}
