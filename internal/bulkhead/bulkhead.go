// Package bulkhead bounds what one named target (an endpoint's host, or a
// source) may have in flight in this worker, with a smaller share for calls
// inside workflow tasks, and remembers how fast the target answered lately.
package bulkhead

import (
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// FastWithin is the longest recent answer that still lets a target be called
	// inside a workflow task, where a slow call blocks that run's Updates.
	FastWithin = time.Second
	// DefaultLimit is how many calls may be in flight where no limit is set.
	DefaultLimit = 256
	// localShare is how many of them may be made inside workflow tasks, of the
	// worker's 1,000 slots for those.
	localShare = 32
	// recentKept is how many recent answers are looked at.
	recentKept = 8
)

// Why a call is held back. It was not made, and may be made later.
var (
	ErrFull       = errors.New("the bulkhead is full")
	ErrPartFull   = errors.New("the share of one host in the bulkhead is used")
	ErrLocalFull  = errors.New("the share of workflow tasks is used")
	ErrUnknown    = errors.New("how fast it answers is not known yet")
	ErrSlow       = errors.New("recent answers were slow")
	ErrFindingOut = errors.New("how fast it answers is being found out")
)

// Bulkhead is one target's. It is safe for concurrent use.
type Bulkhead struct {
	slots *semaphore.Weighted
	local *semaphore.Weighted
	limit int
	share int64
	// whole is the bulkhead that this one is a part of; nil: none.
	whole *Bulkhead

	mu     sync.Mutex
	recent [recentKept]time.Duration
	seen   int
}

// New is a bulkhead with room for limit calls in flight, [DefaultLimit] if limit is not
// positive.
func New(limit int) *Bulkhead {
	if limit <= 0 {
		limit = DefaultLimit
	}
	share := int64(min(localShare, limit))
	return &Bulkhead{
		slots: semaphore.NewWeighted(int64(limit)),
		local: semaphore.NewWeighted(share),
		limit: limit,
		share: share,
	}
}

// Part is a bulkhead within b for limit calls in flight, which count in b as
// well. It remembers its own answers alone.
func (b *Bulkhead) Part(limit int) *Bulkhead {
	part := New(limit)
	part.whole = b
	return part
}

// Limit is how many calls may be in flight.
func (b *Bulkhead) Limit() int { return b.limit }

// Acquire takes a slot for one call, or says at once why there is none.
func (b *Bulkhead) Acquire() (*Slot, error) { return b.acquire(0, nil) }

// AcquireLocal is [Bulkhead.Acquire] for a call inside a workflow task: only
// where the recent answers came within [FastWithin], and only up to a small
// share. An unknown target is not tried there: it might be slow.
func (b *Bulkhead) AcquireLocal() (*Slot, error) {
	switch slowest, known := b.slowest(); {
	case !known:
		return nil, ErrUnknown
	case slowest > FastWithin:
		return nil, ErrSlow
	}
	return b.acquire(1, ErrLocalFull)
}

// AcquireFirst is [Bulkhead.AcquireLocal] that also lets an unknown target be
// tried inside a workflow task, by one call at a time.
func (b *Bulkhead) AcquireFirst() (*Slot, error) {
	if _, known := b.slowest(); known {
		return b.AcquireLocal()
	}
	return b.acquire(b.share, ErrFindingOut)
}

// acquire takes a slot and weight of the share of workflow tasks; without room
// for that, the error is localFull.
func (b *Bulkhead) acquire(weight int64, localFull error) (*Slot, error) {
	if err := b.take(weight, localFull); err != nil {
		return nil, err
	}
	// A call that is still in flight is known to be slow before it ends.
	slow := time.AfterFunc(FastWithin, func() { b.Remember(FastWithin + 1) })
	return &Slot{b: b, local: weight, slow: slow}, nil
}

func (b *Bulkhead) take(weight int64, localFull error) error {
	if !b.local.TryAcquire(weight) {
		return localFull
	}
	if !b.slots.TryAcquire(1) {
		b.local.Release(weight)
		return b.full()
	}
	if b.whole == nil {
		return nil
	}
	if err := b.whole.take(weight, localFull); err != nil {
		b.local.Release(weight)
		b.slots.Release(1)
		return err
	}
	return nil
}

func (b *Bulkhead) full() error {
	if b.whole != nil && b.limit < b.whole.limit {
		return ErrPartFull
	}
	return ErrFull
}

func (b *Bulkhead) giveBack(weight int64) {
	b.slots.Release(1)
	b.local.Release(weight)
	if b.whole != nil {
		b.whole.giveBack(weight)
	}
}

// Remember takes note of how long an answer took.
func (b *Bulkhead) Remember(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent[b.seen%recentKept] = took
	b.seen++
}

// slowest is the slowest of the recent answers; false where none is known.
func (b *Bulkhead) slowest() (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := min(b.seen, recentKept)
	if kept == 0 {
		return 0, false
	}
	return slices.Max(b.recent[:kept]), true
}

// Slot is the place of one call in flight. It is given back once, by Release or
// by Cancel.
type Slot struct {
	b     *Bulkhead
	local int64
	slow  *time.Timer
}

// Release gives the slot back after a call that took as long.
func (s *Slot) Release(took time.Duration) {
	s.Cancel()
	s.b.Remember(took)
}

// Cancel gives the slot back where the call was not made after all: that says
// nothing of the target.
func (s *Slot) Cancel() {
	s.slow.Stop()
	s.b.giveBack(s.local)
}
