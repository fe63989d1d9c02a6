package service

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/internal/operation"
	"ringback/workflows"
)

// runsServer is a Temporal server that knows the runs of one operation. Each
// but the latest is closed, acknowledged.
type runsServer struct {
	client.Client
	t    *testing.T
	runs []serverRun
}

type serverRun struct {
	id, requestID string
	status        enumspb.WorkflowExecutionStatus
	at            time.Time
	options       client.StartWorkflowOptions
	input         workflows.Input
}

func (l *runsServer) latest() *serverRun { return &l.runs[len(l.runs)-1] }

func (l *runsServer) begin(o client.StartWorkflowOptions, status enumspb.WorkflowExecutionStatus, requestID string, in workflows.Input) {
	id := fmt.Sprintf("run-%d", len(l.runs))
	l.runs = append(l.runs, serverRun{id: id, requestID: requestID, status: status, at: time.Now(), options: o, input: in})
}

// ExecuteWorkflow does as the server does: a start that it knows again by its
// request id is answered with the run that it began.
func (l *runsServer) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	id, _ := ctx.Value(requestIDKey{}).(string)
	switch latest := l.latest(); {
	case id != "" && latest.requestID == id:
	case isOpen(latest.status):
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("started", "", latest.id)
	default:
		l.begin(o, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, id, args[0].(workflows.Input))
	}
	return startedRun{id: l.latest().id}, nil
}

func (l *runsServer) DescribeWorkflowExecution(_ context.Context, _, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	for _, r := range l.runs {
		if r.id == runID || runID == "" && r.id == l.latest().id {
			return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{RunId: r.id}, Status: r.status, StartTime: timestamppb.New(r.at),
				Memo: memoOf(l.t, r.options.Memo),
			}}, nil
		}
	}
	return nil, serviceerror.NewNotFound("no")
}

func (l *runsServer) GetWorkflowHistory(context.Context, string, string, bool, enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return completedHistory{owes: true}
}

// QueryWorkflow closes the run that it answers for: its state is that of a
// closed one already.
func (l *runsServer) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(operation.State{Key: key, Phase: operation.Closed})
	l.latest().status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	return client.NewValue(payloads), err
}

type startedRun struct {
	client.WorkflowRun
	id string
}

func (r startedRun) GetRunID() string { return r.id }

var byForce = operation.RedeliveryRequest{Force: true}

// acknowledgedOnce is an operation whose first run was acknowledged.
func acknowledgedOnce(t *testing.T) *runsServer {
	t.Helper()
	l := &runsServer{t: t}
	start := transfer(func(*operation.StartRequest) {})
	l.begin(client.StartWorkflowOptions{Memo: map[string]any{workflows.MemoStart: start}},
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, "a start's own", workflows.Input{Start: start})
	return l
}

func TestAStateSaysWhenItsRunBeganAndEnded(t *testing.T) {
	t.Parallel()
	engine := acknowledgedOnce(t)
	state, err := serviceOn(engine).State(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, operation.At(engine.latest().at), *state.StartedAt)
	require.NotNil(t, state.ClosedAt)
}

func TestOneOfSeveralRedeliveriesAtOnceBeginsARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := acknowledgedOnce(t)
		s := serviceOn(engine)
		seen, err := s.describe(t.Context(), key)
		require.NoError(t, err)

		first, err := s.redeliverLatest(t.Context(), seen, byForce)
		require.NoError(t, err)
		require.Equal(t, "run-1", first.RunID)
		require.False(t, engine.latest().options.EnableEagerStart, "two would be given its first workflow task")
		_, err = s.redeliverLatest(t.Context(), seen, byForce)
		requireProblem(t, operation.ProblemNotRedeliverable, err)
		require.Len(t, engine.runs, 2, "although the first had closed when the second came")

		_, err = s.Redeliver(t.Context(), key, byForce)
		requireProblem(t, operation.ProblemNotRedeliverable, err)
		require.Len(t, engine.runs, 2, "a call a moment later is taken for the same one")

		time.Sleep(redeliveryPause)
		again, err := s.Redeliver(t.Context(), key, byForce)
		require.NoError(t, err)
		require.Equal(t, "run-2", again.RunID)
	})
}

