//go:build docker

package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/port"
	"ringback/dev/proc"
	"ringback/dev/simulator"
)

// standins are the targets of testdata/standins/Dockerfile, and the services whose image
// each stands in for: the names are those of the files under test.
var standins = map[string]string{
	"postgres": "postgresql", "server": "temporal", "admin-tools": "schema", "ui": "temporal-ui",
	"prometheus": "prometheus", "grafana": "grafana",
}

// site is a copy of the repository in which docker-compose.yml is up, on an engine of its
// own, and the core and the receiver that it talks to, on this machine.
type site struct {
	dir         string
	environment []string
	ports       map[string]*port.Held
	core        *simulator.PayseraCore
	receiver    *simulator.Receiver
	api         *apiclient.Client
}

// TestDockerRunsTheComposeFile types what docker-compose.yml and the documents say, and
// looks at what comes of it. Of the images it pulls none: Ringback's is built by its
// Dockerfile, the others are stand-ins (testdata/standins). So it shows nothing of
// PostgreSQL 16, Prometheus 3, Grafana and Alpine's tools.
func TestDockerRunsTheComposeFile(t *testing.T) {
	s := newSite(t)
	for _, step := range []struct {
		name string
		play func(*testing.T, *site)
	}{
		{"the first lines bring it up", bringUp},
		{"a started operation is called back and acknowledged", acknowledge},
		{"a reload tells in words which file the image's user can't read", refuseUnreadable},
		{"an upgrade of the image keeps what is open", upgrade},
		{"down and up lose nothing", downAndUp},
		{"the profile telemetry scrapes both programs", scrape},
		{"the commands of the documents work", typeDocuments},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.play(t, s) }) {
			t.Log(s.try(t, "docker", "compose", "ps", "--all"))
			t.Fatal(s.try(t, "docker", "compose", "logs", "--tail", "10"))
		}
	}
}

// newSite starts the engine, copies the repository and builds the stand-ins.
func newSite(t *testing.T) *site {
	t.Helper()
	base, err := os.MkdirTemp("", "ringback-docker") //nolint:usetesting // sockets have short paths
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	s := &site{dir: filepath.Join(base, "ringback"), ports: map[string]*port.Held{}}
	s.environment = append(os.Environ(), "DOCKER_HOST="+startEngine(t, base))
	output(t, "sh", "-ec", `mkdir "$1"; cd `+root+`; git ls-files -z --cached --others --exclude-standard -- . :!dev |
		tar --create --null --files-from - | tar --extract --directory "$1"`, "sh", s.dir)
	s.buildStandins(t, filepath.Join(base, "standins"))
	t.Cleanup(func() {
		_, _ = s.try(t, "docker", "compose", "--profile", "telemetry", "down", "--volumes", "--timeout", "10")
	})

	host := bridge(t)
	s.core, err = simulator.StartPayseraCore(host+":0", simulator.PayseraOptions{MACID: "wkVd93h2uS", MACKey: "mac-key", Default: simulator.Steps("reserved")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.core.Close()) })
	s.receiver, err = simulator.StartReceiver(host+":0", "standard")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.receiver.Close()) })
	return s
}

