package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// TestOperatorActionsOnADelivery tries what the Temporal UI and CLI offer for
// a delivery that waits (docs/operations/ui.md): h and k hold, or are what the
// operator edited them to.
func TestOperatorActionsOnADelivery(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), waitsOnServer)
	api := w.run(t).Client
	c := w.temporalClient(t)
	cases := map[string]struct {
		id       string
		act      func(*testing.T, temporalClient, operation.Key)
		attempts int
		// gap is the least from the first attempt to the second, h from then on.
		gap, h time.Duration
	}{
		"paused, it makes no attempt; unpaused, it goes on with what is left of k": {"170", pauseFor(8 * time.Second), 4, 8 * time.Second, serverInterval},
		"an edited interval is h from the next run on":                             {"171", editInterval(2 * time.Second), 4, 2 * time.Second, 2 * time.Second},
		"an edited number of attempts is k from the next run on":                   {"172", editAttempts(2), 2, serverInterval, serverInterval},
		"a reset changes neither h nor k, since the recorded attempts count":       {"173", reset, 4, serverInterval, serverInterval},
	}
	t.Run("deliveries", func(t *testing.T) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w.core.SetStatus(tc.id, "done")
				w.standard.Script(tc.id, failing(http.StatusServiceUnavailable))
				key := start(t, api, entry(tc.id))
				awaitPending(t, c, key, "Deliver")
				tc.act(t, c, key)
				state := awaitClosed(t, api, key)
				require.Equal(t, operation.OutcomeExhausted, state.Outcome)
				require.Len(t, state.Deliveries[0].Attempts, tc.attempts)
				requireNumbered(t, state.Deliveries[0].Attempts, 1)
				received := w.standard.Received(tc.id)
				require.Len(t, received, tc.attempts)
				require.GreaterOrEqual(t, received[1].Gap, tc.gap)
				for _, got := range received[2:] {
					require.GreaterOrEqual(t, got.Gap, tc.h)
					require.Less(t, got.Gap, tc.h+time.Second)
				}
			})
		}
	})
}

// awaitPending waits until an activity waits on the server.
func awaitPending(t *testing.T, c temporalClient, key operation.Key, kind string) {
	t.Helper()
	require.Eventually(t, func() bool {
		description, err := c.DescribeWorkflowExecution(t.Context(), key.WorkflowID(), "")
		return err == nil && slices.ContainsFunc(description.GetPendingActivities(), func(p *workflowpb.PendingActivityInfo) bool {
			return p.GetActivityType().GetName() == kind && p.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && p.GetAttempt() > 1
		})
	}, patience, 20*time.Millisecond)
}

func execution(key operation.Key) *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: key.WorkflowID()}
}

// pauseActivity pauses an activity of a workflow, as the UI's button does.
func pauseActivity(t *testing.T, c temporalClient, workflowID, kind string) {
	t.Helper()
	_, err := c.WorkflowService().PauseActivity(t.Context(), &workflowservice.PauseActivityRequest{
		Namespace: c.namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, Identity: "operator",
		Activity: &workflowservice.PauseActivityRequest_Type{Type: kind},
	})
	require.NoError(t, err)
}

func unpauseActivity(t *testing.T, c temporalClient, workflowID, kind string) {
	t.Helper()
	_, err := c.WorkflowService().UnpauseActivity(t.Context(), &workflowservice.UnpauseActivityRequest{
		Namespace: c.namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, Identity: "operator",
		Activity: &workflowservice.UnpauseActivityRequest_Type{Type: kind},
	})
	require.NoError(t, err)
}

func pauseFor(d time.Duration) func(*testing.T, temporalClient, operation.Key) {
	return func(t *testing.T, c temporalClient, key operation.Key) {
		t.Helper()
		pauseActivity(t, c, key.WorkflowID(), "Deliver")
		time.Sleep(d)
		unpauseActivity(t, c, key.WorkflowID(), "Deliver")
	}
}

