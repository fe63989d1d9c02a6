package callback

import (
	"slices"
	"strings"
)

// Ledger is what one run of an operation has recorded. It decides what rings,
// in which order, and how the operation ends (promises 3, 4, 7, 8, 9 and 12).
// It is plain data and deterministic: the workflow feeds it facts and acts on
// what it answers.
type Ledger struct {
	key       Key
	reference Reference
	rules     Rules
	wanted    []string
	supersede string

	// last is the last answer; known the last status, which the last answer may
	// have been without.
	last       *Observation
	known      string
	final      bool
	watchEnded bool
	withdrawn  bool
	// tooLate says that the withdrawal found the end decided: it changes nothing.
	tooLate bool
	// withdrawnID is the callback being delivered when the withdrawal came.
	withdrawnID string
	revocation  *Revocation
	polls       int

	rung    []string
	queue   []Callback
	current *Callback
	owed    *Callback
	// deliveries are those that began or were dropped; one per callback id.
	deliveries []Delivery
	// forced and earlier are a redelivery's: whether it rings what was
	// acknowledged, and the attempts that earlier runs made for its callback.
	forced    bool
	earlier   []Attempt
	earlierID string

	repeated     int
	contradicted int
}

// Opening is what a ledger begins with.
type Opening struct {
	Key       Key
	Reference Reference
	Rules     Rules
	// Wanted filters which statuses ring; empty: all that the rules ring.
	Wanted    []string
	Supersede string
	// KnownStatus counts as rung.
	KnownStatus string
	// Previous is the ending of the run that is redelivered, or nil.
	Previous *Ending
	// Force rings the previous run's callback also if it was acknowledged.
	Force bool
	// Repoll lets the source say another status than the previous run's final one.
	Repoll bool
}

// Ending is how a run closed: its state, and what a redelivery needs besides.
type Ending struct {
	State State `json:"state"`
	// Owed is the last callback owed, or nil.
	Owed *Callback `json:"owed,omitempty"`
	// Rung are the statuses that ring no more.
	Rung []string `json:"rung,omitempty"`
}

// OpenLedger begins a run.
func OpenLedger(o Opening) *Ledger {
	l := &Ledger{key: o.Key, reference: o.Reference, rules: o.Rules, wanted: o.Wanted, supersede: o.Supersede}
	if o.KnownStatus != "" {
		l.rung = append(l.rung, o.KnownStatus)
	}
	if o.Previous != nil {
		l.restore(*o.Previous)
		l.final = l.final && !(o.Repoll && l.revocation == nil)
		l.forced = o.Force
	}
	return l
}

func (l *Ledger) restore(p Ending) {
	if s := p.State.Status; s != nil {
		l.last = &Observation{Status: s.Value, Raw: s.Raw, BegunAt: s.ObservedAt, ObservedAt: s.ObservedAt}
		l.known, l.final = s.Value, s.Final
	}
	l.rung = append(l.rung, p.Rung...)
	l.revocation = p.State.Revocation
	l.owed = p.Owed
	l.deliveries = slices.Clone(p.State.Deliveries)
	for i := range l.deliveries {
		// A run that was terminated leaves some that nobody ended.
		if l.deliveries[i].Outcome == DeliveryPending {
			l.deliveries[i].Outcome = DeliverySuperseded
		}
	}
}

// Recorded says what became of an observation.
type Recorded string

// What can become of an observation.
const (
	// RecordedChange: a new status, recorded.
	RecordedChange Recorded = "change"
	// RecordedSame: the status known already, or an answer without a status.
	RecordedSame Recorded = "same"
	// RecordedRepeat: a status that has rung already; counted, not rung again.
	RecordedRepeat Recorded = "repeat"
	// RecordedContradiction: another status than the final one; counted.
	RecordedContradiction Recorded = "contradiction"
	// RecordedStale: its poll began before the last recorded observation; dropped.
	RecordedStale Recorded = "stale"
)

