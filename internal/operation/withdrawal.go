package operation

// Withdrawal is the statement that the callback is no longer wanted.
type Withdrawal struct {
	// TooLate says that the outcome was decided already: the withdrawal changes nothing.
	TooLate bool `json:"too_late,omitempty"`
	// CallbackID is the callback that was being delivered then, or empty.
	CallbackID string `json:"callback_id,omitempty"`
}

// Withdraw ends the operation without a callback (promise 8), unless its outcome is
// decided already (promise 12).
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
