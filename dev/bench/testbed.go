package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/postgres"
	"ringback/internal/operation"
)

// testbed is one database with everything that is measured on it, each in a process of
// its own: the Temporal server, the floor, plain, and Ringback with and without its
// HTTP API. The load generator is this process.
type testbed struct {
	database string
	dir      string
	cluster  *postgres.Cluster
	server   *role
	address  string

	simulator    *role
	simulatorURL string
	floor        *role
	plain        *role
	ringback     *role
	service      *role
	api          *apiclient.Client
	config       string
	key          string
	// beforeOpen is how Ringback idled with no open operation.
	beforeOpen idleness

	opened []*role
	// idleCPU is each subject's with nothing to do, while polls are measured.
	idleCPU map[string]time.Duration
	// serial makes the operation ids unique.
	serial int
}

const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"
)

// openTestbed starts a server in a new directory. The subjects are started once they
// are needed, so that they use no CPU before.
func (b *bench) openTestbed(ctx context.Context, settings serverSetup, database string) (_ *testbed, err error) {
	s := &testbed{database: database, simulator: b.simulator, simulatorURL: b.simulatorURL, idleCPU: map[string]time.Duration{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "ringback-bench"); err != nil {
		return s, fmt.Errorf("make a directory for the database: %w", err)
	}
	settings.Dir = s.dir
	if database == onPostgres {
		// PostgreSQL runs as another user if this process is root's.
		if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
			return s, fmt.Errorf("open the database's directory: %w", err)
		}
		if s.cluster, err = postgres.Start(ctx, postgres.Options{Dir: s.dir}); err != nil {
			return s, err
		}
		settings.Dir, settings.Postgres = "", s.cluster.URL("temporal")
	}
	if s.server, err = s.startRole(ctx, "server", settings, &s.address); err != nil {
		return s, err
	}
	s.floor, err = s.startRole(ctx, "floor", roleSetup{Temporal: s.address}, nil)
	return s, err
}

// openSubjects starts plain and Ringback.
func (s *testbed) openSubjects(ctx context.Context, gaps []time.Duration) (err error) {
	s.key = rand.Text()
	if s.config, err = writeConfig(s.dir, s.simulatorURL, s.key, gaps); err != nil {
		return err
	}
	if s.plain, err = s.startRole(ctx, "plain", roleSetup{Temporal: s.address, Simulator: s.simulatorURL}, nil); err != nil {
		return err
	}
	return s.openRingback(ctx)
}

func (s *testbed) openRingback(ctx context.Context) (err error) {
	var base string
	s.ringback, err = s.startRole(ctx, "ringback", roleSetup{Temporal: s.address, Config: s.config}, &base)
	s.api = &apiclient.Client{MaxAttempts: 1, Base: base, Key: s.key, HTTP: *keepAlive()}
	return err
}

func (s *testbed) startRole(ctx context.Context, name string, settings, reply any) (*role, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := startRole(ctx, name, settings, reply)
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", s.database, err)
	}
	s.opened = append(s.opened, r)
	return r, nil
}

// closeRole ends one process before the others.
func (s *testbed) closeRole(r *role) error {
	at := slices.Index(s.opened, r)
	if at < 0 {
		return nil
	}
	s.opened = slices.Delete(s.opened, at, at+1)
	return r.stop()
}

