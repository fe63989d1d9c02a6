package activities_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/operation"
	endpoints "ringback/internal/receiver"
)

// deliverInput is a callback of one operation, to be delivered with h and k.
func deliverInput(h time.Duration, k int) activities.DeliverInput {
	key := operation.Key{Endpoint: shop, OperationID: "42"}
	return activities.DeliverInput{
		Callback: operation.Callback{
			ID: operation.CallbackID(key, "done"), Key: key, Final: true,
			Observation: operation.Observation{Status: "done", ObservedAt: operation.At(time.Now())},
		},
		Policy: operation.DeliveryPolicy{IntervalMS: h.Milliseconds(), Attempts: k, TimeoutMS: 10_000},
		Record: operation.DeliveryRecord{Delivery: operation.Delivery{
			CallbackID: operation.CallbackID(key, "done"), Status: "done", Outcome: operation.DeliveryPending,
		}},
	}
}

// attempted is progress with made attempts, the last of which ended at end.
func withAttempts(in activities.DeliverInput, made int, end time.Time) operation.DeliveryRecord {
	p := in.Record
	p.Made = made
	for n := range made {
		p.Delivery.Attempts = append(p.Delivery.Attempts, operation.Attempt{
			Number: n + 1, At: operation.At(end), Verdict: operation.Unacknowledged, HTTPStatus: 500, Reason: "HTTP 500 is not 2xx",
		})
	}
	return p
}

// withAttemptInFlight is progress whose latest attempt was recorded at and has no verdict.
func withAttemptInFlight(in activities.DeliverInput, made int, at time.Time) operation.DeliveryRecord {
	p := withAttempts(in, made, at)
	last := &p.Delivery.Attempts[made-1]
	*last = operation.Attempt{Number: made, At: operation.At(at)}
	return p
}

func verdicts(attempts []operation.Attempt) []operation.Verdict {
	var all []operation.Verdict
	for _, a := range attempts {
		all = append(all, a.Verdict)
	}
	return all
}

func numbers(attempts []operation.Attempt) []int {
	var all []int
	for _, a := range attempts {
		all = append(all, a.Number)
	}
	return all
}

func TestDeliverRecordsEachAttemptBeforeItIsSent(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.takes = 20 * time.Millisecond
		result, err := b.deliver(deliverInput(10*time.Millisecond, 3), run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
		require.Equal(t, []string{"record 1", "request 1", "record 2", "request 2", "record 3", "request 3"}, b.journal.all())
		require.Equal(t, "receiver.invalid", result.Record.Delivery.Host)
	})
}

func TestDeliverEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		answers  []int
		outcome  operation.DeliveryOutcome
		reason   string
		requests int
		// failure is what operators read of a failed activity; empty: it completes.
		failure string
	}{
		{"at the first acknowledgement", []int{500, 503, 204, 500}, operation.DeliveryAcknowledged, "", 3, ""},
		{"exhausted after k attempts", []int{500}, operation.DeliveryExhausted, "", 4,
			`Exhausted: callback CALLBACK about status "done" is exhausted after 4 attempts; the last: HTTP 500 is not 2xx`},
		{"acknowledged by the k-th attempt", []int{500, 500, 500, 200}, operation.DeliveryAcknowledged, "", 4, ""},
		{"gone at a 410", []int{500, 410}, operation.DeliveryGone, "410 Gone: the receiver wants no more of it", 2,
			`Gone: callback CALLBACK about status "done" is gone after 2 attempts; the last: 410 Gone: the receiver wants no more of it`},
	}
	for _, tt := range tests {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			b.receiver.answer = statuses(tt.answers...)
			in := deliverInput(time.Second, 4)
			var result activities.DeliverResult
			if err := b.execute(b.Deliver, in, run{}, &result); tt.failure != "" {
				failed := failure(t, err)
				require.Equal(t, strings.ReplaceAll(tt.failure, "CALLBACK", in.Callback.ID), failed.Type()+": "+failed.Message())
				require.True(t, failed.NonRetryable())
				require.Equal(t, temporal.ApplicationErrorCategoryBenign, failed.Category())
				require.NoError(t, failed.Details(&result.Record))
			} else {
				require.NoError(t, err)
			}
			d := result.Record.Delivery
			require.Equal(t, tt.outcome, d.Outcome)
			require.Equal(t, tt.reason, d.Reason)
			require.Equal(t, tt.requests, b.receiver.requests())
			require.Equal(t, tt.requests, result.Record.Made)
			require.Len(t, d.Attempts, tt.requests)
			require.Nil(t, d.NextAttemptAt)
			for i, a := range d.Attempts {
				require.Equal(t, i+1, a.Number)
				require.Equal(t, tt.answers[min(i, len(tt.answers)-1)], a.HTTPStatus)
			}
		})
	}
}

