package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

// Redeliver starts a new run for an operation that ended without an
// acknowledgement: the same callback id and body, attempt numbers go on
// (promise 10).
func (s *Service) Redeliver(ctx context.Context, key operation.Key, r operation.RedeliveryRequest) (operation.State, error) {
	if err := operation.Validate(operation.CheckCardNumber("callback.url", r.Callback.URL)); err != nil {
		return operation.State{}, err
	}
	latest, err := s.describe(ctx, key)
	if err != nil {
		return operation.State{}, err
	}
	if by := latest.redelivery; by != nil && by.BulkRedeliveryID == "" && time.Since(latest.startedAt).Abs() < redeliveryPause {
		return operation.State{}, notRedeliverable("The operation %s was redelivered a moment ago; see how that went first.", key.WorkflowID())
	}
	return s.redeliverLatest(ctx, latest, r)
}

func (s *Service) redeliverLatest(ctx context.Context, latest run, r operation.RedeliveryRequest) (operation.State, error) {
	key := latest.key
	latest, _, err := s.settle(ctx, latest)
	if err != nil {
		return operation.State{}, err
	}
	if latest.open() {
		return operation.State{}, notRedeliverable("The operation %s is open; its delivery goes on by itself.", key.WorkflowID())
	}
	ending, err := s.ending(ctx, latest)
	if err != nil {
		return operation.State{}, err
	}
	if err := redeliverable(key, ending, r); err != nil {
		return operation.State{}, err
	}
	return s.redeliver(ctx, latest, ending, r)
}

func notRedeliverable(format string, args ...any) error {
	return operation.Refuse(operation.ProblemNotRedeliverable, format, args...)
}

// redeliverable is nil where promise 10 allows a redelivery after the latest run
// ended so.
func redeliverable(key operation.Key, e operation.Record, r operation.RedeliveryRequest) error {
	id := key.WorkflowID()
	switch outcome := e.State.Outcome; {
	case resumesWatch(outcome), outcome == operation.OutcomeExhausted, outcome == operation.OutcomeGone:
		return nil
	case r.Force && lastCallbackCounts(e):
		return nil
	case r.Repoll && (e.State.Status == nil || !e.State.Status.Final):
		return nil
	case lastCallbackCounts(e):
		return notRedeliverable("The operation %s ended as %s; to deliver its last callback again use force, which needs its own scope.", id, outcome)
	case e.State.Status == nil || !e.State.Status.Final:
		return notRedeliverable("The operation %s ended as %s and owes no callback; to ask for its status again use repoll.", id, outcome)
	default:
		return notRedeliverable("The operation %s ended as %s and owes no callback.", id, outcome)
	}
}

// lastCallbackCounts reports whether the last callback owed is about the status at
// which the operation ended: nothing older is delivered after a final status.
func lastCallbackCounts(e operation.Record) bool {
	final := e.State.Status != nil && e.State.Status.Final
	last := len(e.Callbacks) - 1
	return last >= 0 && (e.Callbacks[last].Final || !final)
}

// resumesWatch reports whether a redelivery goes on with the watch: no final status
// was recorded when the run ended.
func resumesWatch(o operation.Outcome) bool {
	return o == operation.OutcomeExpired || o == operation.OutcomeTerminated
}

func (s *Service) redeliver(ctx context.Context, latest run, e operation.Record, r operation.RedeliveryRequest) (operation.State, error) {
	start := latest.start
	start.Callback.URL = cmp.Or(r.Callback.URL, latest.url, start.Callback.URL)
	endpoint, ok := s.Endpoint(latest.key.Endpoint)
	if !ok {
		return operation.State{}, notRedeliverable("The endpoint %s is not registered any more; register it, then redeliver.", latest.key.Endpoint)
	}
	faults := s.checkTarget(ctx, endpoint, start.Callback)
	if r.Repoll && endpoint.Rules.PushOnly {
		faults = append(faults, operation.FieldError{Field: "repoll", Detail: "is refused: the endpoint's core pushes each status, and is never polled"})
	}
	if len(faults) > 0 {
		return operation.State{}, operation.Invalid(faults...)
	}
	input := s.input(endpoint, start)
	if last := len(e.Callbacks) - 1; last >= 0 {
		input.Dialect = e.Callbacks[last].Dialect
	}
	host := ""
	if start.Callback.URL != latest.start.Callback.URL {
		host = operation.HostPort(start.Callback.URL)
	}
	input.Redelivery = &workflows.Redelivery{
		Previous: e, Repoll: r.Repoll, Force: r.Force, Watch: r.Repoll || resumesWatch(e.State.Outcome),
		Reason: r.Reason, Host: host, By: r.By, BulkRedeliveryID: r.BulkRedeliveryID,
	}
	note := operation.RedeliveryNote{By: r.By, KeyID: r.KeyID, Reason: r.Reason, Host: host, BulkRedeliveryID: r.BulkRedeliveryID, PreviousRunID: latest.id}
	claim := rand.Text()
	options := s.redeliveryOptions(input, latest, note)
	options.Memo[memoClaim] = claim
	run, err := s.Client.ExecuteWorkflow(withRequestID(ctx, "redelivery of "+latest.id), options, workflows.OperationType, input)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		return operation.State{}, alreadyRedelivered(latest.key)
	case err != nil:
		return operation.State{}, s.operationError("redelivering", latest.key, err)
	}
	if err := s.checkClaim(ctx, latest.key, run.GetRunID(), claim); err != nil {
		return operation.State{}, err
	}
	state := s.firstState(latest.start, run.GetRunID())
	state.Redelivery, state.Host = &note, calledHost(endpoint, start.Callback)
	return state, nil
}

// memoURL is the memo's field for the URL in force, where a redelivery replaced that of
// the start.
const memoURL = "callback_url"

// redeliveryOptions start the run that follows latest. It is never started
// eagerly: the server returns the first workflow task to a repeated request id,
// which two workers would then run.
func (s *Service) redeliveryOptions(in workflows.Input, latest run, note operation.RedeliveryNote) client.StartWorkflowOptions {
	options := s.startOptions(in)
	options.EnableEagerStart = false
	options.WorkflowIDReusePolicy = reusePolicy(latest.status)
	options.Memo = map[string]any{workflows.MemoStart: latest.start, workflows.MemoRedelivery: note}
	if in.Start.Callback.URL != latest.start.Callback.URL {
		options.Memo[memoURL] = in.Start.Callback.URL
	}
	if note.BulkRedeliveryID != "" {
		options.Priority = temporal.Priority{PriorityKey: workflows.PriorityBulkRedelivery}
		options.TypedSearchAttributes = temporal.NewSearchAttributes(
			workflows.AttributeEndpoint.ValueSet(in.Start.Endpoint), workflows.AttributeBulkRedelivery.ValueSet(note.BulkRedeliveryID))
	}
	return options
}
