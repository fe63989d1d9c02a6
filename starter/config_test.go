package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
)

const aConfig = `api: {listen: 127.0.0.1:8080}
egress: {allow: [127.0.0.0/8]}
sources:
  wallet: {kind: paysera, base_urls: ["http://127.0.0.1:9002"]}
endpoints:
  LEDGER: {dialect: standard, source: wallet, url: "http://127.0.0.1:9103/hooks", poll: {interval: 1m, lifetime: 1h}, delivery: {interval: 1s, attempts: 3}}
`

const ownDefinitions = `kinds:
  invoices:
    statuses: {new: [], paid: [final, rings]}
    request: {path: "/invoice/{operation.operation_id}"}
    answer: {answered: has(body.id), about: body.id, status: body.state}
    examples:
      - {name: a paid invoice, operation: {operation_id: a1}, answer: {body: '{"id":"a1","state":"paid"}'}, status: paid}
dialects:
  shops:
    json: {invoice: operation.operation_id}
    acknowledged: http.status == 200
    examples:
      - {operation: {operation_id: a1}, status: paid, body: '{"invoice":"a1"}'}
`

// configured writes files, by name and content, and is their folder.
func configured(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func TestConfigCheckNamesEachFaultAndItsLine(t *testing.T) {
	t.Parallel()
	const secret = "of-the-receiver"
	signed := aConfig[:len(aConfig)-2] + `, auth: {bearer: "${file:token}"}}` + "\n"
	for name, tt := range map[string]struct {
		config string
		mode   os.FileMode
		token  os.FileMode
		args   []string
		code   int
		says   []string
	}{
		"a good file":                     {signed, 0o600, 0o600, nil, exitOK, []string{"is good: 1 sources, 1 endpoints, 0 API keys; its hash is "}},
		"kinds and dialects of its own":   {signed + ownDefinitions, 0o600, 0o600, nil, exitOK, []string{"1 sources, 1 endpoints, 0 API keys, 1 kinds and 1 dialects of its own with 2 examples; its hash is "}},
		"an example that fails":           {signed + strings.Replace(ownDefinitions, "status: paid}", "status: new}", 1), 0o600, 0o600, nil, exitFailed, []string{"ringback.yml:13:117: kinds.invoices.examples[0].status: a paid invoice: ", `"new"`, `"paid"`}},
		"two faults":                      {signed + "nonsense: 1\ntelemetry: {listen: 8080}\n", 0o600, 0o600, nil, exitFailed, []string{"ringback.yml:7:1: nonsense: unknown key", "ringback.yml:8:21: telemetry.listen: "}},
		"what is not YAML":                {"{", 0o600, 0o600, nil, exitFailed, []string{"ringback.yml:1:1: "}},
		"a file that everybody can read":  {signed, 0o644, 0o600, []string{"--strict"}, exitOK, []string{"is good"}},
		"a file that everybody can write": {signed, 0o666, 0o600, nil, exitOK, []string{"is good", "warning: ", "can change this file (mode 0666)"}},
		"a secret that everybody can read": {signed, 0o600, 0o604, nil, exitOK, []string{
			"warning: ", "endpoints.LEDGER.auth.bearer: ", "every user of this machine can read this file (mode 0604)"}},
		"the same, strictly":       {signed, 0o600, 0o604, []string{"--strict"}, exitFailed, []string{"can read"}},
		"a good file, strictly":    {signed, 0o600, 0o600, []string{"--strict"}, exitOK, []string{"is good"}},
		"a secret that is missing": {aConfig[:len(aConfig)-2] + `, auth: {bearer: "${file:none}"}}`, 0o600, 0o600, nil, exitFailed, []string{"cannot read the file"}},
		"a literal secret":         {aConfig[:len(aConfig)-2] + `, auth: {bearer: ` + secret + `}}`, 0o600, 0o600, nil, exitFailed, []string{"a secret must not be written in this file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(configured(t, map[string]string{"ringback.yml": tt.config, "token": secret}), "ringback.yml")
			require.NoError(t, os.Chmod(path, tt.mode))
			require.NoError(t, os.Chmod(filepath.Join(filepath.Dir(path), "token"), tt.token))
			got := bare(nil, append([]string{"config", "check", path}, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			for _, text := range tt.says {
				require.Contains(t, got.out, text)
			}
			require.NotContains(t, got.out+got.err, secret)

			asJSON := bare(nil, append([]string{"config", "check", "--config", path, "-o", "json"}, tt.args...)...)
			require.Equal(t, tt.code, asJSON.code)
			var shown struct {
				Valid    bool
				Faults   []configFault
				Warnings []string
			}
			require.NoError(t, json.Unmarshal([]byte(asJSON.out), &shown))
			require.Equal(t, shown.Valid, len(shown.Faults) == 0)
			require.Equal(t, tt.code == exitOK || len(shown.Warnings) > 0, shown.Valid)
			require.NotContains(t, asJSON.out, secret)
		})
	}
}

func TestConfigPrintShowsTheEffectiveConfigurationWithoutSecrets(t *testing.T) {
	t.Parallel()
	dir := configured(t, map[string]string{
		"ringback.yml": aConfig[:len(aConfig)-2] + `, auth: {bearer: "${file:token}"}}` + "\n", "token": "of-the-receiver", "bad.yml": "nonsense: 1",
	})
	path := filepath.Join(dir, "ringback.yml")
	got := bare(nil, "config", "print", path)
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "bearer: \"[redacted]\"")
	require.Contains(t, got.out, "timeout: 10s", "a default")
	require.NotContains(t, got.out+got.err, "of-the-receiver")

	got = bare(nil, "config", "print", path, "-o", "json")
	require.Equal(t, exitOK, got.code, got.err)
	var shown struct {
		Endpoints map[string]struct {
			Auth struct{ Bearer string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &shown))
	require.Equal(t, "[redacted]", shown.Endpoints["LEDGER"].Auth.Bearer)

	got = bare(nil, "config", "print", filepath.Join(dir, "bad.yml"))
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "bad.yml:1:1: nonsense: unknown key")
	require.Empty(t, got.out)

	for _, args := range [][]string{{"config", "print"}, {"config", "check"}, {"config", "check", filepath.Join(dir, "none.yml")}, {"config", "check", "a", "b"}} {
		require.Equal(t, exitUsage, bare(nil, args...).code, args)
	}
}

func TestAClientCertificateIsSentIfTheAPIAsksForOne(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(rest.New(rest.Options{Operations: &fake{state: watching()}}))
	// The test server's certificate is its own authority and good for clients, too.
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	encoded, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	dir := configured(t, map[string]string{"ca.pem": certificate, "client.pem": certificate, "client.key": key, "both.pem": certificate + key, "open.key": key})
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Chmod(file("open.key"), 0o644))
	for name, tt := range map[string]struct {
		env  map[string]string
		args []string
		code int
		says string
	}{
		"by flags":                      {nil, []string{"--ca", file("ca.pem"), "--cert", file("client.pem"), "--cert-key", file("client.key")}, exitOK, ""},
		"by the environment":            {map[string]string{caVariable: file("ca.pem"), certVariable: file("client.pem"), certKeyVariable: file("client.key")}, nil, exitOK, ""},
		"certificate and key together":  {nil, []string{"--ca", file("ca.pem"), "--cert", file("both.pem")}, exitOK, ""},
		"a key that others may read":    {nil, []string{"--ca", file("ca.pem"), "--cert", file("client.pem"), "--cert-key", file("open.key")}, exitOK, "others may read"},
		"without one":                   {nil, []string{"--ca", file("ca.pem")}, exitUnavailable, "certificate required"},
		"a key without its certificate": {nil, []string{"--cert-key", file("client.key")}, exitUsage, "without a certificate"},
		"a file that is not there":      {nil, []string{"--cert", file("none.pem")}, exitUsage, "reading the client certificate"},
		"a file that is no certificate": {nil, []string{"--cert", file("client.key")}, exitUsage, "reading the client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bare(tt.env, append([]string{"state", "SHOP", "1", "--api", server.URL}, tt.args...)...)
			require.Equal(t, tt.code, got.code, got.err)
			require.Contains(t, got.err, tt.says)
			require.NotContains(t, got.out+got.err, "PRIVATE KEY")
		})
	}
}
