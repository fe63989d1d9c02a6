package receiver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shop       = "WALLET_SHOP"
	cardNumber = "4111111111111111"
)

// server is a receiver at a loopback address, behind the egress guard, and the
// endpoint that leads to it. It answers its nth request (counted from 1) by
// answer, and any without one with 500.
type server struct {
	endpoint receiver.Endpoint
	answer   func(n int, w http.ResponseWriter, r *http.Request)
	http     *httptest.Server

	mu      sync.Mutex
	headers []http.Header
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	s.endpoint = guarded(t, s.http.URL+"/callback")
	return s
}

// guarded is an endpoint at a loopback address, behind the egress guard.
func guarded(t *testing.T, address string) receiver.Endpoint {
	t.Helper()
	standard, _ := dialect.ByName("standard")
	client := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Client(nil, 0)
	t.Cleanup(client.CloseIdleConnections)
	return receiver.Endpoint{Name: shop, Dialect: standard, URL: address, Client: client}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.headers = append(s.headers, r.Header.Clone())
	n := len(s.headers)
	s.mu.Unlock()
	if s.answer == nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	s.answer(n, w, r)
}

func (s *server) requests() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// brokenOff begins an answer of 200 and drops the connection within its body.
func brokenOff(_ int, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "beginning")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// request is an attempt at a callback that each dialect can write.
func request(timeout time.Duration) receiver.Request {
	key := operation.Key{Endpoint: shop, OperationID: "42"}
	return receiver.Request{
		Callback: operation.Callback{
			ID: operation.CallbackID(key, "done"), Key: key, Final: true,
			Observation: operation.Observation{
				Status: "done", ObservedAt: operation.At(time.Now()),
				Raw: map[string]string{"respStatus": "200", "orderStatus": "1"},
			},
		},
		TimeoutMS: timeout.Milliseconds(), Number: 7,
	}
}

func send(t *testing.T, e receiver.Endpoint, in receiver.Request) receiver.Result {
	t.Helper()
	return receiver.Send(t.Context(), e, in)
}

// outsider is what answers a request at a real address, byte by byte as it likes.
type outsider func(ctx context.Context, conn io.Writer)

// says answers with those bytes and closes the connection.
func says(text string) outsider {
	return func(_ context.Context, conn io.Writer) { _, _ = io.WriteString(conn, text) }
}

// ok answers with HTTP 200 and that body.
func ok(body string) outsider {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// then says piece after head until the other side has had enough.
func then(head, piece string, every time.Duration) outsider {
	return func(ctx context.Context, conn io.Writer) {
		_, err := io.WriteString(conn, head)
		for ; err == nil && ctx.Err() == nil; _, err = io.WriteString(conn, piece) {
			time.Sleep(every)
		}
	}
}

// answeredBy listens on a loopback address and answers each request so; asked
// are the requests as they came, headers and perhaps body.
func answeredBy(t *testing.T, answer outsider) (base string, asked <-chan string) {
	t.Helper()
	requests := make(chan string, 1000)
	base = serveConns(t, func(conn net.Conn) {
		head := make([]byte, 4<<10)
		n, _ := conn.Read(head)
		requests <- string(head[:n])
		answer(t.Context(), conn)
	})
	return base, requests
}

// serveConns serves each connection to a loopback address, and closes it.
func serveConns(t *testing.T, serve func(net.Conn)) (base string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	return "http://" + listener.Addr().String()
}
