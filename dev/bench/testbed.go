package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/port"
	"ringback/dev/postgres"
	"ringback/dev/temporalserver"
	"ringback/internal/operation"
)

// testbed is one database with everything that is measured on it, each in a process of
// its own: the Temporal server, the floor, plain, and Ringback. The load generator is
// this process.
type testbed struct {
	*bench
	database string
	dir      string
	cluster  *postgres.Cluster
	temporal string // the server's address

	server, floor, plain, ringback *role
	opened                         []*role
	// others are processes whose CPU time is counted with the server's: the other ones of
	// a cluster, and of Ringback.
	others []*role
	api    *apiclient.Client
	key    string
	config string
	// beforeOpen is how Ringback idled with no open operation.
	beforeOpen idleness
	// idleCPU is each subject's in PollsFor with nothing to do, by its name.
	idleCPU map[string]time.Duration
	// measuring is the name of the measure that is being taken.
	measuring string
	// drained is when the operations of earlier measures have ended.
	drained time.Time
	// serial makes the operation ids unique.
	serial int
	// failed counts the calls that failed.
	failed atomic.Int64
}

const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"
)

// openTestbed starts a server in a new directory. The subjects are started once they
// are needed, so that they use no CPU before.
func (b *bench) openTestbed(ctx context.Context, database string, setup Setup) (_ *testbed, err error) {
	s := &testbed{bench: b, database: database, idleCPU: map[string]time.Duration{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "ringback-bench"); err != nil {
		return s, fmt.Errorf("make a directory for the database: %w", err)
	}
	setup.Dir = s.dir
	if database == onPostgres {
		// PostgreSQL runs as another user if this process is root's.
		if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
			return s, fmt.Errorf("open the database's directory: %w", err)
		}
		if s.cluster, err = postgres.Start(ctx, postgres.Options{
			Dir: s.dir, Settings: map[string]string{"max_connections": temporalserver.ClusterConnections},
		}); err != nil {
			return s, err
		}
		setup.Dir, setup.Postgres = "", s.cluster.URL("temporal")
	}
	if err := s.openServer(ctx, setup); err != nil {
		return s, err
	}
	s.floor, _, err = s.start(ctx, "floor", Setup{Temporal: s.temporal})
	return s, err
}

// openServer starts the Temporal server: one process, or the history hosts of a cluster
// and then the frontend with the other services.
func (s *testbed) openServer(ctx context.Context, setup Setup) (err error) {
	if setup.HistoryHosts == 0 {
		s.server, s.temporal, err = s.start(ctx, "server", setup)
		return err
	}
	frontend, err := port.HoldAny(ctx)
	if err != nil {
		return fmt.Errorf("find a port for the cluster's frontend: %w", err)
	}
	defer func() { err = errors.Join(err, port.Release(frontend)) }()
	setup.Addr, setup.Services = frontend.String(), []string{"history"}
	for range setup.HistoryHosts {
		host, _, err := s.start(ctx, "server", setup)
		if err != nil {
			return err
		}
		s.others = append(s.others, host)
	}
	setup.Services = []string{"frontend", "matching", "worker"}
	if s.server, s.temporal, err = s.start(ctx, "server", setup); err != nil {
		return err
	}
	return temporalserver.AwaitShards(ctx, s.temporal, setup.HistoryHosts)
}

// openSubjects starts plain and Ringback, and warms them and the floor up.
func (s *testbed) openSubjects(ctx context.Context) (err error) {
	s.key = rand.Text()
	if s.config, err = writeConfig(s.dir, s.simulatorURL, s.key, s.extent); err != nil {
		return err
	}
	if err := errors.Join(s.openPlain(ctx), s.openRingback(ctx)); err != nil {
		return err
	}
	if _, err := s.ask(ctx, s.floor, "complete", burst(s.prefix(1), 60)); err != nil {
		return err
	}
	for _, subject := range []string{"plain", "ringback"} {
		if _, _, err := s.deliver(ctx, subject, burst(s.prefix(1), 60)); err != nil {
			return err
		}
	}
	return nil
}

func (s *testbed) openPlain(ctx context.Context) (err error) {
	s.plain, _, err = s.start(ctx, "plain", Setup{Temporal: s.temporal, Simulator: s.simulatorURL, Mix: s.extent.Mix})
	return err
}

func (s *testbed) openRingback(ctx context.Context) (err error) {
	var base string
	s.ringback, base, err = s.start(ctx, "ringback", Setup{Temporal: s.temporal, Config: s.config})
	s.api = &apiclient.Client{MaxAttempts: 1, Base: base, Key: s.key, HTTP: *keepAlive()}
	return err
}

// start starts a role that close ends.
func (s *testbed) start(ctx context.Context, name string, setup Setup) (*role, string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if dir := s.extent.Profiles; dir != "" {
		setup.Profile = filepath.Join(dir, fmt.Sprintf("%s-%s-%d.pprof", s.database, name, len(s.opened)))
	}
	r, address, err := startRole(ctx, name, setup)
	if err != nil {
		return nil, "", err
	}
	s.opened = append(s.opened, r)
	return r, address, nil
}

// end ends one process before the others.
func (s *testbed) end(r *role) error {
	at := slices.Index(s.opened, r)
	if at < 0 {
		return nil
	}
	s.opened = slices.Delete(s.opened, at, at+1)
	return r.close()
}

// kill ends one process with kill -9.
func (s *testbed) kill(r *role) error {
	s.opened = slices.DeleteFunc(s.opened, func(o *role) bool { return o == r })
	_ = r.client.Close()
	return r.Kill()
}

