package service

import (
	"context"
	"fmt"
	"strings"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/internal/operation"
	"ringback/workflows"
)

// listRuns reads one page of the runs that a query matches.
func (s *Service) listRuns(ctx context.Context, query string, size int, token []byte) (runs []*workflowpb.WorkflowExecutionInfo, next []byte, err error) {
	response, err := s.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: int32(size), NextPageToken: token, Query: query,
	})
	return response.GetExecutions(), response.GetNextPageToken(), err
}

// countRuns counts the runs that a query matches.
func (s *Service) countRuns(ctx context.Context, query string) (int, error) {
	response, err := s.Client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.Namespace, Query: query})
	if err != nil {
		return 0, engineError("counting operations", err, nil)
	}
	return int(response.GetCount()), nil
}

// CheckSealed opens what the newest operation was started with; without operations there is
// nothing that could not be opened.
func (s *Service) CheckSealed(ctx context.Context) error {
	runs, _, err := s.listRuns(ctx, fmt.Sprintf("WorkflowType = '%s'", workflows.OperationType), 1, nil)
	if err != nil {
		return fmt.Errorf("looking for an operation to open: %w", err)
	}
	for _, run := range runs {
		var start operation.StartRequest
		if err := s.fromMemo(run, workflows.MemoStart, &start); err != nil {
			return fmt.Errorf("opening what the newest operation was started with: %w", err)
		}
	}
	return nil
}

// CountOpen counts the operations that have not ended.
func (s *Service) CountOpen(ctx context.Context) (int, error) {
	return s.countRuns(ctx, fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running'", workflows.OperationType))
}

// listQuery is the filter of a list in visibility's language.
func listQuery(q operation.ListQuery) string {
	terms := operationTerms(q.Endpoint)
	switch {
	case q.Undelivered:
		terms = append(terms, undeliveredTerm())
	case q.Outcome != operation.OutcomeNone:
		terms = append(terms, outcomeTerm(q.Outcome))
	}
	if q.Phase != "" {
		terms = append(terms, phaseTerm(q.Phase))
	}
	if q.HTTPStatus != "" && q.Outcome == operation.OutcomeNone {
		terms = append(terms, outcomeTerms(operation.WithHTTPStatus)) // which visibility has an index for
	}
	terms = append(terms, statusTerms(q.Status, q.HTTPStatus)...)
	period := "StartTime"
	if q.ByClose {
		period = "CloseTime"
	}
	return allOf(append(terms, periodTerms(period, q.Since, q.Until)...))
}

// bulkQuery is the filter of a bulk redelivery in visibility's language.
func bulkQuery(f operation.Filter, force bool) string {
	terms := append(operationTerms(f.Endpoint), outcomeTerms(f.Outcomes(force)))
	terms = append(terms, statusTerms(f.Status, f.HTTPStatus)...)
	return allOf(append(terms, periodTerms("CloseTime", f.Since, f.Until)...))
}

// statusTerms match the last status, and the last attempt's HTTP status; empty: any.
func statusTerms(status, httpStatus string) []string {
	var terms []string
	if status != "" {
		terms = append(terms, fmt.Sprintf("%s = %s", workflows.AttributeStatus.GetName(), quote(status)))
	}
	if httpStatus != "" {
		terms = append(terms, fmt.Sprintf("%s = %s", workflows.AttributeHTTPStatus.GetName(), quote(httpStatus)))
	}
	return terms
}

// phaseTerm matches open operations. One without a phase is watched.
func phaseTerm(p operation.Phase) string {
	name := workflows.AttributePhase.GetName()
	term := fmt.Sprintf("%s = %s", name, quote(string(p)))
	if p == operation.Watching {
		term = fmt.Sprintf("(%s IS NULL OR %s)", name, term)
	}
	return "ExecutionStatus = 'Running' AND " + term
}

func allOf(terms []string, more ...string) string {
	return strings.Join(append(terms, more...), " AND ")
}

// operationTerms are those of every query. A run that was continued as new is not
// the end of its operation, but a part of it.
func operationTerms(endpoint string) []string {
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

// outcomeTerms match any of the outcomes, or one of the other terms.
func outcomeTerms(outcomes []operation.Outcome, or ...string) string {
	terms := make([]string, 0, len(outcomes)+len(or))
	for _, outcome := range outcomes {
		terms = append(terms, outcomeTerm(outcome))
	}
	return "(" + strings.Join(append(terms, or...), " OR ") + ")"
}

// undeliveredTerm matches closed runs with a callback that never arrived.
func undeliveredTerm() string {
	return outcomeTerms(operation.Redeliverable, workflows.AttributeUndelivered.GetName()+" > 0") + " AND ExecutionStatus != 'Running'"
}

func idTerm(workflowIDs []string) string {
	quoted := make([]string, len(workflowIDs))
	for i, id := range workflowIDs {
		quoted[i] = quote(id)
	}
	return fmt.Sprintf("WorkflowId IN (%s)", strings.Join(quoted, ", "))
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
