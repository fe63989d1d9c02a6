package operation

// Summary is an operation in a list, as far as Temporal's visibility knows it.
type Summary struct {
	Key
	// Status is the last status, where visibility has it; else empty.
	Status  string  `json:"status,omitempty"`
	Phase   Phase   `json:"phase"`
	Outcome Outcome `json:"outcome"`
	// Reason is State.LastReason of an exhausted, gone or delivering operation.
	Reason    string `json:"reason,omitempty"`
	StartedAt Time   `json:"started_at"`
	ClosedAt  *Time  `json:"closed_at,omitempty"`
	RunID     string `json:"run_id"`
	UIURL     string `json:"ui_url"`
}

// ListQuery filters GET /v1/operations; zero fields filter nothing.
type ListQuery struct {
	Endpoint string
	Outcome  Outcome
	// Phase selects open operations by what they do.
	Phase Phase
	// Status and HTTPStatus are as in Filter.
	Status, HTTPStatus string
	// Undelivered selects operations with a callback that was never acknowledged.
	Undelivered bool
	// ByClose applies Since and Until to when the run closed, not to when it started.
	ByClose   bool
	Since     Time
	Until     Time
	PageToken string
	// Reasons adds each Summary's Reason, which is one more read of the server for each.
	Reasons bool
}

// Page is one page of a list, newest first.
type Page struct {
	Operations    []Summary `json:"operations"`
	NextPageToken string    `json:"next_page_token,omitempty"`
	// UIURL is the Temporal UI's list of all runs; empty: the API knows no UI.
	UIURL string `json:"ui_url,omitempty"`
}

// CountQuery is GET /v1/operations/count; GroupBy may be empty.
type CountQuery struct {
	ListQuery
	GroupBy string
}

// The values of CountQuery.GroupBy.
const (
	GroupByEndpoint = "endpoint"
	GroupByOutcome  = "outcome"
)

// OperationsCount is the response of GET /v1/operations/count.
type OperationsCount struct {
	Count int `json:"count"`
	// Exact says that operations were counted; otherwise runs were, which may be more.
	Exact  bool         `json:"exact"`
	Groups []CountGroup `json:"groups,omitempty"`
}

// CountGroup is the count of one endpoint or of one outcome.
type CountGroup struct {
	Endpoint string  `json:"endpoint,omitempty"`
	Outcome  Outcome `json:"outcome,omitzero"`
	Count    int     `json:"count"`
}
