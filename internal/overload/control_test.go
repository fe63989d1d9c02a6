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

// control is an admission with that many starts at once, and where its metrics are.
func control(startsAtOnce int) (*overload.Control, *prometheus.Registry) {
	r := prometheus.NewPedanticRegistry()
	return overload.New(r, func() int { return startsAtOnce }), r
}

// shown is the sum of a metric over the series with those values.
func shown(t *testing.T, r *prometheus.Registry, name string, values ...string) float64 {
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
	require.Truef(t, found, "%s %v is shown", name, values)
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

func enter(t *testing.T, c *overload.Control, w overload.Work) (leave func(error)) {
	t.Helper()
	leave, err := c.Enter(t.Context(), w)
	require.NoError(t, err)
	return leave
}

func TestAStartWaitsForItsTurnAndIsShedWhereNoneComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := control(1)
		leave := enter(t, c, overload.Start)
		begun := time.Now()
		time.AfterFunc(500*time.Millisecond, func() { leave(nil) })
		leave = enter(t, c, overload.Start)
		require.Equal(t, 500*time.Millisecond, time.Since(begun), "let in as the other leaves")

		begun = time.Now()
		_, err := c.Enter(t.Context(), overload.Start)
		refused(t, err)
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.InDelta(t, 1, shown(t, r, "ringback_shed_total", "start", "queue"), 0)
		leave(nil)
		enter(t, c, overload.Start)(nil)
	})
}

func TestALongQueueIsGivenUpSooner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := control(1)
		shedAfter := func() time.Duration {
			begun := time.Now()
			_, err := c.Enter(t.Context(), overload.Start)
			refused(t, err)
			return time.Since(begun)
		}
		leave := enter(t, c, overload.Start)
		var line sync.WaitGroup
		for range 64 {
			line.Go(func() { shedAfter() })
		}
		synctest.Wait()
		require.Equal(t, 3*time.Second, shedAfter(), "behind the line, after a calm time")
		time.Sleep(time.Millisecond)
		require.Equal(t, time.Second, shedAfter(), "behind it, where it has been standing")
		line.Wait()
		require.Equal(t, 5*time.Second, shedAfter(), "in the line")
		leave(nil)
	})
}

func TestTheQueueOfStartsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := control(1)
		leave := enter(t, c, overload.Start)
		var waiting sync.WaitGroup
		for range 1024 {
			waiting.Go(func() {
				_, err := c.Enter(t.Context(), overload.Start)
				refused(t, err)
			})
		}
		synctest.Wait()
		require.InDelta(t, 1024, shown(t, r, "ringback_starts_waiting"), 0)
		begun := time.Now()
		_, err := c.Enter(t.Context(), overload.Start)
		refused(t, err)
		require.Zero(t, time.Since(begun), "one more is refused at once")
		waiting.Wait()
		require.Zero(t, shown(t, r, "ringback_starts_waiting"))
		leave(nil)
	})
}

func TestAStartThatIsGivenUpWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := control(1)
		leave := enter(t, c, overload.Start)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := c.Enter(ctx, overload.Start)
		refused(t, err)
		require.Equal(t, time.Second, time.Since(begun))
		leave(errors.New("it failed"))
		enter(t, c, overload.Start)(nil)
	})
}

func TestABurstOfSixtyFourIsNotShed(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]time.Duration{
		"where a start takes 10 ms":            10 * time.Millisecond,
		"where a start takes half a second":    500 * time.Millisecond,
		"where a start takes longer than that": 4 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := control(0)
				var starters sync.WaitGroup
				for range 64 {
					starters.Go(func() {
						for range 100 {
							leave, err := c.Enter(t.Context(), overload.Start)
							if err != nil {
								t.Error(err)
								return
							}
							time.Sleep(took)
							leave(nil)
						}
					})
				}
				starters.Wait()
			})
		})
	}
}

