package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/app"
)

// listeners are calls of a program without keys that a web page makes a browser send,
// reloads that open doors, and callers that take all connections.
func (h *hostileEnvironment) listeners() []hostile {
	const start, page = `{"endpoint":"LEDGER","operation_id":"1"}`, "https://evil.example"
	operation := apiclient.Path(h.open)
	type header = map[string]string
	var rows []hostile
	for _, c := range []struct {
		input, method, path string
		header              header
		body, want          string
	}{
		{"without keys: a name that leads to loopback", http.MethodGet, operation, header{"Host": "evil.example"}, "", "403 Without API keys, the header Host"},
		{"without keys: another port of this machine", http.MethodGet, operation, header{"Host": "127.0.0.1:1"}, "", "403 Without API keys, the header Host"},
		{"without keys: a page starts", http.MethodPost, "/v1/operations", header{"Origin": page, "Content-Type": "application/json"}, start, "403 Without API keys, no page"},
		{"without keys: a page withdraws", http.MethodDelete, operation, header{"Origin": page}, "", "403 Without API keys, no page"},
		{"without keys: a page of no origin pushes", http.MethodPost, operation + "/status", header{"Origin": "null"}, "", "403 Without API keys, no page"},
		{"without keys: a page of another site reads", http.MethodGet, operation, header{"Sec-Fetch-Site": "cross-site"}, "", "403 Without API keys, no page"},
		{"without keys: a form starts", http.MethodPost, "/v1/operations", header{"Content-Type": "text/plain"}, start, "415 Send Content-Type: application/json"},
		{"without keys: an empty body of no type pushes", http.MethodPost, operation + "/status", nil, "", "415 Send Content-Type: application/json"},
		{"without keys: a withdrawal of no type", http.MethodDelete, operation, nil, "", "415 Send Content-Type: application/json"},
		{"without keys: a page uses the codec", http.MethodPost, "/codec/decode", header{"Origin": page, "Content-Type": "application/json"}, "{}", "403 Without API keys, no page"},
	} {
		rows = append(rows, hostile{input: c.input, want: c.want, try: func(t *testing.T) string {
			return answerTo(t, c.method, h.withoutKeys(t).Base+c.path, c.header, c.body)
		}})
	}
	rows = append(rows,
		hostile{input: "without keys: a page reads the metrics", want: "403 Without API keys, the header Host", try: func(t *testing.T) string {
			return answerTo(t, http.MethodGet, "http://"+telemetryAddress(t, h.withoutKeys(t))+"/metrics", header{"Host": "evil.example"}, "")
		}},
		hostile{input: "no key, for metrics", want: "401 Send an API key", try: func(t *testing.T) string {
			return answerTo(t, http.MethodGet, "http://"+telemetryAddress(t, h.Client)+"/metrics", nil, "")
		}},
		hostile{input: "metrics of the API's address", want: "404 The API has no such path", try: func(t *testing.T) string {
			return answerTo(t, http.MethodGet, h.Base+"/metrics", nil, "")
		}},
		hostile{input: "6,000 idle connections of one caller", want: "ready, then 404", try: h.idleConnections},
	)
	const sealed = "codec: {keys: [{id: a, key: \"${env:E2E_CODEC_A}\"}]}\n"
	for _, r := range []struct {
		input  string
		change func(string) string
		want   string
	}{
		{"a reload without keys", func(text string) string { return keysOf.ReplaceAllString(text, "") }, "set api.anonymous: true"},
		{"a reload with an empty list of keys", func(text string) string { return keysOf.ReplaceAllString(text, "  keys: []\n") }, "set api.anonymous: true"},
		{"a reload without codec keys", func(text string) string { return strings.Replace(text, sealed, "", 1) }, "set codec.required: false"},
		{"a reload without any keys", func(text string) string { return keysOf.ReplaceAllString(strings.Replace(text, sealed, "", 1), "") }, "set api.anonymous: true"},
		{"a reload without an endpoint's hosts", func(text string) string {
			return strings.Replace(text, `callback_hosts: [pay.example, "*.shop.example"], auth: {bearer: "${env:E2E_WSGATE_PASSWORD}"}, `, "", 1)
		}, "endpoints.HOSTS.callback_hosts cannot be taken away"},
	} {
		rows = append(rows, hostile{input: r.input, want: r.want, try: func(t *testing.T) string {
			w := h.another(t, func(text string) string { return text + sealed })
			process, _ := w.api(t, "127.0.0.1:0", "-worker=false")
			w.rewrite(t, process, r.change)
			return awaitOutput(t, process, `(the configuration is (?:refused|reloaded).*)`)
		}})
	}
	return rows
}

// keysOf are the API's keys in the hostile environment's file.
var keysOf = regexp.MustCompile(`  keys:\n(?:    - .*\n)+`)

// another is the same environment with a file of its own.
func (h *hostileEnvironment) another(t *testing.T, change func(string) string) *environment {
	t.Helper()
	text, err := os.ReadFile(h.config)
	require.NoError(t, err)
	w := &environment{temporal: h.temporal, config: filepath.Join(t.TempDir(), "ringback.yml")}
	require.NoError(t, os.WriteFile(w.config, []byte(change(string(text))), 0o600))
	return w
}

// withoutKeys is an API of the same Temporal without keys.
func (h *hostileEnvironment) withoutKeys(t *testing.T) *apiclient.Client {
	t.Helper()
	w := h.another(t, func(text string) string { return keysOf.ReplaceAllString(text, "  anonymous: true\n") })
	return w.run(t, func(o *app.Options) { o.Worker = false }).Client
}

// answerTo makes a call and says its status and its problem's detail.
func answerTo(t *testing.T, method, url string, header map[string]string, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	if host := header["Host"]; host != "" {
		request.Host = host
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	problem := apiclient.ReadProblem(response.StatusCode, response.Header, text)
	return fmt.Sprintf("%d %s", response.StatusCode, problem.Detail)
}

// idleConnections takes more than one caller's share of a program's connections, and
// says what a probe and the next caller of the same address get.
func (h *hostileEnvironment) idleConnections(t *testing.T) string {
	t.Helper()
	w := h.another(t, func(text string) string { return keysOf.ReplaceAllString(text, "  anonymous: true\n") })
	process, api := w.api(t, "127.0.0.1:0", "-worker=false")
	var idle []net.Conn
	defer func() {
		for _, conn := range idle {
			_ = conn.Close()
		}
	}()
	address := strings.TrimPrefix(api.Base, "http://")
	for range 6000 {
		conn, err := net.DialTimeout("tcp", address, 10*time.Second)
		require.NoError(t, err)
		idle = append(idle, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ready, err := probes(t, api).Ready(ctx)
	require.NoError(t, err)
	_, err = direct(api).State(ctx, entry("nobody").Key())
	got := fmt.Sprintf("%s, then %d", ready.Status, apiclient.Status(err))
	require.NoError(t, process.Stop(syscall.SIGTERM, grace))
	return got
}
