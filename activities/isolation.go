package activities

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
)

const (
	// fastWithin is the longest recent answer that still lets an endpoint be
	// rung inside a workflow task, where a slow one holds up its own updates.
	fastWithin = time.Second
	// localShare is how many attempts of one endpoint may be in flight inside
	// workflow tasks at a time, of the worker's 1,000 slots for those.
	localShare = 32
	// recentKept is how many recent answers are looked at.
	recentKept = 8
	// defaultConcurrent bounds one endpoint's attempts in flight in a worker.
	defaultConcurrent = 256
	// breakerTrips is how many attempts in a row that waited in vain open an
	// endpoint's breaker: more than one delivery alone usually makes.
	breakerTrips = 32
	// breakerOpens is how long it stays open before one attempt tries again.
	breakerOpens = 5 * time.Second
	// sourceOpens is how long a source rests that answered 401 or 403.
	sourceOpens = 15 * time.Second
)

var (
	// errNoAnswer counts against a breaker: time was spent and nothing came of it.
	errNoAnswer = errors.New("no answer")
	// errNotMade marks an attempt that was let pass and not made after all: it
	// says nothing of the receiver.
	errNotMade = errors.New("not made")
)

// lane isolates one endpoint or source from the others: a bulkhead, a breaker
// and a memory of how fast it answered lately.
type lane struct {
	bulkhead *semaphore.Weighted
	local    *semaphore.Weighted
	share    int64
	breaker  *gobreaker.TwoStepCircuitBreaker[any]

	mu     sync.Mutex
	recent [recentKept]time.Duration
	seen   int
}

func newLane(name string, limit int, trips uint32, opens time.Duration) *lane {
	if limit <= 0 {
		limit = defaultConcurrent
	}
	share := int64(min(localShare, limit))
	return &lane{
		bulkhead: semaphore.NewWeighted(int64(limit)),
		local:    semaphore.NewWeighted(share),
		share:    share,
		breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Name: name, Timeout: opens,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= trips },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNotMade) },
		}),
	}
}

// lanes holds one lane per name and limit, made at first use.
type lanes struct {
	mu    sync.Mutex
	byKey map[laneKey]*lane
}

type laneKey struct {
	name  string
	limit int
}

func (l *lanes) of(name string, limit int, trips uint32, opens time.Duration) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey == nil {
		l.byKey = map[laneKey]*lane{}
	}
	key := laneKey{name, limit}
	if l.byKey[key] == nil {
		l.byKey[key] = newLane(name, limit, trips, opens)
	}
	return l.byKey[key]
}

// leave ends a passage through a lane: how long it took, and an error where
// that counts against the breaker.
type leave func(took time.Duration, err error)

// admit lets one attempt or poll pass, or says why it is held back.
func (l *lane) admit() (leave, string) {
	if !l.bulkhead.TryAcquire(1) {
		return nil, "the bulkhead is full"
	}
	settle, err := l.breaker.Allow()
	if err != nil {
		l.bulkhead.Release(1)
		return nil, "the breaker is open"
	}
	// One that is still on its way is known to be slow before it ends.
	slow := time.AfterFunc(fastWithin, func() { l.remember(fastWithin + 1) })
	return func(took time.Duration, err error) {
		l.bulkhead.Release(1)
		settle(err)
		slow.Stop()
		if !errors.Is(err, errNotMade) {
			l.remember(took)
		}
	}, ""
}

// admitLocal is admit for an attempt or poll inside a workflow task: only where
// recent answers came fast, and only up to a small share. Nobody finds out there
// how fast an unknown one is: a revocation would wait for it.
func (l *lane) admitLocal() (leave, string) {
	switch slowest, known := l.slowest(); {
	case !known:
		return nil, "how fast it answers is not known yet"
	case slowest > fastWithin:
		return nil, "recent answers were slow"
	}
	return l.admitInto(1, "the share of workflow tasks is used")
}

// admitFirst is admitLocal that also lets one pass at a time while nothing is
// known yet.
func (l *lane) admitFirst() (leave, string) {
	if _, known := l.slowest(); known {
		return l.admitLocal()
	}
	return l.admitInto(l.share, "how fast it answers is being found out")
}

// admitInto is admit for one that takes up weight of the share of workflow
// tasks; without room for it, it is held back as full says.
func (l *lane) admitInto(weight int64, full string) (leave, string) {
	if !l.local.TryAcquire(weight) {
		return nil, full
	}
	done, held := l.admit()
	if held != "" {
		l.local.Release(weight)
		return nil, held
	}
	return func(took time.Duration, err error) {
		l.local.Release(weight)
		done(took, err)
	}, ""
}

func (l *lane) remember(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[l.seen%recentKept] = took
	l.seen++
}

// slowest is the slowest of the recent answers; false where none is known.
func (l *lane) slowest() (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := min(l.seen, recentKept)
	if kept == 0 {
		return 0, false
	}
	return slices.Max(l.recent[:kept]), true
}
