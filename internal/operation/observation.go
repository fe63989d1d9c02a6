package operation

// Observation is what a source answered, or what its core pushed.
type Observation struct {
	// Status is the status in the source's vocabulary; empty where the source
	// answered without one (Ukrcard: respStatus other than 200).
	Status string `json:"status,omitempty"`
	// Raw holds the raw codes of that one answer, allow-listed by the source.
	Raw map[string]string `json:"raw,omitempty"`
	// BegunAt is when the poll began; for a push, when it was recorded.
	BegunAt Time `json:"begun_at"`
	// ObservedAt is when the answer was read.
	ObservedAt Time `json:"observed_at"`
}

// Following is o as what was begun after before had been read, which is known
// where the clocks that dated them may disagree: not dated earlier. before may
// be nil.
func (o Observation) Following(before *Observation) Observation {
	if before == nil {
		return o
	}
	if o.BegunAt.Before(before.ObservedAt) {
		o.BegunAt = before.ObservedAt
	}
	if o.ObservedAt.Before(o.BegunAt) {
		o.ObservedAt = o.BegunAt
	}
	return o
}

// Rules says which statuses mean what, for one operation. They come from the
// source's kind and the endpoint's configuration and travel in the workflow's
// input, so that a run never changes its mind. An entry that ends in "*"
// matches every status with that prefix.
type Rules struct {
	// Final statuses end the watch.
	Final []string `json:"final"`
	// Rings are the statuses that owe the client a callback.
	Delivered []string `json:"rings"`
	// Revocable statuses allow a revocation; so does none known yet (promise 7).
	Revocable []string `json:"revocable"`
	// Revoked is the status that a revocation records: "revoked".
	Revoked string `json:"revoked"`
	// DeliversUnanswered owes a callback also when the polls are used up or the
	// lifetime is over, with the last answer read (Ukrcard's seed document).
	DeliversUnanswered bool `json:"rings_unanswered,omitempty"`
	// NoAnswer are the raw codes of that callback when no answer was read at
	// all (Ukrcard: respStatus 504).
	NoAnswer map[string]string `json:"no_answer,omitempty"`
}

// IsFinal reports whether status ends the watch.
func (r Rules) IsFinal(status string) bool { return matches(r.Final, status) }

// IsRevocable reports whether an operation with that last known status may be
// revoked; with none known yet it may.
func (r Rules) IsRevocable(status string) bool {
	return status == "" || matches(r.Revocable, status)
}

// Ring reports whether status owes the client a callback.
func (r Rules) Delivers(status string) bool { return matches(r.Delivered, status) }

func matches(set []string, status string) bool {
	if status == "" {
		return false
	}
	for _, entry := range set {
		if entry == status {
			return true
		}
		prefix := len(entry) - 1
		if prefix >= 0 && entry[prefix] == '*' && len(status) >= prefix && status[:prefix] == entry[:prefix] {
			return true
		}
	}
	return false
}
