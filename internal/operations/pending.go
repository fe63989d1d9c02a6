package operations

import (
	"fmt"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"ringback/internal/callback"
	"ringback/workflows"
)

// PendingProgress decodes what pending activities recorded in their heartbeat
// details. One that recorded nothing yet is only told of.
func PendingProgress(c converter.DataConverter, pending []*workflowpb.PendingActivityInfo) (callback.Progress, error) {
	var progress callback.Progress
	for _, p := range pending {
		if len(p.GetHeartbeatDetails().GetPayloads()) == 0 {
			progress.Unrecorded = true
			continue
		}
		switch p.GetActivityType().GetName() {
		case workflows.ActivityWatch:
			progress.Watch = new(callback.WatchProgress)
			if err := c.FromPayloads(p.GetHeartbeatDetails(), progress.Watch); err != nil {
				return progress, fmt.Errorf("the record of the watch: %w", err)
			}
		case workflows.ActivityDeliver:
			progress.Delivery = new(callback.DeliveryProgress)
			if err := c.FromPayloads(p.GetHeartbeatDetails(), progress.Delivery); err != nil {
				return progress, fmt.Errorf("the record of the delivery: %w", err)
			}
		}
	}
	return progress, nil
}
