// Package port holds addresses for servers that must be told theirs. A port that
// was found free by closing a listener can be somebody else's before the server
// is there.
package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Held is an address that was free. On Linux, and with IPv4, nobody gets its port
// who asks for any, and no connection leaves from it, until Release: only who is
// told it listens there.
type Held struct {
	addr netip.AddrPort
	free func() error
}

// Hold holds addr, a host:port; port 0 is chosen. It is an error where somebody
// listens there already.
func Hold(ctx context.Context, addr string) (*Held, error) {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("resolve the address %q: %w", addr, err)
	}
	if ip := resolved.IP.To4(); ip != nil {
		return hold(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), uint16(resolved.Port)))
	}
	return find(ctx, resolved.String())
}

// HoldAny holds a free port of the loopback address.
func HoldAny(ctx context.Context) (*Held, error) { return Hold(ctx, "127.0.0.1:0") }

// find makes sure that addr can be listened on, and holds nothing.
func find(ctx context.Context, addr string) (*Held, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	bound := l.Addr().(*net.TCPAddr).AddrPort()
	return &Held{netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()), func() error { return nil }}, l.Close()
}

// String is the address as host:port.
func (h *Held) String() string { return h.addr.String() }

// AddrPort is the address, its port chosen.
func (h *Held) AddrPort() netip.AddrPort { return h.addr }

// Release lets go of addresses. Who listens at one goes on.
func Release(all ...*Held) error {
	var errs []error
	for _, h := range all {
		errs = append(errs, h.free())
	}
	return errors.Join(errs...)
}
