package service

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// Yielder ends runs of activities as the SDK does where one fails, and records
// their details in the same call, for which the SDK has no way.
type Yielder struct {
	Client    client.Client
	Namespace string
	// Identity is the worker's, as the UI shows it.
	Identity  string
	Converter converter.DataConverter
	Failures  converter.FailureConverter
}

// Yield fails the run of an activity with cause, whose next retry delay says
// when the server is to wake it, and keeps details as its last heartbeat's.
func (y Yielder) Yield(ctx context.Context, taskToken []byte, cause error, details any) error {
	record, err := y.Converter.ToPayloads(details)
	if err != nil {
		return fmt.Errorf("writing the record of an activity: %w", err)
	}
	_, err = y.Client.WorkflowService().RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		Namespace: y.Namespace, TaskToken: taskToken, Identity: y.Identity,
		Failure: y.Failures.ErrorToFailure(cause), LastHeartbeatDetails: record,
	})
	return err
}
