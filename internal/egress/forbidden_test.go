package egress

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func prefixes(networks ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(networks))
	for _, network := range networks {
		all = append(all, netip.MustParsePrefix(network))
	}
	return all
}

func TestForbiddenAddressesOpenOnlyWhereTheyAreNamedAlone(t *testing.T) {
	t.Parallel()
	everything := prefixes("0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.254/31", "fe80::/10", "fd00::/8")
	for _, tt := range []struct{ name, address, alone string }{
		{"AWS's, Azure's and Google's metadata", "169.254.169.254", "169.254.169.254/32"},
		{"the same, mapped", "[::ffff:169.254.169.254]", "169.254.169.254/32"},
		{"the same, allowed as mapped", "169.254.169.254", "::ffff:169.254.169.254/128"},
		{"AWS's tasks", "169.254.170.2", "169.254.170.2/32"},
		{"any link-local address", "169.254.1.1", "169.254.1.1/32"},
		{"any link-local IPv6 address", "[fe80::1]", "fe80::1/128"},
		{"a link-local IPv6 address with a zone", "[fe80::1%25lo]", "fe80::1/128"},
		{"AWS's metadata by IPv6", "[fd00:ec2::254]", "fd00:ec2::254/128"},
		{"Google's metadata by IPv6", "[fd20:ce::254]", "fd20:ce::254/128"},
		{"Alibaba's metadata", "100.100.100.200", "100.100.100.200/32"},
		{"Azure's agent, though it is a public address", "168.63.129.16", "168.63.129.16/32"},
		{"metadata by NAT64", "[64:ff9b::a9fe:a9fe]", "169.254.169.254/32"},
		{"metadata by NAT64, named as that", "[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe/128"},
		{"metadata by a local NAT64 of 96 bits", "[64:ff9b:1::a9fe:a9fe]", "64:ff9b:1::a9fe:a9fe/128"},
		{"metadata by a local NAT64 of 48 bits", "[64:ff9b:1:a9fe:a9:fe00::]", "64:ff9b:1:a9fe:a9:fe00::/128"},
		{"metadata by 6to4", "[2002:a9fe:a9fe::1]", "2002:a9fe:a9fe::1/128"},
		{"metadata by Teredo", "[2001:0:808:808:0:0:5601:5601]", "2001:0:808:808::5601:5601/128"},
		{"metadata as a Teredo server", "[2001:0:a9fe:a9fe::1]", "2001:0:a9fe:a9fe::1/128"},
		{"metadata by ISATAP", "[2a00::5efe:a9fe:a9fe]", "2a00::5efe:a9fe:a9fe/128"},
		{"metadata as an IPv4-compatible address", "[::a9fe:a9fe]", "::a9fe:a9fe/128"},
		{"metadata as an IPv4-translated address", "[::ffff:0:a9fe:a9fe]", "::ffff:0:a9fe:a9fe/128"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, scheme := range []string{"https", "http"} {
				url := scheme + "://" + tt.address + "/latest"
				require.True(t, IsRefused(New(nil).CheckURL(t.Context(), url)), "nothing is allowed")
				err := New(everything).CheckURL(t.Context(), url)
				require.True(t, IsRefused(err), "networks do not open it: %v", err)
				require.ErrorContains(t, err, "link-local or metadata")
				_, err = New(everything).Client(nil, time.Second).Get(url)
				require.True(t, IsRefused(err), "nor when it is dialled: %v", err)
				require.NoError(t, New(append(prefixes("64:ff9b::/96"), prefixes(tt.alone)...)).CheckURL(t.Context(), url), "its own prefix does")
			}
		})
	}
}

