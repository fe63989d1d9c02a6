package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// The order in which a busy server hands tasks out: callbacks before polls.
const (
	// PriorityDelivery is that of a delivery.
	PriorityDelivery = 1
	// PriorityWatch is that of a watch, and of workflow tasks.
	PriorityWatch = 3
	// PriorityBulkRedelivery is that of a bulk redelivery, and of all that it begins.
	PriorityBulkRedelivery = 5
)

// localOptions are for one poll or attempt inside a workflow task. It bounds
// itself, and is never repeated by the SDK: a killed worker would forget how
// often (temporal.md section 5.1).
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

// InterruptQueue is the task queue that the one process with that identity polls,
// beside the common one.
func InterruptQueue(identity string) string { return TaskQueue + "@" + identity }

// interruptElsewhere are for InterruptHere in the process with that identity. One
// that has died takes up nothing: its activities are lost by themselves.
func interruptElsewhere(identity string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: InterruptQueue(identity), ScheduleToCloseTimeout: 5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}

// awaitEndpointOptions are for AwaitEndpoint, which fails until it can succeed. It
// looks again after 2 s, then less and less often.
func awaitEndpointOptions(endpoint string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Priority:            temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: endpoint},
		Summary:             "wait until the endpoint " + endpoint + " can be called",
	}
}

// watchOptions turn a poll policy into an activity's. The watch counts its
// polls and keeps its gaps itself; the retry policy only shows them.
func watchOptions(in Input) workflow.ActivityOptions {
	gap := max(in.Policy.Poll.Gap(1), time.Millisecond)
	return workflow.ActivityOptions{
		StartToCloseTimeout: in.Policy.Poll.Lifetime() + time.Hour,
		HeartbeatTimeout:    activities.WatchHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: gap, BackoffCoefficient: 1, MaximumInterval: gap},
		Priority:            temporal.Priority{PriorityKey: PriorityWatch, FairnessKey: in.Start.Endpoint},
		Summary:             "watch " + in.Start.OperationID + " at " + in.Source,
	}
}

// deliverOptions turn h and k into the retry policy that operators read, pause,
// edit and reset in the UI.
func deliverOptions(endpoint string, p operation.DeliveryPolicy, c operation.Callback) workflow.ActivityOptions {
	h := max(p.Interval(), time.Millisecond)
	inWorker := time.Duration(p.Attempts) * (p.Interval() + p.Timeout())
	return workflow.ActivityOptions{
		StartToCloseTimeout: inWorker + time.Hour,
		HeartbeatTimeout:    activities.DeliverHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: h, BackoffCoefficient: 1, MaximumInterval: h, MaximumAttempts: int32(p.Attempts),
		},
		Priority: temporal.Priority{PriorityKey: PriorityDelivery, FairnessKey: endpoint},
		Summary:  fmt.Sprintf("deliver status %q", c.Observation.Status),
	}
}
