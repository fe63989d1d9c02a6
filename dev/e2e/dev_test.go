package e2e_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/internal/operation"
)

const storyEnded = "The story is told: each operation ended as it should."

// runStory runs the program dev on free ports until its story ends.
func runStory(t *testing.T, arguments ...string) (*proc.Process, *apiclient.Client) {
	t.Helper()
	process := dev(t, append(arguments, "-api-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0", "-telemetry-addr", "127.0.0.1:0", "-temporal-addr", "127.0.0.1:0")...)
	base := awaitOutput(t, process, `Ringback +(http://\S+),`)
	awaitOutput(t, process, `(?s)story .*redeliver +curl`)
	require.Contains(t, process.Output(), storyEnded)
	require.Contains(t, process.Output(), "/workflows?query=WorkflowType%3D%22Operation%22+AND+ExecutionStatus%3D%22Failed%22\n")
	return process, &apiclient.Client{MaxAttempts: 1, Base: base}
}

// inReadme are the operations of the story that README shows.
var inReadme = regexp.MustCompile(`^\S+ +(ECOM_GOLD_BANK/A2C-1001|LEDGER/1005) `)

// readmeRun is what README says that make run prints.
var readmeRun = regexp.MustCompile("(?s)```\n(Starting a Temporal server .*?)```\n")

// TestReadmeShowsWhatMakeRunPrints writes it there with -write-docs.
func TestReadmeShowsWhatMakeRunPrints(t *testing.T) {
	const file = "../../README.md"
	process, _ := runStory(t)
	got := readmeExcerpt(t, process.Output())
	readme, err := os.ReadFile(file)
	require.NoError(t, err)
	found := readmeRun.FindSubmatch(readme)
	require.NotNil(t, found)
	if *writeDocs {
		require.NoError(t, os.WriteFile(file, bytes.Replace(readme, found[1], []byte(got), 1), 0o600))
		return
	}
	require.Equal(t, kindsOfLines(string(found[1])), kindsOfLines(got), "write it anew: go -C dev test ./e2e -run Readme -args -write-docs")
}

// readmeExcerpt is the beginning and the end of what the story prints, with the lines of
// two of its operations and the addresses that it prefers.
func readmeExcerpt(t *testing.T, output string) string {
	t.Helper()
	story, _, ended := strings.Cut(output, storyEnded)
	require.True(t, ended)
	lines := slices.DeleteFunc(strings.SplitAfter(story, "\n"), func(line string) bool {
		logged := strings.HasPrefix(line, "{")
		return logged || regexp.MustCompile(`^\d\d:\d\d\.\d `).MatchString(line) && !inReadme.MatchString(line)
	})
	excerpt := strings.Join(lines, "") + storyEnded + "\n"
	for pattern, address := range map[string]string{
		`Temporal +(\S+), namespace`: "127.0.0.1:7233", `Temporal UI +http://(\S+)`: "127.0.0.1:8233",
		`Ringback +http://(\S+),`: "127.0.0.1:8080", `telemetry +http://(\S+)/metrics`: "127.0.0.1:9464",
		`wsGate http://(\S+),`: "127.0.0.1:9001", `Paysera http://(\S+),`: "127.0.0.1:9002", `receivers http://(\S+)`: "127.0.0.1:9101",
		`receivers \S+ http://(\S+)`: "127.0.0.1:9102", `receivers \S+ \S+ http://(\S+)`: "127.0.0.1:9103",
	} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(excerpt)
		require.NotNilf(t, found, "%s", pattern)
		excerpt = strings.ReplaceAll(excerpt, found[1], address)
	}
	return excerpt
}

