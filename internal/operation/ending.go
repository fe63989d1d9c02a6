package operation

import (
	"slices"
	"strings"
)

// Withdrawal is the statement that the callback is no longer wanted.
type Withdrawal struct {
	// TooLate says that the outcome was decided already: the withdrawal changes nothing.
	TooLate bool `json:"too_late,omitempty"`
	// CallbackID is the callback that was being delivered then, or empty.
	CallbackID string `json:"callback_id,omitempty"`
}

// CheckRevocation is the reason why the operation can't be revoked now, or nil
// (promise 7).
func (l *Lifecycle) CheckRevocation(r Revocation) error {
	id := l.options.Key.WorkflowID()
	switch {
	case !slices.Contains(Initiators, r.InitiatedBy):
		return Invalid(FieldError{Field: "initiated_by", Detail: "is not one of " + strings.Join(Initiators, ", ")})
	case l.revoked():
		return nil
	case l.withdrawal != nil:
		return Refuse(ProblemNotRevocable, "The operation %s was withdrawn; it is not watched any more.", id)
	case l.final:
		return Refuse(ProblemNotRevocable, "The operation %s is final with status %q and can't be revoked.", id, l.status)
	case !l.options.Rules.IsRevocable(l.status):
		return Refuse(ProblemNotRevocable, "The operation %s has status %q, which can't be revoked.", id, l.status)
	}
	return nil
}

// Revoke records that the operation was revoked in the core. That is its final
// status, and supersedes what is pending. A second revocation changes nothing, also
// where a poll was the first to find the operation revoked.
func (l *Lifecycle) Revoke(r Revocation) error {
	if err := l.CheckRevocation(r); err != nil || l.revoked() {
		return err
	}
	l.revocation = &r
	revoked := l.options.Rules.Revoked
	l.status, l.final = revoked, true
	l.watch.Last = &Observation{Status: revoked, BegunAt: r.At, ObservedAt: r.At}
	l.supersedeWaiting(ReasonRevoked)
	if r.InitiatedBy != InitiatedByClient && l.isDelivered(revoked) && !l.clientHas(revoked) {
		l.enqueue(Callback{Final: true, Observation: *l.watch.Last})
	}
	return nil
}

func (l *Lifecycle) revoked() bool {
	return l.revocation != nil || (l.final && l.status == l.options.Rules.Revoked)
}

// Withdraw ends the operation without a callback (promise 8). It changes nothing
// where the outcome is decided already (promise 12).
func (l *Lifecycle) Withdraw() {
	if l.withdrawal != nil {
		return
	}
	delivering := l.current != nil && !l.ShouldStopDelivery() || l.waiting() >= 0
	w := Withdrawal{TooLate: !delivering && !l.Watching() && (l.final || l.lastDelivery() != nil)}
	if l.current != nil {
		w.CallbackID = l.current.Delivery.CallbackID
	}
	l.withdrawal = &w
	l.supersedeWaiting(ReasonWithdrawn)
}

// Withdrawn reports whether the operation was withdrawn.
func (l *Lifecycle) Withdrawn() bool { return l.withdrawal != nil }

// outcome is how the operation ended, by the precedence of promise 12:
// acknowledged > first final status > withdrawn > expired. A final status without a
// callback (the client knew it, or did not ask for it) leaves nothing
// unacknowledged.
func (l *Lifecycle) outcome() Outcome {
	if l.withdrawal != nil && !l.withdrawal.TooLate {
		return l.withdrawnOutcome()
	}
	if d := l.lastDelivery(); d != nil {
		return deliveryOutcomes[d.Outcome]
	}
	switch {
	case l.final && l.status == l.options.Rules.Revoked:
		return OutcomeRevoked
	case l.final:
		return OutcomeAcknowledged
	}
	return OutcomeExpired
}

var deliveryOutcomes = map[DeliveryOutcome]Outcome{
	DeliveryAcknowledged: OutcomeAcknowledged,
	DeliveryExhausted:    OutcomeExhausted,
	DeliveryGone:         OutcomeGone,
}

// withdrawnOutcome is acknowledged if the attempt in flight at the withdrawal was.
func (l *Lifecycle) withdrawnOutcome() Outcome {
	if i := l.find(l.withdrawal.CallbackID); i >= 0 && l.callbacks[i].delivery.Outcome == DeliveryAcknowledged {
		return OutcomeAcknowledged
	}
	return OutcomeWithdrawn
}

// lastDelivery is the last delivery that was not superseded, or nil.
func (l *Lifecycle) lastDelivery() *Delivery {
	for i := len(l.callbacks) - 1; i >= 0; i-- {
		if l.callbacks[i].delivery.Outcome != DeliverySuperseded {
			return &l.callbacks[i].delivery
		}
	}
	return nil
}
