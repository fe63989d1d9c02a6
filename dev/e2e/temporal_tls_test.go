package e2e_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// Mutual TLS to Temporal, as the SDK's variables set it: an operation goes its whole
// way, and who shows no certificate, or trusts another authority, gets no connection.
func TestProgramsSpeakMutualTLSToTemporal(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	dir, others := t.TempDir(), t.TempDir()
	ca := newAuthority(t, dir)
	server := ca.issue(t, dir, "temporal")
	ca.issue(t, dir, "ringback")
	newAuthority(t, others)
	front := newTLSFront(t, w.temporal.addr, &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool,
		NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	trusting := func(ca string) []string {
		return []string{"TEMPORAL_ADDRESS=" + front.address, "TEMPORAL_TLS=true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + filepath.Join(ca, "ca.crt")}
	}
	shown := []string{"TEMPORAL_TLS_CLIENT_CERT_PATH=" + filepath.Join(dir, "ringback.crt"), "TEMPORAL_TLS_CLIENT_KEY_PATH=" + filepath.Join(dir, "ringback.key")}

	for mistake, environment := range map[string][]string{
		"refuses the certificate of this program": trusting(dir),
		"certificate is not trusted":              append(trusting(others), shown...),
		"speaks TLS and this program does not":    {"TEMPORAL_ADDRESS=" + front.address},
	} {
		process := w.launchFrom(t, program(t, "worker"), environment)
		awaitOutput(t, process, `"mistake":"Temporal(?:'s)? `+mistake)
		require.NotContains(t, process.Output(), `"msg":"running"`)
		require.NoError(t, process.Kill())
	}
	require.Empty(t, front.names(), "none of them got through")

	environment := append(trusting(dir), shown...)
	awaitOutput(t, w.launchFrom(t, program(t, "worker"), environment), `"msg":"running"`)
	api := patientClient(awaitOutput(t, w.launchFrom(t, program(t, "api"), environment, "-listen", "127.0.0.1:0"), `"api":"([^"]+)"`))
	w.wsgate.Script("TLS-1", simulator.Statuses(2)...)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, order("TLS-1", "p2p_a2c"))).Outcome)
	require.Contains(t, front.names(), "ringback")
}

// tlsFront speaks TLS before a server that does not.
type tlsFront struct {
	address string
	mu      sync.Mutex
	// open are the connections to both sides; clients the names of those whose
	// certificate was accepted.
	open    []net.Conn
	clients []string
	running sync.WaitGroup
}

func newTLSFront(t *testing.T, behind string, config *tls.Config) *tlsFront {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	f := &tlsFront{address: listener.Addr().String()}
	f.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.serve(conn.(*tls.Conn), behind) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.mu.Lock()
		for _, conn := range f.open {
			_ = conn.Close()
		}
		f.mu.Unlock()
		f.running.Wait()
	})
	return f
}

func (f *tlsFront) serve(client *tls.Conn, behind string) {
	defer func() { _ = client.Close() }()
	f.keep(client)
	if client.Handshake() != nil {
		return
	}
	f.mu.Lock()
	f.clients = append(f.clients, client.ConnectionState().PeerCertificates[0].Subject.CommonName)
	f.mu.Unlock()
	server, err := net.Dial("tcp", behind)
	if err != nil {
		return
	}
	defer server.Close()
	f.keep(server)
	f.running.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
}

func (f *tlsFront) keep(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, conn)
}

func (f *tlsFront) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.clients...)
}

// TLS from Temporal to PostgreSQL, with sslmode verify-full.
func TestTemporalSpeaksTLSToPostgreSQL(t *testing.T) {
	// The user postgres may not enter what is under t.TempDir.
	dir, err := os.MkdirTemp("", "ringback-e2e-tls") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	newAuthority(t, dir).issue(t, dir, "postgres")
	certificate, key := filepath.Join(dir, "postgres.crt"), filepath.Join(dir, "postgres.key")
	if os.Geteuid() == 0 {
		account, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.Atoi(account.Uid)
		require.NoError(t, err)
		require.NoError(t, os.Chown(certificate, uid, -1))
		require.NoError(t, os.Chown(key, uid, -1))
	}
	cluster, _ := startPostgresWith(t, map[string]string{"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key})
	verified := func(ca string) string {
		return cluster.URL("temporal") + "?" + url.Values{"sslmode": {"verify-full"}, "sslrootcert": {filepath.Join(ca, "ca.crt")}}.Encode()
	}

	others := t.TempDir()
	newAuthority(t, others)
	refused := dev(t, "-temporal-only", "-temporal-addr", heldAddress(t), "-postgres", verified(others))
	awaitOutput(t, refused, "certificate signed by unknown authority")

	w := newEnvironment(t, startServer(t, "-postgres", verified(dir)), quick)
	api := w.run(t).Client
	w.wsgate.Script("TLS-2", simulator.Statuses(2)...)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, order("TLS-2", "p2p_a2c"))).Outcome)
}