func TestDeliverMakesAtMostKAttemptsWhateverWasRecorded(t *testing.T) {
	t.Parallel()
	const k = 3
	tests := []struct {
		name     string
		recorded func(in activities.DeliverInput) operation.DeliveryRecord
		requests int
		verdict  []operation.Verdict
		reasons  []string
	}{
		{"with nothing recorded it makes k",
			func(in activities.DeliverInput) operation.DeliveryRecord { return in.Record }, 3, nil, nil},
		{"two recorded leave one",
			func(in activities.DeliverInput) operation.DeliveryRecord { return withAttempts(in, 2, time.Now()) }, 1, nil, nil},
		{"k recorded leave none",
			func(in activities.DeliverInput) operation.DeliveryRecord { return withAttempts(in, k, time.Now()) }, 0, nil, nil},
		{"more than k recorded, k being edited since, leave none",
			func(in activities.DeliverInput) operation.DeliveryRecord { return withAttempts(in, k+2, time.Now()) }, 0, nil, nil},
		{"one on its way when the worker ended is closed and counted",
			func(in activities.DeliverInput) operation.DeliveryRecord {
				return withAttemptInFlight(in, 2, time.Now().Add(-time.Minute))
			}, 1, nil, nil},
		{"the k-th on its way when the worker ended is the last",
			func(in activities.DeliverInput) operation.DeliveryRecord {
				return withAttemptInFlight(in, k, time.Now())
			}, 0, nil, nil},
	}
	for _, tt := range tests {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			in := deliverInput(time.Second, k)
			result, err := b.deliver(in, run{details: tt.recorded(in)})
			require.NoError(t, err)
			require.Equal(t, tt.requests, b.receiver.requests())
			require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
			require.GreaterOrEqual(t, result.Record.Made, k)
			require.NotContains(t, verdicts(result.Record.Delivery.Attempts), operation.Verdict(""))
		})
	}
}

func TestDeliverClosesAnAttemptThatWasInFlightWhenItsWorkerDied(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(time.Second, 3)
		begun := time.Now()
		_, err := b.deliver(in, run{details: withAttemptInFlight(in, 1, begun)})
		// It may last until its timeout of 10 s; h after that, less the head start.
		requireYielded(t, err, activities.TypeWaiting, 10*time.Second+time.Second-500*time.Millisecond)
		require.Zero(t, b.receiver.requests(), "two attempts would overlap")
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Equal(t, 1, kept.Made)
		require.Equal(t, []operation.Attempt{{
			Number: 1, At: operation.At(begun), TookMS: 10_000,
			Verdict: operation.Unacknowledged, Reason: "the worker ended while the attempt was on its way",
		}}, kept.Delivery.Attempts)

		time.Sleep(failure(t, err).NextRetryDelay())
		b.receiver.answer = statuses(200)
		result, err := b.deliver(in, run{details: kept, attempt: 2})
		require.NoError(t, err)
		require.Equal(t, 11*time.Second, b.receiver.begun[0].Sub(begun))
		require.Equal(t, []int{1, 2}, numbers(result.Record.Delivery.Attempts))
		require.Equal(t, 2, result.Record.Made)
	})
}

func TestDeliverKeepsH(t *testing.T) {
	t.Parallel()
	for _, h := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second} {
		subtest(t, "to the millisecond at "+h.String(), func(t *testing.T, b *fixture) {
			b.server.takes = 3 * time.Millisecond
			b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
				time.Sleep(7*time.Millisecond + 300*time.Microsecond)
				w.WriteHeader(http.StatusBadGateway)
			}
			_, err := b.deliver(deliverInput(h, 5), run{})
			require.NoError(t, err)
			require.Len(t, b.receiver.gaps(), 4)
			for _, gap := range b.receiver.gaps() {
				require.GreaterOrEqual(t, gap, h)
				require.LessOrEqual(t, gap, h+2*time.Millisecond)
			}
		})
	}
}

