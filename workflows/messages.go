package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
)

// Names of the contract between the workflow and those who call it.
const (
	// OperationType is the workflow type of an operation.
	OperationType = "Operation"
	// TaskQueue is where workflows and activities run.
	TaskQueue = "ringback"
	// UpdateRevoke records a revocation and answers with the state or the
	// reason against it; SignalRevoke does the same for the UI and the CLI,
	// where what is not allowed is ignored. Both take a operation.Revocation.
	UpdateRevoke = "revoke"
	// SignalRevoke is the Signal of the same name.
	SignalRevoke = "revoke"
	// SignalUnacknowledged is how a delivery tells its run that its first attempt
	// was not acknowledged; it takes an activities.Unacknowledged. Nobody else sends it.
	SignalUnacknowledged = "unacknowledged"
	// UpdateStatus and SignalStatus take a Push.
	UpdateStatus = "status"
	SignalStatus = "status"
	// UpdateWithdraw ends the operation without a callback and answers with the
	// state; so does a cancellation of the run, which the UI and the CLI offer.
	//
	// A Signal or a cancellation that comes while the attempt in a workflow task
	// is in flight makes the server refuse what the task then decides and forget
	// the attempt. An Update waits for the task instead, and is preferred.
	UpdateWithdraw = "withdraw"
	// QueryState answers with a operation.State, QueryRecord with a operation.Record:
	// what a redelivery of a terminated run needs.
	QueryState  = "state"
	QueryRecord = "record"
	// ActivityWatch and ActivityDeliver are the types of the two long-running
	// activities, whose heartbeat details are a operation.WatchRecord and a
	// operation.DeliveryRecord.
	ActivityWatch   = "Watch"
	ActivityDeliver = "Deliver"
	// MemoStart holds the normalised operation.StartRequest.
	MemoStart = "start"
)

// WorkflowTaskTimeout is how long a lost workflow task, and the one attempt
// that may have been made in it, waits for another worker. 2 s is too short:
// at 512 starters, start calls alone were measured at 2.7 s.
const WorkflowTaskTimeout = 5 * time.Second

// Search attributes. The endpoint is set at start, where it costs nothing; the
// others only on endings other than acknowledged, off the happy path.
var (
	AttributeEndpoint = temporal.NewSearchAttributeKeyKeyword("RingbackEndpoint")
	AttributeOutcome  = temporal.NewSearchAttributeKeyKeyword("RingbackOutcome")
	AttributeStatus   = temporal.NewSearchAttributeKeyKeyword("RingbackStatus")
	// AttributePhase is operation.Delivering from the first unacknowledged attempt
	// of a delivery on, and operation.Watching once such a delivery has ended and
	// the run goes on. A run on the happy path never writes it, and one that ends
	// takes it back; one that is terminated does not.
	AttributePhase = temporal.NewSearchAttributeKeyKeyword("RingbackPhase")
	// AttributeUndelivered is how many callbacks of the run were never
	// acknowledged (operation.State.Undelivered). It is written at the end of a
	// run, and only where it is not 0: also of one whose last callback was
	// acknowledged.
	AttributeUndelivered = temporal.NewSearchAttributeKeyInt64("RingbackUndelivered")
	// AttributeBulkRedelivery is the id of the bulk redelivery that began the run.
	// It is set at start, and of no other run.
	AttributeBulkRedelivery = temporal.NewSearchAttributeKeyKeyword("RingbackRedeliveries")
)

// Attributes are all of them.
var Attributes = []temporal.SearchAttributeKey{
	AttributeEndpoint, AttributeOutcome, AttributeStatus, AttributePhase, AttributeUndelivered,
	AttributeBulkRedelivery,
}

// The error types with which a run fails: the outcome of its last callback owed.
const (
	TypeExhausted = "Exhausted"
	TypeGone      = "Gone"
)

// Input starts an operation's workflow. Policies and rules travel here, so that
// a change of the configuration does not reach runs that are open (promise 14).
type Input struct {
	Start  operation.StartRequest `json:"start"`
	Source string                 `json:"source"`
	// Dialect writes the operation's callbacks and judges their answers, whatever
	// its endpoint's is meanwhile.
	Dialect string           `json:"dialect,omitempty"`
	Rules   operation.Rules  `json:"rules"`
	Policy  operation.Policy `json:"policy"`
	// Wanted filters which statuses ring; empty: all that the rules ring.
	Wanted []string `json:"wanted,omitempty"`
	// Notices is who hears of deliveries that nobody acknowledged, or nil.
	Notices *operation.Recipient `json:"notices,omitempty"`
	// Redelivery makes this run one of an operation that has ended before.
	Redelivery *Redelivery `json:"redelivery,omitempty"`
	// AcceptedAt is when the operation was accepted, where that was before this run
	// began: its lifetime counts from there.
	AcceptedAt operation.Time `json:"accepted_at,omitzero"`
	// Carried makes this run one that continues another, from its record; Phase is
	// AttributePhase as that wrote it.
	Carried *operation.Record `json:"carried,omitempty"`
	Phase   operation.Phase   `json:"phase,omitempty"`
}

// Redelivery is an engineer's new run (promise 10).
type Redelivery struct {
	// Previous is the record of the latest run.
	Previous operation.Record `json:"previous"`
	// Repoll asks the source once before ringing.
	Repoll bool `json:"repoll,omitempty"`
	// Force rings the previous run's callback also if it was acknowledged.
	Force bool `json:"force,omitempty"`
	// Watch goes on with the watch, in a lifetime of its own, while the status
	// is not final.
	Watch  bool   `json:"watch,omitempty"`
	Reason string `json:"reason,omitempty"`
	// By is who asked for it, BulkRedeliveryID the bulk redelivery that it is a
	// part of; else empty.
	By               string `json:"by,omitempty"`
	BulkRedeliveryID string `json:"redeliveries_id,omitempty"`
}

// Push is what a core says by itself: a status, or "poll now" if it is empty.
type Push struct {
	Status string `json:"status,omitempty"`
}
