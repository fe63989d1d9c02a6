package e2e_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/internal/dialect"
	"ringback/internal/operation"
)

// strictServers is the core and the receiver of one endpoint. Both ask for a client
// certificate and take those of the authorities that they know at the moment;
// the receiver takes the signatures of the one secret that it knows.
type strictServers struct {
	url string

	mu      sync.Mutex
	clients *x509.CertPool
	secret  string
	// seen counts requests by path and the client certificate's serial number.
	seen map[string]int
	// requests and acknowledged count by callback id.
	requests, acknowledged map[string]int
	refused                []string
}

func newStrictServers(t *testing.T, own tls.Certificate) *strictServers {
	t.Helper()
	s := &strictServers{seen: map[string]int{}, requests: map[string]int{}, acknowledged: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/Confirm", s.confirm)
	mux.HandleFunc("/callbacks", s.receive)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.clients,
		}, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// know changes what the other side takes.
func (s *strictServers) know(change func(*strictServers)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *strictServers) confirm(w http.ResponseWriter, r *http.Request) {
	s.know(func(s *strictServers) { s.seen[presented(r)]++ })
	_, _ = fmt.Fprintf(w, `{"orderNumber":%q,"respStatus":200,"orderStatus":2}`, r.Header.Get("orderNumber"))
}

// receive refuses what is not signed with its secret, and lets every fifth callback
// come twice, so that deliveries are open over the changes.
func (s *strictServers) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id := r.Header.Get("Webhook-Id")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[presented(r)]++
	if !signedWith(s.secret, r.Header, body) {
		s.refused = append(s.refused, fmt.Sprintf("%s signed %s", id, r.Header.Get("Webhook-Signature")))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.requests[id]++
	if s.requests[id] == 1 && id[len(id)-1] < 'g' {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.acknowledged[id]++
}

func presented(r *http.Request) string {
	return r.URL.Path + " " + r.TLS.PeerCertificates[0].SerialNumber.String()
}

// signedWith reports whether one of the signatures is the secret's.
func signedWith(secret string, header http.Header, body []byte) bool {
	at, err := strconv.ParseInt(header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		return false
	}
	signer, err := dialect.NewSigner([]string{secret})
	if err != nil {
		return false
	}
	want, err := signer.Headers(dialect.Outgoing{ID: header.Get("Webhook-Id"), At: time.Unix(at, 0), Body: body})
	return err == nil && slices.Contains(strings.Fields(header.Get("Webhook-Signature")), want.Get("Webhook-Signature"))
}

// rotating is an installation in which everything that is secret is replaced.
type rotating struct {
	*environment
	fakeServers *strictServers
	dir         string
	old, new    authority
	api, worker *proc.Process
	base        string
	trusts      *tls.Config

	// What the file says now.
	keys, secrets, codec string

	mu  sync.Mutex
	key string
}

const (
	apiKeyOld = "rotating-key-old"
	apiKeyNew = "rotating-key-new"
)

func apiKey(key string) string {
	return fmt.Sprintf("{name: core, sha256: %x, scopes: [start, read]}", sha256.Sum256([]byte(key)))
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	dir, ours, theirs := t.TempDir(), t.TempDir(), t.TempDir()
	r := &rotating{
		environment: &environment{temporal: sharedServer(t), config: filepath.Join(dir, "ringback.yml")}, dir: dir,
		old: newAuthority(t, ours), new: newAuthority(t, theirs), key: apiKeyOld,
		keys: apiKey(apiKeyOld), secrets: "${file:secret-old}", codec: codecOf("a"),
	}
	for name, content := range map[string]string{
		"password": wsgatePassword, "codec-a": codecKeyA, "codec-b": codecKeyB,
		"secret-old": secretOld, "secret-new": signingSecret, "secret-ed25519": secretEd25519,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600))
	}
	receivers := newAuthority(t, dir)
	r.fakeServers = newStrictServers(t, receivers.issue(t, dir, "outside"))
	r.fakeServers.know(func(s *strictServers) { s.clients, s.secret = r.old.pool, secretOld })
	for _, name := range []string{"api", "core", "receiver"} {
		r.old.issue(t, dir, name)
	}
	r.trusts = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	r.trusts.RootCAs.AddCert(r.old.certificate)
	r.trusts.RootCAs.AddCert(r.new.certificate)
	return r
}

var (
	secretOld     = "whsec_" + base64.StdEncoding.EncodeToString([]byte("an older secret of 32 bytes long"))
	secretEd25519 = "whsk_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

// codecOf are the keys of the codec in this order.
func codecOf(ids ...string) string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = fmt.Sprintf(`{id: %s, key: "${file:codec-%s}"}`, id, id)
	}
	return strings.Join(keys, ", ")
}

