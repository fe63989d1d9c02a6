package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// GateType is the workflow type of the gate: what Temporal's worker controller runs on a
// new build before it promotes it (rollout.gate). It takes no input, since the controller
// seals none and a program with keys refuses what is not sealed.
const GateType = "Gate"

const (
	// gateTimeout bounds all checks of a build together.
	gateTimeout = time.Minute
	// gatePatience is for how long failed checks are repeated. A gate that failed is not
	// started again for the same build.
	gatePatience = 10 * time.Minute
)

// Gate ends well if the build that it runs on may be promoted, and else fails with one of
// the types of activities.CheckBuild.
func Gate(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    gateTimeout,
		ScheduleToCloseTimeout: gatePatience,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Priority:               temporal.Priority{PriorityKey: PriorityWatch},
		Summary:                "may this build be promoted?",
	})
	return workflow.ExecuteActivity(ctx, acts.CheckBuild).Get(ctx, nil)
}
