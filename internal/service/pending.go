package service

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

// PendingRecords decodes what pending activities recorded in their heartbeat
// details. One that recorded nothing yet is only told of.
func PendingRecords(c converter.DataConverter, pending []*workflowpb.PendingActivityInfo) (operation.Pending, error) {
	var records operation.Pending
	for _, p := range pending {
		if len(p.GetHeartbeatDetails().GetPayloads()) == 0 {
			records.Unrecorded = true
			continue
		}
		switch p.GetActivityType().GetName() {
		case workflows.ActivityWatch:
			records.Watch = new(operation.WatchRecord)
			if err := c.FromPayloads(p.GetHeartbeatDetails(), records.Watch); err != nil {
				return records, fmt.Errorf("the record of the watch: %w", err)
			}
		case workflows.ActivityDeliver:
			records.Delivery = new(operation.DeliveryRecord)
			if err := c.FromPayloads(p.GetHeartbeatDetails(), records.Delivery); err != nil {
				return records, fmt.Errorf("the record of the delivery: %w", err)
			}
		}
	}
	return records, nil
}

// DescribePending finds a pending activity of a run; nil: it has ended.
func DescribePending(ctx context.Context, c client.Client, dc converter.DataConverter, in activities.InterruptInput) (*activities.PendingActivity, error) {
	response, err := c.DescribeWorkflowExecution(ctx, in.WorkflowID, in.RunID)
	if err != nil {
		return nil, fmt.Errorf("describing the run %s of %s: %w", in.RunID, in.WorkflowID, err)
	}
	for _, p := range response.GetPendingActivities() {
		if p.GetActivityType().GetName() != in.Activity {
			continue
		}
		records, err := PendingRecords(dc, []*workflowpb.PendingActivityInfo{p})
		found := &activities.PendingActivity{
			Pending: records, Worker: p.GetLastWorkerIdentity(),
			Running: p.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED || p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
		}
		if due := p.GetNextAttemptScheduleTime(); due != nil {
			found.Due = due.AsTime()
		}
		return found, err
	}
	return nil, nil
}
