package activities

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pass lets one attempt through the lane that took as long and ended with err.
func pass(t *testing.T, l *lane, took time.Duration, err error) {
	t.Helper()
	done, held := l.admit()
	require.Empty(t, held)
	done(took, err)
}

func TestLaneHoldsBackWhatItHasNoRoomFor(t *testing.T) {
	t.Parallel()
	l := newLane(t.Name(), 2, 1, time.Minute)
	first, held := l.admit()
	require.Empty(t, held)
	_, held = l.admit()
	require.Empty(t, held)
	_, held = l.admit()
	require.Equal(t, "the bulkhead is full", held)
	first(0, nil)
	_, held = l.admit()
	require.Empty(t, held, "what left makes room")
}

func TestLanesBreaker(t *testing.T) {
	t.Parallel()
	const trips = 3
	tests := []struct {
		name  string
		ends  []error
		opens bool
	}{
		{"opens after enough failures in a row", []error{errNoAnswer, errNoAnswer, errNoAnswer}, true},
		{"not before", []error{errNoAnswer, errNoAnswer}, false},
		{"counts anew after a success", []error{errNoAnswer, errNoAnswer, nil, errNoAnswer, errNoAnswer}, false},
		{"does not count what was not made", []error{errNoAnswer, errNotMade, errNoAnswer, errNotMade}, false},
		{"does not count anew after what was not made", []error{errNoAnswer, errNoAnswer, errNotMade, errNoAnswer}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLane(t.Name(), 8, trips, 5*time.Second)
				for _, end := range tt.ends {
					pass(t, l, 0, end)
				}
				_, held := l.admit()
				require.Equal(t, tt.opens, held == "the breaker is open", held)
			})
		})
	}
	t.Run("lets one try again after its rest, and room is given back meanwhile", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLane(t.Name(), 2, 1, 5*time.Second)
			pass(t, l, 0, errNoAnswer)
			for range 5 {
				_, held := l.admit()
				require.Equal(t, "the breaker is open", held)
			}
			time.Sleep(5*time.Second + time.Millisecond)
			probe, held := l.admit()
			require.Empty(t, held)
			_, held = l.admit()
			require.Equal(t, "the breaker is open", held, "one at a time")
			probe(0, errNotMade)
			pass(t, l, 0, nil)
			pass(t, l, 0, nil)
		})
	})
}

func TestLaneAdmitsIntoWorkflowTasks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		recent []time.Duration
		held   string
	}{
		{"not where nothing is known", nil, "how fast it answers is not known yet"},
		{"where the recent answers were fast", []time.Duration{time.Millisecond, time.Second}, ""},
		{"not where one of them was slow", []time.Duration{time.Second + 1, time.Millisecond}, "recent answers were slow"},
		{"where the slow one is long past", []time.Duration{time.Minute, 1, 1, 1, 1, 1, 1, 1, 1}, ""},
		{"not where the slow one is the oldest of eight", []time.Duration{time.Minute, 1, 1, 1, 1, 1, 1, 1}, "recent answers were slow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t.Name(), 8, 1, time.Minute)
			for _, took := range tt.recent {
				pass(t, l, took, nil)
			}
			_, held := l.admitLocal()
			require.Equal(t, tt.held, held)
		})
	}
}

func TestLanesLocalShareIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(t.Name(), 2, 1, 5*time.Second)
		probe, held := l.admitFirst()
		require.Empty(t, held)
		_, held = l.admitFirst()
		require.Equal(t, "how fast it answers is being found out", held, "by one alone")
		_, held = l.admit()
		require.Empty(t, held, "an attempt outside workflow tasks may pass")
		_, held = l.admit()
		require.Equal(t, "the bulkhead is full", held)
		probe(time.Millisecond, nil)
		for range 3 {
			done, held := l.admitLocal()
			require.Empty(t, held)
			_, held = l.admitLocal()
			require.Equal(t, "the bulkhead is full", held, "a small limit bounds both")
			done(time.Millisecond, nil)
		}
	})
}

func TestLanesAreOneForEachNameAndLimit(t *testing.T) {
	t.Parallel()
	var all lanes
	a := all.of("a", 2, 1, time.Second)
	require.Same(t, a, all.of("a", 2, 1, time.Second))
	require.NotSame(t, a, all.of("b", 2, 1, time.Second))
	require.NotSame(t, a, all.of("a", 3, 1, time.Second), "a changed limit holds at once")
	full := all.of("none", 0, 1, time.Second)
	for range defaultConcurrent {
		_, held := full.admit()
		require.Empty(t, held)
	}
	_, held := full.admit()
	require.Equal(t, "the bulkhead is full", held, "no limit is the default one")
}

func TestLanesUnderConcurrentUseKeepTheirLimits(t *testing.T) {
	t.Parallel()
	const limit = 3
	var all lanes
	var inside [2]atomic.Int32
	var passed atomic.Int32
	var users sync.WaitGroup
	for user := range 16 {
		users.Go(func() {
			for i := range 200 {
				which := i % 2
				l := all.of(fmt.Sprint("endpoint ", which), limit, 1000, time.Second)
				enter := l.admit
				if user%2 == 0 {
					enter = l.admitLocal
				}
				done, held := enter()
				if held != "" {
					continue
				}
				if inside[which].Add(1) > limit {
					t.Error("more inside than the limit")
				}
				passed.Add(1)
				inside[which].Add(-1)
				done(time.Microsecond, errors.Join(nil))
			}
		})
	}
	users.Wait()
	require.Positive(t, passed.Load())
	for which := range inside {
		l := all.of(fmt.Sprint("endpoint ", which), limit, 1000, time.Second)
		for range limit {
			_, held := l.admit()
			require.Empty(t, held, "all room was given back")
		}
	}
}