// Record takes an observation.
func (l *Ledger) Record(o Observation) Recorded {
	if l.last != nil && o.BegunAt.Before(l.last.ObservedAt) {
		return RecordedStale
	}
	if l.final {
		return l.recordAfterFinal(o)
	}
	if o.Status == "" || o.Status == l.known {
		l.final = l.rules.IsFinal(l.known)
		if o.Status != "" || !l.final {
			l.last = &o
		}
		return RecordedSame
	}
	l.last, l.known = &o, o.Status
	l.final = l.rules.IsFinal(o.Status)
	if !l.rings(o.Status) {
		return RecordedChange
	}
	if slices.Contains(l.rung, o.Status) {
		l.repeated++
		return RecordedRepeat
	}
	l.owe(Callback{Final: l.final, Observation: o})
	return RecordedChange
}

func (l *Ledger) recordAfterFinal(o Observation) Recorded {
	if o.Status == "" || o.Status == l.known {
		return RecordedSame
	}
	l.contradicted++
	return RecordedContradiction
}

func (l *Ledger) rings(status string) bool {
	return l.rules.Ring(status) && (len(l.wanted) == 0 || slices.Contains(l.wanted, status))
}

// owe queues a callback, unless none is wanted any more; under SupersedeLatest
// it drops the older ones that wait. The one being delivered is dropped by
// [Ledger.Unwanted].
func (l *Ledger) owe(c Callback) {
	if l.withdrawn {
		return
	}
	c.Key, c.Reference = l.key, l.reference
	c.ID = CallbackID(l.key, c.Observation.Status)
	if l.supersede != SupersedeEvery {
		l.dropQueue("")
	}
	l.rung = append(l.rung, c.Observation.Status)
	l.queue = append(l.queue, c)
	l.owed = &c
}

func (l *Ledger) dropQueue(reason string) {
	for _, c := range l.queue {
		d := l.deliveryOf(c)
		d.Outcome = DeliverySuperseded
		if reason != "" {
			d.Reason = reason
		}
		l.deliveries = append(l.deliveries, d)
	}
	l.queue = nil
}

func (l *Ledger) deliveryOf(c Callback) Delivery {
	d := Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason,
		Outcome: DeliveryPending, Attempts: []Attempt{},
	}
	if c.ID == l.earlierID {
		d.Attempts = append(d.Attempts, l.earlier...)
	}
	return d
}

// Ring owes the previous run's last callback again (promise 10). It does
// nothing where none was owed, where a newer one is or a revocation came after
// it, and, unless forced, where it was acknowledged. A repoll is over then: a final status is final again.
func (l *Ledger) Ring(previous *Callback) {
	l.final = l.final || l.rules.IsFinal(l.known)
	if previous == nil || l.withdrawn || l.current != nil || len(l.queue) > 0 {
		return
	}
	revoked := l.revocation != nil && !previous.Final
	if revoked || (l.acknowledged(previous.ID) && !l.forced) {
		return
	}
	l.earlierID, l.earlier = previous.ID, l.takeAttempts(previous.ID)
	l.queue = append(l.queue, *previous)
	l.owed = previous
}

func (l *Ledger) acknowledged(id string) bool {
	return slices.ContainsFunc(l.deliveries, func(d Delivery) bool {
		return d.CallbackID == id && d.Outcome == DeliveryAcknowledged
	})
}

// takeAttempts removes the earlier run's delivery of the same callback, so that
// the redelivery shows as one delivery whose attempt numbers go on.
func (l *Ledger) takeAttempts(id string) []Attempt {
	var attempts []Attempt
	l.deliveries = slices.DeleteFunc(l.deliveries, func(d Delivery) bool {
		if d.CallbackID != id {
			return false
		}
		attempts = append(attempts, d.Attempts...)
		return true
	})
	return attempts
}

// EndWatch ends the watch without a final status: polls used up, or lifetime
// over. Where the rules ring then, the last answer read is owed; elsewhere the
// operation ends silently, as expired.
func (l *Ledger) EndWatch(reason string, now Time) {
	if l.watchEnded || l.final {
		return
	}
	l.watchEnded = true
	answer := Observation{Raw: l.rules.NoAnswer, BegunAt: now, ObservedAt: now}
	if l.last != nil {
		answer = *l.last
	}
	if !l.rules.RingsUnanswered || l.hasRung(answer.Status) {
		return
	}
	l.owe(Callback{Reason: reason, Observation: answer})
}

