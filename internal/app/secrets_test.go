package app

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// TestSecretsOfAnEndpointAreRotatedByAReload holds that each step of a rotation
// reaches the receiver with the next attempt, from a secret to a pair of keys.
func TestSecretsOfAnEndpointAreRotatedByAReload(t *testing.T) {
	t.Parallel()
	type received struct {
		header http.Header
		body   []byte
	}
	seen := make(chan received, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- received{r.Header, body}
	}))
	defer receiver.Close()

	p, _ := loaded(t, openConfig)
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))
	seed := []byte("an ed25519 seed of 32 bytes 0123")
	private := "whsk_" + base64.StdEncoding.EncodeToString(seed)
	for name, content := range map[string]string{"secret": secret, "private": private, "token": "the-token\n", "password": "the-password"} {
		write(t, filepath.Join(filepath.Dir(p.ConfigPath), name), content)
	}
	older, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)

	for _, step := range []struct {
		secrets, auth      string
		versions           []string
		authorization, key string
	}{
		{`"${file:secret}"`, `{bearer: "${file:token}"}`, []string{"v1"}, "Bearer the-token", "k=the-token"},
		{`"${file:private}", "${file:secret}"`, `{basic: {username: ringback, password: "${file:password}"}}`, []string{"v1a", "v1"}, "Basic cmluZ2JhY2s6dGhlLXBhc3N3b3Jk", "k=the-token"},
		{`"${file:private}"`, `{bearer: "${file:token}"}`, []string{"v1a"}, "Bearer the-token", "k=another"},
	} {
		write(t, filepath.Join(filepath.Dir(p.ConfigPath), "token"), strings.TrimPrefix(step.key, "k=")+"\n")
		write(t, p.ConfigPath, fmt.Sprintf(`
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: %q, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}, signing: {secrets: [%s]}, auth: %s, headers: {X-Shop: "7", X-Api-Key: "k=${file:token}"}}
`, receiver.URL+"/hooks", step.secrets, step.auth))
		p.reload()
		ping, err := apiService{config: &p.config}.Ping(t.Context(), "LEDGER", operation.PingRequest{})
		require.NoError(t, err)
		require.Equal(t, operation.Acknowledged, ping.Verdict, ping.Reason)
		got := <-seen
		require.Equal(t, []string{"7", step.key}, []string{got.header.Get("X-Shop"), got.header.Get("X-Api-Key")})
		require.Equal(t, strings.Replace(step.authorization, "the-token", strings.TrimPrefix(step.key, "k="), 1), got.header.Get("Authorization"))
		var versions []string
		for _, one := range strings.Split(got.header.Get("Webhook-Signature"), " ") {
			version, signature, _ := strings.Cut(one, ",")
			versions = append(versions, version)
			if version == "v1a" {
				made, err := base64.StdEncoding.DecodeString(signature)
				require.NoError(t, err)
				text := got.header.Get("Webhook-Id") + "." + got.header.Get("Webhook-Timestamp") + "." + string(got.body)
				require.True(t, ed25519.Verify(ed25519.PublicKey(ed25519.NewKeyFromSeed(seed)[32:]), []byte(text), made))
				continue
			}
			require.NoError(t, older.Verify(got.body, got.header))
		}
		require.Equal(t, step.versions, versions)
	}
}
