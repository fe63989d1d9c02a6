package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/workflows"
)

// shown are texts of callers, and what the Temporal UI makes of them as Markdown.
func (h *hostileEnvironment) shown() []hostile {
	details := func(id string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			unavailable := respond(http.StatusServiceUnavailable, "")
			h.fakeServers.script(toReceiver, id, unavailable, unavailable, unavailable)
			key := start(t, h.Client, order(id, "payment"))
			require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, h.Client, key).Outcome)
			value, err := h.temporalClient(t).QueryWorkflow(t.Context(), key.WorkflowID(), "", "__temporal_workflow_metadata")
			require.NoError(t, err)
			var metadata sdkpb.WorkflowMetadata
			require.NoError(t, value.Get(&metadata))
			_, advice, found := strings.Cut(metadata.GetCurrentDetails(), "Redeliver once the cause is fixed")
			require.True(t, found)
			require.NotContains(t, advice, "touch PWNED")
			return advice
		}
	}
	summary := func(reason string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			// Nothing of IDLE has been exhausted, so that nothing is redelivered.
			begun, err := h.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{
				Filter: operation.Filter{Endpoint: idle, Outcome: operation.OutcomeExhausted, Since: operation.At(time.Now().Add(-time.Hour))}, Reason: reason,
			})
			if err != nil {
				return err.Error()
			}
			found, err := h.temporalClient(t).DescribeWorkflowExecution(t.Context(), workflows.BulkRedeliveryWorkflowID(begun.ID), "")
			require.NoError(t, err)
			var text string
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(found.GetExecutionConfig().GetUserMetadata().GetSummary(), &text))
			return text
		}
	}
	return []hostile{
		{input: "an order number that is a shell's command", want: "No command is shown", try: details("x`;touch PWNED1;`")},
		{input: "an order number that is quoted for a shell", want: "No command is shown", try: details("';touch PWNED2;'")},
		{input: "a plain order number", want: "`starter redeliver ECOM_GOLD_BANK A2C-PLAIN --reason REASON`", try: details("A2C-PLAIN")},
		{input: "a reason that is a link", want: ": `[Approve](https://evil.example)`", try: summary("[Approve](https://evil.example)")},
		{input: "a reason that turns the writing direction", want: "turns the writing direction", try: summary("x\u202Eeruces y")},
	}
}

