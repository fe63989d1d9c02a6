package service

import (
	"context"
	"slices"
	"strings"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// ClientOptions adds to the options of a Service's client what the SDK has no
// option for: the request id of a start, and operation ids that no header can hold.
func ClientOptions(o client.Options) client.Options {
	o.ConnectionOptions.DialOptions = append(slices.Clone(o.ConnectionOptions.DialOptions),
		grpc.WithChainUnaryInterceptor(setRequestID, dropUnsendableID))
	return o
}

// resourceID is the header in which the SDK repeats the workflow id of a request.
const resourceID = "temporal-resource-id"

// dropUnsendableID leaves the header out where gRPC would refuse it, and with it the call:
// a header is printable ASCII. The server reads the id in the request itself.
func dropUnsendableID(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	sent, _ := metadata.FromOutgoingContext(ctx)
	if slices.ContainsFunc(sent.Get(resourceID), isUnsendable) {
		sent.Delete(resourceID)
		ctx = metadata.NewOutgoingContext(ctx, sent)
	}
	return invoke(ctx, method, request, reply, c, options...)
}

func isUnsendable(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}
