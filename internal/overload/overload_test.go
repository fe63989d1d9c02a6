package overload_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// troubled are the endpoints whose names begin with "troubled".
func troubled(endpoint string) bool { return strings.HasPrefix(endpoint, "troubled") }

// newLimiter allows that many starts at once, 0 to follow their latency.
func newLimiter(startsAtOnce int) (*overload.Limiter, *prometheus.Registry) {
	r := prometheus.NewPedanticRegistry()
	return overload.New(r, func() int { return startsAtOnce }, troubled), r
}

// metric is the sum of a metric over the series with those label values.
func metric(t *testing.T, r *prometheus.Registry, name string, values ...string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	sum, found := 0.0, false
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && labelled(m, values) {
				sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue(), true
			}
		}
	}
	require.Truef(t, found, "there is %s %v", name, values)
	return sum
}

func labelled(m *dto.Metric, values []string) bool {
	var all []string
	for _, pair := range m.GetLabel() {
		all = append(all, pair.GetValue())
	}
	for _, value := range values {
		if !strings.Contains(" "+strings.Join(all, " ")+" ", " "+value+" ") {
			return false
		}
	}
	return true
}

func refused(t *testing.T, err error) {
	t.Helper()
	var refusal *operation.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, operation.ProblemOverloaded, refusal.Problem)
	require.GreaterOrEqual(t, refusal.RetryAfter, time.Second)
	require.LessOrEqual(t, refusal.RetryAfter, 5*time.Second)
}

func acquire(t *testing.T, c *overload.Limiter, w overload.Work) (release func(error)) {
	t.Helper()
	release, err := c.Acquire(t.Context(), w, "A")
	require.NoError(t, err)
	return release
}

func TestAStartWaitsForItsTurnAndIsRefusedIfItDoesNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(1)
		release := acquire(t, c, overload.Start)
		begun := time.Now()
		time.AfterFunc(500*time.Millisecond, func() { release(nil) })
		release = acquire(t, c, overload.Start)
		require.Equal(t, 500*time.Millisecond, time.Since(begun), "when the other ends")

		begun = time.Now()
		_, err := c.Acquire(t.Context(), overload.Start, "A")
		refused(t, err)
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.InDelta(t, 1, metric(t, r, "ringback_shed_total", "start", "queue"), 0)
		release(nil)
		acquire(t, c, overload.Start)(nil)
	})
}

func TestTheWaitIsShorterBehindALongQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newLimiter(1)
		shedAfter := func() time.Duration {
			begun := time.Now()
			_, err := c.Acquire(t.Context(), overload.Start, "A")
			refused(t, err)
			return time.Since(begun)
		}
		release := acquire(t, c, overload.Start)
		var front sync.WaitGroup
		for range 64 {
			front.Go(func() { shedAfter() })
		}
		synctest.Wait()
		require.Equal(t, 3*time.Second, shedAfter(), "behind the front of the queue, after a calm time")
		time.Sleep(time.Millisecond)
		require.Equal(t, time.Second, shedAfter(), "behind it, in a standing queue")
		front.Wait()
		require.Equal(t, 5*time.Second, shedAfter(), "at the front")
		release(nil)
	})
}

func TestTheQueueOfStartsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(1)
		release := acquire(t, c, overload.Start)
		var waiting sync.WaitGroup
		for range 1024 {
			waiting.Go(func() {
				_, err := c.Acquire(t.Context(), overload.Start, "A")
				refused(t, err)
			})
		}
		synctest.Wait()
		require.InDelta(t, 1024, metric(t, r, "ringback_starts_waiting"), 0)
		begun := time.Now()
		_, err := c.Acquire(t.Context(), overload.Start, "A")
		refused(t, err)
		require.Zero(t, time.Since(begun), "one more is refused at once")
		waiting.Wait()
		require.Zero(t, metric(t, r, "ringback_starts_waiting"))
		release(nil)
	})
}

func TestACancelledStartLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newLimiter(1)
		release := acquire(t, c, overload.Start)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := c.Acquire(ctx, overload.Start, "A")
		refused(t, err)
		require.Equal(t, time.Second, time.Since(begun))
		release(errors.New("it failed"))
		acquire(t, c, overload.Start)(nil)
	})
}

