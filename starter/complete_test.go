package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestShellsGetAScript(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, bare(nil, "completion", shell).out, "starter", shell)
	}
}

func TestWhatIsKnownIsCompleted(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "ringback.yml")
	require.NoError(t, os.WriteFile(config, []byte("endpoints: {SHOP: {url: '${env:NOT_SET}'}, BANK: {}}\n"), 0o600))
	f := &fake{
		pages: map[operation.Outcome][]operation.Page{operation.OutcomeNone: {{Operations: []operation.Summary{
			summary("9", 9, operation.OutcomeGone), {Key: operation.Key{Endpoint: "LEDGER", OperationID: "1"}}, summary("8", 8, operation.OutcomeGone),
		}}}},
		many: []operation.BulkRedelivery{bulk(operation.BulkRedeliveryRunning, 0, 0, 0)},
	}
	p := place{}.at(t, f)
	for name, tt := range map[string]struct {
		args     []string
		expected string
	}{
		"who revoked":                      {[]string{"revoke", "--initiated-by", ""}, "client\nuser\ncore\n"},
		"an outcome":                       {[]string{"list", "--outcome", "ex"}, "acknowledged\nexhausted\ngone\n"},
		"an outcome to redeliver":          {[]string{"redeliver", "--outcome", ""}, "exhausted\ngone\nexpired\nterminated\nacknowledged\n"},
		"a time":                           {[]string{"list", "--time", ""}, "started\nclosed\n"},
		"an endpoint of recent operations": {[]string{"state", ""}, "LEDGER\nSHOP\n"},
		"an endpoint to ping":              {[]string{"ping", "L"}, "LEDGER\n"},
		"an endpoint of the configuration": {[]string{"ping", "--config", config, ""}, "BANK\nSHOP\n"},
		"an endpoint as a flag":            {[]string{"list", "--endpoint", ""}, "LEDGER\nSHOP\n"},
		"an operation":                     {[]string{"watch", "SHOP", ""}, "9\n1\n8\n"},
		"nothing after an operation":       {[]string{"watch", "SHOP", "9", ""}, ""},
		"a bulk redelivery":                {[]string{"redeliveries", "stop", ""}, bulkID + "\trunning endpoint SHOP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.run(context.Background(), append([]string{cobra.ShellCompRequestCmd}, tt.args...)...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Contains(t, got.out, tt.expected)
			require.Contains(t, got.out, ":4\n", "and no files")
		})
	}
}

func TestACompletionThatFailsSaysNothing(t *testing.T) {
	t.Parallel()
	p := place{}.at(t, &fake{err: errors.New("boom")})
	for _, args := range [][]string{{"state", ""}, {"state", "SHOP", ""}, {"redeliveries", "stop", ""}, {"ping", "--config", "testdata/none", ""}} {
		got := p.run(context.Background(), append([]string{cobra.ShellCompRequestCmd}, args...)...)
		require.Equal(t, exitOK, got.code)
		require.Equal(t, ":4\n", got.out)
	}
}
