package overload_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/overload"
)

// server does one call after another, first come, first served, each in the
// same time.
type server struct {
	turn  chan struct{}
	takes time.Duration
}

func (s *server) call() {
	s.turn <- struct{}{}
	time.Sleep(s.takes)
	<-s.turn
}

// load is deliveries, watches and starts at one server, all through a Limiter, in
// virtual time.
type load struct {
	*overload.Limiter
	server
	ctx  context.Context
	work sync.WaitGroup

	mu               sync.Mutex
	callbacks, polls []time.Duration
	started          []time.Duration
	shed, accepted   atomic.Int64
	completed        atomic.Int64
}

const (
	h       = 2 * time.Second
	pollGap = 5 * time.Second
)

// deliver makes an attempt every h, each of which is recorded first.
func (l *load) deliver() {
	for due := time.Now().Add(h); l.ctx.Err() == nil; {
		time.Sleep(time.Until(due))
		l.call()
		late := time.Since(due)
		l.ObserveDelay(overload.Callback, late)
		l.note(&l.callbacks, late)
		due = time.Now().Add(h)
	}
}

// watch polls at its gap, and is put off three times at most.
func (l *load) watch() {
	for due := time.Now().Add(pollGap); l.ctx.Err() == nil; {
		time.Sleep(time.Until(due))
		for delays := 0; delays < 3 && !l.Allow(overload.Poll); delays++ {
			time.Sleep(2 * time.Second)
		}
		l.call()
		late := time.Since(due)
		l.ObserveDelay(overload.Poll, late)
		l.note(&l.polls, late)
		due = time.Now().Add(pollGap)
	}
}

// start starts an operation, whose workflow task is another call.
func (l *load) start() {
	began := time.Now()
	release, err := l.Acquire(l.ctx, overload.Start, "A")
	if err != nil {
		l.shed.Add(1)
		return
	}
	l.call()
	release(nil)
	l.accepted.Add(1)
	l.note(&l.started, time.Since(began))
	l.work.Go(func() {
		l.call()
		l.completed.Add(1)
	})
}

// flood makes so many starts a second.
func (l *load) flood(perSecond float64, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Duration(float64(time.Second) / perSecond)) {
		l.work.Go(l.start)
	}
}

func (l *load) note(into *[]time.Duration, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*into = append(*into, d)
}

// taken returns what was noted so far, sorted, and clears it.
func (l *load) taken(from *[]time.Duration) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := *from
	*from = nil
	slices.Sort(all)
	return all
}

func p99(sorted []time.Duration) time.Duration { return sorted[len(sorted)*99/100] }

// A quarter of each server's capacity is needed for callbacks and polls.
func TestThreeTimesTheCapacityOfStartsDelaysNoCallback(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int{50, 200, 800} {
		t.Run(fmt.Sprintf("on a server of %d calls a second", perSecond), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { threeTimes(t, perSecond) })
		})
	}
}

func threeTimes(t *testing.T, perSecond int) {
	t.Helper()
	c, r := newLimiter(0)
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{Limiter: c, server: server{make(chan struct{}, 1), time.Second / time.Duration(perSecond)}, ctx: ctx}
	defer l.work.Wait()
	defer cancel()
	// An eighth of the capacity each; a start is two calls.
	for i := range max(perSecond/4, 1) {
		l.work.Go(func() { time.Sleep(h * time.Duration(i) / time.Duration(max(perSecond/4, 1))); l.deliver() })
	}
	for i := range max(perSecond*5/8, 1) {
		l.work.Go(func() { time.Sleep(pollGap * time.Duration(i) / time.Duration(max(perSecond*5/8, 1))); l.watch() })
	}
	capacity := float64(perSecond) * 3 / 4 / 2

	l.flood(capacity/2, 30*time.Second)
	require.Zero(t, l.shed.Load(), "half the capacity is no overload")
	require.Less(t, p99(l.taken(&l.callbacks)), time.Second)
	l.taken(&l.polls)
	l.taken(&l.started)
	before := l.accepted.Load()

	const lasts = time.Minute
	l.flood(3*capacity, lasts)
	accepted := float64(l.accepted.Load()-before) / lasts.Seconds()
	callbacks, polls, started := p99(l.taken(&l.callbacks)), p99(l.taken(&l.polls)), p99(l.taken(&l.started))
	t.Logf("capacity %.0f/s, accepted %.0f/s, shed %d, callbacks late %v, polls late %v, accepted starts take %v",
		capacity, accepted, l.shed.Load(), callbacks, polls, started)
	require.Positive(t, l.shed.Load())
	require.Less(t, callbacks, 3*time.Second)
	require.Less(t, polls, 15*time.Second)
	require.Less(t, started, 10*time.Second, "the time-out of a start")
	require.Greater(t, accepted, capacity/2, "the server is not left idle")
	require.LessOrEqual(t, metric(t, r, "ringback_starts_waiting"), 1024.0)

	time.Sleep(20 * time.Second)
	shed := l.shed.Load()
	l.taken(&l.callbacks)
	l.flood(capacity/2, 20*time.Second)
	require.Equal(t, shed, l.shed.Load(), "recovered")
	require.Less(t, p99(l.taken(&l.callbacks)), time.Second)
	cancel()
	l.work.Wait()
	require.Equal(t, l.accepted.Load(), l.completed.Load(), "all that was accepted completes")
}
