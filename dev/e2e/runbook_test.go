package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// runbook is docs/operations/runbook.md's: what its commands expect, and the commands of
// each alert's chapter, in their order.
func runbook(t *testing.T) (expects string, chapters map[string][]string) {
	t.Helper()
	content, err := os.ReadFile("../../docs/operations/runbook.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(content), "\n## Runbook\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```")
	parts := strings.Split(text, "\n### ")
	expects = blocks.FindStringSubmatch(parts[0])[1]
	chapters = map[string][]string{}
	for _, part := range parts[1:] {
		name, body, _ := strings.Cut(part, "\n")
		require.NotContainsf(t, blocks.ReplaceAllString(body, ""), "```", "%s: all commands are in blocks of sh", name)
		for _, block := range blocks.FindAllStringSubmatch(body, -1) {
			chapters[name] = append(chapters[name], block[1])
		}
	}
	return expects, chapters
}

// chapter is what one chapter's commands are run on, and what they must show.
type chapter struct {
	endpoint, source, operation string
	shows                       []string
}

var chapters = map[string]chapter{
	"RingbackCallbacksLate": {shows: []string{
		`[1-9]\d* +LEDGER`, `ringback_attempts_total\{endpoint="LEDGER",verdict="unacknowledged"\} [1-9]`, `ringback_temporal_reachable 1`,
		`HTTP 503 is not 2xx`, `LocalActivityWorker`}},
	"RingbackCallbacksLateForHours": {shows: []string{`endpoint="LEDGER",le="60"`, `\d+ "endpoint":"LEDGER"`}},
	"RingbackEndpointFailing":       {endpoint: ledger, shows: []string{`"http_status":503`, `ringback-ping`}},
	"RingbackExhaustedRising": {endpoint: ledger, operation: "8", shows: []string{
		`LEDGER/8`, `HTTP 503 is not 2xx`, `8`, `\b0\b`}},
	"RingbackSourceRefusesUs": {shows: []string{`result="unauthorized",source="locked"\} [1-9]`, `a core refuses our credentials.*locked`}},
	"RingbackSourceFailing": {endpoint: "SHORT", source: "wallet", operation: "expires", shows: []string{
		`source="wallet"\} \d`, `SHORT/expires`}},
	"RingbackHeldBack":       {shows: []string{`ringback_concurrency_limit\{kind="endpoint",name="NARROW"\} 1`, `ringback_held_back_total\{kind="endpoint",name="NARROW"\} [1-9]`}},
	"RingbackShedding":       {shows: []string{`ringback_shed_total\{reason="queue",work="start"\} 0`, `admitted_share\{work="start"\} 1`, `late_seconds_count\{work="callback"\}`}},
	"RingbackSlotsExhausted": {shows: []string{`slots_used\{.*ActivityWorker`, `slots_available\{.*WorkflowWorker`}},
	"RingbackBacklog":        {shows: []string{`temporal_num_pollers`, `schedule_to_start_latency_seconds_count`, `RespondWorkflowTaskCompleted`}},
	"RingbackWorkflowTaskFailing": {shows: []string{
		`failure_reason="WorkflowError".*workflow_type="Unknown"`, `unable to find workflow type`}},
	"RingbackConfigurationsDiffer": {shows: []string{`(?s)config_info\{hash="(\w+)"\}.*config_info\{hash="(\w+)"\}`, `ready`, `the configuration is reloaded`}},
	"RingbackConfigurationMissing": {shows: []string{`\{kind="endpoint"\} [1-9]`, `"endpoint":"ELSEWHERE"`}},
	"RingbackCardNumberRefused":    {shows: []string{`refusals_total\{endpoint="LEDGER"\} 1`, `"action":"start".*"result":"invalid"`}},
	"RingbackUnknownStatus":        {endpoint: ledger, operation: "odd", shows: []string{`statuses_total\{source="wallet"\} [1-9]`, `polished`}},
	"RingbackTemporalAway":         {shows: []string{`(?s)reachable 1.*reachable 1`, `ready`}},
	"RingbackNoBuildCurrent":       {shows: []string{`(?s)build_current 1.*build_current 1`, `not versioned`}},
	"RingbackTemporalFailing":      {shows: []string{`latency_seconds_count\{.*StartWorkflowExecution`}},
	"RingbackDown":                 {shows: []string{`ready`, `"msg":`}},
}

func TestEveryCommandOfTheRunbookDoesWhatItSays(t *testing.T) {
	expects, commands := runbook(t)
	i := install(t)
	i.exercise(t)
	i.prepareRedeliveries(t)
	i.reload(t)
	i.shell(t, "", chapter{}, "bin/starter ready --telemetry http://"+i.workerAddress) // as docker-compose.yml asks worker
	for name, blocks := range commands {
		require.Containsf(t, chapters, name, "the test knows each chapter")
		t.Run(name, func(t *testing.T) {
			shown := ""
			for _, block := range blocks {
				out := i.shell(t, expects, chapters[name], block)
				require.NotEmptyf(t, out, "%s", block)
				shown += out
			}
			for _, pattern := range chapters[name].shows {
				require.Regexp(t, pattern, shown)
			}
		})
	}
	require.Len(t, commands, len(chapters), "each chapter has commands")
	got := awaitCallbacks(t, i.standard, "8", quickAttempts+1)
	require.Len(t, got, quickAttempts+1, "what the runbook redelivered arrived once")
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, i.Client, operation.Key{Endpoint: "SHORT", OperationID: "expires"}).Outcome)
}

