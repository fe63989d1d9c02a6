package overload_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/overload"
)

// starts are those of one endpoint.
type starts struct {
	endpoint  string
	perSecond int

	mu      sync.Mutex
	waited  []time.Duration
	refused int
}

// one makes a start, or is refused.
func (s *starts) one(ctx context.Context, c *overload.Limiter, start func()) (accepted bool) {
	begun := time.Now()
	release, err := c.Acquire(ctx, overload.Start, s.endpoint)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.refused++
		return false
	}
	s.waited = append(s.waited, time.Since(begun))
	s.mu.Unlock()
	start()
	s.mu.Lock()
	release(nil)
	return true
}

// during makes the starts of all endpoints for d and returns when they have ended.
func during(d time.Duration, one func(*starts), all ...*starts) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, s := range all {
		running.Go(func() {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second / time.Duration(s.perSecond)) {
				running.Go(func() { one(s) })
			}
		})
	}
}

// Four starts at once of 20 ms each: 200 a second.
func TestAFloodAtOneEndpointShedsNoStartOfAnother(t *testing.T) {
	t.Parallel()
	const takes = 20 * time.Millisecond
	for name, flooding := range map[string]string{
		"which waits for one turn at most":                         "FLOODING",
		"which waits no longer where the flooding one is troubled": "troubled",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := newLimiter(4)
				flood, other := &starts{endpoint: flooding, perSecond: 1000}, &starts{endpoint: "OTHER", perSecond: 90}
				during(20*time.Second, func(s *starts) {
					s.one(t.Context(), c, func() { time.Sleep(takes) })
				}, flood, other)
				require.Positive(t, flood.refused)
				require.Zero(t, other.refused)
				require.LessOrEqual(t, slices.Max(other.waited), takes)
			})
		})
	}
}

func TestAFullQueueRefusesTheEndpointThatHasMostWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(1)
		release := acquire(t, c, overload.Start)
		var waiting sync.WaitGroup
		flood, other := &starts{endpoint: "FLOODING"}, &starts{endpoint: "OTHER"}
		for range 1024 {
			waiting.Go(func() { flood.one(t.Context(), c, func() {}) })
		}
		synctest.Wait()
		waiting.Go(func() { other.one(t.Context(), c, func() {}) })
		synctest.Wait()
		require.Equal(t, 1, flood.refused)
		require.InDelta(t, 1024, metric(t, r, "ringback_starts_waiting"), 0)
		release(nil)
		waiting.Wait()
		require.Zero(t, other.refused)
		require.Equal(t, 1, flood.refused)
	})
}

func TestATroubledEndpointWaitsBehindTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newLimiter(1)
		release := acquire(t, c, overload.Start)
		var order []string
		var waiting sync.WaitGroup
		for _, endpoint := range []string{"troubled", "troubled", "A", "A", "A", "A", "A", "B", "B", "B", "B", "B"} {
			waiting.Go(func() {
				s := &starts{endpoint: endpoint}
				s.one(t.Context(), c, func() { order = append(order, endpoint) })
			})
			synctest.Wait()
		}
		release(nil)
		waiting.Wait()
		require.Equal(t, []string{"A", "B", "A", "B", "A", "B", "A", "B", "troubled", "A", "B", "troubled"}, order,
			"one turn in nine is its own")
	})
}

func TestASingleEndpointHasAllOfTheCapacity(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"A", "troubled"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, r := newLimiter(16)
				release, running := make(chan struct{}), sync.WaitGroup{}
				time.Sleep(11 * time.Second)
				for range 16 {
					running.Go(func() {
						(&starts{endpoint: endpoint}).one(t.Context(), c, func() { <-release })
					})
				}
				synctest.Wait()
				require.InDelta(t, 16, metric(t, r, "ringback_starts_in_engine"), 0)
				close(release)
				running.Wait()
			})
		})
	}
}

func TestDelayedCallbacksHoldBackTroubledEndpointsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(32)
		took := func(endpoint string) (accepted int) {
			s := &starts{endpoint: endpoint, perSecond: 200}
			during(5*time.Second, func(s *starts) {
				s.one(t.Context(), c, func() { time.Sleep(10 * time.Millisecond) })
			}, s)
			return len(s.waited)
		}
		acquire(t, c, overload.Start)(nil)
		require.Equal(t, 1000, took("troubled"), "callbacks are on time")

		ctx, cancel := context.WithCancel(t.Context())
		var observing sync.WaitGroup
		observing.Go(func() {
			for ctx.Err() == nil {
				observe(c, overload.Callback, 20, 300*time.Millisecond, time.Second)
			}
		})
		time.Sleep(3 * time.Second)
		require.InDelta(t, 32, limit(t, r), 0)
		require.InDelta(t, 1, allowed(c, overload.Poll), 0)
		require.Equal(t, 1000, took("A"))
		require.Less(t, took("troubled"), 200)
		cancel()
		observing.Wait()
		time.Sleep(25 * time.Second)
		acquire(t, c, overload.Start)(nil)
		require.Equal(t, 1000, took("troubled"))
	})
}

// Each of the troubled endpoints needs as much of the server as 5 calls for a start do,
// four of them for attempts that can't wait; a healthy one's start is two calls.
func TestAHealthyEndpointKeepsItsPaceBesideFailingAndSlowOnes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		call, p99 time.Duration
		sheds     bool
	}{
		"on a server that can just do it all":   {2500 * time.Microsecond, 25 * time.Millisecond, false},
		"on one that can do five sixths of it":  {3 * time.Millisecond, 450 * time.Millisecond, true},
		"on one that can do five eighths of it": {4 * time.Millisecond, 450 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				healthy, others, took := besideTroubled(t, tt.call)
				t.Logf("healthy: %v at p99; accepted and refused of the others: %d, %d", p99(took), len(others.waited), others.refused)
				require.Zero(t, healthy.refused)
				require.Less(t, p99(took), tt.p99)
				require.Equal(t, tt.sheds, others.refused > 0)
				require.Greater(t, len(others.waited), 300, "they have the rest of the capacity")
			})
		})
	}
}

// besideTroubled is the load of a minute and how long the healthy endpoint's callbacks
// took from their starts.
func besideTroubled(t *testing.T, call time.Duration) (healthy, failing *starts, took []time.Duration) {
	t.Helper()
	c, _ := newLimiter(0)
	one := &server{make(chan struct{}, 1), call}
	healthy = &starts{endpoint: "HEALTHY", perSecond: 50}
	failing, slow := &starts{endpoint: "troubled by failures", perSecond: 30}, &starts{endpoint: "troubled by slowness", perSecond: 30}
	var mu sync.Mutex
	var attempts sync.WaitGroup
	during(time.Minute, func(s *starts) {
		begun := time.Now()
		if !s.one(t.Context(), c, one.call) {
			return
		}
		if s == healthy {
			one.call() // the workflow task with its only attempt
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begun))
			return
		}
		attempts.Go(func() {
			for range 4 {
				time.Sleep(3 * time.Second)
				due := time.Now()
				one.call()
				c.ObserveDelay(overload.Callback, time.Since(due))
			}
		})
	}, healthy, failing, slow)
	attempts.Wait()
	slices.Sort(took)
	return healthy, failing, took
}
