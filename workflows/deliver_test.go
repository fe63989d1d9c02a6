package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
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
	inDeadWorker(env, ActivityDeliver, operation.Pending{Unrecorded: true, DeliveryLost: 1, AttemptBy: by})

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

// It may have died long before the poll that it waited for.
func TestADeadWorkersPollIsCountedOnlyWhereItWasDue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		delay time.Duration
		polls int
	}{
		"it was due":     {delay: time.Second, polls: 1},
		"it was not yet": {delay: time.Hour, polls: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			inDeadWorker(env, ActivityWatch, operation.Pending{Unrecorded: true, WatchLost: 1})
			in := Input{
				Start: operation.StartRequest{Endpoint: "SHOP", OperationID: "1"}, Source: "core",
				Policy: operation.Policy{Poll: operation.PollPolicy{InitialDelayMS: tt.delay.Milliseconds(), IntervalMS: 600_000, LifetimeMS: 7_200_000}},
			}
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: in.Start.Key().WorkflowID()})
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
			env.ExecuteWorkflow(Operation, in)
			var canceled *temporal.CanceledError
			require.ErrorAs(t, env.GetWorkflowError(), &canceled)
			var record operation.Record
			require.NoError(t, canceled.Details(&record))
			require.Equal(t, tt.polls, record.State.Polls)
		})
	}
}

// inDeadWorker has the activity run in a worker that died, after pending was recorded. A
// slow machine is no deadlock: the SDK takes one second of real time for one.
func inDeadWorker(env *testsuite.TestWorkflowEnvironment, name string, pending operation.Pending) {
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	env.RegisterActivityWithOptions(func(any) error { return activity.ErrResultPending }, activity.RegisterOptions{Name: name})
	env.RegisterActivity(acts.Interrupt)
	env.RegisterActivity(acts.InterruptHere)
	env.OnActivity(acts.Interrupt, mock.Anything, mock.Anything).Return(activities.Interrupted{Worker: "dead", Pending: pending}, nil)
	env.OnActivity(acts.InterruptHere, mock.Anything, mock.Anything).Return(activities.Interrupted{},
		temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil))
}
