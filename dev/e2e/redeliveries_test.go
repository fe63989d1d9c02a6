package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/workflows"
)

const (
	// opsKey may redeliver, bossKey may force as well.
	opsKey  = "a-key-of-the-operators"
	bossKey = "a-key-of-their-boss"
)

// addKeys gives the configuration the keys of the tests.
func (w *environment) addKeys(t *testing.T) {
	t.Helper()
	w.setAPI(t, "keys: [{name: ops, sha256: %x, scopes: [start, read, redeliver]}, {name: boss, sha256: %x, scopes: [read, redeliver, force]}]",
		sha256.Sum256([]byte(opsKey)), sha256.Sum256([]byte(bossKey)))
}

// undelivered asks for what never arrived at an endpoint.
func undelivered(endpoint string) operation.ListQuery {
	return operation.ListQuery{Endpoint: endpoint, Undelivered: true, ByClose: true}
}

// exhaustMany starts n entries whose receiver never acknowledges, and returns
// when visibility knows that they are exhausted.
func exhaustMany(t *testing.T, w *environment, api *apiclient.Client, n int) []operation.Key {
	t.Helper()
	w.standard.Default(failing(http.StatusServiceUnavailable))
	var keys []operation.Key
	for i := range n {
		id := fmt.Sprint(1001 + i)
		w.core.SetStatus(id, "done")
		keys = append(keys, start(t, api, entry(id)))
	}
	for _, key := range keys {
		require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, key).Outcome)
	}
	awaitCount(t, api, undelivered(ledger), n)
	w.standard.Default(simulator.Acknowledge)
	return keys
}

// awaitCount waits until visibility, which follows a moment behind, counts so many.
func awaitCount(t *testing.T, api *apiclient.Client, query operation.ListQuery, n int) {
	t.Helper()
	var count operation.OperationsCount
	for until := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		var err error
		count, err = api.Count(t.Context(), operation.CountQuery{ListQuery: query})
		require.NoError(t, err)
		require.True(t, count.Exact)
		if count.Count == n {
			return
		}
		if time.Now().After(until) {
			page, err := api.List(t.Context(), query)
			require.NoError(t, err)
			require.Equal(t, n, count.Count, "%v lists %+v", query, page.Operations)
		}
	}
}

// awaitRedelivery reads a bulk redelivery until done returns true.
func awaitRedelivery(t *testing.T, api *apiclient.Client, id string, done func(operation.BulkRedelivery) bool) operation.BulkRedelivery {
	t.Helper()
	var found operation.BulkRedelivery
	require.Eventually(t, func() bool {
		var err error
		found, err = api.BulkRedelivery(t.Context(), id)
		require.NoError(t, err)
		return done(found)
	}, patience, 50*time.Millisecond)
	return found
}

func isDone(r operation.BulkRedelivery) bool { return r.Phase == operation.BulkRedeliveryDone }

// acknowledged counts the callbacks about an operation that were.
func acknowledged(r *simulator.Receiver, id string) int {
	n := 0
	for _, got := range r.Received(id) {
		if got.Answered.HTTPStatus == http.StatusOK {
			n++
		}
	}
	return n
}

// acknowledgedOf counts them about many operations.
func acknowledgedOf(r *simulator.Receiver, keys []operation.Key) int {
	n := 0
	for _, key := range keys {
		n += acknowledged(r, key.OperationID)
	}
	return n
}

