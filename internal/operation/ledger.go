package operation

import (
	"slices"
	"strings"
)

// Ledger applies the rules to what the runs of one operation record: what is
// owed, in which order, and how the operation ends (promises 3, 4, 7, 8, 9 and
// 12). It is plain data and deterministic: the workflow feeds it facts and acts on
// what it answers.
type Ledger struct {
	terms Opening

	watch WatchRecord
	// known is the last status; the last answer may have been without one.
	known      string
	final      bool
	watchEnded bool
	withdrawal *Withdrawal
	revocation *Revocation

	// owed are the callbacks owed so far, one for each id, in the order in which
	// they were owed last.
	owed []owed
	// delivery is the delivery that has begun and not ended, or nil.
	delivery *DeliveryRecord

	repeated     int
	contradicted int
}

// owed is a callback and how its delivery stands.
type owed struct {
	callback Callback
	delivery Delivery
}

// Opening is what a ledger begins with.
type Opening struct {
	Key       Key
	Reference Reference
	// Dialect is what the operation's callbacks are written in.
	Dialect string
	Rules   Rules
	// Wanted filters which statuses ring; empty: all that the rules ring.
	Wanted    []string
	Supersede string
	// KnownStatus counts as delivered.
	KnownStatus string
	// Carried is the record of the run that this one continues, or nil.
	Carried *Record
	// Previous is the record of the closed run that is redelivered, or nil.
	Previous *Record
	// Force owes the previous run's callback also if it was acknowledged.
	Force bool
	// Repoll lets the source say another status than the previous run's final one.
	Repoll bool
}

// Record is what a run hands on: on its close event to those who read or redeliver
// it, and to the run that continues it as new.
type Record struct {
	State State `json:"state"`
	// Known is the last status, where the last answer was without one.
	Known string `json:"known,omitempty"`
	// Callbacks are the messages of State.Deliveries, in the same order.
	Callbacks []Callback `json:"callbacks,omitempty"`
	// What follows is of open runs alone.
	Watch      *WatchRecord    `json:"watch,omitempty"`
	WatchEnded bool            `json:"watch_ended,omitempty"`
	Withdrawal *Withdrawal     `json:"withdrawal,omitempty"`
	Delivery   *DeliveryRecord `json:"delivery,omitempty"`
}

// Withdrawal is the statement that the callback is no longer wanted.
type Withdrawal struct {
	// TooLate says that the end was decided already: it changes nothing.
	TooLate bool `json:"too_late,omitempty"`
	// CallbackID is the callback that was being delivered then, or empty.
	CallbackID string `json:"callback_id,omitempty"`
}

// OpenLedger begins a run.
func OpenLedger(o Opening) *Ledger {
	l := &Ledger{terms: o}
	if r := o.Carried; r != nil {
		l.restore(*r)
		l.watchEnded, l.withdrawal, l.delivery = r.WatchEnded, r.Withdrawal, r.Delivery
		if r.Watch != nil {
			l.watch = *r.Watch
		}
		l.repeated, l.contradicted = r.State.Repeated, r.State.Contradicted
		return l
	}
	if r := o.Previous; r != nil {
		l.restore(*r)
		l.final = l.final && !(o.Repoll && l.revocation == nil)
		l.closePending()
	}
	return l
}

func (l *Ledger) restore(r Record) {
	if s := r.State.Status; s != nil {
		l.watch.Last = &Observation{Status: s.Value, Raw: s.Raw, BegunAt: s.ObservedAt, ObservedAt: s.ObservedAt}
		l.known, l.final = s.Value, s.Final
	}
	if r.Known != "" {
		l.known = r.Known
	}
	l.revocation = r.State.Revocation
	for i, c := range r.Callbacks {
		l.owed = append(l.owed, owed{c, r.State.Deliveries[i]})
	}
}

// closePending ends what a terminated run left pending.
func (l *Ledger) closePending() {
	for i := range l.owed {
		if l.owed[i].delivery.Outcome == DeliveryPending {
			l.owed[i].delivery.Outcome = DeliverySuperseded
		}
	}
}

// Observed says what became of an observation.
type Observed string

