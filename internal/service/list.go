package service

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"ringback/internal/operation"
	"ringback/workflows"
)

const (
	// pageSize is how many operations one page of a list holds.
	pageSize = 100
	// scanPageSize is how many runs are read at once where all are read.
	scanPageSize = 1000
	// lookupSize is how many operations one query names.
	lookupSize = 500
)

// List reads one page of operations from visibility, each by its latest run, as
// the server orders them: by when that run closed, newest first, where one that
// is open comes before all that closed, and the latest begun before the others.
// Visibility follows a moment behind.
func (s *Service) List(ctx context.Context, q operation.ListQuery) (operation.Page, error) {
	query := listQuery(q)
	token, ok := s.openPageToken(query, q.PageToken)
	if !ok {
		return operation.Page{}, operation.Invalid(operation.FieldError{Field: "page_token",
			Detail: "is not a next_page_token of this list, or the configuration was changed since; begin again with the first page"})
	}
	operations, next, err := s.latestPage(ctx, query, pageSize, token)
	if err != nil {
		return operation.Page{}, err
	}
	if err := s.requireKnown(ctx, q, len(operations)+len(next)); err != nil {
		return operation.Page{}, err
	}
	if q.Reasons {
		s.addReasons(ctx, operations)
	}
	return operation.Page{Operations: operations, NextPageToken: s.signPageToken(query, next), UIURL: s.uiList()}, nil
}

// requireKnown refuses an endpoint that is not registered, unless it has operations of
// before: a name that is mistyped must not read as if all were well.
func (s *Service) requireKnown(ctx context.Context, q operation.ListQuery, matched int) error {
	if _, registered := s.Endpoint(q.Endpoint); registered || q.Endpoint == "" || q.PageToken != "" || matched > 0 {
		return nil
	}
	runs, err := s.countRuns(ctx, allOf(operationTerms(q.Endpoint)))
	if err != nil || runs > 0 {
		return err
	}
	return operation.Invalid(s.NotRegistered("endpoint", q.Endpoint))
}

const (
	// reasonsAtOnce is how many operations' reasons are read at once, and
	// reasonsTimeout how long a list waits for them.
	reasonsAtOnce  = 10
	reasonsTimeout = 3 * time.Second
)

// addReasons adds why the latest attempt failed, which visibility does not have. One
// that can't be read is left out.
func (s *Service) addReasons(ctx context.Context, operations []operation.Summary) {
	ctx, cancel := context.WithTimeout(ctx, reasonsTimeout)
	defer cancel()
	var reading errgroup.Group
	reading.SetLimit(reasonsAtOnce)
	for i := range operations {
		one := &operations[i]
		switch {
		case one.Outcome == operation.OutcomeExhausted, one.Outcome == operation.OutcomeGone:
			reading.Go(func() error {
				ending, err := s.ending(ctx, run{key: one.Key, id: one.RunID})
				one.Reason = ending.State.LastReason()
				return err
			})
		case one.Phase == operation.Delivering:
			reading.Go(func() error {
				latest, err := s.describe(ctx, one.Key)
				var state operation.State
				latest.pending.Apply(&state)
				one.Reason = state.LastReason()
				return err
			})
		}
	}
	_ = reading.Wait()
}

// signPageToken puts a MAC before visibility's token: Temporal reports a token that
// is not its own as a failure of the server, which the SDK's client would retry until
// the call's time is over.
func (s *Service) signPageToken(query string, next []byte) string {
	if len(next) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.pageMAC(query, next), next...))
}

