package activities_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/operation"
)

// The start of a run is on the server: a run that recorded nothing counts as having made
// one poll or attempt, so that its first one needs no record of its own.
func TestTheStartOfARunRecordsItsFirstAttempt(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, tt := range map[string]struct {
		h time.Duration
		r run
		// made are the attempts of earlier runs, and by the last run that recorded.
		made, by int
		// ago is when they ended.
		ago  time.Duration
		want []string
	}{
		"of the first run, and not its second attempt": {h: second, r: run{now: true},
			want: []string{"request 1", "record 2", "request 2", "record 3", "request 3"}},
		"of the first run after an attempt inside a workflow task": {h: 3 * second, r: run{now: true}, made: 1,
			want: []string{"request 1", "record 3", "request 2"}},
		"of a run that follows the one that recorded last": {h: second, r: run{now: true, attempt: 4}, made: 1, by: 3,
			want: []string{"request 1", "record 3", "request 2"}},
		"but not if the server started it a while ago": {h: second, made: 1,
			want: []string{"record 2", "request 1", "record 3", "request 2"}},
		"nor after a wait that is nearly as long as the heartbeat timeout": {h: 5 * second, r: run{now: true}, made: 1,
			want: []string{"record 2", "request 1", "record 3", "request 2"}},
		"nor after an operator reset the activity": {h: second, r: run{now: true, attempt: 1}, made: 1, by: 3,
			want: []string{"record 2", "request 1", "record 3", "request 2"}},
		"nor after an older worker's record": {h: second, r: run{now: true, attempt: 2}, made: 1, by: 0,
			want: []string{"record 2", "request 1", "record 3", "request 2"}},
		"nor in the last run that the server starts, as none would count it": {h: second, made: 1, by: 2,
			r:    run{now: true, attempt: 3, policy: &temporal.RetryPolicy{InitialInterval: second, MaximumAttempts: 3}},
			want: []string{"record 2", "request 1", "record 3", "request 2"}},
		"and a run that recorded nothing has made one": {h: second, r: run{now: true, attempt: 3}, made: 1, by: 1, ago: time.Minute,
			want: []string{"record 3", "request 1"}},
		"of however many such runs only the first": {h: second, r: run{now: true, attempt: 9}, made: 1, by: 1, ago: time.Minute,
			want: []string{"record 3", "request 1"}},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			in := deliverInput(tt.h, 3)
			if tt.made > 0 {
				in.Record = withAttempts(in, tt.made, time.Now().Add(-tt.ago))
			}
			if tt.r.attempt > 0 {
				in.Record.Run = tt.by
				tt.r.details = in.Record
			}
			result, err := b.deliver(in, tt.r)
			require.NoError(t, err)
			require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
			require.Equal(t, 3, result.Record.Made)
			require.Equal(t, tt.want, b.journal.all())
		})
	}
}

// Nobody knows when the lost attempt was sent, only that its run took it up within
// startedLately of its start and sent it within startRecordsAttempt of that, and that the
// server waited since for the heartbeat timeout and for h.
func TestAnAttemptOfALostRunIsNotOverlapped(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(2*time.Second, 3)
		in.Policy.TimeoutMS = (10 * time.Second).Milliseconds()
		in.Record = withAttempts(in, 1, time.Now().Add(-time.Minute))
		in.Record.Run = 1
		sentAt := time.Now().Add(-10*time.Second - 2*time.Second + 5*time.Second) // the latest
		result, err := b.deliver(in, run{now: true, attempt: 3, details: in.Record})
		require.NoError(t, err)
		require.Equal(t, "the worker ended while the attempt was on its way", result.Record.Delivery.Attempts[1].Reason)
		require.Equal(t, sentAt.Add(10*time.Second+2*time.Second), result.Record.Delivery.Attempts[2].At.Time.In(sentAt.Location()))
	})
}

// A run whose record was lost after it ended is not followed as one that died.
func TestAnAttemptOfALostRunWasNotMadeBeforeItWasDue(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(6*time.Second, 4)
		in.Record = withAttempts(in, 1, time.Now().Add(-7*time.Second))
		in.Record.Run = 1
		_, err := b.deliver(in, run{now: true, attempt: 3, details: in.Record})
		requireYielded(t, err, activities.TypeWaiting, 14500*time.Millisecond)
		attempts := recorded[operation.DeliveryRecord](t, b.server).Delivery.Attempts
		require.GreaterOrEqual(t, attempts[1].At.Sub(attempts[0].At.Time), 6*time.Second)
	})
}

