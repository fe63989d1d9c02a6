package service

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"ringback/internal/operation"
)

// Each run is redelivered once, however many calls and bulk redeliveries request it
// (promise 10). All start the next run with the same request id, so that the server
// begins one; the claim in its memo identifies the call. A bulk redelivery that
// repeats a page finds its own runs by followed.

// redeliveryPause is for how long after an operation was redelivered alone another
// call is taken for the same one, made twice: the first run may be over within
// milliseconds.
const redeliveryPause = time.Second

// memoClaim is the memo's field that tells which of several calls began the run.
const memoClaim = "claim"

// checkClaim refuses callers that did not begin the run: of those that redeliver
// one run at once, the server returns to all the run that the first began.
func (s *Service) checkClaim(ctx context.Context, key operation.Key, runID, claim string) error {
	response, err := s.Client.DescribeWorkflowExecution(ctx, key.WorkflowID(), runID)
	if err != nil {
		return s.operationError("redelivering", key, err)
	}
	var claimed string
	if err := s.fromMemo(response.GetWorkflowExecutionInfo(), memoClaim, &claimed); err != nil {
		return s.operationError("decoding the memo of", key, err)
	}
	if claimed != claim {
		return alreadyRedelivered(key)
	}
	return nil
}

func alreadyRedelivered(key operation.Key) error {
	return notRedeliverable("The operation %s is being redelivered already.", key.WorkflowID())
}

// reusePolicy lets a failed run be followed only as long as it is the latest:
// the server holds to it whatever the request id.
func reusePolicy(latest enumspb.WorkflowExecutionStatus) enumspb.WorkflowIdReusePolicy {
	if latest == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	return enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
}

type requestIDKey struct{}

// withRequestID is a context in which a start has that request id: where the latest
// run was begun by the same, the server begins no other and returns that run.
func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func setRequestID(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	id, ok := ctx.Value(requestIDKey{}).(string)
	if start, starts := request.(*workflowservice.StartWorkflowExecutionRequest); ok && starts {
		start.RequestId = id
	}
	return invoke(ctx, method, request, reply, c, options...)
}

// followed is the verdict on a run that is not its operation's latest.
func followed(latest run, ref operation.RunRef, r operation.RedeliveryRequest) operation.Redelivered {
	if by := latest.redelivery; by != nil && by.BulkRedeliveryID == r.BulkRedeliveryID && by.PreviousRunID == ref.RunID {
		return operation.Redelivered{Verdict: operation.RedeliveryDone}
	}
	return operation.Redelivered{Verdict: operation.RedeliverySkipped, Detail: "It has a newer run."}
}
