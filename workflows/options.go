package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// The order in which a busy server hands tasks out: callbacks before polls.
const (
	PriorityDelivery = 1
	// PriorityWatch is also that of workflow tasks.
	PriorityWatch = 3
	// PriorityBulkRedelivery is also that of the runs that a bulk redelivery starts.
	PriorityBulkRedelivery = 5
)

// localOptions are for one poll or attempt inside a workflow task. The SDK never
// retries it: a killed worker would forget how often it was made.
func localOptions(timeout time.Duration) workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: timeout + time.Minute,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}
