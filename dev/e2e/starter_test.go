package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

var writeDocs = flag.Bool("write-docs", false, "write what starter answers into docs/starter.md, instead of comparing")

const starterDocument = "../../docs/starter.md"

// example is a block of commands in the document, and what it answers.
var example = regexp.MustCompile("(?s)```sh\n(.*?)```\n```\n(.*?)```\n")

// TestEveryCommandInTheDocumentOnStarterAnswersAsShown runs the document from
// its top to its end, as a person would, on a real server.
func TestEveryCommandInTheDocumentOnStarterAnswersAsShown(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, startServer(t), policies{
		poll:     "{schedule: [2s, 2s], lifetime: 1m}",
		delivery: "{interval: 500ms, attempts: 3, timeout: 5s}",
	})
	_, api := w.api(t, "127.0.0.1:0", "-ui-url", "http://127.0.0.1:8233")
	w.prepareDocument(t, api)
	shell := newShell(t, w, api)
	document, err := os.ReadFile(starterDocument)
	require.NoError(t, err)
	examples := example.FindAllStringSubmatch(string(document), -1)
	require.Len(t, examples, strings.Count(string(document), "```sh\n"), "each has its answer below it")
	for _, found := range examples {
		commands, expected := found[1], found[2]
		w.before(t, shell, commands)
		got := shell.run(t, commands)
		if *writeDocs {
			time.Sleep(settled(commands))
			if settled(commands) > 0 {
				got = shell.run(t, commands)
			}
			document = bytes.Replace(document, []byte(found[0]), []byte("```sh\n"+commands+"```\n```\n"+got+"```\n"), 1)
			continue
		}
		for until := time.Now().Add(settled(commands)); plain(got) != plain(expected) && time.Now().Before(until); {
			time.Sleep(200 * time.Millisecond)
			got = shell.run(t, commands)
		}
		require.Equal(t, plain(expected), plain(got), "%s\nanswered\n%s", commands, got)
	}
	if *writeDocs {
		require.NoError(t, os.WriteFile(starterDocument, document, 0o600))
	}
}

// settled is how long a list may take to show what was done before.
func settled(commands string) time.Duration {
	if strings.HasPrefix(commands, "starter list") || strings.Contains(commands, "--dry-run") || commands == "starter redeliveries\n" {
		return 20 * time.Second
	}
	return 0
}

// prepareDocument begins what the document is about.
func (w *environment) prepareDocument(t *testing.T, api *apiclient.Client) {
	t.Helper()
	w.wsgate.Script("ORDER-1", simulator.Statuses(0, 0, 2)...)
	w.ukrcard.Script("ORDER-1", failing(http.StatusInternalServerError), unacknowledging(), simulator.Acknowledge)
	for _, id := range []string{"1002", "1003", "1004"} {
		w.core.SetStatus(id, "done")
		w.standard.Script(id, failing(http.StatusServiceUnavailable))
		require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, start(t, api, entry(id))).Outcome)
	}
	for _, id := range []string{"1005", "1006"} {
		w.core.SetStatus(id, "reserved")
		known := entry(id)
		known.KnownStatus = "reserved"
		awaitState(t, api, start(t, api, known), observed)
	}
}

// before does what happens between the document's commands.
func (w *environment) before(t *testing.T, s *shell, commands string) {
	t.Helper()
	switch {
	case strings.HasPrefix(commands, "starter redeliver LEDGER 1002"):
		for _, id := range []string{"1002", "1003", "1004"} {
			w.standard.Script(id, simulator.Acknowledge)
		}
	case strings.HasPrefix(commands, "starter redeliver --endpoint LEDGER"):
		require.Eventually(t, func() bool { return s.run(t, "starter list --failed --endpoint LEDGER --count") == "2\n" },
			patience, 200*time.Millisecond, "visibility knows that 1002 was redelivered")
	case strings.HasPrefix(commands, "cat headers.txt"):
		all := w.standard.Received("ringback-ping-" + s.pinged(t))
		require.Len(t, all, 1)
		var headers strings.Builder
		for _, name := range slices.Sorted(maps.Keys(all[0].Header)) {
			fmt.Fprintf(&headers, "%s: %s\n", name, all[0].Header.Get(name))
		}
		s.write(t, "headers.txt", headers.String())
		s.write(t, "body.json", string(all[0].Body))
		s.write(t, "secret.txt", signingSecret+"\n")
	}
}