// What can become of an observation.
const (
	// ObservedChange: a new status, recorded.
	ObservedChange Observed = "change"
	// ObservedSame: the status known already, or an answer without a status.
	ObservedSame Observed = "same"
	// ObservedRepeat: a status that the client has; counted, not owed.
	ObservedRepeat Observed = "repeat"
	// ObservedContradiction: another status than the final one; counted.
	ObservedContradiction Observed = "contradiction"
	// ObservedStale: an answer that was on its way while something newer was
	// recorded; dropped.
	ObservedStale Observed = "stale"
)

// Observe takes an observation. A final status is never dropped for its age: the
// core does not take one back.
func (l *Ledger) Observe(o Observation) Observed {
	last := l.watch.Last
	older := last != nil && o.BegunAt.Before(last.ObservedAt)
	switch {
	case l.final:
		return l.observeAfterFinal(o)
	case o.Status == "" || o.Status == l.known:
		return l.observeSame(o, older)
	case older && !l.terms.Rules.IsFinal(o.Status):
		return ObservedStale
	}
	l.watch.Last, l.known = &o, o.Status
	l.final = l.terms.Rules.IsFinal(o.Status)
	switch {
	case !l.rings(o.Status):
		return ObservedChange
	case l.delivered(o.Status):
		l.repeated++
		return ObservedRepeat
	}
	l.owe(Callback{Final: l.final, Observation: o})
	return ObservedChange
}

func (l *Ledger) observeSame(o Observation, older bool) Observed {
	l.final = l.terms.Rules.IsFinal(l.known)
	if !older && (o.Status != "" || !l.final) {
		l.watch.Last = &o
	}
	return ObservedSame
}

func (l *Ledger) observeAfterFinal(o Observation) Observed {
	if o.Status == "" || o.Status == l.known {
		return ObservedSame
	}
	l.contradicted++
	return ObservedContradiction
}

// Push takes a status that the core said by itself. What is known already makes no
// answer stale that is on its way.
func (l *Ledger) Push(status string, now Time) Observed {
	if status == l.known && !l.final {
		return ObservedSame
	}
	return l.Observe(Observation{Status: status, BegunAt: now, ObservedAt: now}.Following(l.watch.Last))
}

// TakeWatch takes over how far a watch came, and what it was answered last. An
// answer that was on its way while something newer was recorded costs no poll, and
// is asked for again.
func (l *Ledger) TakeWatch(r WatchRecord) Observed {
	last := l.watch.Last
	l.watch, l.watch.Last = r, last
	if r.Last == nil || l.isKnownAnswer(*r.Last) {
		return ObservedSame
	}
	observed := l.Observe(*r.Last)
	if observed == ObservedStale {
		l.watch.drop()
	}
	return observed
}

// isKnownAnswer reports whether o was read before the last observation was
// recorded: the watch began with it, or told of it before.
func (l *Ledger) isKnownAnswer(o Observation) bool {
	last := l.watch.Last
	if last == nil || l.terms.Rules.IsFinal(o.Status) && o.Status != l.known {
		return false
	}
	return o.ObservedAt.Before(last.ObservedAt) || o.ObservedAt == last.ObservedAt && o.Status == last.Status
}

func (l *Ledger) rings(status string) bool {
	return l.terms.Rules.Delivers(status) && (len(l.terms.Wanted) == 0 || slices.Contains(l.terms.Wanted, status))
}

// delivered reports whether the client has status, or is about to: it was
// acknowledged, is pending, or the client knew it from the start.
func (l *Ledger) delivered(status string) bool {
	if status == l.terms.KnownStatus {
		return true
	}
	i := l.find(CallbackID(l.terms.Key, status))
	if i < 0 {
		return false
	}
	switch l.owed[i].delivery.Outcome {
	case DeliveryAcknowledged:
		return true
	case DeliveryPending:
		return !l.begun(i) || !l.Unwanted()
	case DeliveryExhausted, DeliveryGone, DeliverySuperseded:
	}
	return false
}

func (l *Ledger) find(callbackID string) int {
	return slices.IndexFunc(l.owed, func(o owed) bool { return o.callback.ID == callbackID })
}

// begun reports whether the delivery of the i-th callback owed has begun and not
// ended.
func (l *Ledger) begun(i int) bool {
	return l.delivery != nil && l.delivery.Delivery.CallbackID == l.owed[i].callback.ID
}