// sealed are runs and Signals of somebody who reaches Temporal and has no key, where
// Ringback has one.
func (h *hostileEnvironment) sealed(t *testing.T) []hostile {
	t.Helper()
	w := newEnvironment(t, sharedServer(t), quick)
	w.useCodec(t, onlyA)
	api := w.run(t).Client
	for _, id := range []string{"3101", "3102", "3103", "3104", "3107"} {
		w.core.SetStatus(id, "new")
	}
	known := start(t, api, entry("3101"))
	awaitState(t, api, known, observed)
	input := workflows.Input{
		Start: entry("3102"), Source: "wallet", Dialect: "standard",
		Policy: operation.Policy{
			Poll:     operation.PollPolicy{IntervalMS: 100, LifetimeMS: 60_000},
			Delivery: operation.DeliveryPolicy{IntervalMS: 100, Attempts: 1, TimeoutMS: 1000},
		},
	}
	// started says why the workflow task of a run with that input fails.
	started := func(id string, input func(*testing.T, temporalClient) any) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			c := w.temporalClient(t)
			w.core.SetStatus(id, "done")
			key := operation.Key{Endpoint: ledger, OperationID: id}
			_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: key.WorkflowID(), TaskQueue: workflows.TaskQueue}, workflows.OperationType, input(t, c))
			require.NoError(t, err)
			why := ""
			require.Eventually(t, func() bool {
				for _, event := range history(t, c, key) {
					if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED {
						why = codec.NewFailureConverter(codecWithA(t)).FailureToError(event.GetWorkflowTaskFailedEventAttributes().GetFailure()).Error()
					}
				}
				return why != ""
			}, patience, 50*time.Millisecond)
			require.Empty(t, w.standard.Received(id), "nothing is delivered")
			require.NoError(t, c.TerminateWorkflow(t.Context(), key.WorkflowID(), "", "hostile"))
			return why
		}
	}
	// signalled says what becomes of a Signal with that input.
	signalled := func(id string, input func(operation.Key) any) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			w.core.SetStatus(id, "new")
			key := start(t, api, entry(id))
			awaitState(t, api, key, observed)
			c := w.temporalClient(t)
			require.NoError(t, c.SignalWorkflow(t.Context(), key.WorkflowID(), "", workflows.SignalStatus, input(key)))
			require.Eventually(t, func() bool {
				_, err := c.QueryWorkflow(t.Context(), key.WorkflowID(), "", workflows.QueryState)
				return err == nil
			}, patience, 50*time.Millisecond)
			state, err := api.State(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, "new", state.Status.Value)
			w.core.SetStatus(id, "done")
			require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome, "the run goes on")
			return "ignored"
		}
	}
	return []hostile{
		{input: "a run with a plain input", want: "it is not sealed, and codec.migrating is not true",
			try: started("3102", func(*testing.T, temporalClient) any { return input })},
		{input: "a run with another run's sealed input", want: fmt.Sprintf("it was sealed for the workflow %q", known.WorkflowID()),
			try: started("3103", func(t *testing.T, c temporalClient) any {
				t.Helper()
				return converter.NewRawValue(inputOf(t, c, known))
			})},
		{input: "a run with another run's sealed input that says it is its own", want: "or the payload was changed",
			try: started("3104", func(t *testing.T, c temporalClient) any {
				t.Helper()
				stolen := inputOf(t, c, known)
				stolen.Metadata[codec.MetadataWorkflowID] = []byte(ledger + "/3104")
				return converter.NewRawValue(stolen)
			})},
		{input: "a run with an input that the codec server sealed", want: "which seals Signals and Updates alone",
			try: started("3107", func(t *testing.T, _ temporalClient) any {
				t.Helper()
				own := input
				own.Start = entry("3107")
				return w.sealedByTheCodec(t, api.Base, own.Start.Key(), own)
			})},
		{input: "an activity without an input", want: "there is none, where one sealed for", try: w.activityWithoutInput},
		{input: "a plain Signal with a final status", want: "ignored", exactly: true,
			try: signalled("3105", func(operation.Key) any { return workflows.Push{Status: "done"} })},
		{input: "a Signal that says it is sealed with the key, and is not", want: "ignored", exactly: true,
			try: signalled("3108", func(key operation.Key) any { return w.saidToBeSealed(key, "a") })},
		{input: "a run whose id is not its input's", want: `the input is that of "LEDGER/3106", and this is "LEDGER/stolen"`, try: func(t *testing.T) string {
			t.Helper()
			// Without keys, too.
			run, err := h.temporalClient(t).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: ledger + "/stolen", TaskQueue: workflows.TaskQueue},
				workflows.OperationType, workflows.Input{Start: entry("3106"), Source: "wallet", Dialect: "standard", Policy: input.Policy})
			require.NoError(t, err)
			err = run.Get(t.Context(), nil)
			require.Error(t, err)
			require.Empty(t, h.fakeServers.receivedStatuses("3106"))
			return err.Error()
		}},
	}
}

// inputOf is the input of an operation's run, as Temporal keeps it.
func inputOf(t *testing.T, c temporalClient, key operation.Key) *commonpb.Payload {
	t.Helper()
	return history(t, c, key)[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
}

// codecWithA opens what was sealed with codecKeyA.
func codecWithA(t *testing.T) *codec.Codec {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(codecKeyA)
	require.NoError(t, err)
	c := &codec.Codec{}
	c.Use([]codec.Key{{ID: "a", Secret: [codec.KeyBytes]byte(secret)}}, false)
	return c
}
