package workflows

import "ringback/internal/operation"

// Names of the contract with a bulk redelivery.
const (
	BulkRedeliveryType = "Redeliveries"
	// UpdateStop and UpdateResume return an operation.BulkRedeliveryPhase; the Signals
	// are for the UI and the CLI.
	UpdateStop   = "stop"
	UpdateResume = "resume"
	SignalStop   = "stop"
	SignalResume = "resume"
	// QueryProgress returns an operation.BulkRedeliveryProgress.
	QueryProgress = "progress"
	// ActivityRedeliverPage has an operation.BulkRedeliveryPosition as its heartbeat details.
	ActivityRedeliverPage = "RedeliverPage"
	// MemoBulkRedelivery holds an operation.BulkRedelivery as it began, MemoProgress a
	// BulkRedeliveryMemo.
	MemoBulkRedelivery = "redeliveries"
	MemoProgress       = "progress"
	// MemoRedelivery holds the operation.RedeliveryNote of a run that is a redelivery.
	MemoRedelivery = "redelivery"
)

// BulkRedeliveryWorkflowID is [operation.BulkRedeliveryWorkflowID].
func BulkRedeliveryWorkflowID(id string) string { return operation.BulkRedeliveryWorkflowID(id) }

// BulkRedeliveryInput starts a bulk redelivery, and continues it as new.
type BulkRedeliveryInput struct {
	Job      operation.BulkRedelivery         `json:"redeliveries"`
	Position operation.BulkRedeliveryPosition `json:"place"`
	// Stopped says that it was stopped when it continued as new.
	Stopped bool `json:"stopped,omitempty"`
	// PageSize is runs per activity, Pages is pages until the workflow continues as new.
	PageSize int `json:"page_size"`
	Pages    int `json:"pages"`
}

// BulkRedeliveryMemo is a bulk redelivery's progress, read without a worker.
type BulkRedeliveryMemo struct {
	Phase operation.BulkRedeliveryPhase `json:"phase"`
	operation.BulkRedeliveryProgress
}
