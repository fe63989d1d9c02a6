package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ringback/dev/child"
	"ringback/dev/cli"
	"ringback/dev/postgres"
	"ringback/internal/app"
)

const (
	// roleVariable makes this binary one of the programs that are measured.
	roleVariable = "RINGBACK_OVERLOAD_ROLE"
	// logVariable is the file that a role logs to.
	logVariable = "RINGBACK_OVERLOAD_LOG"
	// password is the simulated cores'.
	password = "RINGBACK_OVERLOAD_PASSWORD"
)

// play is the program that a role is.
func play(role string, arguments []string) int {
	log, err := os.OpenFile(os.Getenv(logVariable), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // the stage's own
	if err != nil {
		return 1
	}
	os.Stderr = log
	if role == "temporal" {
		return cli.Main(arguments, os.Stdout, log)
	}
	return app.Program{Name: role, API: role == "api"}.Main(arguments, log)
}

// stage is PostgreSQL, Temporal, api and worker, each a process of its own.
type stage struct {
	dir         string
	cluster     *postgres.Cluster
	programs    map[string]*child.Process
	base, key   string
	workerProbe string
}

func openStage(ctx context.Context, world string) (_ *stage, err error) {
	s := &stage{programs: map[string]*child.Process{}, key: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "ringback-overload"); err != nil {
		return s, err
	}
	// PostgreSQL runs as another user where this process is root's.
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // the database's own directory is closed to others
		return s, err
	}
	if s.cluster, err = postgres.Start(ctx, postgres.Options{Dir: s.dir}); err != nil {
		return s, err
	}
	temporal, err := s.start("temporal", "", "-temporal-only", "-temporal-addr", "127.0.0.1:0", "-postgres", s.cluster.URL("temporal"))
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	address, err := temporal.Await(ctx, `Temporal +(\S+), namespace`)
	if err != nil {
		return s, err
	}
	return s, s.startRingback(ctx, address, world)
}

func (s *stage) startRingback(ctx context.Context, temporal, world string) error {
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	config := filepath.Join(s.dir, "ringback.yml")
	if err := os.WriteFile(config, []byte(configuration(addresses[0], s.key, world)), 0o600); err != nil {
		return err
	}
	s.base, s.workerProbe = "http://"+addresses[0], "http://"+addresses[1]
	if _, err := s.start("api", temporal, "-config", config); err != nil {
		return err
	}
	if _, err := s.start("worker", temporal, "-config", config, "-telemetry-listen", addresses[1]); err != nil {
		return err
	}
	return errors.Join(ready(ctx, s.base), ready(ctx, s.workerProbe))
}

func (s *stage) start(role, temporal string, arguments ...string) (*child.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	command := exec.Command(self, arguments...) //nolint:gosec,noctx // itself; close ends it in order
	command.Env = append(os.Environ(), roleVariable+"="+role, logVariable+"="+filepath.Join(s.dir, role+".log"),
		password+"=not-a-secret", "TEMPORAL_ADDRESS="+temporal)
	process, err := child.Start(command)
	if err != nil {
		return nil, err
	}
	s.programs[role] = process
	return process, nil
}

func freeAddresses(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // opened and closed, on loopback
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// ready waits until a program says that it is.
func ready(ctx context.Context, base string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := (&http.Client{}).Do(request)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be ready: %w", base, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

const stopGrace = time.Minute

// close ends all, the server of the others last, and removes its data.
func (s *stage) close() error {
	var errs []error
	for _, role := range []string{"api", "worker", "temporal"} {
		if p := s.programs[role]; p != nil {
			errs = append(errs, p.Stop(syscall.SIGTERM, stopGrace))
		}
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// metrics are the lines of a program's metrics that begin so.
func metrics(ctx context.Context, base, key string, prefixes ...string) []string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/metrics", nil)
	if err != nil {
		return nil
	}
	request.Header.Set("Authorization", "Bearer "+key)
	answer, err := (&http.Client{}).Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	var found []string
	for line := range strings.Lines(string(text)) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(line, prefix) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// resident is how much memory a process holds, in MiB; 0 where that can't be read.
func resident(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

// The endpoints. Those that fail do so until they are healed.
const (
	quick = "QUICK"
	// failingNear is rung again by the worker that waits, failingFar by the
	// server; likewise the watches.
	failingNear = "FAILING_NEAR"
	failingFar  = "FAILING_FAR"
	watchedNear = "WATCHED_NEAR"
	watchedFar  = "WATCHED_FAR"
	// quiet is watched so rarely that nothing happens to it.
	quiet = "QUIET"
)

// The gaps of those endpoints.
const (
	hNear   = 2 * time.Second
	hFar    = 8 * time.Second
	gapNear = 5 * time.Second
	gapFar  = 15 * time.Second
)

func configuration(listen, key, world string) string {
	sum := sha256.Sum256([]byte(key))
	var b strings.Builder
	fmt.Fprintf(&b, `api:
  listen: %s
  keys: [{name: overload, sha256: %x, scopes: [start, read, revoke, redeliver]}]
  rate_limit: {per_second: 100000, burst: 100000, changes_per_second: 100000, changes_burst: 100000}
egress: {allow: [127.0.0.0/8]}
sources:
  wsgate: {kind: ukrcard, base_urls: [%q], ext_system_id: OVERLOAD, login: overload, password: "${env:%s}", client_dn: OVERLOAD}
endpoints:
`, listen, sum, world, password)
	endpoint := func(name, how, poll, delivery string) {
		fmt.Fprintf(&b, "  %s: {dialect: ukrcard, source: wsgate, url: %q, poll: %s, delivery: %s}\n", name, world+"/callback/"+how, poll, delivery)
	}
	const usual, rare = "{interval: 3s, attempts: 10, timeout: 10s}", "{interval: 12h, lifetime: 48h}"
	endpoint(quick, "ok", "{schedule: [500ms, 1s, 5s], lifetime: 20m}", usual)
	endpoint(quiet, "ok", rare, usual)
	endpoint(failingNear, "fail", rare, fmt.Sprintf("{interval: %s, attempts: 1000, timeout: 10s}", hNear))
	endpoint(failingFar, "fail", rare, fmt.Sprintf("{interval: %s, attempts: 1000, timeout: 10s}", hFar))
	endpoint(watchedNear, "ok", fmt.Sprintf("{interval: %s, lifetime: 1h}", gapNear), usual)
	endpoint(watchedFar, "ok", fmt.Sprintf("{interval: %s, lifetime: 1h}", gapFar), usual)
	return b.String()
}
