package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/workflows"
)

// These tests look at Temporal beside the API.

func history(t *testing.T, c client.Client, key operation.Key) []*historypb.HistoryEvent {
	t.Helper()
	var events []*historypb.HistoryEvent
	all := c.GetWorkflowHistory(t.Context(), key.WorkflowID(), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		event, err := all.Next()
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}

func count(events []*historypb.HistoryEvent, kind enumspb.EventType) int {
	n := 0
	for _, event := range events {
		if event.GetEventType() == kind {
			n++
		}
	}
	return n
}

func pendingDelivery(t *testing.T, c client.Client, key operation.Key) *workflowpb.PendingActivityInfo {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), key.WorkflowID(), "")
	require.NoError(t, err)
	for _, activity := range described.GetPendingActivities() {
		if activity.GetActivityType().GetName() == "Deliver" {
			return activity
		}
	}
	return nil
}

func TestTheHappyPathIsOneEagerWorkflowTaskWithoutAnActivity(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	c := w.temporalClient(t)
	// The first finds out how fast core and receiver are. A busy machine may make
	// them slow.
	var events []*historypb.HistoryEvent
	for n := 0; n < 10 && len(events) != 7; n++ {
		id := fmt.Sprint(100 + n)
		w.core.SetStatus(id, "done")
		key := start(t, api, entry(id))
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
		events = history(t, c, key)
	}
	require.Len(t, events, 7)
	require.True(t, events[0].GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted())
	require.Equal(t, 1, count(events, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
	require.Equal(t, 2, count(events, enumspb.EVENT_TYPE_MARKER_RECORDED), "a poll and an attempt")
	require.Zero(t, count(events, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED))
	require.Zero(t, count(events, enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES))
}

// startInsideTask starts an operation whose first attempt, which the receiver
// answers after delay, is under way inside a workflow task. A busy machine may
// leave it to an activity; then the next operation is tried.
func (w *environment) startInsideTask(t *testing.T, api *apiclient.Client, id string, delay time.Duration) operation.Key {
	t.Helper()
	c := w.temporalClient(t)
	for n := range 10 {
		warm, name := fmt.Sprintf("warm-%s-%d", id, n), fmt.Sprintf("%s-%d", id, n)
		w.core.SetStatus(warm, "done")
		awaitClosed(t, api, start(t, api, entry(warm)))
		w.core.SetStatus(name, "done")
		w.standard.Script(name, simulator.Reply{Delay: delay})
		key := start(t, api, entry(name))
		awaitInFlight(t, w.standard, name, 1)
		if pendingDelivery(t, c, key) == nil {
			return key
		}
		awaitClosed(t, api, key)
	}
	require.Fail(t, "no attempt was made inside a workflow task")
	return operation.Key{}
}

func TestTheHistoryDoesNotGrowWithAttempts(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick,
		`TWICE: {dialect: standard, source: wallet, url: "http://127.0.0.1:1/hooks", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 20ms, attempts: 2}}`,
		`OFTEN: {dialect: standard, source: wallet, url: "http://127.0.0.1:1/hooks", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 20ms, attempts: 40}}`)
	api := w.run(t).Client
	c := w.temporalClient(t)
	length := func(endpoint, id string) int {
		w.core.SetStatus(id, "done")
		key := start(t, api, operation.StartRequest{Endpoint: endpoint, OperationID: id})
		require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, key).Outcome)
		return len(history(t, c, key))
	}
	twice, often := 0, 1
	// A slow machine may add a workflow task to one of them.
	for n := 0; n < 5 && twice != often; n++ {
		id := fmt.Sprintf("110-%d", n)
		twice, often = length("TWICE", id), length("OFTEN", id)
	}
	require.Equal(t, twice, often)
}

