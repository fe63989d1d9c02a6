// Package egress keeps Ringback's outgoing requests from reaching what they
// must not: only public unicast addresses may be dialled, and those that the
// configuration allows. An address is judged after its name was resolved and
// right before the connection is made, so that a name cannot change in between.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// maxResponseHeaderBytes bounds what a receiver can make us hold.
	maxResponseHeaderBytes = 64 << 10
	// idleConnsPerHost lets a burst of callbacks to one receiver keep its connections.
	idleConnsPerHost = 256
	idleConnTimeout  = 90 * time.Second
	// dialTimeout bounds a connection whose request has no deadline, or has
	// been given up.
	dialTimeout = 10 * time.Second
	// resolveTimeout bounds CheckURL: it stands in the way of a start.
	resolveTimeout = 500 * time.Millisecond
)

// RefusedError says that the guard refused an address.
type RefusedError struct {
	// Address is an IP address, or a name of which no address was let through.
	Address string
	// Reason says in words why.
	Reason string
}

// Error is the address and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("egress to %s is refused: %s", e.Address, e.Reason)
}

// IsRefused reports whether err is, or was caused by, a [RefusedError].
func IsRefused(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused)
}

// Guard judges addresses. It is safe for concurrent use; the zero Guard is not
// usable, see [New].
type Guard struct {
	allow    []netip.Prefix
	public   *ssrf.Guardian
	resolver *net.Resolver
}

// New builds a guard that lets public unicast addresses through, and those
// that allow covers (egress.allow in the configuration).
func New(allow []netip.Prefix) *Guard {
	g := &Guard{
		public:   ssrf.New(ssrf.WithAnyPort()),
		resolver: net.DefaultResolver,
	}
	for _, prefix := range allow {
		g.allow = append(g.allow, unmapped(prefix))
	}
	return g
}

// unmapped writes a prefix of IPv4-mapped addresses as the IPv4 one that
// addresses are compared with.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// Client is an HTTP client whose every connection is judged. It never follows
// a redirect, heeds no proxy variable, sends no Accept-Encoding and keeps
// connections alive; plain http goes only to addresses that are allowed by
// name. timeout bounds a whole exchange, its body included; 0 leaves that to
// the request's context. A refusal is found by [IsRefused].
func (g *Guard) Client(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &transport{
			plain:  g.transport(tlsConfig, g.judgePlain),
			secure: g.transport(tlsConfig, g.judge),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

func (g *Guard) transport(tlsConfig *tls.Config, judge func(netip.Addr) error) *http.Transport {
	dialer := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: g.resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			target, err := netip.ParseAddrPort(address)
			if err != nil {
				return &RefusedError{Address: address, Reason: "it is not an IP address and a port"}
			}
			return judge(target.Addr())
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig.Clone(),
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idleConnsPerHost,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
}

// transport has one transport a scheme, since a dialler does not know whether
// TLS will follow.
type transport struct{ plain, secure *http.Transport }

// RoundTrip sends r by its scheme's transport.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.secure.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.secure.CloseIdleConnections()
}

// judge is the verdict on an address that TLS will be spoken to.
func (g *Guard) judge(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if g.allowed(addr) {
		return nil
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return &RefusedError{Address: addr.String(), Reason: "it is not a public address and egress.allow does not cover it"}
	}
	return nil
}

// judgePlain is the verdict on an address that plain http will be spoken to.
func (g *Guard) judgePlain(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if g.allowed(addr) {
		return nil
	}
	return &RefusedError{Address: addr.String(), Reason: "plain http is spoken only to addresses that egress.allow covers"}
}

func (g *Guard) allowed(addr netip.Addr) bool {
	for _, prefix := range g.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// CheckURL says what is wrong with a URL that callbacks shall be sent to, nil
// if nothing is: it must be absolute http or https, with a host and without
// userinfo and fragment, and its address must be let through. A name is
// resolved for at most half a second and passes if any of its addresses does; one that cannot be
// resolved now passes too, since every address is judged again when it is
// dialled. The error repeats nothing of raw but its host.
func (g *Guard) CheckURL(ctx context.Context, raw string) error {
	u, err := parseTarget(raw)
	if err != nil {
		return err
	}
	judge := g.judge
	if u.Scheme == "http" {
		judge = g.judgePlain
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return judge(addr)
	}
	return g.checkName(ctx, u.Hostname(), judge)
}

func parseTarget(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is not an absolute http or https URL")
	case u.Hostname() == "":
		return nil, errors.New("is a URL without a host")
	case u.User != nil:
		return nil, errors.New("holds a user name or password, which a URL must not")
	case u.Fragment != "" || u.RawFragment != "":
		return nil, errors.New("holds a fragment (#…), which is never sent")
	}
	return u, checkPort(u.Port())
}

func checkPort(port string) error {
	if port == "" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("has a port outside 1 to 65535")
	}
	return nil
}

func (g *Guard) checkName(ctx context.Context, name string, judge func(netip.Addr) error) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil || len(addrs) == 0 {
		return nil
	}
	var refused error
	for _, addr := range addrs {
		if refused = judge(addr); refused == nil {
			return nil
		}
	}
	return refused
}
