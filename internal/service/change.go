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

const (
	// updateTimeout is how long an Update may wait for a worker: longer than an
	// attempt inside a workflow task usually takes.
	updateTimeout = 3 * time.Second
	// updateTimeoutInTask is after how long an Update is given up although a worker
	// runs a workflow task of the run: an attempt in it takes its time-out at most,
	// and a call of the API ends within 15 s.
	updateTimeoutInTask = 8 * time.Second
	// retryWait is between two tries of what usually succeeds a moment later.
	retryWait = 50 * time.Millisecond
)

// Push takes a status that the core reports by itself, as the operation's Policy.Push
// says; empty means poll now.
func (s *Service) Push(ctx context.Context, key operation.Key, status string) error {
	if err := s.checkPushed(key, status); err != nil {
		return err
	}
	const doing = "pushing a status to"
	push := workflows.Push{Status: status, ByAPI: true}
	err := s.change(ctx, newUpdate(key.WorkflowID(), workflows.UpdateStatus, push), nil, func() error {
		return s.Client.SignalWorkflow(ctx, key.WorkflowID(), "", workflows.SignalStatus, push)
	})
	if runEnded(err) {
		if _, err := s.closedState(ctx, doing, key, err); err != nil {
			return err
		}
		return closedError(key)
	}
	if refused, ok := errors.AsType[*temporal.ApplicationError](err); ok && refused.Type() == workflows.TypePushRefused {
		detail := "is refused: the endpoint takes no pushed status (push: off); leave it out to have the source polled now"
		if status == "" {
			detail = "is required: the operation's core pushes each status, and is never polled"
		}
		return operation.Invalid(operation.FieldError{Field: "status", Detail: detail})
	}
	if err != nil {
		return s.operationError(doing, key, err)
	}
	return nil
}

// Revoke records that the operation itself was revoked and returns its state.
func (s *Service) Revoke(ctx context.Context, key operation.Key, r operation.Revocation) (operation.State, error) {
	if err := s.refuseCardNumber(key); err != nil {
		return operation.State{}, err
	}
	const doing = "revoking"
	var state operation.State
	err := s.update(ctx, newUpdate(key.WorkflowID(), workflows.UpdateRevoke, r), &state)
	if takesNoUpdates(err) {
		state, err = s.signalRevocation(ctx, key, r)
	}
	var refused *temporal.ApplicationError
	switch {
	case err == nil:
		return s.linked(state), nil
	case runEnded(err):
		state, err = s.closedState(ctx, doing, key, err)
		if err == nil && !s.revoked(state) {
			return operation.State{}, closedError(key)
		}
		return state, err
	case errors.As(err, &refused) && !isUnread(err):
		return operation.State{}, operation.Refuse(operation.ProblemNotRevocable, "%s", refused.Message())
	}
	return operation.State{}, s.operationError(doing, key, err)
}

// signalRevocation revokes by Signal. A Signal has no result: whether the run took
// it is read from its state, which a Query sees as of after the Signal.
func (s *Service) signalRevocation(ctx context.Context, key operation.Key, r operation.Revocation) (operation.State, error) {
	if err := s.Client.SignalWorkflow(ctx, key.WorkflowID(), "", workflows.SignalRevoke, r); err != nil {
		return operation.State{}, err
	}
	var state operation.State
	bounded, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	for {
		err := s.query(bounded, key.WorkflowID(), "", workflows.QueryState, &state)
		if err == nil {
			break
		}
		if bounded.Err() != nil {
			return state, fmt.Errorf("%w: %w", errNotTaken, err)
		}
		time.Sleep(retryWait)
	}
	switch {
	case s.revoked(state):
		return state, nil
	case state.Phase == operation.Closed:
		return state, closedError(key)
	case s.paused(ctx, key):
		return state, unavailable(nil, "The operation %s is paused by an operator, and takes a revocation once it is resumed; try again then.", key.WorkflowID())
	}
	return state, operation.Refuse(operation.ProblemNotRevocable,
		"The last known status of the operation %s does not allow a revocation.", key.WorkflowID())
}

// revoked reports whether a revocation has been recorded, or the source itself
// reported the operation as revoked. Twice is once.
func (s *Service) revoked(state operation.State) bool {
	endpoint, ok := s.Endpoint(state.Endpoint)
	return state.Revocation != nil || ok && state.Status != nil && state.Status.Value == endpoint.Rules.Revoked
}

