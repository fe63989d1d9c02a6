package config_test

import (
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
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"], registered_at_zone: Europe/Kyiv}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/hooks", enabled: false, card_number_screen: false, poll: {schedule: [1s, 90m], lifetime: 720h}, delivery: {interval: 1ms, attempts: 3}}
  SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, statuses: [done], poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
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

// A token in a URL is nobody's idea of a good place, and some receivers give no other.
func TestTheQueryOfAURLIsNotShown(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f", []byte(strings.Replace(withoutSecrets, "/hooks", "/hooks?token=of-the-receiver&v=2", 1)))
	require.NoError(t, err)
	content, err := c.Effective()
	require.NoError(t, err)
	require.NotContains(t, string(content), "of-the-receiver")
	require.Contains(t, string(content), "http://127.0.0.1:9103/hooks?[redacted]")
}

func TestAFileOpenToEverybodyIsWarnedOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode uint32
		says string
	}{
		"for its owner alone": {0o600, ""}, "for its group": {0o640, ""},
		"for all to read": {0o644, "can read this file (mode 0644)"}, "for all to write": {0o666, "can change this file (mode 0666)"},
	} {
		write(t, dir, "f", []byte("{}"), 0o600)
		chmod(t, filepath.Join(dir, "f"), c.mode)
		got := strings.Join(config.FileWarnings(filepath.Join(dir, "f")), "\n")
		require.Equal(t, c.says == "", got == "", name)
		require.Contains(t, got, c.says, name)
	}
	require.Empty(t, config.FileWarnings(filepath.Join(dir, "none")))
}

func chmod(t *testing.T, path string, mode uint32) {
	t.Helper()
	require.NoError(t, os.Chmod(path, os.FileMode(mode)))
}
