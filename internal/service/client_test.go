package service

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func TestAHeaderThatCannotBeSentIsLeftOutAlone(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][]string{
		"workflow:SHOP/1 ~": {"workflow:SHOP/1 ~"}, "workflow:SHOP/ёж": nil, "workflow:SHOP/é": nil, "workflow:SHOP/\x7f": nil, "workflow:SHOP/\t": nil,
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), resourceID, id, "authorization", "Bearer é")
		err := dropUnsendableID(ctx, "", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			sent, _ := metadata.FromOutgoingContext(ctx)
			require.Equal(t, want, sent.Get(resourceID), id)
			require.Equal(t, []string{"Bearer é"}, sent.Get("authorization"), "gRPC says what is wrong with a credential")
			return nil
		})
		require.NoError(t, err)
	}
}
