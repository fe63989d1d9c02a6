package config_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

func TestTheEffectiveConfigurationShowsDefaultsAndNoSecret(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), everyKey)
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	text := string(content)
	for _, secret := range []string{"hunter22", signingSecret, "IrdTc8uQodU7PRpLzzLTW6wqZAO6tAMU", codecKey(1)} {
		require.NotContains(t, text, secret)
	}
	for _, said := range []string{"enabled: false", "enabled: true", "timeout: 10s", "ratio: ", "sha256: ", "Europe/Vilnius", "fd00::/8", "changes_burst: 3", `password: "[redacted]"`, `bearer: "[redacted]"`, `X-Api-Key: "[redacted]"`} {
		require.Contains(t, text, said)
	}
	require.NotContains(t, text, "null", "what is not set is left out")
}

func TestABaseURLWithoutTLSIsShownAsAURL(t *testing.T) {
	setenv(t)
	c, err := load(t, folder(t), everyKey)
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	require.Contains(t, string(content), `
    base_urls:
      - https://10.0.24.224
      - url: https://prewsgate.example
        tls:
          cert: client.pem
          key: client.key
`)
}

const withoutSecrets = `
api: {listen: 127.0.0.1:9999}
egress: {allow: [127.0.0.0/8, 10.20.0.0/16:443, "[fd00::/8]:8443"]}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
  cards: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/hooks", enabled: false, card_number_screen: false, poll: {schedule: [1s, 90m], lifetime: 720h}, delivery: {interval: 1ms, attempts: 3}}
  SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, enabled: hold, statuses: [done], poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`

func TestTheEffectiveConfigurationIsTheSameConfiguration(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f", []byte(withoutSecrets))
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	again, err := config.Parse("f", content)
	require.NoError(t, err, string(content))
	require.Equal(t, c.Hash, again.Hash)
	twice, err := again.Effective()
	require.NoError(t, err)
	require.Equal(t, string(content), string(twice))
}

// A token in a URL is nobody's idea of a good place, and some servers give no other.
func TestTheQueryOfAURLIsNotShown(t *testing.T) {
	setenv(t)
	const oauth2 = `auth: {oauth2: {token_url: "https://login.example/token?policy=of-the-tokens", client_id: a, client_secret: "${env:WSGATE_PASSWORD}"}}`
	c, err := config.Parse("f", []byte(strings.NewReplacer(
		"/hooks\"", "/hooks?token=of-the-receiver&v=2\", "+oauth2,
		"cards: {kind: paysera", "cards: {"+oauth2+", kind: cards",
	).Replace(withoutSecrets)+`
  DATA: {dialect: standard, source: cards, url: "http://127.0.0.1:9103/", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1ms, attempts: 3}}
telemetry: {traces: {endpoint: "http://127.0.0.1:4318/?token=of-the-traces"}}
kinds:
  cards: {statuses: {done: [final, rings]}, request: {path: /x}, answer: {answered: has(body.id), status: body.id}}
`))
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	require.NotContains(t, string(content), "of-the-")
	require.Contains(t, string(content), "url: http://127.0.0.1:9103/hooks?[redacted]\n")
	require.Contains(t, string(content), "endpoint: http://127.0.0.1:4318/?[redacted]\n")
	require.Equal(t, 2, strings.Count(string(content), "token_url: https://login.example/token?[redacted]\n"), string(content))
}

func TestAFileIsForEverybodyToReadUnlessItMayHoldASecret(t *testing.T) {
	setenv(t)
	dir := t.TempDir()
	const plain = `
sources: {wallet: {kind: paysera, base_urls: ["https://wallet.example"]}}
endpoints: {SHOP: {dialect: standard, source: wallet, url: "https://shop.example/in", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}}
`
	query := strings.Replace(plain, "/in", "/in?token=of-the-receiver", 1)
	token := strings.Replace(plain, "source: wallet", `source: wallet, auth: {oauth2: {token_url: "https://login.example/?token=of-the-receiver", client_id: a, client_secret: "${env:WSGATE_PASSWORD}"}}`, 1)
	traces := plain + `telemetry: {traces: {endpoint: "http://127.0.0.1:4318/?token=of-the-receiver"}}`
	for name, c := range map[string]struct {
		content string
		mode    uint32
		says    string
	}{
		"for all to read":                      {plain, 0o644, ""},
		"for all to write":                     {plain, 0o666, "can change this file (mode 0666): chmod o-w"},
		"a query in it, for its group":         {query, 0o640, ""},
		"a query in it, for all to read":       {query, 0o644, "can read this file (mode 0644): 0640 will do, with the group of the programs (65532 in the image), and the query of endpoints.SHOP.url may hold a secret"},
		"a query for tokens, for all to read":  {token, 0o644, ", and the query of endpoints.SHOP.auth.oauth2.token_url may hold a secret"},
		"a query for traces, for all to read":  {traces, 0o644, ", and the query of telemetry.traces.endpoint may hold a secret"},
		"a query in it, for all to write also": {query, 0o606, "can change this file (mode 0606)"},
	} {
		write(t, dir, "f", []byte(c.content), 0o600)
		chmod(t, filepath.Join(dir, "f"), c.mode)
		loaded, err := config.Load(filepath.Join(dir, "f"))
		require.NoError(t, err, name)
		got := strings.Join(loaded.Warnings, "\n")
		require.Equal(t, c.says == "", got == "", name+got)
		require.Contains(t, got, c.says, name)
		require.NotContains(t, got, "of-the-receiver")
	}
}

func TestADeniedFileSaysToWhom(t *testing.T) {
	t.Parallel()
	_, err := os.ReadFile(filepath.Join(t.TempDir(), "none"))
	require.Equal(t, err, config.Denied(err, "0640"), "another error stays as it is")
	denied := config.Denied(&fs.PathError{Op: "open", Path: "mac", Err: fs.ErrPermission}, "0660")
	require.ErrorIs(t, denied, fs.ErrPermission)
	require.EqualError(t, denied, fmt.Sprintf("open mac: permission denied to this program's user %d and group %d: give it that owner, or that group and mode 0660; its folder must let it in, too", os.Getuid(), os.Getgid()))
}

func chmod(t *testing.T, path string, mode uint32) {
	t.Helper()
	require.NoError(t, os.Chmod(path, os.FileMode(mode)))
}
