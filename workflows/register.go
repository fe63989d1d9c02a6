package workflows

import (
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
)

// PinnedAtMost is how long a run may last, by its policies, to stay on the build
// of the program that began it: for so long after an upgrade the build before is
// still needed (docs/adr/0044).
const PinnedAtMost = 24 * time.Hour

// Register makes a worker serve operations, bulk redeliveries and notices. If it
// is a versioned one, an operation stays on the build that began it, unless its
// start said otherwise, as it must where Input.Pinned is false. What no policy
// bounds goes on with the current build.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(Operation, workflow.RegisterOptions{Name: OperationType, VersioningBehavior: workflow.VersioningBehaviorPinned})
	r.RegisterWorkflowWithOptions(BulkRedelivery, upgraded(BulkRedeliveryType))
	r.RegisterWorkflowWithOptions(Notice, upgraded(NoticeType))
	r.RegisterWorkflowWithOptions(Outage, upgraded(OutageType))
	r.RegisterActivity(a)
}

func upgraded(name string) workflow.RegisterOptions {
	return workflow.RegisterOptions{Name: name, VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade}
}

// Pinned reports whether a run with this input is over within PinnedAtMost: its
// initial delay, its lifetime, and a delivery with all its attempts.
func (in Input) Pinned() bool {
	poll, delivery := in.Policy.Poll, in.Policy.Delivery
	longest := time.Duration(delivery.Attempts) * (delivery.Interval() + delivery.Timeout())
	if in.Redelivery == nil || in.Redelivery.Watch {
		longest += poll.InitialDelay() + poll.Lifetime()
	}
	return longest <= PinnedAtMost
}
