package service

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/internal/operation"
)

// visible is a Temporal client whose visibility answers every query with the
// same runs, and which knows nothing else.
type visible struct {
	client.Client
	runs []*workflowpb.WorkflowExecutionInfo
}

func (v visible) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: v.runs}, nil
}

func TestAnOperationWithTwoRunsInOnePageIsListedOnce(t *testing.T) {
	t.Parallel()
	closed := func(run string, second int64) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "LEDGER/1", RunId: run},
			Status:    enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
			StartTime: timestamppb.New(time.Unix(second, 0)), CloseTime: timestamppb.New(time.Unix(second+1, 0)),
		}
	}
	s := newService()
	s.Client = visible{runs: []*workflowpb.WorkflowExecutionInfo{closed("second", 20), closed("first", 10)}}
	page, err := s.List(t.Context(), operation.ListQuery{})
	require.NoError(t, err)
	require.Len(t, page.Operations, 1)
	require.Equal(t, "second", page.Operations[0].RunID)
}

func TestAListShowsThePhaseOfEach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status enumspb.WorkflowExecutionStatus
		// written is the search attribute RingbackPhase; empty: none.
		written, want operation.Phase
	}{
		"one on the happy path":                             {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "", operation.Watching},
		"one whose first attempt was not acknowledged":      {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, operation.Delivering, operation.Delivering},
		"one that goes on after such a delivery":            {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, operation.Watching, operation.Watching},
		"one that an operator paused":                       {enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, operation.Delivering, operation.Delivering},
		"one that was terminated, which takes nothing back": {enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, operation.Delivering, operation.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			execution := &workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{WorkflowId: "LEDGER/1", RunId: "first"}, Status: tc.status,
				StartTime: timestamppb.New(time.Unix(10, 0)),
			}
			if tc.written != "" {
				execution.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: memoOf(t, map[string]any{"RingbackPhase": tc.written}).GetFields()}
			}
			s := newService()
			s.Client = visible{runs: []*workflowpb.WorkflowExecutionInfo{execution}}
			page, err := s.List(t.Context(), operation.ListQuery{})
			require.NoError(t, err)
			require.Len(t, page.Operations, 1)
			require.Equal(t, tc.want, page.Operations[0].Phase)
			require.Equal(t, tc.want == operation.Closed, page.Operations[0].ClosedAt != nil)
		})
	}
}
