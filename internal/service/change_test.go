package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

// slowRun is a run that takes the first Update only after it was given up, and
// closes by it.
type slowRun struct {
	client.Client
	// atWork says that a worker is at its workflow task meanwhile.
	atWork bool
	// countsAhead is by how much the server's time-out comes before its caller's.
	countsAhead time.Duration
	takenID     string
	sent        []string
}

var errClosed = serviceerror.NewNotFound("workflow execution already completed")

func (r *slowRun) UpdateWorkflow(ctx context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	r.sent = append(r.sent, o.UpdateID)
	if len(r.sent) == 1 {
		if r.countsAhead > 0 {
			time.Sleep(updateTimeout - r.countsAhead)
		} else {
			<-ctx.Done()
		}
		r.takenID = o.UpdateID
		return nil, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(serviceerror.NewDeadlineExceeded("context deadline exceeded"))
	}
	if o.UpdateID != r.takenID {
		return nil, errClosed
	}
	return takenUpdate{}, nil
}

func (r *slowRun) SignalWorkflow(context.Context, string, string, string, any) error {
	return errClosed
}

func (r *slowRun) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	response := &workflowservice.DescribeWorkflowExecutionResponse{}
	if r.atWork {
		response.PendingWorkflowTask = &workflowpb.PendingWorkflowTaskInfo{State: enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED}
	}
	return response, nil
}

type takenUpdate struct{ client.WorkflowUpdateHandle }

func (takenUpdate) Get(context.Context, any) error { return nil }

func TestAPushSucceedsWhereTheRunTookItLateAndClosed(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]*slowRun{
		"while a worker was at its workflow task":   {atWork: true},
		"when its worker came back":                 {},
		"where the server was the first to give up": {countsAhead: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, begun := newService(), time.Now()
				s.Client = run
				require.NoError(t, s.Push(t.Context(), key, "done"))
				require.Equal(t, updateTimeout-run.countsAhead, time.Since(begun))
				require.Len(t, run.sent, 2)
				require.NotEmpty(t, run.sent[0])
				require.Equal(t, run.sent[0], run.sent[1], "it is the same Update")
			})
		})
	}
}

// runThatTakesNoStatus is an open run of an endpoint with push: off.
type runThatTakesNoStatus struct {
	client.Client
	sent []any
}

func (r *runThatTakesNoStatus) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	r.sent = append(r.sent, o.Args...)
	return refusedUpdate{}, nil
}

type refusedUpdate struct{ client.WorkflowUpdateHandle }

func (refusedUpdate) Get(context.Context, any) error {
	return temporal.NewApplicationError("no", workflows.TypePushRefused)
}

func TestAPushIsMarkedAsTheAPIsAndItsRefusalNamesTheField(t *testing.T) {
	t.Parallel()
	s, run := newService(), &runThatTakesNoStatus{}
	s.Client = run
	err := s.Push(t.Context(), key, "done")
	requireProblem(t, operation.ProblemInvalid, err)
	var refused *operation.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "status", refused.Fields[0].Field)
	require.Contains(t, refused.Fields[0].Detail, "push: off")
	require.ErrorAs(t, s.Push(t.Context(), key, ""), &refused)
	require.Contains(t, refused.Fields[0].Detail, "never polled")
	require.Equal(t, workflows.Push{Status: "done", ByAPI: true}, run.sent[0], "else the run would trust it like an operator")
}

func TestUpdatesHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	one, another := newUpdate("SHOP/17", workflows.UpdateStatus), newUpdate("SHOP/17", workflows.UpdateStatus)
	require.NotEqual(t, one.id, another.id)
}

// runWithoutUpdates is an open run that takes no Updates any more, but Signals and a
// cancellation.
type runWithoutUpdates struct {
	client.Client
	status enumspb.WorkflowExecutionStatus
	// state answers a Query; nil: no worker does.
	state   *operation.State
	sent    []string
	queries int
}

func (r *runWithoutUpdates) UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, serviceerror.NewFailedPrecondition("The limit on the total number of distinct updates in this workflow has been reached (2000).")
}

func (r *runWithoutUpdates) SignalWorkflow(_ context.Context, _, _, name string, _ any) error {
	r.sent = append(r.sent, name)
	return nil
}

