package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// These tests hold docs/backups-and-time.md: what rings again where yesterday's
// database is restored, by its own commands.

// night is an installation before and after its backup. Each operation is named
// by what becomes of it after that, which the restore forgets.
type night struct {
	*world
	api    *apiclient.Client
	worker *proc.Process
	// program is the one that serves the API.
	program *proc.Process
}

const (
	goesOn       = "801" // watched at the backup, final and acknowledged after it
	retried      = "802" // rung twice at the backup, acknowledged at the third attempt
	redelivered  = "803" // exhausted at the backup, redelivered after it
	finished     = "804" // over at the backup
	withdrawn    = "805" // watched at the backup, withdrawn after it
	revokedLater = "806" // watched at the backup, revoked after it
	startedLater = "807" // not there at the backup
)

// nightly is an endpoint whose h is waited for on the server, and whose watch
// outlives the test.
const nightly = "NIGHTLY"

func newNight(t *testing.T, e *engine) *night {
	t.Helper()
	w := newWorld(t, e, quick,
		"NIGHTLY: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 200ms, lifetime: 1h}, delivery: {interval: 6s, attempts: 5, timeout: 5s}}")
	n := &night{world: w}
	n.serve(t)
	n.work(t)
	return n
}

// serve starts the API without a worker: nothing rings, and everything is told.
func (n *night) serve(t *testing.T) {
	t.Helper()
	n.program, n.api = n.world.api(t, "127.0.0.1:0", "-worker=false")
}

func (n *night) work(t *testing.T) {
	t.Helper()
	n.worker = n.world.worker(t)
}

func (n *night) transfer(id string) operation.StartRequest {
	r := n.world.transfer(id)
	r.Endpoint = nightly
	return r
}

func nightKey(id string) operation.Key { return operation.Key{Endpoint: nightly, OperationID: id} }

// evening is what happens before the backup.
func (n *night) evening(t *testing.T) {
	t.Helper()
	api := n.api
	for _, id := range []string{goesOn, withdrawn, revokedLater} {
		n.core.SetStatus(id, "waiting_funds")
		start(t, api, n.transfer(id))
		rung(t, n.paysera, id, 1)
	}
	for _, id := range []string{redelivered, finished, retried} {
		n.core.SetStatus(id, "done")
	}
	n.standard.Script(redelivered, failing(http.StatusServiceUnavailable))
	require.Equal(t, operation.OutcomeExhausted, closed(t, api, start(t, api, entry(redelivered))).Outcome)
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, start(t, api, entry(finished))).Outcome)
	n.paysera.Script(retried, failing(http.StatusServiceUnavailable))
	start(t, api, n.transfer(retried))
	awaits(t, api, nightKey(retried), func(s operation.State) bool {
		return len(s.Deliveries) > 0 && verdicts(s.Deliveries[0]) == "unacknowledged unacknowledged"
	})
}

// dawn is how the world outside changes after the backup.
func (n *night) dawn() {
	for _, id := range []string{goesOn, startedLater} {
		n.core.SetStatus(id, "done")
	}
	n.paysera.Script(retried, simulator.Acknowledge)
	n.standard.Script(redelivered, simulator.Acknowledge)
}

// day is what happens after the backup.
func (n *night) day(t *testing.T) {
	t.Helper()
	before := len(n.program.Output())
	api := n.api
	_, err := api.Redeliver(t.Context(), entry(redelivered).Key(), operation.RedeliveryRequest{Reason: "the receiver is back"})
	require.NoError(t, err)
	start(t, api, entry(startedLater))
	withdraw(t, api, nightKey(withdrawn))
	_, err = api.Revoke(t.Context(), nightKey(revokedLater), "user", "")
	require.NoError(t, err)
	n.core.SetStatus(revokedLater, "revoked")
	for key, outcome := range map[operation.Key]operation.Outcome{
		nightKey(goesOn): operation.OutcomeAcknowledged, nightKey(retried): operation.OutcomeAcknowledged,
		entry(redelivered).Key(): operation.OutcomeAcknowledged, entry(startedLater).Key(): operation.OutcomeAcknowledged,
		nightKey(withdrawn): operation.OutcomeWithdrawn, nightKey(revokedLater): operation.OutcomeAcknowledged,
	} {
		require.Equal(t, outcome, closed(t, api, key).Outcome, key.WorkflowID())
	}
	n.isInTheLog(t, n.program.Output()[before:])
}

// isInTheLog holds that the log since the backup says what must be said again.
func (n *night) isInTheLog(t *testing.T, text string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "ringback.log")
	require.NoError(t, os.WriteFile(log, []byte(text), 0o600))
	said := types(t, t.TempDir(), backupCommands(t, "After a restore"), "LOG="+log)
	for action, id := range map[string]string{"start": startedLater, "withdraw": withdrawn, "revoke": revokedLater, "redeliver": redelivered} {
		require.Regexp(t, `"action":"`+action+`".*"operation_id":"`+id+`"`, said)
	}
	require.NotContains(t, said, `"`+finished+`"`)
}