func editInterval(h time.Duration) func(*testing.T, temporalClient, operation.Key) {
	return edit(&commonpb.RetryPolicy{InitialInterval: durationpb.New(h), MaximumInterval: durationpb.New(h)},
		"retry_policy.initial_interval", "retry_policy.maximum_interval")
}

func editAttempts(k int32) func(*testing.T, temporalClient, operation.Key) {
	return edit(&commonpb.RetryPolicy{MaximumAttempts: k}, "retry_policy.maximum_attempts")
}

func edit(policy *commonpb.RetryPolicy, paths ...string) func(*testing.T, temporalClient, operation.Key) {
	return func(t *testing.T, c temporalClient, key operation.Key) {
		t.Helper()
		_, err := c.WorkflowService().UpdateActivityOptions(t.Context(), &workflowservice.UpdateActivityOptionsRequest{
			Namespace: c.namespace, Execution: execution(key), Identity: "operator",
			Activity:        &workflowservice.UpdateActivityOptionsRequest_Type{Type: "Deliver"},
			ActivityOptions: &activitypb.ActivityOptions{RetryPolicy: policy},
			UpdateMask:      &fieldmaskpb.FieldMask{Paths: paths},
		})
		require.NoError(t, err)
	}
}

func reset(t *testing.T, c temporalClient, key operation.Key) {
	t.Helper()
	_, err := c.WorkflowService().ResetActivity(t.Context(), &workflowservice.ResetActivityRequest{
		Namespace: c.namespace, Execution: execution(key), Identity: "operator",
		Activity: &workflowservice.ResetActivityRequest_Type{Type: "Deliver"},
	})
	require.NoError(t, err)
}