func TestTheStartOfARunRecordsItsFirstPoll(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		delay, gap time.Duration
		r          run
		details    *operation.WatchRecord
		// heartbeats is how many there are for the polls that the run makes.
		polls, heartbeats, uncounted int
	}{
		"of the first run": {gap: 5 * time.Second, r: run{now: true}, polls: 3, heartbeats: 2},
		"of a run that follows one that gave its slot": {gap: 5 * time.Second, r: run{now: true, attempt: 2}, details: &operation.WatchRecord{Run: 1}, polls: 3, heartbeats: 2},
		"but not if the server started it a while ago": {gap: 5 * time.Second, polls: 3, heartbeats: 3},
		"and a run that recorded nothing has made one, which is repeated": {
			gap: 5 * time.Second, r: run{now: true, attempt: 3}, details: &operation.WatchRecord{Run: 1}, polls: 3, heartbeats: 3, uncounted: 1},
		"but none if that was before the first one was due": {
			delay: 5 * time.Second, gap: 5 * time.Second, r: run{now: true, attempt: 2}, polls: 3, heartbeats: 3},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			in := watchInput(interval(time.Hour, tt.gap))
			in.Policy.MaxPolls, in.Policy.InitialDelayMS = 3, tt.delay.Milliseconds()
			if tt.details != nil {
				tt.r.details = *tt.details
			}
			result, err := b.watch(in, tt.r)
			require.NoError(t, err)
			require.Equal(t, operation.ReasonPollsUsedUp, result.End)
			require.Len(t, b.core.polls(time.Now()), tt.polls)
			require.Equal(t, tt.heartbeats, b.server.heartbeats())
			require.Equal(t, tt.uncounted, result.Record.Uncounted)
		})
	}
}

// A watch that is taken over after its worker died in the first poll of the activity: what
// its record leaves out is not what the input had, where the poll before has an end.
func TestARecordIsReadWithoutWhatTheInputHad(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		now := operation.At(time.Now())
		in := watchInput(interval(time.Hour, 5*time.Second))
		in.Policy.MaxPolls = 2
		in.Record = operation.WatchRecord{Polls: 1, PollBegunAt: now.Add(-time.Minute), PollEndedAt: now.Add(-time.Minute)}
		inFlight := operation.WatchRecord{Polls: 2, PollBegunAt: now, Run: 1}
		result, err := b.watch(in, run{attempt: 2, details: inFlight})
		require.NoError(t, err)
		require.Len(t, b.core.polls(time.Now()), 1, "the lost poll is repeated")
		require.Equal(t, 2, result.Record.CountedPolls())
	})
}

// The last run that the server starts records what an earlier one left uncounted.
func TestAnAttemptOfALostRunIsRecordedAtOnce(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(time.Hour, 3)
		policy := &temporal.RetryPolicy{InitialInterval: time.Hour, MaximumAttempts: 3}
		in.Record = withAttempts(in, 1, time.Now())
		in.Record.Run = 1
		b.server.answer = afterHeartbeats(1, serviceerror.NewUnavailable("no server"))
		result, err := b.deliver(in, run{attempt: 3, policy: policy, details: in.Record})
		require.NoError(t, err)
		require.Equal(t, 2, result.Record.Made)
		require.Equal(t, 2, recorded[operation.DeliveryRecord](t, b.server).Made)
		require.Zero(t, b.receiver.requests())
	})
}

// The activity may be lost before it ends, and its workflow then counts what its run's
// start records.
func TestAnInterruptionSaysWhetherTheRunHasLeftARecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		activity string
		r        run
		want     operation.Pending
	}{
		"a delivery at an attempt that its start records": {"Deliver", run{now: true}, operation.Pending{DeliveryLost: 1}},
		"a delivery that has recorded its attempt":        {"Deliver", run{}, operation.Pending{}},
		"a watch at a poll that its start records":        {"Watch", run{now: true}, operation.Pending{WatchLost: 1}},
		"a watch that has recorded its poll":              {"Watch", run{}, operation.Pending{}},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			var found activities.Interrupted
			interrupt := func() {
				found, _ = b.Interrupt(t.Context(), activities.InterruptInput{RunID: testRun, Activity: tt.activity})
			}
			b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { interrupt() }
			b.core.answer = func(context.Context, int) (operation.Observation, error) {
				interrupt()
				return operation.Observation{Status: "new"}, nil
			}
			if tt.want.DeliveryLost > 0 {
				tt.want.AttemptBy = operation.At(time.Now()).Add(5 * time.Second)
			}
			var err error
			if tt.activity == "Deliver" {
				_, err = b.deliver(deliverInput(time.Second, 3), tt.r)
			} else {
				_, err = b.watch(watchInput(interval(time.Hour, time.Second)), tt.r)
			}
			require.NoError(t, err)
			require.True(t, found.Here)
			require.Equal(t, tt.want, found.Pending)
		})
	}
}
