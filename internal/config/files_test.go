package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/config"
)

func TestACredentialOfSystemdIsASecret(t *testing.T) {
	setenv(t)
	dir, credentials := folder(t), t.TempDir()
	write(t, credentials, "core.password", []byte("hunter33\n"), 0o400)
	text := strings.Replace(example, "${env:WSGATE_PASSWORD}", "${credential:core.password}", 1)

	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	c, err := load(t, dir, text)
	require.NoError(t, err)
	require.Equal(t, "hunter33", c.Sources["wsgate"].Password.Reveal())

	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err = load(t, dir, text)
	require.ErrorContains(t, err, "sources.wsgate.password: the environment variable CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential=core.password:PATH")
}

// TestFilesTellWhenAConfigurationMayReadDifferently holds that every file counts that was
// read, or could not be, and its content alone.
func TestFilesTellWhenAConfigurationMayReadDifferently(t *testing.T) {
	setenv(t)
	for _, row := range []struct {
		name, text string
		does       func(t *testing.T, dir string)
		differs    bool
	}{
		{"nothing happened", example, func(*testing.T, string) {}, false},
		{"a file has a later time", example, func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Chtimes(filepath.Join(dir, "mac"), time.Time{}, time.Now().Add(time.Hour)))
		}, false},
		{"a file is beside them", example, func(t *testing.T, dir string) { t.Helper(); write(t, dir, "audit.log", nil, 0o600) }, false},
		{"a secret is another", example, func(t *testing.T, dir string) { t.Helper(); write(t, dir, "mac", []byte("other"), 0o600) }, true},
		{"a certificate is gone", example, func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Remove(filepath.Join(dir, "client.pem")))
		}, true},
		{"a secret that was missing is there", strings.Replace(example, "file:mac", "file:late", 1), func(t *testing.T, dir string) { t.Helper(); write(t, dir, "late", []byte("s"), 0o600) }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := folder(t)
			write(t, dir, "ringback.yml", []byte(row.text), 0o600)
			_, files, _ := config.Read(filepath.Join(dir, "ringback.yml"))
			require.Len(t, files, 4, "%q", slices.Collect(maps.Keys(files)))
			row.does(t, dir)
			require.Equal(t, row.differs, !maps.Equal(files, files.Now()))
		})
	}
}