// hasRung reports whether there is a callback about status. A status that the
// client knew from the start has none.
func (l *Ledger) hasRung(status string) bool {
	id := CallbackID(l.key, status)
	return slices.ContainsFunc(l.deliveries, func(d Delivery) bool { return d.CallbackID == id }) ||
		slices.ContainsFunc(l.queue, func(c Callback) bool { return c.ID == id })
}

// CheckRevocation says why the operation can't be revoked now, or nil (promise 7).
func (l *Ledger) CheckRevocation(r Revocation) error {
	switch {
	case !slices.Contains(Initiators, r.InitiatedBy):
		return Invalid(FieldError{Field: "initiated_by", Detail: "is not one of " + strings.Join(Initiators, ", ")})
	case l.revoked():
		return nil
	case l.withdrawn:
		return Refuse(ProblemNotRevocable, "The operation %s was withdrawn; it is not watched any more.", l.key.WorkflowID())
	case l.final:
		return Refuse(ProblemNotRevocable, "The operation %s is final with status %q and can't be revoked.", l.key.WorkflowID(), l.known)
	case !l.rules.IsRevocable(l.known):
		return Refuse(ProblemNotRevocable, "The operation %s has status %q, which can't be revoked.", l.key.WorkflowID(), l.known)
	}
	return nil
}

// Revoke records the core's statement that the operation was revoked. It is
// the final status, and supersedes what is pending. Twice is once, also where
// the source was the first to say so.
func (l *Ledger) Revoke(r Revocation) error {
	if err := l.CheckRevocation(r); err != nil || l.revoked() {
		return err
	}
	l.revocation = &r
	l.known, l.final = l.rules.Revoked, true
	l.last = &Observation{Status: l.rules.Revoked, BegunAt: r.At, ObservedAt: r.At}
	l.dropQueue(ReasonRevoked)
	if r.InitiatedBy == InitiatedByClient || !l.rings(l.rules.Revoked) || slices.Contains(l.rung, l.rules.Revoked) {
		return nil
	}
	l.owe(Callback{Final: true, Observation: *l.last})
	return nil
}

func (l *Ledger) revoked() bool {
	return l.revocation != nil || (l.final && l.known == l.rules.Revoked)
}

// Withdraw ends the operation without a callback (promise 8). Where the end is
// decided already it changes nothing (promise 12).
func (l *Ledger) Withdraw() {
	if l.withdrawn {
		return
	}
	ringing := len(l.queue) > 0 || (l.current != nil && !l.Unwanted())
	l.tooLate = !ringing && !l.Watching() && (l.final || l.lastOwed() != nil)
	l.withdrawn = true
	if l.current != nil {
		l.withdrawnID = l.current.ID
	}
	l.dropQueue(ReasonWithdrawn)
}

// CountPolls adds polls made.
func (l *Ledger) CountPolls(n int) { l.polls += n }

// Polls is how many polls were made.
func (l *Ledger) Polls() int { return l.polls }

// Told reports whether there is more to tell than a first, single delivery:
// the record of a watch or delivery that begins now will not show it.
func (l *Ledger) Told() bool {
	return len(l.deliveries) > 0 || len(l.queue) > 1 || l.revocation != nil || l.repeated > 0
}

// Last is the last answer recorded, or nil.
func (l *Ledger) Last() *Observation { return l.last }

// Known is the last status, which the last answer may have been without; or empty.
func (l *Ledger) Known() string { return l.known }

// Final reports whether a final status is recorded.
func (l *Ledger) Final() bool { return l.final }

// Withdrawn reports whether the callback is no longer wanted.
func (l *Ledger) Withdrawn() bool { return l.withdrawn }

// Watching reports whether the source is still to be asked.
func (l *Ledger) Watching() bool { return !l.final && !l.watchEnded && !l.withdrawn }

// StopWatch ends the watch of a run that was only to ring (a redelivery).
func (l *Ledger) StopWatch() { l.watchEnded = true }

// Over reports whether nothing is left to do.
func (l *Ledger) Over() bool { return !l.Watching() && l.current == nil && len(l.queue) == 0 }

