package service

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"ringback/internal/operation"
)

// A start is idempotent (promise 1): Temporal starts one workflow for an id, and its
// memo keeps the request. The same request again is answered with 200 and the state,
// another one under the same id with 409.

// startedBefore is the state of an operation that was started with the same content.
func (s *Service) startedBefore(ctx context.Context, r operation.StartRequest) (operation.State, error) {
	latest, err := s.describe(ctx, r.Key())
	if err != nil {
		return operation.State{}, err
	}
	if !sameContent(latest.start, r) {
		return operation.State{}, conflictError(latest.start, r)
	}
	return s.stateOf(ctx, latest)
}

// conflictError names the fields that differ, and repeats nothing of them.
func conflictError(before, again operation.StartRequest) error {
	conflict := operation.Refuse(operation.ProblemConflict,
		"The operation %s was started before with other content; read it, or use another operation_id.", again.Key().WorkflowID())
	for _, field := range contentFields {
		if !slices.Equal(fieldValues(before, field), fieldValues(again, field)) {
			conflict.Fields = append(conflict.Fields, operation.FieldError{Field: field, Detail: "is not what the operation was started with"})
		}
	}
	return conflict
}

// contentFields are the fields of a start beside its key.
var contentFields = []string{"method", "reference.registered_at", "reference.order_id", "known_status", "callback.url", "callback.statuses"}

// startedDespite is startedBefore for a request that is refused now: its endpoint
// may have been disabled, removed or changed since the start.
func (s *Service) startedDespite(ctx context.Context, r operation.StartRequest, refusal error) (operation.State, error) {
	refused, ok := errors.AsType[*operation.Error](refusal)
	if ok && slices.ContainsFunc(refused.Fields, operation.FieldError.IsOfCardNumber) {
		return operation.State{}, refusal
	}
	state, err := s.startedBefore(ctx, r)
	failed, ok := errors.AsType[*operation.Error](err)
	if err == nil || ok && failed.Problem == operation.ProblemUnavailable {
		return state, err
	}
	return operation.State{}, refusal
}

// normalise sorts what may come in any order.
func normalise(r *operation.StartRequest) {
	slices.Sort(r.Callback.Statuses)
	r.Callback.Statuses = slices.Compact(r.Callback.Statuses)
}

// sameContent compares normalised requests as they are written: a list that is
// empty and one that is left out are the same.
func sameContent(a, b operation.StartRequest) bool {
	one, errOne := json.Marshal(a)
	other, errOther := json.Marshal(b)
	return errOne == nil && errOther == nil && string(one) == string(other)
}
