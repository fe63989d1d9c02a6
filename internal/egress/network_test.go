package egress

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestANetworkMayHaveOnePort(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, prefix string
		port         uint16
	}{
		{"10.20.0.0/16", "10.20.0.0/16", 0},
		{"10.20.0.0/16:443", "10.20.0.0/16", 443},
		{"169.254.169.254/32:80", "169.254.169.254/32", 80},
		{"fd00::/8", "fd00::/8", 0},
		{"[fd00::/8]:8443", "fd00::/8", 8443},
		{"[::ffff:10.0.0.0/104]:65535", "::ffff:10.0.0.0/104", 65535},
		{"[fd00::/8]", "", 0},
		{"[10.0.0.0/8]:443", "", 0},
		{"fd00::/8:443", "", 0},
		{"10.0.0.0/8:0", "", 0},
		{"10.0.0.0/8:", "", 0},
		{"10.0.0.0/8:0443", "", 0},
		{"10.0.0.0/8:+443", "", 0},
		{"10.0.0.0/8:65536", "", 0},
		{"10.0.0.0/8:443:443", "", 0},
		{"10.0.0.0:443", "", 0},
		{"10.0.0.1/8:443", "", 0},
		{"", "", 0},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			n, err := ParseNetwork(tt.text)
			if tt.prefix == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Network{netip.MustParsePrefix(tt.prefix), tt.port}, n)
			require.Equal(t, tt.text, n.String())
		})
	}
}

func TestANetworkOfOnePortOpensNoOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		allow     []string
		passes    bool
	}{
		{"its port, by https", "https://10.20.0.1/", []string{"10.20.0.0/16:443"}, true},
		{"its port, by plain http", "http://10.20.0.1:8080/", []string{"10.20.0.0/16:8080"}, true},
		{"another port, by https", "https://10.20.0.1:8443/", []string{"10.20.0.0/16:443"}, false},
		{"another port, by plain http", "http://10.20.0.1/", []string{"10.20.0.0/16:443"}, false},
		{"two entries open two ports", "https://10.20.0.1:8443/", []string{"10.20.0.0/16:443", "10.20.0.0/16:8443"}, true},
		{"without a port every one", "https://10.20.0.1:22/", []string{"10.20.0.0/16"}, true},
		{"IPv6", "https://[fd00::1]:8443/", []string{"[fd00::/8]:8443"}, true},
		{"another port of IPv6", "https://[fd00::1]/", []string{"[fd00::/8]:8443"}, false},
		{"a mapped address as the one it maps", "https://[::ffff:10.20.0.1]/", []string{"10.20.0.0/16:443"}, true},
		{"a mapped network as the one it maps", "https://10.20.0.1/", []string{"[::ffff:10.20.0.0/112]:443"}, true},
		{"metadata, named alone with its port", "http://169.254.169.254/", []string{"169.254.169.254/32:80"}, true},
		{"another port of metadata", "http://169.254.169.254:81/", []string{"169.254.169.254/32:80"}, false},
		{"NAT64 to an address of another port", "https://[64:ff9b::a00:1]/", []string{"64:ff9b::/96", "10.0.0.0/8:8443"}, false},
		{"NAT64 to an address of its port", "https://[64:ff9b::a00:1]/", []string{"64:ff9b::/96", "10.0.0.0/8:443"}, true},
		{"a public address stays public", "https://8.8.8.8/", []string{"8.8.8.8/32:8443"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var allow []Network
			for _, text := range tt.allow {
				n, err := ParseNetwork(text)
				require.NoError(t, err)
				allow = append(allow, n)
			}
			err := NewOfNetworks(allow).CheckURL(t.Context(), tt.url)
			require.Equal(t, !tt.passes, IsRefused(err), "%v", err)
		})
	}
}
