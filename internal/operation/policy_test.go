package operation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// ukrcardSchedule are the gaps that Ukrcard recommends.
var ukrcardSchedule = []int64{5_000, 10_000, 15_000, 30_000, 60_000, 60_000, 120_000, 180_000, 300_000, 600_000}

func TestGapsBetweenPolls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy operation.PollPolicy
		gapsMS []int64
	}{
		{
			"a schedule gives each gap once and then its last",
			operation.PollPolicy{ScheduleMS: []int64{5, 10, 30}},
			[]int64{5, 10, 30, 30, 30},
		},
		{
			"an interval is every gap",
			operation.PollPolicy{IntervalMS: 7},
			[]int64{7, 7, 7},
		},
		{
			"a schedule goes before an interval",
			operation.PollPolicy{ScheduleMS: []int64{1}, IntervalMS: 7},
			[]int64{1, 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, gapMS := range tt.gapsMS {
				require.Equal(t, gapMS, tt.policy.Gap(i+1).Milliseconds(), "after poll %d", i+1)
			}
			require.Equal(t, tt.policy.Gap(1), tt.policy.Gap(0), "before any poll it is the first gap")
		})
	}
}

func TestUkrcardsScheduleIsLongerThanItsLifetime(t *testing.T) {
	t.Parallel()
	p := operation.PollPolicy{ScheduleMS: ukrcardSchedule, LifetimeMS: 1_200_000}
	var at time.Duration
	for poll := 1; poll < p.Limit(); poll++ {
		at += p.Gap(poll)
	}
	require.Equal(t, 23*time.Minute, at)
	require.Equal(t, 20*time.Minute, p.Lifetime(), "so the last poll is clipped to the lifetime")
}

func TestHowManyPollsThereAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy operation.PollPolicy
		limit  int
	}{
		{"a schedule has one more poll than gaps", operation.PollPolicy{ScheduleMS: ukrcardSchedule}, 11},
		{"max_polls cuts a schedule", operation.PollPolicy{ScheduleMS: ukrcardSchedule, MaxPolls: 3}, 3},
		{"max_polls lengthens a schedule", operation.PollPolicy{ScheduleMS: []int64{5}, MaxPolls: 9}, 9},
		{"an interval is bounded by max_polls", operation.PollPolicy{IntervalMS: 5, MaxPolls: 4}, 4},
		{"an interval alone is bounded by the lifetime", operation.PollPolicy{IntervalMS: 5}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.limit, tt.policy.Limit())
			if tt.limit == 0 {
				require.False(t, tt.policy.UsedUp(1_000_000))
				return
			}
			require.False(t, tt.policy.UsedUp(tt.limit-1))
			require.True(t, tt.policy.UsedUp(tt.limit))
			require.True(t, tt.policy.UsedUp(tt.limit+1))
		})
	}
}

func TestDurationsOfPoliciesAreMilliseconds(t *testing.T) {
	t.Parallel()
	poll := operation.PollPolicy{LifetimeMS: 1_200_000, InitialDelayMS: 250}
	require.Equal(t, 20*time.Minute, poll.Lifetime())
	require.Equal(t, 250*time.Millisecond, poll.InitialDelay())
	delivery := operation.DeliveryPolicy{IntervalMS: 50, TimeoutMS: 10_000}
	require.Equal(t, 50*time.Millisecond, delivery.Interval())
	require.Equal(t, 10*time.Second, delivery.Timeout())
}