// owe adds a callback, unless none is wanted any more; under SupersedeLatest it
// drops the older ones that wait. The one being delivered is dropped by
// [Ledger.Unwanted]. A callback that was owed before is owed again as it was: one
// id, one body, and attempt numbers that go on.
func (l *Ledger) owe(c Callback) {
	if l.withdrawal != nil {
		return
	}
	c.Key, c.Reference, c.Dialect = l.terms.Key, l.terms.Reference, l.terms.Dialect
	c.ID = CallbackID(l.terms.Key, c.Observation.Status)
	if l.terms.Supersede != SupersedeEvery {
		l.dropWaiting("")
	}
	attempts := []Attempt{}
	if i := l.find(c.ID); i >= 0 {
		again := l.owed[i]
		attempts, c.Observation = again.delivery.Attempts, again.callback.Observation
		c.Reference, c.Dialect = again.callback.Reference, again.callback.Dialect
		l.owed = slices.Delete(l.owed, i, i+1)
	}
	l.owed = append(l.owed, owed{c, Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason, Outcome: DeliveryPending, Attempts: attempts,
	}})
}

// dropWaiting ends the deliveries that wait and have not begun.
func (l *Ledger) dropWaiting(reason string) {
	for i := range l.owed {
		d := &l.owed[i].delivery
		if d.Outcome != DeliveryPending || l.begun(i) {
			continue
		}
		d.Outcome = DeliverySuperseded
		if reason != "" {
			d.Reason = reason
		}
	}
}

// Redeliver owes the previous run's last callback again (promise 10), or the last
// status where the client does not have it. It does nothing where a newer one is
// owed or a revocation came after it, and, unless forced, where it was
// acknowledged. A repoll is over then: a final status is final again.
func (l *Ledger) Redeliver() {
	l.final = l.final || l.terms.Rules.IsFinal(l.known)
	if l.withdrawal != nil || l.Owes() {
		return
	}
	if l.missed() {
		l.owe(Callback{Final: l.final, Observation: *l.watch.Last})
		return
	}
	last := len(l.owed) - 1
	if last < 0 {
		return
	}
	again := &l.owed[last]
	revoked := l.revocation != nil && !again.callback.Final
	if revoked || again.delivery.Outcome == DeliveryAcknowledged && !l.terms.Force {
		return
	}
	again.delivery.Outcome, again.delivery.Reason = DeliveryPending, again.callback.Reason
}

// missed reports whether the last status should have been owed after all others: it
// came after a withdrawal, or the run was terminated before it took it in.
func (l *Ledger) missed() bool {
	last := l.watch.Last
	if last == nil || last.Status == "" || last.Status != l.known || l.revocation != nil {
		return false
	}
	i := l.find(CallbackID(l.terms.Key, l.known))
	return l.rings(l.known) && !l.delivered(l.known) && (i < 0 || i < len(l.owed)-1)
}

// EndWatch ends the watch without a final status: polls used up, or lifetime over.
// Where the rules ring then, the last answer read is owed; elsewhere the operation
// ends silently, as expired.
func (l *Ledger) EndWatch(reason string, now Time) {
	if l.watchEnded || l.final {
		return
	}
	l.watchEnded = true
	answer := Observation{Raw: l.terms.Rules.NoAnswer, BegunAt: now, ObservedAt: now}
	if l.watch.Last != nil {
		answer = *l.watch.Last
	}
	if !l.terms.Rules.DeliversUnanswered || l.told(answer.Status) {
		return
	}
	l.owe(Callback{Reason: reason, Observation: answer})
}

// told reports whether a callback about status was acknowledged or is pending. A
// status that the client knew from the start has none: that its watch is over is
// news all the same.
func (l *Ledger) told(status string) bool {
	i := l.find(CallbackID(l.terms.Key, status))
	return i >= 0 && l.delivered(status)
}