func TestABulkRedeliveryThatIsStoppedAndKilledDeliversEachOnce(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	const many = 30
	w := newEnvironment(t, sharedServer(t), quick)
	w.addKeys(t)
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	api.Key = opsKey
	worker := w.worker(t)

	arrived := start(t, api, func() operation.StartRequest { w.core.SetStatus("900", "done"); return entry("900") }())
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, arrived).Outcome)
	keys := exhaustMany(t, w, api, many)
	filter := operation.Filter{Endpoint: ledger}

	found, err := api.DryRun(t.Context(), operation.BulkRedeliveryRequest{Filter: filter})
	require.NoError(t, err)
	require.Equal(t, many, found.Matched)
	require.Equal(t, []operation.CountGroup{{Endpoint: ledger, Count: many}}, found.Endpoints)
	require.Len(t, found.Sample, operation.MaxSample)
	require.Equal(t, operation.OutcomeExhausted, found.Sample[0].Outcome)
	require.Zero(t, acknowledgedOf(w.standard, keys), "a dry run starts nothing")

	begun, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: filter, RatePerSecond: 3, Reason: "receiver repaired"})
	require.NoError(t, err)
	require.Equal(t, many, begun.Matched)
	require.Equal(t, "ops", begun.By)

	// Stopped, nothing more is begun.
	awaitRedelivery(t, api, begun.ID, func(r operation.BulkRedelivery) bool { return r.Done >= 3 })
	told, err := api.StopBulkRedelivery(t.Context(), begun.ID)
	require.NoError(t, err)
	require.Equal(t, operation.BulkRedeliveryStopped, told.Phase)
	time.Sleep(2 * time.Second)
	stopped := acknowledgedOf(w.standard, keys)
	require.Less(t, stopped, many)
	time.Sleep(time.Second)
	require.Equal(t, stopped, acknowledgedOf(w.standard, keys))
	require.Equal(t, stopped, awaitRedelivery(t, api, begun.ID, func(operation.BulkRedelivery) bool { return true }).Done, "as its memo says")

	// Resumed, and its worker killed between two operations.
	_, err = api.ResumeBulkRedelivery(t.Context(), begun.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return acknowledgedOf(w.standard, keys) >= stopped+5 }, patience, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	require.NoError(t, worker.Kill())
	alone := awaitRedelivery(t, api, begun.ID, func(operation.BulkRedelivery) bool { return true })
	require.GreaterOrEqual(t, alone.Done, stopped, "progress is told without a worker")
	w.worker(t)

	done := awaitRedelivery(t, api, begun.ID, isDone)
	require.Equal(t, operation.BulkRedeliveryProgress{Done: many}, done.BulkRedeliveryProgress)
	require.NotNil(t, done.EndedAt)
	for _, key := range keys {
		state := awaitClosed(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Equal(t, 1, acknowledged(w.standard, key.OperationID), "%s is delivered once by all of it", key.OperationID)
		requireNumbered(t, state.Deliveries[0].Attempts, 1)
		require.Len(t, state.Deliveries[0].Attempts, quickAttempts+1)
		require.NotNil(t, state.Redelivery)
		require.Equal(t, begun.ID, state.Redelivery.BulkRedeliveryID, "each is linked to it")
		require.Equal(t, "ops", state.Redelivery.By)
		require.Equal(t, "receiver repaired", state.Redelivery.Reason)
	}
	require.Len(t, w.standard.Received("900"), 1, "what had arrived is left alone")
	_, err = api.StopBulkRedelivery(t.Context(), begun.ID)
	require.Equal(t, http.StatusConflict, apiclient.Status(err), "it has ended")

	t.Run("what never arrived is nothing now", func(t *testing.T) {
		awaitCount(t, api, undelivered(ledger), 0)
		page, err := api.List(t.Context(), undelivered(ledger))
		require.NoError(t, err)
		require.Empty(t, page.Operations, "the runs that failed are not the latest")
	})
	t.Run("the same once more delivers nothing", func(t *testing.T) {
		again, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: filter, RatePerSecond: 100})
		require.NoError(t, err)
		require.Zero(t, again.Matched, "the runs that failed are not their operations' latest")
		again = awaitRedelivery(t, api, again.ID, isDone)
		require.Zero(t, again.BulkRedeliveryProgress)
		require.Equal(t, many, acknowledgedOf(w.standard, keys))
		require.Eventually(t, func() bool {
			recent, err := api.BulkRedeliveries(t.Context(), "")
			require.NoError(t, err)
			return len(recent.Redeliveries) == 2 && recent.Redeliveries[0].ID == again.ID && isDone(recent.Redeliveries[0])
		}, patience, 100*time.Millisecond)
	})
	t.Run("force delivers what was acknowledged, and needs its scope", func(t *testing.T) {
		forced := operation.BulkRedeliveryRequest{
			Filter: operation.Filter{Endpoint: ledger, Outcome: operation.OutcomeAcknowledged}, Force: true, RatePerSecond: 100, Reason: "the client lost a day",
		}
		_, err := api.StartBulkRedelivery(t.Context(), forced)
		require.Equal(t, http.StatusForbidden, apiclient.Status(err))
		boss := &apiclient.Client{MaxAttempts: 1, Base: api.Base, Key: bossKey}
		awaitCount(t, api, operation.ListQuery{Endpoint: ledger, Outcome: operation.OutcomeAcknowledged}, many+1)
		begun, err := boss.StartBulkRedelivery(t.Context(), forced)
		require.NoError(t, err)
		processed := 0
		done := awaitRedelivery(t, boss, begun.ID, func(r operation.BulkRedelivery) bool {
			require.GreaterOrEqual(t, r.Processed(), processed, "progress never falls back")
			processed = r.Processed()
			return isDone(r)
		})
		require.Equal(t, operation.BulkRedeliveryProgress{Done: many + 1}, done.BulkRedeliveryProgress)
		for _, key := range append(keys, arrived) {
			require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
			require.Equal(t, 2, acknowledged(w.standard, key.OperationID))
		}
	})
}

