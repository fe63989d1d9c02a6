package e2e_test

import (
	"context"
	"net/http"
	"strconv"
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

// These tests look at the engine beside the API: each holds one bullet of the
// engine rule (docs/adr), and fails without it.

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
	w := newWorld(t, sharedEngine(t), quick)
	api := w.run(t).Client
	w.core.SetStatus("100", "done")
	closed(t, api, start(t, api, entry("100")))

	w.core.SetStatus("101", "done")
	key := start(t, api, entry("101"))
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, key).Outcome)
	events := history(t, w.temporalClient(t), key)
	require.True(t, events[0].GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted())
	require.Equal(t, 1, count(events, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
	require.Equal(t, 2, count(events, enumspb.EVENT_TYPE_MARKER_RECORDED), "a poll and an attempt")
	require.Zero(t, count(events, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED))
	require.Zero(t, count(events, enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES))
	require.Len(t, events, 7)
}

func TestTheHistoryDoesNotGrowWithAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick,
		`TWICE: {dialect: standard, source: wallet, url: "http://127.0.0.1:1/hooks", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 20ms, attempts: 2}}`,
		`OFTEN: {dialect: standard, source: wallet, url: "http://127.0.0.1:1/hooks", poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 20ms, attempts: 40}}`)
	api := w.run(t).Client
	c := w.temporalClient(t)
	lengths := map[string]int{}
	for _, endpoint := range []string{"TWICE", "OFTEN"} {
		w.core.SetStatus("110", "done")
		key := start(t, api, operation.StartRequest{Endpoint: endpoint, OperationID: "110"})
		require.Equal(t, operation.OutcomeExhausted, closed(t, api, key).Outcome)
		lengths[endpoint] = len(history(t, c, key))
	}
	require.Equal(t, lengths["TWICE"], lengths["OFTEN"])
}

func TestAReceiverThatAnswersSlowlyHoldsUpNobodyElsesAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), patient)
	api := w.run(t).Client
	w.standard.Default(simulator.Reply{Delay: slow})
	w.core.SetStatus("120", "done")
	closed(t, api, start(t, api, entry("120")))

	w.core.SetStatus("121", "waiting_funds")
	key := start(t, api, entry("121"))
	underWay(t, w.standard, "121", 1)
	require.NotNil(t, pendingDelivery(t, w.temporalClient(t), key), "rung by an activity, not in a workflow task")
	asked := time.Now()
	state, err := api.Revoke(t.Context(), key, "user", "")
	require.NoError(t, err)
	require.Less(t, time.Since(asked), slow, "the answer does not wait for the receiver")
	require.Equal(t, "revoked", state.Status.Value)

	state = closed(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	received := w.standard.Received("121")
	require.Len(t, received, 2, "what was in flight, then revoked")
	require.False(t, received[1].Overlaps, "callbacks of one operation never overtake each other")
	require.Equal(t, operation.DeliveryAcknowledged, state.Deliveries[0].Outcome, "an attempt in flight is never cut off")
}

func TestAStartThatItsClientGivesUpRingsAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
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
		got := rung(t, w.standard, id, 1)
		state := closed(t, api, entry(id).Key())
		require.Less(t, got[0].At.Sub(state.Status.ObservedAt.Time), time.Second, "no workflow task was stranded")
		require.Zero(t, count(history(t, w.temporalClient(t), entry(id).Key()), enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT))
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
	w := newWorld(t, sharedEngine(t), waitsOnServer)
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	worker := w.worker(t)
	for _, id := range []string{"140", "141", "142"} {
		w.core.SetStatus(id, "done")
	}
	w.standard.Script("141", failing(http.StatusServiceUnavailable))
	ended := start(t, api, entry("140"))
	closed(t, api, ended)
	open := start(t, api, entry("141"))
	c := w.temporalClient(t)
	require.Eventually(t, func() bool {
		return pendingDelivery(t, c, open).GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
	}, patience, 20*time.Millisecond)
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

// A run's first workflow task may wait for a worker, or be lost with one: what was
// said to the run meanwhile is older than what its first poll sees.
func TestWhatIsSaidBeforeTheFirstPollIsHeardFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
	w.ringsEvery(t, "{interval: 100ms, lifetime: 1m}")
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

	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, pushed).Outcome)
	require.Equal(t, []string{"reserved", "done"}, statuses(w.standard.Received("145")))
	require.Equal(t, "revoked", closed(t, api, revoked).Status.Value)
	require.Equal(t, []string{"revoked"}, statuses(w.standard.Received("146")))
	require.Equal(t, operation.OutcomeWithdrawn, closed(t, api, withdrawn).Outcome)
	require.Empty(t, w.core.Questions("147"), "nobody wants to know")
}

// What no worker took as an Update is said by Signal. An Update after it may come
// to the run in the same workflow task, in which the SDK lets Updates go first.
func TestWhatIsSaidBySignalIsHeardBeforeALaterUpdate(t *testing.T) {
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
			w := newWorld(t, sharedEngine(t), quick)
			w.ringsEvery(t, "{interval: 1h, lifetime: 2h}")
			_, api := w.api(t, "127.0.0.1:0", "-worker=false")
			first := w.worker(t)
			key := operation.StartRequest{Endpoint: "EVERY", OperationID: "148"}.Key()
			w.core.SetStatus("148", "new")
			start(t, api, operation.StartRequest{Endpoint: "EVERY", OperationID: "148"})
			awaits(t, api, key, func(s operation.State) bool { return s.Polls > 0 })
			stop(t, first)

			// The API says it so after 3 s; its Update is gone where the server restarts then.
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
			for _, d := range closed(t, api, key).Deliveries {
				owed = append(owed, d.Status)
			}
			require.Equal(t, tt.owed, owed)
		})
	}
}

