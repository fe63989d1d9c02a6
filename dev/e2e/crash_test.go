package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// slow leaves time to kill something in mid-attempt.
const slow = 2 * time.Second

var patient = policies{
	poll:     "{schedule: [500ms, 500ms, 500ms, 500ms], lifetime: 1m}",
	delivery: "{interval: 300ms, attempts: 4, timeout: 5s}",
}

const (
	patientInterval = 300 * time.Millisecond
	patientAttempts = 4
)

func TestAWorkerKilledDuringAnAttemptLosesAndExceedsNothing(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), patient)
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	first := w.worker(t)

	// One is killed in an attempt that an activity makes, one in an attempt
	// inside a workflow task, one while its receiver never acknowledges, one
	// between two polls.
	w.wsgate.Script("A2C-1", simulator.Statuses(2)...)
	w.ukrcard.Script("A2C-1", failing(http.StatusInternalServerError), simulator.Reply{HTTPStatus: http.StatusInternalServerError, Delay: slow}, failing(http.StatusInternalServerError), simulator.Acknowledge)
	w.wsgate.Script("A2C-2", simulator.Statuses(2)...)
	w.ukrcard.Script("A2C-2", failing(http.StatusInternalServerError), simulator.Reply{HTTPStatus: http.StatusInternalServerError, Delay: slow}, failing(http.StatusInternalServerError))
	w.core.SetStatus("201", "done")
	w.standard.Script("201", simulator.Reply{Delay: slow}, simulator.Acknowledge)
	w.core.SetStatus("202", "waiting_funds")
	delivering := start(t, api, order("A2C-1", "p2p_a2c"))
	exhausting := start(t, api, order("A2C-2", "p2p_a2c"))
	inTask := start(t, api, entry("201"))
	watching := start(t, api, w.transfer("202"))
	// Once it is recorded it is not sent again, however soon the worker dies.
	awaitState(t, api, watching, func(s operation.State) bool {
		return len(s.Deliveries) > 0 && s.Deliveries[0].Outcome == operation.DeliveryAcknowledged
	})
	awaitInFlight(t, w.ukrcard, "A2C-1", 2)
	awaitInFlight(t, w.ukrcard, "A2C-2", 2)
	awaitInFlight(t, w.standard, "201", 1)
	require.NoError(t, first.Kill())

	w.core.SetStatus("202", "done")
	w.worker(t)

	state := awaitClosed(t, api, delivering)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	d := state.Deliveries[0]
	require.Equal(t, "unacknowledged unacknowledged unacknowledged acknowledged", verdicts(d))
	require.Contains(t, d.Attempts[1].Reason, "worker", "what nobody saw the end of says so")
	requireNumbered(t, d.Attempts, 1)
	requireInterval(t, w.ukrcard, "A2C-1", patientAttempts, patientInterval)

	state = awaitClosed(t, api, exhausting)
	require.Equal(t, operation.OutcomeExhausted, state.Outcome)
	require.Len(t, state.Deliveries[0].Attempts, patientAttempts)
	requireInterval(t, w.ukrcard, "A2C-2", patientAttempts, patientInterval)

	// The one exception of promise 5: a lost workflow task repeats its attempt.
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, inTask).Outcome)
	require.LessOrEqual(t, len(w.standard.Received("201")), 2)

	state = awaitClosed(t, api, watching)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Len(t, w.paysera.Received("202"), 2, "waiting_funds, then done")
}

// requireInterval checks h and k where the receiver sees them.
func requireInterval(t *testing.T, r *simulator.Receiver, id string, k int, h time.Duration) {
	t.Helper()
	received := r.Received(id)
	require.LessOrEqual(t, len(received), k, "at most k requests")
	for _, got := range received {
		require.False(t, got.Overlaps, "attempt %d came while another was being answered", got.Attempt)
		if got.Attempt > 1 {
			require.GreaterOrEqual(t, got.Gap, h, "attempt %d came too soon", got.Attempt)
		}
	}
}

