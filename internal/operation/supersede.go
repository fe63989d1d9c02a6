package operation

import (
	"slices"
	"time"
)

// supersedeWaiting ends the pending deliveries that are not in progress.
func (l *Lifecycle) supersedeWaiting(reason string) {
	for i, c := range l.callbacks {
		if !l.isWaiting(c) {
			continue
		}
		l.callbacks[i].delivery.Outcome = DeliverySuperseded
		if reason != "" {
			l.callbacks[i].delivery.Reason = reason
		}
	}
}

// ShouldStopDelivery reports whether the delivery in progress is to end after the
// attempt in flight: withdrawn, revoked, or superseded by a newer callback, which
// enqueue made. Only a withdrawal ends that of a final status. The workflow stops the
// activity (workflows/deliver.go).
func (l *Lifecycle) ShouldStopDelivery() bool {
	if l.current == nil {
		return false
	}
	i := l.find(l.current.Delivery.CallbackID)
	switch {
	case l.withdrawal != nil:
		return true
	case l.callbacks[i].callback.Final:
		return false
	case l.revocation != nil:
		return true
	}
	return l.options.Supersede != SupersedeEvery && slices.ContainsFunc(l.callbacks[i+1:], func(c callbackDelivery) bool {
		return c.delivery.Outcome == DeliveryPending
	})
}

// Supersede ends a pending delivery.
func (r *DeliveryRecord) Supersede(timeout time.Duration) {
	r.Interrupt(timeout, ReasonUnseen)
	r.Delivery.Outcome, r.Delivery.OnHold = DeliverySuperseded, false
}

func (l *Lifecycle) supersedeReason() string {
	switch {
	case l.withdrawal != nil && !l.withdrawal.TooLate:
		return ReasonWithdrawn
	case l.revocation != nil:
		return ReasonRevoked
	}
	return ""
}
