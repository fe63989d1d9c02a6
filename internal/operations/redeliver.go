package operations

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/callback"
	"ringback/workflows"
)

// Redeliver starts a new run for an operation that ended without an
// acknowledgement: the same callback id and body, attempt numbers go on
// (promise 10).
func (d *Desk) Redeliver(ctx context.Context, key callback.Key, r callback.RedeliveryRequest) (callback.State, error) {
	if err := checkReason(r.Reason); err != nil {
		return callback.State{}, err
	}
	if callback.LooksLikeCardNumber(r.Callback.URL) {
		return callback.State{}, callback.Invalid(callback.FieldError{Field: "callback.url", Detail: cardNumberDetail})
	}
	latest, err := d.describe(ctx, key)
	if err != nil {
		return callback.State{}, err
	}
	return d.redeliverLatest(ctx, latest, r)
}

func (d *Desk) redeliverLatest(ctx context.Context, latest run, r callback.RedeliveryRequest) (callback.State, error) {
	key := latest.key
	if latest.open() {
		return callback.State{}, notRedeliverable("The operation %s is open; its delivery goes on by itself.", key.WorkflowID())
	}
	ending, err := d.ending(ctx, latest)
	if err != nil {
		return callback.State{}, err
	}
	if err := redeliverable(key, ending, r); err != nil {
		return callback.State{}, err
	}
	return d.redeliver(ctx, latest, ending, r)
}

func notRedeliverable(format string, args ...any) error {
	return callback.Refuse(callback.ProblemNotRedeliverable, format, args...)
}

// redeliverable holds the rule of promise 10 against how the latest run ended.
func redeliverable(key callback.Key, e callback.Record, r callback.RedeliveryRequest) error {
	id := key.WorkflowID()
	switch outcome := e.State.Outcome; {
	case resumes(outcome):
		return nil
	case outcome == callback.OutcomeExhausted, outcome == callback.OutcomeGone:
		return nil
	case r.Force && ringsStill(e):
		return nil
	case r.Repoll && (e.State.Status == nil || !e.State.Status.Final):
		return nil
	case outcome == callback.OutcomeAcknowledged:
		return notRedeliverable("The operation %s was acknowledged; to ring it again use force, which needs its own scope.", id)
	default:
		return notRedeliverable("The operation %s ended as %s and owes no callback.", id, outcome)
	}
}

// ringsStill reports whether the last callback owed is about where the operation
// ended: nothing older than a final status rings after it.
func ringsStill(e callback.Record) bool {
	final := e.State.Status != nil && e.State.Status.Final
	last := len(e.Callbacks) - 1
	return last >= 0 && (e.Callbacks[last].Final || !final)
}

// resumes reports whether a redelivery goes on with the watch: nothing final
// was seen when the run ended.
func resumes(o callback.Outcome) bool {
	return o == callback.OutcomeExpired || o == callback.OutcomeTerminated
}

func (d *Desk) redeliver(ctx context.Context, latest run, e callback.Record, r callback.RedeliveryRequest) (callback.State, error) {
	start := latest.start
	if r.Callback.URL != "" {
		start.Callback.URL = r.Callback.URL
	}
	endpoint, ok := d.Endpoint(latest.key.Endpoint)
	if !ok {
		return callback.State{}, notRedeliverable("The endpoint %s is not registered any more; register it, then redeliver.", latest.key.Endpoint)
	}
	if faults := d.checkTarget(ctx, endpoint, start.Callback); len(faults) > 0 {
		return callback.State{}, callback.Invalid(faults...)
	}
	input := d.input(endpoint, start)
	input.Redelivery = &workflows.Redelivery{
		Previous: e, Repoll: r.Repoll, Force: r.Force, Watch: r.Repoll || resumes(e.State.Outcome), Reason: r.Reason,
		By: r.By, RedeliveriesID: r.RedeliveriesID,
	}
	note := callback.RedeliveryNote{By: r.By, Reason: r.Reason, RedeliveriesID: r.RedeliveriesID, PreviousRunID: latest.id}
	options := d.startOptions(input)
	options.Memo = map[string]any{workflows.MemoStart: latest.start, workflows.MemoRedelivery: note}
	if r.RedeliveriesID != "" {
		// Behind live traffic: through the task queue, and last in it.
		options.EnableEagerStart = false
		options.Priority = temporal.Priority{PriorityKey: workflows.PriorityRedeliveries}
		options.TypedSearchAttributes = temporal.NewSearchAttributes(
			workflows.AttributeEndpoint.ValueSet(start.Endpoint), workflows.AttributeRedeliveries.ValueSet(r.RedeliveriesID))
	}
	options.WorkflowIDReusePolicy = reusePolicy(latest.status)
	run, err := d.Client.ExecuteWorkflow(ctx, options, workflows.OperationType, input)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		return callback.State{}, notRedeliverable("The operation %s is being redelivered already.", latest.key.WorkflowID())
	case err != nil:
		return callback.State{}, engineError("redelivering", latest.key, err)
	}
	state := d.accepted(latest.start, run.GetRunID())
	state.Redelivery = &note
	return state, nil
}

// reusePolicy refuses, wherever the engine can, a second redelivery that was
// asked for at the same moment: a failed run may be followed by a new one only
// as long as it is the latest.
func reusePolicy(latest enumspb.WorkflowExecutionStatus) enumspb.WorkflowIdReusePolicy {
	if latest == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	return enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
}
