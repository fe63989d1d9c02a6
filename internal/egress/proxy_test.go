package egress

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tunnels is a CONNECT proxy that leads every target to one address, and
// remembers what it was asked for.
type tunnels struct {
	to     string
	status int

	mu    sync.Mutex
	asked []string
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if p.status != 0 {
		w.WriteHeader(p.status)
		return
	}
	onward, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(onward, conn); _ = onward.Close() }()
	_, _ = io.Copy(conn, onward)
	_ = conn.Close()
}

func (p *tunnels) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.asked...)
}

// proxied is a guard that calls through p, whose names resolve to addrs.
func proxied(t *testing.T, p http.Handler, allow []netip.Prefix, addrs ...string) *Guard {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	g, err := New(allow).ThroughProxy(server.URL)
	require.NoError(t, err)
	g.resolver = resolverOf(func() []string { return addrs })
	return g
}

func TestClientCallsThroughTheProxyWhatItJudgedItself(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(answering(http.StatusAccepted))
	t.Cleanup(secure.Close)
	target := secure.Listener.Addr().String()
	_, port, err := net.SplitHostPort(target)
	require.NoError(t, err)
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig

	for _, tt := range []struct {
		name, url string
		addrs     []string
		allow     []netip.Prefix
		status    int
		// asked is of the proxy; nothing: it was not.
		asked   []string
		refused bool
		fails   string
	}{
		{name: "a name is resolved here, and TLS is spoken to it by its name", url: "https://example.com:8443/", addrs: []string{"8.8.8.8"}, asked: []string{"CONNECT 8.8.8.8:8443"}},
		{name: "the port of https", url: "https://example.com/", addrs: []string{"8.8.8.8"}, asked: []string{"CONNECT 8.8.8.8:443"}},
		{name: "a name of a private address is not asked for", url: "https://example.com/", addrs: []string{"10.0.0.1"}, refused: true},
		{name: "a literal private address is not asked for", url: "https://10.0.0.1/", refused: true},
		{name: "metadata is not asked for, whatever is allowed", url: "https://169.254.169.254/", allow: prefixes("0.0.0.0/0"), refused: true},
		{name: "the proxy itself is no target", url: "https://127.0.0.1:3128/", refused: true},
		{name: "of several addresses the public one is asked for", url: "https://example.com/", addrs: []string{"10.0.0.1", "8.8.4.4"}, asked: []string{"CONNECT 8.8.4.4:443"}},
		{name: "what is allowed is called directly", url: "https://example.com:" + port + "/", addrs: []string{"127.0.0.1"}, allow: []netip.Prefix{loopback}},
		{name: "plain http to a public address is refused as ever", url: "http://example.com/", addrs: []string{"8.8.8.8"}, refused: true},
		{name: "a proxy that says no is no refusal", url: "https://example.com/", addrs: []string{"8.8.8.8"}, status: 403, asked: []string{"CONNECT 8.8.8.8:443"}, fails: "the egress proxy answered HTTP 403"},
		{name: "a proxy that redirects is not followed", url: "https://example.com/", addrs: []string{"8.8.8.8"}, status: 302, asked: []string{"CONNECT 8.8.8.8:443"}, fails: "the egress proxy answered HTTP 302"},
		{name: "every address is tried where the proxy says no", url: "https://example.com/", addrs: []string{"8.8.8.8", "8.8.4.4"}, status: 502, asked: []string{"CONNECT 8.8.8.8:443", "CONNECT 8.8.4.4:443"}, fails: "HTTP 502"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := &tunnels{to: target, status: tt.status}
			client := proxied(t, proxy, tt.allow, tt.addrs...).Client(trust, 10*time.Second)
			t.Cleanup(client.CloseIdleConnections)
			response, err := client.Get(tt.url)
			require.Equal(t, tt.refused, IsRefused(err), "%v", err)
			switch {
			case tt.fails != "":
				require.ErrorContains(t, err, tt.fails)
			case !tt.refused:
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusAccepted, response.StatusCode)
			}
			require.ElementsMatch(t, tt.asked, proxy.seen())
		})
	}
}

func TestAProxyThatMisbehavesIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(conn net.Conn)
		// says is a part of the error; empty where it is the time that is over.
		says string
	}{
		{"it says nothing", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, ""},
		{"it is no HTTP", func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail\r\n\r\n"); _ = conn.Close() }, "malformed HTTP"},
		{"it sends headers without end", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(conn, "X: y\r\n"); err != nil {
					return
				}
			}
		}, "reading the egress proxy's answer"},
		{"it speaks in the receiver's place", func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhello") }, "more than its answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					tt.answer(conn)
				}
			})
			timeout := 20 * time.Second
			if tt.says == "" {
				timeout = 300 * time.Millisecond
			}
			_, err := proxied(t, proxy, nil, "8.8.8.8").Client(nil, timeout).Get("https://example.com/")
			require.ErrorContains(t, err, tt.says)
			require.False(t, IsRefused(err))
		})
	}
}

func TestWhatIsNoProxyIsRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"10.0.0.5:3128", "https://10.0.0.5:3128", "socks5://10.0.0.5:1080", "http://10.0.0.5", "http://:3128", "http://bob:hunter2@10.0.0.5:3128",
		"http://10.0.0.5:3128/path", "http://10.0.0.5:3128?x=1", "http://10.0.0.5:0", "http://10.0.0.5:99999", "http://0x7f000001:3128", "http://169.254.169.254:80", "://",
	} {
		_, err := New(prefixes("0.0.0.0/0")).ThroughProxy(raw)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, raw := range []string{"http://10.0.0.5:3128", "http://proxy.test:8080/", "http://[fd00::5]:3128"} {
		g, err := New(nil).ThroughProxy(raw)
		require.NoError(t, err, raw)
		require.NotEmpty(t, g.proxy)
	}
	g := New(nil)
	same, err := g.ThroughProxy("")
	require.NoError(t, err)
	require.Same(t, g, same)
}

func TestAProxyWhoseNameLeadsToMetadataIsNotCalled(t *testing.T) {
	t.Parallel()
	g, err := New(nil).ThroughProxy("http://proxy.test:80")
	require.NoError(t, err)
	g.resolver = resolverOf(func() []string { return []string{"169.254.169.254"} })
	_, err = g.Client(nil, 5*time.Second).Get("https://8.8.8.8/")
	require.ErrorContains(t, err, "the egress proxy has a link-local or metadata address")
	require.False(t, IsRefused(err), "that says nothing of the receiver")
}