func TestDeliverLeavesALongWaitToTheServer(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(time.Minute, 3)
		_, err := b.deliver(in, run{})
		requireYielded(t, err, activities.TypeWaiting, time.Minute-500*time.Millisecond)
		first := recorded[operation.DeliveryRecord](t, b.server)
		require.Equal(t, operation.At(time.Now().Add(time.Minute)), *first.Delivery.NextAttemptAt)
		require.Equal(t, "attempt 1 (1 of 3) unacknowledged: HTTP 500 is not 2xx; next attempt at 2000-01-01T00:01:00.000Z",
			failure(t, err).Message())

		// The server wakes it a little early; it waits out the rest.
		time.Sleep(failure(t, err).NextRetryDelay())
		require.Equal(t, 1, b.receiver.requests())
		_, err = b.deliver(in, run{details: first, attempt: 2})
		requireYielded(t, err, activities.TypeWaiting, time.Minute-500*time.Millisecond)
		require.Equal(t, []time.Duration{time.Minute}, b.receiver.gaps())

		// A server that is late makes the attempt at once.
		time.Sleep(2 * time.Minute)
		second := recorded[operation.DeliveryRecord](t, b.server)
		result, err := b.deliver(in, run{details: second, attempt: 3})
		require.NoError(t, err)
		require.Equal(t, 2*time.Minute, b.receiver.gaps()[1])
		require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
	})
}

func TestDeliverMakesTheFirstAttemptOfARedeliveryAtOnceAndNumbersGoOn(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(time.Second, 2)
		in.Record.Delivery.Attempts = withAttempts(in, 3, time.Now()).Delivery.Attempts
		begun := time.Now()
		result, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, begun, b.receiver.begun[0])
		require.Equal(t, []int{1, 2, 3, 4, 5}, numbers(result.Record.Delivery.Attempts))
		require.Equal(t, 2, result.Record.Made, "a redelivery has its own k")
		require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
	})
}

func TestDeliverGoesOnAfterAnAttemptInsideTheWorkflowTask(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(2*time.Second, 3)
		in.Record = withAttempts(in, 1, time.Now())
		begun := time.Now()
		result, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, b.receiver.begun[0].Sub(begun))
		require.Equal(t, 2, b.receiver.requests())
		require.Equal(t, []int{1, 2, 3}, numbers(result.Record.Delivery.Attempts))
	})
}

func TestDeliverKeepsTheNewestAttemptsOnly(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		result, err := b.deliver(deliverInput(time.Millisecond, operation.AttemptsKept+10), run{})
		require.NoError(t, err)
		require.Equal(t, operation.AttemptsKept+10, b.receiver.requests())
		require.Equal(t, operation.AttemptsKept+10, result.Record.Made)
		require.Len(t, result.Record.Delivery.Attempts, operation.AttemptsKept)
		require.Equal(t, operation.AttemptsKept+10, lastAttempt(result.Record).Number)
	})
}

func TestDeliverReadsAnEditedHAndK(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		edited := &temporal.RetryPolicy{InitialInterval: 3 * time.Second, MaximumAttempts: 2, BackoffCoefficient: 1}
		result, err := b.deliver(deliverInput(time.Second, 5), run{policy: edited})
		require.NoError(t, err)
		require.Equal(t, 2, b.receiver.requests())
		require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
		require.GreaterOrEqual(t, b.receiver.gaps()[0], 3*time.Second)
		require.LessOrEqual(t, b.receiver.gaps()[0], 3*time.Second+2*time.Millisecond)
	})
}

func TestDeliverReturnsItsRecordAtTheServersLastRun(t *testing.T) {
	t.Parallel()
	policy := &temporal.RetryPolicy{InitialInterval: time.Minute, MaximumAttempts: 3, BackoffCoefficient: 1}
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		in := deliverInput(time.Minute, 3)
		result, err := b.deliver(in, run{policy: policy, attempt: 3, details: in.Record})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Equal(t, 1, result.Record.Made)
		require.Equal(t, operation.At(time.Now().Add(time.Minute)), result.Record.Delivery.NextAttemptAt.Add(0))
	})
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.missing = true
		in := deliverInput(time.Minute, 3)
		result, err := b.deliver(in, run{policy: policy, attempt: 3, details: in.Record})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Zero(t, result.Record.Made)
		require.Equal(t, "the endpoint "+shop+" is not in this worker's configuration", result.HeldBack)
	})
}