func TestAnAddressThatLeadsToAnotherIsJudgedByBoth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, address string
		allow         []string
		says          string
	}{
		{"NAT64 is refused where it is not allowed", "64:ff9b::808:808", nil, "not a public address"},
		{"an allowed NAT64 leads to public addresses", "64:ff9b::808:808", []string{"64:ff9b::/96"}, ""},
		{"an allowed NAT64 leads to no private one", "64:ff9b::a00:1", []string{"64:ff9b::/96"}, "it leads to an address that is not public"},
		{"an allowed NAT64 leads to no loopback", "64:ff9b::7f00:1", []string{"64:ff9b::/96"}, "it leads to an address that is not public"},
		{"an allowed NAT64 leads to what is allowed itself", "64:ff9b::a00:1", []string{"64:ff9b::/96", "10.0.0.0/8"}, ""},
		{"an allowed local NAT64 leads to public addresses", "64:ff9b:1::808:808", []string{"64:ff9b:1::/48"}, ""},
		{"an allowed local NAT64 leads to no private one, at 96 bits", "64:ff9b:1::a00:1", []string{"64:ff9b:1::/48"}, "it leads to an address that is not public"},
		{"an allowed local NAT64 leads to no private one, at 48 bits", "64:ff9b:1:a00:0:100::", []string{"64:ff9b:1::/48"}, "it leads to an address that is not public"},
		{"an allowed local NAT64 leads to no private one, at 64 bits", "64:ff9b:1:0:a:0:100:0", []string{"64:ff9b:1::/48"}, "it leads to an address that is not public"},
		{"an allowed 6to4 leads to no private address", "2002:a00:1::1", []string{"2002::/16"}, "it leads to an address that is not public"},
		{"an allowed Teredo leads to no private address", "2001:0:808:808::f5ff:fffe", []string{"2001::/32"}, "it leads to an address that is not public"},
		{"6to4 is refused, to public addresses too", "2002:808:808::1", nil, "not a public address"},
		{"Teredo is refused", "2001:0:808:808::f7f7:f7f7", nil, "not a public address"},
		{"an IPv4-compatible loopback is refused", "::7f00:1", nil, "not a public address"},
		{"an IPv4-compatible public address is refused", "::808:808", nil, "not a public address"},
		{"ISATAP to a private address is refused", "2a00::5efe:a00:1", nil, "not a public address"},
		{"documentation addresses are refused", "2001:db8::1", nil, "not a public address"},
		{"shared addresses are refused", "100.64.0.1", nil, "not a public address"},
		{"benchmark addresses are refused", "198.18.0.1", nil, "not a public address"},
		{"broadcast is refused", "255.255.255.255", nil, "not a public address"},
		{"this network is refused", "0.1.2.3", nil, "not a public address"},
		{"site-local is refused", "fec0::1", nil, "not a public address"},
		{"multicast IPv6 is refused", "ff02::1", nil, "not a public address"},
		{"unspecified IPv6 is refused", "::", nil, "not a public address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := tt.address
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			err := New(prefixes(tt.allow...)).CheckURL(t.Context(), "https://"+host+"/")
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, IsRefused(err), "%v", err)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestAnIPAddressIsWrittenInItsPlainForm(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0127.0.0.1",
		"127.0.0.1.", "169.254.43518", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "1.1.1.256", "10.0.0.08", "1.2.3.4.5", "name.0x", "name.1", "0",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			g := New([]netip.Prefix{loopback})
			g.resolver = resolverOf(func() []string { return []string{"8.8.8.8"} })
			require.ErrorContains(t, g.CheckURL(t.Context(), "https://"+host+"/"), "not written in its plain form")
			require.ErrorContains(t, CheckForm("http://"+host+":8080/"), "not written in its plain form")
			_, err := New(nil).Client(nil, 5*time.Second).Get("https://" + host + ":1/")
			require.Error(t, err, "and where one is dialled all the same, its address is checked")
		})
	}
	for _, host := range []string{"shop.test", "1.shop.test", "0x7f.test", "7up", "8.8.8.8", "x0"} {
		require.NoError(t, CheckForm("https://"+host+"/"), host)
	}
}

func TestPublicAddressesAreDialledOnHTTPSAndUserPorts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		allow     []string
		refused   bool
	}{
		{name: "none given", url: "https://8.8.8.8/"},
		{name: "443", url: "https://8.8.8.8:443/"},
		{name: "1024", url: "https://8.8.8.8:1024/"},
		{name: "65535", url: "https://8.8.8.8:65535/"},
		{name: "22", url: "https://8.8.8.8:22/", refused: true},
		{name: "25", url: "https://8.8.8.8:25/", refused: true},
		{name: "80", url: "https://8.8.8.8:80/", refused: true},
		{name: "1023 of an IPv6 address", url: "https://[2606:4700::1111]:1023/", refused: true},
		{name: "25 of a name", url: "https://shop.test:25/", refused: true},
		{name: "any of an allowed address", url: "https://8.8.8.8:25/", allow: []string{"8.8.8.0/24"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := New(prefixes(tt.allow...))
			g.resolver = resolverOf(func() []string { return []string{"8.8.8.8"} })
			err := g.CheckURL(t.Context(), tt.url)
			require.Equal(t, tt.refused, IsRefused(err), "%v", err)
			if !tt.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "port")
			_, err = g.Client(nil, time.Second).Get(tt.url)
			require.True(t, IsRefused(err), "also when it is dialled: %v", err)
		})
	}
}