// waiting says that something waits for a configuration that has its endpoint.
var waiting = regexp.MustCompile(`ringback_missing_configuration_total\{kind="endpoint"\} [1-9]`)

// prepareRedeliveries lets one operation exhaust and another expire, and then
// repairs both the receiver and the core.
func (i *installation) prepareRedeliveries(t *testing.T) {
	t.Helper()
	i.core.SetStatus("8", "done")
	i.standard.Script("8", failing(http.StatusServiceUnavailable))
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, i.Client, start(t, i.Client, entry("8"))).Outcome)
	i.standard.Script("8", simulator.Acknowledge)
	i.core.SetStatus("expires", "reserved")
	short := start(t, i.Client, operation.StartRequest{Endpoint: "SHORT", OperationID: "expires", KnownStatus: "reserved"})
	require.Equal(t, operation.OutcomeExpired, awaitClosed(t, i.Client, short).Outcome)
	i.core.SetStatus("expires", "done")
	require.Eventually(t, func() bool {
		return waiting.MatchString(scrape(t, i.workerAddress))
	}, patience, 100*time.Millisecond)
}

// reload lets worker read its file again, as the runbook will.
func (i *installation) reload(t *testing.T) {
	t.Helper()
	i.shell(t, "", chapter{}, `kill -HUP "$WORKER_PID"`)
	awaitOutput(t, i.worker, "the configuration is reloaded")
}

// shell runs commands as an engineer types them, on this installation.
func (i *installation) shell(t *testing.T, expects string, c chapter, commands string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(program(t, "starter"), filepath.Join(dir, "bin", "starter")))
	log := filepath.Join(dir, "ringback.log")
	require.NoError(t, os.WriteFile(log, []byte(i.worker.Output()+i.api.Output()), 0o600))
	expects = strings.NewReplacer("127.0.0.1:8080", strings.TrimPrefix(i.Client.Base, "http://"), "127.0.0.1:9464", i.apiAddress, "127.0.0.1:9465", i.workerAddress,
		"ECOM_GOLD_BANK", c.endpoint, "wsgate", c.source, "ORDER-1", c.operation,
		"/var/log/ringback.log", log, "4711", strconv.Itoa(i.worker.PID())).Replace(expects)
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", expects+"\n"+commands)
	command.Dir = dir
	command.Env = append(os.Environ(), fmt.Sprintf("WORKER_PID=%d", i.worker.PID()))
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	require.NoErrorf(t, err, "%s\n%s%s", commands, out, complaints.String())
	return string(out)
}
