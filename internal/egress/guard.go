// Package egress keeps Ringback's outgoing requests from reaching what they
// must not: only public unicast addresses may be dialled, and those that the
// configuration allows; link-local and metadata addresses only where it names
// them one by one. An address is checked after its name was resolved and right
// before the connection is made, so that a name cannot change in between.
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
	"slices"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// maxResponseHeaderBytes bounds what a receiver can make us hold.
	maxResponseHeaderBytes = 64 << 10
	// idleConnsPerHost lets a burst of callbacks to one receiver keep its connections.
	idleConnsPerHost = 256
	// resolveTimeout bounds CheckURL: it stands in the way of a start.
	resolveTimeout = 500 * time.Millisecond
	// Ports that may be dialled at public addresses: that of https, and those
	// that no system service has by right.
	httpsPort     = 443
	firstUserPort = 1024
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

// Guard checks addresses. It is safe for concurrent use; the zero Guard is not
// usable, see [New].
type Guard struct {
	allow    []Network
	resolver *net.Resolver
	// proxy is the host:port of the CONNECT proxy; empty: none.
	proxy         string
	connectionAge time.Duration
}

// New builds a guard that lets public unicast addresses through, and those
// that allow covers, at every port.
func New(allow []netip.Prefix) *Guard {
	networks := make([]Network, len(allow))
	for i, prefix := range allow {
		networks[i].Prefix = prefix
	}
	return NewOfNetworks(networks)
}

