package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

// Push takes a status that the core says by itself; empty means poll now.
func (s *Service) Push(ctx context.Context, key operation.Key, status string) error {
	if err := s.checkPushed(key, status); err != nil {
		return err
	}
	push := workflows.Push{Status: status}
	u := newUpdate(key.WorkflowID(), workflows.UpdateStatus, push)
	err := s.update(ctx, u, nil)
	if errors.Is(err, errUnheard) || takesNoUpdates(err) {
		err = s.signalPush(ctx, u, push)
	}
	return s.changeError(ctx, "pushing a status to", key, err)
}

// signalPush says by Signal what no worker took as an Update. Where the run is
// closed, it may have heard the Update after it was given up, and closed by it.
func (s *Service) signalPush(ctx context.Context, given update, push workflows.Push) error {
	err := s.Client.SignalWorkflow(ctx, given.workflowID, "", workflows.SignalStatus, push)
	if isNotFound(err) {
		return s.update(ctx, given, nil)
	}
	return err
}

// errUnheard says that no worker took an Update in time.
var errUnheard = errors.New("no worker took the Update in time")

// update is one Update. It has the same id however often it is sent: the server
// takes it once, and tells its answer also when the run has closed by it.
type update struct {
	workflowID, name, id string
	arguments            []any
}

func newUpdate(workflowID, name string, arguments ...any) update {
	return update{workflowID: workflowID, name: name, id: rand.Text(), arguments: arguments}
}

// update sends an Update and waits for its answer. It is preferred to a Signal,
// which may make a run forget the attempt that is in flight in its workflow
// task; but it needs a worker, so it is given up as unheard after updateDeadline,
// or, where a worker is at the run's workflow task, after updateAtWork.
// Where the operation went on in another run meanwhile, it is sent to that one.
func (s *Service) update(ctx context.Context, u update, answer any) error {
	for begun := time.Now(); ; {
		err := s.updateWithin(ctx, u, answer)
		switch elapsed := time.Since(begun); {
		case errors.Is(err, errUnheard) && elapsed <= updateAtWork && s.atWork(ctx, u.workflowID):
		case runEnded(err) && elapsed <= updateDeadline && s.goesOn(ctx, u.workflowID):
			time.Sleep(updateAgain)
		default:
			return err
		}
	}
}

// atWork reports whether a worker is at a workflow task of the run: it takes an
// Update up as soon as that has ended.
func (s *Service) atWork(ctx context.Context, workflowID string) bool {
	response, err := s.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	return err == nil && response.GetPendingWorkflowTask().GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED
}

// goesOn reports whether the latest run is open, or was followed since.
func (s *Service) goesOn(ctx context.Context, workflowID string) bool {
	response, err := s.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	status := response.GetWorkflowExecutionInfo().GetStatus()
	return err == nil && (isOpen(status) || status == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW)
}

// runEnded reports whether err says that the run closed before it took an
// Update, or before it answered one that it had taken.
func runEnded(err error) bool {
	var failure *temporal.ApplicationError
	return isNotFound(err) || errors.As(err, &failure) && failure.Type() == typeUpdateLeft
}

// typeUpdateLeft is the server's type of the failure of an Update that its run
// took and did not answer (service/history/workflow/update).
const typeUpdateLeft = "AcceptedUpdateCompletedWorkflow"

// takesNoUpdates reports whether err says that the run takes no Update any more,
// but Signals: it had as many as the server allows one run
// (history.maxTotalUpdates, 2,000), or an operator paused it.
func takesNoUpdates(err error) bool {
	_, ok := errors.AsType[*serviceerror.FailedPrecondition](err)
	return ok
}

func (s *Service) updateWithin(ctx context.Context, u update, answer any) error {
	bounded, cancel := context.WithTimeout(ctx, updateDeadline)
	defer cancel()
	err := s.updateOnce(bounded, u, answer)
	// The workflow task that took it failed, and everything of it is forgotten.
	for notReady := new(serviceerror.WorkflowNotReady); errors.As(err, &notReady) && bounded.Err() == nil; {
		time.Sleep(updateAgain)
		err = s.updateOnce(bounded, u, answer)
	}
	if ranOut(ctx, bounded, err) {
		return fmt.Errorf("%w: %w", errUnheard, err)
	}
	return err
}

