package egress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// dialTimeout bounds a connection to a name, all its addresses together, whose
	// request has no deadline or has been given up.
	dialTimeout = 10 * time.Second
	// attemptDelay is how long after one address the next is tried, too (RFC 8305,
	// section 5, "Connection Attempt Delay").
	attemptDelay = 250 * time.Millisecond
	// maxRemembered is how many names are remembered with the address that worked last.
	maxRemembered = 1024
)

// connect makes a connection to one address.
type connect func(ctx context.Context, target netip.AddrPort) (net.Conn, error)

// addressCheck says whether an address may be connected to. Its error is a
// *RefusedError, except for the proxy's address.
type addressCheck func(netip.AddrPort) error

func connectDirectly(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", target.String())
}

// dial connects to one of the addresses of host:port that check lets through,
// beginning with the one that worked last. Its error is a refusal only if every
// address was refused.
//
// net.Dialer could call check before each connection, but gives a first address
// that does not answer up to half of the time.
func (g *Guard) dial(ctx context.Context, address string, check addressCheck, connect connect) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var targets []netip.AddrPort
	refused := errors.New("the name has no address")
	for _, addr := range addrs {
		target := netip.AddrPortFrom(addr.Unmap(), uint16(number))
		if err := check(target); err != nil {
			refused = err
			continue
		}
		targets = append(targets, target)
	}
	if len(targets) == 0 {
		return nil, refused
	}
	conn, target, err := race(ctx, g.lastUsed.first(address, interleave(targets)), connect)
	if err == nil {
		g.lastUsed.remember(address, target)
	}
	return conn, err
}

// interleave alternates between IPv4 and IPv6, beginning with the family that the
// resolver put first (RFC 8305, section 4).
func interleave(targets []netip.AddrPort) []netip.AddrPort {
	var same, other []netip.AddrPort
	for _, target := range targets {
		if target.Addr().Is4() == targets[0].Addr().Is4() {
			same = append(same, target)
		} else {
			other = append(other, target)
		}
	}
	alternating := make([]netip.AddrPort, 0, len(targets))
	for i := range targets {
		alternating = append(alternating, same[min(i, len(same)):min(i+1, len(same))]...)
		alternating = append(alternating, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return alternating
}

// lastUsed remembers by host:port which of its addresses was connected to last, so
// that one that does not answer costs attemptDelay once.
type lastUsed struct {
	mu      sync.Mutex
	targets map[string]netip.AddrPort
}

// first moves the address that worked last to the beginning.
func (l *lastUsed) first(address string, targets []netip.AddrPort) []netip.AddrPort {
	l.mu.Lock()
	last, known := l.targets[address]
	l.mu.Unlock()
	if at := slices.Index(targets, last); known && at > 0 {
		return slices.Insert(slices.Delete(targets, at, at+1), 0, last)
	}
	return targets
}

// remember keeps target. When there are too many names all are forgotten.
func (l *lastUsed) remember(address string, target netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.targets == nil || len(l.targets) >= maxRemembered {
		l.targets = map[string]netip.AddrPort{}
	}
	l.targets[address] = target
}

// race connects to the targets in their order, to each attemptDelay after the
// one before or as soon as one fails, and returns the first connection. The
// others are given up. The error is the first one.
func race(ctx context.Context, targets []netip.AddrPort, connect connect) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn   net.Conn
		target netip.AddrPort
		err    error
	}
	results := make(chan result)
	try := func(target netip.AddrPort) {
		conn, err := connect(ctx, target)
		select {
		case results <- result{conn, target, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close()
			}
		}
	}
	next := time.NewTimer(0)
	defer next.Stop()
	var failed error
	for underWay := 0; underWay > 0 || len(targets) > 0; {
		due := next.C
		if len(targets) == 0 {
			due = nil
		}
		select {
		case <-due:
			go try(targets[0])
			targets, underWay = targets[1:], underWay+1
			next.Reset(attemptDelay)
		case got := <-results:
			if got.err == nil {
				return got.conn, got.target, nil
			}
			failed, underWay = cmp.Or(failed, got.err), underWay-1
			next.Reset(0)
		case <-ctx.Done():
			return nil, netip.AddrPort{}, cmp.Or(failed, ctx.Err())
		}
	}
	return nil, netip.AddrPort{}, failed
}
