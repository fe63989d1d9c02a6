package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"ringback/dev/simulator"
	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/workflows"
)

// TestNoticesReachTheOperatorsEndpoint: each notice reaches its endpoint,
// signed, once, and survives a receiver that fails at first.
func TestNoticesReachTheOperatorsEndpoint(t *testing.T) {
	t.Parallel()
	operators, shop := receiver(t, "standard"), receiver(t, "standard")
	w := newEnvironment(t, sharedServer(t), quick,
		endpointAt(shop, "SHOP", "{interval: 100ms, lifetime: 1m}", "{interval: 50ms, attempts: 4}"),
		fmt.Sprintf(`OPERATORS: {dialect: standard, url: %q, delivery: {interval: 50ms, attempts: 5}, signing: {secrets: ["${env:E2E_SIGNING_SECRET}"]}}`, operators.URL()))
	w.appendConfig(t, "notices: {endpoint: OPERATORS, failing_after: 6}")
	api := w.run(t).Client
	c := w.temporalClient(t)
	unavailable := failing(http.StatusServiceUnavailable)

	w.core.SetStatus("301", "done")
	shop.Script("301", unavailable)
	operators.Script("301", unavailable, unavailable, simulator.Acknowledge)
	state := awaitClosed(t, api, start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "301"}))
	require.Equal(t, operation.OutcomeExhausted, state.Outcome)
	exhausted := awaitCallbacks(t, operators, "301", 3)
	for _, got := range exhausted {
		require.Equal(t, exhausted[0].CallbackID, got.CallbackID, "one notice has one id")
		require.Equal(t, exhausted[0].Body, got.Body)
		verified(t, got)
	}
	n := notice(t, exhausted[0])
	require.Equal(t, operation.Notice{Type: operation.NoticeExhausted, Timestamp: n.Timestamp, Data: operation.NoticeData{
		Endpoint: "SHOP", OperationID: "301", CallbackID: state.Deliveries[0].CallbackID, Status: "done",
		Attempts: 4, Reason: "HTTP 503 is not 2xx", Host: operation.HostPort(shop.URL()), RunID: state.RunID,
	}}, n)

	w.core.SetStatus("302", "done")
	shop.Script("302", failing(http.StatusGone))
	awaitClosed(t, api, start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "302"}))
	got := awaitCallbacks(t, operators, "302", 1)[0]
	verified(t, got)
	require.Equal(t, operation.NoticeGone, notice(t, got).Type)

	// Five attempts in a row were not acknowledged: one more makes it failing.
	w.core.SetStatus("303", "done")
	shop.Script("303", unavailable)
	awaitClosed(t, api, start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "303"}))
	failingNotice := awaitCallbacks(t, operators, "", 6)
	open := executionOf(t, c, workflows.OutageID("SHOP"))
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, open, "an outage is open as long as it lasts")
	w.core.SetStatus("304", "done")
	awaitClosed(t, api, start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: "304"}))
	require.Eventually(t, func() bool {
		return executionOf(t, c, workflows.OutageID("SHOP")) == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}, patience, 20*time.Millisecond)
	var types []string
	for _, got := range operators.Received("") {
		if n := notice(t, got); n.Data.OperationID == "" {
			verified(t, got)
			require.Equal(t, "SHOP", n.Data.Endpoint)
			types = append(types, n.Type)
		}
	}
	require.Equal(t, []string{operation.NoticeFailing, operation.NoticeRecovered}, types)
	require.NotEmpty(t, failingNotice)
}

// TestAFailedNoticeCausesNoOtherNotice: it fails where operators see it.
func TestAFailedNoticeCausesNoOtherNotice(t *testing.T) {
	t.Parallel()
	operators := receiver(t, "standard")
	operators.Default(failing(http.StatusServiceUnavailable))
	w := newEnvironment(t, sharedServer(t), quick,
		fmt.Sprintf(`OPERATORS: {dialect: standard, url: %q, delivery: {interval: 50ms, attempts: 5}}`, operators.URL()))
	w.appendConfig(t, "notices: {endpoint: OPERATORS, failing_after: 3}")
	api := w.run(t).Client
	c := w.temporalClient(t)
	w.core.SetStatus("311", "done")
	w.standard.Script("311", failing(http.StatusGone))
	state := awaitClosed(t, api, start(t, api, entry("311")))
	id := workflows.NoticeID(state.Deliveries[0].CallbackID, state.RunID)
	require.Eventually(t, func() bool { return executionOf(t, c, id) == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED }, patience, 20*time.Millisecond)
	require.Len(t, operators.Received(""), 5, "k of the notices' endpoint")
	_, err := c.DescribeWorkflowExecution(t.Context(), workflows.OutageID("OPERATORS"), "")
	require.Error(t, err, "it may fail as long as it likes")
	_, err = c.DescribeWorkflowExecution(t.Context(), workflows.OutageID(ledger), "")
	require.Error(t, err, "one attempt is no outage")
}

func notice(t *testing.T, got simulator.Received) operation.Notice {
	t.Helper()
	var n operation.Notice
	require.NoError(t, json.Unmarshal(got.Body, &n), "%s", got.Body)
	return n
}

// verified says that the message is signed with the endpoint's secret.
func verified(t *testing.T, got simulator.Received) {
	t.Helper()
	seconds, err := strconv.ParseInt(got.Header.Get("webhook-timestamp"), 10, 64)
	require.NoError(t, err)
	signer, err := dialect.NewSigner([]string{signingSecret})
	require.NoError(t, err)
	want, err := signer.Headers(dialect.Outgoing{ID: got.CallbackID, At: time.Unix(seconds, 0), Body: got.Body})
	require.NoError(t, err)
	for name, values := range want {
		require.Equal(t, values, got.Header.Values(name))
	}
}

func executionOf(t *testing.T, c client.Client, id string) enumspb.WorkflowExecutionStatus {
	t.Helper()
	description, err := c.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		return enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED
	}
	return description.GetWorkflowExecutionInfo().GetStatus()
}
