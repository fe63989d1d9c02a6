package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// watchInput is a watch of an operation accepted now, whose status is "new".
func watchInput(policy operation.PollPolicy) activities.WatchInput {
	return activities.WatchInput{
		Key: operation.Key{Endpoint: shop, OperationID: "42"}, Source: "wallet",
		Query: operation.Query{OperationID: "42"}, Policy: policy, AcceptedAt: operation.At(time.Now()), Known: "new",
	}
}

func schedule(lifetime time.Duration, gaps ...time.Duration) operation.PollPolicy {
	p := operation.PollPolicy{LifetimeMS: lifetime.Milliseconds()}
	for _, gap := range gaps {
		p.ScheduleMS = append(p.ScheduleMS, gap.Milliseconds())
	}
	return p
}

func interval(lifetime, gap time.Duration) operation.PollPolicy {
	return operation.PollPolicy{LifetimeMS: lifetime.Milliseconds(), IntervalMS: gap.Milliseconds()}
}

// watchToTheEnd runs a watch as the server does: it wakes it again when it asked to
// be, lateness after that, with what it recorded last.
func (b *fixture) watchToTheEnd(t *testing.T, in activities.WatchInput, lateness time.Duration) activities.WatchResult {
	t.Helper()
	r := run{}
	for {
		result, err := b.watch(in, r)
		if err == nil {
			return result
		}
		time.Sleep(failure(t, err).NextRetryDelay() + lateness)
		r.details = recorded[operation.WatchRecord](t, b.server)
	}
}

func seconds(all ...float64) []time.Duration {
	var durations []time.Duration
	for _, s := range all {
		durations = append(durations, time.Duration(s*float64(time.Second)))
	}
	return durations
}

// after answers done from the nth poll on.
func after(n int) func(context.Context, int) (operation.Observation, error) {
	return func(_ context.Context, poll int) (operation.Observation, error) {
		if poll < n {
			return operation.Observation{Status: "new"}, nil
		}
		return operation.Observation{Status: "done", Raw: map[string]string{"status": "done"}}, nil
	}
}

func failing(err *source.Error) func(context.Context, int) (operation.Observation, error) {
	return func(context.Context, int) (operation.Observation, error) { return operation.Observation{}, err }
}

func TestWatchPolls(t *testing.T) {
	t.Parallel()
	slow := func(took time.Duration) func(context.Context, int) (operation.Observation, error) {
		return func(context.Context, int) (operation.Observation, error) {
			time.Sleep(took)
			return operation.Observation{Status: "new"}, nil
		}
	}
	with := func(p operation.PollPolicy, change func(*operation.PollPolicy)) operation.PollPolicy {
		change(&p)
		return p
	}
	tests := []struct {
		name     string
		policy   operation.PollPolicy
		answer   func(context.Context, int) (operation.Observation, error)
		lateness time.Duration
		polls    []time.Duration
		end      string
	}{
		{"at the schedule's gaps, once more than it has", schedule(time.Hour, seconds(1, 3, 60, 5)...), nil, 0,
			seconds(0, 1, 4, 64, 69), operation.ReasonPollsUsedUp},
		{"at an interval until max_polls", with(interval(time.Hour, 20*time.Second), func(p *operation.PollPolicy) { p.MaxPolls = 3 }), nil, 0,
			seconds(0, 20, 40), operation.ReasonPollsUsedUp},
		{"at the last gap again where max_polls allows more", with(schedule(time.Hour, seconds(1, 2)...), func(p *operation.PollPolicy) { p.MaxPolls = 5 }), nil, 0,
			seconds(0, 1, 3, 5, 7), operation.ReasonPollsUsedUp},
		{"fewer times than the schedule has gaps where max_polls says so", with(schedule(time.Hour, seconds(1, 2)...), func(p *operation.PollPolicy) { p.MaxPolls = 2 }), nil, 0,
			seconds(0, 1), operation.ReasonPollsUsedUp},
		{"at an interval within the lifetime, the last at its end", interval(25*time.Second, 10*time.Second), nil, 0,
			seconds(0, 10, 20, 25), operation.ReasonLifetimeOver},
		{"once at the lifetime's end where a gap ends there", interval(20*time.Second, 10*time.Second), nil, 0,
			seconds(0, 10, 20), operation.ReasonLifetimeOver},
		{"first after the initial delay", with(schedule(time.Hour, seconds(1)...), func(p *operation.PollPolicy) { p.InitialDelayMS = 7000 }), nil, 0,
			seconds(7, 8), operation.ReasonPollsUsedUp},
		{"until the status is another", schedule(time.Hour, seconds(1, 1, 1, 1)...), after(3), 0,
			seconds(0, 1, 2), ""},
		{"at gaps between the beginnings of polls", schedule(time.Hour, seconds(10, 10)...), slow(4 * time.Second), 0,
			seconds(0, 10, 20), operation.ReasonPollsUsedUp},
		{"a gap after the end of one that outlasted it", schedule(time.Hour, seconds(2, 2)...), slow(3 * time.Second), 0,
			seconds(0, 5, 10), operation.ReasonPollsUsedUp},
		{"exactly, the server being late by less than it is woken early", schedule(time.Hour, seconds(30, 30)...), nil, 400 * time.Millisecond,
			seconds(0, 30, 60), operation.ReasonPollsUsedUp},
		{"late rather than not at all where the worker was gone", interval(60*time.Second, 50*time.Second), nil, 3 * time.Hour,
			seconds(0, 3*3600+49.5), operation.ReasonLifetimeOver},
	}
	for _, tt := range tests {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			b.core.answer = tt.answer
			begun := time.Now()
			result := b.watchToTheEnd(t, watchInput(tt.policy), tt.lateness)
			require.Equal(t, tt.polls, b.core.polls(begun))
			require.Equal(t, tt.end, result.End)
			require.Equal(t, len(tt.polls), result.Record.Polls)
		})
	}
}

