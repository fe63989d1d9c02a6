package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	apiclient "ringback/api/client"
	"ringback/dev/cli"
	"ringback/dev/port"
	"ringback/dev/postgres"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/internal/operation"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

// The variables that make this test binary another program instead of a test. The
// Temporal server is linked once so, and a test can kill what it runs.
const (
	asDev    = "RINGBACK_E2E_AS_DEV"
	asServer = "RINGBACK_E2E_AS_SERVER"
	// asGuarded is the folder of that server's certificates.
	asGuarded = "RINGBACK_E2E_AS_GUARDED"
	asUI      = "RINGBACK_E2E_AS_UI"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asDev) != "":
		os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
	case os.Getenv(asServer) != "":
		os.Exit(serveTemporal())
	case os.Getenv(asGuarded) != "":
		os.Exit(serveGuarded(os.Getenv(asGuarded)))
	case os.Getenv(asMember) != "":
		os.Exit(serveMember(os.Getenv(asMember)))
	case os.Getenv(asUI) != "":
		os.Exit(serveUI(os.Getenv(asUI)))
	}
	for name, value := range map[string]string{
		"E2E_WSGATE_PASSWORD": wsgatePassword, "E2E_MAC_KEY": macKey, "E2E_SIGNING_SECRET": signingSecret,
		"E2E_CODEC_A": codecKeyA, "E2E_CODEC_B": codecKeyB,
	} {
		_ = os.Setenv(name, value)
	}
	for name, value := range systemVariables() {
		_ = os.Setenv(name, value)
	}
	// The tests wait much longer than they compute.
	_ = flag.Set("test.parallel", "4")
	flag.Parse()
	if testing.Short() {
		skipLong()
	}
	code := m.Run()
	stopShared()
	_ = os.RemoveAll(built.dir)
	if code == 0 {
		code = leftBehind()
	}
	os.Exit(code)
}

// leftBehind is 1 if a goroutine of a test still runs after all tests.
func leftBehind() int {
	http.DefaultClient.CloseIdleConnections()
	// net/http holds a connection for half a second after it has refused a body.
	lingering := goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")
	if err := goleak.Find(lingering); err != nil {
		fmt.Fprintln(os.Stderr, "a test left something running:", err)
		return 1
	}
	return 0
}

const (
	// patience bounds every wait for something that should happen soon; it is
	// generous because the machine may be busy.
	patience = 2 * time.Minute
	// grace is how long a program may take to end after SIGTERM.
	grace = 30 * time.Second
)

// environment is one test's Temporal server, cores and receivers. Ringback itself runs beside
// it, in this process or as processes of its own.
type environment struct {
	temporal *temporalServer
	wsgate   *simulator.WSGate
	core     *simulator.PayseraCore
	// ukrcard, paysera and standard are the receivers of those dialects.
	ukrcard, paysera, standard *simulator.Receiver
	config                     string
}

const (
	wsgatePassword = "gold-password"
	macKey         = "mac-key"
	// signingSecret is Standard Webhooks' own example.
	signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// The endpoints of every configuration here.
const (
	gold   = "ECOM_GOLD_BANK"
	shop   = "WALLET_SHOP"
	ledger = "LEDGER"
)

// policies are how the three endpoints are watched and delivered to; YAML.
type policies struct{ poll, delivery string }

const (
	quickInterval = 50 * time.Millisecond
	quickAttempts = 4
)

var quick = policies{
	poll:     "{schedule: [100ms, 100ms, 100ms, 100ms], lifetime: 1m}",
	delivery: "{interval: 50ms, attempts: 4, timeout: 5s}",
}

// newEnvironment starts the simulators and writes the configuration; the
// server is given, already running. more is added to the configuration's endpoints.
func newEnvironment(t *testing.T, e *temporalServer, p policies, more ...string) *environment {
	t.Helper()
	w := &environment{temporal: e}
	var err error
	w.wsgate, err = simulator.StartWSGate("127.0.0.1:0", simulator.WSGateOptions{ExtSystemID: gold, Login: "gold", Password: wsgatePassword})
	require.NoError(t, err)
	closeAtEnd(t, w.wsgate.Close)
	w.core, err = simulator.StartPayseraCore("127.0.0.1:0", simulator.PayseraOptions{MACID: "mac-id", MACKey: macKey})
	require.NoError(t, err)
	closeAtEnd(t, w.core.Close)
	w.ukrcard, w.paysera, w.standard = receiver(t, "ukrcard"), receiver(t, "paysera"), receiver(t, "standard")
	w.writeConfig(t, p, more)
	return w
}

func receiver(t *testing.T, dialect string) *simulator.Receiver {
	t.Helper()
	r, err := simulator.StartReceiver("127.0.0.1:0", dialect)
	require.NoError(t, err)
	closeAtEnd(t, r.Close)
	return r
}

func closeAtEnd(t *testing.T, closer func() error) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, closer()) })
}

