package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
)

// Register makes a worker serve operations.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(Operation, workflow.RegisterOptions{Name: OperationType})
	r.RegisterActivity(a)
}