func (r *rotating) write(t *testing.T) {
	t.Helper()
	var secrets []string
	for _, secret := range strings.Fields(r.secrets) {
		secrets = append(secrets, strconv.Quote(secret))
	}
	require.NoError(t, os.WriteFile(r.config, fmt.Appendf(nil, `
api: {listen: 127.0.0.1:0, keys: [%s], tls: {cert: api.crt, key: api.key}}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
codec: {keys: [%s]}
sources:
  gate: {kind: ukrcard, base_urls: [%q], ext_system_id: ECOM_GOLD_BANK, login: gold, password: "${file:password}", tls: {cert: core.crt, key: core.key, ca: ca.crt}}
endpoints:
  ROTATING:
    {dialect: standard, source: gate, url: "%s/callbacks", poll: {schedule: [100ms], lifetime: 10m},
     delivery: {interval: 700ms, attempts: 5, timeout: 5s}, signing: {secrets: [%s]},
     tls: {cert: receiver.crt, key: receiver.key, ca: ca.crt}}
`, r.keys, r.codec, r.fakeServers.url, r.fakeServers.url, strings.Join(secrets, ", ")), 0o600))
}

// serve starts both programs on the file.
func (r *rotating) serve(t *testing.T) {
	t.Helper()
	r.write(t)
	r.api = r.launch(t, "api", "-listen", "127.0.0.1:0")
	r.base = "https://" + awaitOutput(t, r.api, `"api":"([^"]+)"`)
	r.worker = r.environment.worker(t)
}

// reload has first api and then worker read the file, as the runbook does.
func (r *rotating) reload(t *testing.T) {
	t.Helper()
	const reloaded = "the configuration is reloaded"
	r.write(t)
	for _, program := range []*proc.Process{r.api, r.worker} {
		before := strings.Count(program.Output(), reloaded)
		require.NoError(t, program.Signal(syscall.SIGHUP))
		require.Eventually(t, func() bool { return strings.Count(program.Output(), reloaded) > before }, patience, 10*time.Millisecond, "%s", program.Output())
		require.NotContains(t, program.Output(), "is refused", "every step of a rotation is a good file")
	}
}

// caller is one client of the API, with connections of its own.
func (r *rotating) caller(t *testing.T) *apiclient.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: r.trusts}
	t.Cleanup(transport.CloseIdleConnections)
	r.mu.Lock()
	defer r.mu.Unlock()
	return &apiclient.Client{MaxAttempts: 1, Base: r.base, Key: r.key, HTTP: http.Client{Transport: transport}}
}

// Each of so many callers starts an operation and pauses: some 40 a second where
// the machine has time.
const (
	callers = 16
	pause   = 400 * time.Millisecond
)

// load starts operations until stop is called, which returns those that were
// accepted. A call that is not taken fails the test.
func (r *rotating) load(t *testing.T) (stop func() []operation.Key) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var accepted []operation.Key
	var failures []string
	var calling sync.WaitGroup
	for caller := range callers {
		client := r.caller(t)
		calling.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				request := order(fmt.Sprintf("R-%d-%d", caller, n), "payment")
				request.Endpoint = "ROTATING"
				r.mu.Lock()
				client.Key = r.key
				r.mu.Unlock()
				err := accept(t.Context(), client, request)
				mu.Lock()
				accepted = append(accepted, request.Key())
				if err != nil {
					failures = append(failures, fmt.Sprintf("%s: %v", request.OperationID, err))
				}
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	return func() []operation.Key {
		cancel()
		calling.Wait()
		require.Empty(t, failures, "every call is served with what is in force")
		return accepted
	}
}

// accept starts an operation as a core does: after a 503, as a crowded machine may
// cause it, it sends the same again.
func accept(ctx context.Context, client *apiclient.Client, request operation.StartRequest) error {
	for {
		_, _, err := client.Start(ctx, request)
		if status := apiclient.Status(err); status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return err
		}
		time.Sleep(pause)
	}
}

