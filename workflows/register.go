package workflows

import (
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
)

// PinnedAtMost is how long a run may last, by its policies, to stay on the build that
// started it, which is needed for so long after an upgrade (docs/adr/0016).
const PinnedAtMost = 24 * time.Hour

// Register registers all workflows and activities. On a versioned worker an operation
// stays on the build that started it, unless its start overrides that (Input.Pinned). So
// does a gate. The others may last for ever, and move to the current build.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(Operation, workflow.RegisterOptions{Name: OperationType, VersioningBehavior: workflow.VersioningBehaviorPinned})
	r.RegisterWorkflowWithOptions(BulkRedelivery, autoUpgraded(BulkRedeliveryType))
	r.RegisterWorkflowWithOptions(Notice, autoUpgraded(NoticeType))
	r.RegisterWorkflowWithOptions(Outage, autoUpgraded(OutageType))
	r.RegisterWorkflowWithOptions(Gate, workflow.RegisterOptions{Name: GateType, VersioningBehavior: workflow.VersioningBehaviorPinned})
	r.RegisterActivity(a)
}

func autoUpgraded(name string) workflow.RegisterOptions {
	return workflow.RegisterOptions{Name: name, VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade}
}

// Pinned reports whether a run with this input ends within PinnedAtMost.
func (in Input) Pinned() bool {
	poll, delivery := in.Policy.Poll, in.Policy.Delivery
	longest := time.Duration(delivery.Attempts) * (delivery.Interval() + delivery.Timeout())
	if in.Redelivery == nil || in.Redelivery.Watch {
		longest += poll.InitialDelay() + poll.Lifetime()
	}
	return longest <= PinnedAtMost
}
