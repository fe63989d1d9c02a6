package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	loopback = netip.MustParsePrefix("127.0.0.0/8")
	mapped   = netip.MustParsePrefix("::ffff:10.1.0.0/112")
	unique   = netip.MustParsePrefix("fd00:1::/32")
)

func TestCheckURLJudgesLiteralAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url, refused string
		allow              []netip.Prefix
	}{
		{name: "a public IPv4 address passes", url: "https://8.8.8.8/cb"},
		{name: "a public IPv4 address passes on any port", url: "https://8.8.8.8:8443/cb?x=1"},
		{name: "a public IPv6 address passes", url: "https://[2606:4700::1111]/cb"},
		{name: "loopback is refused", url: "https://127.0.0.1/", refused: "127.0.0.1"},
		{name: "all of loopback is refused", url: "https://127.9.9.9/", refused: "127.9.9.9"},
		{name: "IPv6 loopback is refused", url: "https://[::1]/", refused: "::1"},
		{name: "mapped loopback is refused as what it maps", url: "https://[::ffff:127.0.0.1]/", refused: "127.0.0.1"},
		{name: "the cloud's metadata is refused", url: "https://169.254.169.254/latest", refused: "169.254.169.254"},
		{name: "mapped metadata is refused", url: "https://[::ffff:a9fe:a9fe]/", refused: "169.254.169.254"},
		{name: "NAT64 is refused", url: "https://[64:ff9b::7f00:1]/", refused: "64:ff9b::7f00:1"},
		{name: "6to4 is refused", url: "https://[2002:7f00:1::]/", refused: "2002:7f00:1::"},
		{name: "private addresses are refused", url: "https://10.0.24.224/", refused: "10.0.24.224"},
		{name: "private IPv6 is refused", url: "https://[fd00:1::1]/", refused: "fd00:1::1"},
		{name: "link-local is refused without its zone", url: "https://[fe80::1%25eth0]/", refused: "fe80::1"},
		{name: "unspecified is refused", url: "https://0.0.0.0/", refused: "0.0.0.0"},
		{name: "multicast is refused", url: "https://224.0.0.1/", refused: "224.0.0.1"},
		{name: "what is allowed passes", url: "https://127.0.0.1/", allow: []netip.Prefix{loopback}},
		{name: "a mapped address passes where what it maps is allowed", url: "https://[::ffff:127.0.0.1]/", allow: []netip.Prefix{loopback}},
		{name: "an allowed mapped prefix allows what it maps", url: "https://10.1.2.3/", allow: []netip.Prefix{mapped}},
		{name: "an allowed mapped prefix allows no more", url: "https://10.2.0.1/", allow: []netip.Prefix{mapped}, refused: "10.2.0.1"},
		{name: "allowed IPv6 passes", url: "https://[fd00:1::1]/", allow: []netip.Prefix{unique}},
		{name: "plain http to a public address is refused", url: "http://8.8.8.8/", refused: "8.8.8.8"},
		{name: "plain http passes where the address is allowed", url: "http://127.0.0.1:9101/callback", allow: []netip.Prefix{loopback}},
		{name: "plain http to a public address passes where it is allowed", url: "http://8.8.8.8/", allow: []netip.Prefix{netip.MustParsePrefix("8.8.8.8/32")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := New(tt.allow).CheckURL(t.Context(), tt.url)
			require.Equal(t, tt.refused != "", IsRefused(err), "%v", err)
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.refused, refused.Address)
			require.NotEmpty(t, refused.Reason)
		})
	}
}

func TestCheckURLRefusesWhatIsNoTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, url, says string }{
		{"no URL", "https://[::1", "not a URL"},
		{"empty", "", "not an absolute"},
		{"relative", "/callback", "not an absolute"},
		{"without a scheme", "//8.8.8.8/cb", "not an absolute"},
		{"another scheme", "ftp://8.8.8.8/", "not an absolute"},
		{"a file", "file:///etc/passwd", "not an absolute"},
		{"opaque", "https:8.8.8.8", "without a host"},
		{"without a host", "https:///cb", "without a host"},
		{"only a port", "https://:443/cb", "without a host"},
		{"a user", "https://bob@8.8.8.8/", "user name or password"},
		{"a password", "https://bob:hunter2@8.8.8.8/", "user name or password"},
		{"an empty user", "https://@8.8.8.8/", "user name or password"},
		{"a fragment", "https://8.8.8.8/#part", "fragment"},
		{"port 0", "https://8.8.8.8:0/", "port"},
		{"a port that is none", "https://8.8.8.8:65536/", "port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := New(nil).CheckURL(t.Context(), tt.url)
			require.ErrorContains(t, err, tt.says)
			require.False(t, IsRefused(err), "only an address is refused")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestCheckURLJudgesNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		addrs     []string
		allow     []netip.Prefix
		refused   bool
	}{
		{name: "a name of a public address passes", url: "https://shop.test/", addrs: []string{"8.8.8.8"}},
		{name: "a name of a private address is refused", url: "https://shop.test/", addrs: []string{"10.0.0.1"}, refused: true},
		{name: "a name of the metadata address is refused", url: "https://shop.test/", addrs: []string{"169.254.169.254"}, refused: true},
		{name: "one public address of two is enough, as it is in dialling", url: "https://shop.test/", addrs: []string{"10.0.0.1", "8.8.8.8"}},
		{name: "plain http by name is refused", url: "http://shop.test/", addrs: []string{"8.8.8.8"}, refused: true},
		{name: "plain http by name passes where its address is allowed", url: "http://shop.test/", addrs: []string{"127.0.0.1"}, allow: []netip.Prefix{loopback}},
		{name: "a name that does not resolve passes: it is checked when dialled", url: "https://nowhere.test/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := New(tt.allow)
			g.resolver = resolverOf(func() []string { return tt.addrs })
			err := g.CheckURL(t.Context(), tt.url)
			require.Equal(t, tt.refused, IsRefused(err), "%v", err)
			if !tt.refused {
				require.NoError(t, err)
			}
		})
	}
}

func TestCheckURLTellsNoAddressOfAName(t *testing.T) {
	t.Parallel()
	g := New(nil)
	for _, addr := range []string{"10.0.0.1", "169.254.169.254"} {
		g.resolver = resolverOf(func() []string { return []string{addr} })
		err := g.CheckURL(t.Context(), "https://inside.test/")
		require.ErrorContains(t, err, "egress to inside.test is refused: ")
		require.NotContains(t, err.Error(), addr)
	}
}

func TestCheckURLRefusesLocalhostByName(t *testing.T) {
	t.Parallel()
	require.True(t, IsRefused(New(nil).CheckURL(t.Context(), "https://localhost/")))
	v6 := netip.MustParsePrefix("::1/128")
	require.NoError(t, New([]netip.Prefix{loopback, v6}).CheckURL(t.Context(), "http://localhost:8080/"))
}

func TestCheckURLDoesNotWaitForASilentResolver(t *testing.T) {
	t.Parallel()
	g := New(nil)
	g.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, g.CheckURL(ctx, "https://silent.test/"))
	require.NoError(t, ctx.Err(), "the guard's own half second must have ended it")
}

func TestClientRefusesWhenItDials(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(answering(http.StatusOK))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(answering(http.StatusOK))
	t.Cleanup(secure.Close)
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig

	for _, tt := range []struct {
		name, url string
		allow     []netip.Prefix
		refused   bool
	}{
		{name: "plain http that is not allowed", url: plain.URL, refused: true},
		{name: "https that is not allowed", url: secure.URL, refused: true},
		{name: "plain http that is allowed", url: plain.URL, allow: []netip.Prefix{loopback}},
		{name: "https that is allowed", url: secure.URL, allow: []netip.Prefix{loopback}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := New(tt.allow).Client(trust, 10*time.Second)
			t.Cleanup(client.CloseIdleConnections)
			response, err := client.Get(tt.url)
			require.Equal(t, tt.refused, IsRefused(err), "%v", err)
			if tt.refused {
				var refused *RefusedError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, "127.0.0.1", refused.Address)
				return
			}
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
		})
	}
}

