package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
)

// These tests hold that a clock that was set back, or a record of one that is
// ahead, delays nothing by more than what was to be waited.

// setBack is by how much the clock was.
const setBack = time.Hour

func TestDeliverCountsHFromNowWhereItsClockWasSetBack(t *testing.T) {
	t.Parallel()
	h := time.Minute
	for name, tt := range map[string]struct {
		record func(in activities.DeliverInput) operation.DeliveryRecord
		waits  time.Duration
	}{
		"since the last attempt": {
			func(in activities.DeliverInput) operation.DeliveryRecord {
				return withAttempts(in, 1, time.Now().Add(setBack))
			}, h,
		},
		"since a Retry-After of five minutes": {
			func(in activities.DeliverInput) operation.DeliveryRecord {
				p := withAttempts(in, 1, time.Now().Add(setBack))
				p.NotBefore = operation.At(time.Now().Add(setBack + 5*time.Minute))
				return p
			}, 5 * time.Minute,
		},
		"since an attempt that was held back": {
			func(in activities.DeliverInput) operation.DeliveryRecord {
				p := in.Record
				p.NotBefore = operation.At(time.Now().Add(setBack))
				return p
			}, 0,
		},
		"not at all: an attempt that was interrupted is taken to last for its time-out": {
			func(in activities.DeliverInput) operation.DeliveryRecord {
				return withAttemptInFlight(in, 1, time.Now())
			}, 10*time.Second + h,
		},
		"not at all: another worker's clock is a little ahead": {
			func(in activities.DeliverInput) operation.DeliveryRecord {
				return withAttempts(in, 1, time.Now().Add(100*time.Millisecond))
			}, h + 100*time.Millisecond,
		},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			in, begun := deliverInput(h, 2), time.Now()
			made := tt.record(in).Made
			b.deliverUntil(t, in, run{details: tt.record(in)}, made+1)
			require.Equal(t, tt.waits, b.receiver.begun[0].Sub(begun))
		})
	}
}

// deliverUntil runs a delivery as the server does, until its attempt number n (of this
// delivery) was made.
func (b *fixture) deliverUntil(t *testing.T, in activities.DeliverInput, r run, n int) {
	t.Helper()
	before := b.receiver.requests()
	for b.receiver.requests() == before {
		_, err := b.deliver(in, r)
		if b.receiver.requests() > before {
			break
		}
		time.Sleep(failure(t, err).NextRetryDelay())
		r.details, r.attempt = recorded[operation.DeliveryRecord](t, b.server), r.attempt+1
	}
	last := recorded[operation.DeliveryRecord](t, b.server)
	require.Equal(t, n, last.Made)
	require.True(t, last.EndedAt.IsZero(), "the next h counts from this attempt")
}

func TestWatchCountsItsGapFromNowWhereItsClockWasSetBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		record func() operation.WatchRecord
		waits  time.Duration
	}{
		"since the latest poll": {func() operation.WatchRecord {
			ahead := operation.At(time.Now().Add(setBack))
			return operation.WatchRecord{Polls: 1, PollBegunAt: ahead, PollEndedAt: ahead}
		}, time.Minute},
		"since the core asked to be left alone for five minutes": {func() operation.WatchRecord {
			ahead := operation.At(time.Now().Add(setBack))
			return operation.WatchRecord{Polls: 1, PollBegunAt: ahead, PollEndedAt: ahead, NotBefore: ahead.Add(5 * time.Minute)}
		}, 5 * time.Minute},
		"since a first poll was held back": {func() operation.WatchRecord {
			return operation.WatchRecord{NotBefore: operation.At(time.Now().Add(setBack))}
		}, 0},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			in := watchInput(interval(2*time.Hour, time.Minute))
			in.Record = tt.record()
			begun := time.Now()
			b.core.answer = after(1)
			b.watchToTheEnd(t, in, 0)
			require.Equal(t, []time.Duration{tt.waits}, b.core.polls(begun))
		})
	}
}

func TestWatchDatesNoAnswerBeforeTheOneThatItFollows(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		ahead := operation.At(time.Now().Add(setBack))
		in := watchInput(interval(2*time.Hour, time.Second))
		in.Record.Last = &operation.Observation{Status: "new", BegunAt: ahead, ObservedAt: ahead}
		b.core.answer = after(1)
		result, err := b.watch(in, run{})
		require.NoError(t, err)
		require.Equal(t, "done", result.Record.Last.Status)
		require.Equal(t, ahead, result.Record.Last.BegunAt, "else the run would take it for stale")
		require.Equal(t, ahead, result.Record.Last.ObservedAt)
	})
}