func (s *Service) updateOnce(ctx context.Context, u update, answer any) error {
	handle, err := s.Client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: u.workflowID, UpdateName: u.name, UpdateID: u.id, Args: u.arguments,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(ctx, answer)
}

func (s *Service) checkPushed(key operation.Key, status string) error {
	if err := s.screen(key); err != nil {
		return err
	}
	if err := operation.Validate(operation.StatusRule.Check(status)); err != nil {
		return err
	}
	rules := []operation.FieldRule{{Field: "known_status", Allowed: s.Vocabulary}}
	if endpoint, ok := s.Endpoint(key.Endpoint); ok {
		rules = endpoint.Fields
	}
	for _, rule := range rules {
		if rule.Field != "known_status" {
			continue
		}
		rule.Field = "status"
		if fault := rule.Check(status); fault != nil {
			return operation.Invalid(*fault)
		}
	}
	return nil
}

// changeError tells an operation that is closed from one that is not there, and
// from one that went on in another run.
func (s *Service) changeError(ctx context.Context, doing string, key operation.Key, err error) error {
	switch {
	case err == nil:
		return nil
	case !runEnded(err):
		return engineError(doing, key, err)
	}
	latest, unread := s.describe(ctx, key)
	if unread != nil {
		return unread
	}
	if latest.open() {
		return wentOn(doing, key, err)
	}
	return operation.Refuse(operation.ProblemClosed, "The operation %s is closed.", key.WorkflowID())
}

// wentOn says that an operation changed its run too often to be told something.
func wentOn(doing string, key operation.Key, err error) error {
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry,
		Detail: fmt.Sprintf("The operation %s went on in a new run meanwhile; try again.", key.WorkflowID()),
		Err:    fmt.Errorf("%s %s: %w", doing, key.WorkflowID(), err),
	}
}

// Revoke records that the operation itself was revoked and returns its state.
func (s *Service) Revoke(ctx context.Context, key operation.Key, r operation.Revocation) (operation.State, error) {
	if err := errors.Join(s.screen(key), operation.Validate(operation.InitiatorRule.Check(r.InitiatedBy), operation.ReasonRule.Check(r.Reason))); err != nil {
		return operation.State{}, err
	}
	var state operation.State
	err := s.update(ctx, newUpdate(key.WorkflowID(), workflows.UpdateRevoke, r), &state)
	var refused *temporal.ApplicationError
	switch {
	case err == nil:
		state.UIURL = s.uiURL(key.WorkflowID(), state.RunID)
		return state, nil
	case takesNoUpdates(err):
		return s.signalRevocation(ctx, key, r)
	case errors.As(err, &refused) && !runEnded(err):
		return operation.State{}, operation.Refuse(operation.ProblemNotRevocable, "%s", refused.Message())
	}
	return s.revokedBefore(ctx, key, s.changeError(ctx, "revoking", key, err))
}

// signalRevocation revokes by Signal. A Signal has no answer: whether the run
// took it is read from its state, which a Query sees as of after the Signal.
func (s *Service) signalRevocation(ctx context.Context, key operation.Key, r operation.Revocation) (operation.State, error) {
	if err := s.Client.SignalWorkflow(ctx, key.WorkflowID(), "", workflows.SignalRevoke, r); err != nil {
		return s.revokedBefore(ctx, key, s.changeError(ctx, "revoking", key, err))
	}
	bounded, cancel := context.WithTimeout(ctx, updateDeadline)
	defer cancel()
	state, err := s.stateAfterSignal(bounded, key)
	switch {
	case err != nil:
		return operation.State{}, engineError("revoking", key, fmt.Errorf("%w: %w", errUnheard, err))
	case state.Revocation != nil, s.sawRevoked(state):
		state.UIURL = s.uiURL(key.WorkflowID(), state.RunID)
		return state, nil
	case state.Phase == operation.Closed:
		return operation.State{}, operation.Refuse(operation.ProblemClosed, "The operation %s is closed.", key.WorkflowID())
	}
	return operation.State{}, operation.Refuse(operation.ProblemNotRevocable,
		"The last known status of the operation %s does not allow a revocation.", key.WorkflowID())
}