func TestDeliverDoesNotMakeAnAttemptThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = atHeartbeat(2, serviceerror.NewUnavailable("no server"))
		in := deliverInput(time.Second, 3)
		_, err := b.deliver(in, run{})
		failed := failure(t, err)
		require.Equal(t, activities.TypeNotRecorded, failed.Type())
		require.Equal(t, 2*time.Second, failed.NextRetryDelay())
		require.Equal(t, "attempt 2 could not be recorded and was not made: no server", failed.Message())
		require.Equal(t, 1, b.receiver.requests())
		var left operation.DeliveryRecord
		require.NoError(t, failed.Details(&left))
		require.Equal(t, 1, left.Made)
		require.Equal(t, []operation.Verdict{operation.Unacknowledged}, verdicts(left.Delivery.Attempts))
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Equal(t, verdicts(left.Delivery.Attempts), verdicts(kept.Delivery.Attempts), "else its time-out would be waited for")

		b.server.answer = nil
		result, err := b.deliver(in, run{details: kept, attempt: 2})
		require.NoError(t, err)
		require.Equal(t, 3, b.receiver.requests(), "what was not recorded costs nothing")
		require.Equal(t, 3, result.Record.Made)
	})
}

// The server keeps nothing but the error of a run that it counts as the last.
func TestDeliverReturnsItsWholeRecordWhereTheLastRunCannotRecord(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(5, serviceerror.NewUnavailable("no server"))
		policy := &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 8, BackoffCoefficient: 1}
		in := deliverInput(time.Second, 8)
		result, err := b.deliver(in, run{policy: policy, attempt: 8, details: in.Record})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Equal(t, []int{1, 2, 3, 4, 5}, numbers(result.Record.Delivery.Attempts))
	})
}

// A record that failed may have been kept all the same: its answer was lost.
func TestDeliverRestoresTheRecordWhereAHeartbeatFailed(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		var lost atomic.Bool
		keep := b.Heartbeat
		b.Heartbeat = func(ctx context.Context, token []byte, details ...any) error {
			if err := keep(ctx, token, details...); err != nil {
				return err
			}
			if lost.CompareAndSwap(false, true) {
				return errors.New("the answer was lost")
			}
			return nil
		}
		_, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.Equal(t, activities.TypeNotRecorded, failure(t, err).Type())
		require.Zero(t, recorded[operation.DeliveryRecord](t, b.server).Made)
	})
}

// As after a crash, when the server starts everything anew in one moment.
func TestDeliveriesQueueForTheServer(t *testing.T) {
	t.Parallel()
	const crowd, atOnce = 600, 32
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.takes = time.Second
		b.endpoint.MaxConcurrent = crowd
		var now, most atomic.Int64
		keep := b.Heartbeat
		b.Heartbeat = func(ctx context.Context, token []byte, details ...any) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			return keep(ctx, token, details...)
		}
		var all sync.WaitGroup
		failed := make([]error, crowd)
		for i := range crowd {
			all.Go(func() { _, failed[i] = b.deliver(deliverInput(time.Second, 1), run{}) })
		}
		all.Wait()
		require.NoError(t, errors.Join(failed...), "the time in the queue is none of a record's own")
		require.Equal(t, crowd, b.receiver.requests())
		require.LessOrEqual(t, most.Load(), int64(atOnce))
	})
}