func TestOperatorActionsOnARun(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	books := receiver(t, "standard")
	w := newEnvironment(t, sharedServer(t), waitsOnServer, endpointAt(books, "SELDOM", "{schedule: [1s, 15s], lifetime: 1h}", "{interval: 6s, attempts: 4}"))
	api := w.run(t).Client
	c := w.temporalClient(t)

	t.Run("runs", func(t *testing.T) {
		t.Run("a cancellation is a withdrawal", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("180", "reserved")
			w.standard.Script("180", failing(http.StatusServiceUnavailable))
			key := start(t, api, entry("180"))
			awaitPending(t, c, key, "Deliver")
			require.NoError(t, c.CancelWorkflow(t.Context(), key.WorkflowID(), ""))
			require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, key).Outcome)
		})
		t.Run("a terminated run is redelivered as the same callback, its attempt numbers going on", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("182", "done")
			unavailable := failing(http.StatusServiceUnavailable)
			w.standard.Script("182", unavailable, unavailable, simulator.Acknowledge)
			key := start(t, api, entry("182"))
			awaitCallbacks(t, w.standard, "182", 2)
			awaitPending(t, c, key, "Deliver")
			require.NoError(t, c.TerminateWorkflow(t.Context(), key.WorkflowID(), "", "by an operator"))
			state := awaitState(t, api, key, apiclient.Closed)
			require.Equal(t, operation.OutcomeTerminated, state.Outcome)
			require.Len(t, state.Deliveries[0].Attempts, 2, "also those that only the activity knew of")
			_, err := api.Redeliver(t.Context(), key, operation.RedeliveryRequest{Reason: "terminated by mistake"})
			require.NoError(t, err)
			state = awaitState(t, api, key, func(s operation.State) bool { return s.Outcome == operation.OutcomeAcknowledged })
			received := w.standard.Received("182")
			require.Len(t, received, 3)
			require.Equal(t, received[0].CallbackID, received[2].CallbackID)
			requireNumbered(t, state.Deliveries[len(state.Deliveries)-1].Attempts, 1)
			require.Len(t, state.Deliveries[len(state.Deliveries)-1].Attempts, 3)
		})
		t.Run("a run that is terminated during an attempt counts it, and a redelivery goes on from there", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("183", "done")
			w.standard.Script("183", failing(http.StatusServiceUnavailable),
				simulator.Reply{HTTPStatus: http.StatusServiceUnavailable, Delay: 3 * time.Second}, simulator.Acknowledge)
			key := start(t, api, entry("183"))
			awaitInFlight(t, w.standard, "183", 2)
			require.NoError(t, c.TerminateWorkflow(t.Context(), key.WorkflowID(), "", "by an operator"))
			state := awaitState(t, api, key, apiclient.Closed)
			require.Equal(t, "unacknowledged unacknowledged", verdicts(state.Deliveries[0]))
			require.Contains(t, state.Deliveries[0].Attempts[1].Reason, "terminated while the attempt was on its way")
			awaitCallbacks(t, w.standard, "183", 2)
			_, err := api.Redeliver(t.Context(), key, operation.RedeliveryRequest{})
			require.NoError(t, err)
			state = awaitState(t, api, key, func(s operation.State) bool { return s.Outcome == operation.OutcomeAcknowledged })
			requireNumbered(t, state.Deliveries[len(state.Deliveries)-1].Attempts, 1)
			require.Len(t, w.standard.Received("183"), 3)
		})
		t.Run("a workflow reset of a failed run delivers again under the same callback id, and the UI shows why", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("184", "done")
			w.standard.Script("184", failing(http.StatusGone), simulator.Acknowledge)
			key := start(t, api, entry("184"))
			state := awaitClosed(t, api, key)
			require.Equal(t, operation.OutcomeGone, state.Outcome)
			_, err := c.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
				Namespace: c.namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: key.WorkflowID(), RunId: state.RunID},
				Reason: "by an operator", RequestId: "184", WorkflowTaskFinishEventId: 4,
			})
			require.NoError(t, err)
			again := awaitState(t, api, key, func(s operation.State) bool { return s.Outcome == operation.OutcomeAcknowledged })
			received := w.standard.Received("184")
			require.Len(t, received, 2)
			require.Equal(t, received[0].CallbackID, received[1].CallbackID, "by which the receiver knows it")
			require.Contains(t, details(t, c, key), "reset of [another run](/namespaces/"+c.namespace+"/workflows/LEDGER%2F184/"+state.RunID)
			require.NotEqual(t, state.RunID, again.RunID)
		})
		t.Run("a watch that is paused polls no more; unpaused, it goes on", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("186", "processing")
			key := start(t, api, operation.StartRequest{Endpoint: "SELDOM", OperationID: "186"})
			require.Eventually(t, func() bool { return len(w.core.Questions("186")) == 2 }, patience, 20*time.Millisecond)
			pauseActivity(t, c, key.WorkflowID(), "Watch")
			w.core.SetStatus("186", "done")
			time.Sleep(17 * time.Second)
			require.Len(t, w.core.Questions("186"), 2)
			require.Empty(t, books.Received("186"))
			unpauseActivity(t, c, key.WorkflowID(), "Watch")
			require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
			require.Len(t, books.Received("186"), 1)
		})
		t.Run("a deleted operation is forgotten, and begins anew", func(t *testing.T) {
			t.Parallel()
			w.core.SetStatus("187", "done")
			key := start(t, api, entry("187"))
			awaitClosed(t, api, key)
			_, err := c.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
				Namespace: c.namespace, WorkflowExecution: execution(key),
			})
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				_, err := api.State(t.Context(), key)
				return err != nil && strings.Contains(err.Error(), "404")
			}, patience, 50*time.Millisecond)
			start(t, api, entry("187"))
			awaitClosed(t, api, key)
			received := w.standard.Received("187")
			require.Len(t, received, 2)
			require.Equal(t, received[0].CallbackID, received[1].CallbackID)
		})
	})
}

// details are what the Temporal UI shows as a run's current details.
func details(t *testing.T, c temporalClient, key operation.Key) string {
	t.Helper()
	value, err := c.QueryWorkflow(t.Context(), key.WorkflowID(), "", "__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(t, value.Get(&metadata))
	return metadata.GetCurrentDetails()
}
