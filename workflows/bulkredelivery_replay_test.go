package workflows_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/workflows"
)

// bulkHistories are recorded as the others are.
var bulkHistories = filepath.Join(histories, "redeliveries")

func TestEveryRecordedBulkRedeliveryReplays(t *testing.T) {
	t.Parallel()
	all := recordedIn(t, bulkHistories)
	for _, way := range []string{
		"done", "nothing-matched", "several-pages", "continues-as-new", "continued-as-new",
		"stopped-and-resumed", "stopped-and-resumed-by-signal", "cancelled",
	} {
		require.Contains(t, all, way)
	}
	for name, history := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replayBulk(workflows.BulkRedelivery, history))
		})
	}
}

func replayBulk(code any, history *historypb.History) error {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(code, workflow.RegisterOptions{Name: workflows.BulkRedeliveryType})
	return replayer.ReplayWorkflowHistory(silent{}, history)
}

// TestAChangedBulkRedeliveryDoesNotReplay shows that the replays can fail.
func TestAChangedBulkRedeliveryDoesNotReplay(t *testing.T) {
	t.Parallel()
	changed := func(ctx workflow.Context, in workflows.BulkRedeliveryInput) (operation.BulkRedeliveryProgress, error) {
		if err := workflow.Sleep(ctx, 1); err != nil {
			return operation.BulkRedeliveryProgress{}, err
		}
		return workflows.BulkRedelivery(ctx, in)
	}
	require.Error(t, replayBulk(changed, recordedIn(t, bulkHistories)["done"]))
}

func TestAPageOfABulkRedeliveryCostsSevenEvents(t *testing.T) {
	t.Parallel()
	all := recordedIn(t, bulkHistories)
	require.Len(t, all["several-pages"].GetEvents(), len(all["done"].GetEvents())+2*7, "five operations in pages of two are three pages")
}

func TestABulkRedeliverysHistoryNamesNoMachine(t *testing.T) {
	t.Parallel()
	for name, history := range recordedIn(t, bulkHistories) {
		for _, event := range history.Events {
			require.NotContains(t, event.String(), "@", "%s: %s", name, event.EventType)
		}
	}
}
