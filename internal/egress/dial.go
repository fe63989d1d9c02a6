package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
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
	// maxWorked is how many names are remembered with the address that worked last.
	maxWorked = 1024
)

// dial connects to host:port.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// connect makes a connection to one address.
type connect func(ctx context.Context, target netip.AddrPort) (net.Conn, error)

// judgement is a verdict on an address; its error is a *RefusedError, but for
// that on the proxy's address.
type judgement func(netip.AddrPort) error

func connectDirectly(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", target.String())
}

// dialBy is a dial to the addresses that judge lets through.
func (g *Guard) dialBy(judge judgement, connect connect) dial {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		return g.reach(ctx, address, judge, connect)
	}
}

// reach connects to one of the addresses of host:port that judge lets through,
// beginning with the one that worked last. Its error is a refusal only if every
// address was refused.
func (g *Guard) reach(ctx context.Context, address string, judge judgement, connect connect) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	all, err := g.targets(ctx, address)
	if err != nil {
		return nil, err
	}
	targets, refused := judged(all, judge)
	switch {
	case len(targets) == 1:
		return connect(ctx, targets[0])
	case len(targets) == 0 && refused != nil:
		return nil, refused
	case len(targets) == 0:
		return nil, errors.New("the name has no address")
	}
	conn, target, err := race(ctx, g.worked.first(address, interleaved(targets)), connect)
	if err == nil {
		g.worked.remember(address, target)
	}
	return conn, err
}

// targets are the addresses that host:port stands for, not yet judged.
func (g *Guard) targets(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	targets := make([]netip.AddrPort, 0, len(addrs))
	for _, addr := range addrs {
		targets = append(targets, netip.AddrPortFrom(addr.Unmap(), uint16(number)))
	}
	return targets, err
}

// judged are the targets that judge lets through, and the last refusal.
func judged(all []netip.AddrPort, judge judgement) (passed []netip.AddrPort, refused error) {
	for _, target := range all {
		if err := judge(target); err != nil {
			refused = err
			continue
		}
		passed = append(passed, target)
	}
	return passed, refused
}

// interleaved takes turns between IPv4 and IPv6, beginning with the family that
// the resolver put first (RFC 8305, section 4).
func interleaved(targets []netip.AddrPort) []netip.AddrPort {
	var families [2][]netip.AddrPort
	for _, target := range targets {
		family := 0
		if target.Addr().Is4() != targets[0].Addr().Is4() {
			family = 1
		}
		families[family] = append(families[family], target)
	}
	ordered := make([]netip.AddrPort, 0, len(targets))
	for i := range targets {
		for _, family := range families {
			if i < len(family) {
				ordered = append(ordered, family[i])
			}
		}
	}
	return ordered
}

// connection is what became of one address.
type connection struct {
	conn   net.Conn
	target netip.AddrPort
	err    error
}

// race connects to the targets in their order, to each attemptDelay after the
// one before or as soon as one fails, and returns the first connection. The
// others are given up. The error is the first one.
func race(ctx context.Context, targets []netip.AddrPort, connect connect) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan connection, len(targets))
	next := time.NewTimer(0)
	defer next.Stop()
	var failed error
	started, ended := 0, 0
	for ended < len(targets) {
		due := next.C
		if started == len(targets) {
			due = nil
		}
		select {
		case <-due:
			target := targets[started]
			go func() {
				conn, err := connect(ctx, target)
				results <- connection{conn, target, err}
			}()
			started++
			next.Reset(attemptDelay)
		case got := <-results:
			ended++
			if got.err == nil {
				go closeLate(results, started-ended)
				return got.conn, got.target, nil
			}
			if failed == nil {
				failed = got.err
			}
			next.Reset(0)
		}
	}
	return nil, netip.AddrPort{}, failed
}

// closeLate closes what comes of the connections still under way.
func closeLate(results <-chan connection, underWay int) {
	for range underWay {
		if late := <-results; late.err == nil {
			_ = late.conn.Close()
		}
	}
}

// worked remembers by host:port which of its addresses was connected to last.
type worked struct {
	mu   sync.Mutex
	last map[string]netip.AddrPort
}

// first puts the target that worked last first.
func (w *worked) first(address string, targets []netip.AddrPort) []netip.AddrPort {
	w.mu.Lock()
	last, known := w.last[address]
	w.mu.Unlock()
	if at := slices.Index(targets, last); known && at > 0 {
		return slices.Insert(slices.Delete(targets, at, at+1), 0, last)
	}
	return targets
}

func (w *worked) remember(address string, target netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.last = map[string]netip.AddrPort{}
	}
	for other := range w.last {
		if len(w.last) < maxWorked {
			break
		}
		delete(w.last, other)
	}
	w.last[address] = target
}