func TestDeliverHoldsBack(t *testing.T) {
	t.Parallel()
	const held = 2*time.Second - 500*time.Millisecond
	subtest(t, "what the bulkhead has no room for, and does not count it", func(t *testing.T, b *fixture) {
		b.endpoint.MaxConcurrent = 1
		release := make(chan struct{})
		b.receiver.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				<-release
			}
		}
		done := make(chan error)
		go func() {
			_, err := b.deliver(deliverInput(time.Second, 1), run{})
			done <- err
		}()
		time.Sleep(100 * time.Millisecond)
		in := deliverInput(time.Second, 3)
		_, err := b.deliver(in, run{})
		requireYielded(t, err, activities.TypeHeldBack, held)
		require.Contains(t, failure(t, err).Message(), "attempt held back: the bulkhead is full; next attempt at ")
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Zero(t, kept.Made)
		require.Empty(t, kept.Delivery.Attempts)
		require.Equal(t, 1, b.receiver.requests())
		close(release)
		require.NoError(t, <-done)

		time.Sleep(failure(t, err).NextRetryDelay())
		result, err := b.deliver(in, run{details: kept, attempt: 2})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
		require.Equal(t, []int{1}, numbers(result.Record.Delivery.Attempts))
	})
	subtest(t, "what an open breaker lets not pass", func(t *testing.T, b *fixture) {
		b.receiver.answer = silence
		in := deliverInput(time.Millisecond, 32)
		in.Policy.TimeoutMS = 1001
		_, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, 32, b.receiver.requests())
		_, err = b.deliver(deliverInput(time.Second, 3), run{})
		requireYielded(t, err, activities.TypeHeldBack, held)
		require.Contains(t, failure(t, err).Message(), "attempt held back: the breaker is open")
		require.Equal(t, 32, b.receiver.requests())

		time.Sleep(6 * time.Second)
		b.receiver.running.Wait()
		b.receiver.answer = statuses(200)
		result, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
	})
	subtest(t, "what has no endpoint in the configuration, which AwaitEndpoint waits for", func(t *testing.T, b *fixture) {
		b.missing = true
		in := deliverInput(time.Second, 3)
		result, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Zero(t, result.Record.Made)
		require.Contains(t, result.HeldBack, "the endpoint "+shop+" is not in this worker's configuration")
		await := activities.AwaitEndpointInput{Endpoint: shop}
		failed := failure(t, b.AwaitEndpoint(t.Context(), await))
		require.Equal(t, activities.TypeHeldBack, failed.Type())
		require.Equal(t, result.HeldBack, failed.Message())
		b.missing = false
		require.NoError(t, b.AwaitEndpoint(t.Context(), await))
		b.receiver.answer = statuses(200)
		in.Record = result.Record
		result, err = b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
	})
	subtest(t, "what its endpoint has no dialect for, which AwaitEndpoint waits for", func(t *testing.T, b *fixture) {
		lacks := errors.New("the dialect merchant is not in the configuration")
		b.InDialect = func(e endpoints.Endpoint, dialect string) (endpoints.Endpoint, error) {
			require.Equal(t, "merchant", dialect)
			return e, lacks
		}
		in := deliverInput(time.Second, 3)
		in.Callback.Dialect = "merchant"
		result, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Zero(t, result.Record.Made)
		require.Equal(t, lacks.Error(), result.HeldBack)
		await := activities.AwaitEndpointInput{Endpoint: shop, Dialect: "merchant"}
		require.Equal(t, activities.TypeHeldBack, failure(t, b.AwaitEndpoint(t.Context(), await)).Type())
		lacks = nil
		require.NoError(t, b.AwaitEndpoint(t.Context(), await))
		b.receiver.answer = statuses(200)
		in.Record = result.Record
		result, err = b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
	})
	subtest(t, "what an endpoint on hold is not to get, until a reload", func(t *testing.T, b *fixture) {
		b.endpoint.OnHold = true
		in := deliverInput(time.Second, 3)
		result, err := b.deliver(in, run{})
		require.NoError(t, err)
		require.True(t, result.Record.Pending() && result.Record.Delivery.OnHold)
		require.Zero(t, result.Record.Made)
		require.Zero(t, b.receiver.requests())
		b.endpoint.OnHold = false
		b.receiver.answer = statuses(200)
		in.Record = result.Record
		result, err = b.deliver(in, run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
		require.False(t, result.Record.Delivery.OnHold)
	})
	t.Run("ever longer the more often it did", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			runs  int32
			delay time.Duration
		}{{1, 2 * time.Second}, {3, 6 * time.Second}, {8, 16 * time.Second}, {50, 16 * time.Second}} {
			inVirtualTime(t, func(t *testing.T, b *fixture) {
				b.endpoint.MaxConcurrent = 1
				release := make(chan struct{})
				b.receiver.answer = func(int, http.ResponseWriter, *http.Request) { <-release }
				done := make(chan error)
				go func() { _, err := b.deliver(deliverInput(time.Second, 1), run{}); done <- err }()
				time.Sleep(100 * time.Millisecond)
				in := deliverInput(time.Second, 3)
				_, err := b.deliver(in, run{attempt: tt.runs, details: in.Record})
				requireYielded(t, err, activities.TypeHeldBack, tt.delay-500*time.Millisecond)
				close(release)
				require.NoError(t, <-done)
			})
		}
	})
}