// TestUndeliveredOperationsAreListedAndRedeliveredOnPostgreSQL: the same queries
// in visibility's language of the other store, ids included that would break
// out of a string.
func TestUndeliveredOperationsAreListedAndRedeliveredOnPostgreSQL(t *testing.T) {
	checkUndelivered(t, postgresServer(t))
}

func TestUndeliveredOperationsAreListedAndRedelivered(t *testing.T) {
	t.Parallel()
	checkUndelivered(t, sharedServer(t))
}

func checkUndelivered(t *testing.T, e *temporalServer) {
	t.Helper()
	w := newEnvironment(t, e, policies{poll: "{schedule: [50ms], lifetime: 1m}", delivery: "{interval: 20ms, attempts: 2, timeout: 5s}"},
		fmt.Sprintf(`BRIEF: {dialect: standard, source: wallet, url: %q, poll: {interval: 100ms, lifetime: 300ms}, delivery: {interval: 20ms, attempts: 2}}`, "http://127.0.0.1:1/hooks"))
	api := w.run(t).Client

	// Exhausted, with ids that would end a string; gone; expired; terminated;
	// superseded unacknowledged, though acknowledged in the end; and acknowledged.
	odd := []string{`it's 5`, `back\slash`, `both\' OR 1=1`, `'ends'`, "%", "a/b"}
	w.ukrcard.Default(failing(http.StatusServiceUnavailable))
	for _, id := range odd {
		w.wsgate.Script(id, simulator.Statuses(2)...)
		require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, start(t, api, order(id, "p2p_a2c"))).Outcome)
	}
	w.core.SetStatus("1", "done")
	w.standard.Script("1", failing(http.StatusGone))
	require.Equal(t, operation.OutcomeGone, awaitClosed(t, api, start(t, api, entry("1"))).Outcome)
	w.core.SetStatus("2", "processing")
	require.Equal(t, operation.OutcomeExpired, awaitClosed(t, api, start(t, api, operation.StartRequest{Endpoint: "BRIEF", OperationID: "2"})).Outcome)
	w.core.SetStatus("3", "processing")
	stopped := start(t, api, entry("3"))
	awaitState(t, api, stopped, func(s operation.State) bool { return s.Polls > 0 })
	require.NoError(t, w.temporalClient(t).TerminateWorkflow(t.Context(), stopped.WorkflowID(), "", "by the test"))
	w.core.SetStatus("4", "waiting_funds")
	w.paysera.Script("4", failing(http.StatusServiceUnavailable), failing(http.StatusServiceUnavailable), simulator.Acknowledge)
	superseded := start(t, api, w.transfer("4"))
	awaitCallbacks(t, w.paysera, "4", 2)
	w.core.SetStatus("4", "done")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, superseded).Outcome)
	w.core.SetStatus("5", "done")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, entry("5"))).Outcome)

	all := operation.ListQuery{Undelivered: true, ByClose: true, Since: operation.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	awaitCount(t, api, all, len(odd)+4)
	grouped := operation.CountQuery{ListQuery: operation.ListQuery{Undelivered: true}, GroupBy: operation.GroupByEndpoint}
	count, err := api.Count(t.Context(), grouped)
	require.NoError(t, err)
	require.Equal(t, []operation.CountGroup{
		{Endpoint: gold, Count: len(odd)}, {Endpoint: ledger, Count: 2}, {Endpoint: "BRIEF", Count: 1}, {Endpoint: shop, Count: 1},
	}, count.Groups)
	grouped.GroupBy = operation.GroupByOutcome
	count, err = api.Count(t.Context(), grouped)
	require.NoError(t, err)
	require.Equal(t, []operation.CountGroup{
		{Outcome: operation.OutcomeExhausted, Count: len(odd)}, {Outcome: operation.OutcomeAcknowledged, Count: 1},
		{Outcome: operation.OutcomeExpired, Count: 1}, {Outcome: operation.OutcomeGone, Count: 1}, {Outcome: operation.OutcomeTerminated, Count: 1},
	}, count.Groups)

	// The odd ones are redelivered, acknowledged, and no longer listed.
	w.ukrcard.Default(simulator.Acknowledge)
	begun, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{
		Filter: operation.Filter{Endpoint: gold, Outcome: operation.OutcomeExhausted, Status: "2"}, RatePerSecond: 100,
	})
	require.NoError(t, err)
	require.Equal(t, operation.BulkRedeliveryProgress{Done: len(odd)}, awaitRedelivery(t, api, begun.ID, isDone).BulkRedeliveryProgress)
	for _, id := range odd {
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, order(id, "").Key()).Outcome)
		require.Equal(t, 1, acknowledged(w.ukrcard, id), id)
	}
	awaitCount(t, api, all, 4)
	page, err := api.List(t.Context(), operation.ListQuery{Outcome: operation.OutcomeExhausted})
	require.NoError(t, err)
	require.Empty(t, page.Operations)

	// All that is left may be redelivered but the one that was superseded.
	w.core.SetStatus("2", "done")
	w.core.SetStatus("3", "done")
	w.standard.Script("1", simulator.Acknowledge)
	begun, err = api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Since: operation.At(time.Unix(0, 0))}, RatePerSecond: 100})
	require.NoError(t, err)
	done := awaitRedelivery(t, api, begun.ID, isDone)
	require.Equal(t, operation.BulkRedeliveryProgress{Done: 3}, done.BulkRedeliveryProgress)
	for _, id := range []string{"1", "3"} {
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, entry(id).Key()).Outcome)
	}

	// Who redelivered one alone, and why, is told as well.
	_, err = api.Redeliver(t.Context(), entry("1").Key(), operation.RedeliveryRequest{Force: true, Reason: "the client asked"})
	require.NoError(t, err)
	note := awaitClosed(t, api, entry("1").Key()).Redelivery
	require.NotNil(t, note)
	require.Equal(t, "the client asked", note.Reason)
	require.NotEmpty(t, note.By)
	require.NotEmpty(t, note.PreviousRunID)
	require.Empty(t, note.BulkRedeliveryID, "it is a part of none")
}