// Where a start takes the longer the more of them there are, letting more in
// brings nothing; where it takes what it takes, it brings all.
func TestTheLimitOfStartsFollowsTheirLatency(t *testing.T) {
	t.Parallel()
	limit := func(t *testing.T, took func(inEngine int) time.Duration, ended error) (limit float64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c, r := control(0)
			var mu sync.Mutex
			inEngine := 0
			count := func(by int) int {
				mu.Lock()
				defer mu.Unlock()
				inEngine += by
				return inEngine
			}
			end := time.Now().Add(2 * time.Minute)
			var starters sync.WaitGroup
			for range 300 {
				starters.Go(func() {
					for time.Now().Before(end) {
						leave, err := c.Enter(t.Context(), overload.Start)
						if err != nil {
							continue
						}
						time.Sleep(took(count(1)))
						count(-1)
						leave(ended)
					}
				})
			}
			starters.Wait()
			limit = shown(t, r, "ringback_starts_limit")
		})
		return limit
	}
	fixed := func(int) time.Duration { return 200 * time.Millisecond }
	growing := func(n int) time.Duration { return 5 * time.Millisecond * time.Duration(n) }
	wide, narrow := limit(t, fixed, nil), limit(t, growing, nil)
	require.Greater(t, wide, 100.0)
	require.Less(t, narrow, wide/2)
	require.Greater(t, limit(t, fixed, context.DeadlineExceeded), 100.0, "a time-out took its time, too")
	require.InDelta(t, 32, limit(t, fixed, errors.New("no")), 0, "who was refused tells nothing")
}

func TestTheBoundOfStartsIsReadAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		atOnce := 1
		c := overload.New(prometheus.NewRegistry(), func() int { return atOnce })
		first := enter(t, c, overload.Start)
		atOnce = 2
		second := enter(t, c, overload.Start)
		_, err := c.Enter(t.Context(), overload.Start)
		refused(t, err)
		first(nil)
		second(nil)
	})
}

func TestOtherCallsAreBoundedByThemselves(t *testing.T) {
	t.Parallel()
	for work, most := range map[overload.Work]int{
		overload.Request: 4096, overload.Change: 1024, overload.Read: 512, overload.Search: 32,
	} {
		t.Run(string(work), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := control(1)
				var leave func(error)
				for range most {
					leave = enter(t, c, work)
				}
				_, err := c.Enter(t.Context(), work)
				refused(t, err)
				leave(nil)
				enter(t, c, work)
			})
		})
	}
}

const (
	callbackLate = 1100 * time.Millisecond
	pollLate     = 5100 * time.Millisecond
)

// begins tells n times in each quarter of a second of d that such work began so late.
func begins(c *overload.Control, w overload.Work, n int, late, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		for range n {
			c.Began(w, late)
		}
	}
}

// letIn is which part of 1,000 such calls is let in at this moment.
func letIn(c *overload.Control, w overload.Work) float64 {
	n := 0
	for range 1000 {
		if !c.GivesWay(w) {
			n++
		}
	}
	return float64(n) / 1000
}

// room is how many starts may be in the engine at once.
func room(t *testing.T, r *prometheus.Registry) float64 {
	t.Helper()
	return shown(t, r, "ringback_starts_limit")
}

func TestStartsThenPollsGiveWayWhileCallbacksAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := control(0)
		require.InDelta(t, 32, room(t, r), 0)

		begins(c, overload.Callback, 20, callbackLate, 1500*time.Millisecond)
		require.Less(t, room(t, r), 16.0)
		require.Greater(t, room(t, r), 1.0)
		require.InDelta(t, 1, letIn(c, overload.Poll), 0, "polls do not yet")

		begins(c, overload.Callback, 20, callbackLate, 10*time.Second)
		require.InDelta(t, 1, room(t, r), 0, "one at a time, whatever is late")
		for _, work := range []overload.Work{overload.Poll, overload.Search, overload.Redelivery} {
			require.Less(t, letIn(c, work), 0.2, work)
			require.Positive(t, letIn(c, work), "some are let in whatever is late")
			require.Positive(t, shown(t, r, "ringback_shed_total", string(work), "late"))
		}
		for _, work := range []overload.Work{overload.Change, overload.Read} {
			for range 100 {
				enter(t, c, work)(nil)
			}
		}

		begins(c, overload.Callback, 20, 0, 7*time.Second)
		require.InDelta(t, 1, letIn(c, overload.Poll), 0, "polls go first again")
		require.Less(t, room(t, r), 32.0)
		time.Sleep(10 * time.Second)
		require.InDelta(t, 32, room(t, r), 0)
		require.InDelta(t, 1, shown(t, r, "ringback_admitted_share", "start"), 0)
	})
}

