package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

func TestWSGateIsAskedWithTheClientCertificateThatTheFileNames(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	server := ca.issue(t, dir, "wsgate")
	ca.issue(t, dir, "GOLDENBANK")
	wsgate, err := simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{
		ExtSystemID: gold, Login: "gold", Password: wsgatePassword,
		TLS: &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MinVersion: tls.VersionTLS12},
	})
	require.NoError(t, err)
	closeAtEnd(t, wsgate.Close)
	w.replace(t, "\nendpoints:\n", fmt.Sprintf(`
  mtls: {kind: ukrcard, base_urls: [%q], ext_system_id: ECOM_GOLD_BANK, login: gold, password: "${env:E2E_WSGATE_PASSWORD}", tls: {cert: %q, key: %q, ca: %q}}
endpoints:
  MTLS: {dialect: ukrcard, source: mtls, url: %q, poll: {schedule: [100ms], lifetime: 1m}, delivery: {interval: 50ms, attempts: 4}}
`,
		wsgate.URL(), filepath.Join(dir, "GOLDENBANK.crt"), filepath.Join(dir, "GOLDENBANK.key"), filepath.Join(dir, "ca.crt"), w.ukrcard.URL()))
	api := w.run(t).Client

	wsgate.Script("A2C-9", simulator.Statuses(2)...)
	r := order("A2C-9", "p2p_a2c")
	r.Endpoint = "MTLS"
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, r)).Outcome)
	asked := wsgate.Questions("A2C-9")
	require.Empty(t, asked[0].Refused)
	require.Equal(t, "GOLDENBANK", asked[0].Header.Get("x-uws-clientdn"), "the certificate's CN")
}

// authority is a certificate authority of one test, with its files in one directory.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T, dir string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", der)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return authority{certificate: certificate, key: key, pool: pool}
}

// issue makes a certificate for name, also as name.crt and name.key.
func (a authority) issue(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	writePEM(t, filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, name+".key"), "EC PRIVATE KEY", private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
