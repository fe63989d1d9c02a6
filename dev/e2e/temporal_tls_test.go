package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"google.golang.org/protobuf/types/known/durationpb"

	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/operation"
	"ringback/workflows"
)

// The namespaces of the guarded server: the second wants an API key as well.
const (
	byCertificate  = "by-certificate"
	byKey          = "by-key"
	temporalAPIKey = "an-api-key-of-temporal"
)

// serveGuarded is a server as a company runs it, with the certificates in dir, until it is
// killed: mutual TLS, and OperatorService for its administrator alone. It prints which
// methods each client calls.
func serveGuarded(dir string) int {
	var printed sync.Map
	server, err := temporalserver.Start(context.Background(), temporalserver.Options{
		Namespaces: []string{byCertificate, byKey}, Attributes: workflows.Attributes,
		TLS: &temporalserver.TLS{Certificate: filepath.Join(dir, "temporal.crt"), Key: filepath.Join(dir, "temporal.key"), Authority: filepath.Join(dir, "ca.crt")},
		Allow: func(c temporalserver.Call) bool {
			if _, before := printed.LoadOrStore(c.Client+c.Method, true); !before {
				fmt.Println("call by", c.Client, c.Method)
			}
			switch {
			case c.Client == "temporal" || c.Client == "administrator":
				return true
			case strings.Contains(c.Method, ".OperatorService/"):
				return false
			}
			return c.Namespace != byKey || c.APIKey == temporalAPIKey
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("Temporal at", server.FrontendAddr())
	select {}
}

// guarded is a guarded server, and the folder with a certificate for each of its clients.
type guarded struct {
	dir, address string
	process      *proc.Process
}

func startGuarded(t *testing.T) guarded {
	t.Helper()
	g := guarded{dir: t.TempDir()}
	ca := newAuthority(t, g.dir)
	for _, name := range []string{"temporal", "administrator", "newcomer", "api", "worker"} {
		ca.issue(t, g.dir, name)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asGuarded+"="+g.dir)
	var err error
	g.process, err = proc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.process.Stop(syscall.SIGKILL, grace) })
	g.address = awaitOutput(t, g.process, `Temporal at (\S+)`)
	return g
}

// variables are those of a client with that certificate in a namespace.
func (g guarded) variables(namespace, name string) []string {
	return []string{
		"TEMPORAL_ADDRESS=" + g.address, "TEMPORAL_NAMESPACE=" + namespace, "TEMPORAL_TLS=true",
		"TEMPORAL_TLS_SERVER_CA_CERT_PATH=" + filepath.Join(g.dir, "ca.crt"),
		"TEMPORAL_TLS_CLIENT_CERT_PATH=" + filepath.Join(g.dir, name+".crt"), "TEMPORAL_TLS_CLIENT_KEY_PATH=" + filepath.Join(g.dir, name+".key"),
	}
}

// profile is the same as a temporal.toml, with an API key unless that is empty.
func (g guarded) profile(t *testing.T, namespace, name, apiKey string) []string {
	t.Helper()
	text := fmt.Sprintf(`[profile.default]
address = %q
namespace = %q
api_key = %q

[profile.default.tls]
server_ca_cert_path = %q
client_cert_path = %q
client_key_path = %q
`, g.address, namespace, apiKey, filepath.Join(g.dir, "ca.crt"), filepath.Join(g.dir, name+".crt"), filepath.Join(g.dir, name+".key"))
	file := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return []string{"TEMPORAL_CONFIG_FILE=" + file}
}

// administrator is the client that may use OperatorService.
func (g guarded) administrator(t *testing.T) client.Client {
	t.Helper()
	profile := envconfig.ClientConfigProfile{Address: g.address, Namespace: byCertificate, TLS: &envconfig.ClientConfigTLS{
		ServerCACertPath: filepath.Join(g.dir, "ca.crt"), ClientCertPath: filepath.Join(g.dir, "administrator.crt"), ClientKeyPath: filepath.Join(g.dir, "administrator.key"),
	}}
	options, err := profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	require.NoError(t, err)
	c, err := client.Dial(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// A company's Temporal, and Temporal Cloud: mutual TLS, API keys, and no right to list or
// add search attributes (docs/deploy/temporal.md).
func TestProgramsOnACompanysTemporal(t *testing.T) { //nolint:tparallel // its subtests share one server
	t.Parallel()
	g := startGuarded(t)
	w := newEnvironment(t, nil, quick,
		`OPERATORS: {dialect: standard, url: "http://127.0.0.1:1/hooks", delivery: {interval: 50ms, attempts: 2}}`)
	w.appendConfig(t, "notices: {endpoint: OPERATORS, failing_after: 3}")
	t.Run("a mistake in a certificate or an API key is named", func(t *testing.T) { g.mistakes(t, w) })
	t.Run("an API key over TLS, by temporal.toml", func(t *testing.T) {
		awaitOutput(t, w.launchFrom(t, program(t, "worker"), g.profile(t, byKey, "newcomer", temporalAPIKey)), `"msg":"running"`)
	})
	t.Run("search attributes that are missing are named, until an administrator adds them", func(t *testing.T) { g.bareNamespace(t, w) })
	t.Run("a search attribute of another type is named before an operation meets it", func(t *testing.T) { g.otherType(t, w) })
	t.Run("the document names the rights that an operation needs", func(t *testing.T) { g.rights(t, w) })
}

func (g guarded) mistakes(t *testing.T, w *environment) {
	t.Helper()
	others := t.TempDir()
	newAuthority(t, others)
	known := g.variables(byCertificate, "newcomer")
	for mistake, environment := range map[string][]string{
		"'s certificate is not trusted":                 append(known, "TEMPORAL_TLS_SERVER_CA_CERT_PATH="+filepath.Join(others, "ca.crt")),
		" refuses the certificate of this program":      known[:4],
		" speaks TLS and this program does not":         known[:2],
		" does not let this program's certificate into": g.variables(byKey, "newcomer"),
		" refuses the API key":                          g.profile(t, byKey, "newcomer", "another"),
	} {
		process := w.launchFrom(t, program(t, "worker"), environment)
		awaitOutput(t, process, `"mistake":"Temporal`+mistake)
		require.NotContains(t, process.Output(), `"msg":"running"`)
		require.NoError(t, process.Kill())
	}
}

func (g guarded) bareNamespace(t *testing.T, w *environment) {
	t.Helper()
	administrator := g.administrator(t)
	registerNamespace(t, administrator, "bare")
	process := w.launchFrom(t, program(t, "worker"), g.variables("bare", "newcomer"))
	command := awaitOutput(t, process, `"mistake":"search attributes are missing in the namespace \\"bare\\", and this program may not add them: have them added by .temporal operator search-attribute create --namespace bare ([^`+"`"+`]+)`)
	require.NotContains(t, process.Output(), `"msg":"running"`)
	var err error
	added := map[string]enumspb.IndexedValueType{}
	for _, attribute := range regexp.MustCompile(`--name (\w+) --type (\w+)`).FindAllStringSubmatch(command, -1) {
		added[attribute[1]], err = enumspb.IndexedValueTypeFromString(attribute[2])
		require.NoError(t, err)
	}
	_, err = administrator.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: "bare", SearchAttributes: added})
	require.NoError(t, err)
	awaitOutput(t, process, `"msg":"running"`)
}

func registerNamespace(t *testing.T, administrator client.Client, name string) {
	t.Helper()
	_, err := administrator.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(30 * 24 * time.Hour),
	})
	require.NoError(t, err)
}