func TestStartsWaitForEachOtherWhileCallbacksAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := control(8)
		begins(c, overload.Callback, 20, callbackLate, 10*time.Second)
		leave := enter(t, c, overload.Start)
		_, err := c.Enter(t.Context(), overload.Start)
		refused(t, err)
		require.InDelta(t, 1, shown(t, r, "ringback_starts_in_engine"), 0)

		time.Sleep(15 * time.Second)
		var all []func(error)
		for range 7 {
			all = append(all, enter(t, c, overload.Start))
		}
		for _, leaves := range append(all, leave) {
			leaves(nil)
		}
		require.Zero(t, shown(t, r, "ringback_starts_in_engine"))
	})
}

func TestASearchGivesWayWhileCallbacksAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := control(0)
		begins(c, overload.Callback, 20, callbackLate, 10*time.Second)
		shed := 0
		for range 100 {
			leave, err := c.Enter(t.Context(), overload.Search)
			if err != nil {
				refused(t, err)
				shed++
				continue
			}
			leave(nil)
		}
		require.Greater(t, shed, 50)
	})
}

func TestStartsAloneGiveWayToPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := control(0)
		begins(c, overload.Poll, 20, pollLate, 10*time.Second)
		require.Less(t, room(t, r), 3.0)
		require.InDelta(t, 1, letIn(c, overload.Poll), 0)
	})
}

func TestWhatIsNotTooMuchToDoShedsNothing(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]func(*overload.Control){
		"callbacks on time":            func(c *overload.Control) { begins(c, overload.Callback, 50, 900*time.Millisecond, 5*time.Second) },
		"polls that are a little late": func(c *overload.Control) { begins(c, overload.Poll, 50, 4*time.Second, 5*time.Second) },
		"one callback late by an hour": func(c *overload.Control) { c.Began(overload.Callback, time.Hour); time.Sleep(time.Second) },
		"a clock that is ahead":        func(c *overload.Control) { begins(c, overload.Callback, 50, -time.Hour, 5*time.Second) },
		"a tenth of the callbacks late": func(c *overload.Control) {
			for range 20 {
				begins(c, overload.Callback, 45, 0, 1)
				begins(c, overload.Callback, 5, callbackLate, 1)
			}
		},
		"a backlog that is young": func(c *overload.Control) {
			c.Saw(overload.Backlog{Callbacks: 900 * time.Millisecond, Polls: 4 * time.Second})
			time.Sleep(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, r := control(0)
				live(c)
				require.InDelta(t, 32, room(t, r), 0)
				require.InDelta(t, 1, letIn(c, overload.Poll), 0)
				require.InDelta(t, 1, letIn(c, overload.Search), 0)
			})
		})
	}
}

func TestWhatWaitsOnTheServerIsLateToo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		backlog overload.Backlog
		polls   bool
	}{
		"callbacks take turns from starts and polls": {overload.Backlog{Callbacks: callbackLate}, true},
		"polls take turns from starts":               {overload.Backlog{Polls: pollLate}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, r := control(0)
				for range 10 {
					c.Saw(tt.backlog)
					time.Sleep(time.Second)
				}
				require.Less(t, room(t, r), 3.0)
				require.Equal(t, tt.polls, letIn(c, overload.Poll) < 0.2)
				require.Positive(t, shown(t, r, "ringback_backlog_age_seconds"))

				time.Sleep(14 * time.Second)
				require.Zero(t, shown(t, r, "ringback_backlog_age_seconds"), "what was seen holds for a while")
				require.InDelta(t, 32, room(t, r), 0)
			})
		})
	}
}

func TestWhatMayBeShedIsCountedFromZero(t *testing.T) {
	t.Parallel()
	_, r := control(0)
	for _, work := range []string{"start", "search", "poll", "redelivery", "change", "read", "request"} {
		require.Zero(t, shown(t, r, "ringback_shed_total", work))
	}
}
