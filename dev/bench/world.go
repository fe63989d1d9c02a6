package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// world is what is outside of Ringback: both cores and the receivers, in one
// process that is measured nowhere. It is fast rather than strict: the tests'
// simulators are the strict ones.
//
// An operation's id says when its core calls it final: "f3..." at the third
// question, "f0..." never. A callback's path says how it is answered.
type world struct {
	mu       sync.Mutex
	polls    map[string]int
	arrivals map[string][]arrival
	// finished are the beginnings of the ids that the core calls final from now on.
	finished []string
}

// arrival is one attempt at a receiver, in Unix nanoseconds.
type arrival struct {
	Came     int64 `json:"came"`
	Answered int64 `json:"answered"`
}

const bodyCap = 64 << 10

// openWorld listens on a free loopback port; its value is the base URL.
func openWorld(_ context.Context, _ json.RawMessage) (handler, any, error) {
	w := &world{}
	w.forget()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // opened once, on loopback
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/Confirm", w.confirm)
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", w.transfer)
	mux.HandleFunc("/callback/{how}", w.receive)
	mux.HandleFunc("/callback/{how}/{id}", w.receive)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func(_ context.Context, o order) (any, error) {
		switch o.Do {
		case "arrivals":
			return w.of(o.Prefix), nil
		case "arrived":
			return len(w.of(o.Prefix)), nil
		case "polled":
			return w.polled(o.Prefix), nil
		case "finish":
			w.finish(o.Prefix)
			return nil, nil
		case "forget":
			w.forget()
			return nil, nil
		case stopping:
			return nil, server.Close()
		}
		return nil, fmt.Errorf("the world knows no order %q", o.Do)
	}, "http://" + listener.Addr().String(), nil
}

func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls, w.arrivals = map[string]int{}, map[string][]arrival{}
}

func (w *world) finish(prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = append(w.finished, prefix)
}

func (w *world) of(prefix string) map[string][]arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string][]arrival{}
	for id, a := range w.arrivals {
		if strings.HasPrefix(id, prefix) {
			found[id] = a
		}
	}
	return found
}

func (w *world) polled(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := 0
	for id, n := range w.polls {
		if strings.HasPrefix(id, prefix) {
			sum += n
		}
	}
	return sum
}

// final counts a question about id and tells whether its status is final.
func (w *world) final(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls[id]++
	if slices.ContainsFunc(w.finished, func(prefix string) bool { return strings.HasPrefix(id, prefix) }) {
		return true
	}
	at, err := strconv.Atoi(strings.TrimLeft(id[:strings.IndexFunc(id+"-", notDigit)], "f"))
	return err == nil && at > 0 && w.polls[id] >= at
}

func notDigit(r rune) bool { return r != 'f' && (r < '0' || r > '9') }

// confirm is wsGate's /Confirm, whose parameters are headers spelled its way.
func (w *world) confirm(rw http.ResponseWriter, r *http.Request) {
	id := header(r, "ordernumber")
	status := 0
	if w.final(id) {
		status = 2
	}
	reply(rw, fmt.Sprintf(`{"respStatus":200,"orderStatus":%d,"orderNumber":%q}`, status, id))
}

func header(r *http.Request, name string) string {
	for given, values := range r.Header {
		if strings.EqualFold(given, name) {
			return values[0]
		}
	}
	return ""
}

// transfer is Paysera's: reserved, which rings and may still be revoked.
func (w *world) transfer(rw http.ResponseWriter, r *http.Request) {
	reply(rw, fmt.Sprintf(`{"id":%q,"status":"reserved"}`, r.PathValue("id")))
}

// receive answers as its path says: ok, fail, slow<ms>, or first<n> to fail the
// first n attempts of an operation.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	came := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyCap))
	if err != nil {
		return
	}
	id := r.PathValue("id")
	if id == "" {
		id = orderNumber(body)
	}
	number := w.record(id, came)
	how := r.PathValue("how")
	if ms, slow := strings.CutPrefix(how, "slow"); slow {
		wait, _ := strconv.Atoi(ms) // the bench's own paths
		time.Sleep(time.Duration(wait) * time.Millisecond)
	}
	failing := -1
	if n, ok := strings.CutPrefix(how, "first"); ok {
		failing, _ = strconv.Atoi(n)
	}
	if how == "fail" || number <= failing {
		rw.WriteHeader(http.StatusInternalServerError)
	} else {
		reply(rw, fmt.Sprintf(`{"orderNumber":%q,"applicationStatus":200}`, id))
	}
	w.answered(id, number)
}

func orderNumber(body []byte) string {
	var callback struct {
		OrderNumber string `json:"orderNumber"`
	}
	if json.Unmarshal(body, &callback) != nil {
		return ""
	}
	return callback.OrderNumber
}

func (w *world) record(id string, came time.Time) (number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrivals[id] = append(w.arrivals[id], arrival{Came: came.UnixNano()})
	return len(w.arrivals[id])
}

func (w *world) answered(id string, number int) {
	now := time.Now().UnixNano()
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.arrivals[id]; number <= len(a) {
		a[number-1].Answered = now
	}
}

func reply(rw http.ResponseWriter, body string) {
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, body) //nolint:gosec // who hangs up misses the answer
}