func TestSixtyFourCallersAreNeverRefused(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]time.Duration{
		"where a start takes 10 ms":            10 * time.Millisecond,
		"where a start takes half a second":    500 * time.Millisecond,
		"where a start takes longer than that": 4 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := newLimiter(0)
				var starters sync.WaitGroup
				for range 64 {
					starters.Go(func() {
						for range 100 {
							release, err := c.Acquire(t.Context(), overload.Start, "A")
							if err != nil {
								t.Error(err)
								return
							}
							time.Sleep(took)
							release(nil)
						}
					})
				}
				starters.Wait()
			})
		})
	}
}

// More at once is worth it only where a start takes no longer for it.
func TestTheLimitOfStartsFollowsTheirLatency(t *testing.T) {
	t.Parallel()
	limit := func(t *testing.T, took func(running int) time.Duration, ended error) (limit float64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c, r := newLimiter(0)
			var mu sync.Mutex
			running := 0
			count := func(by int) int {
				mu.Lock()
				defer mu.Unlock()
				running += by
				return running
			}
			end := time.Now().Add(2 * time.Minute)
			var starters sync.WaitGroup
			for range 300 {
				starters.Go(func() {
					for time.Now().Before(end) {
						release, err := c.Acquire(t.Context(), overload.Start, "A")
						if err != nil {
							continue
						}
						time.Sleep(took(count(1)))
						count(-1)
						release(ended)
					}
				})
			}
			starters.Wait()
			limit = metric(t, r, "ringback_starts_limit")
		})
		return limit
	}
	fixed := func(int) time.Duration { return 200 * time.Millisecond }
	growing := func(n int) time.Duration { return 5 * time.Millisecond * time.Duration(n) }
	wide, narrow := limit(t, fixed, nil), limit(t, growing, nil)
	require.Greater(t, wide, 100.0)
	require.Less(t, narrow, wide/2)
	require.Greater(t, limit(t, fixed, context.DeadlineExceeded), 100.0, "a time-out is measured")
	require.InDelta(t, 32, limit(t, fixed, errors.New("no")), 0, "a failure is not")
}

func TestAChangedLimitOfStartsTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		atOnce := 1
		c := overload.New(prometheus.NewRegistry(), func() int { return atOnce }, troubled)
		first := acquire(t, c, overload.Start)
		atOnce = 2
		second := acquire(t, c, overload.Start)
		_, err := c.Acquire(t.Context(), overload.Start, "A")
		refused(t, err)
		first(nil)
		second(nil)
	})
}

func TestOtherCallsAreLimitedByKind(t *testing.T) {
	t.Parallel()
	for work, most := range map[overload.Work]int{
		overload.Request: 4096, overload.Change: 1024, overload.Read: 512, overload.Search: 32,
	} {
		t.Run(string(work), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := newLimiter(1)
				var release func(error)
				for range most {
					release = acquire(t, c, work)
				}
				_, err := c.Acquire(t.Context(), work, "A")
				refused(t, err)
				release(nil)
				acquire(t, c, work)
			})
		})
	}
}

const (
	callbackLate = 1100 * time.Millisecond
	pollLate     = 5100 * time.Millisecond
)

// observe reports, n times in each quarter of a second of d, that such work began so late.
func observe(c *overload.Limiter, w overload.Work, n int, late, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		for range n {
			c.ObserveDelay(w, late)
		}
	}
}

// allowed is which part of 1,000 such calls is allowed now.
func allowed(c *overload.Limiter, w overload.Work) float64 {
	n := 0
	for range 1000 {
		if c.Allow(w) {
			n++
		}
	}
	return float64(n) / 1000
}

// limit is how many starts may run at once.
func limit(t *testing.T, r *prometheus.Registry) float64 {
	t.Helper()
	return metric(t, r, "ringback_starts_limit")
}

func TestLateCallbacksHoldBackStartsThenPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(0)
		require.InDelta(t, 32, limit(t, r), 0)

		observe(c, overload.Callback, 20, callbackLate, 1500*time.Millisecond)
		require.Less(t, limit(t, r), 16.0)
		require.Greater(t, limit(t, r), 1.0)
		require.InDelta(t, 1, allowed(c, overload.Poll), 0, "polls go on")

		observe(c, overload.Callback, 20, callbackLate, 10*time.Second)
		require.InDelta(t, 1, limit(t, r), 0, "one at a time at least")
		for _, work := range []overload.Work{overload.Poll, overload.Search, overload.Redelivery} {
			require.Less(t, allowed(c, work), 0.2, work)
			require.Positive(t, allowed(c, work), "some always go on")
			require.Positive(t, metric(t, r, "ringback_shed_total", string(work), "late"))
		}
		for _, work := range []overload.Work{overload.Change, overload.Read} {
			for range 100 {
				acquire(t, c, work)(nil)
			}
		}

		observe(c, overload.Callback, 20, 0, 7*time.Second)
		require.InDelta(t, 1, allowed(c, overload.Poll), 0, "polls first")
		require.Less(t, limit(t, r), 32.0)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 32, limit(t, r), 0)
		require.InDelta(t, 1, metric(t, r, "ringback_admitted_share", "start"), 0)
	})
}

