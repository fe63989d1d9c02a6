package operation

// Phase is what an operation's run is doing.
type Phase string

// The phases.
const (
	Watching   Phase = "watching"
	Delivering Phase = "delivering"
	Closed     Phase = "closed"
)

// Outcome is how a closed operation ended: how the last callback's delivery did, or,
// where there was none, how the watch did. The empty one is JSON null.
type Outcome string

// The outcomes.
const (
	OutcomeNone         Outcome = ""
	OutcomeAcknowledged Outcome = "acknowledged"
	OutcomeExhausted    Outcome = "exhausted"
	OutcomeGone         Outcome = "gone"
	OutcomeRevoked      Outcome = "revoked"
	OutcomeWithdrawn    Outcome = "withdrawn"
	OutcomeExpired      Outcome = "expired"
	OutcomeTerminated   Outcome = "terminated"
)

// Outcomes are all outcomes of a closed operation.
var Outcomes = []Outcome{
	OutcomeAcknowledged, OutcomeExhausted, OutcomeGone, OutcomeRevoked,
	OutcomeWithdrawn, OutcomeExpired, OutcomeTerminated,
}

// MarshalJSON writes OutcomeNone as null.
func (o Outcome) MarshalJSON() ([]byte, error) {
	if o == OutcomeNone {
		return []byte("null"), nil
	}
	return []byte(`"` + string(o) + `"`), nil
}

// Status is the last recorded observation as the API shows it.
type Status struct {
	Value      string            `json:"value"`
	Final      bool              `json:"final"`
	Raw        map[string]string `json:"raw,omitempty"`
	ObservedAt Time              `json:"observed_at"`
}

// Revocation is the core's statement that the operation itself was revoked.
type Revocation struct {
	// InitiatedBy is "client", "user" or "core".
	InitiatedBy string `json:"initiated_by"`
	Reason      string `json:"reason,omitempty"`
	At          Time   `json:"at,omitzero"`
}

// Initiators are the values of Revocation.InitiatedBy.
var Initiators = []string{InitiatedByClient, "user", "core"}

// InitiatedByClient marks a revocation that the client made itself: it is not delivered
// (Paysera: callbacks are for events not initiated by the client).
const InitiatedByClient = "client"

// State is an operation as GET /v1/operations/{endpoint}/{operation_id} shows it.
type State struct {
	Key
	Phase   Phase   `json:"phase"`
	Outcome Outcome `json:"outcome"`
	// Status is null until something was observed.
	Status     *Status     `json:"status"`
	Polls      int         `json:"polls"`
	NextPollAt *Time       `json:"next_poll_at,omitempty"`
	Deliveries []Delivery  `json:"deliveries"`
	Revocation *Revocation `json:"revocation,omitempty"`
	// Repeated counts observations of a status that the client has already,
	// Contradicted those of another status than the final one (promise 4). Neither
	// are delivered.
	Repeated     int    `json:"repeated,omitempty"`
	Contradicted int    `json:"contradicted,omitempty"`
	RunID        string `json:"run_id"`
	UIURL        string `json:"ui_url"`
	// Redelivery is set where this run is a redelivery.
	Redelivery *RedeliveryNote `json:"redelivery,omitempty"`
}

// Undelivered counts the callbacks that were never acknowledged: exhausted, gone, or
// superseded, except by a withdrawal.
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

// Summary is an operation in a list, as far as Temporal's visibility knows it.
type Summary struct {
	Key
	// Status is the last status, where visibility has it; else empty.
	Status    string  `json:"status,omitempty"`
	Phase     Phase   `json:"phase"`
	Outcome   Outcome `json:"outcome"`
	StartedAt Time    `json:"started_at"`
	ClosedAt  *Time   `json:"closed_at,omitempty"`
	RunID     string  `json:"run_id"`
	UIURL     string  `json:"ui_url"`
}

// ListQuery filters GET /v1/operations; zero fields filter nothing.
type ListQuery struct {
	Endpoint string
	Outcome  Outcome
	// Undelivered selects, instead of one outcome, operations with a callback that was
	// never acknowledged: exhausted, gone, expired, terminated, and acknowledged ones
	// with an older callback that was superseded.
	Undelivered bool
	// ByClose applies Since and Until to when the run closed, not to when it started.
	ByClose   bool
	Since     Time
	Until     Time
	PageToken string
}

// Page is one page of a list, newest first.
type Page struct {
	Operations    []Summary `json:"operations"`
	NextPageToken string    `json:"next_page_token,omitempty"`
}

// RedeliveryRequest is the body of POST …/redelivery (promise 10).
type RedeliveryRequest struct {
	// Repoll polls the source first; another status is a new callback.
	Repoll bool `json:"repoll,omitempty"`
	// Force delivers also what was acknowledged.
	Force  bool   `json:"force,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Callback.URL replaces a per-operation URL.
	Callback Target `json:"callback,omitzero"`
	// By is the name of the caller's API key, BulkRedeliveryID the bulk redelivery that
	// the request is a part of, or empty.
	By               string `json:"-"`
	BulkRedeliveryID string `json:"-"`
}
