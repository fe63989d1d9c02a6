// Package bulkhead bounds how many calls to one target are in flight in this worker,
// with a smaller share for those inside workflow tasks, and remembers how fast the
// target answered.
package bulkhead

import (
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// FastWithin is the longest recent answer that allows calls inside a workflow task,
	// where a slow one blocks that run's Updates.
	FastWithin = time.Second
	// DefaultLimit is how many calls may be in flight where no limit is set.
	DefaultLimit = 256
	// maxLocal is how many of them may be inside workflow tasks, of the worker's 1,000 slots.
	maxLocal = 32
	// recentKept is how many recent answers are looked at.
	recentKept = 8
)

// From is where a call is made from.
type From int

const (
	// Activity is a regular activity: a slow call blocks nothing else.
	Activity From = iota
	// WorkflowTask allows a call only where recent answers came within [FastWithin].
	WorkflowTask
	// WorkflowTaskProbe also allows one call to a target of which nothing is known.
	WorkflowTaskProbe
)

// Why a call is held back. It was not made, and may be made later.
var (
	ErrFull      = errors.New("the bulkhead is full")
	ErrPartFull  = errors.New("the share of one host in the bulkhead is used")
	ErrLocalFull = errors.New("the share of workflow tasks is used")
	ErrUnknown   = errors.New("how fast it answers is not known yet")
	ErrSlow      = errors.New("recent answers were slow")
	ErrProbing   = errors.New("how fast it answers is being found out")
)

// Bulkhead is one target's. It is safe for concurrent use.
type Bulkhead struct {
	// mu is shared by a bulkhead and its parts.
	mu *sync.Mutex
	// whole is the bulkhead that this one is a part of; nil: none.
	whole *Bulkhead

	limit, inFlight   int
	localLimit, local int

	recent [recentKept]time.Duration
	seen   int
}

// New is a bulkhead for limit calls in flight, [DefaultLimit] if limit is not positive.
func New(limit int) *Bulkhead {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Bulkhead{mu: new(sync.Mutex), limit: limit, localLimit: min(maxLocal, limit)}
}

// Part is a bulkhead within b, whose calls count in b as well.
func (b *Bulkhead) Part(limit int) *Bulkhead {
	part := New(limit)
	part.mu, part.whole = b.mu, b
	return part
}

// Limit is how many calls may be in flight.
func (b *Bulkhead) Limit() int { return b.limit }

// Idle reports whether no call is in flight.
func (b *Bulkhead) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inFlight == 0
}

// Acquire takes a slot for one call, or says at once why there is none.
func (b *Bulkhead) Acquire(from From) (*Slot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recent := b.recent[:min(b.seen, recentKept)]
	switch {
	case from == Activity:
		return b.acquire(0, nil)
	case len(recent) == 0 && from == WorkflowTaskProbe:
		return b.acquire(b.localLimit, ErrProbing)
	case len(recent) == 0:
		return nil, ErrUnknown
	case slices.Max(recent) > FastWithin:
		return nil, ErrSlow
	}
	return b.acquire(1, ErrLocalFull)
}

// acquire takes a slot and so much of the share of workflow tasks, or fails with localFull.
func (b *Bulkhead) acquire(local int, localFull error) (*Slot, error) {
	for one := b; one != nil; one = one.whole {
		switch {
		case one.local+local > one.localLimit:
			return nil, localFull
		case one.inFlight < one.limit:
		case one.whole != nil && one.limit < one.whole.limit:
			return nil, ErrPartFull
		default:
			return nil, ErrFull
		}
	}
	b.add(1, local)
	return &Slot{b: b, local: local}, nil
}

func (b *Bulkhead) add(calls, local int) {
	for one := b; one != nil; one = one.whole {
		one.inFlight += calls
		one.local += local
	}
}

func (b *Bulkhead) remember(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent[b.seen%recentKept] = took
	b.seen++
}

// Slot is the place of one call in flight, given back once by Release or Cancel.
type Slot struct {
	b     *Bulkhead
	local int
	// slow is nil until the call begins.
	slow *time.Timer
}

// Begin says that the call begins now: from [FastWithin] later on its target is known
// to be slow, also while it is in flight. What comes before, such as a record on the
// server, says nothing about the target.
func (s *Slot) Begin() {
	s.slow = time.AfterFunc(FastWithin, func() { s.b.remember(FastWithin + 1) })
}

// Release gives the slot back after a call that took as long.
func (s *Slot) Release(took time.Duration) {
	s.Cancel()
	s.b.remember(took)
}

// Cancel gives the slot back where the call was not made after all.
func (s *Slot) Cancel() {
	if s.slow != nil {
		s.slow.Stop()
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.add(-1, -s.local)
}