func TestWatchReturnsTheStatusThatChanged(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = after(2)
		begun := operation.At(time.Now())
		result := b.watchToTheEnd(t, watchInput(schedule(time.Hour, seconds(1)...)), 0)
		require.Equal(t, &operation.Observation{
			Status: "done", Raw: map[string]string{"status": "done"}, BegunAt: begun.Add(time.Second), ObservedAt: begun.Add(time.Second),
		}, result.Record.Last)
		require.Empty(t, result.End)
	})
}

func TestWatchTakesAnAnswerWithoutAStatusForNoChange(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = func(context.Context, int) (operation.Observation, error) {
			return operation.Observation{Raw: map[string]string{"respStatus": "404"}}, nil
		}
		result := b.watchToTheEnd(t, watchInput(schedule(time.Hour, seconds(1)...)), 0)
		require.Equal(t, operation.ReasonPollsUsedUp, result.End)
		require.Equal(t, map[string]string{"respStatus": "404"}, result.Record.Last.Raw, "the last answer read")
	})
}

func TestWatchCountsErrorsAsPollsAndKeepsTheLastAnswerRead(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			switch n {
			case 1:
				return operation.Observation{Status: "new"}, nil
			case 2:
				return operation.Observation{}, &source.Error{Kind: source.Unavailable, Source: "wallet", Detail: "GET x: HTTP 500"}
			case 3:
				return operation.Observation{}, errors.New("not even one of ours")
			}
			return operation.Observation{}, &source.Error{Kind: source.Malformed, Source: "wallet", Detail: "GET x: nonsense"}
		}
		result := b.watchToTheEnd(t, watchInput(schedule(time.Hour, seconds(1, 1, 1)...)), 0)
		require.Equal(t, operation.ReasonPollsUsedUp, result.End)
		require.Equal(t, 4, result.Record.Polls)
		require.Equal(t, "new", result.Record.Last.Status)
		require.Equal(t, operation.At(time.Now().Add(-3*time.Second)), result.Record.Last.ObservedAt)
	})
}

