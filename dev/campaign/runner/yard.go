package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// yard is the world of a scenario, in this process: a core that calls operations
// done by their ids, and receivers that answer by the endpoint's name. It is fast
// rather than strict: the campaign's world is the strict one.
type yard struct {
	server  *http.Server
	url     string
	serving sync.WaitGroup

	mu sync.Mutex
	// again is when the endpoints whose names begin with due want to be rung again;
	// until then they refuse.
	again time.Time
	rings map[string][]rung
	// polls are when the core was asked about each operation.
	polls map[string][]time.Time
}

// rung is one request to a receiver.
type rung struct {
	came, answered time.Time
	took           bool
}

const (
	// due is how the names of the endpoints begin whose callbacks pile up.
	due = "DUE"
	// fresh is an endpoint that acknowledges always.
	fresh = "FRESH"
	// endless is how the ids of the operations begin that are never done.
	endless = "endless"
	// thought is how long a receiver takes to acknowledge.
	thought = 20 * time.Millisecond
)

func openYard() (*yard, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the scenario's world: %w", err)
	}
	y := &yard{url: "http://" + l.Addr().String(), rings: map[string][]rung{}, polls: map[string][]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", y.transfer)
	mux.HandleFunc("POST /receivers/{endpoint}", y.receive)
	y.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	y.serving.Go(func() { _ = y.server.Serve(l) })
	return y, nil
}

func (y *yard) close() error {
	err := y.server.Close()
	y.serving.Wait()
	return err
}

func (y *yard) transfer(w http.ResponseWriter, r *http.Request) {
	came, id, status := time.Now(), r.PathValue("id"), "done"
	if strings.HasPrefix(id, endless) {
		status = "new"
	}
	y.mu.Lock()
	y.polls[id] = append(y.polls[id], came)
	y.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"id":%q,"status":%q}`, id, status) //nolint:gosec // JSON, for Ringback
}

func (y *yard) receive(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data struct {
			OperationID string `json:"operation_id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := body.Data.OperationID
	number, refuse, again := y.begin(id, strings.HasPrefix(r.PathValue("endpoint"), due))
	if refuse {
		w.Header().Set("Retry-After", again.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		time.Sleep(thought)
		w.WriteHeader(http.StatusNoContent)
	}
	y.end(id, number)
}

func (y *yard) begin(id string, isDue bool) (number int, refuse bool, again time.Time) {
	came := time.Now()
	y.mu.Lock()
	defer y.mu.Unlock()
	refuse = isDue && came.Before(y.again)
	y.rings[id] = append(y.rings[id], rung{came: came, took: !refuse})
	return len(y.rings[id]) - 1, refuse, y.again
}

func (y *yard) end(id string, number int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.rings[id][number].answered = time.Now()
}

// refuse lets those that pile up refuse until a whole second.
func (y *yard) refuse(until time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.again = until
}

// underWay counts the requests that had no answer at a moment that has passed, and
// those that were answered just before it.
func (y *yard) underWay(moment time.Time) (inFlight, unrecorded int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, rungs := range y.rings {
		for _, r := range rungs {
			switch {
			case r.came.After(moment):
			case r.answered.IsZero() || r.answered.After(moment):
				inFlight++
			case r.took && r.answered.After(moment.Add(-justAnswered)):
				unrecorded++
			}
		}
	}
	return inFlight, unrecorded
}

// of are the requests about an operation so far.
func (y *yard) of(id string) []rung {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.rings[id])
}

// rungAt is when the receivers were sent a request about an operation, polledAt when
// the core was asked about it, so far.
func (y *yard) rungAt(id string) (came []time.Time) {
	for _, r := range y.of(id) {
		came = append(came, r.came)
	}
	return came
}

func (y *yard) polledAt(id string) []time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.polls[id])
}

// config is Ringback's configuration in a scenario: standard endpoints of the
// yard's only core, each with policies of its own, and no limit in the way.
func (y *yard) config(endpoints map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `api: {listen: 127.0.0.1:0, rate_limit: {per_second: 100000, burst: 100000, changes_per_second: 100000, changes_burst: 100000}}
egress: {allow: [127.0.0.0/8]}
sources:
  core: {kind: paysera, base_urls: [%q], mac: {id: yard, key: "${env:YARD_MAC_KEY}"}}
endpoints:
`, y.url)
	for name, policies := range endpoints {
		fmt.Fprintf(&b, "  %s: {dialect: standard, source: core, url: %q, %s}\n", name, y.url+"/receivers/"+name, policies)
	}
	return b.String()
}

// yardEnvironment is what config refers to.
var yardEnvironment = []string{"YARD_MAC_KEY=not-a-secret"}
