package main

import (
	"cmp"
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

// simulator is both cores and all receivers in one process, which is not measured. It
// is fast and checks nothing.
//
// An operation's id says when its core calls it final: "f3..." at the third poll,
// "f0..." never. A callback's path says how it is answered. An operation of the mix has
// its path in its number.
type simulator struct {
	mu       sync.Mutex
	polls    map[string]int
	arrivals map[string][]arrival
	// finished are prefixes of ids that the core calls final from now on, and whose
	// receiver is no longer down.
	finished []string
}

// arrival is one attempt at a receiver. Its times are Unix nanoseconds. Status is kept
// of those of the mix.
type arrival struct {
	Came, Answered int64
	Status         string
	Acknowledged   bool
}

const bodyLimit = 64 << 10

// openSimulator listens on a free loopback port and returns its base URL.
func openSimulator(_ context.Context, _ Setup) (handlers, func() error, string, error) {
	s := &simulator{}
	s.reset()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // opened once, on loopback
	if err != nil {
		return nil, nil, "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/Confirm", s.confirm)
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", s.transfer)
	mux.HandleFunc("/callback/{how}", s.receive)
	mux.HandleFunc("/callback/{how}/{id}", s.receive)
	mux.HandleFunc("/callback/"+mixHow, s.receiveMix)
	mux.HandleFunc("/callback/"+mixHow+"/{id}", s.receiveMix)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	do := func(what func(prefix string, out *Reply)) func(context.Context, Request, *Reply) error {
		return func(_ context.Context, q Request, out *Reply) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			what(q.Prefix, out)
			return nil
		}
	}
	return handlers{
		"arrivals":           do(func(prefix string, out *Reply) { out.Arrivals = s.arrivalsOf(prefix) }),
		"count arrivals":     do(func(prefix string, out *Reply) { out.Count = len(s.arrivalsOf(prefix)) }),
		"count attempts":     do(s.countAttempts),
		"count acknowledged": do(s.countAcknowledged),
		"count polls":        do(s.countPolls),
		"polls":              do(func(prefix string, out *Reply) { out.Polls = s.pollsOf(prefix) }),
		"finish":             do(func(prefix string, _ *Reply) { s.finished = append(s.finished, prefix) }),
		"reset":              do(func(string, *Reply) { s.reset() }),
	}, server.Close, "http://" + listener.Addr().String(), nil
}

// reset, arrivalsOf, isFinished and the counts need the lock.
func (s *simulator) reset() { s.polls, s.arrivals = map[string]int{}, map[string][]arrival{} }

func (s *simulator) arrivalsOf(prefix string) map[string][]arrival {
	found := map[string][]arrival{}
	for id, a := range s.arrivals {
		if strings.HasPrefix(id, prefix) {
			found[id] = slices.Clone(a)
		}
	}
	return found
}

func (s *simulator) countPolls(prefix string, out *Reply) {
	for _, n := range s.pollsOf(prefix) {
		out.Count += n
	}
}

func (s *simulator) pollsOf(prefix string) map[string]int {
	found := map[string]int{}
	for id, n := range s.polls {
		if strings.HasPrefix(id, prefix) {
			found[id] = n
		}
	}
	return found
}

func (s *simulator) countAttempts(prefix string, out *Reply) {
	for id, a := range s.arrivals {
		if strings.HasPrefix(id, prefix) {
			out.Count += len(a)
		}
	}
}

// countAcknowledged counts operations.
func (s *simulator) countAcknowledged(prefix string, out *Reply) {
	for id, a := range s.arrivals {
		if strings.HasPrefix(id, prefix) && slices.ContainsFunc(a, func(a arrival) bool { return a.Acknowledged }) {
			out.Count++
		}
	}
}

func (s *simulator) isFinished(id string) bool {
	return slices.ContainsFunc(s.finished, func(prefix string) bool { return strings.HasPrefix(id, prefix) })
}

// poll counts a poll of id and returns its status.
func (s *simulator) poll(id, open, final string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls[id]++
	if p, ok := mixOf(id); ok {
		return p.status(s.polls[id])
	}
	if s.isFinished(id) {
		return final
	}
	at, err := strconv.Atoi(strings.TrimLeft(id[:strings.IndexFunc(id+"-", notDigit)], "f"))
	if err == nil && at > 0 && s.polls[id] >= at {
		return final
	}
	return open
}

func notDigit(r rune) bool { return r != 'f' && (r < '0' || r > '9') }

// confirm is wsGate's /Confirm, whose parameters are headers in any case.
func (s *simulator) confirm(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("ordernumber")
	reply(w, fmt.Sprintf(`{"respStatus":200,"orderStatus":%s,"orderNumber":%q}`, s.poll(id, "0", "2"), id))
}

// transfer is Paysera's. Reserved has a callback and is revocable.
func (s *simulator) transfer(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	reply(w, fmt.Sprintf(`{"id":%q,"status":%q}`, id, s.poll(id, "reserved", "done")))
}

// receive answers as its path says: ok, fail, slow<ms>, first<n> to fail the first n
// attempts of an operation, or down to fail until the operation is finished.
func (s *simulator) receive(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	var callback struct {
		OrderNumber string `json:"orderNumber"`
	}
	// A form of Paysera's is no JSON; its path has the id.
	_ = json.NewDecoder(io.LimitReader(r.Body, bodyLimit)).Decode(&callback)
	id, how := cmp.Or(r.PathValue("id"), callback.OrderNumber), r.PathValue("how")
	s.mu.Lock()
	s.arrivals[id] = append(s.arrivals[id], arrival{Came: came.UnixNano()})
	number, down := len(s.arrivals[id]), how == "down" && !s.isFinished(id)
	s.mu.Unlock()
	if ms, slow := strings.CutPrefix(how, "slow"); slow {
		wait, _ := strconv.Atoi(ms) // the bench's own paths
		time.Sleep(time.Duration(wait) * time.Millisecond)
	}
	failing := -1
	if n, ok := strings.CutPrefix(how, "first"); ok {
		failing, _ = strconv.Atoi(n)
	}
	failed := how == "fail" || down || number <= failing
	if failed {
		w.WriteHeader(http.StatusInternalServerError)
	} else {
		reply(w, fmt.Sprintf(`{"orderNumber":%q,"applicationStatus":200}`, id))
	}
	answered := time.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.arrivals[id]; number <= len(a) { // after a reset there are fewer
		a[number-1].Answered, a[number-1].Acknowledged = answered, !failed
	}
}

func reply(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body) //nolint:gosec // a caller that hangs up misses the answer
}