// paused reports whether an operator has paused the run, or nothing is known of it.
func (s *Service) paused(ctx context.Context, key operation.Key) bool {
	response, err := s.Client.DescribeWorkflowExecution(ctx, key.WorkflowID(), "")
	return err != nil || response.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// Withdraw asks to end the operation without a callback; an attempt in flight
// is never cut off, and if it is acknowledged, that is the outcome.
func (s *Service) Withdraw(ctx context.Context, key operation.Key) (operation.State, error) {
	if err := s.refuseCardNumber(key); err != nil {
		return operation.State{}, err
	}
	const doing = "withdrawing"
	var state operation.State
	canceled := false
	err := s.change(ctx, newUpdate(key.WorkflowID(), workflows.UpdateWithdraw), &state, func() error {
		canceled = true
		return s.Client.CancelWorkflow(ctx, key.WorkflowID(), "")
	})
	switch {
	case err == nil && canceled: // which has no result
		return s.State(ctx, key)
	case err == nil:
		return s.linked(state), nil
	case !runEnded(err):
		return operation.State{}, s.operationError(doing, key, err)
	}
	state, err = s.closedState(ctx, doing, key, err)
	if err == nil && state.Outcome != operation.OutcomeWithdrawn {
		return operation.State{}, operation.Refuse(operation.ProblemClosed,
			"The operation %s is closed with outcome %s; there is nothing to withdraw.", key.WorkflowID(), state.Outcome)
	}
	return state, err
}

// closedState is the state of an operation whose run ended before a change reached
// it; unavailable where the operation went on in another run.
func (s *Service) closedState(ctx context.Context, doing string, key operation.Key, ended error) (operation.State, error) {
	latest, err := s.describe(ctx, key)
	switch {
	case err != nil:
		return operation.State{}, err
	case latest.open():
		return operation.State{}, unavailable(fmt.Errorf("%s %s: %w", doing, key.WorkflowID(), ended),
			"The operation %s went on in a new run meanwhile; try again.", key.WorkflowID())
	}
	return s.stateOf(ctx, latest)
}

// update is one Update. It has the same id however often it is sent: the server
// takes it once, and repeats its result also when the run has closed by it.
type update struct {
	workflowID, name, id string
	arguments            []any
}

func newUpdate(workflowID, name string, arguments ...any) update {
	return update{workflowID: workflowID, name: name, id: rand.Text(), arguments: arguments}
}

// errNotTaken says that no worker took an Update in time.
var errNotTaken = errors.New("no worker took the Update in time")

// change sends an Update, or does fallback where no worker takes it in time or the
// run takes no Updates: a Signal or a cancellation, which needs no worker. Where
// the run has closed by then, it may have taken the Update after all: sent again,
// that has its result.
func (s *Service) change(ctx context.Context, u update, result any, fallback func() error) error {
	err := s.update(ctx, u, result)
	if !errors.Is(err, errNotTaken) && !takesNoUpdates(err) {
		return err
	}
	if err = fallback(); isNotFound(err) {
		return s.update(ctx, u, result)
	}
	return err
}

// update sends an Update and waits for its result. It is preferred to a Signal,
// which may make a run forget the attempt that is in flight in its workflow task;
// but it needs a worker, so that it is given up after a while. Where the operation
// went on in another run meanwhile, it is sent to that one.
func (s *Service) update(ctx context.Context, u update, result any) error {
	for begun := time.Now(); ; {
		err := s.tryUpdate(ctx, u, result)
		notTaken := errors.Is(err, errNotTaken)
		if !notTaken && !runEnded(err) {
			return err
		}
		latest, describeErr := s.Client.DescribeWorkflowExecution(ctx, u.workflowID, "")
		elapsed := time.Since(begun)
		status := latest.GetWorkflowExecutionInfo().GetStatus()
		goesOn := isOpen(status) || status == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
		switch {
		case describeErr != nil:
			return err
		case notTaken && (elapsed > updateTimeoutInTask ||
			latest.GetPendingWorkflowTask().GetState() != enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED):
			return err
		case !notTaken && (elapsed > updateTimeout || !goesOn):
			return err
		case !notTaken:
			time.Sleep(retryWait)
		}
	}
}

func (s *Service) tryUpdate(ctx context.Context, u update, result any) error {
	bounded, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	for {
		handle, err := s.Client.UpdateWorkflow(bounded, client.UpdateWorkflowOptions{
			WorkflowID: u.workflowID, UpdateName: u.name, UpdateID: u.id, Args: u.arguments,
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = handle.Get(bounded, result)
		}
		// The workflow task that took the Update failed, and all of it is forgotten.
		_, forgotten := errors.AsType[*serviceerror.WorkflowNotReady](err)
		switch {
		case forgotten && bounded.Err() == nil:
			time.Sleep(retryWait)
		case timedOut(ctx, bounded, err):
			return fmt.Errorf("%w: %w", errNotTaken, err)
		default:
			return err
		}
	}
}
