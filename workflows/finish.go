package workflows

import (
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
)

// finish ends the run so that operators see the outcome: acknowledged, revoked and
// expired complete it, exhausted and gone fail it (promise 9), a withdrawal cancels it.
// Each way carries the record.
func (r *run) finish() (operation.Record, error) {
	record := r.record()
	if !r.op.Closed() {
		return record, r.continueAsNew(record)
	}
	r.showOutcome(record.State)
	r.showDetails()
	switch record.State.Outcome {
	case operation.OutcomeExhausted:
		return record, notAcknowledged(TypeExhausted, record)
	case operation.OutcomeGone:
		return record, notAcknowledged(TypeGone, record)
	case operation.OutcomeWithdrawn:
		return record, temporal.NewCanceledError(record)
	default:
		return record, nil
	}
}

// continueAsNew continues the operation in a new run, from the record.
func (r *run) continueAsNew(record operation.Record) error {
	next := r.in
	next.Carried, next.Phase = &record, r.phase
	if r.pollNow {
		record.Watch.PollNow = true
	}
	if again := next.Redelivery; again != nil {
		short := *again
		short.Previous = operation.Record{State: operation.State{RunID: again.Previous.State.RunID}}
		next.Redelivery = &short
	}
	return workflow.NewContinueAsNewError(r.ctx, Operation, next)
}

// showOutcome sets the search attributes of a closed run; none where all went well at once.
func (r *run) showOutcome(s operation.State) {
	var updates []temporal.SearchAttributeUpdate
	if s.Outcome != operation.OutcomeAcknowledged {
		status := ""
		if s.Status != nil {
			status = s.Status.Value
		}
		updates = append(updates, AttributeOutcome.ValueSet(string(s.Outcome)), AttributeStatus.ValueSet(status))
	}
	if status := s.LastHTTPStatus(); r.in.SetHTTPStatus && len(status) > 0 && slices.Contains(operation.WithHTTPStatus, s.Outcome) {
		updates = append(updates, AttributeHTTPStatus.ValueSet(status))
	}
	if n := s.Undelivered(); n > 0 {
		updates = append(updates, AttributeUndelivered.ValueSet(int64(n)))
	}
	if r.phase != "" {
		updates = append(updates, AttributePhase.ValueUnset())
	}
	r.setAttributes(updates...)
}

// showPhase sets AttributePhase where it changed.
func (r *run) showPhase() {
	phase := r.phase
	current, delivering := r.op.CurrentDelivery()
	switch {
	case delivering && current.Delivery.OnHold:
		phase = operation.OnHold
	case delivering:
		phase = operation.Delivering
	case phase != "" && !r.op.HasPending():
		phase = operation.Watching
	}
	if phase == r.phase || r.op.Closed() {
		return
	}
	r.phase = phase
	r.setAttributes(AttributePhase.ValueSet(string(phase)))
}

func (r *run) setAttributes(updates ...temporal.SearchAttributeUpdate) {
	if len(updates) == 0 {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(r.ctx, updates...); err != nil {
		workflow.GetLogger(r.ctx).Warn("setting search attributes failed", "error", err)
	}
}

func notAcknowledged(kind string, record operation.Record) error {
	return temporal.NewNonRetryableApplicationError(record.State.LastDelivery().Ending(), kind, nil, record)
}