func (g guarded) otherType(t *testing.T, w *environment) {
	t.Helper()
	administrator := g.administrator(t)
	registerNamespace(t, administrator, "other-type")
	types := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.Attributes {
		types[key.GetName()] = key.GetValueType()
	}
	types[workflows.AttributePhase.GetName()] = enumspb.INDEXED_VALUE_TYPE_BOOL
	_, err := administrator.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: "other-type", SearchAttributes: types})
	require.NoError(t, err)
	process := w.launchFrom(t, program(t, "worker"), g.variables("other-type", "newcomer"))
	awaitOutput(t, process, `("error":"(?:[^"\\]|\\.)*RingbackPhase)`)
	require.NotContains(t, process.Output(), `"msg":"running"`)
}

// rights plays what an operation, and operators, can need, with a certificate for each
// program, and compares the calls with the document's table.
func (g guarded) rights(t *testing.T, w *environment) {
	t.Helper()
	worker := w.launchFrom(t, program(t, "worker"), g.variables(byCertificate, "worker"))
	awaitOutput(t, worker, `"msg":"running"`)
	apiProgram := w.launchFrom(t, program(t, "api"), g.profile(t, byCertificate, "api", ""), "-listen", "127.0.0.1:0", "-worker=false")
	api := patientClient(awaitOutput(t, apiProgram, `"api":"([^"]+)"`))

	w.wsgate.Script("TLS-1", simulator.Statuses(0, 2)...)
	w.ukrcard.Script("TLS-1", failing(http.StatusServiceUnavailable), simulator.Acknowledge)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, order("TLS-1", "p2p_a2c"))).Outcome)
	changed := map[string]operation.Key{}
	for _, id := range []string{"9301", "9302", "9303"} {
		w.core.SetStatus(id, "new")
		changed[id] = start(t, api, entry(id))
	}
	require.NoError(t, api.Push(t.Context(), changed["9301"], "done"))
	_, err := api.Revoke(t.Context(), changed["9302"], "user", "")
	require.NoError(t, err)
	withdraw(t, api, changed["9303"])
	for _, key := range changed {
		awaitClosed(t, api, key)
	}
	keys := exhaustMany(t, w, api, 2)
	_, err = api.Redeliver(t.Context(), keys[0], operation.RedeliveryRequest{Reason: "the receiver is back"})
	require.NoError(t, err)
	awaitState(t, api, keys[0], func(s operation.State) bool { return s.Outcome == operation.OutcomeAcknowledged })
	_, err = api.List(t.Context(), undelivered(ledger))
	require.NoError(t, err)
	many, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: ledger}, Reason: "all of them"})
	require.NoError(t, err)
	awaitRedelivery(t, api, many.ID, isDone)
	require.NoError(t, apiProgram.Stop(syscall.SIGTERM, grace))
	require.NoError(t, worker.Stop(syscall.SIGTERM, grace))

	document, err := os.ReadFile("../../docs/deploy/temporal.md")
	require.NoError(t, err)
	called := map[string][]string{}
	for _, call := range regexp.MustCompile(`call by (\w+) /temporal\.api\.\w+\.v1\.\w+/(\w+)`).FindAllStringSubmatch(g.process.Output(), -1) {
		called[call[1]] = append(called[call[1]], call[2])
	}
	for column, name := range []string{"api", "worker"} {
		var always, sometimes []string
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w*) *\\| (\\w*) *\\|").FindAllStringSubmatch(string(document), -1) {
			switch row[2+column] {
			case "always":
				always = append(always, row[1])
			case "sometimes":
				sometimes = append(sometimes, row[1])
			}
		}
		require.Subsetf(t, called[name], always, "%s does not call all that the document says it always calls", name)
		require.Subsetf(t, append(always, sometimes...), called[name], "%s calls what the document does not name", name)
	}
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