// NewOfNetworks is New for what egress.allow in the configuration says.
func NewOfNetworks(allow []Network) *Guard {
	g := &Guard{
		resolver:      net.DefaultResolver,
		connectionAge: maxConnectionAge,
	}
	for _, network := range allow {
		network.Prefix = unmapped(network.Prefix)
		g.allow = append(g.allow, network)
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

// Client is an HTTP client whose every connection is checked. It never follows
// a redirect, heeds no proxy variable, sends no Accept-Encoding and keeps
// connections for a minute. timeout bounds a request with its whole answer; 0
// leaves that to the request's context. A refusal is found by [IsRefused].
func (g *Guard) Client(tlsConfig *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &transport{maxAge: g.connectionAge, build: func() transports {
			return transports{
				http:  g.transport(tlsConfig, g.checkPlain, connectDirectly),
				https: g.transport(tlsConfig, g.checkTLS, g.connect),
			}
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

func (g *Guard) transport(tlsConfig *tls.Config, check addressCheck, connect connect) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return g.dial(ctx, address, check, connect)
		},
		TLSClientConfig:        tlsConfig.Clone(),
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idleConnsPerHost,
		IdleConnTimeout:        maxConnectionAge,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
}

// checkTLS checks an address that will be called by TLS.
func (g *Guard) checkTLS(target netip.AddrPort) error {
	addr := plainAddr(target)
	if refused := g.checkForbidden(addr, target.Port()); refused != nil || g.allowed(addr, target.Port()) {
		return refused
	}
	switch {
	case !IsPublic(addr):
		return &RefusedError{addr.String(), "it is not a public address and egress.allow does not cover it"}
	case target.Port() != httpsPort && target.Port() < firstUserPort:
		return &RefusedError{addr.String(), "its port is below 1024 and not 443, and egress.allow does not cover the address"}
	}
	return nil
}

const plainHTTP = "plain http is spoken only to addresses that egress.allow covers"

// checkPlain checks an address that will be called by plain http.
func (g *Guard) checkPlain(target netip.AddrPort) error {
	addr := plainAddr(target)
	if refused := g.checkForbidden(addr, target.Port()); refused != nil || g.allowed(addr, target.Port()) {
		return refused
	}
	return &RefusedError{addr.String(), plainHTTP}
}

// checkForbidden refuses what a network in egress.allow does not open by covering
// it: a forbidden address, and one that leads to an address that is refused.
func (g *Guard) checkForbidden(addr netip.Addr, port uint16) error {
	if g.named(addr, port) {
		return nil
	}
	leadsTo := embedded(addr)
	if slices.ContainsFunc(append(leadsTo, addr), func(a netip.Addr) bool { return isForbidden(a) && !g.named(a, port) }) {
		return &RefusedError{addr.String(), "it is a link-local or metadata address, which opens only where egress.allow names it alone"}
	}
	for _, inner := range leadsTo {
		if g.allowed(addr, port) && !g.allowed(inner, port) && !IsPublic(inner) {
			return &RefusedError{addr.String(), "it leads to an address that is not public, and egress.allow does not cover that"}
		}
	}
	return nil
}

// plainAddr is the address as it is compared: not mapped and without its zone.
func plainAddr(target netip.AddrPort) netip.Addr { return target.Addr().Unmap().WithZone("") }

var public = ssrf.New(ssrf.WithAnyPort())

// IsPublic reports whether addr is a public unicast address, and leads to no other.
func IsPublic(addr netip.Addr) bool {
	return public.SafeAddr(addr) == nil && !slices.ContainsFunc(embedded(addr), func(inner netip.Addr) bool { return public.SafeAddr(inner) != nil })
}

func (g *Guard) allowed(addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(g.allow, func(n Network) bool { return n.covers(addr, port) })
}

// named reports whether egress.allow names addr alone.
func (g *Guard) named(addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(g.allow, func(n Network) bool { return n.names(addr, port) })
}

// CheckURL says what is wrong with a URL that callbacks shall be sent to, nil
// if nothing is: its form, as [CheckForm], and its addresses, of which one must be
// let through. A name that can't be resolved within half a second passes: every
// address is checked again when it is dialled. The error repeats nothing of raw
// but its host.
func (g *Guard) CheckURL(ctx context.Context, raw string) error {
	u, err := parseTarget(raw)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil
	}
	return g.checkAny(u, addrs)
}

// CheckLiteral is CheckURL for a configuration, which must not be valid or
// invalid by what the DNS says at the moment: it resolves no name but localhost,
// and refuses one only for plain http while nothing is allowed.
func (g *Guard) CheckLiteral(raw string) error {
	u, err := parseTarget(raw)
	if err != nil {
		return err
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		return g.checkAny(u, []netip.Addr{addr})
	case u.Scheme == "http" && len(g.allow) == 0:
		return &RefusedError{host, plainHTTP}
	}
	return nil
}

// checkAny is nil if one of the addresses of u's host may be called.
func (g *Guard) checkAny(u *url.URL, addrs []netip.Addr) (refused error) {
	check, port := g.checkTLS, uint16(httpsPort)
	if u.Scheme == "http" {
		check, port = g.checkPlain, 80
	}
	if given, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		port = uint16(given)
	}
	for _, addr := range addrs {
		if refused = check(netip.AddrPortFrom(addr, port)); refused == nil {
			return nil
		}
	}
	_, err := netip.ParseAddr(u.Hostname())
	if name, ok := errors.AsType[*RefusedError](refused); ok && err != nil {
		// What our resolver says of a name is not the caller's to know.
		return &RefusedError{u.Hostname(), name.Reason}
	}
	return refused
}

// CheckForm says what is wrong with a URL whatever its host resolves to, nil if
// nothing is. The error repeats nothing of raw.
func CheckForm(raw string) error {
	_, err := parseTarget(raw)
	return err
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
	case strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r > '~' }):
		// It is sent as it is written, so a space would end it.
		return nil, errors.New("holds a space or a character beyond ASCII in its query; write it percent-encoded")
	case isDisguised(u.Hostname()):
		return nil, errors.New("has an IP address for a host that is not written in its plain form, such as 192.0.2.1")
	}
	return u, checkPort(u.Port())
}

// isDisguised reports whether host would be taken for an IPv4 address by what is
// more generous than we are: its last label is a number, decimal, octal or
// hexadecimal (WHATWG URL, "ends in a number"). No name on the Internet has one.
func isDisguised(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
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