// Recording fails while the server is unavailable, which says nothing about the receiver.
func TestAnAttemptThatWasNotRecordedDoesNotCloseTheBreaker(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.receiver.answer = silence
		in := deliverInput(time.Millisecond, 32)
		in.Policy.TimeoutMS = 1001
		_, err := b.deliver(in, run{})
		require.NoError(t, err)
		time.Sleep(6 * time.Second)
		b.server.answer = func(int) error { return errors.New("no server") }
		_, err = b.deliver(in, run{})
		require.Equal(t, activities.TypeNotRecorded, failure(t, err).Type())
		b.server.answer = nil
		in.Policy.Attempts = 1
		_, err = b.deliver(in, run{})
		require.NoError(t, err)
		_, err = b.deliver(in, run{})
		require.Equal(t, activities.TypeHeldBack, failure(t, err).Type(), "one attempt was let through, and found it dead still")
	})
}

func TestDeliverThatIsCancelledWhileItWaitsMakesNoOtherAttempt(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, temporal.NewCanceledError())
		begun := time.Now()
		result, err := b.deliver(deliverInput(4*time.Second, 3), run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Equal(t, 1, b.receiver.requests())
		require.Len(t, result.Record.Delivery.Attempts, 1)
		require.Equal(t, 3500*time.Millisecond, time.Since(begun), "seen by the next heartbeat")
	})
}

func TestDeliverThatIsInterruptedWhileItWaitsEndsAtOnce(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		begun := time.Now()
		time.AfterFunc(1700*time.Millisecond, func() { b.interrupt(t, "Deliver") })
		result, err := b.deliver(deliverInput(4*time.Second, 3), run{})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Equal(t, 1, b.receiver.requests())
		require.Equal(t, 1700*time.Millisecond, time.Since(begun))
	})
}

func TestDeliverThatIsInterruptedBetweenARecordAndItsAttemptMakesNone(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.takes = 100 * time.Millisecond
		// The second attempt is due at 1.1 s, and recorded 200 ms before.
		time.AfterFunc(1050*time.Millisecond, func() { b.interrupt(t, "Deliver") })
		result, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Record.Made)
		require.Equal(t, 1, b.receiver.requests())
		require.Equal(t, 2, b.server.heartbeats())
	})
}

func TestDeliverThatIsCancelledWhenItRecordsMakesNoAttempt(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = func(int) error { return temporal.NewCanceledError() }
		result, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		require.Zero(t, b.receiver.requests())
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Zero(t, result.Record.Made)
		require.Empty(t, result.Record.Delivery.Attempts)
	})
}

func TestDeliverThatIsCancelledDuringAnAttempt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		status  int
		outcome operation.DeliveryOutcome
	}{
		{"lets it finish, and acknowledged wins", 200, operation.DeliveryAcknowledged},
		{"lets it finish, and makes no other", 500, operation.DeliveryPending},
	} {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			b.receiver.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
				time.Sleep(9500 * time.Millisecond) // not at the moment of a heartbeat
				w.WriteHeader(tt.status)
			}
			b.server.answer = afterHeartbeats(1, temporal.NewCanceledError())
			result, err := b.deliver(deliverInput(time.Second, 3), run{})
			require.NoError(t, err)
			require.Equal(t, tt.outcome, result.Record.Delivery.Outcome)
			require.Equal(t, 1, b.receiver.requests())
			require.Equal(t, tt.status, lastAttempt(result.Record).HTTPStatus)
			require.Equal(t, int64(9500), lastAttempt(result.Record).TookMS)
			require.GreaterOrEqual(t, b.server.heartbeats(), 3,
				"heartbeats go on, or the server times the activity out and the outcome is lost")
		})
	}
}

