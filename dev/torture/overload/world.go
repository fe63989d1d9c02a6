package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// world is the core and the receivers. An operation whose id begins with q or f
// is final at its first poll, any other never.
type world struct {
	base   string
	server *http.Server
	// healed makes the receivers that fail acknowledge.
	healed atomic.Bool

	mu sync.Mutex
	// polled is when an operation was asked about, rung when it was rung, and
	// acknowledged whether that was acknowledged.
	polled, rung map[string][]time.Time
	acknowledged map[string]bool
}

func openWorld() (*world, error) {
	w := &world{polled: map[string][]time.Time{}, rung: map[string][]time.Time{}, acknowledged: map[string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // opened once, on loopback
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/Confirm", w.confirm)
	mux.HandleFunc("/callback/{how}", w.receive)
	w.base = "http://" + listener.Addr().String()
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

func (w *world) close() error { return w.server.Close() }

// confirm is wsGate's, whose parameters are headers spelled its way.
func (w *world) confirm(rw http.ResponseWriter, r *http.Request) {
	now, id := time.Now(), ""
	for name, values := range r.Header {
		if strings.EqualFold(name, "ordernumber") {
			id = values[0]
		}
	}
	w.mu.Lock()
	w.polled[id] = append(w.polled[id], now)
	w.mu.Unlock()
	status := 0
	if strings.HasPrefix(id, "q") || strings.HasPrefix(id, "f") {
		status = 2
	}
	reply(rw, http.StatusOK, fmt.Sprintf(`{"respStatus":200,"orderStatus":%d,"orderNumber":%q}`, status, id))
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var sent struct {
		OrderNumber string `json:"orderNumber"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&sent); err != nil {
		reply(rw, http.StatusBadRequest, `{}`)
		return
	}
	fails := r.PathValue("how") == "fail" && !w.healed.Load()
	w.mu.Lock()
	w.rung[sent.OrderNumber] = append(w.rung[sent.OrderNumber], now)
	w.acknowledged[sent.OrderNumber] = w.acknowledged[sent.OrderNumber] || !fails
	w.mu.Unlock()
	if fails {
		reply(rw, http.StatusInternalServerError, `{}`)
		return
	}
	reply(rw, http.StatusOK, fmt.Sprintf(`{"orderNumber":%q,"applicationStatus":200}`, sent.OrderNumber))
}

func reply(rw http.ResponseWriter, status int, body string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, body) // who hangs up misses the answer
}

// took reports whether an operation's callback was acknowledged.
func (w *world) took(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acknowledged[id]
}

// firstRung is when an operation was first rung.
func (w *world) firstRung(id string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.rung[id]; len(at) > 0 {
		return at[0], true
	}
	return time.Time{}, false
}

// span is a time that is looked at by itself.
type span struct{ from, to time.Time }

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// late is by how much the gaps of those operations that end within s, or would
// have by its end, are longer than they should be.
func late(times map[string][]time.Time, prefix string, gap time.Duration, s span) []time.Duration {
	var all []time.Duration
	for id, at := range times {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		for i := 1; i < len(at); i++ {
			if due := at[i-1].Add(gap); s.holds(due) {
				all = append(all, max(at[i].Sub(due), 0))
			}
		}
		if due := at[len(at)-1].Add(gap); s.holds(due) {
			all = append(all, time.Since(due))
		}
	}
	return all
}

// lateCallbacks and latePolls are how late those due within s were: those that
// wait in the worker and those that wait on the server.
func (w *world) lateCallbacks(s span) (near, far []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return late(w.rung, "fn", hNear, s), late(w.rung, "ff", hFar, s)
}

func (w *world) latePolls(s span) (near, far []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return late(w.polled, "wn", gapNear, s), late(w.polled, "wf", gapFar, s)
}
