package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// A worker that is dead answers nobody, and the workflow finds that out late. The attempt
// was made soon after the server had started its run.
func TestTheAttemptOfADeadWorkersRunIsDatedByItsStart(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	by := operation.At(env.Now().Add(5 * time.Second))
	env.RegisterActivityWithOptions(func(activities.DeliverInput) error { return activity.ErrResultPending }, activity.RegisterOptions{Name: ActivityDeliver})
	env.RegisterActivity(acts.Interrupt)
	env.RegisterActivity(acts.InterruptHere)
	env.OnActivity(acts.Interrupt, mock.Anything, mock.Anything).Return(activities.Interrupted{
		Worker: "dead", Pending: operation.Pending{Unrecorded: true, DeliveryLost: 1, AttemptBy: by},
	}, nil)
	env.OnActivity(acts.InterruptHere, mock.Anything, mock.Anything).Return(activities.Interrupted{},
		temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil))

	env.ExecuteWorkflow(func(ctx workflow.Context) (operation.DeliveryRecord, error) {
		superseded := false
		workflow.Go(ctx, func(ctx workflow.Context) {
			_ = workflow.Sleep(ctx, time.Minute)
			superseded = true
		})
		in := activities.DeliverInput{
			Policy: operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 3, TimeoutMS: 5000},
			Record: operation.DeliveryRecord{Delivery: operation.Delivery{Outcome: operation.DeliveryPending}},
		}
		return deliver(ctx, in, func() bool { return superseded }, func(operation.DeliveryRecord) {}), nil
	})

	var record operation.DeliveryRecord
	require.NoError(t, env.GetWorkflowResult(&record))
	require.Equal(t, []operation.Attempt{
		{Number: 1, At: by, Verdict: operation.Unacknowledged, Reason: operation.ReasonUnseen, TookMS: 5000},
	}, record.Delivery.Attempts)
}
