package operation

// Pending is what a run's pending activities recorded last, in their heartbeats.
type Pending struct {
	Watch    *WatchRecord    `json:"watch,omitempty"`
	Delivery *DeliveryRecord `json:"delivery,omitempty"`
	// Unrecorded says that a pending activity recorded nothing yet.
	Unrecorded bool `json:"unrecorded,omitempty"`
	// WatchLost and DeliveryLost are the latest runs of the activities where these left no
	// record: if they are lost, only their starts record a poll and an attempt; 0: they
	// left one.
	WatchLost    int `json:"watch_lost,omitempty"`
	DeliveryLost int `json:"delivery_lost,omitempty"`
	// AttemptBy is until when that run of the delivery may begin its attempt.
	AttemptBy Time `json:"attempt_by,omitzero"`
}

// LostAttempt is the latest time until now at which that attempt may have begun.
func (p Pending) LostAttempt(now Time) Time {
	if p.AttemptBy.After(now) {
		return now
	}
	return p.AttemptBy
}

// Complete reports whether the records alone are the operation's state.
func (p Pending) Complete() bool {
	switch {
	case p.Unrecorded, p.Watch == nil && p.Delivery == nil:
		return false
	case p.Watch != nil && p.Watch.Partial, p.Delivery != nil && p.Delivery.Partial:
		return false
	}
	return true
}

// Apply adds the records to the state of an open run. A closed state may be newer than they are.
func (p Pending) Apply(s *State) {
	if s.Phase == Closed {
		return
	}
	if d := p.Delivery; d != nil {
		s.Polls = max(s.Polls, d.Polls)
		if s.Status == nil {
			s.Status = d.Status
		}
		if s.showDelivery(*d) {
			s.Phase = Delivering
		}
	}
	if w := p.Watch; w != nil {
		if w.Polls >= s.Polls {
			s.Polls, s.PollFailure = w.Polls, w.Failure
		}
		if !w.NextPollAt.IsZero() {
			s.NextPollAt = &w.NextPollAt
		}
		if s.Status == nil && w.Last != nil {
			s.Status = &Status{Value: w.Last.Status, Raw: w.Last.Raw, ObservedAt: w.Last.ObservedAt}
		}
	}
}

// showDelivery adds a delivery's record, and reports whether it is pending.
func (s *State) showDelivery(r DeliveryRecord) bool {
	for i := range s.Deliveries {
		shown := &s.Deliveries[i]
		if shown.CallbackID != r.Delivery.CallbackID {
			continue
		}
		if shown.Outcome == DeliveryPending {
			known := DeliveryRecord{Delivery: *shown}
			known.Merge(r)
			*shown = known.Delivery
		}
		return shown.Outcome == DeliveryPending
	}
	s.Deliveries = append(s.Deliveries, r.Delivery)
	return r.Pending()
}
