package rest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// trail is an audit in memory.
type trail struct {
	mu    sync.Mutex
	lines []map[string]any
	err   error
}

func (a *trail) write(fields ...zap.Field) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(line)
	}
	a.lines = append(a.lines, line.Fields)
	return a.err
}

// events are those of the lines, each with its action and result.
func (a *trail) events() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var events []string
	for _, line := range a.lines {
		events = append(events, strings.TrimSpace(fmt.Sprint(line["event"], " ", line["action"])))
	}
	return events
}

// TestTheAuditIsWrittenBeforeTheActAndAfterIt looks at the audit while the call runs.
func TestTheAuditIsWrittenBeforeTheActAndAfterIt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		httpCall httpCall
		reads    bool
		during   []string
		after    []string
	}{
		"a change":                               {httpCall{method: "DELETE", path: operationPath}, false, []string{"begun withdraw"}, []string{"begun withdraw", "completed withdraw"}},
		"a change that is refused":               {httpCall{method: "DELETE", path: "/v1/operations/BANK/1"}, false, nil, []string{"refused withdraw"}},
		"a read":                                 {httpCall{method: "GET", path: operationPath}, false, nil, nil},
		"a read, where they are audited":         {httpCall{method: "GET", path: operationPath}, true, []string{"begun state"}, []string{"begun state", "completed state"}},
		"a refused read, where they are audited": {httpCall{method: "GET", path: "/v1/operations/BANK/1"}, true, nil, []string{"refused state"}},
		"a wrong key, which anybody could send":  {httpCall{method: "DELETE", path: operationPath, header: map[string]string{"Authorization": "Bearer guess"}}, true, nil, nil},
		"a dry run":                              {many(`{"filter":{"endpoint":"SHOP"},"dry_run":true}`), false, []string{"begun redeliver many"}, []string{"begun redeliver many", "completed redeliver many"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var audit trail
			var during []string
			f := &fake{state: someState("1"), hook: func(context.Context) { during = audit.events() }}
			settings := oneKey(rest.Key{Name: "core", Scopes: operation.Scopes, Endpoints: []string{"SHOP"}})()
			settings.AuditReads = row.reads
			server := rest.New(rest.Options{Operations: f, Settings: func() rest.Settings { return settings }, Audit: audit.write})
			if row.httpCall.header == nil {
				row.httpCall.header = map[string]string{"Authorization": "Bearer " + secret}
			}
			row.httpCall.do(t, server)
			require.Equal(t, row.during, during)
			require.Equal(t, row.after, audit.events())
		})
	}
}

