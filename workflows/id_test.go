package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/workflows"
)

// TestAnInputOfAnotherWorkflowIsRefused holds that a caller who starts a workflow past
// Ringback, with an input that it made for another, gets nothing done.
func TestAnInputOfAnotherWorkflowIsRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		id, kind string
		input    any
		says     string
	}{
		"an operation's": {"SHOP/other", workflows.OperationType, paysera(), `the input is that of "SHOP/1", and this is "SHOP/other"; nothing was done`},
		"a redelivery's": {"SHOP/other", workflows.OperationType, func() workflows.Input {
			in := paysera()
			in.Redelivery = &workflows.Redelivery{Force: true}
			return in
		}(), `the input is that of "SHOP/1", and this is "SHOP/other"; nothing was done`},
		"a bulk redelivery's": {"redeliveries:rd_other", workflows.BulkRedeliveryType, workflows.BulkRedeliveryInput{
			Job: operation.BulkRedelivery{ID: "rd_1", RatePerSecond: 1}, PageSize: 1, Pages: 1,
		}, `the input is that of "redeliveries:rd_1", and this is "redeliveries:rd_other"`},
		"a notice's": {"notice:cb_2:r", workflows.NoticeType, workflows.NoticeInput{Recipient: recipient, Notice: exhaustedNotice()},
			`the input is that of "notice:cb_1:r", and this is "notice:cb_2:r"`},
		"an outage's": {"outage:OTHER", workflows.OutageType, workflows.OutageInput{Recipient: recipient, Endpoint: "SHOP"},
			`the input is that of "outage:SHOP", and this is "outage:OTHER"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, delivered := noticing(operation.DeliveryAcknowledged)
			env.RegisterWorkflowWithOptions(workflows.Operation, workflow.RegisterOptions{Name: workflows.OperationType})
			env.RegisterWorkflowWithOptions(workflows.BulkRedelivery, workflow.RegisterOptions{Name: workflows.BulkRedeliveryType})
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: row.id, TaskQueue: workflows.TaskQueue})
			env.ExecuteWorkflow(row.kind, row.input)
			require.True(t, env.IsWorkflowCompleted())
			var failure *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &failure)
			require.Equal(t, activities.TypeBadInput, failure.Type())
			require.True(t, failure.NonRetryable())
			require.Contains(t, failure.Message(), row.says)
			require.Empty(t, *delivered)
		})
	}
}

// TestOfTheMessagesOnlyAStatusMayComeWithoutItsInput: with keys, nobody without one says
// that an endpoint recovered.
func TestOfTheMessagesOnlyAStatusMayComeWithoutItsInput(t *testing.T) {
	t.Parallel()
	for message, want := range map[codec.Message]bool{
		workflows.Push{}: true, operation.Revocation{}: false, operation.Health{}: false,
	} {
		_, optional := message.(codec.OptionalMessage)
		require.Equal(t, want, optional, "%T", message)
	}
}
