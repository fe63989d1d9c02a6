package operation

import (
	"fmt"
	"time"
)

// Callback is one message about one status of one operation.
type Callback struct {
	// ID is sent as webhook-id, constant for the callback's whole life.
	ID          string      `json:"id"`
	Key         Key         `json:"key"`
	Reference   Reference   `json:"reference,omitzero"`
	Final       bool        `json:"final"`
	Reason      string      `json:"reason,omitempty"`
	Observation Observation `json:"observation"`
	// Dialect is the endpoint's at the operation's start; empty: the one that it has now.
	Dialect string `json:"dialect,omitempty"`
	// Notice is set where the callback is a notice to the operators of Ringback.
	Notice *Notice `json:"notice,omitempty"`
}

// The reasons of deliveries and their callbacks.
const (
	// ReasonPollsUsedUp: delivered without a final status after the last poll.
	ReasonPollsUsedUp = "polls_used_up"
	// ReasonLifetimeOver: delivered without a final status after the lifetime.
	ReasonLifetimeOver = "lifetime_over"
	// ReasonEgress: the egress guard refused the address.
	ReasonEgress = "egress"
	// ReasonHost: the endpoint's callback_hosts do not list the operation's host (any more).
	ReasonHost = "host"
	// ReasonWithdrawn: the delivery was ended by a withdrawal.
	ReasonWithdrawn = "withdrawn"
	// ReasonRevoked: the delivery was ended by a revocation.
	ReasonRevoked = "revoked"
)

// Verdict says whether one attempt was acknowledged, by its dialect's rule.
type Verdict string

// The verdicts. An attempt in flight has none.
const (
	Acknowledged   Verdict = "acknowledged"
	Unacknowledged Verdict = "unacknowledged"
)

// Attempt is one HTTP request and its verdict.
type Attempt struct {
	// Number counts from 1 over the callback's whole life.
	Number int  `json:"number"`
	At     Time `json:"at"`
	// TookMS is from At to the end of the attempt, rounded up.
	TookMS int64 `json:"took_ms"`
	// HTTPStatus is 0 where no answer came.
	HTTPStatus int     `json:"http_status"`
	Verdict    Verdict `json:"verdict"`
	// Reason is why the attempt was not acknowledged, in words.
	Reason string `json:"reason,omitempty"`
	// RemoteAddress is the IP address and port that was called, or of the egress proxy:
	// Internal where it is none of the Internet's.
	RemoteAddress string `json:"remote_address,omitempty"`
	// TLSVersion is empty for plain http.
	TLSVersion string `json:"tls_version,omitempty"`
	// FirstByteMS is from At to the first byte of the answer, rounded up; 0: there was none.
	FirstByteMS int64 `json:"first_byte_ms,omitempty"`
}

// Internal stands for an address in a state, whose readers are not to learn it.
const Internal = "internal"

// End is when the attempt ended.
func (a Attempt) End() Time { return a.At.Add(time.Duration(a.TookMS) * time.Millisecond) }

// EndedBy is the attempt with the time that it took until end.
func (a Attempt) EndedBy(end time.Time) Attempt {
	a.TookMS = CeilMS(end.Sub(a.At.Time))
	return a
}

// CeilMS is d in milliseconds, rounded up.
func CeilMS(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// DeliveryOutcome is the state of a delivery.
type DeliveryOutcome string

// The outcomes of a delivery.
const (
	DeliveryPending      DeliveryOutcome = "pending"
	DeliveryAcknowledged DeliveryOutcome = "acknowledged"
	DeliveryExhausted    DeliveryOutcome = "exhausted"
	DeliverySuperseded   DeliveryOutcome = "superseded"
	DeliveryGone         DeliveryOutcome = "gone"
)

// Delivery is the attempts to get one callback acknowledged.
type Delivery struct {
	CallbackID string          `json:"callback_id"`
	Status     string          `json:"status"`
	Reason     string          `json:"reason,omitempty"`
	Outcome    DeliveryOutcome `json:"outcome"`
	// Host is that of the URL that the latest attempt called (Host).
	Host string `json:"host,omitempty"`
	// Attempts are the newest AttemptsKept, oldest first.
	Attempts      []Attempt `json:"attempts"`
	NextAttemptAt *Time     `json:"next_attempt_at,omitempty"`
	// OnHold says that no attempt is made while the endpoint is on hold.
	OnHold bool `json:"on_hold,omitempty"`
}

// Ending says how the delivery ended, after how many attempts, and why the last failed.
func (d Delivery) Ending() string {
	number, reason := 0, ""
	if n := len(d.Attempts); n > 0 {
		number, reason = d.Attempts[n-1].Number, "; the last: "+d.Attempts[n-1].Reason
	}
	return fmt.Sprintf("callback %s about status %q is %s after %d attempts%s", d.CallbackID, d.Status, d.Outcome, number, reason)
}

// AttemptsKept is how many attempts of a delivery are kept, whatever k is.
const AttemptsKept = 50

// KeepNewest drops all but the newest AttemptsKept.
func KeepNewest(attempts []Attempt) []Attempt {
	if len(attempts) > AttemptsKept {
		return attempts[len(attempts)-AttemptsKept:]
	}
	return attempts
}
