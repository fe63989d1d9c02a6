package service

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/internal/ui"
	"ringback/workflows"
)

// ReportHealth signals how an endpoint is to the workflow of its outage, of which
// recipient is notified. A failing endpoint begins an outage, unless one is open: any
// number of workers may report the same. A healthy one ends it, if there is one.
func (s *Service) ReportHealth(ctx context.Context, recipient operation.Recipient, endpoint string, h operation.Health) error {
	id := workflows.OutageID(endpoint)
	if !h.Failing {
		if err := s.Client.SignalWorkflow(ctx, id, "", workflows.SignalHealth, h); err != nil && !isNotFound(err) {
			return fmt.Errorf("ending the outage of %s: %w", endpoint, err)
		}
		return nil
	}
	_, err := s.Client.SignalWithStartWorkflow(ctx, id, workflows.SignalHealth, h, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowTaskTimeout:      workflows.WorkflowTaskTimeout,
		TypedSearchAttributes:    temporal.NewSearchAttributes(workflows.AttributeEndpoint.ValueSet(endpoint)),
		StaticSummary:            ui.Summary("%s is failing; notifies %s", endpoint, recipient.Endpoint),
	}, workflows.OutageType, workflows.OutageInput{Recipient: recipient, Endpoint: endpoint})
	if err != nil {
		return fmt.Errorf("beginning an outage of %s: %w", endpoint, err)
	}
	return nil
}