func TestASlowReceiverDoesNotDelayARevocation(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), policies{poll: patient.poll, delivery: "{interval: 300ms, attempts: 4, timeout: 20s}"})
	api := w.run(t).Client
	w.standard.Script("120", simulator.Reply{Delay: slow})
	w.standard.Script("121", simulator.Reply{Delay: 8 * time.Second}, simulator.Acknowledge)
	w.core.SetStatus("120", "done")
	awaitClosed(t, api, start(t, api, entry("120")))

	w.core.SetStatus("121", "waiting_funds")
	key := start(t, api, entry("121"))
	awaitInFlight(t, w.standard, "121", 1)
	require.NotNil(t, pendingDelivery(t, w.temporalClient(t), key), "delivered by an activity, not in a workflow task")
	state, err := api.Revoke(t.Context(), key, "user", "")
	require.NoError(t, err)
	require.True(t, w.standard.Received("121")[0].EndedAt.IsZero(), "the answer does not wait for the receiver")
	require.Equal(t, "revoked", state.Status.Value)

	state = awaitClosed(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	received := w.standard.Received("121")
	require.Len(t, received, 2, "what was in flight, then revoked")
	require.False(t, received[1].Overlaps, "callbacks of one operation never overtake each other")
	require.Equal(t, operation.DeliveryAcknowledged, state.Deliveries[0].Outcome, "an attempt in flight is never cut off")
}

func TestAStartWhoseClientGivesUpIsDeliveredAllTheSame(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	given := 0
	for n := range 30 {
		id := "13" + string(rune('A'+n%26)) + string(rune('a'+n/26))
		w.core.SetStatus(id, "done")
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*200*time.Microsecond)
		_, _, err := api.Start(ctx, entry(id))
		cancel()
		if err == nil {
			continue
		}
		given++
		if _, err := api.State(t.Context(), entry(id).Key()); err != nil {
			continue // given up before it had left
		}
		got := awaitCallbacks(t, w.standard, id, 1)
		state := awaitClosed(t, api, entry(id).Key())
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Len(t, got, 1)
		require.Zero(t, count(history(t, w.temporalClient(t), entry(id).Key()), enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT), "no workflow task was stranded")
	}
	require.NotZero(t, given)
}

var waitsOnServer = policies{
	poll:     "{schedule: [100ms, 100ms], lifetime: 1m}",
	delivery: "{interval: 6s, attempts: 4, timeout: 5s}",
}

const serverInterval = 6 * time.Second

func TestAStateIsReadWhileNoWorkerRuns(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), waitsOnServer)
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	worker := w.worker(t)
	for _, id := range []string{"140", "141", "142"} {
		w.core.SetStatus(id, "done")
	}
	w.standard.Script("141", failing(http.StatusServiceUnavailable))
	ended := start(t, api, entry("140"))
	awaitClosed(t, api, ended)
	open := start(t, api, entry("141"))
	c := w.temporalClient(t)
	awaitPending(t, c, open, "Deliver")
	require.NoError(t, worker.Stop(syscall.SIGTERM, grace))

	state, err := api.State(t.Context(), ended)
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	state, err = api.State(t.Context(), open)
	require.NoError(t, err)
	require.Equal(t, operation.Delivering, state.Phase)
	require.Equal(t, "done", state.Status.Value)
	require.Equal(t, "unacknowledged", verdicts(state.Deliveries[0]))
	require.NotNil(t, state.Deliveries[0].NextAttemptAt)
	state, created, err := api.Start(t.Context(), entry("142"))
	require.NoError(t, err)
	require.True(t, created, "a start needs no worker")
	require.Equal(t, operation.Watching, state.Phase)
}

