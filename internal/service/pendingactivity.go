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
		var err error
		switch p.GetActivityType().GetName() {
		case workflows.ActivityWatch:
			records.Watch, err = heartbeat[operation.WatchRecord](s.converter(workflowID), p)
			run := 0
			if records.Watch != nil {
				run = records.Watch.Run
			}
			records.WatchLost = lostRun(p, run)
		case workflows.ActivityDeliver:
			records.Delivery, err = heartbeat[operation.DeliveryRecord](s.converter(workflowID), p)
			run := 0
			if records.Delivery != nil {
				run = records.Delivery.Run
			}
			if records.DeliveryLost = lostRun(p, run); records.DeliveryLost > 0 {
				records.AttemptBy = attemptBy(p)
			}
		}
		if err != nil {
			return records, fmt.Errorf("the record of %s: %w", p.GetActivityType().GetName(), err)
		}
		records.Unrecorded = records.Unrecorded || !hasHeartbeat(p)
	}
	return records, nil
}

func hasHeartbeat(p *workflowpb.PendingActivityInfo) bool {
	return len(p.GetHeartbeatDetails().GetPayloads()) > 0
}

// heartbeat decodes a pending activity's heartbeat details; nil: it has none.
func heartbeat[T any](c converter.DataConverter, p *workflowpb.PendingActivityInfo) (*T, error) {
	if !hasHeartbeat(p) {
		return nil, nil //nolint:nilnil // no record is no error
	}
	record := new(T)
	return record, c.FromPayloads(p.GetHeartbeatDetails(), record)
}

// lostRun is the latest run of a pending activity where that left no record, of which run
// is the one that left the latest; 0: it left one.
func lostRun(p *workflowpb.PendingActivityInfo, run int) int {
	latest := int(p.GetAttempt())
	if !runs(p) {
		latest-- // the next one
	}
	if !operation.RunLost(latest, run, hasHeartbeat(p)) {
		return 0
	}
	return latest
}

// attemptBy is until when the latest run of a delivery may begin an attempt that its start
// records. One that waits for its next run has ended before the time of that.
func attemptBy(p *workflowpb.PendingActivityInfo) operation.Time {
	if !runs(p) {
		return operation.At(p.GetScheduledTime().AsTime())
	}
	return activities.AttemptBy(operation.At(p.GetLastStartedTime().AsTime()))
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

// CompleteActivity completes an activity that has no result.
func (s *Service) CompleteActivity(ctx context.Context, taskToken []byte) error {
	_, err := s.Client.WorkflowService().RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: s.Namespace, TaskToken: taskToken, Identity: s.Identity,
	})
	return err
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
