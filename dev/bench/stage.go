package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ringback/dev/postgres"
)

// stage is one database with everything that is measured on it, each in a
// process of its own: the Temporal server, the floor, plain, Ringback with and
// without its HTTP API, and, measured nowhere, the world. The load generator
// is this process.
type stage struct {
	database string
	dir      string
	cluster  *postgres.Cluster
	server   *role
	address  string
	world    *role
	worldURL string
	floor    *role
	plain    *role
	ringback *role
	desk     *role
	api      *api
	config   string
	key      apiKey
	// none is how Ringback rested with no operation open.
	none   idleness
	opened []*role
	// profiles is where CPU profiles go; empty: none are made.
	profiles string
	// resting is what a subject costs with nothing to do, while polls are measured.
	resting map[string]time.Duration
	// serial keeps the ids of a stage apart.
	serial int
}

const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"
)

// openStage starts a server in a fresh directory, and the world. What is
// measured is started when it is first needed, so that it costs nothing before.
func (b *bench) openStage(ctx context.Context, settings serverSetup, database string) (_ *stage, err error) {
	s := &stage{database: database, world: b.world, worldURL: b.worldURL, profiles: b.profiles, resting: map[string]time.Duration{}}
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
		// PostgreSQL runs as another user where this process is root's.
		if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
			return s, fmt.Errorf("open the database's directory: %w", err)
		}
		if s.cluster, err = postgres.Start(ctx, postgres.Options{Dir: s.dir}); err != nil {
			return s, err
		}
		settings.Dir, settings.Postgres = "", s.cluster.URL("temporal")
	}
	if s.server, err = s.start(ctx, "server", settings, &s.address); err != nil {
		return s, err
	}
	s.floor, err = s.start(ctx, "floor", temporalSetup{Temporal: s.address}, nil)
	return s, err
}

// openSubjects starts plain and Ringback.
func (s *stage) openSubjects(ctx context.Context, gaps []time.Duration) (err error) {
	s.key = newKey()
	if s.config, err = writeConfig(s.dir, s.worldURL, s.key, gaps); err != nil {
		return err
	}
	if s.plain, err = s.start(ctx, "plain", temporalSetup{Temporal: s.address, World: s.worldURL}, nil); err != nil {
		return err
	}
	return s.openRingback(ctx)
}

func (s *stage) openRingback(ctx context.Context) (err error) {
	var base string
	s.ringback, err = s.start(ctx, "ringback", temporalSetup{Temporal: s.address, Config: s.config}, &base)
	s.api = newAPI(base, s.key.secret)
	return err
}

// openDesk starts Ringback without its HTTP API. It serves the same task queue,
// so that Ringback must have been closed before.
func (s *stage) openDesk(ctx context.Context) (err error) {
	s.desk, err = s.start(ctx, "desk", temporalSetup{Temporal: s.address, Config: s.config}, nil)
	return err
}

func (s *stage) start(ctx context.Context, name string, settings, reply any) (*role, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := startRole(ctx, name, settings, reply)
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", s.database, err)
	}
	s.opened = append(s.opened, r)
	if s.profiles == "" {
		return r, nil
	}
	file := filepath.Join(s.profiles, fmt.Sprintf("%s-%s-%d.pprof", s.database, name, r.pid()))
	return r, r.ask(ctx, order{Do: profiling, Path: file}, nil)
}

// closeRole ends one process before the others.
func (s *stage) closeRole(r *role) error {
	for i, o := range s.opened {
		if o == r {
			s.opened = append(s.opened[:i], s.opened[i+1:]...)
			return r.stop()
		}
	}
	return nil
}

// close ends every process of the stage, the last first, and removes its data.
func (s *stage) close() error {
	var errs []error
	for i := len(s.opened) - 1; i >= 0; i-- {
		errs = append(errs, s.opened[i].stop())
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// used is the CPU time so far of the subject, the server and the database.
func (s *stage) used(subject *role) (time.Duration, error) {
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

// prefix is a new one, for ids whose core calls them final at the given question.
func (s *stage) prefix(finalAt int) string {
	s.serial++
	return fmt.Sprintf("f%d%s%d", finalAt, s.database[:1], s.serial)
}

// settle lets what follows an operation's end be done: closing tasks and
// visibility.
const settle = 1200 * time.Millisecond

// cost runs work and returns the CPU that the subject, the server and the
// database used for it, and for what followed it.
func (s *stage) cost(subject *role, work func() error) (time.Duration, error) {
	before, err := s.used(subject)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	time.Sleep(settle)
	after, err := s.used(subject)
	return after - before, err
}

// rest waits until what was started has come to rest, for at most restAtMost.
func (s *stage) rest(ctx context.Context, subject *role) error {
	quiet := 0
	for begun := time.Now(); quiet < quietSeconds && time.Since(begun) < restAtMost; {
		before, err := s.used(subject)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		after, err := s.used(subject)
		if err != nil {
			return err
		}
		if quiet++; after-before > quietCPU {
			quiet = 0
		}
	}
	return nil
}

const (
	restAtMost   = time.Minute
	quietSeconds = 4
	// quietCPU is how much CPU a quiet second may cost, the server's own
	// housekeeping included.
	quietCPU = 40 * time.Millisecond
)

// arrivals waits until every operation of the load was rung, and returns when.
func (s *stage) arrivals(ctx context.Context, l load, within time.Duration) (map[string][]arrival, error) {
	deadline := time.Now().Add(within)
	for {
		var n int
		if err := s.world.ask(ctx, order{Do: "arrived", Prefix: l.Prefix + "-"}, &n); err != nil {
			return nil, err
		}
		if n >= l.Count {
			break
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("on %s, only %d of %d operations were rung within %v", s.database, n, l.Count, within)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
	var got map[string][]arrival
	err := s.world.ask(ctx, order{Do: "arrivals", Prefix: l.Prefix + "-"}, &got)
	return got, err
}

// latencies are from each call's beginning to its first arrival.
func latencies(l load, out loaded, got map[string][]arrival) []time.Duration {
	var all []time.Duration
	for i, began := range out.Began {
		if a := got[l.id(i)]; len(a) > 0 && out.Took[i] > 0 {
			all = append(all, time.Duration(a[0].Came-began))
		}
	}
	return all
}

// lasted is from the first start to the last arrival.
func lasted(out loaded, got map[string][]arrival) time.Duration {
	first, last := out.Began[0], int64(0)
	for _, began := range out.Began {
		first = min(first, began)
	}
	for _, a := range got {
		last = max(last, a[0].Came)
	}
	return time.Duration(last - first)
}
