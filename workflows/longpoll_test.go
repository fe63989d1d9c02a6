package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

// longPoll has the poll inside the first workflow task last for 4 s in that task, and for
// half a minute in the next, which the SDK asked the server for (its "heartbeat").
type longPoll struct {
	interceptor.WorkerInterceptorBase
	interceptor.WorkflowInboundInterceptorBase
	interceptor.WorkflowOutboundInterceptorBase
	env        *testsuite.TestWorkflowEnvironment
	secondTask operation.Time
	told       []operation.Time
}

func (l *longPoll) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	if workflow.GetInfo(ctx).WorkflowType.Name != workflows.OperationType {
		return next
	}
	l.WorkflowInboundInterceptorBase.Next = next
	return l
}

func (l *longPoll) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	l.WorkflowOutboundInterceptorBase.Next = outbound
	return l.WorkflowInboundInterceptorBase.Next.Init(l)
}

func (l *longPoll) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	l.env.SetCurrentHistoryLength(3)
	return l.WorkflowInboundInterceptorBase.Next.ExecuteWorkflow(ctx, in)
}

func (l *longPoll) ExecuteLocalActivity(ctx workflow.Context, _ string, args ...any) workflow.Future {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	future, settle := workflow.NewFuture(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		sleep := func(d time.Duration) { _ = l.WorkflowOutboundInterceptorBase.Next.Sleep(ctx, d) }
		switch in := args[0].(type) {
		case activities.PollInput:
			begun := operation.At(workflow.Now(ctx))
			sleep(4 * time.Second)
			l.env.SetCurrentHistoryLength(6)
			l.secondTask = operation.At(workflow.Now(ctx))
			sleep(30 * time.Second)
			settle.SetValue(payloads(activities.PollResult{
				BegunAt: begun, EndedAt: operation.At(workflow.Now(ctx)),
				Observation: &operation.Observation{Status: "done", BegunAt: begun, ObservedAt: operation.At(workflow.Now(ctx))},
			}))
		case activities.AttemptInput:
			l.told = append(l.told, in.TaskBegan)
			settle.SetValue(payloads(activities.AttemptResult{Attempt: operation.Attempt{Number: 1, At: operation.At(workflow.Now(ctx)), Verdict: operation.Acknowledged}}))
		}
	})
	return future
}

func TestAnAttemptIsToldWhenItsTaskBeganAfterAPollOfTheTaskBefore(t *testing.T) {
	t.Parallel()
	l := &longPoll{}
	l.env = environment(l)
	l.env.RegisterWorkflowWithOptions(workflows.Operation, workflow.RegisterOptions{Name: workflows.OperationType})
	in := paysera()
	l.env.SetStartWorkflowOptions(startOptions(in))
	l.env.ExecuteWorkflow(workflows.OperationType, in)
	require.NoError(t, l.env.GetWorkflowError())
	require.Equal(t, []operation.Time{l.secondTask}, l.told, "the task that makes the attempt began after 4 s; the poll ended after 34 s")
}