func TestDeliverThatIsPaused(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{activity.ErrActivityPaused, activity.ErrActivityReset} {
		subtest(t, "when it records makes no attempt, and none is counted: "+answer.Error(), func(t *testing.T, b *fixture) {
			b.server.answer = func(int) error { return answer }
			in := deliverInput(time.Second, 3)
			_, err := b.deliver(in, run{})
			require.Equal(t, activities.TypeWaiting, failure(t, err).Type())
			require.Contains(t, failure(t, err).Message(), "paused or reset by an operator")
			require.Zero(t, b.receiver.requests())
			kept := recorded[operation.DeliveryRecord](t, b.server)
			require.Zero(t, kept.Made, "the server keeps what is recorded also when it answers paused")
			require.Empty(t, kept.Delivery.Attempts)
		})
	}
	subtest(t, "during an attempt lets it finish, and keeps its verdict", func(t *testing.T, b *fixture) {
		b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(9 * time.Second)
			w.WriteHeader(http.StatusBadGateway)
		}
		b.server.answer = afterHeartbeats(1, activity.ErrActivityPaused)
		_, err := b.deliver(deliverInput(3*time.Second, 3), run{})
		requireYielded(t, err, activities.TypeWaiting, 3*time.Second-500*time.Millisecond)
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Equal(t, 1, b.receiver.requests())
		require.Equal(t, 1, kept.Made)
		require.Equal(t, http.StatusBadGateway, lastAttempt(kept).HTTPStatus)
		require.Equal(t, operation.Unacknowledged, lastAttempt(kept).Verdict)
	})
	subtest(t, "while it waits gives its slot back at the next heartbeat", func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, activity.ErrActivityPaused)
		_, err := b.deliver(deliverInput(5*time.Second, 3), run{})
		requireYielded(t, err, activities.TypeWaiting, 1500*time.Millisecond-500*time.Millisecond)
		require.Equal(t, 1, b.receiver.requests())
	})
}

func TestDeliverSendsNoHeartbeatBetweenFrequentRecords(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		_, err := b.deliver(deliverInput(2*time.Second, 5), run{})
		require.NoError(t, err)
		require.Equal(t, 5, b.receiver.requests())
		require.Equal(t, 5, b.server.heartbeats(), "one for each attempt: they are closer together than heartbeats")
	})
}

func TestThePaceIsAwaitedUntilTheWaitingRecordsAreSent(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		const deliveries, takes = 100, time.Second // three of them at 32 at once, and four more
		b.server.takes = takes
		begun := time.Now()
		require.NoError(t, b.Pace.Await(t.Context()))
		require.Zero(t, time.Since(begun), "an idle worker has room")
		var all sync.WaitGroup
		for range deliveries {
			all.Go(func() { _, _ = b.deliver(deliverInput(time.Minute, 1), run{}) })
		}
		synctest.Wait()
		require.NoError(t, b.Pace.Await(t.Context()))
		require.Equal(t, 3*takes, time.Since(begun))
		all.Wait()
	})
}

func TestAwaitingThePaceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.takes = time.Second
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { _, _ = b.deliver(deliverInput(time.Minute, 1), run{}) })
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		require.ErrorIs(t, b.Pace.Await(ctx), context.Canceled)
		all.Wait()
	})
}

func TestDeliverReturnsNoResultWhereTheServerGaveItUp(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = afterHeartbeats(1, serviceerror.NewNotFound("no such activity"))
		_, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.ErrorIs(t, err, activity.ErrResultPending)
		require.Equal(t, 1, b.receiver.requests())
	})
}

func TestDeliverSurvivesAHeartbeatThatFails(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.answer = atHeartbeat(2, serviceerror.NewUnavailable("no server"))
		result, err := b.deliver(deliverInput(5*time.Second, 3), run{})
		require.NoError(t, err)
		require.Equal(t, 3, b.receiver.requests())
		require.Equal(t, operation.DeliveryExhausted, result.Record.Delivery.Outcome)
	})
}