// stateAfterSignal asks the latest run until a worker answers or ctx ends. The
// server lets a Query wait for the workflow task that a Signal caused, but not
// while the run is paused.
func (s *Service) stateAfterSignal(ctx context.Context, key operation.Key) (operation.State, error) {
	var state operation.State
	value, err := s.Client.QueryWorkflow(ctx, key.WorkflowID(), "", workflows.QueryState)
	for err != nil && ctx.Err() == nil {
		time.Sleep(updateAgain)
		value, err = s.Client.QueryWorkflow(ctx, key.WorkflowID(), "", workflows.QueryState)
	}
	if err == nil {
		err = value.Get(&state)
	}
	if err == nil && state.Revocation == nil && s.paused(ctx, key.WorkflowID()) {
		err = errPaused
	}
	return state, err
}

// errPaused says that a run hears nothing until an operator resumes it.
var errPaused = errors.New("the run is paused")

func (s *Service) paused(ctx context.Context, workflowID string) bool {
	response, err := s.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	return err != nil || response.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// revokedBefore lets a revocation that closed the operation be repeated: twice
// is once.
func (s *Service) revokedBefore(ctx context.Context, key operation.Key, err error) (operation.State, error) {
	var refused *operation.Error
	if !errors.As(err, &refused) || refused.Problem != operation.ProblemClosed {
		return operation.State{}, err
	}
	state, readErr := s.State(ctx, key)
	if readErr == nil && (state.Revocation != nil || s.sawRevoked(state)) {
		return state, nil
	}
	return operation.State{}, err
}

// sawRevoked reports whether the source itself had said what the caller says.
func (s *Service) sawRevoked(state operation.State) bool {
	endpoint, ok := s.Endpoint(state.Endpoint)
	return ok && state.Status != nil && state.Status.Value == endpoint.Rules.Revoked
}

// Withdraw asks to end the operation without a callback; an attempt in flight
// is never cut off, and if it is acknowledged, that is the outcome.
func (s *Service) Withdraw(ctx context.Context, key operation.Key) (operation.State, error) {
	var state operation.State
	if err := s.screen(key); err != nil {
		return operation.State{}, err
	}
	err := s.update(ctx, newUpdate(key.WorkflowID(), workflows.UpdateWithdraw), &state)
	switch {
	case err == nil:
		state.UIURL = s.uiURL(key.WorkflowID(), state.RunID)
		return state, nil
	case errors.Is(err, errUnheard) || takesNoUpdates(err):
		err = s.Client.CancelWorkflow(ctx, key.WorkflowID(), "")
	}
	return s.withdrawing(ctx, key, err)
}

// withdrawing is the state after a cancellation, or of an operation that was
// closed before.
func (s *Service) withdrawing(ctx context.Context, key operation.Key, err error) (operation.State, error) {
	if err != nil && !runEnded(err) {
		return operation.State{}, engineError("withdrawing", key, err)
	}
	latest, unread := s.describe(ctx, key)
	switch {
	case unread != nil:
		return operation.State{}, unread
	case latest.open() && err != nil:
		return operation.State{}, wentOn("withdrawing", key, err)
	case latest.open():
		return s.openState(ctx, latest), nil
	}
	return s.withdrawnBefore(ctx, latest)
}

func (s *Service) withdrawnBefore(ctx context.Context, latest run) (operation.State, error) {
	state, err := s.stateOf(ctx, latest)
	if err != nil || state.Outcome == operation.OutcomeWithdrawn {
		return state, err
	}
	return operation.State{}, operation.Refuse(operation.ProblemClosed,
		"The operation %s is closed with outcome %s; there is nothing to withdraw.", latest.key.WorkflowID(), state.Outcome)
}
