package operation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestACallbacksHostIsOneOfThoseListed(t *testing.T) {
	t.Parallel()
	listed := operation.AllowedHosts{"pay.example.com", "pay.kiosk.example", "*.Shop.example", "10.20.0.9", "2001:db8::1", "xn--80aswg.example"}
	for name, tt := range map[string]struct {
		url     string
		allowed bool
	}{
		"the host itself":                           {"https://pay.example.com/in?x=1", true},
		"in any case":                               {"https://PAY.Example.COM/", true},
		"on any port":                               {"https://pay.example.com:8443/", true},
		"one label for the wildcard":                {"https://a.shop.example/", true},
		"an address":                                {"https://10.20.0.9/", true},
		"an IPv6 address, written longer":           {"https://[2001:DB8:0::1]:8443/", true},
		"an international name in its ASCII form":   {"https://xn--80aswg.example/", true},
		"two labels for the wildcard":               {"https://a.b.shop.example/", false},
		"no label for the wildcard":                 {"https://shop.example/", false},
		"an empty label for the wildcard":           {"https://.shop.example/", false},
		"a name that ends like a listed one":        {"https://evilpay.example.com/", false},
		"a name that ends like a wildcard's":        {"https://evilshop.example/", false},
		"a listed name as another one's first part": {"https://pay.example.com.evil.example/", false},
		"a listed name below another":               {"https://x.pay.example.com/", false},
		"a listed name with a dot at its end":       {"https://pay.example.com./", false},
		"a listed name as a user name":              {"https://pay.example.com@evil.example/", false},
		"a listed name in the path":                 {"https://evil.example/pay.example.com", false},
		"a listed name after a backslash":           {`https://evil.example\.pay.example.com/`, false},
		"wide letters that read like a listed name": {"https://ｐay.example.com/", false},
		"an international name that is not ASCII":   {"https://сайт.example/", false},
		"a letter whose lower case is ASCII":        {"https://pay.kİosk.example/", false},
		"the same, percent-encoded":                 {"https://pay.k%C4%B0osk.example/", false},
		"the Kelvin sign":                           {"https://pay.Kiosk.example/", false},
		"an ideographic dot within the wildcard":    {"https://a。b.shop.example/", false},
		"another address":                           {"https://10.20.0.99/", false},
		"a mapped address":                          {"https://[::ffff:10.20.0.9]/", false},
		"no host":                                   {"https:///in", false},
		"no URL":                                    {"https://%zz/", false},
	} {
		require.Equal(t, tt.allowed, listed.Check(tt.url) == "", "%s: %s", name, tt.url)
	}
	require.Empty(t, operation.AllowedHosts(nil).Check("https://anything.example/"), "without a list any host is allowed")
	require.Equal(t, "has the host evil.example, which the endpoint's callback_hosts do not list",
		listed.Check("https://evil.example/secret?token=1"), "neither path nor query is repeated")
	require.Empty(t, operation.OnlyHostOf("https://Pay.example:8443/in").Check("https://pay.example/other"))
	require.NotEmpty(t, operation.OnlyHostOf("https://pay.example/in").Check("https://evil.example/in"))
}

func TestAListedHostIsANameAnAddressOrAWildcard(t *testing.T) {
	t.Parallel()
	for _, listed := range []string{"pay.example.com", "*.shop.example", "localhost", "my_shop", "10.0.0.5", "::1", "XN--80aswg.example", "*.internal"} {
		require.True(t, operation.IsHostPattern(listed), listed)
	}
	for _, listed := range []string{
		"", "*", "*.", "a.*.example", "*.*.example", "x*.example", ".example", "example.", "a..b", "https://pay.example", "pay.example:443",
		"pay.example/in", "сайт.example", "*.0.0.5", "010.0.0.5", "1.2", "[::1]", "2001:DB8::1", "a b",
	} {
		require.False(t, operation.IsHostPattern(listed), listed)
	}
}

func TestAHostIsShownWithoutPathAndQuery(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://Pay.Example:8443/secret?token=1": "pay.example:8443",
		"https://pay.example/x":                   "pay.example",
		"https://[2001:db8::1]:444/":              "[2001:db8::1]:444",
		"https://u:secret@pay.example/":           "pay.example",
		"https://a\u202eb.example/":               "a%E2%80%AEb.example",
		"/in":                                     "",
		"":                                        "",
		"https://%zz/":                            "",
	} {
		require.Equal(t, want, operation.HostPort(address), address)
	}
}

func TestAHostIsShownAsItIsCalled(t *testing.T) {
	t.Parallel()
	require.Equal(t, "pay.example.com:8443", operation.HostPort("https://Pay.Example.com:8443/in?x=1"))
	require.Equal(t, "pay.k%C4%B0osk.example", operation.HostPort("https://pay.kİosk.example/"))
	require.Empty(t, operation.HostPort("no URL"))
}

// A token may be a value of the query, its name, or all of it.
func TestAURLIsShownWithoutItsQuery(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://pay.example/in?token=secret&v=2": "https://pay.example/in?[redacted]",
		"https://pay.example/in?secret":           "https://pay.example/in?[redacted]",
		"https://pay.example?a=b?secret":          "https://pay.example?[redacted]",
		"https://%zz/?secret":                     "https://%zz/?[redacted]",
		"/in?secret":                              "/in?[redacted]",
		"https://pay.example/in?":                 "https://pay.example/in?",
		"https://pay.example/in":                  "https://pay.example/in",
		"":                                        "",
	} {
		require.Equal(t, want, operation.WithoutQuery(address), address)
	}
}
