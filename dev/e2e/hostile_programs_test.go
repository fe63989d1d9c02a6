package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runProgram runs one of Ringback's programs to its end and says how it ended: its exit
// code and what it said.
func (h *hostileEnvironment) runProgram(t *testing.T, name string, environment []string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program(t, name), arguments...)
	command.Env = append(append(os.Environ(), "TEMPORAL_ADDRESS="+h.temporal.addr, "TEMPORAL_NAMESPACE="+h.temporal.namespace), environment...)
	command.Dir = t.TempDir()
	out, err := command.CombinedOutput()
	require.NoError(t, ctx.Err(), "%s does not end", name)
	var ended *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &ended)
		return fmt.Sprintf("exit %d: %s", ended.ExitCode(), out)
	}
	return fmt.Sprintf("exit 0: %s", out)
}

// commands are misuses of starter.
func (h *hostileEnvironment) commands() []hostile {
	type misuse struct {
		input, want string
		arguments   []string
		// environment is beside the API's address and key.
		environment []string
	}
	const at = "2026-11-21T09:30:00+02:00"
	secretly := []string{"RINGBACK_API_KEY=two keys"}
	misuses := []misuse{
		{input: "an unknown command", arguments: []string{"destroy"}, want: "exit 2: starter: unknown command"},
		{input: "an unknown flag", arguments: []string{"state", ledger, "closed", "--force"}, want: "exit 2: starter: unknown flag"},
		{input: "no operation", arguments: []string{"state"}, want: "exit 2: starter: name an operation"},
		{input: "an endpoint alone", arguments: []string{"state", ledger}, want: "exit 2: starter: name an operation"},
		{input: "three names", arguments: []string{"state", ledger, "a", "b"}, want: "exit 2: starter: name an operation"},
		{input: "an empty id", arguments: []string{"state", ledger, ""}, want: "exit 2: starter: name an operation"},
		{input: "an id of ..", arguments: []string{"state", ledger, ".."}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "an id with a control character", arguments: []string{"state", ledger, "a\x1b[2Jb"}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "an id of SQL", arguments: []string{"state", ledger, "' OR 1=1 --"}, want: "exit 3: starter: HTTP 404 not-found"},
		{input: "a card number", arguments: []string{"state", ledger, card}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "a key as an argument", arguments: []string{"state", ledger, "closed", "--key", keyAll}, want: "exit 2: starter: unknown flag: --key"},
		{input: "two keys in the variable", arguments: []string{"state", ledger, "closed"}, environment: secretly, want: "holds something else than one API key"},
		{input: "a wrong key", arguments: []string{"state", ledger, "closed"}, environment: []string{"RINGBACK_API_KEY=guess"}, want: "exit 1: starter: HTTP 401 unauthenticated"},
		{input: "a key file that is not there", arguments: []string{"state", ledger, "closed", "--key-file", "none"}, want: "exit 2: starter: reading --key-file"},
		{input: "a folder as key file", arguments: []string{"state", ledger, "closed", "--key-file", "."}, want: "exit 2: starter: reading --key-file"},
		{input: "a format that nobody knows", arguments: []string{"state", ledger, "closed", "-o", "xml"}, want: "exit 2: starter: --output"},
		{input: "a time that is none", arguments: []string{"state", ledger, "closed", "--timeout", "soon"}, want: "exit 2: starter: invalid argument"},
		{input: "no time", arguments: []string{"state", ledger, "closed", "--timeout", "0s"}, want: "exit 2: starter: --timeout 0s is not above 0"},
		{input: "a date that is none", arguments: []string{"start", gold, "1", "--method", "payment", "--registered-at", "today"}, want: "exit 2: starter: --registered-at"},
		{input: "an unknown method", arguments: []string{"start", gold, "1", "--method", "refund", "--registered-at", at}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "start with a private URL", arguments: []string{"start", shop, "1", "--callback-url", "https://10.0.0.1/"}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "start with other content", arguments: []string{"start", ledger, "closed", "--known-status", "reserved"}, want: "exit 4: starter: HTTP 409 conflict"},
		{input: "revoke what can't be revoked", arguments: []string{"revoke", idle, "open", "--initiated-by", "core"}, want: "exit 4: starter: HTTP 409 not-revocable"},
		{input: "revoke by nobody", arguments: []string{"revoke", idle, "open", "--initiated-by", "me"}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "withdraw an unknown operation", arguments: []string{"withdraw", ledger, "nobody"}, want: "exit 3: starter: HTTP 404 not-found"},
		{input: "redeliver what was acknowledged", arguments: []string{"redeliver", ledger, "closed"}, want: "exit 4: starter: HTTP 409 not-redeliverable"},
		{input: "redeliver all that there is", arguments: []string{"redeliver"}, want: "exit 2: starter: name an operation"},
		{input: "redeliver all that ever failed", arguments: []string{"redeliver", "--all-endpoints", "--yes"}, want: "exit 2: starter: --all-endpoints alone"},
		{input: "redeliver many, asked by nobody", arguments: []string{"redeliver", "--endpoint", ledger}, want: "exit 2: starter: a redelivery of many asks"},
		{input: "keygen of a kind with a path", arguments: []string{"keygen", "../whsec"}, want: "exit 2: starter: \"../whsec\" is none of"},
		{input: "init over a file that is there", arguments: []string{"init", "/etc/passwd", "--core", "paysera", "--client", "standard", "--where", "https://a.example"}, want: "exit 1: starter: /etc/passwd is there already"},
		{input: "list by an unknown outcome", arguments: []string{"list", "--outcome", "won"}, want: "exit 1: starter: HTTP 422 invalid"},
		{input: "list since the moon", arguments: []string{"list", "--since", "moon"}, want: "exit 2: starter: --since"},
		{input: "an API's address that is none", arguments: []string{"state", ledger, "closed", "--api", "here"}, want: "exit 2: starter: --api is not a URL"},
		{input: "an API's address with a password", arguments: []string{"state", ledger, "closed", "--api", "http://a:b@127.0.0.1"}, want: "exit 2: starter: --api is not a URL"},
		{input: "an API's address of a file", arguments: []string{"state", ledger, "closed", "--api", "file:///etc/passwd"}, want: "exit 2: starter: --api is not a URL"},
		{input: "a configuration that is not there", arguments: []string{"state", ledger, "closed", "--config", "none.yml"}, environment: []string{"RINGBACK_API="}, want: "exit 2: starter: reading --config"},
		{input: "verify with a secret as an argument", arguments: []string{"verify", signingSecret}, want: "exit 2: starter: verify takes no arguments"},
	}
	rows := make([]hostile, 0, len(misuses))
	for _, m := range misuses {
		rows = append(rows, hostile{input: m.input, want: m.want, try: func(t *testing.T) string {
			got := h.runProgram(t, "starter", append([]string{"RINGBACK_API=" + h.Base, "RINGBACK_API_KEY=" + keyAll}, m.environment...), m.arguments...)
			require.NotContains(t, got, "two keys", "no key is shown")
			require.NotContains(t, got, signingSecret, "no secret is shown")
			require.NotContains(t, got, "\x1b[2J", "no terminal is cleared")
			return strings.ReplaceAll(got, card, "(the argument)")
		}})
	}
	rows = append(rows, hostile{input: "nobody at the address", want: "exit 5: starter: no response from the API", try: func(t *testing.T) string {
		return h.runProgram(t, "starter", []string{"RINGBACK_API=http://" + unused(t)}, "state", ledger, "closed")
	}})
	return append(rows, h.falseAPIs()...)
}

