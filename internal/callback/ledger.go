package callback

import "slices"

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

	last       *Observation
	final      bool
	watchEnded bool
	withdrawn  bool
	// withdrawnID is the callback being delivered when the withdrawal came.
	withdrawnID string
	revocation  *Revocation
	polls       int

	rung       []string
	queue      []Callback
	current    *Callback
	owed       *Callback
	deliveries []Delivery

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
	}
	return l
}

func (l *Ledger) restore(p Ending) {
	if s := p.State.Status; s != nil {
		l.last = &Observation{Status: s.Value, Raw: s.Raw, BegunAt: s.ObservedAt, ObservedAt: s.ObservedAt}
		l.final = s.Final
	}
	l.rung = slices.Clone(p.Rung)
	l.revocation = p.State.Revocation
	l.owed = p.Owed
	l.deliveries = slices.Clone(p.State.Deliveries)
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
	known := l.lastStatus()
	l.last = &o
	l.final = l.rules.IsFinal(o.Status)
	if o.Status == "" || o.Status == known {
		return RecordedSame
	}
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
	if o.Status == "" || o.Status == l.last.Status {
		return RecordedSame
	}
	l.contradicted++
	return RecordedContradiction
}

func (l *Ledger) rings(status string) bool {
	return l.rules.Ring(status) && (len(l.wanted) == 0 || slices.Contains(l.wanted, status))
}

// owe queues a callback; under SupersedeLatest it drops the older ones that
// wait. The one being delivered is dropped by [Ledger.Unwanted].
func (l *Ledger) owe(c Callback) {
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
	return Delivery{
		CallbackID: c.ID, Status: c.Observation.Status, Reason: c.Reason,
		Outcome: DeliveryPending, Attempts: []Attempt{},
	}
}

// Ring owes the previous run's last callback again (promise 10). It does
// nothing where none was owed, or a newer one is.
func (l *Ledger) Ring(previous *Callback) {
	if previous == nil || l.current != nil || len(l.queue) > 0 {
		return
	}
	l.queue = append(l.queue, *previous)
	l.owed = previous
	l.final = l.final || l.rules.IsFinal(l.lastStatus())
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
	rungBefore := l.owed != nil && l.owed.Observation.Status == answer.Status
	if !l.rules.RingsUnanswered || rungBefore {
		return
	}
	l.owe(Callback{Reason: reason, Observation: answer})
}

// CheckRevocation says why the operation can't be revoked now, or nil (promise 7).
func (l *Ledger) CheckRevocation() error {
	switch {
	case l.revocation != nil:
		return nil
	case l.withdrawn:
		return Refuse(ProblemNotRevocable, "The operation %s was withdrawn; it is not watched any more.", l.key.WorkflowID())
	case l.final:
		return Refuse(ProblemNotRevocable, "The operation %s is final with status %q and can't be revoked.", l.key.WorkflowID(), l.last.Status)
	case !l.rules.IsRevocable(l.lastStatus()):
		return Refuse(ProblemNotRevocable, "The operation %s has status %q, which can't be revoked.", l.key.WorkflowID(), l.last.Status)
	}
	return nil
}

// Revoke records the core's statement that the operation was revoked. It is
// the final status, and supersedes what is pending. Twice is once.
func (l *Ledger) Revoke(r Revocation) error {
	if err := l.CheckRevocation(); err != nil || l.revocation != nil {
		return err
	}
	l.revocation = &r
	l.final = true
	l.last = &Observation{Status: l.rules.Revoked, BegunAt: r.At, ObservedAt: r.At}
	l.dropQueue(ReasonRevoked)
	if r.InitiatedBy == InitiatedByClient || !l.rings(l.rules.Revoked) || slices.Contains(l.rung, l.rules.Revoked) {
		return nil
	}
	l.owe(Callback{Final: true, Observation: *l.last})
	return nil
}

// Withdraw ends the operation without a callback (promise 8).
func (l *Ledger) Withdraw() {
	if l.withdrawn {
		return
	}
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
	return len(l.deliveries) > 0 || len(l.queue) > 1 || l.revocation != nil
}

// Last is the last observation recorded, or nil.
func (l *Ledger) Last() *Observation { return l.last }

func (l *Ledger) lastStatus() string {
	if l.last == nil {
		return ""
	}
	return l.last.Status
}

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
	delivery.Attempts = l.takeAttempts(c.ID)
	l.deliveries = append(l.deliveries, delivery)
	return c, delivery.Attempts, true
}

// takeAttempts removes the earlier run's delivery of the same callback, so that
// the redelivery shows as one delivery whose attempt numbers go on.
func (l *Ledger) takeAttempts(id string) []Attempt {
	attempts := []Attempt{}
	l.deliveries = slices.DeleteFunc(l.deliveries, func(d Delivery) bool {
		if d.CallbackID != id {
			return false
		}
		attempts = append(attempts, d.Attempts...)
		return true
	})
	return attempts
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
	case l.withdrawn:
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
	return &l.deliveries[len(l.deliveries)-1]
}

// Outcome is how the operation ended, by the precedence of promise 12:
// acknowledged > first final status > withdrawn > expired. Where a final status
// owed no callback (the client knew it, or did not want it), nothing is left
// unacknowledged.
func (l *Ledger) Outcome() Outcome {
	if l.withdrawn {
		return l.withdrawnOutcome()
	}
	if d := l.lastOwed(); d != nil {
		return deliveryOutcomes[d.Outcome]
	}
	switch {
	case l.final && l.lastStatus() == l.rules.Revoked:
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
