package rest_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
)

// served is a server on a connection of its own, its times shortened by hurry
// so that the test needn't wait for them.
func served(t *testing.T, o rest.Options, hurry func(*http.Server)) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = rest.New(o).HTTPServer()
	for _, bound := range []time.Duration{server.Config.ReadHeaderTimeout, server.Config.ReadTimeout, server.Config.WriteTimeout, server.Config.IdleTimeout} {
		require.Positive(t, bound, "nothing is waited for without an end")
	}
	hurry(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// say writes to a new connection and reads the answer's status, 0 if there is none.
func say(t *testing.T, address string, lines ...string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	for _, line := range lines {
		if _, err := io.WriteString(conn, line); err != nil {
			break // hung up on, and its answer may be there
		}
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

const post = "POST /v1/operations HTTP/1.1\r\nHost: ringback\r\nContent-Type: application/json\r\n"

func TestASlowClientHoldsNoConnectionAndStartsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says   string
		status int
	}{
		"a body that never comes":             {post + "Content-Length: 64\r\n\r\n", 400},
		"a body that ends half-way":           {post + "Content-Length: 64\r\n\r\n{\"endpoint\":\"SHOP\",", 400},
		"a chunk that never comes":            {post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"end\r\n", 400},
		"a header that never ends":            {"POST /v1/operations HTTP/1.1\r\nHost: ringback\r\nX-A: ", 0},
		"a connection on which nothing comes": {"", 0},
		"headers of more than 32 KiB":         {"GET /healthz HTTP/1.1\r\nHost: ringback\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431},
		"a body longer than it may be":        {post + "Content-Length: 1000000\r\n\r\n" + strings.Repeat(" ", 100_000), 413},
		"a body of endless chunks":            {post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("4000\r\n"+strings.Repeat(" ", 0x4000)+"\r\n", 8), 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			address := served(t, rest.Options{Operations: f}, func(s *http.Server) {
				s.ReadTimeout, s.ReadHeaderTimeout = 200*time.Millisecond, 100*time.Millisecond
			})
			require.Equal(t, c.status, say(t, address, c.says))
			require.Empty(t, f.questions())
		})
	}
}

func TestWhoIsKeptOutOfAReadLeavesALine(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	server := rest.New(rest.Options{
		Operations: &fake{state: someState("1")}, Log: zap.New(core),
		Keys: oneKey(rest.Key{Name: "core", Scopes: []rest.Scope{rest.ScopeRead}, Endpoints: []string{"SHOP"}}),
	})
	for _, c := range []struct{ path, key, action, who, result string }{
		{operationPath, "guess", "state", "", "unauthenticated"},
		{"/v1/operations/BANK/1", secret, "state", "core", "forbidden"},
		{"/v1/redeliveries", secret, "list redeliveries", "core", "forbidden"},
		{"/metrics", "guess", "metrics", "", "unauthenticated"},
		{"/metrics", secret, "metrics", "core", "forbidden"},
	} {
		exchange{method: "GET", path: c.path, header: map[string]string{"Authorization": "Bearer " + c.key}}.do(t, server)
		lines := logs.FilterMessage("refused").TakeAll()
		require.Len(t, lines, 1, c.path)
		said := lines[0].ContextMap()
		require.Equal(t, []any{c.action, c.who, c.result, "192.0.2.1"}, []any{said["action"], said["who"], said["result"], said["from"]})
		require.NotContains(t, fmt.Sprint(said), c.key)
		logs.TakeAll()
	}
	exchange{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + secret}}.do(t, server)
	require.Zero(t, logs.Len(), "a read that is served is no line of the log")
}

// A key is found by its hash alone: which key it was almost like plays no part.
func TestAKeyIsComparedWhole(t *testing.T) {
	t.Parallel()
	server := rest.New(rest.Options{Operations: &fake{state: someState("1")}, Keys: func() []rest.Key {
		return []rest.Key{{Name: "core", SHA256: sha256.Sum256([]byte(secret)), Scopes: rest.Scopes}, {Name: "unset", Scopes: rest.Scopes}}
	}})
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(secret)))
	for name, key := range map[string]string{
		"without its last letter": secret[:len(secret)-1], "with one more": secret + "s", "in upper case": strings.ToUpper(secret),
		"its own digest": digest, "the digest of nothing": fmt.Sprintf("%x", sha256.Sum256(nil)), "zeros": strings.Repeat("0", 64),
	} {
		answer, _ := exchange{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode, name)
	}
}