// Begin takes the next callback to deliver; false if one is being delivered or
// none is owed. The attempts are those that earlier runs made for it.
func (l *Ledger) Begin() (Callback, []Attempt, bool) {
	if l.current != nil || len(l.queue) == 0 {
		return Callback{}, nil, false
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	l.current = &c
	delivery := l.deliveryOf(c)
	l.deliveries = append(l.deliveries, delivery)
	return c, delivery.Attempts, true
}

// Unwanted reports whether the callback being delivered is to be given up after
// the attempt in flight: withdrawn, revoked, or superseded by a newer status.
func (l *Ledger) Unwanted() bool {
	if l.current == nil {
		return false
	}
	if l.withdrawn {
		return true
	}
	if l.current.Final {
		return false
	}
	return l.revocation != nil || (len(l.queue) > 0 && l.supersede != SupersedeEvery)
}

// Attempted shows attempts of the delivery that goes on.
func (l *Ledger) Attempted(attempts []Attempt) {
	if d := l.pending(); d != nil {
		d.Attempts = KeepNewest(attempts)
	}
}

// Settle ends the delivery in hand. reason, if not empty, says why.
func (l *Ledger) Settle(outcome DeliveryOutcome, reason string, attempts []Attempt) {
	d := l.pending()
	if d == nil {
		return
	}
	if outcome == DeliverySuperseded && reason == "" {
		reason = l.unwantedReason()
	}
	d.Outcome = outcome
	d.Attempts = KeepNewest(attempts)
	if reason != "" {
		d.Reason = reason
	}
	l.current = nil
}

func (l *Ledger) unwantedReason() string {
	switch {
	case l.withdrawn && !l.tooLate:
		return ReasonWithdrawn
	case l.revocation != nil:
		return ReasonRevoked
	}
	return ""
}

func (l *Ledger) pending() *Delivery {
	if l.current == nil {
		return nil
	}
	at := slices.IndexFunc(l.deliveries, func(d Delivery) bool { return d.CallbackID == l.current.ID })
	return &l.deliveries[at]
}

// Outcome is how the operation ended, by the precedence of promise 12:
// acknowledged > first final status > withdrawn > expired. Where a final status
// owed no callback (the client knew it, or did not want it), nothing is left
// unacknowledged.
func (l *Ledger) Outcome() Outcome {
	if l.withdrawn && !l.tooLate {
		return l.withdrawnOutcome()
	}
	if d := l.lastOwed(); d != nil {
		return deliveryOutcomes[d.Outcome]
	}
	switch {
	case l.final && l.known == l.rules.Revoked:
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
	for _, d := range l.deliveries {
		if d.CallbackID == l.withdrawnID && d.Outcome == DeliveryAcknowledged {
			return OutcomeAcknowledged
		}
	}
	return OutcomeWithdrawn
}

// lastOwed is the last delivery that was not superseded, or nil.
func (l *Ledger) lastOwed() *Delivery {
	for i := len(l.deliveries) - 1; i >= 0; i-- {
		if l.deliveries[i].Outcome != DeliverySuperseded {
			return &l.deliveries[i]
		}
	}
	return nil
}

// State is the operation as the API shows it, less what only the engine knows
// (run id, UI address, when the next poll and attempt are due).
func (l *Ledger) State() State {
	s := State{
		Key: l.key, Phase: l.phase(), Polls: l.polls,
		Deliveries: make([]Delivery, 0, len(l.deliveries)+len(l.queue)), Revocation: l.revocation,
		Repeated: l.repeated, Contradicted: l.contradicted,
	}
	s.Deliveries = append(s.Deliveries, l.deliveries...)
	for _, c := range l.queue {
		s.Deliveries = append(s.Deliveries, l.deliveryOf(c))
	}
	if l.last != nil {
		s.Status = &Status{Value: l.last.Status, Final: l.final, Raw: l.last.Raw, ObservedAt: l.last.ObservedAt}
	}
	if s.Phase == Closed {
		s.Outcome = l.Outcome()
	}
	return s
}

func (l *Ledger) phase() Phase {
	switch {
	case l.Over():
		return Closed
	case l.current != nil || len(l.queue) > 0:
		return Delivering
	}
	return Watching
}

// Ending is how the run closed.
func (l *Ledger) Ending() Ending {
	return Ending{State: l.State(), Owed: l.owed, Rung: slices.Clone(l.rung)}
}
