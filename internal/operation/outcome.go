package operation

import "slices"

// Outcome is how a closed operation ended: how the last callback's delivery did, or,
// where there was none, how the watch did. The empty one is JSON null.
type Outcome string

// The outcomes.
const (
	OutcomeNone         Outcome = ""
	OutcomeAcknowledged Outcome = "acknowledged"
	OutcomeExhausted    Outcome = "exhausted"
	OutcomeGone         Outcome = "gone"
	OutcomeRevoked      Outcome = "revoked"
	OutcomeWithdrawn    Outcome = "withdrawn"
	OutcomeExpired      Outcome = "expired"
	OutcomeTerminated   Outcome = "terminated"
)

// Outcomes are all outcomes of a closed operation.
var Outcomes = []Outcome{
	OutcomeAcknowledged, OutcomeExhausted, OutcomeGone, OutcomeRevoked,
	OutcomeWithdrawn, OutcomeExpired, OutcomeTerminated,
}

// MarshalJSON writes OutcomeNone as null.
func (o Outcome) MarshalJSON() ([]byte, error) {
	if o == OutcomeNone {
		return []byte("null"), nil
	}
	return []byte(`"` + string(o) + `"`), nil
}

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
	for _, c := range slices.Backward(l.callbacks) {
		if c.delivery.Outcome != DeliverySuperseded {
			return &c.delivery
		}
	}
	return nil
}
