package operation

import "slices"

// Outcome is how an operation ended: its last delivery, or, without one, its watch.
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

// outcome is by the precedence of promise 12: acknowledged > first final status >
// withdrawn > expired. A final status without a callback leaves nothing unacknowledged.
func (l *Lifecycle) outcome() Outcome {
	if w := l.withdrawal; w != nil && !w.TooLate {
		// The attempt in flight at the withdrawal may have been acknowledged.
		if i := l.find(w.CallbackID); i >= 0 && l.callbacks[i].delivery.Outcome == DeliveryAcknowledged {
			return OutcomeAcknowledged
		}
		return OutcomeWithdrawn
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

// lastDelivery is the last delivery that was not superseded, or nil.
func (l *Lifecycle) lastDelivery() *Delivery {
	for _, c := range slices.Backward(l.callbacks) {
		if c.delivery.Outcome != DeliverySuperseded {
			return &c.delivery
		}
	}
	return nil
}
