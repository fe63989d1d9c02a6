package activities

import (
	"errors"
	"sync"
	"time"

	"ringback/internal/bulkhead"
	"ringback/internal/source"
)

var (
	// errRefused: the core refused our credentials for this operation, or for others.
	errRefused = errors.New("the core refused our credentials lately")
	// errNotMade says nothing of a core: it was not asked.
	errNotMade = errors.New("not made")
)

// sourceLimiter isolates one source from the others.
type sourceLimiter struct {
	bulkhead *bulkhead.Bulkhead
	refusals source.Refusals
}

// pollPermit is the permission to make one poll. It is released or cancelled.
type pollPermit struct {
	limiter   *sourceLimiter
	slot      *bulkhead.Slot
	operation string
}

// acquire lets one poll about operation be made, or says why it is held back and,
// where that is known, for how long. take is how the bulkhead's slot is taken.
func (l *sourceLimiter) acquire(operation string, take func(*bulkhead.Bulkhead) (*bulkhead.Slot, error)) (*pollPermit, time.Duration, error) {
	slot, err := take(l.bulkhead)
	if err != nil {
		return nil, 0, err
	}
	if wait, ok := l.refusals.Allow(operation, time.Now()); !ok {
		slot.Cancel()
		return nil, wait, errRefused
	}
	return &pollPermit{limiter: l, slot: slot, operation: operation}, 0, nil
}

// release ends a poll that took that long and that the source answered with err.
func (p *pollPermit) release(took time.Duration, err error) {
	p.slot.Release(took)
	p.limiter.refusals.Answered(p.operation, err, time.Now())
}

// cancel gives back a poll that was not made.
func (p *pollPermit) cancel() {
	p.slot.Cancel()
	p.limiter.refusals.Answered(p.operation, errNotMade, time.Now())
}

// sourceLimiters has one for each source, made at first use.
type sourceLimiters struct {
	mu     sync.Mutex
	byName map[string]*sourceLimiter
}

func (l *sourceLimiters) of(name string) *sourceLimiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = map[string]*sourceLimiter{}
	}
	if l.byName[name] == nil {
		l.byName[name] = &sourceLimiter{bulkhead: bulkhead.New(0)}
	}
	return l.byName[name]
}