func TestAnUpdateThatIsSentAgainIsAnsweredAlsoAfterTheRunClosedByIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
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
		require.Equal(t, "done", closed(t, api, key).Status.Value)
	}
	require.Len(t, w.standard.Received("151"), 1)
}

// ringsEvery adds an endpoint EVERY, which is rung about each status.
func (w *world) ringsEvery(t *testing.T, poll string) {
	t.Helper()
	w.writeConfig(t, quick, []string{"EVERY: {dialect: standard, source: wallet, url: " + strconv.Quote(w.standard.URL()+"/hooks") +
		", supersede: every, poll: " + poll + ", delivery: {interval: 50ms, attempts: 4, timeout: 5s}}"})
}

func statuses(received []simulator.Received) (all []string) {
	for _, r := range received {
		all = append(all, r.Status)
	}
	return all
}

func TestALongWaitGivesItsSlotBackAndShowsHAndK(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), waitsOnServer)
	api := w.run(t).Client
	w.core.SetStatus("150", "done")
	w.standard.Script("150", failing(http.StatusServiceUnavailable))
	key := start(t, api, entry("150"))
	c := w.temporalClient(t)
	require.Eventually(t, func() bool {
		return pendingDelivery(t, c, key).GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
	}, patience, 20*time.Millisecond)
	policy := pendingDelivery(t, c, key).GetActivityOptions().GetRetryPolicy()
	require.Equal(t, serverInterval, policy.GetInitialInterval().AsDuration())
	require.InDelta(t, 1, policy.GetBackoffCoefficient(), 0)
	require.EqualValues(t, 4, policy.GetMaximumAttempts())
	withdraw(t, api, key)
	require.Equal(t, operation.OutcomeWithdrawn, closed(t, api, key).Outcome)
}

func TestWhatIsSaidDuringAnAttemptInAWorkflowTaskRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), patient)
	api := w.run(t).Client
	for name, say := range map[string]func(operation.Key) error{
		"190": func(key operation.Key) error { return api.Push(t.Context(), key, "done") },
		"191": func(key operation.Key) error { _, err := api.Withdraw(t.Context(), key); return err },
		"192": func(key operation.Key) error { _, err := api.Revoke(t.Context(), key, "user", ""); return err },
	} {
		w.core.SetStatus("warm"+name, "done")
		closed(t, api, start(t, api, entry("warm"+name)))
		w.core.SetStatus(name, "done")
		w.standard.Script(name, simulator.Reply{Delay: 900 * time.Millisecond})
		key := start(t, api, entry(name))
		underWay(t, w.standard, name, 1)
		require.Nil(t, pendingDelivery(t, w.temporalClient(t), key), "the attempt is made inside the workflow task")
		if err := say(key); err != nil {
			require.Equal(t, http.StatusConflict, apiclient.Status(err), "closed meanwhile: %v", err)
		}
		state := closed(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Len(t, state.Deliveries, 1)
		require.Len(t, w.standard.Received(name), 1, "nothing was sent twice")
	}
}

func TestWhatIsSaidDuringALongAttemptInAWorkflowTaskWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), patient)
	api := w.run(t).Client
	for _, id := range []string{"warm", "195"} {
		w.core.SetStatus(id, "done")
	}
	closed(t, api, start(t, api, entry("warm")))
	// A Signal, which follows an Update that no worker took within 3 s, would make
	// the run forget the attempt.
	w.standard.Script("195", simulator.Reply{Delay: 4500 * time.Millisecond})
	key := start(t, api, entry("195"))
	underWay(t, w.standard, "195", 1)
	require.Nil(t, pendingDelivery(t, w.temporalClient(t), key), "the attempt is made inside the workflow task")
	withdraw(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, key).Outcome)
	require.Len(t, w.standard.Received("195"), 1, "nothing was sent twice")
}

func TestAWithdrawalCutsNothingOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), waitsOnServer)
	api := w.run(t).Client
	for _, id := range []string{"160", "161", "162"} {
		w.core.SetStatus(id, "done")
	}
	t.Run("an attempt in flight that is acknowledged is the outcome", func(t *testing.T) {
		w.standard.Script("160", failing(http.StatusServiceUnavailable), simulator.Reply{Delay: slow})
		key := start(t, api, entry("160"))
		underWay(t, w.standard, "160", 2)
		withdraw(t, api, key)
		state := closed(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
		require.Equal(t, "unacknowledged acknowledged", verdicts(state.Deliveries[0]))
	})
	t.Run("one in flight inside a workflow task, too", func(t *testing.T) {
		w.standard.Script("161", simulator.Reply{Delay: slow})
		key := start(t, api, entry("161"))
		underWay(t, w.standard, "161", 1)
		withdraw(t, api, key)
		require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, key).Outcome)
	})
	t.Run("what waits for its next attempt is rung no more, and its attempts stay on record", func(t *testing.T) {
		w.standard.Script("162", failing(http.StatusServiceUnavailable))
		key := start(t, api, entry("162"))
		c := w.temporalClient(t)
		require.Eventually(t, func() bool {
			return pendingDelivery(t, c, key).GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
		}, patience, 20*time.Millisecond)
		withdraw(t, api, key)
		state := closed(t, api, key)
		require.Equal(t, operation.OutcomeWithdrawn, state.Outcome)
		require.Equal(t, "unacknowledged", verdicts(state.Deliveries[0]))
		require.Equal(t, operation.ReasonWithdrawn, state.Deliveries[0].Reason)
		require.Len(t, w.standard.Received("162"), 1)
	})
}
