package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
)

// finish ends the run so that operators see it at a glance: acknowledged,
// revoked and expired complete it, exhausted and gone fail it (promise 9), a
// withdrawal cancels it. In each case the record rides on the close event. A run
// that is not over is continued by another.
func (r *run) finish() (operation.Record, error) {
	record := r.record()
	if !r.ledger.Over() {
		return record, r.continueAsNew(record)
	}
	r.tagOutcome(record.State)
	r.showDetails()
	switch record.State.Outcome {
	case operation.OutcomeExhausted:
		return record, unacknowledged(TypeExhausted, record)
	case operation.OutcomeGone:
		return record, unacknowledged(TypeGone, record)
	case operation.OutcomeWithdrawn:
		return record, temporal.NewCanceledError(record)
	default:
		return record, nil
	}
}

// continueAsNew goes on in a run with a short history, from the record. Its memo
// and search attributes stay.
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

// tagOutcome writes what operators find a closed run by. The happy path, where
// everything was acknowledged, writes nothing.
func (r *run) tagOutcome(s operation.State) {
	var updates []temporal.SearchAttributeUpdate
	if s.Outcome != operation.OutcomeAcknowledged {
		status := ""
		if s.Status != nil {
			status = s.Status.Value
		}
		updates = append(updates, AttributeOutcome.ValueSet(string(s.Outcome)), AttributeStatus.ValueSet(status))
	}
	if n := s.Undelivered(); n > 0 {
		updates = append(updates, AttributeUndelivered.ValueSet(int64(n)))
	}
	if r.phase != "" {
		updates = append(updates, AttributePhase.ValueUnset())
	}
	r.tag(updates...)
}

func (r *run) tag(updates ...temporal.SearchAttributeUpdate) {
	if len(updates) == 0 {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(r.ctx, updates...); err != nil {
		workflow.GetLogger(r.ctx).Warn("the search attributes of the run stay as they were", "error", err)
	}
}

func unacknowledged(kind string, record operation.Record) error {
	last := lastOwed(record.State.Deliveries)
	made, reason := 0, ""
	if n := len(last.Attempts); n > 0 {
		made, reason = last.Attempts[n-1].Number, "; the last: "+last.Attempts[n-1].Reason
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("callback %s about status %q is %s after %d attempts%s",
			last.CallbackID, last.Status, last.Outcome, made, reason),
		kind, nil, record)
}

// lastOwed is the delivery that a failed run failed by: the last that was not
// superseded.
func lastOwed(deliveries []operation.Delivery) operation.Delivery {
	for _, d := range slices.Backward(deliveries) {
		if d.Outcome != operation.DeliverySuperseded {
			return d
		}
	}
	return operation.Delivery{}
}
