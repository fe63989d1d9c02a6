package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheProxyForOutgoingRequestsIsAURLWithoutCredentials(t *testing.T) {
	setenv(t)
	for _, tt := range []struct{ name, line, says string }{
		{"a proxy", "  proxy: http://10.0.0.5:3128", ""},
		{"a proxy by name", "  proxy: http://proxy.example:3128", ""},
		{"an empty one", "  proxy: \"\"", "egress.proxy: is empty: allowed is the URL of a proxy"},
		{"one with a password", "  proxy: http://bob:hunter22@10.0.0.5:3128", "egress.proxy: is not a proxy's URL"},
		{"one of another scheme", "  proxy: socks5://10.0.0.5:3128", "egress.proxy: is not a proxy's URL"},
		{"one without a port", "  proxy: http://10.0.0.5", "egress.proxy: is not a proxy's URL"},
		{"one at the metadata address", "  proxy: http://169.254.169.254:80", "egress.proxy: the egress proxy has a link-local or metadata address"},
	} {
		_, err := load(t, folder(t), strings.Replace(base, "egress:\n", "egress:\n"+tt.line+"\n", 1))
		if tt.says == "" {
			require.NoError(t, err, tt.name)
			continue
		}
		require.ErrorContains(t, err, tt.says, tt.name)
		require.NotContains(t, err.Error(), "hunter22")
	}
}

func TestURLsOfTheFileAreHeldToTheGuardsForm(t *testing.T) {
	setenv(t)
	for _, tt := range []struct{ name, url, says string }{
		{"an address in decimal", "https://2130706433/in", "not written in its plain form"},
		{"an address in hexadecimal", "https://0x7f.0.0.1/in", "not written in its plain form"},
		{"the metadata address", "https://169.254.169.254/in", "link-local or metadata"},
		{"the metadata address, mapped", "https://[::ffff:a9fe:a9fe]/in", "link-local or metadata"},
		{"a port of a system service", "https://8.8.8.8:25/in", "its port is below 1024"},
		{"a port that is none", "https://shop.example:0/in", "port outside 1 to 65535"},
	} {
		_, err := load(t, folder(t), strings.Replace(base, "https://shop.example/in", tt.url, 1))
		require.ErrorContains(t, err, "endpoints.SHOP.url: ", tt.name)
		require.ErrorContains(t, err, tt.says, tt.name)
	}
}
