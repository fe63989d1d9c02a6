package drill

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/demo"
	"ringback/dev/port"
	"ringback/dev/proc"
	"ringback/internal/operation"
)

const (
	// patience bounds every wait for something that should happen soon.
	patience = 2 * time.Minute
	grace    = 30 * time.Second
)

// site is Ringback as it is installed, with all that it needs.
type site struct {
	Options
	world *demo.World
	dir   string
	log   *os.File
	ui    string
	// held are the addresses of temporal, the API, and the metrics of api and worker.
	held                                   []*port.Held
	temporalAt, apiAt, metricsAt, workerAt string
	temporal, api, worker                  *proc.Process
	// core is a core's client of the API, and engineers one with the engineers' key.
	core, engineers *apiclient.Client
	// browser is the key with which the UI opens what is sealed.
	browser string
	// build is in the environment of both programs.
	build []string
}

func (s *site) open(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "ringback-drill"); err != nil {
		return fmt.Errorf("making the drill's folder: %w", err)
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "ringback.log")); err != nil {
		return fmt.Errorf("making the drill's log: %w", err)
	}
	for _, address := range []*string{&s.temporalAt, &s.apiAt, &s.metricsAt, &s.workerAt} {
		held, err := port.HoldAny(ctx)
		if err != nil {
			return err
		}
		s.held = append(s.held, held)
		*address = held.String()
	}
	if s.world, err = demo.Start(); err != nil {
		return err
	}
	if err := s.startTemporal(ctx); err != nil {
		return err
	}
	if s.UI != nil {
		if s.ui, err = s.UI(ctx, s.temporalAt, s.codec()); err != nil {
			return err
		}
	}
	if err := s.configure(); err != nil {
		return err
	}
	return s.startPrograms(ctx)
}