func TestDeliverInAWorkerThatStops(t *testing.T) {
	t.Parallel()
	subtest(t, "gives its wait back, with the record kept", func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		_, err := b.deliver(deliverInput(4*time.Second, 3), run{stop: stop})
		requireYielded(t, err, activities.TypeWaiting, 3*time.Second-500*time.Millisecond)
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Equal(t, 1, kept.Made)
		require.Equal(t, operation.Unacknowledged, lastAttempt(kept).Verdict)
	})
	subtest(t, "before the first attempt comes back at once", func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		close(stop)
		_, err := b.deliver(deliverInput(4*time.Second, 3), run{stop: stop})
		requireYielded(t, err, activities.TypeWaiting, time.Millisecond)
		kept := recorded[operation.DeliveryRecord](t, b.server)
		require.Zero(t, kept.Made)
		require.Equal(t, operation.At(time.Now()), *kept.Delivery.NextAttemptAt)
	})
	subtest(t, "lets the attempt in flight finish, and makes no other", func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		b.receiver.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				close(stop)
			}
			time.Sleep(3 * time.Second)
			w.WriteHeader(http.StatusBadGateway)
		}
		_, err := b.deliver(deliverInput(time.Millisecond, 3), run{stop: stop})
		requireYielded(t, err, activities.TypeWaiting, time.Millisecond)
		require.Equal(t, 1, b.receiver.requests())
		require.Equal(t, http.StatusBadGateway, lastAttempt(recorded[operation.DeliveryRecord](t, b.server)).HTTPStatus)
	})
	subtest(t, "and is cancelled at the same time returns its record", func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		b.server.answer = afterHeartbeats(1, temporal.NewCanceledError())
		_, err := b.deliver(deliverInput(4*time.Second, 3), run{stop: stop})
		var record operation.DeliveryRecord
		require.NoError(t, failure(t, err).Details(&record), "what the workflow reads that cancelled it")
		require.Equal(t, 1, record.Made)
	})
	subtest(t, "at the server's last count hands back", func(t *testing.T, b *fixture) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		policy := &temporal.RetryPolicy{InitialInterval: 4 * time.Second, MaximumAttempts: 3, BackoffCoefficient: 1}
		result, err := b.deliver(deliverInput(4*time.Second, 3), run{stop: stop, policy: policy, attempt: 3})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryPending, result.Record.Delivery.Outcome)
		require.Equal(t, 1, result.Record.Made)
	})
	subtest(t, "and cuts its context does not cut the request in flight", func(t *testing.T, b *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		b.receiver.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
			cancel()
			time.Sleep(3 * time.Second)
		}
		result, err := b.deliver(deliverInput(time.Second, 3), run{ctx: ctx})
		require.NoError(t, err)
		require.Equal(t, operation.DeliveryAcknowledged, result.Record.Delivery.Outcome)
		require.Equal(t, 1, b.receiver.requests())
	})
}

// A heartbeat that hangs for longer than the heartbeat timeout would let the server
// start the activity a second time beside the attempt that it then allows.
func TestDeliverGivesUpARecordThatTakesTooLong(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.server.takes = 8 * time.Second
		begun := time.Now()
		_, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.Equal(t, activities.TypeNotRecorded, failure(t, err).Type())
		require.Zero(t, b.receiver.requests())
		require.Less(t, time.Since(begun), 2*activities.DeliverHeartbeatTimeout)
	})
}

func TestDeliverHonoursRetryAfterOnlyOnOptIn(t *testing.T) {
	t.Parallel()
	const h = 2 * time.Second
	tests := []struct {
		name       string
		honours    bool
		retryAfter string
		gap        time.Duration
	}{
		{"not asked for it, h is law", false, "4", h},
		{"seconds lengthen h", true, "4", 4 * time.Second},
		{"it never shortens h", true, "1", h},
	}
	for _, tt := range tests {
		subtest(t, tt.name, func(t *testing.T, b *fixture) {
			b.endpoint.HonorRetryAfter = tt.honours
			b.receiver.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 1 {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, err := b.deliver(deliverInput(h, 3), run{})
			require.NoError(t, err)
			require.Equal(t, []time.Duration{tt.gap, h}, b.receiver.gaps(), "and only for the next attempt")
		})
	}
}

func TestDeliverRefusesARecordThatItCannotRead(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		_, err := b.deliver(deliverInput(time.Second, 3), run{details: "not a record"})
		require.Equal(t, activities.TypeBadInput, failure(t, err).Type())
		require.True(t, failure(t, err).NonRetryable())
		require.Zero(t, b.receiver.requests())
	})
}
