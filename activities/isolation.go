package activities

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"ringback/internal/bulkhead"
)

// sourceOpens is how long a source rests that answered 401 or 403.
const sourceOpens = 15 * time.Second

var (
	// errRefused opens a source's breaker: the core refused our credentials.
	errRefused     = errors.New("refused")
	errBreakerOpen = errors.New("the breaker is open")
)

// sourceLimiter isolates one source from the others.
type sourceLimiter struct {
	bulkhead *bulkhead.Bulkhead
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
}

func newSourceLimiter(name string) *sourceLimiter {
	return &sourceLimiter{
		bulkhead: bulkhead.New(0),
		breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Name: name, Timeout: sourceOpens,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 1 },
		}),
	}
}

// release ends a poll: how long it took, and an error where that counts against
// the breaker.
type release func(took time.Duration, err error)

// acquire lets one poll be made, or says why it is held back. take is how the
// bulkhead's slot is taken.
func (l *sourceLimiter) acquire(take func(*bulkhead.Bulkhead) (*bulkhead.Slot, error)) (release, error) {
	slot, err := take(l.bulkhead)
	if err != nil {
		return nil, err
	}
	settle, err := l.breaker.Allow()
	if err != nil {
		slot.Cancel()
		return nil, errBreakerOpen
	}
	return func(took time.Duration, err error) {
		slot.Release(took)
		settle(err)
	}, nil
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
		l.byName[name] = newSourceLimiter(name)
	}
	return l.byName[name]
}
