package service

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
)

// RetryLater fails a run of an activity with cause, whose next retry delay says
// when the server is to run it again, and keeps details as its last heartbeat. The
// SDK can do this in two calls only.
func (s *Service) RetryLater(ctx context.Context, taskToken []byte, cause error, details any) error {
	heartbeat, err := s.Converter.ToPayloads(details)
	if err != nil {
		return fmt.Errorf("encoding the record of an activity: %w", err)
	}
	_, err = s.Client.WorkflowService().RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		Namespace: s.Namespace, TaskToken: taskToken, Identity: s.Identity,
		Failure: s.Failures.ErrorToFailure(cause), LastHeartbeatDetails: heartbeat,
	})
	return err
}