// A run's first workflow task may wait for a worker, or be lost with one: a message
// that reached the run meanwhile is older than its first poll.
func TestMessagesBeforeTheFirstPollAreHandledFirst(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	w.addEveryEndpoint(t, "{interval: 100ms, lifetime: 1m}")
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	pushed := start(t, api, operation.StartRequest{Endpoint: "EVERY", OperationID: "145"})
	revoked := start(t, api, operation.StartRequest{Endpoint: "EVERY", OperationID: "146"})
	withdrawn := start(t, api, operation.StartRequest{Endpoint: "EVERY", OperationID: "147"})
	require.NoError(t, api.Push(t.Context(), pushed, "reserved"))
	c := w.temporalClient(t)
	require.NoError(t, c.SignalWorkflow(t.Context(), "EVERY/146", "", "revoke", operation.Revocation{InitiatedBy: "user"}))
	withdraw(t, api, withdrawn)
	for _, id := range []string{"145", "146", "147"} {
		w.core.SetStatus(id, "done")
	}
	w.worker(t)

	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, pushed).Outcome)
	require.Equal(t, []string{"reserved", "done"}, statuses(w.standard.Received("145")))
	require.Equal(t, "revoked", awaitClosed(t, api, revoked).Status.Value)
	require.Equal(t, []string{"revoked"}, statuses(w.standard.Received("146")))
	require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, withdrawn).Outcome)
	require.Empty(t, w.core.Questions("147"), "nobody wants to know")
}

// A change that no worker took as an Update is sent as a Signal. A later Update may
// reach the run in the same workflow task, in which the SDK handles Updates first.
func TestASignalIsHandledBeforeALaterUpdate(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	push := func(ctx context.Context, api *apiclient.Client, key operation.Key) error {
		return api.Push(ctx, key, "done")
	}
	revoke := func(ctx context.Context, api *apiclient.Client, key operation.Key) error {
		_, err := api.Revoke(ctx, key, "user", "")
		return err
	}
	for name, tt := range map[string]struct {
		signalled string
		say       func(context.Context, *apiclient.Client, operation.Key) error
		refused   string
		owed      []string
	}{
		"a push":                              {"reserved", push, "", []string{"reserved", "done"}},
		"a revocation":                        {"reserved", revoke, "", []string{"reserved", "revoked"}},
		"a revocation that is refused for it": {"done", revoke, string(operation.ProblemNotRevocable), []string{"done"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newEnvironment(t, sharedServer(t), quick)
			w.addEveryEndpoint(t, "{interval: 1h, lifetime: 2h}")
			_, api := w.api(t, "127.0.0.1:0", "-worker=false")
			first := w.worker(t)
			key := operation.StartRequest{Endpoint: "EVERY", OperationID: "148"}.Key()
			w.core.SetStatus("148", "new")
			start(t, api, operation.StartRequest{Endpoint: "EVERY", OperationID: "148"})
			awaitState(t, api, key, func(s operation.State) bool { return s.Polls > 0 })
			stop(t, first)

			// The API sends a Signal after 3 s; its Update is lost if the server restarts then.
			require.NoError(t, w.temporalClient(t).SignalWorkflow(t.Context(), key.WorkflowID(), "", workflows.SignalStatus, workflows.Push{Status: tt.signalled}))
			said := make(chan error, 1)
			go func() { said <- tt.say(t.Context(), api, key) }()
			time.Sleep(time.Second)
			w.worker(t)
			if err := <-said; tt.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.refused)
			}
			var owed []string
			for _, d := range awaitClosed(t, api, key).Deliveries {
				owed = append(owed, d.Status)
			}
			require.Equal(t, tt.owed, owed)
		})
	}
}

func TestARepeatedUpdateIsAnsweredAfterTheRunClosed(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api, c := w.run(t).Client, w.temporalClient(t)
	w.core.SetStatus("151", "processing")
	key := start(t, api, entry("151"))
	for range 2 {
		handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: key.WorkflowID(), UpdateName: workflows.UpdateStatus, UpdateID: "one", Args: []any{workflows.Push{Status: "done"}},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		require.NoError(t, err)
		require.NoError(t, handle.Get(t.Context(), nil))
		require.Equal(t, "done", awaitClosed(t, api, key).Status.Value)
	}
	require.Len(t, w.standard.Received("151"), 1)
}

