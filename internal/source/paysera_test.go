package source_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/internal/source"
)

func payseraKind(t testing.TB) source.Kind {
	t.Helper()
	kind, ok := source.KindByName("paysera")
	require.True(t, ok)
	return kind
}

var macHeader = regexp.MustCompile(`^MAC id="([^"]+)", ts="([0-9]+)", nonce="([^"]{32})", mac="([^"]+)"$`)

// macCore is a core that verifies the MAC as Paysera's guide describes it, and
// takes no nonce twice.
type macCore struct {
	id, key string
	mu      sync.Mutex
	nonces  map[string]bool
}

func (m *macCore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.verified(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, `{"id":239441503,"status":"done"}`)
}

func (m *macCore) verified(r *http.Request) bool {
	parts := macHeader.FindStringSubmatch(r.Header.Get("Authorization"))
	if parts == nil || parts[1] != m.id {
		return false
	}
	ts, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || time.Since(time.Unix(ts, 0)).Abs() > time.Minute {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nonces[parts[3]] {
		return false
	}
	m.nonces[parts[3]] = true
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		return false
	}
	sum := hmac.New(sha256.New, []byte(m.key))
	for _, element := range []string{parts[2], parts[3], r.Method, r.RequestURI, host, port, ""} {
		_, _ = io.WriteString(sum, element+"\n")
	}
	return parts[4] == base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

func TestPayseraAuthorizesByMAC(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&macCore{id: "mac-id", key: "mac-key", nonces: map[string]bool{}})
	t.Cleanup(server.Close)
	query := operation.Query{OperationID: "239441503"}

	src := payseraKind(t).Open(configOf(&http.Client{}, server.URL+"/wallet"))
	for range 3 {
		got, err := src.Poll(t.Context(), query)
		require.NoError(t, err)
		require.Equal(t, "done", got.Status)
	}
	_, err := src.Details(t.Context(), query)
	require.NoError(t, err)

	for name, spoil := range map[string]func(*source.Config){
		"another id":  func(c *source.Config) { c.MACID = "other" },
		"another key": func(c *source.Config) { c.MACKey = "other" },
		"no MAC":      func(c *source.Config) { c.MACID, c.MACKey = "", "" },
	} {
		config := configOf(&http.Client{}, server.URL)
		spoil(&config)
		_, err := payseraKind(t).Open(config).Poll(t.Context(), query)
		var failure *source.Error
		require.ErrorAs(t, err, &failure, name)
		require.Equal(t, source.Unauthorized, failure.Kind, name)
	}
}

func TestNoSignedQuestionIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		http2 bool
		// breaks is what the core does with a question after it has seen its nonce.
		breaks func(w http.ResponseWriter)
	}{
		{name: "HTTP/1.1, the connection is closed", breaks: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{name: "HTTP/1.1, the connection is reset", breaks: func(w http.ResponseWriter) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}},
		{name: "HTTP/2, the stream is reset", http2: true, breaks: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			core := &macCore{id: "mac-id", key: "mac-key", nonces: map[string]bool{}}
			var asked, refused atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 2 {
					core.verified(r)
					tt.breaks(w)
					return
				}
				if !core.verified(r) {
					refused.Add(1)
				}
				_, _ = io.WriteString(w, `{"id":239441503,"status":"done"}`)
			}))
			server.EnableHTTP2 = tt.http2
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			start := server.Start
			if tt.http2 {
				start = server.StartTLS
			}
			start()
			t.Cleanup(server.Close)
			src := payseraKind(t).Open(configOf(server.Client(), server.URL))
			for range 3 {
				got, err := src.Poll(t.Context(), operation.Query{OperationID: "239441503"})
				require.NoError(t, err)
				require.Equal(t, "done", got.Status)
			}
			require.EqualValues(t, 4, asked.Load(), "the one that broke is put once more")
			require.Zero(t, refused.Load(), "each has a nonce of its own")
		})
	}
}

func TestAQuestionThatBreaksANewConnectionIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, kind := range []source.Kind{payseraKind(t), ukrcardKind(t)} {
		var asked counter
		server := httptest.NewServer(asked.count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
		t.Cleanup(server.Close)
		_, err := kind.Open(configOf(server.Client(), server.URL)).Poll(t.Context(), answered(t, kind).Query)
		require.Error(t, err)
		require.EqualValues(t, 1, asked.Load())
	}
}

func TestPayseraAsksForTheTransfer(t *testing.T) {
	t.Parallel()
	type asked struct{ method, uri, accept, authorization, body string }
	received := make(chan asked, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- asked{r.Method, r.RequestURI, r.Header.Get("Accept"), r.Header.Get("Authorization"), string(body)}
		_, _ = io.WriteString(w, `{"id":"a_B-1","status":"done"}`)
	}))
	t.Cleanup(server.Close)
	config := configOf(&http.Client{}, server.URL+"/")
	config.MACID, config.MACKey = "", ""
	_, err := payseraKind(t).Open(config).Poll(t.Context(), operation.Query{OperationID: "a_B-1"})
	require.NoError(t, err)
	require.Equal(t, asked{method: http.MethodGet, uri: "/transfer/rest/v1/transfers/a_B-1", accept: "application/json"}, <-received)
}