// shell runs commands with starter on its path, in a folder of its own.
type shell struct {
	dir, path string
	env       []string
	// ports are written as the document has them.
	ports  *strings.Replacer
	back   *strings.Replacer
	output string
}

func newShell(t *testing.T, w *environment, api *apiclient.Client) *shell {
	t.Helper()
	var pairs, back []string
	for shown, address := range map[string]string{
		"127.0.0.1:8080": strings.TrimPrefix(api.Base, "http://"), "127.0.0.1:9101": strings.TrimPrefix(w.ukrcard.URL(), "http://"),
		"127.0.0.1:9102": strings.TrimPrefix(w.paysera.URL(), "http://"), "127.0.0.1:9103": strings.TrimPrefix(w.standard.URL(), "http://"),
		"127.0.0.1:9199": unused(t), "127.0.0.1:9464": telemetryAddress(t, api),
	} {
		pairs, back = append(pairs, address, shown), append(back, shown, address)
	}
	s := &shell{dir: t.TempDir(), path: filepath.Dir(program(t, "starter")), ports: strings.NewReplacer(pairs...), back: strings.NewReplacer(back...)}
	s.env = append(os.Environ(), "PATH="+s.path+string(os.PathListSeparator)+os.Getenv("PATH"), "RINGBACK_API="+api.Base, "RINGBACK_TELEMETRY=http://"+telemetryAddress(t, api), "RINGBACK_API_KEY=", "TERM=dumb")
	return s
}

// unused is an address that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	return address
}

func (s *shell) run(t *testing.T, commands string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-c", s.back.Replace(commands))
	command.Dir, command.Env = s.dir, s.env
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s\n%s", commands, out)
	s.output += string(out)
	return s.ports.Replace(string(out))
}

var pingedID = regexp.MustCompile(`Test callback ringback-ping-(\S+) to LEDGER`)

// pinged is the last ping's id.
func (s *shell) pinged(t *testing.T) string {
	t.Helper()
	found := pingedID.FindStringSubmatch(s.output)
	require.NotNil(t, found)
	return found[1]
}

func (s *shell) write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600))
}

// varying is what differs from one run to the next.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b\d+m?s ago`), "AGE ago"},
	{regexp.MustCompile(`\b\d+ ms`), "N ms"},
	{regexp.MustCompile(`(?m)^(Version +)\S+$`), "${1}V"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "RUN"},
	{regexp.MustCompile(`\brd_[a-z2-7]{26}`), "rd_ID"},
	{regexp.MustCompile(`(cb_ping_|ringback-ping-)[a-z2-7]{10}`), "${1}ID"},
	{regexp.MustCompile(`(?mi)^(> )?webhook-timestamp: \d+$`), "${1}webhook-timestamp: N"},
	{regexp.MustCompile(`&date=\d+`), "&date=N"},
	{regexp.MustCompile(`v1,[A-Za-z0-9+/=]{44}`), "v1,SIGNATURE"},
	{regexp.MustCompile(`whpk_[A-Za-z0-9+/=]{44}`), "whpk_KEY"},
	{regexp.MustCompile(`sha256: [0-9a-f]{64}`), "sha256: DIGEST"},
	{regexp.MustCompile(`(?m)^(< )?(Date|Last-Modified|Server): .*$`), "${1}${2}: DAY"},
	{regexp.MustCompile(`(?m)^(Configuration +)[0-9a-f]{12}$`), "${1}HASH"},
	{regexp.MustCompile(`(its hash is )[0-9a-f]{12}`), "${1}HASH"},
	{regexp.MustCompile(`Connected to 127.0.0.1:\d+`), "Connected to ADDRESS"},
	// How many looks it takes to follow something is chance, and what each sees.
	{regexp.MustCompile(`(?m)^\d+ of \d+  done .*\n`), ""},
	{regexp.MustCompile(`(?m)^TIME +(poll \d+ +status|status) +0\b.*\n`), ""},
	{regexp.MustCompile(`(?m)^TIME +poll \d+ +status +(\S+)`), "TIME  status  $1"},
	{regexp.MustCompile(`(?m) \(\d+ polls\)$`), ""},
	{regexp.MustCompile(` {2,}`), "  "},
}

// plain is text without what varies.
func plain(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.instead)
	}
	return text
}
