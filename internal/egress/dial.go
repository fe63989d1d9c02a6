package egress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	// dialTimeout bounds a connection to a name, all its addresses together, whose
	// request has no deadline or has been given up.
	dialTimeout = 10 * time.Second
	// attemptDelay is how long after one address the next is tried, too (RFC 8305,
	// section 5, "Connection Attempt Delay").
	attemptDelay = 250 * time.Millisecond
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

// dial resolves host:port and connects to one of the addresses that check lets
// through. Its error is a refusal only if every address was refused.
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
	return race(ctx, interleave(targets), connect)
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

// race connects to the targets in their order, to each attemptDelay after the
// one before or as soon as one fails, and returns the first connection. The
// others are given up. The error is the first one.
func race(ctx context.Context, targets []netip.AddrPort, connect connect) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	try := func(target netip.AddrPort) {
		conn, err := connect(ctx, target)
		select {
		case results <- result{conn, err}:
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
				return got.conn, nil
			}
			failed, underWay = cmp.Or(failed, got.err), underWay-1
			next.Reset(0)
		case <-ctx.Done():
			return nil, cmp.Or(failed, ctx.Err())
		}
	}
	return nil, failed
}

// Dial connects to a URL's host as a request to it would, through the same checks and
// proxy, and hangs up.
func (g *Guard) Dial(ctx context.Context, raw string) error {
	u, err := parseTarget(raw)
	if err != nil {
		return err
	}
	check, connect, port := addressCheck(g.checkTLS), connect(g.connect), strconv.Itoa(httpsPort)
	if u.Scheme == "http" {
		check, connect, port = g.checkPlain, connectDirectly, "80"
	}
	conn, err := g.dial(ctx, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), check, connect)
	if err != nil {
		return err
	}
	return conn.Close()
}
