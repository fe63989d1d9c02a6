package operation

import (
	"slices"
	"time"
)

// ReasonUnseen is the reason of an attempt that was recorded and whose result was lost.
const ReasonUnseen = "the end of the attempt was not seen"

// DeliveryRecord counts the attempts of one delivery against k.
type DeliveryRecord struct {
	// Made counts the attempts of this delivery; a redelivery begins at 0. It is the first
	// that operators read in the heartbeat details.
	Made     int      `json:"made"`
	Delivery Delivery `json:"delivery"`
	// NotBefore holds the next attempt back (Retry-After, where it is honoured).
	NotBefore Time `json:"not_before,omitzero"`
	// EndedAt is when the last attempt ended, where the clock was set back since.
	EndedAt Time `json:"ended_at,omitzero"`
	// Status and Polls are the operation's when the delivery began, for the API.
	Status *Status `json:"status,omitempty"`
	Polls  int     `json:"polls,omitempty"`
	// Partial is as in WatchRecord.
	Partial bool `json:"partial,omitempty"`
	// Run is as in WatchRecord.
	Run int `json:"run,omitempty"`
}

// Pending reports whether the delivery goes on.
func (r *DeliveryRecord) Pending() bool { return r.Delivery.Outcome == DeliveryPending }

// NextNumber is the number of the next attempt, over the callback's whole life.
func (r *DeliveryRecord) NextNumber() int {
	if last := r.Last(); last != nil {
		return last.Number + 1
	}
	return 1
}

// Last is the latest attempt, or nil.
func (r *DeliveryRecord) Last() *Attempt {
	if n := len(r.Delivery.Attempts); n > 0 {
		return &r.Delivery.Attempts[n-1]
	}
	return nil
}

// BeginAttempt records that an attempt begins.
func (r *DeliveryRecord) BeginAttempt(at Time) {
	r.Delivery.Attempts = KeepNewest(append(slices.Clone(r.Delivery.Attempts), Attempt{Number: r.NextNumber(), At: at}))
	r.Made++
	r.EndedAt, r.Delivery.NextAttemptAt, r.Delivery.OnHold = Time{}, nil, false
}

// EndAttempt completes the latest attempt. ended is DeliveryGone, for that reason,
// where no other is to follow; notBefore is the receiver's Retry-After.
func (r *DeliveryRecord) EndAttempt(a Attempt, ended DeliveryOutcome, reason string, notBefore Time) {
	*r.Last() = a
	r.NotBefore = notBefore
	switch {
	case a.Verdict == Acknowledged:
		r.Delivery.Outcome = DeliveryAcknowledged
	case ended != "":
		r.Delivery.Outcome, r.Delivery.Reason = ended, reason
	}
}

// InFlight reports whether the latest attempt has not ended, as far as is recorded.
func (r *DeliveryRecord) InFlight() bool { return r.Last() != nil && r.Last().Verdict == "" }

// Lose counts one attempt whose worker was lost: the one in flight, or one that only
// the start of its activity's run records. That was made at that time, which may be
// guessed too early, and never before it was due.
func (r *DeliveryRecord) Lose(at Time, h, timeout time.Duration, reason string) {
	if !r.InFlight() {
		if due := r.Due(h); due.After(at) {
			at = due
		}
		r.BeginAttempt(at)
	}
	r.Interrupt(timeout, reason)
}

// Interrupt completes an attempt whose result was lost, as one that lasted for its timeout.
func (r *DeliveryRecord) Interrupt(timeout time.Duration, reason string) {
	if last := r.Last(); r.InFlight() {
		last.Verdict, last.Reason, last.TookMS = Unacknowledged, reason, timeout.Milliseconds()
	}
}

// Exhaust ends a pending delivery that has made k attempts.
func (r *DeliveryRecord) Exhaust(k int) {
	if r.Pending() && r.Made >= k {
		r.Delivery.Outcome = DeliveryExhausted
	}
}

// Clone shares no memory with the record.
func (r *DeliveryRecord) Clone() DeliveryRecord {
	cloned := *r
	cloned.Delivery.Attempts = slices.Clone(r.Delivery.Attempts)
	return cloned
}

// newestInBrief is how many attempts Brief keeps: what one run of an activity can add
// while its workflow cancels it, and what an error's details can hold.
const newestInBrief = 3

// Brief is the record with its newest attempts only.
func (r *DeliveryRecord) Brief() DeliveryRecord {
	brief := r.Clone()
	brief.Status = nil
	if extra := len(brief.Delivery.Attempts) - newestInBrief; extra > 0 {
		brief.Delivery.Attempts = brief.Delivery.Attempts[extra:]
	}
	return brief
}

// Merge takes over a later record of the same delivery, which may be a brief one.
func (r *DeliveryRecord) Merge(later DeliveryRecord) {
	if later.Delivery.CallbackID != r.Delivery.CallbackID || later.Made < r.Made {
		return
	}
	attempts := slices.Clone(r.Delivery.Attempts)
	if newest := later.Delivery.Attempts; len(newest) > 0 {
		attempts = slices.DeleteFunc(attempts, func(a Attempt) bool { return a.Number >= newest[0].Number })
		attempts = append(attempts, newest...)
	}
	status := r.Status
	*r = later
	r.Status, r.Delivery.Attempts = status, KeepNewest(attempts)
}
