package activities_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
)

// lateness keeps the reported lateness of attempts and polls.
type lateness struct {
	mu              sync.Mutex
	attempts, polls []time.Duration
}

func (l *lateness) of(b *fixture) *lateness {
	note := func(into *[]time.Duration) func(time.Duration) {
		return func(late time.Duration) {
			l.mu.Lock()
			defer l.mu.Unlock()
			*into = append(*into, max(late, 0).Truncate(time.Millisecond))
		}
	}
	b.AttemptBegan, b.PollBegan = note(&l.attempts), note(&l.polls)
	return l
}

// pollsGiveWay makes the first n polls give way.
func pollsGiveWay(b *fixture, n int) {
	b.PollGivesWay = func() bool {
		n--
		return n >= 0
	}
}

func TestTheLatenessOfAttemptsIsReported(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		attempt int32
		// ended is how long ago the attempt before ended, 0: there is none; h is a
		// minute.
		ended time.Duration
		want  []time.Duration
	}{
		"the first attempt of the first run":                        {1, 0, []time.Duration{0}},
		"the first attempt of a later run":                          {2, 0, []time.Duration{0}},
		"one that was woken in time":                                {2, time.Minute, []time.Duration{0}},
		"one that was woken early":                                  {2, time.Minute - 400*time.Millisecond, []time.Duration{0}},
		"one that was woken late":                                   {2, time.Minute + 7*time.Second, []time.Duration{7 * time.Second}},
		"one that was due before its activity was scheduled is not": {1, time.Hour, []time.Duration{0}},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			late := (&lateness{}).of(b)
			in := deliverInput(time.Minute, 2)
			if tt.ended > 0 {
				in.Record = withAttempts(in, 1, time.Now().Add(-tt.ended))
			} else {
				in.Policy.Attempts = 1
			}
			r := run{attempt: tt.attempt}
			if tt.attempt > 1 {
				r.details = in.Record
			}
			_, err := b.deliver(in, r)
			require.NoError(t, err)
			require.Equal(t, tt.want, late.attempts)
		})
	}
}

func TestPollsGiveWayAtMostThreeTimes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		gives    int
		lifetime time.Duration
		polls    []time.Duration
		late     []time.Duration
	}{
		"none gives way":                        {0, time.Hour, seconds(0, 5), seconds(0, 0)},
		"one gives way, 2 s each time":          {2, time.Hour, seconds(4, 9), seconds(4, 0)},
		"no more often than three times":        {100, time.Hour, seconds(6, 17), seconds(6, 6)},
		"the last, at the deadline, gives none": {100, 3 * time.Second, seconds(3), seconds(3)},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			late := (&lateness{}).of(b)
			pollsGiveWay(b, tt.gives)
			begun := time.Now()
			result := b.watchToTheEnd(t, watchInput(schedule(tt.lifetime, 5*time.Second)), 0)
			require.Equal(t, tt.polls, b.core.polls(begun))
			require.Equal(t, len(tt.polls), result.Record.Polls, "what gives way costs no poll")
			require.Equal(t, tt.late, late.polls)
		})
	}
}

func TestAWatchGivesItsSlotBackSoonerWhereMostAreTaken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		slots int
		gap   time.Duration
		left  bool
	}{
		"it sits a short wait out":                {0, 5 * time.Second, false},
		"also where there are slots":              {10, 5 * time.Second, false},
		"not where it has one of the last":        {1, 5 * time.Second, true},
		"but what the server can't keep, it does": {1, 900 * time.Millisecond, false},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			b.Slots = tt.slots
			b.core.answer = after(2)
			_, err := b.watch(watchInput(schedule(time.Hour, tt.gap)), run{})
			if tt.left {
				requireYielded(t, err, activities.TypeWaiting, tt.gap-500*time.Millisecond)
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestABulkRedeliveryWaitsWhileOtherWorkGoesFirst(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		busy := 5
		b.RedeliveryGivesWay = func() bool {
			busy--
			return busy >= 0
		}
		runs := b.withRuns(2)
		begun := time.Now()
		_, err := b.redeliver(page(1, 10), run{})
		require.NoError(t, err)
		require.Len(t, runs.times, 2)
		require.Equal(t, 6*time.Second, runs.times[0].Sub(begun))
		require.Equal(t, 7*time.Second, runs.times[1].Sub(begun))
	})
}