func TestWatchHonoursACoresRetryAfter(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			if n == 1 {
				return operation.Observation{}, &source.Error{Kind: source.Throttled, RetryAfter: 4 * time.Second}
			}
			return operation.Observation{Status: "new"}, nil
		}
		begun := time.Now()
		result := b.watchToTheEnd(t, watchInput(schedule(time.Hour, seconds(1, 1)...)), 0)
		require.Equal(t, seconds(0, 4, 5), b.core.polls(begun))
		require.Equal(t, 3, result.Record.Polls, "a poll that was answered 429 is one")
	})
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = failing(&source.Error{Kind: source.Throttled, RetryAfter: time.Hour})
		begun := time.Now()
		result := b.watchToTheEnd(t, watchInput(interval(20*time.Second, 5*time.Second)), 0)
		require.Equal(t, seconds(0, 20), b.core.polls(begun), "never past the lifetime")
		require.Equal(t, operation.ReasonLifetimeOver, result.End)
	})
}

func TestWatchDoesNotCountPollsThatRefusedOurCredentials(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			if n <= 3 {
				return operation.Observation{}, &source.Error{Kind: source.Unauthorized, Source: "wallet", Detail: "HTTP 401"}
			}
			return after(5)(t.Context(), n)
		}
		begun := time.Now()
		result := b.watchToTheEnd(t, watchInput(schedule(time.Hour, seconds(1)...)), 0)
		require.Equal(t, seconds(0, 15, 45, 105, 106), b.core.polls(begun))
		require.Equal(t, 5, result.Record.Polls, "all that were asked")
		require.Equal(t, 2, result.Record.CountedPolls(), "those that use up max_polls")
		require.Equal(t, "done", result.Record.Last.Status)
	})
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = failing(&source.Error{Kind: source.Unauthorized})
		result := b.watchToTheEnd(t, watchInput(interval(time.Minute, time.Second)), 0)
		require.Equal(t, operation.ReasonLifetimeOver, result.End, "the lifetime ends it all the same")
		require.Zero(t, result.Record.CountedPolls())
	})
}

func TestWatchWaitsForASourceThatRefusedTwoOperations(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			if n <= 2 {
				return operation.Observation{}, &source.Error{Kind: source.Unauthorized}
			}
			return operation.Observation{Status: "done"}, nil
		}
		for _, id := range []string{"1", "2"} {
			refused, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet", Query: operation.Query{OperationID: id}})
			require.NoError(t, err)
			require.True(t, refused.Uncounted)
		}
		held, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet", Query: operation.Query{OperationID: "3"}})
		require.NoError(t, err)
		require.Equal(t, "the core refused our credentials lately", held.HeldBack)
		begun := time.Now()
		result := b.watchToTheEnd(t, watchInput(interval(time.Hour, time.Second)), 0)
		require.Equal(t, seconds(0, 0, 15), b.core.polls(begun), "held back until the source had rested")
		require.Equal(t, 1, result.Record.Polls, "what was held back is not a poll")
	})
}

func TestWatchWaitsForASourceThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.missing = true
		in := watchInput(interval(time.Hour, time.Second))
		_, err := b.watch(in, run{})
		requireYielded(t, err, activities.TypeHeldBack, 15*time.Second-500*time.Millisecond)
		require.Contains(t, failure(t, err).Message(), "the source wallet is not in this worker's configuration; next poll at ")
		require.Zero(t, recorded[operation.WatchRecord](t, b.server).Polls)
		b.missing = false
		b.core.answer = after(1)
		time.Sleep(14500 * time.Millisecond)
		result, err := b.watch(in, run{details: recorded[operation.WatchRecord](t, b.server)})
		require.NoError(t, err)
		require.Equal(t, 1, result.Record.Polls)
	})
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.missing = true
		result := b.watchToTheEnd(t, watchInput(interval(20*time.Second, time.Second)), 0)
		require.Equal(t, operation.ReasonLifetimeOver, result.End)
		require.Nil(t, result.Record.Last)
		require.Empty(t, b.core.polls(time.Now()))
	})
}

