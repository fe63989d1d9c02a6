package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/workflows"
)

// newestRun is a Temporal client that knows one operation, or none.
type newestRun struct {
	client.Client
	start *commonpb.Payload
}

func (n newestRun) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	response := &workflowservice.ListWorkflowExecutionsResponse{}
	if n.start != nil {
		response.Executions = []*workflowpb.WorkflowExecutionInfo{{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "LEDGER/1"},
			Memo:      &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoStart: n.start}},
		}}
	}
	return response, nil
}

// startSealedBy is what an operation was started with, sealed by a key.
func startSealedBy(t *testing.T, key byte) *commonpb.Payload {
	t.Helper()
	c := &codec.Codec{}
	c.Use([]codec.Key{{ID: "a", Secret: [codec.KeyBytes]byte{key}}}, false)
	payload, err := codec.NewConverter(c).(converter.DataConverterWithSerializationContext).WithSerializationContext(
		converter.WorkflowSerializationContext{Namespace: "ns", WorkflowID: "LEDGER/1"}).ToPayload(operation.StartRequest{Endpoint: "LEDGER", OperationID: "1"})
	require.NoError(t, err)
	return payload
}

func TestABuildIsNotPromotedWhereItWouldNotWork(t *testing.T) {
	t.Parallel()
	answer := func(status int) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		return server
	}
	core, well, refuses := answer(http.StatusNotFound).URL, answer(http.StatusOK).URL, answer(http.StatusForbidden).URL
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	away := "http://" + closed.Addr().String()
	require.NoError(t, closed.Close())
	const text = `
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: [%q, %q]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: %q, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`
	for name, tt := range map[string]struct {
		cores      [2]string
		receiver   string
		ping       string
		newest     *commonpb.Payload
		then       string
		kind, says string
	}{
		"a build that works":                    {cores: [2]string{core, core}, receiver: well, ping: "LEDGER", newest: startSealedBy(t, 1)},
		"one without operations and a ping":     {cores: [2]string{core, core}, receiver: refuses},
		"one of a core's two addresses is away": {cores: [2]string{away, core}, receiver: well},
		"both are": {cores: [2]string{away, away}, receiver: well,
			kind: activities.TypeSourceFails, says: "dialling " + away + " of the source wallet"},
		"the endpoint refuses the test callback": {cores: [2]string{core, core}, receiver: refuses, ping: "LEDGER",
			kind: activities.TypeEndpointFails, says: "the endpoint LEDGER did not acknowledge a test callback: "},
		"the endpoint is not in the file": {cores: [2]string{core, core}, receiver: well, ping: "NOBODY",
			kind: activities.TypeEndpointFails, says: "is not registered; registered are LEDGER"},
		"the newest operation was sealed by another key": {cores: [2]string{core, core}, receiver: well, newest: startSealedBy(t, 2),
			kind: activities.TypeCodecFails, says: `opening a payload sealed with the key "a"`},
		"the file no longer loads": {cores: [2]string{core, core}, receiver: well, then: "nonsense: true",
			kind: activities.TypeConfigurationFails, says: "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := loaded(t, fmt.Sprintf(text, tt.cores[0], tt.cores[1], tt.receiver))
			p.config.codec.Use([]codec.Key{{ID: "a", Secret: [codec.KeyBytes]byte{1}}}, false)
			p.GatePing = tt.ping
			p.service.Client, p.service.Namespace, p.service.Converter = newestRun{start: tt.newest}, "ns", codec.NewConverter(&p.config.codec)
			p.service.EndpointNames = p.config.endpointNames
			if tt.then != "" {
				write(t, p.ConfigPath, tt.then)
			}
			err := (&activities.Activities{BuildChecks: p.buildChecks()}).CheckBuild(t.Context())
			if tt.kind == "" {
				require.NoError(t, err)
				return
			}
			var failed *temporal.ApplicationError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, tt.kind, failed.Type())
			require.Contains(t, failed.Message(), tt.says)
		})
	}
}
