package e2e_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/drill"
)

// shownBy is what the commands of each alert's chapter in docs/operations/runbook.md show
// while the drill's cause is there.
var shownBy = map[string][]string{
	"RingbackCallbacksLate": {
		`[1-9]\d* +LEDGER`, `ringback_attempts_total\{endpoint="LEDGER",verdict="unacknowledged"\} [1-9]`, `ringback_temporal_reachable 1`,
		`"reason":"HTTP 503`, `LocalActivityWorker`},
	"RingbackCallbacksLateForHours": {`endpoint="LEDGER",le="60"`, `\d+ "endpoint":"LEDGER"`},
	"RingbackEndpointFailing":       {`"http_status":401`, `ringback-ping`, `not acknowledged`},
	"RingbackExhaustedRising":       {`LEDGER/down-1`, `HTTP 503 is not 2xx`},
	"RingbackSourceRefusesUs":       {`result="unauthorized",source="wallet"\} [1-9]`, `a core refuses our credentials.*wallet`},
	"RingbackSourceFailing":         {`result="malformed",source="wsgate"\} [1-9]`},
	"RingbackHeldBack": {
		`ringback_concurrency_limit\{kind="endpoint",name="NARROW"\} 1`, `ringback_held_back_total\{kind="endpoint",name="NARROW"\} [1-9]`},
	"RingbackShedding":             {`ringback_shed_total\{reason="queue",work="start"\} [1-9]`, `admitted_share\{work="start"\}`, `late_seconds_count\{work="callback"\}`},
	"RingbackSlotsExhausted":       {`slots_used\{.*ActivityWorker`, `slots_available\{.*WorkflowWorker`},
	"RingbackBacklog":              {`temporal_num_pollers`, `schedule_to_start_latency_seconds_count`, `RespondWorkflowTaskCompleted`},
	"RingbackWorkflowTaskFailing":  {`failure_reason="WorkflowError".*workflow_type="Operation"`, `codec.keys holds only B`},
	"RingbackConfigurationsDiffer": {`(?s)config_info\{hash="\w+"\}.*config_info\{hash="\w+"\}`, `ready`, `the configuration is reloaded`},
	"RingbackConfigurationRefused": {`config_refused 1`, `worker.yml:\d+:\d+: endpoints.NARROW.max_concurrent`},
	"RingbackConfigurationMissing": {`\{kind="endpoint"\} [1-9]`, `"endpoint":"NARROW"`},
	"RingbackCardNumberRefused":    {`refusals_total\{endpoint="LEDGER"\} 1`, `"action":"start".*"result":"invalid"`},
	"RingbackUnknownStatus":        {`statuses_total\{source="wallet"\} [1-9]`, `polished`},
	"RingbackTemporalAway":         {`reachable 0`, `not ready`},
	"RingbackNoBuildCurrent":       {`(?s)build_current 0.*build_current 0`, `no build is current`},
	"RingbackTemporalFailing":      {`UNAVAILABLE|DEADLINE_EXCEEDED`, `latency_seconds_count\{.*StartWorkflowExecution`},
	"RingbackDown":                 {`ready`, `"msg":`},
}

// shownAfter is what those show that are for when it is mended.
var shownAfter = map[string][]string{
	"RingbackExhaustedRising":      {`(?m)^Done +1$`},
	"RingbackSourceFailing":        {`ECOM_GOLD_BANK/rubbish-1`},
	"RingbackConfigurationMissing": {`(?s)config_info.*config_info`},
}

// TestEveryCommandOfTheRunbookDoesWhatItSays plays the drill without a terminal, and types
// what the runbook says, with the engineers' key.
func TestEveryCommandOfTheRunbookDoesWhatItSays(t *testing.T) {
	var told strings.Builder
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Dir(program(t, "starter")), filepath.Join(dir, "bin")))
	shown, after := map[string]string{}, map[string]string{}
	look := func(ctx context.Context, s drill.Scene, commands []string, shell string) error {
		// A list may be some seconds behind.
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Second) {
			shown[s.Alert] = typed(t, dir, shell, commands)
			missing := slices.ContainsFunc(shownBy[s.Alert], func(pattern string) bool { return !regexp.MustCompile(pattern).MatchString(shown[s.Alert]) })
			if !missing || time.Now().After(until) {
				return ctx.Err()
			}
		}
	}
	err = drill.Run(t.Context(), drill.Options{
		Programs: filepath.Join(dir, "bin"), Repository: "../..", Out: io.MultiWriter(&told, t.Output()),
		Temporal: func(addr, dir string) *exec.Cmd {
			command := exec.Command(self, "-temporal-only", "-temporal-addr", addr, "-data", dir)
			command.Env = append(os.Environ(), asDev+"=1")
			return command
		},
		Broken: look,
		Mended: func(_ context.Context, s drill.Scene, commands []string, shell string) error {
			after[s.Alert] = typed(t, dir, shell, commands)
			return nil
		},
	})
	require.NoError(t, err)
	for alert := range shownBy {
		t.Run(alert, func(t *testing.T) {
			for _, pattern := range shownBy[alert] {
				require.Regexp(t, pattern, shown[alert])
			}
			for _, pattern := range shownAfter[alert] {
				require.Regexp(t, pattern, after[alert])
			}
		})
	}
	require.Len(t, after, len(shownAfter))
	require.Len(t, shown, len(shownBy))
	require.Contains(t, told.String(), "That was every alert.")
}

// typed is what commands answer in a shell that the drill has prepared.
func typed(t *testing.T, dir, shell string, commands []string) string {
	t.Helper()
	var all strings.Builder
	for _, block := range commands {
		block = strings.Replace(block, " --rate 20 ", " --rate 20 --yes ", 1) // it asks on a terminal
		command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", ". "+shell+"\n"+block)
		command.Dir = dir
		var complaints strings.Builder
		command.Stderr = &complaints
		out, err := command.Output()
		require.NoErrorf(t, err, "%s\n%s%s", block, out, complaints.String())
		require.NotEmptyf(t, out, "%s", block)
		all.Write(out)
	}
	return all.String()
}