func TestATemporalServerKilledAndStartedAgainOnItsFilesLosesNothing(t *testing.T) {
	temporalServer := startServer(t, "-data", t.TempDir())
	w := newEnvironment(t, temporalServer, policies{
		poll:     "{interval: 500ms, lifetime: 2m}",
		delivery: "{interval: 500ms, attempts: 30, timeout: 5s}",
	})
	api := w.run(t).Client
	w.wsgate.Script("A2C-1", simulator.Statuses(2)...)
	w.ukrcard.Script("A2C-1", failing(http.StatusInternalServerError))
	w.core.SetStatus("301", "waiting_funds")
	w.core.SetStatus("302", "done")
	delivering := start(t, api, order("A2C-1", "p2p_a2c"))
	watching := start(t, api, w.transfer("301"))
	ended := start(t, api, w.transfer("302"))
	awaitCallbacks(t, w.ukrcard, "A2C-1", 2)
	awaitCallbacks(t, w.paysera, "301", 1)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, ended).Outcome)

	temporalServer.kill(t)
	refusesToStart(t, api, entry("303"))
	status, err := probes(t, api).Call(t.Context(), http.MethodGet, "/readyz", nil, nil)
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status)
	w.core.SetStatus("301", "done")
	w.ukrcard.Script("A2C-1", failing(http.StatusInternalServerError), simulator.Acknowledge)
	temporalServer.start(t)

	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, delivering).Outcome)
	requireInterval(t, w.ukrcard, "A2C-1", 30, 500*time.Millisecond)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, watching).Outcome)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, ended).Outcome)
	_, created, err := api.Start(t.Context(), w.transfer("302"))
	require.NoError(t, err)
	require.False(t, created, "what was started before the crash is known after it")
	require.Len(t, w.paysera.Received("302"), 1)
}

// refusesToStart requires that a start is refused with 503 while Temporal is away.
func refusesToStart(t *testing.T, api *apiclient.Client, r operation.StartRequest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, _, err := direct(api).Start(ctx, r)
	problem := &apiclient.Problem{}
	require.ErrorAs(t, err, &problem)
	require.Equal(t, http.StatusServiceUnavailable, problem.Status)
	require.NotEmpty(t, problem.RetryAfter)
}

func TestTheTopologyOfProductionOnPostgreSQL(t *testing.T) {
	w := newEnvironment(t, postgresServer(t), quick)
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	w.worker(t)
	w.worker(t)
	for id, e := range map[string]ending{
		"ukrcard":  endings(w)["an account-to-card transfer that goes 0, 0, 2 is delivered until applicationStatus is 200"],
		"paysera":  endings(w)["a transfer delivers each status on its way"],
		"revoked":  endings(w)["a transfer that its user revoked is delivered with revoked"],
		"standard": endings(w)["a delivery without an acknowledgement is exhausted after k attempts, and redelivered as the same callback"],
	} {
		t.Run(id, func(t *testing.T) { e.check(t, w, api) })
	}

	t.Run("the Temporal server is killed and started again on its database", func(t *testing.T) {
		w.core.SetStatus("401", "waiting_funds")
		key := start(t, api, w.transfer("401"))
		awaitCallbacks(t, w.paysera, "401", 1)
		w.temporal.kill(t)
		w.core.SetStatus("401", "done")
		w.temporal.start(t)
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
		require.Len(t, w.paysera.Received("401"), 2)
	})
}

func TestSIGTERMDrainsWithoutCuttingOffOrLosingAnything(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), patient)
	process, api := w.api(t, "127.0.0.1:0")
	w.wsgate.Script("A2C-1", simulator.Statuses(2)...)
	w.ukrcard.Script("A2C-1", failing(http.StatusInternalServerError), simulator.Reply{Delay: slow})
	inFlight := start(t, api, order("A2C-1", "p2p_a2c"))
	awaitInFlight(t, w.ukrcard, "A2C-1", 2)

	accepted := startsUntilRefused(t, w, api, func() {
		require.NoError(t, process.Stop(syscall.SIGTERM, grace))
	})
	require.NoError(t, process.Err(), "exit status 0")
	require.NotEmpty(t, accepted)

	_, api = w.api(t, "127.0.0.1:0")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, inFlight).Outcome)
	require.Len(t, w.ukrcard.Received("A2C-1"), 2, "the attempt in flight was finished, and recorded")
	for _, key := range accepted {
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
		require.Len(t, w.standard.Received(key.OperationID), 1)
	}
}

// startsUntilRefused starts operations from several callers while stop stops
// the program, and returns those that were answered with 201.
func startsUntilRefused(t *testing.T, w *environment, api *apiclient.Client, stop func()) []operation.Key {
	t.Helper()
	var mu sync.Mutex
	var accepted []operation.Key
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for n := range 10_000 {
				id := fmt.Sprintf("5%d%04d", caller, n)
				w.core.SetStatus(id, "done")
				_, created, err := direct(api).Start(t.Context(), entry(id))
				if err != nil {
					return
				}
				mu.Lock()
				if created {
					accepted = append(accepted, entry(id).Key())
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	callers.Wait()
	return accepted
}