// falseAPIs are answers to starter that are not Ringback's.
func (h *hostileEnvironment) falseAPIs() []hostile {
	var rows []hostile
	for _, answer := range []struct {
		input, want string
		answer      answer
	}{
		{"an API that answers in HTML", "exit 1: starter: the API's response can't be read", respond(200, "<html>hello</html>", "Content-Type", "text/html")},
		{"an API that answers with nothing", "exit 1: starter: the API's response can't be read", respond(200, "")},
		{"an API that answers a list", "exit 1: starter: the API's response can't be read", respond(200, "[]")},
		{"an API that answers half a JSON", "exit 1: starter: the API's response can't be read", respond(200, `{"endpoint":"LED`)},
		{"an API that redirects", "exit 1: starter: HTTP 302: The response is not Ringback's", respond(302, "", "Location", "http://169.254.169.254/")},
		{"an API that fails in HTML", "exit 1: starter: HTTP 500: The response is not Ringback's", respond(500, "<h1>500</h1>", "Content-Type", "text/html")},
		{"an API whose problem clears the screen", "exit 1: starter: HTTP 422", respond(422, `{"type":"/problems/invalid","detail":"\u001b[2J"}`, "Content-Type", "application/problem+json")},
		{"an API that closes the connection", "exit 5: starter: no response", respondRaw("")},
		{"an API that speaks no HTTP", "exit 5: starter: no response", respondRaw("SSH-2.0-OpenSSH_9.6\r\n")},
		{"an API that never ends its answer", "exit 5: starter: no response", respondPartly(`{"endpoint":`)},
	} {
		rows = append(rows, hostile{input: answer.input, want: answer.want, try: func(t *testing.T) string {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer.answer(w, r, "") }))
			defer server.Close()
			got := h.runProgram(t, "starter", []string{"RINGBACK_API=" + server.URL, "RINGBACK_API_KEY=" + keyAll}, "state", ledger, "closed", "--timeout", "2s")
			require.NotContains(t, got, "\x1b[2J", "no terminal is cleared")
			require.NotContains(t, got, keyAll)
			return strings.ReplaceAll(got, server.URL, "ADDRESS")
		}})
	}
	return rows
}

