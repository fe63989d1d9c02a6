package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/operation"
)

// Names of the contract between the workflow and those who call it.
const (
	// OperationType is the workflow type of an operation.
	OperationType = "Operation"
	// TaskQueue is where workflows and activities run.
	TaskQueue = "ringback"
	// UpdateRevoke takes an operation.Revocation and returns the operation.State.
	// SignalRevoke is for the UI and the CLI; one that is not allowed is ignored.
	UpdateRevoke = "revoke"
	SignalRevoke = "revoke"
	// UpdateStatus and SignalStatus take a Push.
	UpdateStatus = "status"
	SignalStatus = "status"
	// UpdateWithdraw returns the operation.State. A cancellation of the run does the
	// same. Prefer Updates: a Signal or a cancellation can make the server refuse a
	// workflow task, so that the attempt in it is not recorded.
	UpdateWithdraw = "withdraw"
	// QueryState returns an operation.State, QueryRecord an operation.Record.
	QueryState  = "state"
	QueryRecord = "record"
	// ActivityWatch and ActivityDeliver have an operation.WatchRecord and an
	// operation.DeliveryRecord as their heartbeat details.
	ActivityWatch   = "Watch"
	ActivityDeliver = "Deliver"
	// MemoStart holds the normalised operation.StartRequest.
	MemoStart = "start"
)

// WorkflowTaskTimeout bounds a workflow task whose worker died. 2 s is too short: with
// 512 concurrent starts, one took 2.7 s.
const WorkflowTaskTimeout = 5 * time.Second

// The order in which a busy server hands tasks out: callbacks before polls.
const (
	PriorityDelivery = 1
	// PriorityWatch is also that of workflow tasks.
	PriorityWatch = 3
	// PriorityBulkRedelivery is also that of the runs that a bulk redelivery starts.
	PriorityBulkRedelivery = 5
)

// Search attributes. The endpoint is set at the start, the others only off the happy path.
var (
	AttributeEndpoint = temporal.NewSearchAttributeKeyKeyword("RingbackEndpoint")
	AttributeOutcome  = temporal.NewSearchAttributeKeyKeyword("RingbackOutcome")
	AttributeStatus   = temporal.NewSearchAttributeKeyKeyword("RingbackStatus")
	// AttributePhase is operation.Delivering from when a delivery goes on in an activity:
	// its first attempt failed, or could not be made inside a workflow task. It is
	// operation.OnHold while the endpoint is, operation.Watching after that delivery, and
	// unset when the run closes.
	AttributePhase = temporal.NewSearchAttributeKeyKeyword("RingbackPhase")
	// AttributeUndelivered is operation.State.Undelivered of a closed run, where it is not 0.
	AttributeUndelivered = temporal.NewSearchAttributeKeyInt64("RingbackUndelivered")
	// AttributeHTTPStatus is operation.State.LastHTTPStatus of a run that ended exhausted or
	// gone. A list needs none of the slots that visibility has an index for.
	AttributeHTTPStatus = temporal.NewSearchAttributeKeyKeywordList("RingbackHTTPStatus")
	// AttributeBulkRedelivery is the id of the bulk redelivery that started the run.
	AttributeBulkRedelivery = temporal.NewSearchAttributeKeyKeyword("RingbackRedeliveries")
)

// Attributes are all search attributes.
var Attributes = []temporal.SearchAttributeKey{
	AttributeEndpoint, AttributeOutcome, AttributeStatus, AttributePhase, AttributeUndelivered,
	AttributeHTTPStatus, AttributeBulkRedelivery,
}

// The error types with which a run fails: the outcome of its last delivery.
const (
	TypeExhausted = activities.TypeExhausted
	TypeGone      = activities.TypeGone
)

// TypePushRefused is the error type of an Update that Policy.Push refuses, and of one
// without a status where the core is never polled.
const TypePushRefused = "PushRefused"

// Input starts an operation's workflow, with the policies and rules that hold for it
// whatever becomes of the configuration (promise 14).
type Input struct {
	Start  operation.StartRequest `json:"start"`
	Source string                 `json:"source"`
	// Dialect is the endpoint's at the start. The operation's callbacks keep it.
	Dialect string           `json:"dialect,omitempty"`
	Rules   operation.Rules  `json:"rules"`
	Policy  operation.Policy `json:"policy"`
	// Wanted limits which statuses are delivered; empty: all that the rules deliver.
	Wanted []string `json:"wanted,omitempty"`
	// SetHTTPStatus has the run set AttributeHTTPStatus. A history of before, without it,
	// replays.
	SetHTTPStatus bool `json:"set_http_status,omitempty"`
	// Notices receives the notices about this operation's deliveries; nil: nobody does.
	Notices *operation.Recipient `json:"notices,omitempty"`
	// Redelivery makes this run a redelivery of a closed one.
	Redelivery *Redelivery `json:"redelivery,omitempty"`
	// AcceptedAt is when the lifetime began, where that was before this run did.
	AcceptedAt operation.Time `json:"accepted_at,omitzero"`
	// Carried is the record of the run that this one continues as new, Phase its AttributePhase.
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
	// Watch continues the watch, with a lifetime of its own.
	Watch  bool   `json:"watch,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Host is as in operation.RedeliveryNote.
	Host string `json:"host,omitempty"`
	// By is the name of the caller's API key; BulkRedeliveryID may be empty.
	By               string `json:"by,omitempty"`
	BulkRedeliveryID string `json:"redeliveries_id,omitempty"`
}

// Push is a status that a core sends by itself; an empty one means "poll now".
type Push struct {
	Status string `json:"status,omitempty"`
	// ByAPI says that a caller of the API sent it, for whom Policy.Push holds; an operator
	// in Temporal is trusted.
	ByAPI bool `json:"by_api,omitempty"`
}

// IsMessage implements codec.Message.
func (Push) IsMessage() {}

// IsOptional implements codec.OptionalMessage: without a status it asks for a poll now.
func (Push) IsOptional() {}