// CheckRevocation says why the operation can't be revoked now, or nil (promise 7).
func (l *Ledger) CheckRevocation(r Revocation) error {
	id := l.terms.Key.WorkflowID()
	switch {
	case !slices.Contains(Initiators, r.InitiatedBy):
		return Invalid(FieldError{Field: "initiated_by", Detail: "is not one of " + strings.Join(Initiators, ", ")})
	case l.revoked():
		return nil
	case l.withdrawal != nil:
		return Refuse(ProblemNotRevocable, "The operation %s was withdrawn; it is not watched any more.", id)
	case l.final:
		return Refuse(ProblemNotRevocable, "The operation %s is final with status %q and can't be revoked.", id, l.known)
	case !l.terms.Rules.IsRevocable(l.known):
		return Refuse(ProblemNotRevocable, "The operation %s has status %q, which can't be revoked.", id, l.known)
	}
	return nil
}

// Revoke records the core's statement that the operation was revoked. It is the
// final status, and supersedes what is pending. Twice is once, also where the
// source was the first to say so.
func (l *Ledger) Revoke(r Revocation) error {
	if err := l.CheckRevocation(r); err != nil || l.revoked() {
		return err
	}
	l.revocation = &r
	revoked := l.terms.Rules.Revoked
	l.known, l.final = revoked, true
	l.watch.Last = &Observation{Status: revoked, BegunAt: r.At, ObservedAt: r.At}
	l.dropWaiting(ReasonRevoked)
	if r.InitiatedBy != InitiatedByClient && l.rings(revoked) && !l.delivered(revoked) {
		l.owe(Callback{Final: true, Observation: *l.watch.Last})
	}
	return nil
}

func (l *Ledger) revoked() bool {
	return l.revocation != nil || (l.final && l.known == l.terms.Rules.Revoked)
}

// Withdraw ends the operation without a callback (promise 8). Where the end is
// decided already it changes nothing (promise 12).
func (l *Ledger) Withdraw() {
	if l.withdrawal != nil {
		return
	}
	delivering := l.delivery != nil && !l.Unwanted() || l.waiting() >= 0
	w := Withdrawal{TooLate: !delivering && !l.Watching() && (l.final || l.lastOwed() != nil)}
	if l.delivery != nil {
		w.CallbackID = l.delivery.Delivery.CallbackID
	}
	l.withdrawal = &w
	l.dropWaiting(ReasonWithdrawn)
}

// Watch is how far the watch has come, and what was recorded last.
func (l *Ledger) Watch() WatchRecord {
	w := l.watch
	w.Partial = len(l.owed) > 0 || l.revocation != nil || l.repeated > 0
	return w
}

// Counted are the questions asked that use up max_polls.
func (l *Ledger) Counted() int { return l.watch.Counted() }

// Known is the last status, which the last answer may have been without; or empty.
func (l *Ledger) Known() string { return l.known }

// Withdrawn reports whether the callback is no longer wanted.
func (l *Ledger) Withdrawn() bool { return l.withdrawal != nil }

// Watching reports whether the source is still to be asked.
func (l *Ledger) Watching() bool { return !l.final && !l.watchEnded && l.withdrawal == nil }

// StopWatch ends the watch of a run that was only to deliver (a redelivery).
func (l *Ledger) StopWatch() { l.watchEnded = true }

// Owes reports whether a callback is to be delivered or being delivered.
func (l *Ledger) Owes() bool { return l.delivery != nil || l.waiting() >= 0 }

// waiting is the next delivery that has not begun, or -1.
func (l *Ledger) waiting() int {
	for i, o := range l.owed {
		if o.delivery.Outcome == DeliveryPending && !l.begun(i) {
			return i
		}
	}
	return -1
}

// Over reports whether nothing is left to do.
func (l *Ledger) Over() bool { return !l.Watching() && !l.Owes() }

// Begin takes the next callback to deliver, or the one that the run before this
// one was delivering, and how far that has come. It must owe one.
func (l *Ledger) Begin() (Callback, DeliveryRecord) {
	if l.delivery == nil {
		next := &l.owed[l.waiting()]
		l.delivery = &DeliveryRecord{
			Delivery: next.delivery, Status: l.status(), Polls: l.watch.Polls,
			Partial: len(l.owed) > 1 || l.revocation != nil || l.repeated > 0,
		}
	}
	return l.owed[l.find(l.delivery.Delivery.CallbackID)].callback, l.delivery.Clone()
}

// Delivering is how far the delivery has come that has begun and not ended; false
// if none has.
func (l *Ledger) Delivering() (DeliveryRecord, bool) {
	if l.delivery == nil {
		return DeliveryRecord{}, false
	}
	return l.delivery.Clone(), true
}

