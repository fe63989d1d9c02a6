package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"ringback/dev/apiclient"
	"ringback/dev/simulator"
	"ringback/internal/callback"
)

// TestWhatAnOperatorDoesToADelivery tries what the Temporal UI and CLI offer for
// a delivery that waits (docs/operations.md): h and k hold, or are what the
// operator edited them to.
func TestWhatAnOperatorDoesToADelivery(t *testing.T) {
	leavesNothing(t)
	w := newWorld(t, startEngine(t), waitsOnServer)
	api := w.run(t).Client
	c := w.temporalClient(t)
	cases := map[string]struct {
		id       string
		act      func(*testing.T, client.Client, callback.Key)
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
				awaitBackoff(t, c, key)
				tc.act(t, c, key)
				state := closed(t, api, key)
				require.Equal(t, callback.OutcomeExhausted, state.Outcome)
				require.Len(t, state.Deliveries[0].Attempts, tc.attempts)
				numbered(t, state.Deliveries[0].Attempts, 1)
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

func awaitBackoff(t *testing.T, c client.Client, key callback.Key) {
	t.Helper()
	require.Eventually(t, func() bool {
		return pendingDelivery(t, c, key).GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED
	}, patience, 20*time.Millisecond)
}

func execution(key callback.Key) *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: key.WorkflowID()}
}

func pauseFor(d time.Duration) func(*testing.T, client.Client, callback.Key) {
	return func(t *testing.T, c client.Client, key callback.Key) {
		t.Helper()
		_, err := c.WorkflowService().PauseActivity(t.Context(), &workflowservice.PauseActivityRequest{
			Namespace: namespace, Execution: execution(key), Identity: "operator",
			Activity: &workflowservice.PauseActivityRequest_Type{Type: "Deliver"},
		})
		require.NoError(t, err)
		time.Sleep(d)
		_, err = c.WorkflowService().UnpauseActivity(t.Context(), &workflowservice.UnpauseActivityRequest{
			Namespace: namespace, Execution: execution(key), Identity: "operator",
			Activity: &workflowservice.UnpauseActivityRequest_Type{Type: "Deliver"},
		})
		require.NoError(t, err)
	}
}

func editInterval(h time.Duration) func(*testing.T, client.Client, callback.Key) {
	return edit(&commonpb.RetryPolicy{InitialInterval: durationpb.New(h), MaximumInterval: durationpb.New(h)},
		"retry_policy.initial_interval", "retry_policy.maximum_interval")
}

func editAttempts(k int32) func(*testing.T, client.Client, callback.Key) {
	return edit(&commonpb.RetryPolicy{MaximumAttempts: k}, "retry_policy.maximum_attempts")
}

func edit(policy *commonpb.RetryPolicy, paths ...string) func(*testing.T, client.Client, callback.Key) {
	return func(t *testing.T, c client.Client, key callback.Key) {
		t.Helper()
		_, err := c.WorkflowService().UpdateActivityOptions(t.Context(), &workflowservice.UpdateActivityOptionsRequest{
			Namespace: namespace, Execution: execution(key), Identity: "operator",
			Activity:        &workflowservice.UpdateActivityOptionsRequest_Type{Type: "Deliver"},
			ActivityOptions: &activitypb.ActivityOptions{RetryPolicy: policy},
			UpdateMask:      &fieldmaskpb.FieldMask{Paths: paths},
		})
		require.NoError(t, err)
	}
}

func reset(t *testing.T, c client.Client, key callback.Key) {
	t.Helper()
	_, err := c.WorkflowService().ResetActivity(t.Context(), &workflowservice.ResetActivityRequest{
		Namespace: namespace, Execution: execution(key), Identity: "operator",
		Activity: &workflowservice.ResetActivityRequest_Type{Type: "Deliver"},
	})
	require.NoError(t, err)
}

func TestWhatAnOperatorDoesToARun(t *testing.T) {
	leavesNothing(t)
	w := newWorld(t, startEngine(t), waitsOnServer)
	api := w.run(t).Client
	c := w.temporalClient(t)

	t.Run("a cancellation is a withdrawal", func(t *testing.T) {
		w.core.SetStatus("180", "reserved")
		w.standard.Script("180", failing(http.StatusServiceUnavailable))
		key := start(t, api, entry("180"))
		awaitBackoff(t, c, key)
		require.NoError(t, c.CancelWorkflow(t.Context(), key.WorkflowID(), ""))
		require.Equal(t, callback.OutcomeWithdrawn, closed(t, api, key).Outcome)
	})
	t.Run("the Signal revoke is a revocation", func(t *testing.T) {
		w.core.SetStatus("181", "waiting_funds")
		key := start(t, api, entry("181"))
		rung(t, w.standard, "181", 1)
		require.NoError(t, c.SignalWorkflow(t.Context(), key.WorkflowID(), "", "revoke", callback.Revocation{InitiatedBy: "core"}))
		state := closed(t, api, key)
		require.Equal(t, "revoked", state.Status.Value)
		require.Equal(t, callback.OutcomeAcknowledged, state.Outcome)
		require.Equal(t, "revoked", w.standard.Received("181")[1].Status)
	})
	t.Run("a terminated run is redelivered as the same callback, its attempt numbers going on", func(t *testing.T) {
		w.core.SetStatus("182", "done")
		w.standard.Script("182", failing(http.StatusServiceUnavailable), simulator.Acknowledge)
		key := start(t, api, entry("182"))
		awaitBackoff(t, c, key)
		require.NoError(t, c.TerminateWorkflow(t.Context(), key.WorkflowID(), "", "by an operator"))
		state := awaits(t, api, key, apiclient.Closed)
		require.Equal(t, callback.OutcomeTerminated, state.Outcome)
		_, err := api.Redeliver(t.Context(), key, callback.RedeliveryRequest{Reason: "terminated by mistake"})
		require.NoError(t, err)
		state = awaits(t, api, key, func(s callback.State) bool { return s.Outcome == callback.OutcomeAcknowledged })
		received := w.standard.Received("182")
		require.Len(t, received, 2)
		require.Equal(t, received[0].CallbackID, received[1].CallbackID)
		attempts := state.Deliveries[len(state.Deliveries)-1].Attempts
		require.Equal(t, 2, attempts[len(attempts)-1].Number)
	})
}