// close ends every process, the last one first, and removes the data.
func (s *testbed) close() error {
	var errs []error
	for _, r := range slices.Backward(s.opened) {
		errs = append(errs, r.close())
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// ask lets a role make the load.
func (s *testbed) ask(ctx context.Context, r *role, do string, l load) (result, error) {
	out, err := r.ask(ctx, Request{Do: do, Load: l})
	if err != nil {
		return out.Result, err
	}
	return out.Result, s.countFailures(do+" by "+r.name, out.Result)
}

// call makes the load on Ringback's API from this process.
func (s *testbed) call(ctx context.Context, what string, l load, call func(ctx context.Context, endpoint, id string) error) (result, error) {
	out := l.run(ctx, call)
	return out, errors.Join(ctx.Err(), s.countFailures(what+" by Ringback's API", out))
}

// countFailures counts failed calls. It is an error if most of them failed.
func (s *testbed) countFailures(what string, out result) error {
	if out.Failed == 0 {
		return nil
	}
	s.failed.Add(int64(out.Failed))
	err := fmt.Errorf("%d of %d %s failed; one of them: %s", out.Failed, len(out.Began), what, out.Sample)
	s.log("%s: %v", s.database, err)
	if 2*out.Failed > len(out.Began) {
		return err
	}
	return nil
}

// deliver starts operations at plain or Ringback and waits until each has got its
// first callback.
func (s *testbed) deliver(ctx context.Context, subject string, l load) (out result, got map[string][]arrival, err error) {
	switch {
	case subject == "plain":
		l = l.to("ok")
	case l.Endpoint == "":
		l = l.to(endpointOK)
	}
	if out, err = s.begin(ctx, subject, l); err != nil {
		return out, nil, err
	}
	l.Count -= out.Failed
	got, err = s.arrivals(ctx, l, 2*time.Minute)
	return out, got, err
}

// begin starts operations at plain or Ringback.
func (s *testbed) begin(ctx context.Context, subject string, l load) (result, error) {
	if subject == "plain" {
		return s.ask(ctx, s.plain, "start", l)
	}
	return s.call(ctx, "starts", l, s.startOperation)
}

// startRequest is what a core sends for an operation of Ukrcard's.
func startRequest(endpoint, id string) operation.StartRequest {
	registered := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	return operation.StartRequest{
		Endpoint: endpoint, OperationID: id, Method: "payment",
		Reference: operation.Reference{RegisteredAt: &registered},
	}
}

// startOperation starts an operation through the API.
func (s *testbed) startOperation(ctx context.Context, endpoint, id string) error {
	return s.create(ctx, startRequest(endpoint, id))
}

// create must create an operation.
func (s *testbed) create(ctx context.Context, r operation.StartRequest) error {
	return createAt(ctx, s.api, r)
}

func createAt(ctx context.Context, api *apiclient.Client, r operation.StartRequest) error {
	status, err := api.Call(ctx, http.MethodPost, "/v1/operations", r, nil)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("the start of %s was answered with %d", r.Key().WorkflowID(), status)
	}
	return err
}

// usedCPU is the CPU time so far of the subject, the server and the database.
func (s *testbed) usedCPU(subject *role) (used time.Duration, err error) {
	for _, r := range append([]*role{subject, s.server}, s.others...) {
		process, err := cpuOf(r.PID(), false)
		if err != nil {
			return 0, err
		}
		used += process
	}
	if s.cluster == nil {
		return used, nil
	}
	database, err := cpuOf(s.cluster.PID(), true)
	return used + database, err
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
	s.drain()
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

// drainedBy says that operations end within d, which what must not overlap them waits for.
func (s *testbed) drainedBy(d time.Duration) {
	if by := time.Now().Add(d); by.After(s.drained) {
		s.drained = by
	}
}

func (s *testbed) drain() { time.Sleep(time.Until(s.drained)) }

const (
	idleTimeout = 20 * time.Second
	idleSeconds = 4
	// idleCPU is how much CPU time an idle second may take, with the server's own
	// housekeeping.
	idleCPU = 40 * time.Millisecond
)

// awaitIdle waits for some idle seconds, for at most idleTimeout.
func (s *testbed) awaitIdle(ctx context.Context, subject *role) error {
	s.drain()
	idle := 0
	before, err := s.usedCPU(subject)
	for begun := time.Now(); err == nil && idle < idleSeconds && time.Since(begun) < idleTimeout; {
		time.Sleep(time.Second)
		var after time.Duration
		after, err = s.usedCPU(subject)
		if idle++; after-before > idleCPU {
			idle = 0
		}
		before = after
		err = errors.Join(err, ctx.Err())
	}
	return err
}

// arrivals waits until every operation of the load has got a callback, and returns
// all attempts by operation id.
func (s *testbed) arrivals(ctx context.Context, l load, within time.Duration) (map[string][]arrival, error) {
	if err := s.await(ctx, "count arrivals", l, l.Count, within); err != nil {
		return nil, err
	}
	out, err := s.simulator.ask(ctx, Request{Do: "arrivals", Prefix: l.Prefix + "-"})
	return out.Arrivals, err
}

// await waits until the simulator has counted n of the load.
func (s *testbed) await(ctx context.Context, do string, l load, n int, within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(25 * time.Millisecond) {
		out, err := s.simulator.ask(ctx, Request{Do: do, Prefix: l.Prefix + "-"})
		if err != nil || out.Count >= n {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d within %v, not %d", do, out.Count, within, n)
		}
	}
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
