package service

import (
	"context"
	"slices"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// ClientOptions adds to the options of a Service's client what the Service needs and
// the SDK has no option for: starts that the server knows again by their id.
func ClientOptions(o client.Options) client.Options {
	o.ConnectionOptions.DialOptions = append(slices.Clone(o.ConnectionOptions.DialOptions), grpc.WithChainUnaryInterceptor(setRequestID))
	return o
}

type requestIDKey struct{}

// withRequestID is a context in which a start has that request id: the server
// begins no second run for one that the latest run was begun by, and answers
// with that run instead.
func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestID(ctx context.Context) (id string, ok bool) {
	id, ok = ctx.Value(requestIDKey{}).(string)
	return id, ok
}

func setRequestID(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	start, starts := request.(*workflowservice.StartWorkflowExecutionRequest)
	if id, ok := requestID(ctx); ok && starts {
		start.RequestId = id
	}
	return invoke(ctx, method, request, reply, c, options...)
}
