package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// tolerance is how late an attempt may come, by promise 5.
const tolerance = 50 * time.Millisecond

// TestTheIntervalIsKeptOnAnUnmodifiedServer measures h where the receiver sees
// it. No attempt may ever come early; late is judged by the median, in the best of
// a few rounds, since others use this machine too.
func TestTheIntervalIsKeptOnAnUnmodifiedServer(t *testing.T) {
	intervals := map[time.Duration]int{
		10 * time.Millisecond: 8, 50 * time.Millisecond: 8, 200 * time.Millisecond: 8,
		time.Second: 6, 1500 * time.Millisecond: 6, 6 * time.Second: 2,
	}
	hooks := receiver(t, "standard")
	var endpoints []string
	for h, k := range intervals {
		endpoints = append(endpoints, endpointAt(hooks, fmt.Sprintf("H%d", h.Milliseconds()), "{interval: 1s, lifetime: 1m}", fmt.Sprintf("{interval: %s, attempts: %d}", h, k)))
	}
	w := newEnvironment(t, sharedServer(t), quick, endpoints...)
	api := w.run(t).Client
	t.Run("h", func(t *testing.T) {
		for h, k := range intervals {
			t.Run(h.String(), func(t *testing.T) {
				t.Parallel()
				late := time.Hour
				for round := 0; round < 5 && late > tolerance; round++ {
					late = min(late, measure(t, w, hooks, api, h, k, round))
				}
				require.LessOrEqual(t, late, tolerance)
			})
		}
	})
}

// measure delivers k times and returns the median of what the gaps exceed h by.
func measure(t *testing.T, w *environment, hooks *simulator.Receiver, api *apiclient.Client, h time.Duration, k, round int) time.Duration {
	t.Helper()
	id := fmt.Sprintf("%d-%d", h.Milliseconds(), round)
	w.core.SetStatus(id, "done")
	replies := slices.Repeat([]simulator.Reply{failing(http.StatusServiceUnavailable)}, k-1)
	hooks.Script(id, append(replies, simulator.Acknowledge)...)
	key := start(t, api, operation.StartRequest{Endpoint: fmt.Sprintf("H%d", h.Milliseconds()), OperationID: id})
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
	requireInterval(t, hooks, id, k, h)
	var late []time.Duration
	for _, got := range hooks.Received(id)[1:] {
		late = append(late, got.Gap-h)
	}
	slices.Sort(late)
	t.Logf("h %s, late by %s", h, late)
	return late[len(late)/2]
}

func TestAnOperationIsStartedOnce(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client

	w.core.SetStatus("601", "done")
	var created, again, unserved atomic.Int32
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			_, first, err := direct(api).Start(t.Context(), entry("601"))
			switch {
			case later(err):
				unserved.Add(1) // on a busy machine
			case err != nil:
				t.Error(err)
			case first:
				created.Add(1)
			default:
				again.Add(1)
			}
		})
	}
	callers.Wait()
	require.LessOrEqual(t, created.Load(), int32(1), "sixteen starts, one 201")
	require.EqualValues(t, 16, created.Load()+again.Load()+unserved.Load())
	require.True(t, created.Load() == 1 || unserved.Load() > 0)
	start(t, api, entry("601"))
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, entry("601").Key()).Outcome)

	_, first, err := api.Start(t.Context(), entry("601"))
	require.NoError(t, err)
	require.False(t, first, "also once it is closed")
	other := entry("601")
	other.KnownStatus = "reserved"
	_, _, err = api.Start(t.Context(), other)
	require.Equal(t, http.StatusConflict, apiclient.Status(err), "the same id with other content")
	require.Len(t, w.standard.Received("601"), 1)
}

func TestDetailsShowNeitherPayerNorCard(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	w.wsgate.Script("A2C-1", simulator.Statuses(2)...)
	w.core.SetStatus("801", "done")
	for _, r := range []operation.StartRequest{order("A2C-1", "p2p_a2c"), entry("801")} {
		key := start(t, api, r)
		details, err := api.Details(t.Context(), key)
		require.NoError(t, err)
		require.NotEmpty(t, details)
		shown := fmt.Sprint(details)
		for _, secret := range []string{"411111", "123456", "Name Surname", "LT0000", "EVP000", "9876"} {
			require.NotContains(t, shown, secret)
		}
		awaitClosed(t, api, key)
	}
}