func (w *environment) writeConfig(t *testing.T, p policies, more []string) {
	t.Helper()
	text := fmt.Sprintf(`
api: {listen: 127.0.0.1:0}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: [%q], ext_system_id: ECOM_GOLD_BANK, login: gold, password: "${env:E2E_WSGATE_PASSWORD}"}
  wallet: {kind: paysera, base_urls: [%q], mac: {id: mac-id, key: "${env:E2E_MAC_KEY}"}}
endpoints:
  ECOM_GOLD_BANK: {dialect: ukrcard, source: wsgate, url: %q, poll: %s, delivery: %s, push: trust}
  WALLET_SHOP: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 100ms, lifetime: 1m}, delivery: %s, push: trust}
  LEDGER: {dialect: standard, source: wallet, url: %q, poll: {interval: 100ms, lifetime: 1m}, delivery: %s, push: trust, signing: {secrets: ["${env:E2E_SIGNING_SECRET}"]}}
`, w.wsgate.URL(), w.core.URL(), w.ukrcard.URL()+"/callback", p.poll, p.delivery, p.delivery, w.standard.URL()+"/hooks", p.delivery)
	for _, endpoint := range more {
		text += "  " + endpoint + "\n"
	}
	w.config = filepath.Join(t.TempDir(), "ringback.yml")
	require.NoError(t, os.WriteFile(w.config, []byte(text), 0o600))
}

// edit changes the configuration's text; a program that runs has not read it yet.
func (w *environment) edit(t *testing.T, change func(text string) string) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	require.NoError(t, err)
	changed := change(string(text))
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(w.config, []byte(changed), 0o600))
}

// replace replaces a piece of the configuration.
func (w *environment) replace(t *testing.T, old, by string) {
	t.Helper()
	w.edit(t, func(text string) string { return strings.Replace(text, old, by, 1) })
}

// setAPI sets the configuration's api beside its address.
func (w *environment) setAPI(t *testing.T, form string, a ...any) {
	t.Helper()
	w.replace(t, "api: {listen: 127.0.0.1:0}", "api: {listen: 127.0.0.1:0, "+fmt.Sprintf(form, a...)+"}")
}

// appendConfig appends a line to the configuration.
func (w *environment) appendConfig(t *testing.T, line string) {
	t.Helper()
	w.edit(t, func(text string) string { return text + line + "\n" })
}

// endpointAt is an endpoint of the dialect standard at that receiver.
func endpointAt(r *simulator.Receiver, name, poll, delivery string) string {
	return fmt.Sprintf("%s: {dialect: standard, source: wallet, url: %q, push: trust, poll: %s, delivery: %s}", name, r.URL()+"/hooks", poll, delivery)
}

// order starts an Ukrcard order.
func order(id, method string) operation.StartRequest {
	registered := operation.At(time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC))
	return operation.StartRequest{Endpoint: gold, OperationID: id, Method: method, Reference: operation.Reference{RegisteredAt: &registered}}
}

