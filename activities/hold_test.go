package activities_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"ringback/activities"
	"ringback/internal/overload"
	endpoints "ringback/internal/receiver"
)

// awaitOnHold begins to wait for the endpoint, which is on hold.
func (b *fixture) awaitOnHold(t *testing.T) {
	t.Helper()
	b.endpoint.OnHold = true
	err := b.execute(b.AwaitEndpoint, activities.AwaitEndpointInput{Endpoint: shop, Hold: true}, run{}, nil)
	require.ErrorIs(t, err, activity.ErrResultPending)
	require.InDelta(t, 1, b.onHold(t), 0)
}

// onHold is how many deliveries the metrics show as on hold.
func (b *fixture) onHold(t *testing.T) float64 {
	t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "ringback_deliveries_on_hold" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

// requireReleased checks that the delivery goes on.
func (b *fixture) requireReleased(t *testing.T) {
	t.Helper()
	synctest.Wait()
	require.Equal(t, 1, b.server.completed)
	require.NoError(t, b.server.yielded())
	require.Zero(t, b.onHold(t))
}

// requireGivenBack checks that the server was told to run the activity again at once.
func (b *fixture) requireGivenBack(t *testing.T) {
	t.Helper()
	synctest.Wait()
	requireYielded(t, b.server.yielded(), activities.TypeHeldBack, time.Millisecond)
	require.Zero(t, b.onHold(t))
}

func TestADeliveryOnHoldWaitsInItsWorker(t *testing.T) {
	t.Parallel()
	subtest(t, "until a reload ends the hold", func(t *testing.T, b *fixture) {
		b.awaitOnHold(t)
		time.Sleep(9 * time.Minute)
		activities.ReleaseHolds(t.Context(), b.Activities, false)
		require.NoError(t, b.server.yielded(), "a reload that leaves the endpoint on hold")
		b.endpoint.OnHold = false
		activities.ReleaseHolds(t.Context(), b.Activities, false)
		b.requireReleased(t)
	})
	subtest(t, "until the worker stops", func(t *testing.T, b *fixture) {
		b.awaitOnHold(t)
		activities.ReleaseHolds(t.Context(), b.Activities, true)
		b.requireGivenBack(t)
	})
	subtest(t, "for ten minutes at most", func(t *testing.T, b *fixture) {
		b.awaitOnHold(t)
		time.Sleep(10 * time.Minute)
		b.requireGivenBack(t)
	})
	subtest(t, "until a reload that came while it began", func(t *testing.T, b *fixture) {
		looked := 0
		found := b.Endpoint
		b.Activities.Endpoint = func(name string) (e endpoints.Endpoint, ok bool) {
			e, ok = found(name)
			e.OnHold = looked == 0
			looked++
			return e, ok
		}
		err := b.execute(b.AwaitEndpoint, activities.AwaitEndpointInput{Endpoint: shop, Hold: true}, run{}, nil)
		require.NoError(t, err)
	})
	subtest(t, "also where it waited for a missing endpoint: its delivery goes on to find the hold", func(t *testing.T, b *fixture) {
		b.endpoint.OnHold = true
		require.NoError(t, b.AwaitEndpoint(t.Context(), activities.AwaitEndpointInput{Endpoint: shop}))
		found, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		require.True(t, found.Record.Delivery.OnHold)
	})
	subtest(t, "until the server takes it back", func(t *testing.T, b *fixture) {
		b.awaitOnHold(t)
		b.endpoint.OnHold = false
		b.server.refuse(serviceerror.NewUnavailable("the server is away"))
		go activities.ReleaseHolds(t.Context(), b.Activities, false)
		time.Sleep(time.Minute)
		require.InDelta(t, 1, b.onHold(t), 0)
		b.server.refuse(nil)
		time.Sleep(5 * time.Second)
		b.requireReleased(t)
	})
	subtest(t, "and is forgotten with the server's own end of the wait", func(t *testing.T, b *fixture) {
		b.awaitOnHold(t)
		b.server.refuse(serviceerror.NewUnavailable("the server is away"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Zero(t, b.onHold(t))
		b.server.refuse(nil)
		activities.ReleaseHolds(t.Context(), b.Activities, true)
		require.NoError(t, b.server.yielded())
	})
}

func TestTheEndOfAHoldLeavesRoomForTheRecordsOfDeliveries(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		for range 500 {
			b.endpoint.OnHold = true
			err := b.execute(b.AwaitEndpoint, activities.AwaitEndpointInput{Endpoint: shop, Hold: true}, run{}, nil)
			require.ErrorIs(t, err, activity.ErrResultPending)
		}
		b.Complete = func(context.Context, []byte) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		b.endpoint.OnHold = false
		released := make(chan struct{})
		go func() { defer close(released); activities.ReleaseHolds(t.Context(), b.Activities, false) }()
		synctest.Wait()
		begun := time.Now()
		recorded, err := b.Pace.Acquire(t.Context(), overload.Callback)
		require.NoError(t, err)
		recorded()
		waited := time.Since(begun)
		<-released
		require.Zero(t, waited, "it waits behind none that is released")
		require.Zero(t, b.onHold(t))
	})
}

func TestAnAttemptInAWorkflowTaskIsNotMadeToAnEndpointOnHold(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.endpoint.OnHold = true
		result := attempt(t, b, once(10*time.Second))
		require.True(t, result.OnHold)
		require.Zero(t, b.receiver.requests())
	})
}
