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
	// UpdateRevoke takes an operation.Revocation and returns the operation.State, or
	// why it is not allowed. SignalRevoke is for the UI and the CLI; one that is not
	// allowed is ignored.
	UpdateRevoke = "revoke"
	SignalRevoke = "revoke"
	// SignalUnacknowledged takes an activities.Unacknowledged, from a Deliver activity
	// whose first attempt was not acknowledged.
	SignalUnacknowledged = "unacknowledged"
	// UpdateStatus and SignalStatus take a Push.
	UpdateStatus = "status"
	SignalStatus = "status"
	// UpdateWithdraw ends the operation without a callback and returns the
	// operation.State. A cancellation of the run does the same, for the UI and the CLI.
	//
	// Prefer Updates: a Signal or a cancellation during an attempt in a workflow task can
	// make the server refuse that task, so that the attempt is not recorded. An Update
	// waits for the task.
	UpdateWithdraw = "withdraw"
	// QueryState returns an operation.State, QueryRecord an operation.Record, which a
	// redelivery of a terminated run needs.
	QueryState  = "state"
	QueryRecord = "record"
	// ActivityWatch and ActivityDeliver are the types of the two long-running
	// activities. Their heartbeat details are an operation.WatchRecord and an
	// operation.DeliveryRecord.
	ActivityWatch   = "Watch"
	ActivityDeliver = "Deliver"
	// MemoStart holds the normalised operation.StartRequest.
	MemoStart = "start"
)

// WorkflowTaskTimeout is how long a workflow task whose worker died waits for another
// worker. 2 s is too short: with 512 concurrent starts, one took 2.7 s.
const WorkflowTaskTimeout = 5 * time.Second

// Search attributes. The endpoint is set at the start, where it costs no event; the
// others only off the happy path.
var (
	AttributeEndpoint = temporal.NewSearchAttributeKeyKeyword("RingbackEndpoint")
	AttributeOutcome  = temporal.NewSearchAttributeKeyKeyword("RingbackOutcome")
	AttributeStatus   = temporal.NewSearchAttributeKeyKeyword("RingbackStatus")
	// AttributePhase is operation.Delivering from a delivery's first unacknowledged
	// attempt on, and operation.Watching once such a delivery has ended and the run goes
	// on. It is unset when the run closes, unless it is terminated.
	AttributePhase = temporal.NewSearchAttributeKeyKeyword("RingbackPhase")
	// AttributeUndelivered is operation.State.Undelivered, set when a run closes where it
	// is not 0.
	AttributeUndelivered = temporal.NewSearchAttributeKeyInt64("RingbackUndelivered")
	// AttributeBulkRedelivery is the id of the bulk redelivery that started the run, set at
	// the start.
	AttributeBulkRedelivery = temporal.NewSearchAttributeKeyKeyword("RingbackRedeliveries")
)

// Attributes are all search attributes.
var Attributes = []temporal.SearchAttributeKey{
	AttributeEndpoint, AttributeOutcome, AttributeStatus, AttributePhase, AttributeUndelivered,
	AttributeBulkRedelivery,
}

// The error types with which a run fails: the outcome of its last delivery.
const (
	TypeExhausted = "Exhausted"
	TypeGone      = "Gone"
)

// Input starts an operation's workflow. Policies and rules travel here, so that
// a change of the configuration does not reach runs that are open (promise 14).
type Input struct {
	Start  operation.StartRequest `json:"start"`
	Source string                 `json:"source"`
	// Dialect is the endpoint's at the start. The operation's callbacks keep it.
	Dialect string           `json:"dialect,omitempty"`
	Rules   operation.Rules  `json:"rules"`
	Policy  operation.Policy `json:"policy"`
	// Wanted limits which statuses are delivered; empty: all that the rules deliver.
	Wanted []string `json:"wanted,omitempty"`
	// Notices receives the notices about this operation's deliveries; nil: nobody does.
	Notices *operation.Recipient `json:"notices,omitempty"`
	// Redelivery makes this run a redelivery of a closed one.
	Redelivery *Redelivery `json:"redelivery,omitempty"`
	// AcceptedAt is when the lifetime began, where that was before this run did.
	AcceptedAt operation.Time `json:"accepted_at,omitzero"`
	// Carried is the record of the run that this one continues as new; Phase is its
	// AttributePhase.
	Carried *operation.Record `json:"carried,omitempty"`
	Phase   operation.Phase   `json:"phase,omitempty"`
}

// Redelivery starts a new run of a closed operation (promise 10).
type Redelivery struct {
	// Previous is the record of the latest run.
	Previous operation.Record `json:"previous"`
	// Repoll polls the source once before it delivers.
	Repoll bool `json:"repoll,omitempty"`
	// Force delivers the previous run's callback also if it was acknowledged.
	Force bool `json:"force,omitempty"`
	// Watch continues the watch, with a lifetime of its own, while the status is not
	// final.
	Watch  bool   `json:"watch,omitempty"`
	Reason string `json:"reason,omitempty"`
	// By is the name of the caller's API key, BulkRedeliveryID the bulk redelivery that
	// this is a part of, or empty.
	By               string `json:"by,omitempty"`
	BulkRedeliveryID string `json:"redeliveries_id,omitempty"`
}

// Push is a status that a core sends by itself; an empty one means "poll now".
type Push struct {
	Status string `json:"status,omitempty"`
}
