// Package liar stands between Ringback and the receivers of a campaign and lies:
// it does with some callbacks what a Ringback with a bug would do, so that a
// campaign shows whether the checker finds it out. It knows callbacks only as far
// as it must.
package liar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Bug is what a liar does to the callbacks that it chooses.
type Bug string

// The bugs.
const (
	// Drop acknowledges a callback itself and hands nothing on.
	Drop Bug = "drop"
	// Forget refuses a callback itself and hands nothing on.
	Forget Bug = "forget"
	// Twice hands a callback on once more after it was acknowledged.
	Twice Bug = "twice"
	// Late holds a callback before it hands it on.
	Late Bug = "late"
	// Overtake acknowledges a callback itself and hands it on after a newer one of
	// the same operation.
	Overtake Bug = "overtake"
	// Rename changes a callback's id from its second request on, Reword its body.
	Rename Bug = "rename"
	Reword Bug = "reword"
)

// Bugs are all of them.
var Bugs = []Bug{Drop, Forget, Twice, Late, Overtake, Rename, Reword}

const (
	// oneIn is of how many callbacks one is lied about, by its id.
	oneIn = 10
	// holds is how long a late one is held: less than an attempt's time-out.
	holds = 4 * time.Second
	// again is when a callback comes once more.
	again = 200 * time.Millisecond
	// bodyCap bounds what is read of a request.
	bodyCap = 1 << 20
)

// Liar is a reverse proxy that lies.
type Liar struct {
	bug      Bug
	upstream *url.URL
	client   *http.Client
	server   *http.Server
	address  string
	serving  sync.WaitGroup
	// ctx ends with the liar: what it hands on by itself ends with it.
	ctx  context.Context
	stop context.CancelFunc

	mu sync.Mutex
	// requests counts them by callback id.
	requests map[string]int
	// held are requests by operation, until a newer callback was handed on.
	held map[string]request
}

// Start lets a liar listen on a free loopback address, before the receivers at
// upstream, host:port. It lives until Close, also where ctx ends.
func Start(ctx context.Context, bug Bug, upstream string) (*Liar, error) {
	if !slices.Contains(Bugs, bug) {
		return nil, fmt.Errorf("start a liar: no bug is called %q, only %q", bug, Bugs)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a liar: %w", err)
	}
	l := &Liar{
		bug: bug, upstream: &url.URL{Scheme: "http", Host: upstream}, address: listener.Addr().String(),
		client:   &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}},
		requests: map[string]int{}, held: map[string]request{},
	}
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.server = &http.Server{Handler: http.HandlerFunc(l.take), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	l.serving.Go(func() { _ = l.server.Serve(listener) })
	return l, nil
}

// Between is how a stage puts a liar between Ringback and its receivers.
func Between(bug Bug) func(ctx context.Context, receivers string) (address string, end func() error, err error) {
	return func(ctx context.Context, receivers string) (string, func() error, error) {
		l, err := Start(ctx, bug, receivers)
		if err != nil {
			return "", nil, err
		}
		return l.Address(), l.Close, nil
	}
}

// Address is where it listens, host:port.
func (l *Liar) Address() string { return l.address }

// Close ends it, also what it still meant to hand on.
func (l *Liar) Close() error {
	l.stop()
	err := l.server.Close()
	l.serving.Wait()
	l.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("end the liar: %w", err)
	}
	return nil
}

// request is one callback as it came.
type request struct {
	method, path, id string
	header           http.Header
	body             []byte
}

func (l *Liar) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyCap))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	came := request{method: r.Method, path: r.URL.Path, id: r.Header.Get("webhook-id"), header: r.Header, body: body}
	if !chosen(came.id) {
		l.pass(r.Context(), w, came)
		l.release(came)
		return
	}
	l.lie(r.Context(), w, came)
}

// chosen reports whether a callback is lied about: always the same ones.
func chosen(id string) bool {
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, id)
	return sum.Sum32()%oneIn == 0
}

func (l *Liar) lie(ctx context.Context, w http.ResponseWriter, came request) {
	switch l.bug {
	case Drop:
		acknowledge(w, came)
	case Forget:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Overtake:
		l.hold(came)
		acknowledge(w, came)
	case Late:
		if !sleep(ctx, holds) {
			panic(http.ErrAbortHandler)
		}
		l.pass(ctx, w, came)
	case Twice:
		if status := l.pass(ctx, w, came); status/100 == 2 {
			l.later(again, came)
		}
	case Rename, Reword:
		l.pass(ctx, w, l.changed(came))
	}
}

// changed is the request as it is handed on; the first of a callback is as it came.
func (l *Liar) changed(came request) request {
	l.mu.Lock()
	l.requests[came.id]++
	first := l.requests[came.id] == 1
	l.mu.Unlock()
	switch {
	case first:
	case l.bug == Rename:
		came.header = came.header.Clone()
		came.header.Set("webhook-id", came.id+"x")
	case json.Valid(came.body):
		came.body = append(slices.Clone(came.body), ' ')
	default:
		came.body = append(slices.Clone(came.body), "&again=1"...)
	}
	return came
}

// pass hands a request on and its answer back, and returns its HTTP status. A
// receiver that hangs up is one that hangs up here, too.
func (l *Liar) pass(ctx context.Context, w http.ResponseWriter, came request) int {
	got, err := l.send(ctx, came)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range got.header {
		w.Header()[name] = values
	}
	w.WriteHeader(got.status)
	_, _ = w.Write(got.body)
	return got.status
}

// answer is a receiver's.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (l *Liar) send(ctx context.Context, came request) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, came.method, l.upstream.JoinPath(came.path).String(), bytes.NewReader(came.body))
	if err != nil {
		return answer{}, err
	}
	r.Header = came.header.Clone()
	response, err := l.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyCap))
	return answer{response.StatusCode, response.Header, body}, err
}

// later hands a request on by itself; nobody hears of its answer.
func (l *Liar) later(wait time.Duration, came request) {
	l.serving.Go(func() {
		if sleep(l.ctx, wait) {
			_, _ = l.send(l.ctx, came)
		}
	})
}

func (l *Liar) hold(came request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[operation(came)] = came
}

// release hands on what was held of the operation, now that a newer callback was.
func (l *Liar) release(newer request) {
	l.mu.Lock()
	held, ok := l.held[operation(newer)]
	delete(l.held, operation(newer))
	l.mu.Unlock()
	if ok && held.id != newer.id {
		l.later(again, held)
	}
}

// acknowledge answers as receivers of every dialect do.
func acknowledge(w http.ResponseWriter, came request) {
	text, _ := json.Marshal(map[string]any{"orderNumber": operation(came), "applicationStatus": http.StatusOK})
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// operation is the operation's id, in whichever dialect the callback is.
func operation(came request) string {
	var message struct {
		OrderNumber string `json:"orderNumber"`
		Data        struct {
			OperationID string `json:"operation_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(came.body, &message); err == nil {
		return message.OrderNumber + message.Data.OperationID
	}
	form, _ := url.ParseQuery(string(came.body))
	return form.Get("transfer_id")
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
