package operation

import (
	"slices"
	"strconv"
)

// Phase is what an operation's run is doing.
type Phase string

// The phases.
const (
	Watching   Phase = "watching"
	Delivering Phase = "delivering"
	// OnHold: a delivery waits since its endpoint is on hold.
	OnHold Phase = "on_hold"
	Closed Phase = "closed"
)

// Status is the last recorded observation as the API shows it.
type Status struct {
	Value      string            `json:"value"`
	Final      bool              `json:"final"`
	Raw        map[string]string `json:"raw,omitempty"`
	ObservedAt Time              `json:"observed_at"`
}

// State is an operation as GET /v1/operations/{endpoint}/{operation_id} shows it.
type State struct {
	Key
	Phase   Phase   `json:"phase"`
	Outcome Outcome `json:"outcome"`
	// Status is null until something was observed.
	Status *Status `json:"status"`
	Polls  int     `json:"polls"`
	// PollFailure is why the latest poll had no answer; empty: it had one.
	PollFailure string      `json:"poll_failure,omitempty"`
	NextPollAt  *Time       `json:"next_poll_at,omitempty"`
	Deliveries  []Delivery  `json:"deliveries"`
	Revocation  *Revocation `json:"revocation,omitempty"`
	// Repeated counts observations of a status that the client has, Contradicted those
	// of another than the final one (promise 4). Neither are delivered.
	Repeated     int    `json:"repeated,omitempty"`
	Contradicted int    `json:"contradicted,omitempty"`
	RunID        string `json:"run_id"`
	UIURL        string `json:"ui_url"`
	// StartedAt and ClosedAt are the run's, by the server's clock, where the state was
	// read from the server.
	StartedAt *Time `json:"started_at,omitempty"`
	ClosedAt  *Time `json:"closed_at,omitempty"`
	// Redelivery is set where this run is a redelivery.
	Redelivery *RedeliveryNote `json:"redelivery,omitempty"`
	// Host is where the callbacks of a run that was just begun go, for the audit alone.
	Host string `json:"-"`
}

// LastReason is why the latest attempt was not acknowledged, or why the delivery
// ended without one; empty where it was, or there was none.
func (s State) LastReason() string {
	d := s.LastDelivery()
	for _, a := range slices.Backward(d.Attempts) {
		if a.Verdict != "" {
			return a.Reason
		}
	}
	return d.Reason
}

// NoHTTPStatus stands for the HTTP status of an attempt without an answer.
const NoHTTPStatus = "none"

// LastHTTPStatus is the HTTP status of the last delivery's last attempt, and its class:
// "503" and "5xx"; NoHTTPStatus alone where no answer came; nothing without an attempt.
func (s State) LastHTTPStatus() []string {
	attempts := s.LastDelivery().Attempts
	if len(attempts) == 0 {
		return nil
	}
	status := attempts[len(attempts)-1].HTTPStatus
	if status == 0 {
		return []string{NoHTTPStatus}
	}
	return []string{strconv.Itoa(status), strconv.Itoa(status/100) + "xx"}
}

// LastDelivery is the last delivery that was not superseded; zero if there is none.
func (s State) LastDelivery() Delivery {
	for _, d := range slices.Backward(s.Deliveries) {
		if d.Outcome != DeliverySuperseded {
			return d
		}
	}
	return Delivery{}
}

// Undelivered counts callbacks that were never acknowledged, except those withdrawn.
func (s State) Undelivered() int {
	count := 0
	for _, d := range s.Deliveries {
		switch d.Outcome {
		case DeliveryExhausted, DeliveryGone:
			count++
		case DeliverySuperseded:
			if d.Reason != ReasonWithdrawn {
				count++
			}
		case DeliveryPending, DeliveryAcknowledged:
		}
	}
	return count
}