// close ends every process, the last one first, and removes the data.
func (s *testbed) close() error {
	var errs []error
	for _, r := range slices.Backward(s.opened) {
		errs = append(errs, r.stop())
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// startRequest is what a core sends for an operation of Ukrcard's.
func startRequest(endpoint, id string) operation.StartRequest {
	registered := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	return operation.StartRequest{
		Endpoint: endpoint, OperationID: id, Method: "payment",
		Reference: operation.Reference{RegisteredAt: &registered},
	}
}

// start starts an operation through the API.
func (s *testbed) start(ctx context.Context, endpoint, id string) error {
	return s.startWith(ctx, startRequest(endpoint, id))
}

// startWith must create an operation.
func (s *testbed) startWith(ctx context.Context, r operation.StartRequest) error {
	status, err := s.api.Call(ctx, http.MethodPost, "/v1/operations", r, nil)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("the start of %s was answered with %d", r.Key().WorkflowID(), status)
	}
	return err
}

// readState reads a state and drops it.
func (s *testbed) readState(ctx context.Context, endpoint, id string) error {
	_, err := s.api.Call(ctx, http.MethodGet, apiclient.Path(operation.Key{Endpoint: endpoint, OperationID: id}), nil, nil)
	return err
}

// push pushes a final status.
func (s *testbed) push(ctx context.Context, endpoint, id string) error {
	return s.api.Push(ctx, operation.Key{Endpoint: endpoint, OperationID: id}, "2")
}

// usedCPU is the CPU time so far of the subject, the server and the database.
func (s *testbed) usedCPU(subject *role) (time.Duration, error) {
	pids := []int{s.server.pid()}
	if subject != nil {
		pids = append(pids, subject.pid())
	}
	cpu, err := cpuOf(pids, false)
	if err != nil || s.cluster == nil {
		return cpu, err
	}
	database, err := cpuOf([]int{s.cluster.PID()}, true)
	return cpu + database, err
}

// prefix is a new one for operation ids. The core calls them final at the given poll,
// never at 0.
func (s *testbed) prefix(finalAt int) string {
	s.serial++
	return fmt.Sprintf("f%d%s%d", finalAt, s.database[:1], s.serial)
}

// settleTime is how long the server works after an operation's end, for its closing
// tasks and visibility.
const settleTime = 1200 * time.Millisecond

// cpuFor runs work and returns the CPU time that the subject, the server and the
// database used for it and during settleTime.
func (s *testbed) cpuFor(subject *role, work func() error) (time.Duration, error) {
	before, err := s.usedCPU(subject)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	time.Sleep(settleTime)
	after, err := s.usedCPU(subject)
	return after - before, err
}

const (
	idleTimeout = time.Minute
	idleSeconds = 4
	// idleCPU is how much CPU time an idle second may take, with the server's own
	// housekeeping.
	idleCPU = 40 * time.Millisecond
)

// awaitIdle waits for some idle seconds, for at most idleTimeout.
func (s *testbed) awaitIdle(ctx context.Context, subject *role) error {
	idle := 0
	for begun := time.Now(); idle < idleSeconds && time.Since(begun) < idleTimeout; {
		before, err := s.usedCPU(subject)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		after, err := s.usedCPU(subject)
		if err != nil {
			return err
		}
		if idle++; after-before > idleCPU {
			idle = 0
		}
	}
	return nil
}

// arrivals waits until every operation of the load has got a callback, and returns
// all attempts by operation id.
func (s *testbed) arrivals(ctx context.Context, l load, within time.Duration) (map[string][]arrival, error) {
	deadline := time.Now().Add(within)
	for {
		var n int
		if err := s.simulator.ask(ctx, request{Do: "count arrivals", Prefix: l.Prefix + "-"}, &n); err != nil {
			return nil, err
		}
		if n >= l.Count {
			break
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("on %s, only %d of %d operations got a callback within %v", s.database, n, l.Count, within)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
	var got map[string][]arrival
	err := s.simulator.ask(ctx, request{Do: "arrivals", Prefix: l.Prefix + "-"}, &got)
	return got, err
}

// latencies are from the beginning of each call to its first callback.
func latencies(l load, out result, got map[string][]arrival) []time.Duration {
	var all []time.Duration
	for i, began := range out.Began {
		if a := got[l.id(i)]; len(a) > 0 && out.Took[i] > 0 {
			all = append(all, time.Duration(a[0].Came-began))
		}
	}
	return all
}

// duration is from the first start to the last first callback.
func duration(out result, got map[string][]arrival) time.Duration {
	first, last := slices.Min(out.Began), int64(0)
	for _, a := range got {
		last = max(last, a[0].Came)
	}
	return time.Duration(last - first)
}