// TestAllSecretsAreReplacedUnderLoad follows the table of "Rotating keys,
// secrets and certificates" (docs/operations/running.md) step by step while operations
// are started and deliveries are open.
func TestAllSecretsAreReplacedUnderLoad(t *testing.T) {
	r := newRotating(t)
	r.serve(t)
	stop := r.load(t)
	both := x509.NewCertPool()
	both.AddCert(r.old.certificate)
	both.AddCert(r.new.certificate)

	for _, step := range []struct {
		does string
		// file is changed before the reload, the fake servers and callers after it.
		file, then func()
	}{
		{"an API key: the new one beside the old one, then the callers have it", func() { r.keys = apiKey(apiKeyOld) + ", " + apiKey(apiKeyNew) },
			func() { r.mu.Lock(); r.key = apiKeyNew; r.mu.Unlock() }},
		{"an API key: the new one alone", func() { r.keys = apiKey(apiKeyNew) }, nil},
		{"a signing secret: the new one before the old one, then the receiver has it", func() { r.secrets = "${file:secret-new} ${file:secret-old}" },
			func() { r.fakeServers.know(func(s *strictServers) { s.secret = signingSecret }) }},
		{"a signing secret: the new one alone", func() { r.secrets = "${file:secret-new}" }, nil},
		{"from whsec_ to whsk_: the private key beside the secret, then the receiver has the public one", func() { r.secrets = "${file:secret-new} ${file:secret-ed25519}" },
			func() { r.fakeServers.know(func(s *strictServers) { s.secret = secretEd25519 }) }},
		{"from whsec_ to whsk_: the private key alone", func() { r.secrets = "${file:secret-ed25519}" },
			func() { r.fakeServers.know(func(s *strictServers) { s.clients = both }) }},
		{"client certificates of the source and the endpoint, trusted by the other side before", func() {
			r.new.issue(t, r.dir, "core")
			r.new.issue(t, r.dir, "receiver")
		}, func() {
			r.fakeServers.know(func(s *strictServers) { s.clients = r.new.pool; s.seen = map[string]int{} })
		}},
		{"the API's certificate", func() { r.new.issue(t, r.dir, "api") }, nil},
		{"a codec key: the new one behind the old one", func() { r.codec = codecOf("a", "b") }, nil},
		{"a codec key: the new one first", func() { r.codec = codecOf("b", "a") }, nil},
	} {
		t.Log(step.does)
		step.file()
		r.reload(t)
		// Load with the new file, until what began with the old one has ended, also on a crowded machine.
		time.Sleep(3 * time.Second)
		if step.then != nil {
			step.then()
		}
		time.Sleep(300 * time.Millisecond)
	}
	accepted := stop()
	r.requireNothingLost(t, accepted)
	r.requireReplaced(t, accepted)
}

// reasonInterrupted is why an attempt failed that its worker could not record in
// time, as a crowded machine may have it: the next one is made all the same.
const reasonInterrupted = "the worker ended while the attempt was on its way"

// requireNothingLost holds that every operation was delivered, once unless the receiver asked
// for another attempt, and that no attempt failed for a reason of a rotation's.
func (r *rotating) requireNothingLost(t *testing.T, accepted []operation.Key) {
	t.Helper()
	require.GreaterOrEqual(t, len(accepted), 2*callers)
	client := r.caller(t)
	repeated, unseen := 0, map[string]bool{}
	for _, key := range accepted {
		state := awaitClosed(t, client, key)
		require.Equal(t, operation.OutcomeAcknowledged, state.Outcome, key.OperationID)
		attempts := state.Deliveries[0].Attempts
		for _, attempt := range attempts[:len(attempts)-1] {
			if attempt.Reason == reasonInterrupted {
				unseen[state.Deliveries[0].CallbackID] = true
				continue
			}
			require.Equal(t, "HTTP 503 is not 2xx", attempt.Reason, key.OperationID)
			repeated++
		}
	}
	t.Logf("%d operations, %d attempts beyond the first, %d whose end nobody saw", len(accepted), repeated, len(unseen))
	require.Positive(t, repeated, "deliveries were open over the changes")
	r.fakeServers.know(func(s *strictServers) {
		require.Empty(t, s.refused, "no attempt with a secret that the receiver does not know")
		require.Len(t, s.acknowledged, len(accepted))
		for id, times := range s.acknowledged {
			require.True(t, times == 1 || unseen[id], "%s was acknowledged once, not %d times", id, times)
		}
	})
}

// requireReplaced holds that the new ones are in use, and the old ones no longer.
func (r *rotating) requireReplaced(t *testing.T, accepted []operation.Key) {
	t.Helper()
	r.fakeServers.know(func(s *strictServers) {
		serials := map[string]bool{}
		for seen := range s.seen {
			serials[seen] = true
		}
		require.Len(t, serials, 2, "one certificate for the source and one for the endpoint: %v", serials)
	})
	client := r.caller(t)
	client.Key = apiKeyOld
	_, err := client.State(t.Context(), accepted[0])
	require.Equal(t, http.StatusUnauthorized, apiclient.Status(err), "%v", err)

	connection, err := (&tls.Dialer{Config: r.trusts}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.base, "https://"))
	require.NoError(t, err)
	shown := connection.(*tls.Conn).ConnectionState().PeerCertificates[0]
	require.NoError(t, connection.Close())
	require.NoError(t, shown.CheckSignatureFrom(r.new.certificate), "the next handshake has the new certificate")

	c := r.temporalClient(t)
	for key, id := range map[operation.Key]string{accepted[0]: "a", accepted[len(accepted)-1]: "b"} {
		input := history(t, c, key)[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
		require.Equal(t, id, string(input.GetMetadata()["encryption-key-id"]))
	}
}
