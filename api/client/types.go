package client

import (
	"time"

	"ringback/internal/operation"
)

// The API's types, as docs and openapi.yaml describe them.
type (
	// Key names an operation.
	Key = operation.Key
	// Time is an instant in UTC, to the millisecond; see [At].
	Time = operation.Time
	// FieldError says what is wrong with one field of a request.
	FieldError = operation.FieldError
	// ProblemKind is the stable kind of a [Problem].
	ProblemKind = operation.Problem

	// StartRequest starts an operation.
	StartRequest = operation.StartRequest
	// Reference is what a source needs besides the operation id.
	Reference = operation.Reference
	// CallbackTarget is where to send callbacks, and for which statuses.
	CallbackTarget = operation.Target

	// State is how an operation stands.
	State = operation.State
	// Phase is where its run stands.
	Phase = operation.Phase
	// Outcome is how it ended.
	Outcome = operation.Outcome
	// OperationStatus is the last status observed.
	OperationStatus = operation.Status
	// Revocation is the core's statement that the operation was revoked.
	Revocation = operation.Revocation
	// Delivery is the effort to have one callback acknowledged.
	Delivery = operation.Delivery
	// DeliveryOutcome is how it stands or ended.
	DeliveryOutcome = operation.DeliveryOutcome
	// Attempt is one request to the receiver.
	Attempt = operation.Attempt
	// Verdict is whether it was acknowledged.
	Verdict = operation.Verdict

	// ListQuery filters a list; zero fields filter nothing.
	ListQuery = operation.ListQuery
	// Page is one page of a list.
	Page = operation.Page
	// Summary is an operation in a list.
	Summary = operation.Summary
	// CountQuery filters a count, and says by what to group it.
	CountQuery = operation.CountQuery
	// Count is how many operations match.
	Count = operation.OperationsCount
	// CountGroup is a part of a count.
	CountGroup = operation.CountGroup

	// RedeliveryRequest is how to redeliver one operation.
	RedeliveryRequest = operation.RedeliveryRequest
	// RedeliveryNote says who redelivered an operation, and why.
	RedeliveryNote = operation.RedeliveryNote
	// BulkRedeliveryRequest is which operations to redeliver, and how fast.
	BulkRedeliveryRequest = operation.BulkRedeliveryRequest
	// Filter says which operations a bulk redelivery is about.
	Filter = operation.Filter
	// DryRun is what a bulk redelivery would redeliver.
	DryRun = operation.DryRun
	// BulkRedelivery is the redelivery of many operations.
	BulkRedelivery = operation.BulkRedelivery
	// BulkRedeliveryPhase is where it stands.
	BulkRedeliveryPhase = operation.BulkRedeliveryPhase
	// BulkRedeliveries are the latest ones, newest first.
	BulkRedeliveries = operation.BulkRedeliveryPage

	// Ping is a test callback and what came of it.
	Ping = operation.Ping
	// PingConnection is how the receiver was reached.
	PingConnection = operation.Connection
	// HeaderLine is one header of its request or response.
	HeaderLine = operation.HeaderLine

	pingRequest = operation.PingRequest
)

// At is t as the API writes it.
func At(t time.Time) Time { return operation.At(t) }

// ParseKey reads "ENDPOINT/OPERATION_ID", as [Key.WorkflowID] writes it.
func ParseKey(text string) (Key, bool) { return operation.ParseWorkflowID(text) }

// What the API accepts, in the order of its documents.
var (
	// Outcomes are all outcomes of a closed operation.
	Outcomes = operation.Outcomes
	// Redeliverable are those that may be redelivered without force.
	Redeliverable = operation.Redeliverable
	// Initiators are who may have revoked an operation.
	Initiators = operation.Initiators
	// MaxReason bounds a reason, in characters.
	MaxReason = operation.ReasonRule.MaxLength
)

// The values of the fields above.
const (
	// DefaultRatePerSecond is a bulk redelivery's where none is given.
	DefaultRatePerSecond = operation.DefaultRatePerSecond

	GroupByEndpoint = operation.GroupByEndpoint
	GroupByOutcome  = operation.GroupByOutcome

	PhaseWatching   = operation.Watching
	PhaseDelivering = operation.Delivering
	PhaseOnHold     = operation.OnHold
	PhaseClosed     = operation.Closed

	OutcomeNone         = operation.OutcomeNone
	OutcomeAcknowledged = operation.OutcomeAcknowledged
	OutcomeExhausted    = operation.OutcomeExhausted
	OutcomeGone         = operation.OutcomeGone
	OutcomeRevoked      = operation.OutcomeRevoked
	OutcomeWithdrawn    = operation.OutcomeWithdrawn
	OutcomeExpired      = operation.OutcomeExpired
	OutcomeTerminated   = operation.OutcomeTerminated

	DeliveryPending      = operation.DeliveryPending
	DeliveryAcknowledged = operation.DeliveryAcknowledged
	DeliveryExhausted    = operation.DeliveryExhausted
	DeliverySuperseded   = operation.DeliverySuperseded
	DeliveryGone         = operation.DeliveryGone

	Acknowledged   = operation.Acknowledged
	Unacknowledged = operation.Unacknowledged

	BulkRedeliveryRunning = operation.BulkRedeliveryRunning
	BulkRedeliveryStopped = operation.BulkRedeliveryStopped
	BulkRedeliveryDone    = operation.BulkRedeliveryDone
	BulkRedeliveryEnded   = operation.BulkRedeliveryEnded

	ProblemInvalid          = operation.ProblemInvalid
	ProblemNotFound         = operation.ProblemNotFound
	ProblemConflict         = operation.ProblemConflict
	ProblemClosed           = operation.ProblemClosed
	ProblemNotRevocable     = operation.ProblemNotRevocable
	ProblemNotRedeliverable = operation.ProblemNotRedeliverable
	ProblemUnavailable      = operation.ProblemUnavailable
	ProblemOverloaded       = operation.ProblemOverloaded
)
