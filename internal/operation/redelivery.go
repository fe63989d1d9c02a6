package operation

// RedeliveryRequest is the body of POST …/redelivery (promise 10).
type RedeliveryRequest struct {
	// Repoll polls the source first; another status is a new callback.
	Repoll bool `json:"repoll,omitempty"`
	// Force delivers also what was acknowledged.
	Force  bool   `json:"force,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Callback.URL replaces a per-operation URL.
	Callback Target `json:"callback,omitzero"`
	// By is the name of the caller's API key, KeyID its id; BulkRedeliveryID may be empty.
	By               string `json:"-"`
	KeyID            string `json:"-"`
	BulkRedeliveryID string `json:"-"`
}

// RedeliveryNote says who redelivered an operation, and why.
type RedeliveryNote struct {
	By               string `json:"by"`
	KeyID            string `json:"key_id,omitempty"`
	Reason           string `json:"reason,omitempty"`
	BulkRedeliveryID string `json:"redeliveries_id,omitempty"`
	// Host is that of the callback's URL, where it is not the start's.
	Host string `json:"host,omitempty"`
	// PreviousRunID is the run that was redelivered.
	PreviousRunID string `json:"previous_run_id"`
}

// Redeliver makes the previous run's last callback due again (promise 10), or one about
// the last status where the client does not have it. It does nothing where a newer one
// is pending, where it was revoked, and, unless forced, where it was acknowledged. A
// final status is final again.
func (l *Lifecycle) Redeliver() {
	l.final = l.final || l.options.Rules.IsFinal(l.status)
	if l.withdrawal != nil || l.HasPending() {
		return
	}
	if l.lastStatusWasMissed() {
		l.enqueue(Callback{Final: l.final, Observation: *l.watch.Last})
		return
	}
	last := len(l.callbacks) - 1
	if last < 0 {
		return
	}
	again := &l.callbacks[last]
	revoked := l.revocation != nil && !again.callback.Final
	if revoked || again.delivery.Outcome == DeliveryAcknowledged && !l.options.Force {
		return
	}
	again.delivery.Outcome, again.delivery.Reason = DeliveryPending, again.callback.Reason
}

// lastStatusWasMissed reports whether the last status should have been delivered after
// all others: it came after a withdrawal, or the run was terminated.
func (l *Lifecycle) lastStatusWasMissed() bool {
	last := l.watch.Last
	if last == nil || last.Status == "" || last.Status != l.status || l.revocation != nil {
		return false
	}
	i := l.find(CallbackID(l.options.Key, l.status))
	return l.isDelivered(l.status) && !l.clientHas(l.status) && (i < 0 || i < len(l.callbacks)-1)
}
