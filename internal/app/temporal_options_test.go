package app

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARenewedCertificateIsShownToTemporal(t *testing.T) {
	authority, dir := newAuthority(t, "clients"), t.TempDir()
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(dir, "none.toml"))
	t.Setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", filepath.Join(dir, "client.pem"))
	t.Setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", filepath.Join(dir, "client.key"))
	renew := func(name string) {
		certificate, key := authority.issue(t, name)
		write(t, filepath.Join(dir, "client.pem"), string(certificate))
		write(t, filepath.Join(dir, "client.key"), string(key))
	}
	renew("first")
	options, err := temporalOptions()
	require.NoError(t, err)
	shown := func() (*tls.Certificate, error) {
		return options.ConnectionOptions.TLS.GetClientCertificate(&tls.CertificateRequestInfo{})
	}
	for _, name := range []string{"first", "second"} {
		renew(name)
		certificate, err := shown()
		require.NoError(t, err)
		require.Equal(t, name, certificate.Leaf.Subject.CommonName)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "client.key")))
	_, err = shown()
	require.ErrorContains(t, err, "reading the client certificate for Temporal, "+filepath.Join(dir, "client.pem"))
}
