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

// interruptOptions are for Interrupt, which may be repeated.
var interruptOptions = workflow.LocalActivityOptions{
	ScheduleToCloseTimeout: 10 * time.Second,
	RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumAttempts: 5},
}

// InterruptQueue is the task queue that only the worker process with that identity
// polls, beside the common one.
func InterruptQueue(identity string) string { return TaskQueue + "@" + identity }

// interruptElsewhere are for InterruptHere in the worker process with that identity. It
// times out where that process has died, and its activities with it.
func interruptElsewhere(identity string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: InterruptQueue(identity), ScheduleToCloseTimeout: 5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}

// awaitEndpointOptions are for AwaitEndpoint, which fails until the endpoint may be
// called, and is retried after 2 s, then less and less often.
func awaitEndpointOptions(endpoint string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Priority:            temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: endpoint},
		Summary:             "wait until the endpoint " + endpoint + " can be called",
	}
}
