package operation

// Lifecycle is the state machine of one operation: which callbacks are due, in which
// order, and how it ends (promises 3, 4, 7, 8, 9 and 12). It is deterministic and does
// no I/O.
type Lifecycle struct {
	options LifecycleOptions

	watch WatchRecord
	// status is the last one observed; watch.Last may be a later answer without one.
	status     string
	final      bool
	watchEnded bool
	withdrawal *Withdrawal
	revocation *Revocation

	// callbacks holds one for each callback id, in the order in which they became due last.
	callbacks []callbackDelivery
	// current is the delivery in progress, or nil.
	current *DeliveryRecord

	repeated     int
	contradicted int
}

// callbackDelivery is a callback and how its delivery stands.
type callbackDelivery struct {
	callback Callback
	delivery Delivery
}

// LifecycleOptions is what a run of an operation begins with.
type LifecycleOptions struct {
	Key       Key
	Reference Reference
	// Dialect is what the operation's callbacks are written in.
	Dialect string
	Rules   Rules
	// Statuses limits which statuses are delivered; empty: all that the rules deliver.
	Statuses  []string
	Supersede string
	// KnownStatus is one that the client has already.
	KnownStatus string
	// Carried is the record of the run that this one continues as new, or nil.
	Carried *Record
	// Previous is the record of the closed run that is redelivered, or nil.
	Previous *Record
	// Force delivers the previous run's callback also if it was acknowledged.
	Force bool
	// Repoll allows the source to report another status than the previous run's final one.
	Repoll bool
}

// Record is what a run hands on: to readers, to a redelivery, and to the run that continues it.
type Record struct {
	State State `json:"state"`
	// Status is the last status, where the last answer was without one.
	Status string `json:"known,omitempty"`
	// Callbacks are the messages of State.Deliveries, in the same order.
	Callbacks []Callback `json:"callbacks,omitempty"`
	// The fields below are set for open runs only.
	Watch      *WatchRecord    `json:"watch,omitempty"`
	WatchEnded bool            `json:"watch_ended,omitempty"`
	Withdrawal *Withdrawal     `json:"withdrawal,omitempty"`
	Delivery   *DeliveryRecord `json:"delivery,omitempty"`
}

// NewLifecycle begins a run.
func NewLifecycle(o LifecycleOptions) *Lifecycle {
	l := &Lifecycle{options: o}
	switch {
	case o.Carried != nil:
		r := *o.Carried
		l.restore(r)
		l.watchEnded, l.withdrawal, l.current = r.WatchEnded, r.Withdrawal, r.Delivery
		if r.Watch != nil {
			l.watch = *r.Watch
		}
		l.repeated, l.contradicted = r.State.Repeated, r.State.Contradicted
	case o.Previous != nil:
		l.restore(*o.Previous)
		l.final = l.final && !(o.Repoll && l.revocation == nil)
		l.supersedeWaiting("") // the previous run was terminated
	}
	return l
}

func (l *Lifecycle) restore(r Record) {
	if s := r.State.Status; s != nil {
		l.watch.Last = &Observation{Status: s.Value, Raw: s.Raw, BegunAt: s.ObservedAt, ObservedAt: s.ObservedAt}
		l.status, l.final = s.Value, s.Final
	}
	if r.Status != "" {
		l.status = r.Status
	}
	l.revocation = r.State.Revocation
	for i, c := range r.Callbacks {
		l.callbacks = append(l.callbacks, callbackDelivery{c, r.State.Deliveries[i]})
	}
}

// Watching reports whether the source is still to be polled.
func (l *Lifecycle) Watching() bool { return !l.final && !l.watchEnded && l.withdrawal == nil }

// Closed reports whether nothing is left to do.
func (l *Lifecycle) Closed() bool { return !l.Watching() && !l.HasPending() }

// State is the operation as the API shows it, without the run id and the UI address.
func (l *Lifecycle) State() State {
	s := State{
		Key: l.options.Key, Phase: l.phase(), Status: l.shownStatus(), Polls: l.watch.Polls, PollFailure: l.watch.Failure,
		Deliveries: make([]Delivery, 0, len(l.callbacks)), Revocation: l.revocation,
		Repeated: l.repeated, Contradicted: l.contradicted,
	}
	for _, c := range l.callbacks {
		s.Deliveries = append(s.Deliveries, c.delivery)
	}
	if s.Phase == Closed {
		s.Outcome = l.outcome()
	}
	return s
}

func (l *Lifecycle) shownStatus() *Status {
	last := l.watch.Last
	if last == nil {
		return nil
	}
	return &Status{Value: last.Status, Final: l.final, Raw: last.Raw, ObservedAt: last.ObservedAt}
}

func (l *Lifecycle) phase() Phase {
	switch {
	case l.Closed():
		return Closed
	case l.current != nil && l.current.Delivery.OnHold:
		return OnHold
	case l.HasPending():
		return Delivering
	}
	return Watching
}

// Record is what the run hands on.
func (l *Lifecycle) Record() Record {
	r := Record{State: l.State()}
	if last := l.watch.Last; last != nil && last.Status != l.status {
		r.Status = l.status
	}
	for _, c := range l.callbacks {
		r.Callbacks = append(r.Callbacks, c.callback)
	}
	if r.State.Phase != Closed {
		r.Watch, r.WatchEnded, r.Withdrawal, r.Delivery = &l.watch, l.watchEnded, l.withdrawal, l.current
	}
	return r
}

// partial reports whether the state holds more than an activity's record shows, which
// covers so many callbacks: a watch none, a delivery one.
func (l *Lifecycle) partial(callbacks int) bool {
	return len(l.callbacks) > callbacks || l.revocation != nil || l.repeated > 0
}
