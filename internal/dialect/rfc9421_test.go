package dialect

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The keys of RFC 9421, B.1.4 and B.1.5.
const (
	rfcEd25519 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
`
	rfcSharedSecret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)

func TestMessageSignaturesAreThoseOfTheRFC(t *testing.T) {
	t.Parallel()
	secret, err := base64.StdEncoding.DecodeString(rfcSharedSecret)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/foo?param=Value&Pet=dog", nil)
	require.NoError(t, err)
	r.Header = http.Header{
		"Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"}, "Content-Length": {"18"},
		// Components that callbacks do not cover.
		"@authority": {"example.com"}, "@path": {"/foo"},
	}
	for _, tt := range []struct {
		name, keyID, secret string
		components          []string
		parameters, want    string
	}{
		{
			"B.2.5", "test-shared-secret", string(secret), []string{"date", "@authority", "content-type"},
			`("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			":pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
		},
		{
			"B.2.6", "test-key-ed25519", rfcEd25519, []string{"date", "@method", "@path", "@authority", "content-type", "content-length"},
			`("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			":wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := newMessageKey(tt.keyID, tt.secret)
			require.NoError(t, err)
			key.algorithm = "" // which the RFC's examples leave out
			parameters := key.parameters(tt.components, 1618884473)
			require.Equal(t, tt.parameters, parameters)
			signature, err := key.sign([]byte(signatureBase(r, tt.components, parameters)))
			require.NoError(t, err)
			require.Equal(t, tt.want, byteSequence(signature))
		})
	}
}

// The example of RFC 8037, appendix A.3.
func TestAThumbprintIsThatOfTheRFC(t *testing.T) {
	t.Parallel()
	x, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	require.NoError(t, err)
	require.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", thumbprint(ed25519.PublicKey(x)))
}

func TestATargetIsTheURLAsItIsSent(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://shop.example":             "https://shop.example/",
		"https://shop.example:8443/a%2Fb?": "https://shop.example:8443/a%2Fb?",
		"http://shop.example/hook?id=1&b":  "http://shop.example/hook?id=1&b",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		require.NoError(t, err)
		require.Equal(t, want, messageComponent(r, "@target-uri"))
	}
}