func TestClientRefusesPlainHTTPToAPublicAddressWithoutConnecting(t *testing.T) {
	t.Parallel()
	_, err := New(nil).Client(nil, 10*time.Second).Get("http://8.8.8.8/")
	require.True(t, IsRefused(err), "%v", err)
	require.ErrorContains(t, err, "plain http")
}

func TestClientRefusesANameThatChangedItsAddress(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	g := New(nil)
	g.resolver = resolverOf(func() []string {
		if asked.Add(1) == 1 {
			return []string{"8.8.8.8"}
		}
		return []string{"127.0.0.1"}
	})
	require.NoError(t, g.CheckURL(t.Context(), "https://rebinding.test/"), "public when it is checked")
	_, err := g.Client(nil, 10*time.Second).Get("https://rebinding.test/")
	require.True(t, IsRefused(err), "%v", err)
}

func TestClientDoesNotCallOtherFailuresRefusals(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(answering(http.StatusOK))
	closed.Close()
	_, err := New([]netip.Prefix{loopback}).Client(nil, 10*time.Second).Get(closed.URL)
	require.Error(t, err)
	require.False(t, IsRefused(err), "%v", err)
	require.False(t, IsRefused(nil))
	require.False(t, IsRefused(errors.New("egress to 1.1.1.1 is refused")))
}

func TestClientIgnoresProxyVariables(t *testing.T) {
	// http.ProxyFromEnvironment reads the environment once a process and never
	// proxies loopback, so the transports themselves are asked.
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	client := New([]netip.Prefix{loopback}).Client(nil, 10*time.Second)
	both := client.Transport.(*transport).current()
	require.Nil(t, both.http.Proxy)
	require.Nil(t, both.https.Proxy)

	_, err := client.Get("http://8.8.8.8/")
	require.True(t, IsRefused(err), "%v", err)
	require.False(t, proxied)
}

func TestClientBoundsHeadersAndTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
	}{
		{"headers over the cap are an error", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", maxResponseHeaderBytes))
		}, 10 * time.Second},
		{"a body that never ends is an error", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.handler)
			t.Cleanup(server.Close)
			client := New([]netip.Prefix{loopback}).Client(nil, tt.timeout)
			t.Cleanup(client.CloseIdleConnections)
			response, err := client.Get(server.URL)
			if err == nil {
				_, err = io.ReadAll(response.Body)
				require.NoError(t, response.Body.Close())
			}
			require.Error(t, err)
		})
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://8.8.8.8/", "http://127.0.0.1", "https://[::ffff:7f00:1]:99/#a", "https://a:b@c/", "https://[fe80::1%25x]/"} {
		f.Add(seed)
	}
	g := New(nil)
	g.resolver = resolverOf(func() []string { return nil })
	f.Fuzz(func(t *testing.T, raw string) {
		err := g.CheckURL(t.Context(), raw)
		u, parseErr := url.Parse(raw)
		if err != nil || parseErr != nil {
			return
		}
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.Nil(t, u.User)
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.NoError(t, public.SafeAddr(addr.Unmap().WithZone("")))
			require.Equal(t, "https", u.Scheme)
		}
	})
}

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// resolverOf resolves every name to IPv4 addresses, without a network: it
// speaks DNS over a pipe, where each message follows its length.
func resolverOf(addrs func() []string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serveDNS(theirs, addrs)
		return ours, nil
	}}
}

func serveDNS(conn net.Conn, addrs func() []string) {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	reply := dnsReply(query, addrs)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
}

func dnsReply(query []byte, addrs func() []string) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[header : end+5]
	var records [][]byte
	if binary.BigEndian.Uint16(query[end+1:]) == typeA {
		for _, addr := range addrs() {
			ip := netip.MustParseAddr(addr).As4()
			records = append(records, append([]byte{0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4}, ip[:]...))
		}
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(len(records)), 0, 0, 0, 0}, question...)
	for _, record := range records {
		reply = append(reply, record...)
	}
	return reply
}
