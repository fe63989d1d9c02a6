package service

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// CountOpen counts the operations that have not ended, by one query to
// visibility, which follows a moment behind.
func CountOpen(ctx context.Context, c client.Client, namespace string) (int64, error) {
	response, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace,
		Query:     fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running'", workflows.OperationType),
	})
	if err != nil {
		return 0, fmt.Errorf("counting the open operations of the namespace %s: %w", namespace, err)
	}
	return response.GetCount(), nil
}