func TestClientJudgesEveryAddressOfANameAndEachTimeAnew(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	var addrs atomic.Pointer[[]string]
	g := New(prefixes("127.0.0.1/32"))
	g.resolver = resolverOf(func() []string { return *addrs.Load() })
	client := g.Client(nil, 5*time.Second)
	get := func() error {
		client.CloseIdleConnections()
		response, err := client.Get("http://rebinding.test:" + port + "/")
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	for _, step := range []struct {
		name     string
		addrs    []string
		reached  int32
		refused  bool
		mentions string
	}{
		{"an allowed address is called", []string{"127.0.0.1"}, 1, false, ""},
		{"the name changes between attempts", []string{"127.0.0.2"}, 1, true, "plain http"},
		{"and once more", []string{"169.254.169.254"}, 1, true, "metadata"},
		{"and back", []string{"127.0.0.1"}, 2, false, ""},
		{"of two, the refused one is never called", []string{"127.0.0.2", "127.0.0.1"}, 3, false, ""},
		{"in either order", []string{"127.0.0.1", "127.0.0.2"}, 4, false, ""},
		{"all of two are refused", []string{"127.0.0.2", "10.0.0.1"}, 4, true, "plain http"},
	} {
		addrs.Store(&step.addrs)
		err := get()
		require.Equal(t, step.refused, IsRefused(err), "%s: %v", step.name, err)
		if step.refused {
			require.ErrorContains(t, err, step.mentions, step.name)
		} else {
			require.NoError(t, err, step.name)
		}
		require.Equal(t, step.reached, requests.Load(), step.name)
	}
	server.Close()
	addrs.Store(&[]string{"127.0.0.2", "127.0.0.1"})
	err := get()
	require.Error(t, err)
	require.False(t, IsRefused(err), "an allowed address that is down is no refusal: %v", err)
}

func TestClientFollowsNoRedirectToAForbiddenAddress(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var requests atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		response, err := New([]netip.Prefix{loopback}).Client(nil, 5*time.Second).Post(server.URL, "text/plain", strings.NewReader("once"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode)
		require.EqualValues(t, 1, requests.Load())
	}
}

// FuzzCheckAddress: whatever the address, nothing but its own prefix opens a forbidden
// one or what leads to it, and nothing that is refused is let through when it is
// written otherwise.
func FuzzCheckAddress(f *testing.F) {
	for _, seed := range []string{"8.8.8.8", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::1", "64:ff9b:1:a9fe:a9:fe00::", "2001:0:a9fe:a9fe::", "::1"} {
		f.Add(netip.MustParseAddr(seed).AsSlice(), uint16(443))
	}
	open, shut := New(prefixes("0.0.0.0/0", "::/0")), New(nil)
	f.Fuzz(func(t *testing.T, octets []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(octets)
		if !ok {
			return
		}
		target := netip.AddrPortFrom(addr, port)
		plain := addr.Unmap()
		if isForbidden(plain) || slicesContainForbidden(embedded(plain)) {
			require.True(t, IsRefused(open.checkTLS(target)))
			require.True(t, IsRefused(open.checkPlain(target)))
		}
		require.True(t, IsRefused(shut.checkPlain(target)), "plain http is for allowed addresses alone")
		if open.checkTLS(target) != nil {
			require.Error(t, shut.checkTLS(target), "what allowing everything does not open, nothing opens")
		}
		mapped := netip.AddrPortFrom(netip.AddrFrom16(addr.As16()), port)
		require.Equal(t, shut.checkTLS(target) == nil, shut.checkTLS(mapped) == nil)
		require.Equal(t, open.checkTLS(target) == nil, open.checkTLS(mapped) == nil)
		if shut.checkTLS(target) == nil {
			require.True(t, plain.IsGlobalUnicast() && !plain.IsPrivate())
			require.True(t, port == 443 || port >= 1024)
		}
	})
}

func slicesContainForbidden(addrs []netip.Addr) bool {
	for _, addr := range addrs {
		if isForbidden(addr) {
			return true
		}
	}
	return false
}

// A query is sent as it is written: POST /in?a=b c HTTP/1.0 HTTP/1.1.
func TestAQueryThatWouldEndItsRequestLineIsRefused(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"a=b c", "x HTTP/1.0", "ä=1", "a=\u00a0"} {
		require.ErrorContains(t, CheckForm("https://shop.example/in?"+query), "write it percent-encoded", query)
	}
	require.NoError(t, CheckForm("https://shop.example/a b?a=b+c&d=%20%C3%A4&e='~"))
}
