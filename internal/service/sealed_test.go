package service

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/workflows"
)

// TestWhatWasSealedForAnotherRunIsNotRead holds it for all that the service reads by
// itself: memos and the records of pending activities.
func TestWhatWasSealedForAnotherRunIsNotRead(t *testing.T) {
	t.Parallel()
	c := &codec.Codec{}
	c.Use([]codec.Key{{ID: "a"}}, false)
	s := &Service{Namespace: "ns", Converter: codec.NewConverter(c)}
	own := operation.Key{Endpoint: "SHOP", OperationID: "1"}.WorkflowID()
	for name, row := range map[string]struct {
		from converter.DataConverter
		says string
	}{
		"its own":            {s.converter(own), ""},
		"another run's":      {s.converter("SHOP/2"), "it was sealed for the workflow \"SHOP/2\""},
		"no run's":           {s.Converter, "it was sealed for no workflow"},
		"what is not sealed": {converter.GetDefaultDataConverter(), "it is not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start, err := row.from.ToPayload(operation.StartRequest{Endpoint: "SHOP", OperationID: "1"})
			require.NoError(t, err)
			record, err := row.from.ToPayloads(operation.WatchRecord{})
			require.NoError(t, err)
			var read operation.StartRequest
			memoErr := s.fromMemo(&workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{WorkflowId: own},
				Memo:      &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoStart: start}},
			}, workflows.MemoStart, &read)
			_, recordErr := s.pendingRecords(own, []*workflowpb.PendingActivityInfo{{
				ActivityType: &commonpb.ActivityType{Name: workflows.ActivityWatch}, HeartbeatDetails: record, State: enumspb.PENDING_ACTIVITY_STATE_STARTED,
			}})
			if row.says == "" {
				require.NoError(t, memoErr)
				require.NoError(t, recordErr)
				require.Equal(t, "1", read.OperationID)
				return
			}
			require.ErrorContains(t, memoErr, row.says)
			require.ErrorContains(t, recordErr, row.says)
			var refused *operation.Error
			require.ErrorAs(t, engineError("reading", memoErr, nil), &refused)
			require.Equal(t, operation.ProblemUnavailable, refused.Problem)
			require.Contains(t, refused.Detail, "is refused: it is not sealed for it")
		})
	}
}