// transfer starts a Paysera transfer, whose callbacks go to the receiver of this environment.
func (w *environment) transfer(id string, statuses ...string) operation.StartRequest {
	return operation.StartRequest{Endpoint: shop, OperationID: id, Callback: operation.Target{URL: w.paysera.URL() + "/transfers", Statuses: statuses}}
}

// entry starts a transfer whose callbacks go to the ledger.
func entry(id string) operation.StartRequest {
	return operation.StartRequest{Endpoint: ledger, OperationID: id}
}

// temporalServer is a Temporal server as a process of its own.
type temporalServer struct {
	// addr stays the same over restarts.
	addr, namespace string
	state           []string
	process         *proc.Process
}

// shared is the Temporal server that tests share which do not restart or
// reconfigure theirs. Each test has a namespace of its own on it.
var shared struct {
	once    sync.Once
	process *proc.Process
	addr    string
	err     error
	taken   atomic.Int32
}

// sharedNamespaces is how many tests can take a namespace.
const sharedNamespaces = 80

func sharedNamespace(n int) string { return fmt.Sprintf("test-%d", n) }

// sharedServer is a namespace of its own on the shared server.
func sharedServer(t *testing.T) *temporalServer {
	t.Helper()
	shared.once.Do(func() {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), asServer+"=1")
		if shared.process, shared.err = proc.Start(command); shared.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		shared.addr, shared.err = shared.process.Await(ctx, `Temporal at (\S+)`)
	})
	require.NoError(t, shared.err)
	n := int(shared.taken.Add(1))
	require.LessOrEqual(t, n, sharedNamespaces, "raise sharedNamespaces")
	return &temporalServer{addr: shared.addr, namespace: sharedNamespace(n), process: shared.process}
}

func stopShared() {
	if shared.process != nil {
		_ = shared.process.Stop(syscall.SIGKILL, grace)
	}
}

// serveTemporal is the shared server, until it is killed.
func serveTemporal() int {
	options := temporalserver.Options{Attributes: workflows.Attributes}
	for n := range sharedNamespaces {
		options.Namespaces = append(options.Namespaces, sharedNamespace(n+1))
	}
	server, err := temporalserver.Start(context.Background(), options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("Temporal at", server.FrontendAddr())
	select {}
}

// temporalClient is what an operator's tools use; raw requests name its namespace.
type temporalClient struct {
	client.Client
	namespace string
}

func (w *environment) temporalClient(t *testing.T) temporalClient {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: w.temporal.addr, Namespace: w.temporal.namespace, Logger: telemetry.TemporalLogger(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return temporalClient{c, w.temporal.namespace}
}

// startServer runs a Temporal server that keeps its state as the flags say.
func startServer(t *testing.T, state ...string) *temporalServer {
	t.Helper()
	e := &temporalServer{addr: heldAddress(t), namespace: client.DefaultNamespace, state: state}
	e.start(t)
	t.Cleanup(func() { _ = e.process.Stop(syscall.SIGKILL, grace) })
	return e
}

func (e *temporalServer) start(t *testing.T) {
	t.Helper()
	e.process = dev(t, append([]string{"-temporal-only", "-temporal-addr", e.addr}, e.state...)...)
	awaitOutput(t, e.process, `Temporal +(\S+), namespace`)
}

// kill ends the server as a crash would.
func (e *temporalServer) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, e.process.Kill())
}

// heldAddress is a free address that no other program gets while the test runs.
func heldAddress(t *testing.T) string {
	t.Helper()
	held, err := port.HoldAny(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = port.Release(held) })
	return held.String()
}

// dev runs the program dev.
func dev(t *testing.T, arguments ...string) *proc.Process {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), asDev+"=1")
	process, err := proc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, grace) })
	return process
}

func awaitOutput(t *testing.T, p *proc.Process, pattern string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found, err := p.Await(ctx, pattern)
	require.NoError(t, err)
	return found
}

