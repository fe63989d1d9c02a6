package operation

import "slices"

// enqueue makes a callback due, unless the operation was withdrawn. Under
// SupersedeLatest the older ones that wait are dropped; the one in progress is
// ended by [Lifecycle.ShouldStopDelivery]. A callback that was due before keeps its
// id, body and attempts.
func (l *Lifecycle) enqueue(c Callback) {
	if l.withdrawal != nil {
		return
	}
	c.Key, c.Reference, c.Dialect = l.options.Key, l.options.Reference, l.options.Dialect
	c.ID = CallbackID(l.options.Key, c.Observation.Status)
	if l.options.Supersede != SupersedeEvery {
		l.supersedeWaiting("")
	}
	attempts := []Attempt{}
	if i := l.find(c.ID); i >= 0 {
		before := l.callbacks[i]
		attempts, c.Observation = before.delivery.Attempts, before.callback.Observation
		c.Reference, c.Dialect = before.callback.Reference, before.callback.Dialect
		l.callbacks = slices.Delete(l.callbacks, i, i+1)
	}
	l.callbacks = append(l.callbacks, callbackDelivery{c, Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason, Outcome: DeliveryPending, Attempts: attempts,
	}})
}

func (l *Lifecycle) find(callbackID string) int {
	return slices.IndexFunc(l.callbacks, func(c callbackDelivery) bool { return c.callback.ID == callbackID })
}

// supersedeWaiting ends the pending deliveries that are not in progress.
func (l *Lifecycle) supersedeWaiting(reason string) {
	for i := range l.callbacks {
		d := &l.callbacks[i].delivery
		if d.Outcome != DeliveryPending || l.inProgress(i) {
			continue
		}
		d.Outcome = DeliverySuperseded
		if reason != "" {
			d.Reason = reason
		}
	}
}

// clientHas reports whether the client has status, or is about to: it knew it from
// the start, or a callback about it is acknowledged or pending.
func (l *Lifecycle) clientHas(status string) bool {
	return status == l.options.KnownStatus || l.hasCallback(status)
}

// hasCallback reports whether a callback about status is acknowledged or pending.
func (l *Lifecycle) hasCallback(status string) bool {
	i := l.find(CallbackID(l.options.Key, status))
	if i < 0 {
		return false
	}
	switch l.callbacks[i].delivery.Outcome {
	case DeliveryAcknowledged:
		return true
	case DeliveryPending:
		return !l.inProgress(i) || !l.ShouldStopDelivery()
	case DeliveryExhausted, DeliveryGone, DeliverySuperseded:
	}
	return false
}

// inProgress reports whether the i-th callback is the one in progress.
func (l *Lifecycle) inProgress(i int) bool {
	return l.current != nil && l.current.Delivery.CallbackID == l.callbacks[i].callback.ID
}

// waiting is the index of the next pending delivery that is not in progress, or -1.
func (l *Lifecycle) waiting() int {
	for i, c := range l.callbacks {
		if c.delivery.Outcome == DeliveryPending && !l.inProgress(i) {
			return i
		}
	}
	return -1
}

// HasPending reports whether a callback waits or is being delivered.
func (l *Lifecycle) HasPending() bool { return l.current != nil || l.waiting() >= 0 }

// StartDelivery begins the next pending delivery, or takes up the one that the run
// before this one was making. There must be one ([Lifecycle.HasPending]).
func (l *Lifecycle) StartDelivery() (Callback, DeliveryRecord) {
	if l.current == nil {
		l.current = &DeliveryRecord{
			Delivery: l.callbacks[l.waiting()].delivery, Status: l.shownStatus(), Polls: l.watch.Polls, Partial: l.partial(1),
		}
	}
	return l.callbacks[l.find(l.current.Delivery.CallbackID)].callback, l.current.Clone()
}

// CurrentDelivery is the delivery in progress; false if there is none.
func (l *Lifecycle) CurrentDelivery() (DeliveryRecord, bool) {
	if l.current == nil {
		return DeliveryRecord{}, false
	}
	return l.current.Clone(), true
}

// ShouldStopDelivery reports whether the delivery in progress is to end after the
// attempt in flight: withdrawn, revoked, or superseded by a newer status.
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

// RecordDelivery takes over the record of the delivery in progress, and ends it
// where it is no longer pending.
func (l *Lifecycle) RecordDelivery(r DeliveryRecord) {
	d := &l.callbacks[l.find(r.Delivery.CallbackID)].delivery
	*d = r.Delivery
	if r.Pending() {
		l.current = &r
		return
	}
	d.NextAttemptAt = nil
	if reason := l.stopReason(); r.Delivery.Outcome == DeliverySuperseded && reason != "" {
		d.Reason = reason
	}
	l.current = nil
}

func (l *Lifecycle) stopReason() string {
	switch {
	case l.withdrawal != nil && !l.withdrawal.TooLate:
		return ReasonWithdrawn
	case l.revocation != nil:
		return ReasonRevoked
	}
	return ""
}

// Redeliver makes the previous run's last callback due again (promise 10), or one
// about the last status where the client does not have it. It does nothing where a
// newer one is pending, where a revocation came after it, and, unless forced, where
// it was acknowledged. A final status is final again: a repoll is over by now.
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

// lastStatusWasMissed reports whether the last status should have been delivered
// after all others: it came after a withdrawal, or the run was terminated before it
// recorded it.
func (l *Lifecycle) lastStatusWasMissed() bool {
	last := l.watch.Last
	if last == nil || last.Status == "" || last.Status != l.status || l.revocation != nil {
		return false
	}
	i := l.find(CallbackID(l.options.Key, l.status))
	return l.isDelivered(l.status) && !l.clientHas(l.status) && (i < 0 || i < len(l.callbacks)-1)
}
