package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// server is one simulator's listener and its open requests.
type server struct {
	http *http.Server
	url  string
	done chan struct{}
}

// URL is the base URL.
func (s *server) URL() string { return s.url }

// serve listens on addr, host:port with port 0 for a free one; with TLS where
// tlsConfig is not nil.
func serve(addr string, handler http.Handler, tlsConfig *tls.Config) (*server, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("starting a simulator: %w", err)
	}
	s := &server{
		url:  "http://" + l.Addr().String(),
		http: &http.Server{Handler: handler, TLSConfig: tlsConfig, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)},
		done: make(chan struct{}),
	}
	if tlsConfig != nil {
		s.url = "https://" + l.Addr().String()
		l = tls.NewListener(l, tlsConfig)
	}
	base, cancel := context.WithCancel(context.Background())
	s.http.BaseContext = func(net.Listener) context.Context { return base }
	s.http.RegisterOnShutdown(cancel)
	go func() {
		defer close(s.done)
		defer cancel()
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// Close refuses new requests and ends the open ones, delayed answers included.
func (s *server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// hold waits for delay and reports whether the client is still connected.
func hold(r *http.Request, delay time.Duration) bool {
	if delay <= 0 {
		return r.Context().Err() == nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}

// Question is one request to a core.
type Question struct {
	At time.Time
	// Path is /Confirm or /ConfirmExt, or the path of a transfer.
	Path string
	// Refused says why the request was refused; empty: it was not.
	Refused string
	// Header is the request's, without its credentials.
	Header http.Header
}

func newQuestion(r *http.Request, refusal string) Question {
	header := r.Header.Clone()
	header.Del("Authorization")
	header.Del("password")
	return Question{At: time.Now(), Path: r.URL.Path, Refused: refusal, Header: header}
}

// questions are a core's, by operation.
type questions struct {
	mu   sync.Mutex
	byID map[string][]Question
}

func (q *questions) add(id string, one Question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byID == nil {
		q.byID = map[string][]Question{}
	}
	q.byID[id] = append(q.byID[id], one)
}

// Questions are the requests about an operation so far, oldest first.
func (q *questions) Questions(id string) []Question {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.byID[id])
}