// startPostgres runs a PostgreSQL until the test ends, with its files in dir.
func startPostgres(t *testing.T) (cluster *postgres.Cluster, dir string) {
	t.Helper()
	return startPostgresWith(t, nil)
}

// startPostgresWith is startPostgres with settings of the server.
func startPostgresWith(t *testing.T, settings map[string]string) (cluster *postgres.Cluster, dir string) {
	t.Helper()
	// The user postgres may not enter what is under t.TempDir.
	dir, err := os.MkdirTemp("", "ringback-e2e") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cluster, err = postgres.Start(t.Context(), postgres.Options{Dir: dir, Settings: settings})
	require.NoError(t, err)
	closeAtEnd(t, cluster.Stop)
	return cluster, dir
}

// postgresServer runs a Temporal server on a PostgreSQL of its own.
func postgresServer(t *testing.T) *temporalServer {
	t.Helper()
	cluster, _ := startPostgres(t)
	return startServer(t, "-postgres", cluster.URL("temporal"))
}

// ringback is Ringback running in this process.
type ringback struct {
	*apiclient.Client
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

// run runs Ringback in this process, API and worker, until the test ends.
func (w *environment) run(t *testing.T, change ...func(*app.Options)) *ringback {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &ringback{cancel: cancel, ended: make(chan error, 1)}
	started := make(chan string, 1)
	options := app.Options{
		ConfigPath: w.config,
		Temporal:   client.Options{HostPort: w.temporal.addr, Namespace: w.temporal.namespace},
		API:        true,
		Worker:     true,
		Log:        zaptest.NewLogger(t, zaptest.Level(zapcore.WarnLevel)),
		Started: func(address, telemetry string) {
			telemetryOf.Store("http://"+address, telemetry)
			started <- address
		},
	}
	for _, change := range change {
		change(&options)
	}
	go func() { r.ended <- app.Run(ctx, options) }()
	t.Cleanup(func() { r.stop(t) })
	select {
	case address := <-started:
		r.Client = patientClient(address)
	case err := <-r.ended:
		r.ended <- err
		require.NoError(t, err, "Ringback ended before it had started")
	case <-time.After(patience):
		require.Fail(t, "Ringback did not start")
	}
	return r
}

func (r *ringback) stop(t *testing.T) {
	t.Helper()
	r.once.Do(func() {
		r.cancel()
		select {
		case err := <-r.ended:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "Ringback did not stop")
		}
	})
}

// built are Ringback's programs, built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// program is the path of one of Ringback's programs.
func program(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() {
		built.dir, built.err = os.MkdirTemp("", "ringback-e2e-bin") //nolint:usetesting // outlives the test that builds first
		if built.err != nil {
			return
		}
		out, err := exec.Command("go", "-C", "../..", "build", "-o", built.dir, "./api", "./worker", "./starter").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, name)
}

// api runs the program api on addr and returns when it serves.
func (w *environment) api(t *testing.T, addr string, arguments ...string) (*proc.Process, *apiclient.Client) {
	t.Helper()
	process := w.launch(t, "api", append([]string{"-listen", addr}, arguments...)...)
	api := patientClient(awaitOutput(t, process, `"api":"([^"]+)"`))
	telemetryOf.Store(api.Base, awaitOutput(t, process, `"telemetry":"([^"]+)"`))
	return process, api
}

// telemetryOf has the address of each API's probes and metrics, by the API's base URL.
var telemetryOf sync.Map

// telemetryAddress is where the probes and metrics of an API are.
func telemetryAddress(t *testing.T, api *apiclient.Client) string {
	t.Helper()
	address, known := telemetryOf.Load(api.Base)
	require.True(t, known, api.Base)
	return fmt.Sprint(address)
}

// probes are the probes of an API; nothing is repeated.
func probes(t *testing.T, api *apiclient.Client) *apiclient.Client {
	t.Helper()
	return &apiclient.Client{MaxAttempts: 1, Base: "http://" + telemetryAddress(t, api)}
}