// startEngine starts a dockerd whose files are all in base, and returns its address. Its
// networks are those of RFC 2544, which lie in the way of nothing that this machine reaches.
func startEngine(t *testing.T, base string) string {
	t.Helper()
	address := "unix://" + filepath.Join(base, "docker.sock")
	engine, err := proc.Start(exec.CommandContext(context.WithoutCancel(t.Context()), "dockerd", "--host", address,
		"--data-root", filepath.Join(base, "data"), "--exec-root", filepath.Join(base, "exec"), "--pidfile", filepath.Join(base, "pid"),
		"--bip", "198.18.0.1/24", "--default-address-pool", "base=198.19.0.0/16,size=24",
		"--default-ulimit", "nofile=4096:4096", "--default-ulimit", "nproc=4096:4096"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Stop(syscall.SIGTERM, time.Minute)) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = engine.Await(ctx, "API listen on")
	require.NoError(t, err, "this machine lets no dockerd run")
	return address
}

// bridge is the address of this machine that containers reach it by.
func bridge(t *testing.T) string {
	t.Helper()
	docker0, err := net.InterfaceByName("docker0")
	require.NoError(t, err)
	addresses, err := docker0.Addrs()
	require.NoError(t, err)
	address, _, err := net.ParseCIDR(addresses[0].String())
	require.NoError(t, err)
	return address.String()
}

// buildStandins builds each under the name of the image that it stands in for.
func (s *site) buildStandins(t *testing.T, folder string) {
	t.Helper()
	script, err := filepath.Abs("testdata/standins/context.sh")
	require.NoError(t, err)
	s.run(t, "sh", script, folder)
	p := telemetry(t)
	images := map[string]string{"golang": fromLines(t)[0]}
	for target, service := range standins {
		images[target] = p.Services[service].Image
	}
	for _, service := range p.Services {
		require.Contains(t, append(slices.Collect(maps.Values(images)), "ringback:local"), service.Image, "no stand-in")
	}
	services := map[string]any{}
	for target, image := range images {
		services[target] = map[string]any{"image": image, "build": map[string]any{
			"context": folder, "target": target, "args": map[string]string{"GOPROXY": output(t, "go", "env", "GOPROXY")},
		}}
	}
	file, err := json.Marshal(map[string]any{"name": "standins", "services": services})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "compose.json"), file, 0o600))
	// One after the other: side by side each would be sent the whole folder.
	s.run(t, "sh", "-c", `COMPOSE_PARALLEL_LIMIT=1 docker compose --file "$1" build >&2`, "sh", filepath.Join(folder, "compose.json"))
}

// try runs a command in the site's folder, and run says so and holds that it succeeds.
// Its stderr is seen at once, to which all but a build write their progress.
func (s *site) try(t *testing.T, name string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir, command.Env = s.dir, s.environment
	var errs bytes.Buffer
	command.Stderr = io.MultiWriter(&errs, os.Stderr)
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (s *site) run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	t.Log(time.Now().Format(time.TimeOnly), "$", name, strings.Join(arguments, " "))
	out, err := s.try(t, name, arguments...)
	require.NoError(t, err, out)
	return out
}

