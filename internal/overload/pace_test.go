package overload_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/overload"
)

// forgetful does one step after another, first come, first served. A call that it does
// not complete in time makes it forget the run, which the next call about that one has
// it load first: so does Temporal.
type forgetful struct{ turn chan struct{} }

const (
	givesUpAfter = 3 * time.Second
	loads        = 30 * time.Millisecond
	writes       = 10 * time.Millisecond
)

func (s *forgetful) step(ctx context.Context, takes time.Duration) bool {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	time.Sleep(takes)
	<-s.turn
	return ctx.Err() == nil
}

// call writes to a run, and reports whether that was done in time.
func (s *forgetful) call(known *bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), givesUpAfter)
	defer cancel()
	*known = (*known || s.step(ctx, loads)) && s.step(ctx, writes)
	return *known
}

// Four programs with 100 watches each need four fifths of what the server can do, once
// it has loaded the runs again after an outage.
func TestCallsAreMadeInTimeAgainAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetful{make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		var watches sync.WaitGroup
		defer watches.Wait()
		defer cancel()
		var mu sync.Mutex
		done := 0
		for range 4 {
			c, _ := newLimiter(0)
			for i := range 100 {
				watches.Go(func() {
					time.Sleep(pollGap * time.Duration(i) / 100)
					for known := true; ctx.Err() == nil; {
						if !record(t, c, func() bool { return s.call(&known) }) {
							time.Sleep(2 * time.Second)
							continue
						}
						mu.Lock()
						done++
						mu.Unlock()
						time.Sleep(pollGap)
					}
				})
			}
		}
		perSecond := func(d time.Duration) float64 {
			mu.Lock()
			before := done
			mu.Unlock()
			time.Sleep(d)
			mu.Lock()
			defer mu.Unlock()
			return float64(done-before) / d.Seconds()
		}
		require.Greater(t, perSecond(20*time.Second), 75.0)
		s.turn <- struct{}{}
		require.Zero(t, perSecond(20*time.Second))
		<-s.turn
		t.Logf("in the first 30 s after the outage: %.0f/s", perSecond(30*time.Second))
		require.Greater(t, perSecond(20*time.Second), 75.0)
	})
}

// record makes one call at the limiter's pace.
func record(t *testing.T, c *overload.Limiter, call func() bool) bool {
	t.Helper()
	release, err := c.Pace().Acquire(t.Context(), overload.Poll)
	if err != nil {
		return false
	}
	defer release()
	return call()
}

func TestSlowCallsHoldBackStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(100)
		calls := func(n int, takes time.Duration) {
			for range n {
				record(t, c, func() bool { time.Sleep(takes); return true })
			}
		}
		const slow = time.Second + time.Millisecond
		calls(100, time.Second)
		require.InDelta(t, 100, limit(t, r), 0)
		calls(2, slow)
		require.InDelta(t, 8, limit(t, r), 0, "half as many after each of them")
		calls(10, slow)
		require.InDelta(t, 1, limit(t, r), 0, "one at least")
		calls(3, time.Millisecond)
		require.InDelta(t, 2, limit(t, r), 0, "one more after as many fast ones")
		for range 600 {
			acquire(t, c, overload.Start)(nil)
		}
		require.InDelta(t, 100, limit(t, r), 0, "fast starts count, too")
	})
}

func TestCallsForCallbacksGoBeforeThoseForPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newLimiter(0)
		var order []overload.Work
		var calls sync.WaitGroup
		call := func(w overload.Work, takes time.Duration) {
			calls.Go(func() {
				release, err := c.Pace().Acquire(t.Context(), w)
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				time.Sleep(takes)
				if takes == 0 {
					order = append(order, w)
				}
			})
			synctest.Wait()
		}
		for i := range 32 {
			call(overload.Poll, time.Millisecond*time.Duration(500+i))
		}
		for _, w := range []overload.Work{overload.Poll, overload.Callback, overload.Poll, overload.Callback} {
			call(w, 0)
		}
		calls.Wait()
		require.Equal(t, []overload.Work{overload.Callback, overload.Callback, overload.Poll, overload.Poll}, order)
	})
}
