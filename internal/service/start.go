package service

import (
	"cmp"
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/internal/ui"
	"ringback/workflows"
)

// Start accepts an operation and returns its first state, or, not created, the state of
// the same operation started before, also once it is closed. The start is eager: a
// worker in this process runs the first workflow task at once.
func (s *Service) Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error) {
	normalise(&r)
	endpoint, err := s.validate(ctx, r)
	if err != nil {
		state, err = s.startedDespite(ctx, r, err)
		return state, false, err
	}
	input := s.input(endpoint, r)
	run, err := s.Client.ExecuteWorkflow(ctx, s.startOptions(input), workflows.OperationType, input)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		state, err = s.startedBefore(ctx, r)
		return state, false, err
	case err != nil:
		return operation.State{}, false, s.operationError("starting", r.Key(), err)
	}
	state = s.firstState(r, run.GetRunID())
	state.Host = calledHost(endpoint, r.Callback)
	return state, true, nil
}

func (s *Service) startOptions(in workflows.Input) client.StartWorkflowOptions {
	r := in.Start
	options := client.StartWorkflowOptions{
		ID:                                       r.Key().WorkflowID(),
		TaskQueue:                                workflows.TaskQueue,
		EnableEagerStart:                         s.eager(),
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowTaskTimeout:                      workflows.WorkflowTaskTimeout,
		Memo:                                     map[string]any{workflows.MemoStart: r},
		TypedSearchAttributes:                    temporal.NewSearchAttributes(workflows.AttributeEndpoint.ValueSet(r.Endpoint)),
		StaticSummary:                            ui.Started(r.Method, in.Dialect, in.Policy.Delivery),
	}
	if s.Build.Versioned() && !in.Pinned() {
		options.VersioningOverride = &client.AutoUpgradeVersioningOverride{}
	}
	return options
}

func (s *Service) input(e operation.Endpoint, r operation.StartRequest) workflows.Input {
	wanted := r.Callback.Statuses
	if len(wanted) == 0 {
		wanted = e.Statuses
	}
	return workflows.Input{Start: r, Source: e.Source, Dialect: e.Dialect, Rules: e.Rules, Policy: e.Policy, Wanted: wanted, SetHTTPStatus: true, Notices: e.Notices}
}

// calledHost is the host that callbacks are sent to.
func calledHost(e operation.Endpoint, t operation.Target) string {
	return cmp.Or(operation.HostPort(t.URL), e.Host)
}

// firstState is the state of an operation that was just accepted.
func (s *Service) firstState(r operation.StartRequest, runID string) operation.State {
	return operation.State{
		Key: r.Key(), Phase: operation.Watching, Deliveries: []operation.Delivery{},
		RunID: runID, UIURL: s.uiURL(r.Key().WorkflowID(), runID),
	}
}
