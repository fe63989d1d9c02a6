package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"ringback/internal/config"
	"ringback/internal/operation"
)

// authority makes certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// issue is a certificate for name and this machine, and its key, as PEM.
func (a authority) issue(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func (a authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t, name))
	require.NoError(t, err)
	return pair
}

// put writes a certificate and its key beside the configuration.
func (p *process) put(t *testing.T, name string, certificate, key []byte) {
	t.Helper()
	dir := filepath.Dir(p.ConfigPath)
	write(t, filepath.Join(dir, name+".pem"), string(certificate))
	write(t, filepath.Join(dir, name+".key"), string(key))
}

const apiKey = "a-key-of-the-tests"

func keys(scopes string) string {
	return fmt.Sprintf("keys: [{name: ops, sha256: %x, scopes: [%s]}]", sha256.Sum256([]byte(apiKey)), scopes)
}

// serveProbes serves p's probes on a port of their own.
func (p *process) serveProbes(t *testing.T) (address string) {
	t.Helper()
	p.TelemetryListen = "127.0.0.1:0"
	p.telemetryListener.address, p.api = p.TelemetryListen, p.newServer()
	stop, err := p.open(&p.telemetryListener, p.api.ProbesServer(), maxProbeConnections, func(cause error) { assert.NoError(t, cause) })
	require.NoError(t, err)
	t.Cleanup(stop)
	return p.telemetryListener.Addr().String()
}

// request asks for the metrics on a new connection; server is the name in the
// certificate of the one that answered.
func request(address string, trusted *x509.CertPool, shows ...tls.Certificate) (status int, server string, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12, Certificates: shows}}}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.TLS.PeerCertificates[0].Subject.CommonName, err
}

// behindTLS is a program whose listener asks for client certificates.
func behindTLS(t *testing.T, servers, clients authority) *process {
	t.Helper()
	p, _ := loaded(t, openConfig)
	p.put(t, "api", nil, nil)
	certificate, key := servers.issue(t, "first")
	p.put(t, "api", certificate, key)
	write(t, filepath.Join(filepath.Dir(p.ConfigPath), "clients.pem"), string(clients.pem()))
	write(t, p.ConfigPath, openConfig+"api: {"+keys("read")+", tls: {cert: api.pem, key: api.key, client_ca: clients.pem}}\n")
	p.telemetryListener.encrypted = true // as if it had been so from the start
	p.reload()
	require.NotNil(t, p.config.file().API.TLS, "it is in force")
	return p
}

func TestTheListenerRequiresACertificateAndAKey(t *testing.T) {
	t.Parallel()
	servers, clients, foreign := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "foreign")
	p := behindTLS(t, servers, clients)
	address := p.serveProbes(t)

	status, _, err := request(address, servers.pool(), clients.pair(t, "core"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	_, _, err = request(address, servers.pool())
	require.Error(t, err, "no certificate: an alert says so, unless the connection is gone before it is read")
	_, _, err = request(address, servers.pool(), foreign.pair(t, "core"))
	require.Error(t, err, "a certificate of others")

	_, err = tls.Dial("tcp", address, &tls.Config{RootCAs: servers.pool(), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10,
		Certificates: []tls.Certificate{clients.pair(t, "core")}})
	require.ErrorContains(t, err, "protocol version")
	plain, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	require.NoError(t, plain.Body.Close())
	require.Equal(t, http.StatusBadRequest, plain.StatusCode, "plain http is not spoken")
}

// TestCertificatesOfTheListenerAreRotatedUnderLoad holds that no caller notices
// but by the certificate.
func TestCertificatesOfTheListenerAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	servers, older, newer := newAuthority(t, "servers"), newAuthority(t, "older"), newAuthority(t, "newer")
	p := behindTLS(t, servers, older)
	address := p.serveProbes(t)
	oldCore, newCore := older.pair(t, "core"), newer.pair(t, "core")

	var failed atomic.Pointer[error]
	var answered atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				status, _, err := request(address, servers.pool(), oldCore)
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("HTTP %d", status)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
				answered.Add(1)
			}
		})
	}
	write(t, filepath.Join(filepath.Dir(p.ConfigPath), "clients.pem"), string(older.pem())+string(newer.pem()))
	for i := range 5 {
		certificate, key := servers.issue(t, fmt.Sprintf("server-%d", i))
		p.put(t, "api", certificate, key)
		seen := answered.Load()
		p.reload()
		require.Eventually(t, func() bool { return failed.Load() != nil || answered.Load() > seen+4 }, 20*time.Second, time.Millisecond)
	}
	cancel()
	callers.Wait()
	if err := failed.Load(); err != nil {
		require.NoError(t, *err)
	}
	_, name, err := request(address, servers.pool(), newCore)
	require.NoError(t, err, "the new authority's certificate is taken while the old one's is")
	require.Equal(t, "server-4", name)

	write(t, filepath.Join(filepath.Dir(p.ConfigPath), "clients.pem"), string(newer.pem()))
	p.reload()
	_, _, err = request(address, servers.pool(), oldCore)
	require.Error(t, err, "and the old one's no more")
	_, _, err = request(address, servers.pool(), newCore)
	require.NoError(t, err)
}