// soundFile is a configuration that the programs take; a row changes one
// piece of it.
const soundFile = `api: {listen: 127.0.0.1:0}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
sources:
  gate: {kind: ukrcard, base_urls: [http://127.0.0.1:9001], ext_system_id: ECOM, login: gold, password: "${env:E2E_WSGATE_PASSWORD}"}
  wallet: {kind: paysera, base_urls: [https://wallet.example]}
endpoints:
  SHOP: {dialect: standard, source: wallet, url: "https://shop.example/in", poll: {interval: 10s, lifetime: 20m}, delivery: {interval: 3s, attempts: 10}}
`

// configurations are files with which no program may start.
func (h *hostileEnvironment) configurations() []hostile {
	const password, url, delivery = `"${env:E2E_WSGATE_PASSWORD}"`, `url: "https://shop.example/in"`, "{interval: 3s, attempts: 10}"
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 8), c-1)
	}
	faults := []struct{ input, was, is, want string }{
		{"an empty file", soundFile, "", "the file is empty"},
		{"a list", soundFile, "[]\n", "ringback.yml:1:"},
		{"no YAML", "api:", "api: [", "ringback.yml:"},
		{"JSON that is cut off", soundFile, `{"api": {`, "ringback.yml:"},
		{"bytes that are not UTF-8", "gold", "\xff\xfe", "ringback.yml:"},
		{"a NUL", "gold", "go\x00ld", "ringback.yml:"},
		{"10,000 brackets", soundFile, strings.Repeat("[", 10_000), "ringback.yml:"},
		{"aliases that multiply", "egress: {allow: [127.0.0.0/8]}\n", bomb + "egress: {allow: *i}\n", "ringback.yml:"},
		{"an alias of itself", "{allow: [127.0.0.0/8]}", "{allow: &e [*e]}", "egress.allow"},
		{"an alias of nothing", "gold", "*nobody", "there is no anchor"},
		{"a merge key", "SHOP: {", "SHOP: {<<: {enabled: false}, ", "instead of a merge key"},
		{"a tag", "login: gold", "login: !!binary Z29sZA==", "YAML tags are not allowed"},
		{"a second document", "endpoints:", "---\nendpoints:", "a second document begins here"},
		{"an unknown key", "egress:", "egres:", "egres: unknown key"},
		{"an unknown key of an endpoint", "SHOP: {", "SHOP: {retries: 3, ", "endpoints.SHOP.retries: unknown key"},
		{"a key twice", "login: gold", "login: gold, login: silver", `"login" already defined`},
		{"an endpoint twice", "endpoints:\n", "endpoints:\n  SHOP: {}\n", `"SHOP" already defined`},
		{"a list for a mapping", "{allow: [127.0.0.0/8]}", "[127.0.0.0/8]", "egress: must be a mapping"},
		{"a literal password", password, "hunter22", "sources.gate.password: a secret must not be written in this file"},
		{"a literal signing secret", url, url + ", signing: {secrets: [" + signingSecret + "]}", "signing.secrets[0]: a secret must not be written in this file"},
		{"a literal bearer token", url, url + ", auth: {bearer: hunter22}", "auth.bearer: a secret must not be written in this file"},
		{"a literal in a header", url, url + ", headers: {X-Api-Key: hunter22}", "a secret must not be written in this file"},
		{"a variable that is not set", password, `"${env:E2E_NOT_SET}"`, "the environment variable E2E_NOT_SET is not set"},
		{"a variable without a name", password, `"${env:}"`, "this reference is invalid"},
		{"a secret file that is not there", password, `"${file:none}"`, "sources.gate.password: cannot read the file"},
		{"a device as secret file", password, `"${file:/dev/zero}"`, "is not a regular file"},
		{"a reference of an unknown sort", password, `"${exec:id}"`, "this reference is invalid"},
		{"a reference where no secret is", "login: gold", `login: "${env:HOME}"`, "references are expanded only in secrets"},
		{"a listener for everybody, without keys", "listen: 127.0.0.1:0", "listen: 0.0.0.0:0", "can be reached from other machines, and api.keys is empty"},
		{"an address that is none", "listen: 127.0.0.1:0", "listen: everywhere", "is not an address to listen on"},
		{"a key in clear", "listen: 127.0.0.1:0", "listen: 127.0.0.1:0, keys: [{name: a, sha256: hunter22, scopes: [read]}]", "api.keys[0].sha256"},
		{"an unknown scope", "listen: 127.0.0.1:0", "listen: 127.0.0.1:0, keys: [{name: a, sha256: " + strings.Repeat("a", 64) + ", scopes: [root]}]", "api.keys[0].scopes[0]"},
		{"h of zero", "interval: 3s", "interval: 0s", "delivery.interval: 0s is below 1ms"},
		{"h below zero", "interval: 3s", "interval: -3s", "delivery.interval: -3s is below 1ms"},
		{"h without a unit", "interval: 3s", "interval: 3000", "is not a duration"},
		{"h of a thousand years", "interval: 3s", "interval: 8766000h", "delivery.interval"},
		{"h that overflows", "interval: 3s", "interval: 99999999999h", "is not a duration"},
		{"k of zero", "attempts: 10", "attempts: 0", "delivery.attempts: 0 is below 1"},
		{"k of a billion", "attempts: 10", "attempts: 1000000000", "delivery.attempts"},
		{"k that is no whole number", "attempts: 10", "attempts: 1e3", "delivery.attempts"},
		{"no lifetime", ", lifetime: 20m", "", "poll.lifetime: is missing"},
		{"polling like a load test", "interval: 10s", "interval: 1ms", "poll.interval: 1ms is below 100ms"},
		{"an unknown dialect", "dialect: standard", "dialect: soap", "endpoints.SHOP.dialect"},
		{"an unknown source", "source: wallet", "source: bank", "endpoints.SHOP.source"},
		{"an endpoint's name with a slash", "SHOP:", "SHOP/1:", "is not a valid name"},
		{"plain http to a public address", url, `url: "http://192.0.2.1/in"`, "plain http is spoken only to addresses that egress.allow covers"},
		{"a private address", url, `url: "https://10.1.2.3/in"`, "is not a public address"},
		{"the cloud's metadata", url, `url: "https://169.254.169.254/in"`, "egress to 169.254.169.254 is refused"},
		{"a URL with a password", url, `url: "https://a:hunter22@shop.example/in"`, "holds a user name or password"},
		{"a header with a line break", url, url + `, headers: {X-A: "a\r\nB: c"}`, "cannot be sent"},
		{"a header of Ringback's own", url, url + ", headers: {webhook-id: x}", "is set by Ringback itself"},
		{"no network to allow", "127.0.0.0/8", "everywhere", "egress.allow[0]"},
		{"a certificate that is not there", url, url + ", tls: {cert: none.pem, key: none.key}", "tls.cert: cannot read the file"},
	}
	rows := make([]hostile, 0, len(faults)+6)
	for i, fault := range faults {
		name := []string{"api", "worker"}[i%2]
		rows = append(rows, hostile{input: fault.input, want: fault.want, try: func(t *testing.T) string {
			require.Contains(t, soundFile, fault.was)
			return h.configured(t, name, strings.Replace(soundFile, fault.was, fault.is, 1))
		}})
	}
	return append(rows,
		hostile{input: "no file", want: "exit 2: api: -config is required", try: func(t *testing.T) string { return h.runProgram(t, "api", nil) }},
		hostile{input: "a file that is not there", want: "exit 1: worker: ", try: func(t *testing.T) string { return h.runProgram(t, "worker", nil, "-config", "none.yml") }},
		hostile{input: "a folder", want: "exit 1: api: ", try: func(t *testing.T) string { return h.runProgram(t, "api", nil, "-config", ".") }},
		hostile{input: "an unknown flag", want: "exit 2: flag provided but not defined: -password", try: func(t *testing.T) string { return h.runProgram(t, "worker", nil, "-password", "x") }},
		hostile{input: "100 MB of spaces", want: "exit 1: api: ", try: func(t *testing.T) string {
			return h.configured(t, "api", strings.Repeat(" ", 100<<20))
		}},
	)
}

// configured runs a program with a file that it must refuse.
func (h *hostileEnvironment) configured(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ringback.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	got := h.runProgram(t, name, nil, "-config", file)
	require.True(t, strings.HasPrefix(got, "exit 1: "), "%s", got)
	require.NotContains(t, got, "hunter22", "no secret is shown")
	require.NotContains(t, got, signingSecret, "no secret is shown")
	return strings.ReplaceAll(got, file, "ringback.yml")
}