func TestTheAuditSaysWhoAskedForWhatBeforeItIsDone(t *testing.T) {
	t.Parallel()
	var audit trail
	server := rest.New(rest.Options{Operations: &fake{state: someState("1")}, Settings: oneKey(rest.Key{Name: "core", Scopes: operation.Scopes}), Audit: audit.write})
	httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"force":true,"reason":"repaired"}`,
		header: map[string]string{"Authorization": "Bearer " + secret, "X-Request-Id": "r1"}}.do(t, server)
	begun := map[string]any{
		"event": "begun", "request_id": "r1", "key_id": fmt.Sprintf("%x", sha256.Sum256([]byte(secret)))[:8], "who": "core", "from": "192.0.2.1",
		"action": "redeliver", "endpoint": "SHOP", "operation_id": "1", "reason": "repaired", "force": true,
	}
	require.Equal(t, begun, audit.lines[0])
	begun["event"], begun["result"], begun["http_status"] = "completed", "ok", int64(201)
	require.Equal(t, begun, audit.lines[1])
}

func TestWhatCannotBeAuditedIsNotDone(t *testing.T) {
	t.Parallel()
	audit := trail{err: errors.New("no space left on device")}
	f := &fake{state: someState("1")}
	server := rest.New(rest.Options{Operations: f, Audit: audit.write})
	response, body := httpCall{method: "DELETE", path: operationPath}.do(t, server)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Contains(t, body, "The audit can't be written, so nothing was done")
	require.NotContains(t, body, "device")
	require.Empty(t, f.received())
	response, _ = httpCall{method: "GET", path: operationPath}.do(t, server)
	require.Equal(t, http.StatusOK, response.StatusCode, "a read is not audited")
}

// TestAKeyThatIsRevokedWhileTheBodyArrivesIsRefused sends a body whose end comes after
// the reload.
func TestAKeyThatIsRevokedWhileTheBodyArrivesIsRefused(t *testing.T) {
	t.Parallel()
	key := oneKey(rest.Key{Name: "core", Scopes: operation.Scopes})().Keys
	fewer := oneKey(rest.Key{Name: "core", Scopes: []string{operation.ScopeStart}})().Keys
	for name, row := range map[string]struct {
		path, body string
		after      []rest.Key
		status     int
		says       string
	}{
		"a start":                     {"/v1/operations", `{"endpoint":"SHOP","operation_id":"1"}`, key[:1], 401, "not one of those in force"},
		"a revocation":                {operationPath + "/revocation", `{"initiated_by":"user"}`, key[:1], 401, "not one of those in force"},
		"a bulk redelivery":           {"/v1/redeliveries", `{"filter":{"endpoint":"SHOP"}}`, key[:1], 401, "not one of those in force"},
		"what is sealed":              {"/codec/decode", `{"payloads":[]}`, key[:1], 401, "not one of those in force"},
		"a key whose scopes were cut": {operationPath + "/revocation", `{"initiated_by":"user"}`, fewer, 503, "configuration of your API key changed"},
		"a key that stayed as it was": {"/v1/operations", `{"endpoint":"SHOP","operation_id":"1"}`, key, 200, ""},
		"another key was revoked":     {"/v1/operations", `{"endpoint":"SHOP","operation_id":"1"}`, key[1:], 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			inForce := key
			f := &fake{state: someState("1")}
			opened := false
			server := rest.New(rest.Options{
				Operations: f, Codec: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { opened = true }),
				Settings: func() rest.Settings { mu.Lock(); defer mu.Unlock(); return rest.Settings{Keys: inForce} },
			})
			body, end := io.Pipe()
			go func() {
				_, _ = io.WriteString(end, row.body[:5])
				mu.Lock()
				inForce = row.after
				mu.Unlock()
				_, _ = io.WriteString(end, row.body[5:])
				_ = end.Close()
			}()
			request := httptest.NewRequest(http.MethodPost, row.path, body)
			request.Header.Set("Authorization", "Bearer "+secret)
			request.Header.Set("Content-Type", "application/json")
			response := httptest.NewRecorder()
			server.ServeHTTP(response, request)
			require.Equal(t, row.status, response.Code, response.Body)
			require.Contains(t, response.Body.String(), row.says)
			require.Equal(t, row.status == 200, len(f.received()) > 0)
			require.False(t, opened)
		})
	}
}

func TestTheAuditHasTheHostThatWillBeCalled(t *testing.T) {
	t.Parallel()
	const start = `{"endpoint":"SHOP","operation_id":"1"%s}`
	for name, row := range map[string]struct {
		path, body       string
		begun, completed any
	}{
		"a redelivery without a URL":    {operationPath + "/redelivery", `{}`, nil, "b.example:8443"},
		"a redelivery to another URL":   {operationPath + "/redelivery", `{"callback":{"url":"https://c.example/x"}}`, "c.example", "c.example"},
		"a start at the endpoint's URL": {"/v1/operations", fmt.Sprintf(start, ""), nil, "b.example:8443"},
		"a start that brings its URL":   {"/v1/operations", fmt.Sprintf(start, `,"callback":{"url":"https://c.example/x"}`), "c.example", "c.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var audit trail
			state := someState("1")
			state.Host = "b.example:8443"
			server := rest.New(rest.Options{
				Operations: &fake{state: state, created: true}, Audit: audit.write,
				Settings: oneKey(rest.Key{Name: "core", Scopes: operation.Scopes}),
			})
			httpCall{method: "POST", path: row.path, body: row.body, header: map[string]string{"Authorization": "Bearer " + secret}}.do(t, server)
			require.Len(t, audit.lines, 2)
			require.Equal(t, row.begun, audit.lines[0]["host"])
			require.Equal(t, row.completed, audit.lines[1]["host"])
		})
	}
}
