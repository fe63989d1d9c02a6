//go:build !linux

package port

import (
	"context"
	"net/netip"
)

// hold holds nothing: elsewhere two sockets share an address only if both ask
// for it in a way that no server does.
func hold(ctx context.Context, addr netip.AddrPort) (*Held, error) {
	return find(ctx, addr.String())
}
