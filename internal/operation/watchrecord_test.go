package operation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/operation"
)

var accepted = operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))

func after1s(seconds float64) operation.Time {
	return accepted.Add(time.Duration(seconds * float64(time.Second)))
}

func TestWhenAWatchAsksNext(t *testing.T) {
	t.Parallel()
	schedule := operation.PollPolicy{ScheduleMS: []int64{5000, 10_000}, LifetimeMS: 60_000}
	delayed := operation.PollPolicy{IntervalMS: 10_000, InitialDelayMS: 3000, LifetimeMS: 12_000}
	for _, tt := range []struct {
		name   string
		policy operation.PollPolicy
		record operation.WatchRecord
		due    float64
		end    string
	}{
		{"the first at once", schedule, operation.WatchRecord{}, 0, ""},
		{"the first after the initial delay", delayed, operation.WatchRecord{}, 3, ""},
		{"the first at once, if that was asked for", delayed, operation.WatchRecord{PollNow: true}, 0, ""},
		{"the second by the schedule's first gap", schedule,
			operation.WatchRecord{Polls: 1, PollBegunAt: after1s(1), PollEndedAt: after1s(2)}, 6, ""},
		{"a gap that was outlasted counts from the answer", schedule,
			operation.WatchRecord{Polls: 1, PollBegunAt: after1s(1), PollEndedAt: after1s(7)}, 12, ""},
		{"one that was asked for now, a second after the latest", schedule,
			operation.WatchRecord{Polls: 1, PollBegunAt: after1s(1), PollEndedAt: after1s(1.2), PollNow: true}, 2, ""},
		{"never before the core wants it", schedule,
			operation.WatchRecord{Polls: 1, PollBegunAt: after1s(1), PollEndedAt: after1s(2), NotBefore: after1s(20), PollNow: true}, 20, ""},
		{"the last at the end of the lifetime", delayed,
			operation.WatchRecord{Polls: 1, PollBegunAt: after1s(3), PollEndedAt: after1s(3)}, 12, ""},
		{"none after that", delayed, operation.WatchRecord{Polls: 2, PollBegunAt: after1s(12), PollEndedAt: after1s(12)}, 12, operation.ReasonLifetimeOver},
		{"none after the schedule", schedule,
			operation.WatchRecord{Polls: 3, PollBegunAt: after1s(16), PollEndedAt: after1s(16)}, 26, operation.ReasonPollsUsedUp},
		{"none after the schedule, also if one was asked for", schedule,
			operation.WatchRecord{Polls: 3, PollBegunAt: after1s(16), PollEndedAt: after1s(16), PollNow: true}, 17, operation.ReasonPollsUsedUp},
		{"one more for one that was lost", schedule,
			operation.WatchRecord{Polls: 3, Uncounted: 1, Repeat: true, PollBegunAt: after1s(16), PollEndedAt: after1s(16)}, 17, ""},
		{"one more also after the lifetime", delayed,
			operation.WatchRecord{Polls: 2, Uncounted: 1, Repeat: true, PollBegunAt: after1s(12), PollEndedAt: after1s(12)}, 13, ""},
		{"a refused one uses up none of the schedule", schedule,
			operation.WatchRecord{Polls: 2, Uncounted: 1, PollBegunAt: after1s(1), PollEndedAt: after1s(1)}, 6, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.end, tt.record.End(tt.policy, accepted))
			if due := tt.record.Due(tt.policy, accepted); tt.due != 0 || due.After(accepted) {
				require.Equal(t, after1s(tt.due), due)
			}
		})
	}
}

// TestAWatchNeverAsksMoreThanItMay lets workers die and cores refuse at any time:
// the questions are max_polls, and one for each that died with its worker or was
// refused.
func TestAWatchNeverAsksMoreThanItMay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := operation.PollPolicy{
			IntervalMS: rapid.Int64Range(1, 5000).Draw(t, "interval"), MaxPolls: rapid.IntRange(1, 6).Draw(t, "max polls"), LifetimeMS: 3_600_000,
		}
		var record operation.WatchRecord
		now, asked, excused := accepted, 0, 0
		for record.End(policy, accepted) == "" {
			due := record.Due(policy, accepted)
			if due.After(now) {
				now = due
			}
			record.PollNow = rapid.Bool().Draw(t, "poll now")
			record.BeginPoll(now)
			asked++
			begun := now
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "takes")) * time.Millisecond)
			happens := 5
			if excused < 1000 { // A core that refuses for ever would never end the watch.
				happens = rapid.IntRange(0, 5).Draw(t, "what happens")
			}
			switch happens {
			case 0:
				record.Interrupt()
				record.Interrupt()
				excused++
			case 1:
				record.EndPoll(begun, now, nil, false)
				excused++
			default:
				record.EndPoll(begun, now, &operation.Observation{Status: "new", BegunAt: begun, ObservedAt: now}, true)
			}
		}
		require.Equal(t, asked, record.Polls, "the record counts what was asked")
		require.Equal(t, policy.MaxPolls, asked-excused)
	})
}