// write makes name in the site's folder from the example, with what is replaced in it,
// each of which must be there.
func (s *site) write(t *testing.T, name, example string, replaced map[string]string) {
	t.Helper()
	text := read(t, example)
	for old, replacement := range replaced {
		require.Containsf(t, text, old, "%s", example)
		text = strings.ReplaceAll(text, old, replacement)
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

// bringUp does what the first lines of docker-compose.yml say.
func bringUp(t *testing.T, s *site) {
	t.Helper()
	ports := map[string]string{"POSTGRES_PASSWORD=": "POSTGRES_PASSWORD=" + password}
	for _, variable := range []string{"API_PORT=8080", "UI_PORT=8233", "TEMPORAL_PORT=7233", "PROMETHEUS_PORT=9090", "GRAFANA_PORT=3000"} {
		held, err := port.HoldAny(t.Context())
		require.NoError(t, err)
		require.NoError(t, port.Release(held))
		name, _, _ := strings.Cut(variable, "=")
		s.ports[name] = held
		ports[variable] = fmt.Sprintf("%s=%d", name, held.AddrPort().Port())
	}
	s.write(t, ".env", ".env.example", ports)
	s.write(t, "deploy/ringback.env", "deploy/ringback.env.example", nil)
	s.run(t, "sh", "-c", "docker compose build >&2")
	var key struct{ Secret, YAML string }
	require.NoError(t, json.Unmarshal([]byte(s.keygen(t, "api-key", "--output", "json")), &key))
	digest := regexp.MustCompile(`[0-9a-f]{64}`).FindString(key.YAML)
	address, _, _ := strings.Cut(strings.TrimPrefix(s.core.URL(), "http://"), ":")
	// The attempts last longer than any command may take (try).
	s.write(t, "deploy/config/ringback.yml", "deploy/ringback.example.yml", map[string]string{
		strings.Repeat("deadbeef", 8): digest, "allow: [] ": "allow: [" + address + "/32]",
		"https://wallet.paysera.com": s.core.URL(), "https://ledger.example/hooks": s.receiver.URL(),
		"interval: 1m, lifetime: 24h": "interval: 1s, lifetime: 24h", "interval: 30s, attempts: 50": "interval: 2s, attempts: 1000",
	})
	s.write(t, "deploy/ringback.env", "deploy/ringback.env.example", map[string]string{
		"CODEC_KEY=": "CODEC_KEY=" + s.keygen(t, "codec"), "WSGATE_PASSWORD=": "WSGATE_PASSWORD=a-password", "PAYSERA_MAC_KEY=": "PAYSERA_MAC_KEY=mac-key",
		"SHOP_SIGNING_SECRET=": "SHOP_SIGNING_SECRET=" + s.keygen(t, "whsec"), "LEDGER_SIGNING_SECRET=": "LEDGER_SIGNING_SECRET=" + s.keygen(t, "whsec"),
	})
	s.run(t, "sh", "-ec", `umask 027; printf %s "$1" > deploy/prometheus.key; chgrp 65534 deploy/prometheus.key`, "sh", key.Secret)
	s.run(t, "docker", "compose", "up", "--build", "--wait")
	s.api = &apiclient.Client{Base: "http://" + s.ports["API_PORT"].String(), Key: key.Secret}
	require.Contains(t, s.run(t, "docker", "compose", "logs", "schema"), "schema: ready")
	require.Contains(t, s.run(t, "docker", "compose", "logs", "namespace"), "ringback made, retention 30d")
	requirePage(t, "http://"+s.ports["UI_PORT"].String()+"/namespaces/ringback/workflows")
}

func (s *site) keygen(t *testing.T, arguments ...string) string {
	t.Helper()
	return s.run(t, "docker", append([]string{"run", "--rm", "ringback:local", "/starter", "keygen"}, arguments...)...)
}

func requirePage(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode, address)
}

// start starts an operation that the receiver answers as replies say, and end waits
// until it is acknowledged.
func (s *site) start(t *testing.T, id string, replies ...simulator.Reply) apiclient.Key {
	t.Helper()
	s.receiver.Script(id, replies...)
	request := apiclient.StartRequest{Endpoint: "LEDGER", OperationID: id}
	_, created, err := s.api.Start(t.Context(), request)
	require.NoError(t, err)
	require.True(t, created)
	return request.Key()
}

func (s *site) end(t *testing.T, key apiclient.Key) {
	t.Helper()
	s.core.SetStatus(key.OperationID, "done")
	s.receiver.Script(key.OperationID, simulator.Acknowledge)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	state, err := s.api.Await(ctx, key, apiclient.Closed)
	require.NoError(t, err)
	require.Equal(t, apiclient.Outcome("acknowledged"), state.Outcome)
	require.Equal(t, "done", s.receiver.Received(key.OperationID)[len(s.receiver.Received(key.OperationID))-1].Status)
}

func acknowledge(t *testing.T, s *site) {
	t.Helper()
	s.end(t, s.start(t, "1001"))
}

// awaitLog waits until both programs have logged pattern since the moment before do.
func (s *site) awaitLog(t *testing.T, pattern string, do func()) {
	t.Helper()
	since := time.Now().UTC().Format(time.RFC3339Nano)
	do()
	for _, service := range []string{"api", "worker"} {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			out, err := s.try(t, "docker", "compose", "logs", "--no-log-prefix", "--since", since, service)
			assert.NoError(c, err)
			assert.Regexp(c, pattern, out)
		}, time.Minute, time.Second, service)
	}
}

// refuseUnreadable has both programs read the file by themselves, and then once more, with
// nothing changed, by the runbook's command.
func refuseUnreadable(t *testing.T, s *site) {
	t.Helper()
	reload := func() { s.run(t, "docker", "compose", "kill", "-s", "HUP", "api", "worker") }
	file := filepath.Join(s.dir, "deploy/config/ringback.yml")
	refused := `the configuration is refused.*/etc/ringback/ringback\.yml: permission denied to this program's user 65532 and group 65532: give it that owner, or that group and mode 0640`
	s.awaitLog(t, refused, func() { require.NoError(t, os.Chmod(file, 0o600)) })
	s.awaitLog(t, refused, reload)
	reloaded := `the configuration is reloaded`
	s.awaitLog(t, reloaded, func() {
		s.run(t, "sh", "-ec", `sed -i 's/attempts: 1000/attempts: 999/' "$1"; chgrp 65532 "$1"; chmod 0640 "$1"`, "sh", file)
	})
	s.awaitLog(t, reloaded, reload)
}

