package operations

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"ringback/internal/callback"
	"ringback/workflows"
)

// pageSize is how many operations one page of a list holds.
const pageSize = 100

// List reads one page of operations from visibility, newest first. Visibility
// follows a moment behind, and keeps the earlier runs of a redelivered
// operation as well.
func (d *Desk) List(ctx context.Context, q callback.ListQuery) (callback.Page, error) {
	token, err := base64.RawURLEncoding.DecodeString(q.PageToken)
	if err != nil {
		return callback.Page{}, callback.Invalid(callback.FieldError{Field: "page_token", Detail: "is not a next_page_token of this list"})
	}
	response, err := d.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: d.Namespace, PageSize: pageSize, NextPageToken: token, Query: listQuery(q),
	})
	if err != nil {
		return callback.Page{}, engineError("listing operations of", callback.Key{Endpoint: q.Endpoint}, err)
	}
	page := callback.Page{
		Operations:    make([]callback.Summary, 0, len(response.GetExecutions())),
		NextPageToken: base64.RawURLEncoding.EncodeToString(response.GetNextPageToken()),
	}
	for _, execution := range response.GetExecutions() {
		page.Operations = append(page.Operations, d.summary(execution))
	}
	return page, nil
}

// listQuery is the filter in visibility's language.
func listQuery(q callback.ListQuery) string {
	terms := []string{fmt.Sprintf("WorkflowType = '%s'", workflows.OperationType)}
	add := func(format string, args ...any) { terms = append(terms, fmt.Sprintf(format, args...)) }
	if q.Endpoint != "" {
		add("%s = '%s'", workflows.AttributeEndpoint.GetName(), strings.ReplaceAll(q.Endpoint, "'", ""))
	}
	switch q.Outcome {
	case callback.OutcomeNone:
	case callback.OutcomeAcknowledged:
		add("ExecutionStatus = 'Completed' AND %s IS NULL", workflows.AttributeOutcome.GetName())
	case callback.OutcomeTerminated:
		add("ExecutionStatus = 'Terminated'")
	default:
		add("%s = '%s'", workflows.AttributeOutcome.GetName(), q.Outcome)
	}
	if !q.Since.IsZero() {
		add("StartTime >= '%s'", q.Since)
	}
	if !q.Until.IsZero() {
		add("StartTime < '%s'", q.Until)
	}
	return strings.Join(terms, " AND ")
}

func (d *Desk) summary(e *workflowpb.WorkflowExecutionInfo) callback.Summary {
	id, runID := e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()
	key, _ := callback.ParseWorkflowID(id)
	s := callback.Summary{
		Key: key, Phase: callback.Closed, RunID: runID, UIURL: d.uiURL(id, runID),
		StartedAt: callback.At(e.GetStartTime().AsTime()),
		Status:    attribute(e, workflows.AttributeStatus.GetName()),
	}
	if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		s.Phase = callback.Watching
		return s
	}
	closed := callback.At(e.GetCloseTime().AsTime())
	s.ClosedAt = &closed
	s.Outcome = summaryOutcome(e)
	return s
}

func summaryOutcome(e *workflowpb.WorkflowExecutionInfo) callback.Outcome {
	if outcome := attribute(e, workflows.AttributeOutcome.GetName()); outcome != "" {
		return callback.Outcome(outcome)
	}
	if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return callback.OutcomeAcknowledged
	}
	return callback.OutcomeTerminated
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
