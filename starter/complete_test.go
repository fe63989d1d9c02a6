package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestCompletionScriptsAreWrittenForEveryShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, bare(nil, "completion", shell).out, "starter", shell)
	}
}

func TestCompletionOffersClosedLists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args     []string
		expected string
	}{
		"who revoked":             {[]string{"revoke", "--initiated-by", ""}, "client\nuser\ncore\n"},
		"an outcome":              {[]string{"list", "--outcome", "ex"}, "acknowledged\nexhausted\ngone\n"},
		"an outcome to redeliver": {[]string{"redeliver", "--outcome", ""}, "exhausted\ngone\nexpired\nterminated\nacknowledged\n"},
		"a time":                  {[]string{"list", "--time", ""}, "started\nclosed\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bare(nil, append([]string{cobra.ShellCompRequestCmd}, tt.args...)...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Contains(t, got.out, tt.expected)
			require.Contains(t, got.out, ":4\n", "and no files")
		})
	}
}
