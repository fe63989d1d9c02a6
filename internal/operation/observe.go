package operation

import "slices"

// ObservationResult says what an observation changed.
type ObservationResult string

// The results of an observation.
const (
	// ObservedChange: a new status, recorded.
	ObservedChange ObservationResult = "change"
	// ObservedSame: the last status again, or an answer without a status.
	ObservedSame ObservationResult = "same"
	// ObservedRepeat: a status that the client has; counted, not delivered.
	ObservedRepeat ObservationResult = "repeat"
	// ObservedContradiction: another status than the final one; counted.
	ObservedContradiction ObservationResult = "contradiction"
	// ObservedStale: the poll began before something newer was recorded; dropped.
	ObservedStale ObservationResult = "stale"
)

// Observe records an observation. A final status is never stale.
func (l *Lifecycle) Observe(o Observation) ObservationResult {
	last := l.watch.Last
	older := last != nil && o.BegunAt.Before(last.ObservedAt)
	switch {
	case l.final:
		return l.observeAfterFinal(o.Status)
	case o.Status == "" || o.Status == l.status:
		return l.observeSame(o, older)
	case older && !l.options.Rules.IsFinal(o.Status):
		return ObservedStale
	}
	return l.record(o, "")
}

// record records a new status and, for that reason, a callback about it where the client
// is to get one.
func (l *Lifecycle) record(o Observation, reason string) ObservationResult {
	l.watch.Last, l.status = &o, o.Status
	l.final = l.options.Rules.IsFinal(o.Status)
	switch {
	case !l.isDelivered(o.Status):
		return ObservedChange
	case l.clientHas(o.Status):
		l.repeated++
		return ObservedRepeat
	}
	l.enqueue(Callback{Final: l.final, Reason: reason, Observation: o})
	return ObservedChange
}

func (l *Lifecycle) observeSame(o Observation, older bool) ObservationResult {
	l.final = l.options.Rules.IsFinal(l.status)
	if !older && (o.Status != "" || !l.final) {
		l.watch.Last = &o
	}
	return ObservedSame
}

// Push records a status that the core sent by itself.
func (l *Lifecycle) Push(status string, now Time) ObservationResult {
	if status == l.status && !l.final {
		return ObservedSame
	}
	return l.Observe(Observation{Status: status, BegunAt: now, ObservedAt: now}.Following(l.watch.Last))
}

// RecordWatch takes over a watch's record and observes its last answer. A poll with a
// stale answer costs nothing and is repeated.
func (l *Lifecycle) RecordWatch(r WatchRecord) ObservationResult {
	last := l.watch.Last
	l.watch, l.watch.Last = r, last
	if r.Last == nil || l.isRecorded(*r.Last) {
		return ObservedSame
	}
	result := l.Observe(*r.Last)
	if result == ObservedStale {
		l.watch.repeatPoll()
	}
	return result
}

// isRecorded reports whether o was read before the last observation was recorded.
func (l *Lifecycle) isRecorded(o Observation) bool {
	last := l.watch.Last
	if last == nil || l.options.Rules.IsFinal(o.Status) && o.Status != l.status {
		return false
	}
	return o.ObservedAt.Before(last.ObservedAt) || o.ObservedAt == last.ObservedAt && o.Status == last.Status
}

// isDelivered reports whether the client is to get a callback about status.
func (l *Lifecycle) isDelivered(status string) bool {
	statuses := l.options.Statuses
	return l.options.Rules.Delivers(status) && (len(statuses) == 0 || slices.Contains(statuses, status))
}

// EndWatch ends the watch without a final status. Where the rules deliver then, a
// callback about the last answer is due.
func (l *Lifecycle) EndWatch(reason string, now Time) {
	if l.watchEnded || l.final {
		return
	}
	l.watchEnded = true
	if status := l.options.Rules.LifetimeStatus; status != "" && status != l.status && reason == ReasonLifetimeOver {
		l.record(Observation{Status: status, BegunAt: now, ObservedAt: now}.Following(l.watch.Last), reason)
		return
	}
	answer := Observation{Raw: l.options.Rules.NoAnswer, BegunAt: now, ObservedAt: now}
	if l.watch.Last != nil {
		answer = *l.watch.Last
	}
	// The end is news also about a status that the client knew, so only callbacks count here.
	if l.options.Rules.DeliversUnanswered && !l.hasCallback(answer.Status) {
		l.enqueue(Callback{Reason: reason, Observation: answer})
	}
}

// StopWatch ends the watch of a run that only delivers (a redelivery).
func (l *Lifecycle) StopWatch() { l.watchEnded = true }

// Watch is how far the watch has come, and what was recorded last.
func (l *Lifecycle) Watch() WatchRecord {
	w := l.watch
	w.Partial = l.partial(0)
	return w
}

// LastStatus is the last status observed; a later answer may have been without one.
func (l *Lifecycle) LastStatus() string { return l.status }

// observeAfterFinal: the first final status stands; what contradicts it is counted.
func (l *Lifecycle) observeAfterFinal(status string) ObservationResult {
	if status == "" || status == l.status {
		return ObservedSame
	}
	l.contradicted++
	return ObservedContradiction
}