// TestOperatorActionsOnABulkRedelivery tries what the Temporal UI and CLI
// offer (docs/operations/redelivery.md).
func TestOperatorActionsOnABulkRedelivery(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	const many = 20
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	c := w.temporalClient(t)
	keys := exhaustMany(t, w, api, many)
	begun, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: ledger}, RatePerSecond: 2})
	require.NoError(t, err)
	id := workflows.BulkRedeliveryWorkflowID(begun.ID)
	rests := func(t *testing.T) {
		t.Helper()
		time.Sleep(2 * time.Second)
		n := acknowledgedOf(w.standard, keys)
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, n, acknowledgedOf(w.standard, keys), "nothing is begun")
		require.Less(t, n, many)
	}
	goesOn := func(t *testing.T) {
		t.Helper()
		n := acknowledgedOf(w.standard, keys)
		require.Eventually(t, func() bool { return acknowledgedOf(w.standard, keys) > n }, patience, 50*time.Millisecond)
	}

	t.Run("its activity is paused and unpaused", func(t *testing.T) {
		goesOn(t)
		pauseActivity(t, c, id, workflows.ActivityRedeliverPage)
		rests(t)
		unpauseActivity(t, c, id, workflows.ActivityRedeliverPage)
		goesOn(t)
	})
	t.Run("it is signalled to stop and to resume", func(t *testing.T) {
		require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalStop, nil))
		rests(t)
		require.Equal(t, operation.BulkRedeliveryStopped, awaitRedelivery(t, api, begun.ID, func(operation.BulkRedelivery) bool { return true }).Phase)
		require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalResume, nil))
		goesOn(t)
	})
	t.Run("it is terminated, and another goes on", func(t *testing.T) {
		require.NoError(t, c.TerminateWorkflow(t.Context(), id, "", "by the test"))
		require.Equal(t, operation.BulkRedeliveryEnded, awaitRedelivery(t, api, begun.ID, func(r operation.BulkRedelivery) bool { return r.EndedAt != nil }).Phase)
		_, err := api.ResumeBulkRedelivery(t.Context(), begun.ID)
		require.Equal(t, http.StatusConflict, apiclient.Status(err))
		rests(t)
		another, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: ledger}, RatePerSecond: 100})
		require.NoError(t, err)
		done := awaitRedelivery(t, api, another.ID, isDone)
		require.Less(t, done.Matched, many, "what the first one redelivered is left alone")
		require.Equal(t, done.Matched, done.Done)
		for _, key := range keys {
			require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
			require.Equal(t, 1, acknowledged(w.standard, key.OperationID))
		}
		require.Eventually(t, func() bool {
			found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: c.namespace, Query: fmt.Sprintf("RingbackRedeliveries = '%s' AND ExecutionStatus = 'Completed'", another.ID),
			})
			require.NoError(t, err)
			return int(found.GetCount()) == done.Done
		}, patience, 100*time.Millisecond, "what it began is found by its id")
	})
}
