package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
)

// TestAnActivityRefusesAnInputOfAnotherWorkflow holds that who schedules an activity from
// a workflow of their own gets nothing polled, sent or redelivered.
func TestAnActivityRefusesAnInputOfAnotherWorkflow(t *testing.T) {
	t.Parallel()
	operations, bulk := `the input is that of "WALLET_SHOP/42", and this is "evil"; nothing was done`,
		`the input is that of "redeliveries:rd_1", and this is "evil"; nothing was done`
	noPage := "page_size and rate_per_second are not above 0; start a bulk redelivery by the API"
	for name, row := range map[string]struct {
		activity func(*fixture) any
		input    any
		id, want string
	}{
		"a watch":               {func(b *fixture) any { return b.Watch }, watchInput(interval(time.Minute, time.Second)), "evil", operations},
		"a delivery":            {func(b *fixture) any { return b.Deliver }, deliverInput(time.Second, 1), "evil", operations},
		"an attempt":            {func(b *fixture) any { return b.Attempt }, once(time.Second), "evil", operations},
		"a page":                {func(b *fixture) any { return b.RedeliverPage }, page(1, 1), "evil", bulk},
		"a page without input":  {func(b *fixture) any { return b.RedeliverPage }, activities.RedeliverPageInput{}, "redeliveries:", noPage},
		"a page of no size":     {func(b *fixture) any { return b.RedeliverPage }, page(1, 0), "redeliveries:rd_1", noPage},
		"a page without a rate": {func(b *fixture) any { return b.RedeliverPage }, page(0, 1), "redeliveries:rd_1", noPage},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			runs := b.withRuns(1)
			failed := failure(t, b.execute(row.activity(b), row.input, run{workflowID: row.id}, nil))
			require.Equal(t, activities.TypeBadInput, failed.Type())
			require.True(t, failed.NonRetryable())
			require.Equal(t, row.want, failed.Message())
			require.Zero(t, b.receiver.requests())
			require.Empty(t, b.core.polls(time.Now()))
			require.Empty(t, runs.redelivered)
		})
	}
}

func TestANoticeIsDeliveredByAWorkflowOfAnotherID(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.receiver.answer = statuses(200)
		in := deliverInput(time.Second, 1)
		in.Callback = operation.Notice{Type: operation.NoticeExhausted, Data: operation.NoticeData{OperationID: "42"}}.Callback(shop)
		var got activities.DeliverResult
		require.NoError(t, b.execute(b.Deliver, in, run{workflowID: "notice:cb_1:r"}, &got))
		require.Equal(t, operation.DeliveryAcknowledged, got.Record.Delivery.Outcome)
	})
}