// sealed is a configuration's codec, with 32 bytes as its key.
const sealed = "codec: {keys: [{id: a, key: \"${file:codec.key}\"}]}\n"

// hosted is an endpoint whose operations bring their URLs, with more settings.
func hosted(more string) string {
	return "  HOSTED: {dialect: standard, source: wallet, callback_url: per_operation, " + more + "poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}\n"
}

func TestAnotherCodecKeyUnderTheSameIDIsWarnedOf(t *testing.T) {
	t.Parallel()
	p, logs := loaded(t, openConfig)
	for _, key := range []string{"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "YW5vdGhlcjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg="} {
		write(t, filepath.Join(filepath.Dir(p.ConfigPath), "codec.key"), key)
		write(t, p.ConfigPath, openConfig+sealed)
		require.Zero(t, logs.FilterMessageSnippet("under the same ids").Len(), "the first key is new")
		p.reload()
	}
	warned := logs.FilterMessageSnippet("under the same ids").All()
	require.Len(t, warned, 1)
	require.Equal(t, []any{"a"}, warned[0].ContextMap()["ids"])
}

func TestAReloadThatOpensADoorIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, flag, after string
		fault               string
	}{
		"the last key is taken away while a flag listens on every address": {
			openConfig + "api: {" + keys("read") + "}\n", "0.0.0.0:8080", openConfig, "api.keys is empty"},
		"the last key and the address together": {
			openConfig + "api: {" + keys("read") + ", listen: 0.0.0.0:8080}\n", "", openConfig, "api.keys is empty"},
		"TLS is switched on":   {openConfig, "", openConfig + "api: {tls: {cert: api.pem, key: api.key}}\n", "api.tls cannot be switched on or off"},
		"TLS is switched off":  {openConfig + "api: {tls: {cert: api.pem, key: api.key}}\n", "", openConfig, "api.tls cannot be switched on or off"},
		"the address is moved": {openConfig, "", openConfig + "api: {listen: 127.0.0.1:8081}\n", "listening on 127.0.0.1:8080 cannot move to 127.0.0.1:8081"},
		"the last key of a loopback address is taken away": {
			openConfig + "api: {" + keys("read") + "}\n", "", openConfig, "set api.anonymous: true"},
		"the list of keys is emptied": {
			openConfig + "api: {" + keys("read") + "}\n", "", openConfig + "api: {keys: []}\n", "set api.anonymous: true"},
		"the last key of a loopback address is taken away on purpose": {
			openConfig + "api: {" + keys("read") + "}\n", "", openConfig + "api: {anonymous: true}\n", ""},
		"the last key is taken away on purpose, while a flag listens on every address": {
			openConfig + "api: {" + keys("read") + "}\n", "0.0.0.0:8080", openConfig + "api: {anonymous: true}\n", "api.keys is empty"},
		"the last codec key is taken away": {
			openConfig + sealed, "", openConfig, "set codec.required: false"},
		"the list of codec keys is emptied": {
			openConfig + sealed, "", openConfig + "codec: {keys: []}\n", "set codec.required: false"},
		"the last codec key is taken away on purpose": {
			openConfig + sealed, "", openConfig + "codec: {required: false}\n", ""},
		"a codec key that was wrong is mended under its id, which is warned of": {
			openConfig + sealed, "", openConfig + strings.Replace(sealed, "codec.key", "other.key", 1), ""},
		"a codec key of its own id is put before the others": {
			openConfig + sealed, "", openConfig + strings.Replace(sealed, "{id: a", "{id: b, key: \"${file:other.key}\"}, {id: a", 1), ""},
		"both lists are emptied, one of them on purpose": {
			openConfig + sealed + "api: {" + keys("read") + "}\n", "", openConfig + "api: {anonymous: true}\n", "set codec.required: false"},
		"both lists are emptied, the other one on purpose": {
			openConfig + sealed + "api: {" + keys("read") + "}\n", "", openConfig + "codec: {required: false}\n", "set api.anonymous: true"},
		"both lists are emptied on purpose": {
			openConfig + sealed + "api: {" + keys("read") + "}\n", "", openConfig + "api: {anonymous: true}\ncodec: {required: false}\n", ""},
		"the authority of the clients' certificates is taken away": {
			openConfig + "api: {" + keys("read") + ", tls: {cert: api.pem, key: api.key, client_ca: api.pem}}\n", "",
			openConfig + "api: {" + keys("read") + ", tls: {cert: api.pem, key: api.key}}\n", "api.tls.client_ca cannot be taken away"},
		"the hosts of an endpoint that only signs are taken away": {
			openConfig + hosted("callback_hosts: [shop.example], "), "", openConfig + hosted(""), "endpoints.HOSTED.callback_hosts cannot be taken away"},
		"the hosts of an endpoint are others": {
			openConfig + hosted("callback_hosts: [shop.example], "), "", openConfig + hosted("callback_hosts: [pay.example], "), ""},
		"an endpoint that had no hosts is as it was": {
			openConfig + hosted(""), "", openConfig + hosted("max_concurrent: 2, "), ""},
		"an endpoint with hosts is taken away": {
			openConfig + hosted("callback_hosts: [shop.example], "), "", openConfig, ""},
		"an endpoint with hosts gets a URL of its own": {
			openConfig + hosted("callback_hosts: [shop.example], "), "", strings.Replace(openConfig+hosted(""), "callback_url: per_operation", `url: "http://127.0.0.1:9104/"`, 1), ""},
		"a file that never had keys stays as it is": {
			openConfig, "", openConfig + "telemetry: {traces: {ratio: 0.5}}\n", ""},
		"the address of the metrics is moved": {openConfig, "", openConfig + "telemetry: {listen: 127.0.0.1:9465}\n", "listening on 127.0.0.1:9464 cannot move to 127.0.0.1:9465"},
		"the address is moved beneath a flag, which is none of its business": {
			openConfig, "127.0.0.1:7070", openConfig + "api: {listen: 127.0.0.1:8081}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, logs := loaded(t, openConfig)
			certificate, key := newAuthority(t, "servers").issue(t, "api")
			p.put(t, "api", certificate, key)
			write(t, filepath.Join(filepath.Dir(p.ConfigPath), "codec.key"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
			write(t, filepath.Join(filepath.Dir(p.ConfigPath), "other.key"), "YW5vdGhlcjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg=")
			p.API, p.Listen = true, tc.flag
			write(t, p.ConfigPath, tc.before)
			c, err := config.Load(p.ConfigPath)
			require.NoError(t, err)
			require.NoError(t, p.config.use(p.ConfigPath, c))
			require.NoError(t, p.chooseListeners())
			before := p.config.hash()

			write(t, p.ConfigPath, tc.after)
			p.reload()
			refusals := logs.FilterLevelExact(zapcore.ErrorLevel).All()
			if tc.fault == "" {
				require.Empty(t, refusals)
				require.NotEqual(t, before, p.config.hash())
				return
			}
			require.Len(t, refusals, 1)
			require.Contains(t, refusals[0].ContextMap()["error"], tc.fault)
			require.Equal(t, before, p.config.hash())
		})
	}
}

