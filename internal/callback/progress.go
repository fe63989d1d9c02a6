package callback

// WatchProgress is what a watch records while it runs, for whoever takes it up
// and for whoever reads the operation's state.
type WatchProgress struct {
	// Polls are those of the whole run, the ones before this watch included.
	Polls int `json:"polls"`
	// Last is the last answer read, also one without a status.
	Last *Observation `json:"last,omitempty"`
	// BegunAt and EndedAt are of the latest poll.
	BegunAt Time `json:"begun_at,omitzero"`
	EndedAt Time `json:"ended_at,omitzero"`
	// NotBefore holds the next poll back (429 with Retry-After, a breaker).
	NotBefore  Time `json:"not_before,omitzero"`
	NextPollAt Time `json:"next_poll_at,omitzero"`
	// Partial says that the run knows more than this record shows: other
	// deliveries, or a revocation.
	Partial bool `json:"partial,omitempty"`
}

// DeliveryProgress is what a delivery records while it runs.
type DeliveryProgress struct {
	Delivery Delivery `json:"delivery"`
	// Made counts the attempts of this delivery, against k.
	Made int `json:"made"`
	// NotBefore holds the next attempt back (Retry-After, where honoured).
	NotBefore Time `json:"not_before,omitzero"`
	// EndedAt is when the last attempt ended, where its own times are of a clock
	// that was ahead of the one that counts h now.
	EndedAt Time `json:"ended_at,omitzero"`
	// Status and Polls are the operation's when the delivery began.
	Status *Status `json:"status,omitempty"`
	Polls  int     `json:"polls"`
	// Partial is as in WatchProgress.
	Partial bool `json:"partial,omitempty"`
}

// Progress is what the pending efforts of a run recorded last.
type Progress struct {
	Watch    *WatchProgress    `json:"watch,omitempty"`
	Delivery *DeliveryProgress `json:"delivery,omitempty"`
	// Unrecorded says that an effort is pending which recorded nothing yet.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Complete reports whether the records alone tell the operation's state.
func (p Progress) Complete() bool {
	switch {
	case p.Unrecorded, p.Watch == nil && p.Delivery == nil:
		return false
	case p.Watch != nil && p.Watch.Partial, p.Delivery != nil && p.Delivery.Partial:
		return false
	}
	return true
}

// Apply shows the records in a state.
func (p Progress) Apply(s *State) {
	if d := p.Delivery; d != nil {
		s.Phase = Delivering
		s.Polls = max(s.Polls, d.Polls)
		if s.Status == nil {
			s.Status = d.Status
		}
		s.showDelivery(d.Delivery)
	}
	if w := p.Watch; w != nil {
		s.Polls = max(s.Polls, w.Polls)
		s.NextPollAt = &w.NextPollAt
		if s.Status == nil && w.Last != nil {
			s.Status = &Status{Value: w.Last.Status, Raw: w.Last.Raw, ObservedAt: w.Last.ObservedAt}
		}
	}
}

func (s *State) showDelivery(d Delivery) {
	for i := range s.Deliveries {
		if s.Deliveries[i].CallbackID == d.CallbackID {
			s.Deliveries[i] = d
			return
		}
	}
	s.Deliveries = append(s.Deliveries, d)
}