func (s *site) close() error {
	var errs []error
	for _, p := range []*proc.Process{s.api, s.worker, s.temporal} {
		if p != nil {
			errs = append(errs, p.Kill())
		}
	}
	if s.world != nil {
		errs = append(errs, s.world.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(append(errs, port.Release(s.held...), os.RemoveAll(s.dir))...)
}

// codec is where the API opens sealed payloads for the UI.
func (s *site) codec() string { return "http://" + s.apiAt + "/codec" }

func (s *site) file(program string) string { return filepath.Join(s.dir, program+".yml") }

// configure writes the demo's configuration, quicker and with keys, for each program.
func (s *site) configure() error {
	path, err := s.world.WriteConfig(s.dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s.core = &apiclient.Client{Base: "http://" + s.apiAt, Key: rand.Text(), MaxAttempts: 40}
	s.browser = rand.Text()
	s.engineers = &apiclient.Client{Base: s.core.Base, Key: rand.Text(), MaxAttempts: 40}
	for _, id := range []string{"A", "B"} {
		key := sha256.Sum256([]byte(rand.Text()))
		if err := os.Setenv("RINGBACK_DRILL_CODEC_"+id, base64.StdEncoding.EncodeToString(key[:])); err != nil {
			return err
		}
	}
	hooks := s.world.StandardReceiver.URL() + "/hooks"
	changed := strings.NewReplacer("1500ms", "200ms", "2s, 3s, 3s", "500ms, 500ms, 500ms", "interval: 2s", "interval: 500ms",
		"api: {listen: 127.0.0.1:8080}", fmt.Sprintf(`api:
  listen: 127.0.0.1:8080
  max_starts: 4
  keys:
    - {name: core, sha256: %x, scopes: [start, push, withdraw, revoke, read]}
    - {name: engineers, sha256: %x, scopes: [read, redeliver, ping]}
    - {name: browser, sha256: %x, scopes: [codec]}
codec: {keys: [%s], server: {origins: [%q]}}`, sha256.Sum256([]byte(s.core.Key)), sha256.Sum256([]byte(s.engineers.Key)),
			sha256.Sum256([]byte(s.browser)), codecKey("A"), cmp.Or(s.ui, "http://127.0.0.1:8233"))).Replace(string(text)) + fmt.Sprintf(`
  # It takes one attempt at a time.
  NARROW:
    dialect: standard
    source: wallet
    url: %q
    max_concurrent: 1
    poll: {interval: 500ms, lifetime: 1h}
    delivery: {interval: 200ms, attempts: 3, timeout: 10s}
`, hooks)
	for _, program := range []string{"api", "worker"} {
		if err := os.WriteFile(s.file(program), []byte(changed), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func codecKey(id string) string {
	return fmt.Sprintf(`{id: %s, key: "${env:RINGBACK_DRILL_CODEC_%[1]s}"}`, id)
}

func (s *site) startTemporal(ctx context.Context) (err error) {
	command := s.Temporal(s.temporalAt, filepath.Join(s.dir, "temporal"))
	if s.temporal, err = proc.Start(command); err != nil {
		return err
	}
	_, err = await(ctx, s.temporal, `Temporal +(\S+), namespace`)
	return err
}

func (s *site) startPrograms(ctx context.Context) error {
	return errors.Join(s.startAPI(ctx), s.startWorker(ctx))
}

func (s *site) startAPI(ctx context.Context) (err error) {
	arguments := []string{"-listen", s.apiAt, "-telemetry-listen", s.metricsAt, "-worker=false"}
	if s.ui != "" {
		arguments = append(arguments, "-ui-url", s.ui)
	}
	s.api, err = s.launch(ctx, "api", arguments...)
	return err
}

func (s *site) startWorker(ctx context.Context) (err error) {
	s.worker, err = s.launch(ctx, "worker", "-telemetry-listen", s.workerAt)
	return err
}

// launch runs a program of Ringback, with its log in the drill's.
func (s *site) launch(ctx context.Context, program string, arguments ...string) (*proc.Process, error) {
	command := exec.Command(filepath.Join(s.Programs, program), append([]string{"-config", s.file(program)}, arguments...)...) //nolint:gosec,noctx // ended by its process id, and no shell
	command.Env = append(append(os.Environ(), "TEMPORAL_ADDRESS="+s.temporalAt, "TEMPORAL_NAMESPACE="+client.DefaultNamespace), s.build...)
	command.Stdout = s.log
	process, err := proc.Start(command)
	if err != nil {
		return nil, err
	}
	_, err = await(ctx, process, `"msg":"running"`)
	return process, err
}

// stop stops a program as an operator does.
func stop(p *proc.Process) error { return p.Stop(syscall.SIGTERM, grace) }

func await(ctx context.Context, p *proc.Process, pattern string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Await(ctx, pattern)
}

// rewrite replaces a piece of a program's file, and has it read again.
func (s *site) rewrite(ctx context.Context, program, old, by string) error {
	return s.reread(ctx, program, old, by, reloaded)
}

// reread is rewrite until the program says that.
func (s *site) reread(ctx context.Context, program, old, by, says string) error {
	text, err := os.ReadFile(s.file(program))
	if err != nil {
		return err
	}
	changed := strings.Replace(string(text), old, by, 1)
	if changed == string(text) {
		return fmt.Errorf("the file of %s has no %q", program, old)
	}
	if err := os.WriteFile(s.file(program), []byte(changed), 0o600); err != nil {
		return err
	}
	process := s.worker
	if program == "api" {
		process = s.api
	}
	said := strings.Count(process.Output(), says)
	if err := process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	_, err = await(ctx, process, fmt.Sprintf("(?s)(%s.*){%d}", says, said+1))
	return err
}

const (
	reloaded   = "the configuration is reloaded"
	notInForce = "the configuration is refused"
)

// shell is the file that prepares a shell for the runbook's commands.
func (s *site) shell() string { return filepath.Join(s.dir, "shell.sh") }

// shellText is what the runbook's commands expect.
const shellText = `export RINGBACK_API=http://%s RINGBACK_TELEMETRY=http://%s RINGBACK_API_KEY=%s
export ENDPOINT=%s SOURCE=%s OPERATION=%s
export METRICS="%[2]s %[7]s"
logs() { cat %[8]s; }
reload() { kill -HUP %[9]d %[10]d; }
metrics() {
  for address in $METRICS; do
    curl -fsS -H "Authorization: Bearer $RINGBACK_API_KEY" "http://$address/metrics" | sed "/^#/d; s/^/$address /"
  done | grep -E "$1"
}
`

// writeShell writes what the runbook expects, as it is here. The file appears at once.
func (s *site) writeShell(scene Scene) error {
	text := fmt.Sprintf(shellText, s.apiAt, s.metricsAt, s.engineers.Key, scene.Endpoint, scene.Source, scene.Operation,
		s.workerAt, s.log.Name(), s.api.PID(), s.worker.PID())
	next := s.shell() + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.shell())
}

// metrics are the lines that the programs show, each behind its program's name.
func (s *site) metrics(ctx context.Context) string {
	var all strings.Builder
	for _, program := range []struct{ name, address string }{{"api", s.metricsAt}, {"worker", s.workerAt}} {
		text, err := s.scrape(ctx, program.address)
		if err != nil {
			text = "shows no metrics"
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") {
				_, _ = fmt.Fprintf(&all, "%-6s  %s\n", program.name, strings.TrimSpace(line))
			}
		}
	}
	return all.String()
}

func (s *site) scrape(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+s.engineers.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d", response.StatusCode)
	}
	return string(text), err
}

// awaitMetric waits for a line of the metrics that matches pattern, another than those of
// before.
func (s *site) awaitMetric(ctx context.Context, pattern string, before ...string) (string, error) {
	return awaitLine(ctx, func() []string {
		return slices.DeleteFunc(s.matching(ctx, pattern), func(line string) bool { return slices.Contains(before, line) })
	}, pattern)
}

// matching are the lines of the metrics that match pattern.
func (s *site) matching(ctx context.Context, pattern string) []string {
	return linesOf(pattern, s.metrics(ctx))
}

// awaitLog is awaitMetric of the programs' log.
func (s *site) awaitLog(ctx context.Context, pattern string) (string, error) {
	return awaitLine(ctx, func() []string { return linesOf(pattern, s.api.Output()+s.worker.Output()) }, pattern)
}

func linesOf(pattern, text string) []string {
	return regexp.MustCompile("(?m)^.*"+pattern+".*$").FindAllString(text, -1)
}

// awaitLine waits until read finds something, and returns the last of it.
func awaitLine(ctx context.Context, read func() []string, what string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if all := read(); len(all) > 0 {
			return all[len(all)-1], nil
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return "", fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended waits until an operation has ended with that outcome.
func (s *site) ended(ctx context.Context, key operation.Key, want operation.Outcome) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state, err := s.engineers.Await(ctx, key, func(state operation.State) bool { return state.Outcome == want })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("bin/starter state %s %s: %s", key.Endpoint, key.OperationID, state.Outcome), nil
}
