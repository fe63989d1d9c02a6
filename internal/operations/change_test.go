package operations

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// deafRun is a run that hears the first Update only after it was given up, and
// closes by it.
type deafRun struct {
	client.Client
	// atWork says that a worker is at its workflow task meanwhile.
	atWork bool
	// countsAhead is by how much the server's time-out comes before its caller's.
	countsAhead time.Duration
	heard       string
	sent        []string
}

var errClosed = serviceerror.NewNotFound("workflow execution already completed")

func (r *deafRun) UpdateWorkflow(ctx context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	r.sent = append(r.sent, o.UpdateID)
	if len(r.sent) == 1 {
		if r.countsAhead > 0 {
			time.Sleep(updateDeadline - r.countsAhead)
		} else {
			<-ctx.Done()
		}
		r.heard = o.UpdateID
		return nil, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(serviceerror.NewDeadlineExceeded("context deadline exceeded"))
	}
	if o.UpdateID != r.heard {
		return nil, errClosed
	}
	return takenUpdate{}, nil
}

func (r *deafRun) SignalWorkflow(context.Context, string, string, string, any) error {
	return errClosed
}

func (r *deafRun) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	response := &workflowservice.DescribeWorkflowExecutionResponse{}
	if r.atWork {
		response.PendingWorkflowTask = &workflowpb.PendingWorkflowTaskInfo{State: enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED}
	}
	return response, nil
}

type takenUpdate struct{ client.WorkflowUpdateHandle }

func (takenUpdate) Get(context.Context, any) error { return nil }

func TestAPushIsTakenWhereTheRunHeardItLateAndClosedByIt(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]*deafRun{
		"while a worker was at its workflow task":   {atWork: true},
		"when its worker came back":                 {},
		"where the server was the first to give up": {countsAhead: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, begun := desk(), time.Now()
				d.Client = run
				require.NoError(t, d.Push(t.Context(), key, "done"))
				require.Equal(t, updateDeadline-run.countsAhead, time.Since(begun))
				require.Len(t, run.sent, 2)
				require.NotEmpty(t, run.sent[0])
				require.Equal(t, run.sent[0], run.sent[1], "it is the same Update")
			})
		})
	}
}

func TestUpdatesHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	one, another := newUpdate("SHOP/17", workflows.UpdateStatus), newUpdate("SHOP/17", workflows.UpdateStatus)
	require.NotEqual(t, one.id, another.id)
}