func (r *runWithoutUpdates) CancelWorkflow(context.Context, string, string) error {
	r.sent = append(r.sent, "cancel")
	return nil
}

func (r *runWithoutUpdates) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: r.status}}, nil
}

func (r *runWithoutUpdates) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	if r.queries++; r.state == nil || r.queries == 1 {
		return nil, serviceerror.NewUnavailable("buffered query cleared, please retry")
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(r.state)
	return client.NewValue(payloads), err
}

func TestARunThatTakesNoUpdatesGetsSignals(t *testing.T) {
	t.Parallel()
	open := enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	revoke := func(ctx context.Context, s *Service) error {
		_, err := s.Revoke(ctx, key, operation.Revocation{InitiatedBy: "core"})
		return err
	}
	watching := &operation.State{Key: key, Phase: operation.Watching, Status: &operation.Status{Value: "done"}}
	for name, tc := range map[string]struct {
		run     *runWithoutUpdates
		do      func(ctx context.Context, s *Service) error
		sent    string
		problem operation.Problem
	}{
		"a push is a Signal": {
			run: &runWithoutUpdates{status: open}, sent: workflows.SignalStatus,
			do: func(ctx context.Context, s *Service) error { return s.Push(ctx, key, "done") },
		},
		"a withdrawal is a cancellation": {
			run: &runWithoutUpdates{status: open}, sent: "cancel",
			do: func(ctx context.Context, s *Service) error { _, err := s.Withdraw(ctx, key); return err },
		},
		"a bulk redelivery is stopped by a Signal": {
			run: &runWithoutUpdates{status: open}, sent: workflows.SignalStop,
			do: func(ctx context.Context, s *Service) error { _, err := s.StopBulkRedelivery(ctx, "rd_1"); return err },
		},
		"a revocation is a Signal, and its state shows that it was taken": {
			run: &runWithoutUpdates{status: open, state: &operation.State{Key: key, Revocation: &operation.Revocation{InitiatedBy: "core"}}},
			do:  revoke, sent: workflows.SignalRevoke,
		},
		"its state shows that it was not allowed": {
			run: &runWithoutUpdates{status: open, state: watching}, do: revoke, sent: workflows.SignalRevoke, problem: operation.ProblemNotRevocable,
		},
		"its state shows that it came too late": {
			run: &runWithoutUpdates{status: open, state: &operation.State{Key: key, Phase: operation.Closed}},
			do:  revoke, sent: workflows.SignalRevoke, problem: operation.ProblemClosed,
		},
		"whether it was taken is not known without a worker": {
			run: &runWithoutUpdates{status: open}, do: revoke, sent: workflows.SignalRevoke, problem: operation.ProblemUnavailable,
		},
		"nor while an operator has paused the run": {
			run: &runWithoutUpdates{status: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, state: watching},
			do:  revoke, sent: workflows.SignalRevoke, problem: operation.ProblemUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := tc.do(t.Context(), serviceOn(tc.run))
				require.Equal(t, []string{tc.sent}, tc.run.sent)
				if tc.problem == "" {
					require.NoError(t, err)
					return
				}
				requireProblem(t, tc.problem, err)
			})
		})
	}
}

// endingRun ends while an Update is on its way to it, and is followed by a run
// that takes it, unless it was the last.
type endingRun struct {
	client.Client
	// ended is how the Update learns that, sent or while it waits for its answer.
	ended, endedWaiting error
	// describedAs are the statuses in which the latest run is found, the last of
	// them from then on.
	describedAs []enumspb.WorkflowExecutionStatus
	sent        []string
}

func (r *endingRun) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	r.sent = append(r.sent, o.UpdateID)
	if len(r.sent) > 1 && isOpen(r.describedAs[len(r.describedAs)-1]) {
		return takenUpdate{}, nil
	}
	return unansweredUpdate{err: r.endedWaiting}, r.ended
}

func (r *endingRun) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	status := r.describedAs[0]
	if len(r.describedAs) > 1 {
		r.describedAs = r.describedAs[1:]
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: status}}, nil
}

func (r *endingRun) GetWorkflowHistory(context.Context, string, string, bool, enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return completedHistory{}
}

type unansweredUpdate struct {
	client.WorkflowUpdateHandle
	err error
}

