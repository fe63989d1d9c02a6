package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
)

// Register makes a worker serve operations, bulk redeliveries and notices.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(Operation, workflow.RegisterOptions{Name: OperationType})
	r.RegisterWorkflowWithOptions(Redeliveries, workflow.RegisterOptions{Name: RedeliveriesType})
	r.RegisterWorkflowWithOptions(Notice, workflow.RegisterOptions{Name: NoticeType})
	r.RegisterWorkflowWithOptions(Outage, workflow.RegisterOptions{Name: OutageType})
	r.RegisterActivity(a)
}
