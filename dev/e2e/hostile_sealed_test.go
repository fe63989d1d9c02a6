package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/workflows"
)

// activityWithoutInput schedules a bulk redelivery's activity with no input, from a
// workflow of somebody who reaches Temporal, and says why it failed.
func (w *environment) activityWithoutInput(t *testing.T) string {
	t.Helper()
	c := w.temporalClient(t)
	evil := worker.New(c.Client, "evil", worker.Options{})
	evil.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue: workflows.TaskQueue, StartToCloseTimeout: 10 * time.Second, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		})
		return workflow.ExecuteActivity(ctx, workflows.ActivityRedeliverPage).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "Evil"})
	require.NoError(t, evil.Start())
	defer evil.Stop()
	key := operation.Key{Endpoint: "EVIL", OperationID: "1"}
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: key.WorkflowID(), TaskQueue: "evil"}, "Evil")
	require.NoError(t, err)
	require.Error(t, run.Get(t.Context(), nil))
	for _, event := range history(t, c, key) {
		if event.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED {
			return codec.NewFailureConverter(codecWithA(t)).FailureToError(event.GetActivityTaskFailedEventAttributes().GetFailure()).Error()
		}
	}
	return "the activity did not fail"
}

// sealedByTheCodec is what the API's codec seals for a workflow.
func (w *environment) sealedByTheCodec(t *testing.T, base string, key operation.Key, input any) converter.RawValue {
	t.Helper()
	plain, err := converter.GetDefaultDataConverter().ToPayload(input)
	require.NoError(t, err)
	sealed, err := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: base + "/codec",
		ModifyRequest: func(r *http.Request) error {
			r.Header.Set("X-Namespace", w.temporal.namespace)
			r.Header.Set("X-Workflow-Id", key.WorkflowID())
			return nil
		},
	}).Encode([]*commonpb.Payload{plain})
	require.NoError(t, err)
	return converter.NewRawValue(sealed[0])
}

// saidToBeSealed is what somebody without a key can send to a run.
func (w *environment) saidToBeSealed(key operation.Key, keyID string) converter.RawValue {
	return converter.NewRawValue(&commonpb.Payload{Data: []byte("garbage"), Metadata: map[string][]byte{
		converter.MetadataEncoding: []byte(codec.Encoding), codec.MetadataKeyID: []byte(keyID),
		codec.MetadataNamespace: []byte(w.temporal.namespace), codec.MetadataWorkflowID: []byte(key.WorkflowID()),
	}})
}
