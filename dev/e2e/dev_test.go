package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/internal/operation"
)

const storyEnded = "The story is told: each operation ended as it should."

// runStory runs the program dev on free ports and that data directory until its
// story ends.
func runStory(t *testing.T, data string) (*proc.Process, *apiclient.Client) {
	t.Helper()
	process := dev(t, "-data", data, "-api-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0", "-telemetry-addr", "127.0.0.1:0", "-temporal-addr", "127.0.0.1:0")
	base := awaitOutput(t, process, `Ringback +(http://\S+),`)
	awaitOutput(t, process, `(?s)story .*redeliver +curl`)
	require.Contains(t, process.Output(), storyEnded)
	require.Contains(t, process.Output(), "/workflows?query=WorkflowType%3D%22Operation%22+AND+ExecutionStatus%3D%22Failed%22\n")
	return process, &apiclient.Client{MaxAttempts: 1, Base: base}
}

func TestDevPlaysItsStoryAndKeepsItOverAKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	process, api := runStory(t, data)
	redelivered := operation.Key{Endpoint: "LEDGER", OperationID: "1005"}
	before, err := api.State(t.Context(), redelivered)
	require.NoError(t, err)
	require.NoError(t, process.Kill())

	process, api = runStory(t, data)
	after, err := api.State(t.Context(), redelivered)
	require.NoError(t, err)
	before.UIURL, after.UIURL = "", ""
	require.Equal(t, before, after)
	require.Contains(t, process.Output(), "A2C-2001", "the second story has operations of its own")
	tryCurls(t, api)

	require.NoError(t, process.Stop(syscall.SIGINT, grace))
	require.NoError(t, process.Err(), "exit status 0")
	require.True(t, strings.HasSuffix(process.Output(), "Stopped.\n"), process.Output())
}

// tryCurls does what the four lines say that one can try.
func tryCurls(t *testing.T, api *apiclient.Client) {
	t.Helper()
	fresh := operation.StartRequest{Endpoint: "WALLET_SHOP", OperationID: "2007", Callback: operation.Target{URL: "http://127.0.0.1:9102/transfers"}}
	key := start(t, api, fresh)
	_, err := api.Revoke(t.Context(), key, "user", "")
	require.NoError(t, err)
	awaitClosed(t, api, key)
	left := operation.Key{Endpoint: "LEDGER", OperationID: "2006"}
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, left).Outcome)
	_, err = api.Redeliver(t.Context(), left, operation.RedeliveryRequest{Reason: "the receiver is back"})
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, left).Outcome)
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
