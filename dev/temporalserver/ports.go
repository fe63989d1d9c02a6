package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"ringback/dev/port"
)

// ports are where the services of this process listen, by service. Only the frontend's
// address is chosen by the caller; the others are free ports on the loopback address.
type ports struct {
	// frontend is how the frontend is reached, which another process may run.
	frontend string
	// members are for the other processes of a cluster.
	calls, members map[string]netip.AddrPort
	// held keeps them from everybody else until the services listen.
	held []*port.Held
}

// holdPorts finds ports that can be listened on.
func holdPorts(ctx context.Context, o Options) (ports, error) {
	p := ports{frontend: o.Addr, calls: map[string]netip.AddrPort{}, members: map[string]netip.AddrPort{}}
	if err := p.hold(ctx, o); err != nil {
		return ports{}, errors.Join(fmt.Errorf("find a port for the Temporal server: %w", err), port.Release(p.held...))
	}
	if calls, ours := p.calls[string(primitives.FrontendService)]; ours {
		p.frontend = dialable(calls)
	}
	return p, nil
}

func (p *ports) hold(ctx context.Context, o Options) error {
	for _, name := range o.services() {
		addr := net.JoinHostPort(loopback, "0")
		if name == string(primitives.FrontendService) {
			addr = o.Addr
		}
		held, err := port.Hold(ctx, addr)
		if err != nil {
			return err
		}
		p.held, p.calls[name] = append(p.held, held), held.AddrPort()
	}
	if !o.clustered() {
		return nil
	}
	return p.holdMembers(ctx)
}

// holdMembers finds ports that the schema's column for them can hold, a smallint: those
// that the kernel chooses are too high.
func (p *ports) holdMembers(ctx context.Context) error {
	const lowest = 10_000
	number := lowest + rand.IntN(math.MaxInt16/2) //nolint:gosec // a port, which others see anyway
	for name, calls := range p.calls {
		for p.members[name].Port() == 0 {
			number++
			held, err := port.Hold(ctx, netip.AddrPortFrom(calls.Addr(), uint16(number)).String())
			switch {
			case err == nil:
				p.held, p.members[name] = append(p.held, held), held.AddrPort()
			case !errors.Is(err, syscall.EADDRINUSE) || number == math.MaxInt16:
				return err
			}
		}
	}
	return nil
}

// dialable is how this machine reaches an address that is listened on.
func dialable(addr netip.AddrPort) string {
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(netip.MustParseAddr(loopback), addr.Port())
	}
	return addr.String()
}

// staticHosts are the services of a server that is one process.
func (p ports) staticHosts() map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, addr := range p.calls {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(dialable(addr))
	}
	return hosts
}

// services are all of them, so that each process looks for the members of each; a
// service of another process says there where it listens.
func (p ports) services() map[string]config.Service {
	all := map[string]config.Service{}
	for _, name := range temporal.DefaultServices {
		rpc := config.RPC{BindOnIP: loopback}
		if calls, ours := p.calls[name]; ours {
			rpc = config.RPC{GRPCPort: int(calls.Port()), MembershipPort: int(p.members[name].Port()), BindOnIP: calls.Addr().String()}
		}
		all[name] = config.Service{RPC: rpc}
	}
	return all
}
