package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// maxProxyAnswer bounds what the proxy may answer to a CONNECT.
const maxProxyAnswer = 16 << 10

// ThroughProxy is a guard that calls the addresses which egress.allow does not
// cover through an HTTP proxy's CONNECT; an empty URL is none. Names are resolved
// and checked here, and the proxy is asked for an address: it could resolve a name
// to another. Callbacks may not be sent to the proxy itself. The error says what
// is wrong with the URL.
func (g *Guard) ThroughProxy(proxy string) (*Guard, error) {
	if proxy == "" {
		return g, nil
	}
	u, err := parseTarget(proxy)
	if err != nil || u.Scheme != "http" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("is not a proxy's URL: allowed is one such as http://10.0.0.5:3128, without credentials and path")
	}
	if target, err := netip.ParseAddrPort(u.Host); err == nil && g.isClosed(target) {
		return nil, ErrProxyForbidden
	}
	proxied := *g
	proxied.proxy = u.Host
	return &proxied, nil
}

// ErrProxyForbidden is the refusal of the proxy itself: it ends no delivery.
var ErrProxyForbidden = errors.New("the egress proxy has a link-local or metadata address, which opens only where egress.allow names it alone")

func (g *Guard) isClosed(target netip.AddrPort) bool {
	addr := plainAddr(target)
	return isForbidden(addr) && !g.named(addr, target.Port())
}

// checkProxy checks an address of the proxy. Its error does not end a delivery:
// it is no refusal of what is to be called.
func (g *Guard) checkProxy(target netip.AddrPort) error {
	if g.isClosed(target) {
		return ErrProxyForbidden
	}
	return nil
}

// connect connects to what TLS will be spoken to: through the proxy, unless
// there is none or egress.allow covers the address.
func (g *Guard) connect(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	if g.proxy == "" || g.allowed(plainAddr(target), target.Port()) {
		return connectDirectly(ctx, target)
	}
	return g.tunnel(ctx, target)
}

// ProxyError says that the egress proxy failed.
type ProxyError struct {
	// HTTPStatus is what it answered; 0: it did not answer.
	HTTPStatus int
	// Waited is for how long.
	Waited time.Duration
	Err    error
}

// Error says what failed.
func (e *ProxyError) Error() string { return fmt.Sprintf("egress proxy: %v", e.Err) }

// Unwrap is the cause.
func (e *ProxyError) Unwrap() error { return e.Err }

// tunnel has the proxy connect to target. None of its errors is a refusal: a
// proxy that fails or says no may be mended.
func (g *Guard) tunnel(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	begun := time.Now()
	failed := func(status int, err error) error { return &ProxyError{status, time.Since(begun), err} }
	conn, err := g.dial(ctx, g.proxy, g.checkProxy, connectDirectly)
	if err != nil {
		return nil, failed(0, fmt.Errorf("dialling the egress proxy: %w", err))
	}
	// A request that is given up, and one whose time is over, end the wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	status, err := askForTunnel(conn, target)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, failed(status, err)
	}
	return conn, nil
}

// askForTunnel returns the HTTP status of the proxy's answer where that refuses.
func askForTunnel(conn net.Conn, target netip.AddrPort) (status int, err error) {
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\nUser-Agent: Ringback\r\n\r\n", target); err != nil {
		return 0, fmt.Errorf("asking the egress proxy: %w", err)
	}
	buffered := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	//nolint:bodyclose // The answer to a CONNECT has no body: what follows is the tunnel.
	answer, err := http.ReadResponse(buffered, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the egress proxy's answer: %w", err)
	case answer.StatusCode/100 != 2:
		return answer.StatusCode, fmt.Errorf("the egress proxy answered HTTP %d", answer.StatusCode)
	case buffered.Buffered() > 0:
		return 0, errors.New("the egress proxy sent more than its answer")
	}
	return 0, nil
}
