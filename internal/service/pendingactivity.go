package service

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

// pendingRecords decodes what pending activities recorded in their heartbeat
// details.
func (s *Service) pendingRecords(workflowID string, pending []*workflowpb.PendingActivityInfo) (operation.Pending, error) {
	var records operation.Pending
	for _, p := range pending {
		var record any
		switch name := p.GetActivityType().GetName(); {
		case len(p.GetHeartbeatDetails().GetPayloads()) == 0:
			records.Unrecorded = true
			continue
		case name == workflows.ActivityWatch:
			records.Watch = new(operation.WatchRecord)
			record = records.Watch
		case name == workflows.ActivityDeliver:
			records.Delivery = new(operation.DeliveryRecord)
			record = records.Delivery
		default:
			continue
		}
		if err := s.converter(workflowID).FromPayloads(p.GetHeartbeatDetails(), record); err != nil {
			return records, fmt.Errorf("the record of %s: %w", p.GetActivityType().GetName(), err)
		}
	}
	for _, p := range pending {
		if p.GetActivityType().GetName() == workflows.ActivityDeliver {
			records.AttemptBy = attemptBy(p, records.Delivery)
		}
	}
	return records, nil
}

// attemptBy is Pending's, for a Deliver activity and what it recorded last, nil if that
// is nothing.
func attemptBy(p *workflowpb.PendingActivityInfo, recorded *operation.DeliveryRecord) operation.Time {
	by, latest := activities.AttemptBy(operation.At(p.GetLastStartedTime().AsTime())), int(p.GetAttempt())
	if !runs(p) { // it waits for its next run, which is scheduled for after the end of the latest
		by, latest = operation.At(p.GetScheduledTime().AsTime()), latest-1
	}
	run := 0
	if recorded != nil {
		run = recorded.Run
	}
	if !operation.RunLost(latest, run, recorded != nil) {
		return operation.Time{}
	}
	return by
}

// runs reports whether a worker runs the activity.
func runs(p *workflowpb.PendingActivityInfo) bool {
	return p.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && p.GetState() != enumspb.PENDING_ACTIVITY_STATE_PAUSED
}

// PendingActivity finds a pending activity of a run; nil: it has ended.
func (s *Service) PendingActivity(ctx context.Context, in activities.InterruptInput) (*activities.PendingActivity, error) {
	response, err := s.Client.DescribeWorkflowExecution(ctx, in.WorkflowID, in.RunID)
	if err != nil {
		return nil, fmt.Errorf("describing the run %s of %s: %w", in.RunID, in.WorkflowID, err)
	}
	for _, p := range response.GetPendingActivities() {
		if p.GetActivityType().GetName() != in.Activity {
			continue
		}
		records, err := s.pendingRecords(in.WorkflowID, []*workflowpb.PendingActivityInfo{p})
		found := &activities.PendingActivity{
			Pending: records, Worker: p.GetLastWorkerIdentity(), Running: runs(p),
		}
		if due := p.GetNextAttemptScheduleTime(); due != nil {
			found.Due = due.AsTime()
		}
		return found, err
	}
	return nil, nil
}

// RecordHeartbeat records details of the activity of ctx.
func (s *Service) RecordHeartbeat(ctx context.Context, taskToken []byte, details ...any) error {
	return s.Client.RecordActivityHeartbeatWithOptions(ctx, client.RecordActivityHeartbeatOptions{
		TaskToken: taskToken, WorkflowID: activity.GetInfo(ctx).WorkflowExecution.ID, Details: details,
	})
}

// RetryLater fails the run of the activity of ctx with cause, whose next retry delay says
// when the server is to run it again, and keeps details as its last heartbeat. The
// SDK can do this in two calls only.
func (s *Service) RetryLater(ctx context.Context, taskToken []byte, cause error, details any) error {
	id := activity.GetInfo(ctx).WorkflowExecution.ID
	heartbeat, err := s.converter(id).ToPayloads(details)
	if err != nil {
		return fmt.Errorf("encoding the record of an activity: %w", err)
	}
	_, err = s.Client.WorkflowService().RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		Namespace: s.Namespace, TaskToken: taskToken, Identity: s.Identity,
		Failure: converter.WithFailureConverterSerializationContext(s.Failures, s.serializationContext(id)).ErrorToFailure(cause), LastHeartbeatDetails: heartbeat,
	})
	return err
}
