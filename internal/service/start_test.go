package service

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
	"ringback/workflows"
)

// oneOperation is a Temporal client that knows one operation, open, by the memo of
// its run; the zero value knows none.
type oneOperation struct {
	client.Client
	memo  *commonpb.Memo
	err   error
	reads int
}

func (s *oneOperation) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	if s.memo == nil {
		return nil, serviceerror.NewNotFound("no")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{RunId: "first"}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Memo: s.memo,
	}}, nil
}

func (s *oneOperation) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("started before", "", "first")
}

func (s *oneOperation) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	return nil, serviceerror.NewUnavailable("no worker")
}

// memoOf is a run's memo, as the SDK writes it.
func memoOf(t *testing.T, fields map[string]any) *commonpb.Memo {
	t.Helper()
	memo := &commonpb.Memo{Fields: map[string]*commonpb.Payload{}}
	for name, value := range fields {
		payload, err := converter.GetDefaultDataConverter().ToPayload(value)
		require.NoError(t, err)
		memo.Fields[name] = payload
	}
	return memo
}

func TestARepeatedStartIsAnsweredAlsoOnceItsEndpointIsGone(t *testing.T) {
	t.Parallel()
	of := func(endpoint string, change func(*operation.StartRequest)) operation.StartRequest {
		return transfer(func(r *operation.StartRequest) { r.Endpoint = endpoint; change(r) })
	}
	same := func(*operation.StartRequest) {}
	for name, tc := range map[string]struct {
		before, again operation.StartRequest
		// problem is that of the answer; empty: the state of the operation.
		problem operation.Problem
		// unread says that Temporal is not called.
		unread bool
	}{
		"its endpoint was disabled":           {before: of("OFF", same), again: of("OFF", same)},
		"its endpoint was removed":            {before: of("GONE", same), again: of("GONE", same)},
		"its endpoint got a URL of its own":   {before: of("BANK", same), again: of("BANK", same)},
		"its statuses stand in another order": {before: of("OFF", statuses("done", "new")), again: of("OFF", statuses("new", "done", "new"))},
		"other content is refused as it is":   {before: of("OFF", same), again: of("OFF", statuses("done")), problem: operation.ProblemInvalid},
		"a new one is refused":                {again: of("OFF", same), problem: operation.ProblemInvalid},
		"a card number is not looked up":      {again: of("GONE", func(r *operation.StartRequest) { r.OperationID = cardNumber }), problem: operation.ProblemInvalid, unread: true},
		"nor is one in the order id":          {again: payment(func(r *operation.StartRequest) { r.Reference.OrderID = cardNumber }), problem: operation.ProblemInvalid, unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := &oneOperation{}
			if tc.before.Endpoint != "" {
				normalise(&tc.before)
				engine.memo = memoOf(t, map[string]any{workflows.MemoStart: tc.before})
			}
			state, created, err := serviceOn(engine).Start(t.Context(), tc.again)
			require.False(t, created)
			require.Equal(t, tc.unread, engine.reads == 0)
			if tc.problem != "" {
				requireProblem(t, tc.problem, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.again.Key(), state.Key)
			require.Equal(t, "first", state.RunID)
		})
	}
}

func TestAConflictNamesTheFieldsThatDiffer(t *testing.T) {
	t.Parallel()
	full := operation.StartRequest{
		Endpoint: "ANY", OperationID: "1", Method: "payment", KnownStatus: "new",
		Reference: operation.Reference{RegisteredAt: new(operation.At(time.Unix(0, 0))), OrderID: "a"},
		Callback:  operation.Target{URL: "https://shop.example/", Statuses: []string{"done"}},
	}
	changes := map[string]func(*operation.StartRequest){
		"method":                  func(r *operation.StartRequest) { r.Method = "p2p_a2c" },
		"known_status":            func(r *operation.StartRequest) { r.KnownStatus = "" },
		"reference.registered_at": func(r *operation.StartRequest) { r.Reference.RegisteredAt = nil },
		"reference.order_id":      func(r *operation.StartRequest) { r.Reference.OrderID = "b" },
		"callback.url":            func(r *operation.StartRequest) { r.Callback.URL += "2" },
		"callback.statuses":       statuses(),
	}
	require.ElementsMatch(t, leaves(t, "", full), append(slices.Collect(maps.Keys(changes)), "endpoint", "operation_id"), "each field has a row")
	for field, change := range changes {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			s := serviceOn(&oneOperation{memo: memoOf(t, map[string]any{workflows.MemoStart: full})})
			s.Endpoint = func(string) (operation.Endpoint, bool) {
				return operation.Endpoint{Methods: []string{"payment", "p2p_a2c"}, PerOperationURL: true}, true
			}
			again := full
			change(&again)
			_, _, err := s.Start(t.Context(), again)
			requireProblem(t, operation.ProblemConflict, err)
			conflict, _ := errors.AsType[*operation.Error](err)
			require.Equal(t, []operation.FieldError{{Field: field, Detail: "is not what the operation was started with"}}, conflict.Fields)
		})
	}
}

// leaves are the JSON paths of the values in an object.
func leaves(t *testing.T, path string, object any) []string {
	t.Helper()
	text, err := json.Marshal(object)
	require.NoError(t, err)
	var paths []string
	for name, value := range operation.Members(text) {
		if value[0] == '{' {
			paths = append(paths, leaves(t, path+name+".", value)...)
			continue
		}
		paths = append(paths, path+name)
	}
	return paths
}

func TestAStartIsUnavailableWhileItsOperationCanNotBeLookedUp(t *testing.T) {
	t.Parallel()
	engine := &oneOperation{err: serviceerror.NewUnavailable("no")}
	_, _, err := serviceOn(engine).Start(t.Context(), transfer(func(r *operation.StartRequest) { r.Endpoint = "OFF" }))
	requireProblem(t, operation.ProblemUnavailable, err)
}

func statuses(wanted ...string) func(*operation.StartRequest) {
	return func(r *operation.StartRequest) { r.Callback.Statuses = wanted }
}

// serviceOn is a service on that engine.
func serviceOn(engine client.Client) *Service {
	s := newService()
	s.Client, s.Converter = engine, converter.GetDefaultDataConverter()
	return s
}

func requireProblem(t *testing.T, want operation.Problem, err error) {
	t.Helper()
	var refused *operation.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Problem, "%v", err)
}
