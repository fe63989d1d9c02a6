package service

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
	"ringback/workflows"
)

// pageSize is how many operations one page of a list holds.
const pageSize = 100

// scanPage is how many runs are read at once where all of them are looked at.
const scanPage = 1000

// List reads one page of operations from visibility, each by its latest run, as
// the server orders them: by when that run closed, newest first, where one that
// is open comes before all that closed, and the latest begun before the others.
// Visibility follows a moment behind.
func (s *Service) List(ctx context.Context, q operation.ListQuery) (operation.Page, error) {
	token, ok := openPageToken(q.PageToken)
	if !ok {
		return operation.Page{}, operation.Invalid(operation.FieldError{Field: "page_token", Detail: "is not a next_page_token of this list"})
	}
	operations, next, err := s.latestPage(ctx, listQuery(q), pageSize, token)
	return operation.Page{Operations: operations, NextPageToken: pageToken(next)}, err
}

// pageToken is visibility's token for the API, with a checksum before it:
// Temporal takes a token that is none for its own failure, which the SDK's
// client would try again until the call's time is over.
func pageToken(next []byte) string {
	if len(next) == 0 {
		return ""
	}
	sum := crc32.ChecksumIEEE(next)
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, sum), next...))
}

func openPageToken(text string) (token []byte, ok bool) {
	if text == "" {
		return nil, true
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < crc32.Size {
		return nil, false
	}
	sum, token := binary.BigEndian.Uint32(sealed), sealed[crc32.Size:]
	return token, sum == crc32.ChecksumIEEE(token)
}

// eachLatest visits the operations whose latest run a query matches, newest
// first, until visit returns false.
func (s *Service) eachLatest(ctx context.Context, query string, visit func(operation.Summary) bool) error {
	for token := []byte(nil); ; {
		page, next, err := s.latestPage(ctx, query, scanPage, token)
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
func (s *Service) latestPage(ctx context.Context, query string, size int32, token []byte) ([]operation.Summary, []byte, error) {
	response, err := s.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: size, NextPageToken: token, Query: query,
	})
	if err != nil {
		return nil, nil, visibilityError("listing operations", err)
	}
	latest, err := s.latestRuns(ctx, response.GetExecutions())
	if err != nil {
		return nil, nil, err
	}
	operations := make([]operation.Summary, 0, len(response.GetExecutions()))
	for _, execution := range response.GetExecutions() {
		newest := latest[execution.GetExecution().GetWorkflowId()]
		if newest == nil || newest.GetExecution().GetRunId() == execution.GetExecution().GetRunId() {
			operations = append(operations, s.summary(execution))
		}
	}
	return operations, response.GetNextPageToken(), nil
}

// lookups is how many operations are looked up at once.
const lookups = 500

// latestRuns finds the latest run of each operation whose run has closed; one
// that is open is the latest.
func (s *Service) latestRuns(ctx context.Context, executions []*workflowpb.WorkflowExecutionInfo) (map[string]*workflowpb.WorkflowExecutionInfo, error) {
	var ids []string
	for _, e := range executions {
		if !isOpen(e.GetStatus()) {
			ids = append(ids, e.GetExecution().GetWorkflowId())
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	latest := map[string]*workflowpb.WorkflowExecutionInfo{}
	for some := range slices.Chunk(ids, lookups) {
		quoted := make([]string, 0, len(some))
		for _, id := range some {
			quoted = append(quoted, quote(id))
		}
		query := strings.Join(append(baseTerms(""), fmt.Sprintf("WorkflowId IN (%s)", strings.Join(quoted, ", "))), " AND ")
		if err := s.addLatest(ctx, query, latest); err != nil {
			return nil, err
		}
	}
	return latest, s.addUnfound(ctx, ids, latest)
}

// addUnfound asks for each operation alone that visibility's language can't
// name: server 1.32.1 doubles a backslash on its way to SQLite and PostgreSQL,
// and cuts quotes off the ends of a string.
func (s *Service) addUnfound(ctx context.Context, ids []string, latest map[string]*workflowpb.WorkflowExecutionInfo) error {
	for _, id := range ids {
		if latest[id] != nil {
			continue
		}
		response, err := s.Client.DescribeWorkflowExecution(ctx, id, "")
		if err != nil && !isNotFound(err) {
			return visibilityError("looking up the latest run of an operation", err)
		}
		latest[id] = response.GetWorkflowExecutionInfo()
	}
	return nil
}

func (s *Service) addLatest(ctx context.Context, query string, latest map[string]*workflowpb.WorkflowExecutionInfo) error {
	for token := []byte(nil); ; {
		response, err := s.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: s.Namespace, PageSize: scanPage, NextPageToken: token, Query: query,
		})
		if err != nil {
			return visibilityError("looking up the latest runs of operations", err)
		}
		for _, e := range response.GetExecutions() {
			known := latest[e.GetExecution().GetWorkflowId()]
			if known == nil || known.GetStartTime().AsTime().Before(e.GetStartTime().AsTime()) {
				latest[e.GetExecution().GetWorkflowId()] = e
			}
		}
		if token = response.GetNextPageToken(); len(token) == 0 {
			return nil
		}
	}
}

func visibilityError(doing string, err error) error {
	cause := fmt.Errorf("%s: %w", doing, err)
	if !away(err) {
		return cause
	}
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry, Err: cause,
		Detail: "Temporal's visibility did not answer in time; try again.",
	}
}