func TestARedeliveryWaitsForARunThatIsAboutToClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := acknowledgedOnce(t)
		engine.latest().status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		state, err := serviceOn(engine).Redeliver(t.Context(), key, byForce)
		require.NoError(t, err)
		require.Equal(t, "run-1", state.RunID)
	})
}

func TestTheURLOfARedeliveryStaysForLaterOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := acknowledgedOnce(t)
		s := serviceOn(engine)
		const other = "https://b.example:8443/other?token=secret"
		state, err := s.Redeliver(t.Context(), key, operation.RedeliveryRequest{Force: true, Callback: operation.Target{URL: other}})
		require.NoError(t, err)
		require.Equal(t, other, engine.latest().input.Start.Callback.URL)
		require.Equal(t, "b.example:8443", state.Redelivery.Host, "the note shows where, without path and query")

		time.Sleep(redeliveryPause)
		state, err = s.Redeliver(t.Context(), key, byForce)
		require.NoError(t, err)
		require.Equal(t, other, engine.latest().input.Start.Callback.URL)
		require.Equal(t, "b.example:8443", state.Redelivery.Host)
		require.Equal(t, "b.example:8443", state.Host, "for the audit, although this call brought no URL")
		require.Equal(t, "b.example:8443", engine.latest().input.Redelivery.Host, "for the details in the UI")

		time.Sleep(redeliveryPause)
		_, err = s.Redeliver(t.Context(), key, byForce)
		require.NoError(t, err)
		require.Equal(t, other, engine.latest().input.Start.Callback.URL, "and for the one after")

		start, err := s.Started(t.Context(), key)
		require.NoError(t, err)
		time.Sleep(redeliveryPause)
		state, err = s.Redeliver(t.Context(), key, operation.RedeliveryRequest{Force: true, Callback: operation.Target{URL: start.Callback.URL}})
		require.NoError(t, err)
		require.Empty(t, state.Redelivery.Host, "back to the start's URL")
		require.Equal(t, operation.HostPort(start.Callback.URL), state.Host, "the audit names it, too")
		require.Equal(t, transfer(func(*operation.StartRequest) {}), start, "what it was started with stays, too")
	})
}

func TestARedeliveryGoesToAListedHostAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ listed, url, refused string }{
		"a listed host":                             {"shop.example", "https://shop.example/other", ""},
		"a host that is not listed":                 {"shop.example", "https://evil.example/", "has the host evil.example, which the endpoint's callback_hosts do not list"},
		"a start's host that is not listed anymore": {"pay.example", "", "has the host shop.example, which the endpoint's callback_hosts do not list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				engine := acknowledgedOnce(t)
				s := serviceOn(engine)
				s.Endpoint = func(string) (operation.Endpoint, bool) {
					return operation.Endpoint{Name: "SHOP", PerOperationURL: true, Hosts: operation.AllowedHosts{tt.listed}}, true
				}
				_, err := s.Redeliver(t.Context(), key, operation.RedeliveryRequest{Force: true, Callback: operation.Target{URL: tt.url}})
				if tt.refused == "" {
					require.NoError(t, err)
					return
				}
				requireProblem(t, operation.ProblemInvalid, err)
				var refused *operation.Error
				require.ErrorAs(t, err, &refused)
				require.Equal(t, []operation.FieldError{{Field: "callback.url", Detail: tt.refused}}, refused.Fields)
				require.Len(t, engine.runs, 1)
			})
		})
	}
}

func TestAStartCarriesTheRequestIDOfItsContext(t *testing.T) {
	t.Parallel()
	sent := func(ctx context.Context) string {
		request := &workflowservice.StartWorkflowExecutionRequest{RequestId: "the SDK's"}
		taken := ""
		err := setRequestID(ctx, "", request, nil, nil, func(_ context.Context, _ string, request, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			taken = request.(*workflowservice.StartWorkflowExecutionRequest).GetRequestId()
			return nil
		})
		require.NoError(t, err)
		return taken
	}
	require.Equal(t, "the SDK's", sent(t.Context()))
	require.Equal(t, "ours", sent(withRequestID(t.Context(), "ours")))
}