// morning is what happens once the backup is restored. First somebody says again
// what must not ring: nothing does as long as there is no worker.
func (n *night) morning(t *testing.T) {
	t.Helper()
	n.serve(t)
	api := n.api
	state, err := api.State(t.Context(), nightKey(withdrawn))
	require.NoError(t, err)
	require.Equal(t, operation.Watching, state.Phase, "a withdrawal after the backup is forgotten")
	n.core.SetStatus(withdrawn, "done")
	withdraw(t, api, nightKey(withdrawn))
	n.work(t)

	// What was being delivered goes on where the backup was: the same attempt,
	// with the same id and the same body.
	state = closed(t, api, nightKey(retried))
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Equal(t, "unacknowledged unacknowledged acknowledged", verdicts(state.Deliveries[0]))
	numbered(t, state.Deliveries[0].Attempts, 1)
	got := n.paysera.Received(retried)
	require.Len(t, got, 4, "attempt 3 twice: once after the backup, once after the restore")
	for _, again := range got[1:] {
		require.Equal(t, got[0].CallbackID, again.CallbackID)
		require.Equal(t, string(got[0].Body), string(again.Body))
	}

	// What was being watched is asked for again, and what it says rings again. It
	// is observed anew, so that only its date differs.
	state = closed(t, api, nightKey(goesOn))
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	got = n.paysera.Received(goesOn)
	require.Len(t, got, 3, "waiting_funds once, done twice")
	require.Equal(t, got[1].CallbackID, got[2].CallbackID)
	require.Equal(t, undated(t, got[1].Body), undated(t, got[2].Body))
	last := state.Deliveries[len(state.Deliveries)-1]
	require.Equal(t, got[2].CallbackID, last.CallbackID)
	numbered(t, last.Attempts, 1)

	// What was exhausted is exhausted again, silently; a redelivery has the number
	// that it had.
	state, err = api.State(t.Context(), entry(redelivered).Key())
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeExhausted, state.Outcome)
	_, err = api.Redeliver(t.Context(), entry(redelivered).Key(), operation.RedeliveryRequest{})
	require.NoError(t, err)
	state = closed(t, api, entry(redelivered).Key())
	numbered(t, state.Deliveries[0].Attempts, 1)
	require.Len(t, state.Deliveries[0].Attempts, quickAttempts+1)
	got = n.standard.Received(redelivered)
	require.Len(t, got, quickAttempts+2)
	require.Equal(t, got[0].CallbackID, got[quickAttempts+1].CallbackID)

	n.isUnknown(t)
	require.Len(t, n.standard.Received(finished), 1, "what was over at the backup rings no more")
}

// isUnknown is about what was said after the backup: it must be said again.
func (n *night) isUnknown(t *testing.T) {
	t.Helper()
	api := n.api
	_, err := api.State(t.Context(), entry(startedLater).Key())
	require.Equal(t, http.StatusNotFound, apiclient.Status(err), "a start after the backup is unknown: %v", err)
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, start(t, api, entry(startedLater))).Outcome)
	got := n.standard.Received(startedLater)
	require.Len(t, got, 2)
	require.Equal(t, got[0].CallbackID, got[1].CallbackID, "the same callback to its receiver")

	require.Equal(t, operation.OutcomeWithdrawn, closed(t, api, nightKey(withdrawn)).Outcome)
	require.Len(t, n.paysera.Received(withdrawn), 1, "what was withdrawn before a worker ran does not ring")

	state := closed(t, api, nightKey(revokedLater))
	require.Nil(t, state.Revocation, "a revocation after the backup is forgotten")
	require.Equal(t, "revoked", state.Status.Value, "but the core says so by itself")
	got = n.paysera.Received(revokedLater)
	require.Len(t, got, 3, "waiting_funds once, revoked twice")
	require.Equal(t, got[1].CallbackID, got[2].CallbackID)
}

// undated is Paysera's form without date, which says when the status was observed.
func undated(t *testing.T, body []byte) url.Values {
	t.Helper()
	form, err := url.ParseQuery(string(body))
	require.NoError(t, err)
	require.NotEmpty(t, form.Get("date"))
	form.Del("date")
	return form
}

// backupCommands are the blocks of sh in the document's chapter.
func backupCommands(t *testing.T, chapter string) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/backups-and-time.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(content), "\n### "+chapter+"\n")
	require.True(t, found, chapter)
	text, _, _ = strings.Cut(text, "\n#")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(text)
	require.NotNil(t, block, chapter)
	return block[1]
}

// types runs commands as an operator types them in dir.
func types(t *testing.T, dir, commands string, environment ...string) (said string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	command.Dir = dir
	command.Env = append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	require.NoErrorf(t, err, "%s\n%s", commands, out)
	return string(out)
}

func TestWhatRingsAgainAfterARestoreOfPostgreSQL(t *testing.T) {
	dsn := startPostgres(t)
	at, err := url.Parse(dsn)
	require.NoError(t, err)
	password, _ := at.User.Password()
	environment := []string{"PGHOST=" + at.Hostname(), "PGPORT=" + at.Port(), "PGUSER=" + at.User.Username(), "PGPASSWORD=" + password}
	dumps := t.TempDir()
	n := newNight(t, startEngine(t, "-postgres", dsn))

	n.evening(t)
	types(t, dumps, backupCommands(t, "PostgreSQL: back up"), environment...) // with everything running
	n.dawn()
	n.day(t)
	n.stop(t)
	types(t, dumps, backupCommands(t, "PostgreSQL: restore"), environment...)
	n.temporal.start(t)
	n.morning(t)
}

func TestWhatRingsAgainAfterARestoreOfADataDirectory(t *testing.T) {
	home := t.TempDir()
	n := newNight(t, startEngine(t, "-data", filepath.Join(home, "data")))

	n.evening(t)
	n.stop(t)
	types(t, home, backupCommands(t, "One machine: back up"))
	n.dawn()
	n.temporal.start(t)
	n.serve(t)
	n.work(t)
	n.day(t)
	n.stop(t)
	types(t, home, backupCommands(t, "One machine: restore"))
	n.temporal.start(t)
	n.morning(t)
}

// stop stops the whole installation.
func (n *night) stop(t *testing.T) {
	t.Helper()
	for _, process := range []*proc.Process{n.program, n.worker, n.temporal.process} {
		require.NoError(t, process.Stop(syscall.SIGTERM, grace))
	}
}
