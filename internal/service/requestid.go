package service

import (
	"context"
	"slices"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// ClientOptions adds to the options of a Service's client what the SDK has no
// option for: the request id of a start.
func ClientOptions(o client.Options) client.Options {
	o.ConnectionOptions.DialOptions = append(slices.Clone(o.ConnectionOptions.DialOptions), grpc.WithChainUnaryInterceptor(setRequestID))
	return o
}

type requestIDKey struct{}

// withRequestID is a context in which a start has that request id: where the latest
// run was begun by the same, the server begins no other and answers with that run.
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