func (u unansweredUpdate) Get(context.Context, any) error { return u.err }

// completedHistory is that of a run that was acknowledged.
type completedHistory struct {
	client.HistoryEventIterator
	// owes says that there was a callback.
	owes bool
}

func (h completedHistory) Next() (*historypb.HistoryEvent, error) {
	ending := operation.Record{State: operation.State{Key: key, Phase: operation.Closed, Outcome: operation.OutcomeAcknowledged}}
	if h.owes {
		ending.Callbacks = []operation.Callback{{ID: "cb_1"}}
	}
	result, err := converter.GetDefaultDataConverter().ToPayloads(ending)
	return &historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
		WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{Result: result},
	}}, err
}

func TestAChangeFollowsAnOperationIntoItsNewRun(t *testing.T) {
	t.Parallel()
	const (
		open      = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		continued = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
		closed    = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	)
	left := temporal.NewApplicationError("Workflow Update failed because the Workflow completed before the Update completed.", typeUpdateUnanswered)
	for name, tc := range map[string]struct {
		ended, endedWaiting error
		describedAs         []enumspb.WorkflowExecutionStatus
		sent                int
		problem             operation.Problem
	}{
		"the run ended before it came, and another is open":   {ended: errClosed, describedAs: []enumspb.WorkflowExecutionStatus{open}, sent: 2},
		"the run ended on it, and another is open":            {endedWaiting: left, describedAs: []enumspb.WorkflowExecutionStatus{open}, sent: 2},
		"the run is read while it is being continued":         {ended: errClosed, describedAs: []enumspb.WorkflowExecutionStatus{continued, open}, sent: 2},
		"the run ended before it came, and was the last":      {ended: errClosed, describedAs: []enumspb.WorkflowExecutionStatus{closed}, sent: 1, problem: operation.ProblemClosed},
		"the run ended on it, and was the last":               {endedWaiting: left, describedAs: []enumspb.WorkflowExecutionStatus{closed}, sent: 1, problem: operation.ProblemClosed},
		"the run ended before it came, and was followed late": {ended: errClosed, describedAs: []enumspb.WorkflowExecutionStatus{closed, open}, sent: 1, problem: operation.ProblemUnavailable},
	} {
		for what, do := range map[string]func(ctx context.Context, s *Service) error{
			"push": func(ctx context.Context, s *Service) error { return s.Push(ctx, key, "done") },
			"revocation": func(ctx context.Context, s *Service) error {
				_, err := s.Revoke(ctx, key, operation.Revocation{InitiatedBy: "core"})
				return err
			},
			"withdrawal": func(ctx context.Context, s *Service) error { _, err := s.Withdraw(ctx, key); return err },
		} {
			t.Run(what+": "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					run := &endingRun{ended: tc.ended, endedWaiting: tc.endedWaiting, describedAs: tc.describedAs}
					err := do(t.Context(), serviceOn(run))
					require.Len(t, run.sent, tc.sent)
					require.Equal(t, run.sent[0], run.sent[len(run.sent)-1], "it is the same Update")
					if tc.problem == "" {
						require.NoError(t, err)
						return
					}
					requireProblem(t, tc.problem, err)
				})
			})
		}
	}
}

func TestAPushedStatusMustBeInTheVocabulary(t *testing.T) {
	t.Parallel()
	removed := operation.Key{Endpoint: "GONE", OperationID: "17"}
	for name, tc := range map[string]struct {
		key    operation.Key
		status string
		taken  bool
	}{
		"a status of the endpoint's core":                      {key, "done", true},
		"another status":                                       {key, "old", false},
		"a status of a core, for an endpoint that was removed": {removed, "reserved", true},
		"another status, for an endpoint that was removed":     {removed, "old", false},
		"poll now, for an endpoint that was removed":           {removed, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := &runWithoutUpdates{}
			s := serviceOn(run)
			s.Vocabulary = func() []string { return []string{"new", "reserved", "done"} }
			err := s.Push(t.Context(), tc.key, tc.status)
			require.Equal(t, tc.taken, len(run.sent) == 1)
			if tc.taken {
				require.NoError(t, err)
				return
			}
			requireProblem(t, operation.ProblemInvalid, err)
		})
	}
}