// addEveryEndpoint adds an endpoint EVERY, whose receiver gets each status.
func (w *environment) addEveryEndpoint(t *testing.T, poll string) {
	t.Helper()
	w.appendConfig(t, fmt.Sprintf("  EVERY: {dialect: standard, source: wallet, url: %q, supersede: every, push: trust, poll: %s, delivery: %s}", w.standard.URL()+"/hooks", poll, quick.delivery))
}

func statuses(received []simulator.Received) (all []string) {
	for _, r := range received {
		all = append(all, r.Status)
	}
	return all
}

func TestALongWaitFreesItsSlotAndShowsIntervalAndAttempts(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), waitsOnServer)
	api := w.run(t).Client
	w.core.SetStatus("150", "done")
	w.standard.Script("150", failing(http.StatusServiceUnavailable))
	key := start(t, api, entry("150"))
	c := w.temporalClient(t)
	awaitPending(t, c, key, "Deliver")
	policy := pendingDelivery(t, c, key).GetActivityOptions().GetRetryPolicy()
	require.Equal(t, serverInterval, policy.GetInitialInterval().AsDuration())
	require.InDelta(t, 1, policy.GetBackoffCoefficient(), 0)
	require.EqualValues(t, 4, policy.GetMaximumAttempts())
	withdraw(t, api, key)
	require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, key).Outcome)
}

func TestAChangeDuringAnAttemptInAWorkflowTaskRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), patient)
	api := w.run(t).Client
	for id, change := range map[string]func(operation.Key) error{
		"190": func(key operation.Key) error { return api.Push(t.Context(), key, "done") },
		"191": func(key operation.Key) error { _, err := api.Withdraw(t.Context(), key); return err },
		"192": func(key operation.Key) error { _, err := api.Revoke(t.Context(), key, "user", ""); return err },
	} {
		key := w.startInsideTask(t, api, id, 900*time.Millisecond)
		if err := change(key); err != nil {
			require.Equal(t, http.StatusConflict, apiclient.Status(err), "closed meanwhile: %v", err)
		}
		state := awaitClosed(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Len(t, state.Deliveries, 1)
		require.Len(t, w.standard.Received(key.OperationID), 1, "nothing was sent twice")
	}
}

func TestAWithdrawalWaitsForALongAttemptInAWorkflowTask(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), patient)
	api := w.run(t).Client
	// A Signal, which follows an Update that no worker took within 3 s, would make
	// the run forget the attempt.
	key := w.startInsideTask(t, api, "195", 4500*time.Millisecond)
	withdraw(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
	require.Len(t, w.standard.Received(key.OperationID), 1, "nothing was sent twice")
}

func TestAWithdrawalInterruptsNoAttempt(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), waitsOnServer)
	api := w.run(t).Client
	for _, id := range []string{"160", "162"} {
		w.core.SetStatus(id, "done")
	}
	t.Run("an attempt in flight that is acknowledged is the outcome", func(t *testing.T) {
		w.standard.Script("160", failing(http.StatusServiceUnavailable), simulator.Reply{Delay: slow})
		key := start(t, api, entry("160"))
		awaitInFlight(t, w.standard, "160", 2)
		withdraw(t, api, key)
		state := awaitClosed(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Equal(t, "unacknowledged acknowledged", verdicts(state.Deliveries[0]))
	})
	t.Run("a delivery that waits for its next attempt ends, and its attempts stay on record", func(t *testing.T) {
		w.standard.Script("162", failing(http.StatusServiceUnavailable))
		key := start(t, api, entry("162"))
		c := w.temporalClient(t)
		awaitPending(t, c, key, "Deliver")
		withdraw(t, api, key)
		state := awaitClosed(t, api, key)
		require.Equal(t, operation.OutcomeWithdrawn, state.Outcome)
		require.Equal(t, "unacknowledged", verdicts(state.Deliveries[0]))
		require.Equal(t, operation.ReasonWithdrawn, state.Deliveries[0].Reason)
		require.Len(t, w.standard.Received("162"), 1)
	})
}
