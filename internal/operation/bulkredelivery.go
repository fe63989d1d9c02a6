package operation

// Filter says which operations a bulk redelivery is about, by their latest run.
type Filter struct {
	Endpoint string `json:"endpoint,omitempty"`
	// Status is the last one recorded, which only exhausted, gone and expired runs have.
	Status string `json:"status,omitempty"`
	// HTTPStatus is one of LastHTTPStatus, which only exhausted and gone runs have.
	HTTPStatus string `json:"http_status,omitempty"`
	// Outcome is one of Redeliverable, or with force OutcomeAcknowledged; empty: all of them.
	Outcome Outcome `json:"outcome,omitzero"`
	// Since and Until bound when the run closed: Since <= closed < Until.
	Since Time `json:"since,omitzero"`
	Until Time `json:"until,omitzero"`
}

// Redeliverable are the outcomes that may be redelivered without force.
var Redeliverable = []Outcome{OutcomeExhausted, OutcomeGone, OutcomeExpired, OutcomeTerminated}

// WithHTTPStatus are the outcomes of which the last attempt's HTTP status is kept for
// searches.
var WithHTTPStatus = []Outcome{OutcomeExhausted, OutcomeGone}

// Outcomes are those that the filter matches.
func (f Filter) Outcomes(force bool) []Outcome {
	switch {
	case f.Outcome != OutcomeNone:
		return []Outcome{f.Outcome}
	case f.HTTPStatus != "":
		return WithHTTPStatus
	case f.Status != "":
		return []Outcome{OutcomeExhausted, OutcomeGone, OutcomeExpired}
	case force:
		return append([]Outcome{OutcomeAcknowledged}, Redeliverable...)
	}
	return Redeliverable
}

// The bounds of a bulk redelivery's rate, in operations per second.
const (
	MaxRatePerSecond     = 100
	DefaultRatePerSecond = 10
)

// BulkRedeliveryRequest is the body of POST /v1/redeliveries.
type BulkRedeliveryRequest struct {
	Filter Filter `json:"filter,omitzero"`
	// DryRun counts and shows a sample, and starts nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// RatePerSecond is the most operations to redeliver in a second; 0: DefaultRatePerSecond.
	RatePerSecond float64 `json:"rate_per_second,omitempty"`
	// Force delivers also what was acknowledged.
	Force  bool   `json:"force,omitempty"`
	Reason string `json:"reason,omitempty"`
	// By is the name of the caller's API key, KeyID its id.
	By    string `json:"-"`
	KeyID string `json:"-"`
}

// BulkRedeliveryPhase is what a bulk redelivery is doing.
type BulkRedeliveryPhase string

// The phases. An operator who cancels or terminates the run ends it.
const (
	BulkRedeliveryRunning BulkRedeliveryPhase = "running"
	BulkRedeliveryStopped BulkRedeliveryPhase = "stopped"
	BulkRedeliveryDone    BulkRedeliveryPhase = "done"
	BulkRedeliveryEnded   BulkRedeliveryPhase = "ended"
)

// BulkRedelivery is a bulk redelivery as the API shows it.
type BulkRedelivery struct {
	ID            string              `json:"id"`
	Phase         BulkRedeliveryPhase `json:"phase"`
	Filter        Filter              `json:"filter"`
	RatePerSecond float64             `json:"rate_per_second"`
	Force         bool                `json:"force,omitempty"`
	// By is the name of the API key that started it, KeyID its id.
	By     string `json:"by"`
	KeyID  string `json:"key_id,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Matched counts the operations that the filter matched when it began. Exact says
	// that it is that; otherwise runs were counted, which may be more.
	Matched int  `json:"matched"`
	Exact   bool `json:"exact"`
	BulkRedeliveryProgress
	StartedAt Time   `json:"started_at"`
	EndedAt   *Time  `json:"ended_at,omitempty"`
	RunID     string `json:"run_id"`
	UIURL     string `json:"ui_url"`
}

// BulkRedeliveryProgress is how far a bulk redelivery has come.
type BulkRedeliveryProgress struct {
	// Done counts the operations that got a new run.
	Done int `json:"done"`
	// Failed counts those that could not be redelivered; Failures are the latest of them.
	Failed int `json:"failed"`
	// Skipped counts those that were redelivered or reset meanwhile, and those without
	// a callback.
	Skipped  int       `json:"skipped"`
	Failures []Failure `json:"failures,omitempty"`
}

// Processed is how many of the matched operations were processed.
func (p BulkRedeliveryProgress) Processed() int { return p.Done + p.Failed + p.Skipped }

// Add counts the result of one operation.
func (p *BulkRedeliveryProgress) Add(k Key, r Redelivered) {
	switch r.Verdict {
	case RedeliveryDone:
		p.Done++
	case RedeliverySkipped:
		p.Skipped++
	case RedeliveryFailed:
		p.Failed++
		p.Failures = append(p.Failures, Failure{Key: k, Detail: r.Detail})
		p.Failures = p.Failures[max(0, len(p.Failures)-MaxFailures):]
	}
}

// Failure is an operation that could not be redelivered, and why.
type Failure struct {
	Key
	Detail string `json:"detail"`
}

// The most failures that a bulk redelivery shows, and operations that a dry run does.
const (
	MaxFailures = 20
	MaxSample   = 20
)

// DryRun is what a bulk redelivery would match now.
type DryRun struct {
	Filter Filter `json:"filter"`
	// Matched counts operations. Exact says that it does; otherwise runs were counted.
	Matched int  `json:"matched"`
	Exact   bool `json:"exact"`
	// Endpoints are how many at each, where Matched is exact, largest first.
	Endpoints []CountGroup `json:"endpoints,omitempty"`
	// Sample are up to MaxSample of the operations, newest first.
	Sample []Summary `json:"sample"`
}

// BulkRedeliveryPage is the most recent bulk redeliveries, newest first.
type BulkRedeliveryPage struct {
	Redeliveries []BulkRedelivery `json:"redeliveries"`
}

// BulkRedeliveryPosition is how far a bulk redelivery came in the list of matched runs.
type BulkRedeliveryPosition struct {
	// PageToken is the token of the current page; empty: the first.
	PageToken string `json:"page_token,omitempty"`
	// After is the last run of that page that was processed; empty: none.
	After    string                 `json:"after,omitempty"`
	Progress BulkRedeliveryProgress `json:"progress"`
	// Over says that no page is left.
	Over bool `json:"over,omitempty"`
}

// RedeliveryVerdict is the result of one operation of a bulk redelivery.
type RedeliveryVerdict string

// The verdicts.
const (
	RedeliveryDone    RedeliveryVerdict = "done"
	RedeliverySkipped RedeliveryVerdict = "skipped"
	RedeliveryFailed  RedeliveryVerdict = "failed"
)

// Redelivered is a verdict, with the reason of one that is not done.
type Redelivered struct {
	Verdict RedeliveryVerdict
	Detail  string
}

// RunRef is one run of an operation.
type RunRef struct {
	Key
	RunID string `json:"run_id"`
	// Older says that the operation had a newer run when the bulk redelivery began.
	Older bool `json:"older,omitempty"`
}

// RunPage is one page of the runs that a filter matches, newest first.
type RunPage struct {
	Runs          []RunRef
	NextPageToken string
}

// BulkRedeliveryWorkflowID is that of no operation: an endpoint's name holds no colon.
func BulkRedeliveryWorkflowID(id string) string { return "redeliveries:" + id }
