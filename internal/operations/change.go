package operations

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/callback"
	"ringback/workflows"
)

// Push takes a status that the core says by itself; empty means poll now.
func (d *Desk) Push(ctx context.Context, key callback.Key, status string) error {
	if err := d.checkPushed(key, status); err != nil {
		return err
	}
	push := workflows.Push{Status: status}
	u := newUpdate(key.WorkflowID(), workflows.UpdateStatus, push)
	err := d.update(ctx, u, nil)
	if errors.Is(err, errUnheard) {
		err = d.signalPush(ctx, u, push)
	}
	return d.changeError(ctx, "pushing a status to", key, err)
}

// signalPush says by Signal what no worker took as an Update. Where the run is
// closed, it may have heard the Update after it was given up, and closed by it.
func (d *Desk) signalPush(ctx context.Context, given update, push workflows.Push) error {
	err := d.Client.SignalWorkflow(ctx, given.workflowID, "", workflows.SignalStatus, push)
	if isNotFound(err) {
		return d.updateWithin(ctx, given, nil)
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
func (d *Desk) update(ctx context.Context, u update, answer any) error {
	for begun := time.Now(); ; {
		err := d.updateWithin(ctx, u, answer)
		if !errors.Is(err, errUnheard) || time.Since(begun) > updateAtWork || !d.atWork(ctx, u.workflowID) {
			return err
		}
	}
}

// atWork reports whether a worker is at a workflow task of the run: it takes an
// Update up as soon as that has ended.
func (d *Desk) atWork(ctx context.Context, workflowID string) bool {
	response, err := d.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	return err == nil && response.GetPendingWorkflowTask().GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED
}

func (d *Desk) updateWithin(ctx context.Context, u update, answer any) error {
	bounded, cancel := context.WithTimeout(ctx, updateDeadline)
	defer cancel()
	err := d.updateOnce(bounded, u, answer)
	// The workflow task that took it failed, and everything of it is forgotten.
	for notReady := new(serviceerror.WorkflowNotReady); errors.As(err, &notReady) && bounded.Err() == nil; {
		time.Sleep(updateAgain)
		err = d.updateOnce(bounded, u, answer)
	}
	if ranOut(ctx, bounded, err) {
		return fmt.Errorf("%w: %w", errUnheard, err)
	}
	return err
}

func (d *Desk) updateOnce(ctx context.Context, u update, answer any) error {
	handle, err := d.Client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: u.workflowID, UpdateName: u.name, UpdateID: u.id, Args: u.arguments,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(ctx, answer)
}

func (d *Desk) checkPushed(key callback.Key, status string) error {
	if err := d.screen(key); err != nil {
		return err
	}
	if callback.LooksLikeCardNumber(status) {
		return callback.Invalid(callback.FieldError{Field: "status", Detail: "looks like a card number; Ringback takes none"})
	}
	endpoint, ok := d.Endpoint(key.Endpoint)
	if !ok || status == "" {
		return nil
	}
	for _, rule := range endpoint.Fields {
		if rule.Field != "known_status" {
			continue
		}
		rule.Field = "status"
		if fault := rule.Check(status); fault != nil {
			return callback.Invalid(*fault)
		}
	}
	return nil
}

// changeError tells an operation that is closed from one that is not there.
func (d *Desk) changeError(ctx context.Context, doing string, key callback.Key, err error) error {
	switch {
	case err == nil:
		return nil
	case !isNotFound(err):
		return engineError(doing, key, err)
	}
	latest, unread := d.describe(ctx, key)
	if unread != nil {
		return unread
	}
	if latest.open() {
		return engineError(doing, key, err)
	}
	return callback.Refuse(callback.ProblemClosed, "The operation %s is closed.", key.WorkflowID())
}

// Revoke records that the operation itself was revoked and returns its state.
func (d *Desk) Revoke(ctx context.Context, key callback.Key, r callback.Revocation) (callback.State, error) {
	if !slices.Contains(callback.Initiators, r.InitiatedBy) {
		return callback.State{}, callback.Invalid(callback.FieldError{
			Field: "initiated_by", Detail: "is not one of " + strings.Join(callback.Initiators, ", ")})
	}
	if err := errors.Join(d.screen(key), checkReason(r.Reason)); err != nil {
		return callback.State{}, err
	}
	var state callback.State
	err := d.update(ctx, newUpdate(key.WorkflowID(), workflows.UpdateRevoke, r), &state)
	var refused *temporal.ApplicationError
	switch {
	case errors.As(err, &refused):
		return callback.State{}, callback.Refuse(callback.ProblemNotRevocable, "%s", refused.Message())
	case err != nil:
		return d.revokedBefore(ctx, key, d.changeError(ctx, "revoking", key, err))
	}
	state.UIURL = d.uiURL(key.WorkflowID(), state.RunID)
	return state, nil
}

// revokedBefore lets a revocation that closed the operation be repeated: twice
// is once.
func (d *Desk) revokedBefore(ctx context.Context, key callback.Key, err error) (callback.State, error) {
	var refused *callback.Error
	if !errors.As(err, &refused) || refused.Problem != callback.ProblemClosed {
		return callback.State{}, err
	}
	state, readErr := d.State(ctx, key)
	if readErr == nil && (state.Revocation != nil || d.sawRevoked(state)) {
		return state, nil
	}
	return callback.State{}, err
}

// sawRevoked reports whether the source itself had said what the caller says.
func (d *Desk) sawRevoked(s callback.State) bool {
	endpoint, ok := d.Endpoint(s.Endpoint)
	return ok && s.Status != nil && s.Status.Value == endpoint.Rules.Revoked
}

// Withdraw asks to end the operation without a callback; an attempt in flight
// is never cut off, and if it is acknowledged, that is the outcome.
func (d *Desk) Withdraw(ctx context.Context, key callback.Key) (callback.State, error) {
	var state callback.State
	if err := d.screen(key); err != nil {
		return callback.State{}, err
	}
	err := d.update(ctx, newUpdate(key.WorkflowID(), workflows.UpdateWithdraw), &state)
	switch {
	case err == nil:
		state.UIURL = d.uiURL(key.WorkflowID(), state.RunID)
		return state, nil
	case errors.Is(err, errUnheard):
		err = d.Client.CancelWorkflow(ctx, key.WorkflowID(), "")
	}
	return d.withdrawing(ctx, key, err)
}

// withdrawing is the state after a cancellation, or of an operation that was
// closed before.
func (d *Desk) withdrawing(ctx context.Context, key callback.Key, err error) (callback.State, error) {
	if err != nil && !isNotFound(err) {
		return callback.State{}, engineError("withdrawing", key, err)
	}
	latest, err := d.describe(ctx, key)
	switch {
	case err != nil:
		return callback.State{}, err
	case latest.open():
		return d.openState(ctx, latest), nil
	}
	return d.withdrawnBefore(ctx, latest)
}

func (d *Desk) withdrawnBefore(ctx context.Context, latest run) (callback.State, error) {
	state, err := d.stateOf(ctx, latest)
	if err != nil || state.Outcome == callback.OutcomeWithdrawn {
		return state, err
	}
	return callback.State{}, callback.Refuse(callback.ProblemClosed,
		"The operation %s is closed with outcome %s; there is nothing to withdraw.", latest.key.WorkflowID(), state.Outcome)
}

// reasonMax bounds a reason, in bytes.
const reasonMax = 256

func checkReason(reason string) error {
	if len(reason) > reasonMax {
		return callback.Invalid(callback.FieldError{Field: "reason", Detail: fmt.Sprintf("is longer than %d bytes", reasonMax)})
	}
	if callback.LooksLikeCardNumber(reason) {
		return callback.Invalid(callback.FieldError{Field: "reason", Detail: "looks like it holds a card number; Ringback takes none"})
	}
	return nil
}
