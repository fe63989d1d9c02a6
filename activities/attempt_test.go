package activities_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
)

// once is an attempt at a callback in the fixture's dialect.
func once(timeout time.Duration) activities.AttemptInput {
	in := deliverInput(time.Second, 1)
	in.Callback.Observation.Raw = map[string]string{"respStatus": "200", "orderStatus": "1"}
	return activities.AttemptInput{
		AttemptRequest: activities.AttemptRequest{Callback: in.Callback, TimeoutMS: timeout.Milliseconds(), Number: 7},
		TaskBegan:      operation.At(time.Now()),
	}
}

func attempt(t *testing.T, b *fixture, in activities.AttemptInput) activities.AttemptResult {
	t.Helper()
	activities.KnowFast(b.Activities, b.endpoint)
	result, err := b.Attempt(t.Context(), in)
	require.NoError(t, err)
	return result
}

func TestAnAttemptWithoutAnyURLIsNotMade(t *testing.T) {
	t.Parallel()
	b := newFixture()
	b.endpoint.URL = ""
	got := attempt(t, b, once(time.Second))
	require.Contains(t, got.HeldBack, "the url of the endpoint "+shop)
	require.Zero(t, b.receiver.requests())
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.endpoint.URL = ""
		result, err := b.deliver(deliverInput(time.Second, 1), run{})
		require.NoError(t, err)
		require.Contains(t, result.HeldBack, "the url of the endpoint "+shop)
		require.Zero(t, result.Record.Made, "it costs no attempt")
	})
}

func TestAttemptIsLeftToDeliver(t *testing.T) {
	t.Parallel()
	subtest(t, "where the endpoint's recent answers were slow, until they are fast again", func(t *testing.T, b *fixture) {
		b.receiver.answer = func(n int, _ http.ResponseWriter, _ *http.Request) {
			if n == 2 {
				time.Sleep(1001 * time.Millisecond)
			}
		}
		require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
		require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
		for range 8 {
			require.Equal(t, "recent answers were slow", attempt(t, b, once(10*time.Second)).HeldBack)
			_, err := b.deliver(deliverInput(time.Second, 1), run{})
			require.NoError(t, err)
		}
		require.Empty(t, attempt(t, b, once(10*time.Second)).HeldBack)
		require.Equal(t, 11, b.receiver.requests())
	})
	subtest(t, "where nothing is known of the endpoint", func(t *testing.T, b *fixture) {
		result, err := b.Attempt(t.Context(), once(10*time.Second))
		require.NoError(t, err)
		require.Equal(t, "how fast it answers is not known yet", result.HeldBack)
		_, err = b.deliver(deliverInput(time.Second, 1), run{})
		require.NoError(t, err)
		result, err = b.Attempt(t.Context(), once(10*time.Second))
		require.NoError(t, err)
		require.Empty(t, result.HeldBack, "a delivery has found out")
	})
	subtest(t, "but for one that was made in time, and whose task is handed out again late", func(t *testing.T, b *fixture) {
		activities.KnowFast(b.Activities, b.endpoint)
		in := once(time.Second)
		time.Sleep(900 * time.Millisecond)
		for range 2 {
			var got activities.AttemptResult
			require.NoError(t, b.execute(b.Attempt, in, run{}, &got))
			require.Empty(t, got.HeldBack)
			var polled activities.PollResult
			require.NoError(t, b.execute(b.Poll, activities.PollInput{Source: "wallet", TaskBegan: in.TaskBegan}, run{workflowID: "SHOP/1"}, &polled))
			require.Empty(t, polled.HeldBack)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, b.receiver.requests())
		require.Len(t, b.core.polls(time.Now()), 1)
	})
	for name, late := range map[string]time.Duration{
		"in a worker that was frozen for a second since the server began the task": time.Second,
		"or for longer": 30 * time.Second,
		"where the clocks of the server and the worker differ": -2 * time.Second,
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			in := once(time.Second)
			in.TaskBegan = operation.At(time.Now().Add(-late))
			require.Equal(t, "this worker's clock is "+late.String()+" from when the server began the workflow task", attempt(t, b, in).HeldBack)
			require.Zero(t, b.receiver.requests())
			polled, err := b.Poll(t.Context(), activities.PollInput{Source: "wallet", TaskBegan: in.TaskBegan})
			require.NoError(t, err)
			require.Equal(t, "this worker's clock is "+late.String()+" from when the server began the workflow task", polled.HeldBack)
			require.Empty(t, b.core.polls(time.Now()))
		})
	}
	t.Run("where the configuration has no such endpoint", func(t *testing.T) {
		t.Parallel()
		b := newFixture()
		b.missing = true
		result := attempt(t, b, once(time.Second))
		require.Equal(t, "the endpoint "+shop+" is not in this worker's configuration", result.HeldBack)
		require.Zero(t, result.Attempt)
	})
}

func TestAttemptIsNotCutOffByItsContext(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		b.receiver.answer = func(int, http.ResponseWriter, *http.Request) {
			cancel()
			time.Sleep(500 * time.Millisecond)
		}
		activities.KnowFast(b.Activities, b.endpoint)
		result, err := b.Attempt(ctx, once(time.Second))
		require.NoError(t, err)
		require.Equal(t, operation.Acknowledged, result.Attempt.Verdict)
	})
}
