package operation

import "slices"

// enqueue makes a callback due, unless the operation was withdrawn. One that was due
// before keeps its id, body and attempts.
func (l *Lifecycle) enqueue(c Callback) {
	if l.withdrawal != nil {
		return
	}
	c.Key, c.Reference, c.Dialect = l.options.Key, l.options.Reference, l.options.Dialect
	c.ID = CallbackID(l.options.Key, c.Observation.Status)
	if l.options.Supersede != SupersedeEvery {
		l.supersedeWaiting("")
	}
	attempts, host := []Attempt{}, ""
	if i := l.find(c.ID); i >= 0 {
		before := l.callbacks[i]
		attempts, host, c.Observation = before.delivery.Attempts, before.delivery.Host, before.callback.Observation
		c.Reference, c.Dialect = before.callback.Reference, before.callback.Dialect
		l.callbacks = slices.Delete(l.callbacks, i, i+1)
	}
	l.callbacks = append(l.callbacks, callbackDelivery{c, Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason, Outcome: DeliveryPending, Host: host, Attempts: attempts,
	}})
}

func (l *Lifecycle) find(callbackID string) int {
	return slices.IndexFunc(l.callbacks, func(c callbackDelivery) bool { return c.callback.ID == callbackID })
}

// clientHas reports whether the client has status: known from the start, acknowledged or pending.
func (l *Lifecycle) clientHas(status string) bool {
	return status == l.options.KnownStatus || l.hasCallback(status)
}

// hasCallback reports whether a callback about status is acknowledged or pending.
func (l *Lifecycle) hasCallback(status string) bool {
	i := l.find(CallbackID(l.options.Key, status))
	if i < 0 {
		return false
	}
	c := l.callbacks[i]
	return c.delivery.Outcome == DeliveryAcknowledged || l.isWaiting(c) || l.inProgress(c) && !l.ShouldStopDelivery()
}

func (l *Lifecycle) inProgress(c callbackDelivery) bool {
	return l.current != nil && l.current.Delivery.CallbackID == c.callback.ID
}

func (l *Lifecycle) isWaiting(c callbackDelivery) bool {
	return c.delivery.Outcome == DeliveryPending && !l.inProgress(c)
}

// waiting is the index of the next pending delivery that is not in progress, or -1.
func (l *Lifecycle) waiting() int { return slices.IndexFunc(l.callbacks, l.isWaiting) }

// HasPending reports whether a callback waits or is being delivered.
func (l *Lifecycle) HasPending() bool { return l.current != nil || l.waiting() >= 0 }

// StartDelivery begins the next pending delivery, of which there must be one, or takes
// up the one that the run before was making.
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

// RecordDelivery takes over the record of the delivery in progress.
func (l *Lifecycle) RecordDelivery(r DeliveryRecord) {
	d := &l.callbacks[l.find(r.Delivery.CallbackID)].delivery
	*d = r.Delivery
	if r.Pending() {
		l.current = &r
		return
	}
	d.NextAttemptAt = nil
	if reason := l.supersedeReason(); d.Outcome == DeliverySuperseded && reason != "" {
		d.Reason = reason
	}
	l.current = nil
}
