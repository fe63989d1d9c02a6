package workflows

import (
	"errors"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/callback"
)

// close ends the run so that operators see it at a glance: acknowledged,
// revoked and expired complete it, exhausted and gone fail it (promise 9), a
// withdrawal cancels it. In each case the ending rides on the close event.
func (o *operation) close() (callback.Ending, error) {
	ending := o.ending()
	o.tagEnding(ending.State)
	o.showDetails(ending.State)
	switch ending.State.Outcome {
	case callback.OutcomeExhausted:
		return ending, unacknowledged(TypeExhausted, ending)
	case callback.OutcomeGone:
		return ending, unacknowledged(TypeGone, ending)
	case callback.OutcomeWithdrawn:
		return ending, temporal.NewCanceledError(ending)
	default:
		return ending, nil
	}
}

// tagEnding writes what operators find a closed run by. The happy path, where
// everything was acknowledged, writes nothing.
func (o *operation) tagEnding(s callback.State) {
	var updates []temporal.SearchAttributeUpdate
	if s.Outcome != callback.OutcomeAcknowledged {
		status := ""
		if s.Status != nil {
			status = s.Status.Value
		}
		updates = append(updates, AttributeOutcome.ValueSet(string(s.Outcome)), AttributeStatus.ValueSet(status))
	}
	if n := s.Undelivered(); n > 0 && o.tellsMore() {
		updates = append(updates, AttributeUndelivered.ValueSet(int64(n)))
	}
	if o.shown != "" {
		updates = append(updates, AttributePhase.ValueUnset())
	}
	o.tag(updates...)
}

func (o *operation) tag(updates ...temporal.SearchAttributeUpdate) {
	if len(updates) == 0 {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(o.ctx, updates...); err != nil {
		workflow.GetLogger(o.ctx).Warn("the search attributes of the run stay as they were", "error", err)
	}
}

func unacknowledged(kind string, ending callback.Ending) error {
	last := lastOwed(ending.State.Deliveries)
	made, reason := 0, ""
	if n := len(last.Attempts); n > 0 {
		made, reason = last.Attempts[n-1].Number, "; the last: "+last.Attempts[n-1].Reason
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("callback %s about status %q is %s after %d attempts%s",
			last.CallbackID, last.Status, last.Outcome, made, reason),
		kind, nil, ending)
}

// lastOwed is the delivery that a failed run failed by: the last that was not
// superseded.
func lastOwed(deliveries []callback.Delivery) callback.Delivery {
	for _, d := range slices.Backward(deliveries) {
		if d.Outcome != callback.DeliverySuperseded {
			return d
		}
	}
	return callback.Delivery{}
}

// failedDelivery is what a delivery's error says of how far it came: in the
// error's details, or in the heartbeat details of a time-out.
func failedDelivery(err error) (callback.DeliveryProgress, bool) {
	var progress callback.DeliveryProgress
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) && timeout.HasLastHeartbeatDetails() {
		return progress, timeout.LastHeartbeatDetails(&progress) == nil
	}
	var failure *temporal.ApplicationError
	if errors.As(err, &failure) && failure.HasDetails() {
		return progress, failure.Details(&progress) == nil
	}
	return progress, false
}

// wasCancelled reports whether the activity ended because the workflow asked
// for it: while it waited on the server, or with an attempt that failed then.
func wasCancelled(err error) bool {
	var failure *temporal.ActivityError
	return temporal.IsCanceledError(err) ||
		errors.As(err, &failure) && failure.RetryState() == enumspb.RETRY_STATE_CANCEL_REQUESTED
}