// TestAClientCertificateIsRotatedByAReload holds it for a receiver and a core
// that let nobody in without one: each reload shows the file's certificate.
func TestAClientCertificateIsRotatedByAReload(t *testing.T) {
	t.Parallel()
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	seen := make(chan string, 100)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.URL.Path + " " + r.TLS.PeerCertificates[0].Subject.CommonName
	}))
	receiver.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{servers.pair(t, "receiver")},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.pool()}
	receiver.StartTLS()
	defer receiver.Close()

	p, _ := loaded(t, openConfig)
	write(t, filepath.Join(filepath.Dir(p.ConfigPath), "ca.pem"), string(servers.pem()))
	write(t, p.ConfigPath, fmt.Sprintf(`
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: [%q], tls: {cert: client.pem, key: client.key, ca: ca.pem}}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: %q, poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}, tls: {cert: client.pem, key: client.key, ca: ca.pem}}
`, receiver.URL+"/core", receiver.URL+"/hooks"))
	for _, name := range []string{"first", "second", "third"} {
		certificate, key := clients.issue(t, name)
		p.put(t, "client", certificate, key)
		p.reload()
		ping, err := apiService{config: &p.config}.Ping(t.Context(), "LEDGER", operation.PingRequest{})
		require.NoError(t, err)
		require.Equal(t, operation.Acknowledged, ping.Verdict, ping.Reason)
		require.Equal(t, "/hooks "+name, <-seen)
		require.Equal(t, "CN="+name, ping.Connection.ClientCertificate)

		source, ok := p.config.source("wallet")
		require.True(t, ok)
		_, _ = source.Details(t.Context(), operation.Query{OperationID: "1"}) // the answer is nonsense, and not the point
		require.Regexp(t, "^/core.* "+name+"$", <-seen)
	}

	before := p.config.hash()
	p.put(t, "client", []byte("-----BEGIN nonsense"), nil)
	p.reload()
	require.Equal(t, before, p.config.hash(), "half a rotation is refused, and the old certificate stays in force")
	ping, err := apiService{config: &p.config}.Ping(t.Context(), "LEDGER", operation.PingRequest{})
	require.NoError(t, err)
	require.Equal(t, operation.Acknowledged, ping.Verdict, ping.Reason)
	require.Equal(t, "/hooks third", <-seen)
}