// listQuery is the filter in visibility's language.
func listQuery(q operation.ListQuery) string {
	terms := baseTerms(q.Endpoint)
	switch {
	case q.Undelivered:
		terms = append(terms, undeliveredTerm())
	case q.Outcome != operation.OutcomeNone:
		terms = append(terms, outcomeTerm(q.Outcome))
	}
	bounded := "StartTime"
	if q.ByClose {
		bounded = "CloseTime"
	}
	return strings.Join(append(terms, periodTerms(bounded, q.Since, q.Until)...), " AND ")
}

// baseTerms are those of every list and count. A run that was continued as new
// is no end of its operation, but a part of it.
func baseTerms(endpoint string) []string {
	terms := []string{fmt.Sprintf("WorkflowType = '%s'", workflows.OperationType), "ExecutionStatus != 'ContinuedAsNew'"}
	if endpoint != "" {
		terms = append(terms, fmt.Sprintf("%s = %s", workflows.AttributeEndpoint.GetName(), quote(endpoint)))
	}
	return terms
}

func outcomeTerm(o operation.Outcome) string {
	written := workflows.AttributeOutcome.GetName()
	if o == operation.OutcomeAcknowledged {
		return fmt.Sprintf("(ExecutionStatus = 'Completed' AND %s IS NULL)", written)
	}
	if o == operation.OutcomeTerminated {
		return "ExecutionStatus = 'Terminated'"
	}
	return fmt.Sprintf("%s = %s", written, quote(string(o)))
}

// undeliveredTerm is what never arrived. A run that is open is not over yet.
func undeliveredTerm() string {
	var ended []string
	for _, outcome := range operation.Redeliverable {
		ended = append(ended, outcomeTerm(outcome))
	}
	ended = append(ended, workflows.AttributeUndelivered.GetName()+" > 0")
	return "(" + strings.Join(ended, " OR ") + ") AND ExecutionStatus != 'Running'"
}

func periodTerms(attribute string, since, until operation.Time) []string {
	var terms []string
	if !since.IsZero() {
		terms = append(terms, fmt.Sprintf("%s >= '%s'", attribute, since))
	}
	if !until.IsZero() {
		terms = append(terms, fmt.Sprintf("%s < '%s'", attribute, until))
	}
	return terms
}

// quote writes a string in visibility's language, which is SQL's.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func (s *Service) summary(e *workflowpb.WorkflowExecutionInfo) operation.Summary {
	id, runID := e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()
	key, _ := operation.ParseWorkflowID(id)
	summary := operation.Summary{
		Key: key, Phase: operation.Closed, RunID: runID, UIURL: s.uiURL(id, runID),
		StartedAt: operation.At(e.GetStartTime().AsTime()),
		Status:    attribute(e, workflows.AttributeStatus.GetName()),
	}
	if isOpen(e.GetStatus()) {
		summary.Phase = cmp.Or(operation.Phase(attribute(e, workflows.AttributePhase.GetName())), operation.Watching)
		return summary
	}
	closed := operation.At(e.GetCloseTime().AsTime())
	summary.ClosedAt = &closed
	summary.Outcome = summaryOutcome(e)
	return summary
}

func summaryOutcome(e *workflowpb.WorkflowExecutionInfo) operation.Outcome {
	if outcome := attribute(e, workflows.AttributeOutcome.GetName()); outcome != "" {
		return operation.Outcome(outcome)
	}
	if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return operation.OutcomeAcknowledged
	}
	return operation.OutcomeTerminated
}

// attribute is a keyword search attribute's value; they are never encrypted.
func attribute(e *workflowpb.WorkflowExecutionInfo, name string) string {
	var value string
	payload, ok := e.GetSearchAttributes().GetIndexedFields()[name]
	if !ok || converter.GetDefaultDataConverter().FromPayload(payload, &value) != nil {
		return ""
	}
	return value
}