// openPageToken is visibility's token, if it was signed for this query.
func (s *Service) openPageToken(query, text string) (token []byte, ok bool) {
	if text == "" {
		return nil, true
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	mac, token := data[:sha256.Size], data[sha256.Size:]
	return token, hmac.Equal(mac, s.pageMAC(query, token))
}

func (s *Service) pageMAC(query string, token []byte) []byte {
	var key []byte
	if s.PageKey != nil {
		key = s.PageKey()
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%q", query)
	_, _ = mac.Write(token)
	return mac.Sum(nil)
}

// eachLatest visits the operations whose latest run a query matches, newest
// first, until visit returns false.
func (s *Service) eachLatest(ctx context.Context, query string, visit func(operation.Summary) bool) error {
	for token := []byte(nil); ; {
		page, next, err := s.latestPage(ctx, query, scanPageSize, token)
		if err != nil {
			return err
		}
		for _, summary := range page {
			if !visit(summary) {
				return nil
			}
		}
		if token = next; len(token) == 0 {
			return nil
		}
	}
}

// latestPage reads one page of runs, and leaves out those that have been
// followed by another: their operation is shown by that one, if it matches.
func (s *Service) latestPage(ctx context.Context, query string, size int, token []byte) ([]operation.Summary, []byte, error) {
	runs, next, err := s.listRuns(ctx, query, size, token)
	if err != nil {
		return nil, nil, engineError("listing operations", err, nil)
	}
	latest, err := s.latestRuns(ctx, runs, operation.Time{})
	if err != nil {
		return nil, nil, engineError("looking up the latest runs of operations", err, nil)
	}
	operations := make([]operation.Summary, 0, len(runs))
	for _, run := range runs {
		if !hasNewer(run, latest) {
			operations = append(operations, s.summary(run))
		}
	}
	return operations, next, nil
}

func hasNewer(run *workflowpb.WorkflowExecutionInfo, latest map[string]*workflowpb.WorkflowExecutionInfo) bool {
	newest := latest[run.GetExecution().GetWorkflowId()]
	return newest != nil && newest.GetExecution().GetRunId() != run.GetExecution().GetRunId()
}

// latestRuns finds the latest run of each operation whose run has closed; one
// that is open is the latest. With a time, only runs begun before it are looked for.
func (s *Service) latestRuns(ctx context.Context, runs []*workflowpb.WorkflowExecutionInfo, before operation.Time) (map[string]*workflowpb.WorkflowExecutionInfo, error) {
	var ids []string
	for _, run := range runs {
		if !isOpen(run.GetStatus()) {
			ids = append(ids, run.GetExecution().GetWorkflowId())
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	latest := map[string]*workflowpb.WorkflowExecutionInfo{}
	for some := range slices.Chunk(ids, lookupSize) {
		terms := append(operationTerms(""), periodTerms("StartTime", operation.Time{}, before)...)
		if err := s.addLatest(ctx, allOf(terms, idTerm(some)), latest); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		if latest[id] != nil {
			continue
		}
		// Visibility's language can't name each id: server 1.32.1 doubles a backslash
		// on its way to SQLite and PostgreSQL, and cuts quotes off the ends.
		response, err := s.Client.DescribeWorkflowExecution(ctx, id, "")
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		if info := response.GetWorkflowExecutionInfo(); before.IsZero() || info.GetStartTime().AsTime().Before(before.Time) {
			latest[id] = info
		}
	}
	return latest, nil
}

func (s *Service) addLatest(ctx context.Context, query string, latest map[string]*workflowpb.WorkflowExecutionInfo) error {
	for token := []byte(nil); ; {
		runs, next, err := s.listRuns(ctx, query, scanPageSize, token)
		if err != nil {
			return err
		}
		for _, run := range runs {
			known := latest[run.GetExecution().GetWorkflowId()]
			if known == nil || known.GetStartTime().AsTime().Before(run.GetStartTime().AsTime()) {
				latest[run.GetExecution().GetWorkflowId()] = run
			}
		}
		if token = next; len(token) == 0 {
			return nil
		}
	}
}

func (s *Service) summary(run *workflowpb.WorkflowExecutionInfo) operation.Summary {
	id, runID := run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()
	key, _ := operation.ParseWorkflowID(id)
	summary := operation.Summary{
		Key: key, Phase: operation.Closed, RunID: runID, UIURL: s.uiURL(id, runID),
		StartedAt: operation.At(run.GetStartTime().AsTime()),
		Status:    attribute(run, workflows.AttributeStatus.GetName()),
	}
	if isOpen(run.GetStatus()) {
		summary.Phase = cmp.Or(operation.Phase(attribute(run, workflows.AttributePhase.GetName())), operation.Watching)
		return summary
	}
	closed := operation.At(run.GetCloseTime().AsTime())
	summary.ClosedAt = &closed
	summary.Outcome = outcomeOf(run)
	return summary
}

func outcomeOf(run *workflowpb.WorkflowExecutionInfo) operation.Outcome {
	if outcome := attribute(run, workflows.AttributeOutcome.GetName()); outcome != "" {
		return operation.Outcome(outcome)
	}
	if run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return operation.OutcomeAcknowledged
	}
	return operation.OutcomeTerminated
}

// attribute is a keyword search attribute's value; they are never encrypted.
func attribute(run *workflowpb.WorkflowExecutionInfo, name string) string {
	var value string
	payload, ok := run.GetSearchAttributes().GetIndexedFields()[name]
	if !ok || converter.GetDefaultDataConverter().FromPayload(payload, &value) != nil {
		return ""
	}
	return value
}