// Unwanted reports whether the delivery that has begun is to be given up after the
// attempt in flight: withdrawn, revoked, or superseded by a newer status.
func (l *Ledger) Unwanted() bool {
	if l.delivery == nil {
		return false
	}
	at := l.find(l.delivery.Delivery.CallbackID)
	switch {
	case l.withdrawal != nil:
		return true
	case l.owed[at].callback.Final:
		return false
	case l.revocation != nil:
		return true
	}
	return l.terms.Supersede != SupersedeEvery && slices.ContainsFunc(l.owed[at+1:], func(o owed) bool {
		return o.delivery.Outcome == DeliveryPending
	})
}

// TakeDelivery takes over how far the delivery that has begun came, and ends it
// where it is no longer pending.
func (l *Ledger) TakeDelivery(r DeliveryRecord) {
	at := l.find(r.Delivery.CallbackID)
	l.owed[at].delivery = r.Delivery
	if r.Pending() {
		l.delivery = &r
		return
	}
	l.owed[at].delivery.NextAttemptAt = nil
	if reason := l.unwantedReason(); r.Delivery.Outcome == DeliverySuperseded && reason != "" {
		l.owed[at].delivery.Reason = reason
	}
	l.delivery = nil
}

func (l *Ledger) unwantedReason() string {
	switch {
	case l.withdrawal != nil && !l.withdrawal.TooLate:
		return ReasonWithdrawn
	case l.revocation != nil:
		return ReasonRevoked
	}
	return ""
}

// Outcome is how the operation ended, by the precedence of promise 12:
// acknowledged > first final status > withdrawn > expired. Where a final status
// owed no callback (the client knew it, or did not want it), nothing is left
// unacknowledged.
func (l *Ledger) Outcome() Outcome {
	if l.withdrawal != nil && !l.withdrawal.TooLate {
		return l.withdrawnOutcome()
	}
	if d := l.lastOwed(); d != nil {
		return deliveryOutcomes[d.Outcome]
	}
	switch {
	case l.final && l.known == l.terms.Rules.Revoked:
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
func (l *Ledger) withdrawnOutcome() Outcome {
	if i := l.find(l.withdrawal.CallbackID); i >= 0 && l.owed[i].delivery.Outcome == DeliveryAcknowledged {
		return OutcomeAcknowledged
	}
	return OutcomeWithdrawn
}

// lastOwed is the last delivery that was not superseded, or nil.
func (l *Ledger) lastOwed() *Delivery {
	for i := len(l.owed) - 1; i >= 0; i-- {
		if l.owed[i].delivery.Outcome != DeliverySuperseded {
			return &l.owed[i].delivery
		}
	}
	return nil
}

// State is the operation as the API shows it, less what only the engine knows (run
// id and UI address).
func (l *Ledger) State() State {
	s := State{
		Key: l.terms.Key, Phase: l.phase(), Status: l.status(), Polls: l.watch.Polls,
		Deliveries: make([]Delivery, 0, len(l.owed)), Revocation: l.revocation,
		Repeated: l.repeated, Contradicted: l.contradicted,
	}
	for _, o := range l.owed {
		s.Deliveries = append(s.Deliveries, o.delivery)
	}
	if s.Phase == Closed {
		s.Outcome = l.Outcome()
	}
	return s
}

func (l *Ledger) status() *Status {
	last := l.watch.Last
	if last == nil {
		return nil
	}
	return &Status{Value: last.Status, Final: l.final, Raw: last.Raw, ObservedAt: last.ObservedAt}
}

func (l *Ledger) phase() Phase {
	switch {
	case l.Over():
		return Closed
	case l.Owes():
		return Delivering
	}
	return Watching
}

// Record is what the run hands on.
func (l *Ledger) Record() Record {
	r := Record{State: l.State()}
	if last := l.watch.Last; last != nil && last.Status != l.known {
		r.Known = l.known
	}
	for _, o := range l.owed {
		r.Callbacks = append(r.Callbacks, o.callback)
	}
	if r.State.Phase != Closed {
		r.Watch, r.WatchEnded, r.Withdrawal, r.Delivery = &l.watch, l.watchEnded, l.withdrawal, l.delivery
	}
	return r
}