// kindsOfLines are an excerpt's lines by their operation, without what differs in each run.
func kindsOfLines(excerpt string) map[string][]string {
	differs := regexp.MustCompile(`^\d\d:\d\d\.\d|\d+ ms|cb_\w+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	kinds := map[string][]string{}
	for line := range strings.Lines(excerpt) {
		of := ""
		if found := inReadme.FindStringSubmatch(line); found != nil {
			of = found[1]
		}
		kinds[of] = append(kinds[of], differs.ReplaceAllString(line, "*"))
	}
	return kinds
}

func TestDevPlaysItsStoryAndKeepsItOverAKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	process, api := runStory(t, "-data", data)
	redelivered := operation.Key{Endpoint: "LEDGER", OperationID: "1005"}
	before, err := api.State(t.Context(), redelivered)
	require.NoError(t, err)
	require.NoError(t, process.Kill())

	process, api = runStory(t, "-data", data)
	after, err := api.State(t.Context(), redelivered)
	require.NoError(t, err)
	before.UIURL, after.UIURL = "", ""
	require.Equal(t, before, after)
	require.Contains(t, process.Output(), "A2C-2001", "the second story has operations of its own")
	tryCurls(t, process, api)

	require.NoError(t, process.Stop(syscall.SIGINT, grace))
	require.NoError(t, process.Err(), "exit status 0")
	require.True(t, strings.HasSuffix(process.Output(), "Stopped.\n"), process.Output())
	require.Contains(t, process.Output(), `"msg":"attempt"`, "its log is as the programs' where stderr is no terminal")
}

// tryCurls runs the four lines that one can try, and sees that what they do is told.
func tryCurls(t *testing.T, process *proc.Process, api *apiclient.Client) {
	t.Helper()
	curl := func(name string) {
		t.Helper()
		line := awaitOutput(t, process, `(?m)^  `+name+` +(curl .*)$`)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", line+" --fail").CombinedOutput()
		require.NoErrorf(t, err, "%s\n%s", line, out)
	}
	curl("start")
	curl("state")
	awaitOutput(t, process, `(?s)WALLET_SHOP/2007 +started .*WALLET_SHOP/2007 +poll 1 .*WALLET_SHOP/2007 +poll 2 .*WALLET_SHOP/2007 +poll 3 `)
	curl("revoke")
	awaitOutput(t, process, `WALLET_SHOP/2007 +revocation `)
	awaitOutput(t, process, `WALLET_SHOP/2007 +ended +acknowledged`)
	left := operation.Key{Endpoint: "LEDGER", OperationID: "2006"}
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, left).Outcome)
	curl("redeliver")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, left).Outcome)
	awaitOutput(t, process, `(?s)LEDGER/2006 +redelivery .*LEDGER/2006 +attempt 4 +acknowledged.*LEDGER/2006 +ended +acknowledged`)
	told := regexp.MustCompile(`(\S+) +poll (\d+) `).FindAllStringSubmatch(process.Output(), -1)
	next := map[string]int{}
	for _, poll := range told {
		if next[poll[1]]++; strings.HasPrefix(poll[1], "WALLET_SHOP/2") {
			require.Equalf(t, strconv.Itoa(next[poll[1]]), poll[2], "no poll of %s is left out", poll[1])
		}
	}
}

func TestDevServesAGivenConfigurationAlone(t *testing.T) {
	w := newEnvironment(t, nil, quick)
	process := dev(t, "-demo=false", "-config", w.config, "-api-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0", "-telemetry-addr", "127.0.0.1:0", "-temporal-addr", "127.0.0.1:0")
	api := &apiclient.Client{MaxAttempts: 1, Base: awaitOutput(t, process, `Ringback +(http://\S+),`)}
	w.core.SetStatus("901", "done")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, entry("901"))).Outcome)
	require.NotContains(t, process.Output(), "simulated")
	require.NoError(t, process.Stop(syscall.SIGTERM, grace))
	require.NoError(t, process.Err())
}

func TestDevSaysWhichDefaultAddressesAreTaken(t *testing.T) {
	for _, usual := range []string{"127.0.0.1:7233", "127.0.0.1:8233", "127.0.0.1:8080", "127.0.0.1:9464"} {
		if l, err := net.Listen("tcp", usual); err == nil { // else somebody else has it
			t.Cleanup(func() { _ = l.Close() })
		}
	}
	process := dev(t)
	awaitOutput(t, process, `Temporal +127\.0\.0\.1:\d+ \(127\.0\.0\.1:7233 is taken\)`)
	awaitOutput(t, process, `Temporal UI +http://127\.0\.0\.1:\d+ \(127\.0\.0\.1:8233 is taken\)`)
	awaitOutput(t, process, `Ringback +http://127\.0\.0\.1:\d+ \(127\.0\.0\.1:8080 is taken\), `)
	awaitOutput(t, process, `telemetry +http://127\.0\.0\.1:\d+/metrics \(127\.0\.0\.1:9464 is taken\)`)
	require.NoError(t, process.Stop(syscall.SIGINT, grace))
}

func TestDevExplainsWrongFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"an unknown flag":                   {[]string{"-dmeo=false"}, "-dmeo"},
		"an argument":                       {[]string{"demo"}, `"demo" was given`},
		"no demo and no configuration":      {[]string{"-demo=false"}, "-demo=false needs -config FILE"},
		"a demo with another configuration": {[]string{"-demo", "-config", "x"}, "brings its own configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			process := dev(t, tt.arguments...)
			require.ErrorContains(t, process.Err(), "exit status 2")
			require.Contains(t, process.Output(), tt.says)
		})
	}
	t.Run("help has examples", func(t *testing.T) {
		process := dev(t, "-h")
		require.NoError(t, process.Err())
		require.Contains(t, process.Output(), "Examples:")
	})
	t.Run("the version", func(t *testing.T) {
		process := dev(t, "-version")
		require.NoError(t, process.Err())
		require.Regexp(t, `^dev version \S+\n$`, process.Output())
	})
	t.Run("a configuration that is not there", func(t *testing.T) {
		process := dev(t, "-config", filepath.Join(t.TempDir(), "none.yml"), "-temporal-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0")
		require.ErrorContains(t, process.Err(), "exit status 1")
		require.Contains(t, process.Output(), "none.yml")
		require.NotContains(t, process.Output(), os.Args[0])
	})
}
