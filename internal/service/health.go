package service

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

// ReportHealth says how an endpoint is to the workflow of its outage, which
// recipient hears of. A failing endpoint begins an outage, unless one is open: any
// number of workers may say the same. A well one ends it, if there is one.
func ReportHealth(ctx context.Context, c client.Client, recipient operation.Recipient, endpoint string, h operation.Health) error {
	id := workflows.OutageID(endpoint)
	if !h.Failing {
		if err := c.SignalWorkflow(ctx, id, "", workflows.SignalHealth, h); err != nil && !isNotFound(err) {
			return fmt.Errorf("telling the outage of %s that it is over: %w", endpoint, err)
		}
		return nil
	}
	_, err := c.SignalWithStartWorkflow(ctx, id, workflows.SignalHealth, h, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowTaskTimeout:      workflows.WorkflowTaskTimeout,
		TypedSearchAttributes:    temporal.NewSearchAttributes(workflows.AttributeEndpoint.ValueSet(endpoint)),
		StaticSummary:            endpoint + " is failing, told to " + recipient.Endpoint,
	}, workflows.OutageType, workflows.OutageInput{Recipient: recipient, Endpoint: endpoint})
	if err != nil {
		return fmt.Errorf("beginning an outage of %s: %w", endpoint, err)
	}
	return nil
}