func TestWatchResumesFromItsRecord(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := watchInput(schedule(time.Hour, seconds(10, 20, 30)...))
		begun := time.Now()
		time.Sleep(12 * time.Second)
		details := operation.WatchRecord{
			Polls: 2, PollBegunAt: operation.At(begun.Add(10 * time.Second)), PollEndedAt: operation.At(begun.Add(10 * time.Second)),
			Last: &operation.Observation{Status: "new"},
		}
		in.Record = operation.WatchRecord{Polls: 1}
		_, err := b.watch(in, run{details: details})
		requireYielded(t, err, activities.TypeWaiting, 18*time.Second-500*time.Millisecond)
		require.Empty(t, b.core.polls(begun))
		require.Equal(t, 2, recorded[operation.WatchRecord](t, b.server).Polls)
		time.Sleep(17500 * time.Millisecond)
		_, err = b.watch(in, run{details: recorded[operation.WatchRecord](t, b.server)})
		require.Equal(t, seconds(30), b.core.polls(begun))
		requireYielded(t, err, activities.TypeWaiting, 30*time.Second-500*time.Millisecond)
		require.Equal(t, `poll 3: status "new" is not another yet; next poll at 2000-01-01T00:01:00.000Z`, failure(t, err).Message())
	})
}

func TestWatchGoesOnAfterAPollInsideTheWorkflowTask(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := watchInput(schedule(time.Hour, seconds(3, 3)...))
		in.Record = operation.WatchRecord{Polls: 1, PollBegunAt: in.AcceptedAt, PollEndedAt: in.AcceptedAt}
		begun := time.Now()
		result := b.watchToTheEnd(t, in, 0)
		require.Equal(t, seconds(3, 6), b.core.polls(begun))
		require.Equal(t, 3, result.Record.Polls)
	})
}

func TestWatchThatIsCancelled(t *testing.T) {
	t.Parallel()
	subtest(t, "makes no other poll after the heartbeat that says so", func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, temporal.NewCanceledError())
		begun := time.Now()
		result, err := b.watch(watchInput(interval(time.Hour, 9*time.Second)), run{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Record.Polls)
		require.Empty(t, result.End)
		require.Equal(t, seconds(0), b.core.polls(begun))
		require.Equal(t, 9*time.Second, time.Since(begun))
	})
	subtest(t, "ends at once where it waits in the process that interrupts it", func(t *testing.T, b *fixture) {
		begun := time.Now()
		time.AfterFunc(12*time.Second, func() { b.interrupt(t, "Watch") })
		result, err := b.watch(watchInput(interval(time.Hour, 9*time.Second)), run{})
		require.NoError(t, err)
		require.Equal(t, 2, result.Record.Polls)
		require.Equal(t, 12*time.Second, time.Since(begun))
	})
	subtest(t, "lets a poll in flight finish", func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, temporal.NewCanceledError())
		b.core.answer = func(ctx context.Context, _ int) (operation.Observation, error) {
			time.Sleep(32 * time.Second)
			return operation.Observation{Status: "done"}, ctx.Err()
		}
		result, err := b.watch(watchInput(interval(time.Hour, 5*time.Second)), run{})
		require.NoError(t, err)
		require.Equal(t, "done", result.Record.Last.Status)
		require.Equal(t, 4, b.server.heartbeats(), "and is not taken for dead meanwhile")
	})
}

func TestWatchThatIsPausedGivesItsSlotBackWithItsRecord(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(2, activity.ErrActivityPaused)
		_, err := b.watch(watchInput(interval(time.Hour, 9*time.Second)), run{})
		requireYielded(t, err, activities.TypeWaiting, time.Millisecond)
		require.Contains(t, failure(t, err).Message(), "paused or reset by an operator")
		require.Equal(t, 2, recorded[operation.WatchRecord](t, b.server).Polls)
	})
}

func TestWatchThatIsPausedDuringAPollKeepsIt(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, activity.ErrActivityPaused)
		b.core.answer = func(context.Context, int) (operation.Observation, error) {
			time.Sleep(15 * time.Second)
			return operation.Observation{Status: "new"}, nil
		}
		_, err := b.watch(watchInput(interval(time.Hour, 20*time.Second)), run{})
		require.Equal(t, activities.TypeWaiting, failure(t, err).Type())
		require.Equal(t, 1, recorded[operation.WatchRecord](t, b.server).Polls)
	})
}

func TestWatchDoesNotCutOffAPollWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		ctx, cancel := context.WithCancel(context.Background())
		b.core.answer = func(ctx context.Context, _ int) (operation.Observation, error) {
			cancel()
			time.Sleep(time.Second)
			return operation.Observation{Status: "done"}, ctx.Err()
		}
		result, err := b.watch(watchInput(interval(time.Hour, time.Second)), run{ctx: ctx})
		require.NoError(t, err)
		require.Equal(t, "done", result.Record.Last.Status)
	})
}

func TestWatchReturnsNoResultWhereTheServerGaveItUp(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.refuses = serviceerror.NewNotFound("no such activity")
		_, err := b.watch(watchInput(interval(time.Hour, time.Minute)), run{})
		require.ErrorIs(t, err, activity.ErrResultPending)
		require.Equal(t, 1, b.server.heartbeats(), "the poll that it recorded before")
	})
}

func TestWatchIsRetriedInTimeWhereItsLastRecordFailed(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.refuses = serviceerror.NewUnavailable("no server")
		_, err := b.watch(watchInput(interval(time.Hour, time.Minute)), run{})
		requireYielded(t, err, activities.TypeWaiting, time.Minute-500*time.Millisecond)
	})
}

func TestWatchInAWorkerThatStopsGivesItsWaitBackWithTheRecordKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		stop func(r *run, cancel func())
	}{
		{"by its stop channel", func(r *run, _ func()) { close(r.stop) }},
		{"by its context", func(_ *run, cancel func()) { cancel() }},
	} {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := run{stop: make(chan struct{}), ctx: ctx}
			time.AfterFunc(time.Second, func() { tt.stop(&r, cancel) })
			_, err := b.watch(watchInput(interval(time.Hour, 5*time.Second)), r)
			requireYielded(t, err, activities.TypeWaiting, 3500*time.Millisecond)
			kept := recorded[operation.WatchRecord](t, b.server)
			require.Equal(t, 1, kept.Polls)
			require.Equal(t, "new", kept.Last.Status)
		})
	}
}

func TestWatchRecordsEachPollOnce(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		time.AfterFunc(10500*time.Millisecond, func() { close(stop) })
		_, err := b.watch(watchInput(interval(time.Hour, 4900*time.Millisecond)), run{stop: stop})
		require.Equal(t, activities.TypeWaiting, failure(t, err).Type())
		require.Equal(t, 3, b.server.heartbeats(), "one for each poll, before it is made")
		require.Equal(t, 3, recorded[operation.WatchRecord](t, b.server).Polls, "it leaves with a record of its own")
	})
}

// A worker that dies with a question on its way costs that question, and no answer.
func TestWatchRepeatsAPollThatWasLostWithItsWorker(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := watchInput(interval(time.Hour, 5*time.Second))
		in.Policy.MaxPolls = 2
		begun := time.Now()
		lost := operation.WatchRecord{Polls: 2, PollBegunAt: operation.At(begun), Last: &operation.Observation{Status: "new"}}
		b.core.answer = after(1)
		result, err := b.watch(in, run{details: lost, attempt: 2})
		require.NoError(t, err)
		require.Equal(t, seconds(1), b.core.polls(begun), "a second after it, although both polls are used up")
		require.Equal(t, 3, result.Record.Polls, "what the core was asked")
		require.Equal(t, 2, result.Record.CountedPolls())
		require.Equal(t, "done", result.Record.Last.Status)
	})
}

func TestWatchPollsNowAtMostOnceASecond(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := watchInput(interval(time.Hour, time.Minute))
		in.Policy.InitialDelayMS = 20_000
		in.Record.PollNow = true
		begun := time.Now()
		_, err := b.watch(in, run{})
		requireYielded(t, err, activities.TypeWaiting, time.Minute-500*time.Millisecond)
		require.Equal(t, seconds(0), b.core.polls(begun))
		in.Record = recorded[operation.WatchRecord](t, b.server)
		in.Record.PollNow = true
		_, err = b.watch(in, run{})
		requireYielded(t, err, activities.TypeWaiting, time.Minute-500*time.Millisecond)
		require.Equal(t, seconds(0, 1), b.core.polls(begun), "at most once a second")
	})
}