// withdraw withdraws an operation's callback.
func withdraw(t *testing.T, api *apiclient.Client, key operation.Key) {
	t.Helper()
	_, err := api.Withdraw(t.Context(), key)
	require.NoError(t, err)
}

// worker runs the program worker and returns when it works.
func (w *environment) worker(t *testing.T) *proc.Process {
	t.Helper()
	process := w.launch(t, "worker")
	awaitOutput(t, process, `"msg":"running"`)
	return process
}

func (w *environment) launch(t *testing.T, name string, arguments ...string) *proc.Process {
	t.Helper()
	return w.launchFrom(t, program(t, name), nil, arguments...)
}

// launchFrom runs the program at path with that in its environment as well.
func (w *environment) launchFrom(t *testing.T, path string, environment []string, arguments ...string) *proc.Process {
	t.Helper()
	command := exec.Command(path, append([]string{"-config", w.config}, arguments...)...)
	command.Env = os.Environ()
	if w.temporal != nil {
		command.Env = append(command.Env, "TEMPORAL_ADDRESS="+w.temporal.addr, "TEMPORAL_NAMESPACE="+w.temporal.namespace)
	}
	command.Env = append(command.Env, environment...)
	process, err := proc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = process.Stop(syscall.SIGKILL, grace)
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), tail(process.Output()))
		}
	})
	return process
}

func tail(text string) string {
	const kept = 4000
	if len(text) > kept {
		return "... " + text[len(text)-kept:]
	}
	return text
}

// patientClient repeats a call whose answer is to come back later, as a client
// should: a busy machine answers so, too.
func patientClient(address string) *apiclient.Client {
	return &apiclient.Client{Base: "http://" + address, MaxAttempts: 40}
}

// direct is the same API without repeating.
func direct(api *apiclient.Client) *apiclient.Client {
	return &apiclient.Client{Base: api.Base, Key: api.Key, MaxAttempts: 1}
}

// later reports whether the API answered that the call is to be repeated later.
func later(err error) bool {
	status := apiclient.Status(err)
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// start starts an operation.
func start(t *testing.T, api *apiclient.Client, r operation.StartRequest) operation.Key {
	t.Helper()
	_, _, err := api.Start(t.Context(), r)
	require.NoError(t, err)
	return r.Key()
}

// awaitState reads an operation until done returns true.
func awaitState(t *testing.T, api *apiclient.Client, key operation.Key, done func(operation.State) bool) operation.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	state, err := api.Await(ctx, key, done)
	require.NoError(t, err)
	return state
}

// observed says that a status of the operation is known.
func observed(s operation.State) bool { return s.Status != nil }

// awaitClosed reads an operation until it has ended.
func awaitClosed(t *testing.T, api *apiclient.Client, key operation.Key) operation.State {
	t.Helper()
	return awaitState(t, api, key, apiclient.Closed)
}

// awaitCallbacks waits until a receiver has answered n callbacks about an operation.
func awaitCallbacks(t *testing.T, r *simulator.Receiver, id string, n int) []simulator.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := r.Await(ctx, id, n)
	require.NoError(t, err)
	return got
}

// awaitInFlight waits until a receiver holds request number n about an operation.
func awaitInFlight(t *testing.T, r *simulator.Receiver, id string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.Received(id)) >= n }, patience, 5*time.Millisecond)
}

// verdicts are the recorded verdicts of a delivery, oldest first.
func verdicts(d operation.Delivery) string {
	words := make([]string, len(d.Attempts))
	for i, a := range d.Attempts {
		words[i] = string(a.Verdict)
	}
	return strings.Join(words, " ")
}

// requireNumbered requires that the attempts are numbered from first without a gap.
func requireNumbered(t *testing.T, attempts []operation.Attempt, first int) {
	t.Helper()
	for i, a := range attempts {
		require.Equal(t, first+i, a.Number)
	}
}
