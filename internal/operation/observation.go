package operation

import (
	"slices"
	"strings"
)

// Observation is a source's answer, or a status that its core pushed.
type Observation struct {
	// Status is in the source's vocabulary; empty: answered without one (Ukrcard:
	// respStatus is not 200).
	Status string `json:"status,omitempty"`
	// Raw are the answer's raw codes, as far as the source allows them.
	Raw map[string]string `json:"raw,omitempty"`
	// BegunAt is when the poll began; for a push, when it was recorded.
	BegunAt Time `json:"begun_at"`
	// ObservedAt is when the answer was read.
	ObservedAt Time `json:"observed_at"`
}

// Following is o, dated no earlier than before (nil: any), which is known to be older
// although another clock dated it.
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

// Rules says what the statuses of one operation mean, by the source's kind and the
// endpoint's configuration. An entry that ends in "*" matches every status with that
// prefix.
type Rules struct {
	// Final statuses end the watch.
	Final []string `json:"final"`
	// Delivered are the statuses that the client gets a callback about.
	Delivered []string `json:"rings"`
	// Revocable statuses allow a revocation (promise 7).
	Revocable []string `json:"revocable"`
	// Revoked is the status that a revocation records.
	Revoked string `json:"revoked"`
	// DeliversUnanswered delivers the last answer also without a final status (Ukrcard).
	DeliversUnanswered bool `json:"rings_unanswered,omitempty"`
	// NoAnswer are the raw codes of that callback without any answer (Ukrcard: respStatus 504).
	NoAnswer map[string]string `json:"no_answer,omitempty"`
	// PushOnly says that the core is never polled: each status is pushed, and is the truth.
	PushOnly bool `json:"push_only,omitempty"`
	// LifetimeStatus is recorded and delivered when the lifetime of a PushOnly watch is
	// over; empty: the operation ends unanswered.
	LifetimeStatus string `json:"lifetime_status,omitempty"`
}

// IsFinal reports whether status ends the watch.
func (r Rules) IsFinal(status string) bool { return matches(r.Final, status) }

// IsRevocable reports whether an operation with that status, or none yet, may be revoked.
func (r Rules) IsRevocable(status string) bool {
	return status == "" || matches(r.Revocable, status)
}

// Delivers reports whether the client gets a callback about status.
func (r Rules) Delivers(status string) bool { return matches(r.Delivered, status) }

func matches(set []string, status string) bool {
	return status != "" && slices.ContainsFunc(set, func(entry string) bool {
		prefix, open := strings.CutSuffix(entry, "*")
		return entry == status || open && strings.HasPrefix(status, prefix)
	})
}