func TestStartsRunOneAtATimeWhileCallbacksAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(8)
		observe(c, overload.Callback, 20, callbackLate, 10*time.Second)
		release := acquire(t, c, overload.Start)
		_, err := c.Acquire(t.Context(), overload.Start, "A")
		refused(t, err)
		require.InDelta(t, 1, metric(t, r, "ringback_starts_in_engine"), 0)

		time.Sleep(15 * time.Second)
		var all []func(error)
		for range 7 {
			all = append(all, acquire(t, c, overload.Start))
		}
		for _, releases := range append(all, release) {
			releases(nil)
		}
		require.Zero(t, metric(t, r, "ringback_starts_in_engine"))
	})
}

func TestMostSearchesAreRefusedWhileCallbacksAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newLimiter(0)
		observe(c, overload.Callback, 20, callbackLate, 10*time.Second)
		shed := 0
		for range 100 {
			release, err := c.Acquire(t.Context(), overload.Search, "A")
			if err != nil {
				refused(t, err)
				shed++
				continue
			}
			release(nil)
		}
		require.Greater(t, shed, 50)
	})
}

func TestLatePollsHoldBackStartsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newLimiter(0)
		observe(c, overload.Poll, 20, pollLate, 10*time.Second)
		require.Less(t, limit(t, r), 3.0)
		require.InDelta(t, 1, allowed(c, overload.Poll), 0)
	})
}

func TestNothingIsRefusedWithoutOverload(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]func(*overload.Limiter){
		"callbacks on time":            func(c *overload.Limiter) { observe(c, overload.Callback, 50, 900*time.Millisecond, 5*time.Second) },
		"polls that are a little late": func(c *overload.Limiter) { observe(c, overload.Poll, 50, 4*time.Second, 5*time.Second) },
		"one callback late by an hour": func(c *overload.Limiter) { c.ObserveDelay(overload.Callback, time.Hour); time.Sleep(time.Second) },
		"a clock that is ahead":        func(c *overload.Limiter) { observe(c, overload.Callback, 50, -time.Hour, 5*time.Second) },
		"a tenth of the callbacks late": func(c *overload.Limiter) {
			for range 20 {
				observe(c, overload.Callback, 45, 0, 1)
				observe(c, overload.Callback, 5, callbackLate, 1)
			}
		},
		"a backlog that is young": func(c *overload.Limiter) {
			c.ObserveBacklog(overload.Backlog{Callbacks: 900 * time.Millisecond, Polls: 4 * time.Second}, overload.Backlog{})
			time.Sleep(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, r := newLimiter(0)
				live(c)
				require.InDelta(t, 32, limit(t, r), 0)
				require.InDelta(t, 1, allowed(c, overload.Poll), 0)
				require.InDelta(t, 1, allowed(c, overload.Search), 0)
			})
		})
	}
}

func TestABacklogOnTheServerCountsAsLate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		backlog overload.Backlog
		polls   bool
	}{
		"callbacks hold back starts and polls": {overload.Backlog{Callbacks: callbackLate}, true},
		"polls hold back starts":               {overload.Backlog{Polls: pollLate}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, r := newLimiter(0)
				for range 10 {
					c.ObserveBacklog(tt.backlog, overload.Backlog{Callbacks: 2 * time.Second})
					time.Sleep(time.Second)
				}
				require.Less(t, limit(t, r), 3.0)
				require.Equal(t, tt.polls, allowed(c, overload.Poll) < 0.2)
				require.InDelta(t, 2, metric(t, r, "ringback_backlog_age_seconds"), 0, "of its own build")

				time.Sleep(14 * time.Second)
				require.Zero(t, metric(t, r, "ringback_backlog_age_seconds"), "an observed backlog is forgotten")
				require.InDelta(t, 32, limit(t, r), 0)
			})
		})
	}
}

func TestCountersOfRefusalsStartAtZero(t *testing.T) {
	t.Parallel()
	_, r := newLimiter(0)
	for _, work := range []string{"start", "search", "poll", "redelivery", "change", "read", "request"} {
		require.Zero(t, metric(t, r, "ringback_shed_total", work))
	}
}