// open leaves one operation whose core has not decided and one whose receiver is away.
func (s *site) open(t *testing.T, watched, delivered string) []apiclient.Key {
	t.Helper()
	away := simulator.Reply{HTTPStatus: http.StatusServiceUnavailable}
	keys := []apiclient.Key{s.start(t, watched), s.start(t, delivered, away)}
	s.core.SetStatus(delivered, "done")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := s.receiver.Await(ctx, delivered, 2)
	require.NoError(t, err)
	return keys
}

func upgrade(t *testing.T, s *site) {
	t.Helper()
	keys := s.open(t, "1002", "1003")
	env, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	require.NoError(t, err)
	next := strings.Replace(string(env), "RINGBACK_VERSION=local", "RINGBACK_VERSION=v1.2.3", 1)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, ".env"), []byte(next), 0o600))
	s.run(t, "docker", "compose", "up", "--build", "--wait")
	for _, program := range []string{"api", "worker"} {
		require.Equal(t, program+" version v1.2.3", s.run(t, "docker", "compose", "exec", "-T", program, "/"+program, "-version"))
	}
	for _, key := range keys {
		s.end(t, key)
	}
}

func downAndUp(t *testing.T, s *site) {
	t.Helper()
	keys := s.open(t, "1004", "1005")
	s.run(t, "docker", "compose", "down")
	s.run(t, "docker", "compose", "up", "--wait")
	for _, key := range keys {
		s.end(t, key)
	}
	require.Contains(t, s.run(t, "docker", "compose", "logs", "namespace"), "ringback is there")
	state, err := s.api.State(t.Context(), apiclient.Key{Endpoint: "LEDGER", OperationID: "1001"})
	require.NoError(t, err)
	require.Equal(t, apiclient.Outcome("acknowledged"), state.Outcome, "what had ended is known as well")
}

func scrape(t *testing.T, s *site) {
	t.Helper()
	s.run(t, "docker", "compose", "--profile", "telemetry", "up", "--build", "--wait")
	prometheus := &apiclient.Client{Base: "http://" + s.ports["PROMETHEUS_PORT"].String()}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var found struct {
			Data struct {
				Result []struct {
					Metric struct{ Job string }
					Value  [2]any
				}
			}
		}
		_, err := prometheus.Call(t.Context(), http.MethodGet, "/api/v1/query?query=up", nil, &found)
		assert.NoError(c, err)
		up := map[string]any{}
		for _, result := range found.Data.Result {
			up[result.Metric.Job] = result.Value[1]
		}
		assert.Equal(c, map[string]any{"ringback-api": "1", "ringback-worker": "1"}, up)
	}, time.Minute, time.Second)
	requirePage(t, "http://"+s.ports["GRAFANA_PORT"].String()+"/api/health")
}

// typeDocuments types the other commands that the documents have for the compose file.
func typeDocuments(t *testing.T, s *site) {
	t.Helper()
	s.run(t, "docker", "compose", "exec", "-T", "api", "/starter", "ready", "--telemetry", "http://127.0.0.1:9464")
	require.Contains(t, s.run(t, "sh", "-c", "VISIBILITY_INDEXES=all docker compose run --rm -T schema"), "schema: all indexes")
	s.run(t, "sh", "-c", "docker compose exec -T --env PGUSER=temporal postgresql pg_dump --format custom temporal > temporal.dump")
	s.run(t, "sh", "-c", "docker compose exec -T postgresql pg_restore --list < temporal.dump")
	s.run(t, "docker", "compose", "restart", "api", "worker")
	s.run(t, "docker", "compose", "up", "--wait")
	s.end(t, s.start(t, "1006"))
}
