package workflows

import "ringback/internal/operation"

// Names of the contract with a bulk redelivery.
const (
	// RedeliveriesType is the workflow type of a bulk redelivery.
	RedeliveriesType = "Redeliveries"
	// UpdateStop and UpdateResume answer with a operation.RedeliveriesPhase;
	// the Signals of the same names do the same for the UI and the CLI.
	UpdateStop   = "stop"
	UpdateResume = "resume"
	SignalStop   = "stop"
	SignalResume = "resume"
	// QueryProgress answers with a operation.RedeliveriesProgress.
	QueryProgress = "progress"
	// ActivityRedeliverPage is the type of the activity that redelivers one
	// page; its heartbeat details are a operation.RedeliveriesPlace.
	ActivityRedeliverPage = "RedeliverPage"
	// MemoRedeliveries holds a bulk redelivery's operation.Redeliveries as it
	// began, MemoProgress a RedeliveriesMemo as of the latest page.
	MemoRedeliveries = "redeliveries"
	MemoProgress     = "progress"
	// MemoRedelivery holds the operation.RedeliveryNote of an operation's run
	// that is a redelivery.
	MemoRedelivery = "redelivery"
)

// redeliveriesPrefix makes the workflow id of a bulk redelivery one that no
// operation has: an endpoint's name holds no colon.
const redeliveriesPrefix = "redeliveries:"

// RedeliveriesWorkflowID is the workflow id of the bulk redelivery with that id.
func RedeliveriesWorkflowID(id string) string { return redeliveriesPrefix + id }

// RedeliveriesInput starts a bulk redelivery, and continues it as new.
type RedeliveriesInput struct {
	Redeliveries operation.Redeliveries `json:"redeliveries"`
	// Place is where it has come to.
	Place operation.RedeliveriesPlace `json:"place"`
	// Stopped says that it was stopped when it continued as new.
	Stopped bool `json:"stopped,omitempty"`
	// PageSize is how many runs one activity looks at, Pages how many pages
	// one run of the workflow works off before it continues as new.
	PageSize int `json:"page_size"`
	Pages    int `json:"pages"`
}

// RedeliveriesMemo is what a bulk redelivery shows without a worker.
type RedeliveriesMemo struct {
	Phase operation.RedeliveriesPhase `json:"phase"`
	operation.RedeliveriesProgress
}

// same reports whether the memo need not be written again. What failed last
// changes with the count of what failed only.
func (m RedeliveriesMemo) same(n RedeliveriesMemo) bool {
	return m.Phase == n.Phase && m.Done == n.Done && m.Failed == n.Failed && m.Skipped == n.Skipped
}