func TestWatchRefusesARecordThatItCannotRead(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		_, err := b.watch(watchInput(interval(time.Hour, time.Second)), run{details: "not a record"})
		require.Equal(t, activities.TypeBadInput, failure(t, err).Type())
		require.True(t, failure(t, err).NonRetryable())
	})
}

func TestAWatchThatIsAboutToPollIsNotInterrupted(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := watchInput(interval(time.Hour, 9*time.Second))
		in.Record = operation.WatchRecord{Polls: 1, PollNow: true, PollBegunAt: in.AcceptedAt, PollEndedAt: in.AcceptedAt}
		begun := time.Now()
		for after, left := range map[time.Duration]bool{900 * time.Millisecond: true, 2 * time.Second: false} {
			time.AfterFunc(after, func() {
				found, err := b.Interrupt(context.Background(), activities.InterruptInput{
					RunID: testRun, Activity: "Watch", UnlessAboutToPoll: true, Polls: 1,
				})
				assert.True(t, err == nil && found == activities.Interrupted{LeftAlone: left, Here: !left}, "%+v: %v", found, err)
			})
		}
		result, err := b.watch(in, run{})
		require.NoError(t, err)
		require.Equal(t, seconds(1), b.core.polls(begun), "a second after the question before")
		require.Equal(t, 2*time.Second, time.Since(begun))
		require.Equal(t, 2, result.Record.Polls)
	})
}

// The server hears of a watch once for each poll where its gaps are up to a minute.
func TestAWatchWaitsInTheWorkerAsLongAsItsHeartbeatTimeoutAllows(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, tt := range map[string]struct {
		policy  operation.PollPolicy
		timeout time.Duration
		// polls are those of one run, which the server wakes no more for delay.
		polls []time.Duration
		delay time.Duration
	}{
		"short gaps are taken over half a minute after a crash": {
			interval(time.Hour, second), 30 * second, nil, 0},
		"gaps of a minute are waited for in the worker": {
			schedule(time.Hour, second, 30*second, 60*second, 120*second), 80 * second, seconds(1, 31, 91), 119500 * time.Millisecond},
		"longer ones are left to the server, whatever the others are": {
			interval(time.Hour, 61*second), 30 * second, nil, 60500 * time.Millisecond},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			require.Equal(t, tt.timeout, activities.WatchHeartbeatTimeout(tt.policy))
			if tt.delay == 0 {
				return
			}
			in, begun := watchInput(tt.policy), time.Now()
			in.Record = operation.WatchRecord{Polls: 1, PollBegunAt: operation.At(begun), PollEndedAt: operation.At(begun)}
			_, err := b.watch(in, run{heartbeats: tt.timeout})
			requireYielded(t, err, activities.TypeWaiting, tt.delay)
			require.Equal(t, tt.polls, b.core.polls(begun))
			require.Equal(t, len(tt.polls), b.server.heartbeats())
		})
	}
}

// The next record of a watch comes with its next poll, up to a minute later.
func TestAWatchRecordsWhenItPollsNextAndAtOnceWhyAPollFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		gap        time.Duration
		fails      bool
		heartbeats int
	}{
		"an answer is recorded with the next poll":                       {30 * time.Second, false, 1},
		"a failure at once":                                              {30 * time.Second, true, 2},
		"a failure with the next poll where that is made within seconds": {9 * time.Second, true, 1},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			if tt.fails {
				b.core.answer = func(context.Context, int) (operation.Observation, error) {
					return operation.Observation{}, errors.New("the core is away")
				}
			}
			begun := time.Now()
			time.AfterFunc(5*time.Second, func() {
				defer b.interrupt(t, "Watch")
				record := recorded[operation.WatchRecord](t, b.server)
				require.Equal(t, tt.heartbeats, b.server.heartbeats())
				require.Equal(t, operation.At(begun.Add(tt.gap)), record.NextPollAt.Add(0))
				require.Equal(t, tt.fails && tt.heartbeats == 2, record.Failure != "")
			})
			_, err := b.watch(watchInput(interval(time.Hour, tt.gap)), run{heartbeats: time.Minute})
			require.NoError(t, err)
		})
	}
}
