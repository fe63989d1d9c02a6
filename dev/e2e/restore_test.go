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

// These tests hold docs/operations/backups-and-time.md: what is delivered again where yesterday's
// database is restored, by its own commands.

// backupScenario is an installation before and after its backup. Each operation is named
// by what becomes of it after that, which the restore forgets.
type backupScenario struct {
	*environment
	api    *apiclient.Client
	worker *proc.Process
	// program is the one that serves the API.
	program *proc.Process
}

const (
	goesOn       = "801" // watched at the backup, final and acknowledged after it
	retried      = "802" // attempted twice at the backup, acknowledged at the third attempt
	redelivered  = "803" // exhausted at the backup, redelivered after it
	finished     = "804" // over at the backup
	withdrawn    = "805" // watched at the backup, withdrawn after it
	revokedLater = "806" // watched at the backup, revoked after it
	startedLater = "807" // not there at the backup
)

// nightly is an endpoint whose h is waited for on the server, and whose watch
// outlives the test.
const nightly = "NIGHTLY"

func newBackupScenario(t *testing.T, e *temporalServer) *backupScenario {
	t.Helper()
	w := newEnvironment(t, e, quick,
		"NIGHTLY: {dialect: paysera, source: wallet, callback_url: per_operation, poll: {interval: 200ms, lifetime: 1h}, delivery: {interval: 6s, attempts: 5, timeout: 5s}}")
	n := &backupScenario{environment: w}
	n.serve(t)
	n.work(t)
	return n
}

// serve starts the API without a worker: nothing is delivered, and everything can be read.
func (n *backupScenario) serve(t *testing.T) {
	t.Helper()
	n.program, n.api = n.environment.api(t, "127.0.0.1:0", "-worker=false")
}

func (n *backupScenario) work(t *testing.T) {
	t.Helper()
	n.worker = n.environment.worker(t)
}

func (n *backupScenario) transfer(id string) operation.StartRequest {
	r := n.environment.transfer(id)
	r.Endpoint = nightly
	return r
}

func nightlyKey(id string) operation.Key { return operation.Key{Endpoint: nightly, OperationID: id} }

// beforeBackup is what happens before the backup.
func (n *backupScenario) beforeBackup(t *testing.T) {
	t.Helper()
	api := n.api
	for _, id := range []string{goesOn, withdrawn, revokedLater} {
		n.core.SetStatus(id, "waiting_funds")
		start(t, api, n.transfer(id))
		awaitCallbacks(t, n.paysera, id, 1)
	}
	for _, id := range []string{redelivered, finished, retried} {
		n.core.SetStatus(id, "done")
	}
	n.standard.Script(redelivered, failing(http.StatusServiceUnavailable))
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, start(t, api, entry(redelivered))).Outcome)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, entry(finished))).Outcome)
	n.paysera.Script(retried, failing(http.StatusServiceUnavailable))
	start(t, api, n.transfer(retried))
	awaitState(t, api, nightlyKey(retried), func(s operation.State) bool {
		return len(s.Deliveries) > 0 && verdicts(s.Deliveries[0]) == "unacknowledged unacknowledged"
	})
}

// changeOutcomes is how cores and receivers change after the backup.
func (n *backupScenario) changeOutcomes() {
	for _, id := range []string{goesOn, startedLater} {
		n.core.SetStatus(id, "done")
	}
	n.paysera.Script(retried, simulator.Acknowledge)
	n.standard.Script(redelivered, simulator.Acknowledge)
}

// afterBackup is what happens after the backup.
func (n *backupScenario) afterBackup(t *testing.T) {
	t.Helper()
	before := len(n.program.Output())
	api := n.api
	_, err := api.Redeliver(t.Context(), entry(redelivered).Key(), operation.RedeliveryRequest{Reason: "the receiver is back"})
	require.NoError(t, err)
	start(t, api, entry(startedLater))
	withdraw(t, api, nightlyKey(withdrawn))
	_, err = api.Revoke(t.Context(), nightlyKey(revokedLater), "user", "")
	require.NoError(t, err)
	n.core.SetStatus(revokedLater, "revoked")
	for key, outcome := range map[operation.Key]operation.Outcome{
		nightlyKey(goesOn): operation.OutcomeAcknowledged, nightlyKey(retried): operation.OutcomeAcknowledged,
		entry(redelivered).Key(): operation.OutcomeAcknowledged, entry(startedLater).Key(): operation.OutcomeAcknowledged,
		nightlyKey(withdrawn): operation.OutcomeWithdrawn, nightlyKey(revokedLater): operation.OutcomeAcknowledged,
	} {
		require.Equal(t, outcome, awaitClosed(t, api, key).Outcome, key.WorkflowID())
	}
	n.requireLogged(t, n.program.Output()[before:])
}

// requireLogged requires that the log since the backup names what must be repeated.
func (n *backupScenario) requireLogged(t *testing.T, text string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "ringback.log")
	require.NoError(t, os.WriteFile(log, []byte(text), 0o600))
	output := runShell(t, t.TempDir(), backupCommands(t, "After a restore"), "LOG="+log)
	for action, id := range map[string]string{"start": startedLater, "withdraw": withdrawn, "revoke": revokedLater, "redeliver": redelivered} {
		require.Regexp(t, `"action":"`+action+`".*"operation_id":"`+id+`"`, output)
	}
	require.NotContains(t, output, `"`+finished+`"`)
}

// afterRestore is what happens once the backup is restored. First a withdrawal is
// repeated: nothing is delivered as long as there is no worker.
func (n *backupScenario) afterRestore(t *testing.T) {
	t.Helper()
	n.serve(t)
	api := n.api
	state, err := api.State(t.Context(), nightlyKey(withdrawn))
	require.NoError(t, err)
	require.Equal(t, operation.Watching, state.Phase, "a withdrawal after the backup is forgotten")
	n.core.SetStatus(withdrawn, "done")
	withdraw(t, api, nightlyKey(withdrawn))
	n.work(t)

	// What was being delivered goes on where the backup was: the same attempt,
	// with the same id and the same body.
	state = awaitClosed(t, api, nightlyKey(retried))
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Equal(t, "unacknowledged unacknowledged acknowledged", verdicts(state.Deliveries[0]))
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
	got := n.paysera.Received(retried)
	require.Len(t, got, 4, "attempt 3 twice: once after the backup, once after the restore")
	for _, again := range got[1:] {
		require.Equal(t, got[0].CallbackID, again.CallbackID)
		require.Equal(t, string(got[0].Body), string(again.Body))
	}

	// What was being watched is asked for again, and its status is delivered again. It
	// is observed anew, so that only its date differs.
	state = awaitClosed(t, api, nightlyKey(goesOn))
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	got = n.paysera.Received(goesOn)
	require.Len(t, got, 3, "waiting_funds once, done twice")
	require.Equal(t, got[1].CallbackID, got[2].CallbackID)
	require.Equal(t, undated(t, got[1].Body), undated(t, got[2].Body))
	last := state.Deliveries[len(state.Deliveries)-1]
	require.Equal(t, got[2].CallbackID, last.CallbackID)
	requireNumbered(t, last.Attempts, 1)

	// What was exhausted is exhausted again, silently; a redelivery has the number
	// that it had.
	state, err = api.State(t.Context(), entry(redelivered).Key())
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeExhausted, state.Outcome)
	_, err = api.Redeliver(t.Context(), entry(redelivered).Key(), operation.RedeliveryRequest{})
	require.NoError(t, err)
	state = awaitClosed(t, api, entry(redelivered).Key())
	requireNumbered(t, state.Deliveries[0].Attempts, 1)
	require.Len(t, state.Deliveries[0].Attempts, quickAttempts+1)
	got = n.standard.Received(redelivered)
	require.Len(t, got, quickAttempts+2)
	require.Equal(t, got[0].CallbackID, got[quickAttempts+1].CallbackID)

	n.requireForgotten(t)
	require.Len(t, n.standard.Received(finished), 1, "what was over at the backup is delivered no more")
}

// requireForgotten is about the calls after the backup: they must be repeated.
func (n *backupScenario) requireForgotten(t *testing.T) {
	t.Helper()
	api := n.api
	_, err := api.State(t.Context(), entry(startedLater).Key())
	require.Equal(t, http.StatusNotFound, apiclient.Status(err), "a start after the backup is unknown: %v", err)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, start(t, api, entry(startedLater))).Outcome)
	got := n.standard.Received(startedLater)
	require.Len(t, got, 2)
	require.Equal(t, got[0].CallbackID, got[1].CallbackID, "the same callback to its receiver")

	require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, nightlyKey(withdrawn)).Outcome)
	require.Len(t, n.paysera.Received(withdrawn), 1, "what was withdrawn before a worker ran is not delivered")

	state := awaitClosed(t, api, nightlyKey(revokedLater))
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
	content, err := os.ReadFile("../../docs/operations/backups-and-time.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(content), "\n### "+chapter+"\n")
	require.True(t, found, chapter)
	text, _, _ = strings.Cut(text, "\n#")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(text)
	require.NotNil(t, block, chapter)
	return block[1]
}

// runShell runs commands as an operator types them in dir.
func runShell(t *testing.T, dir, commands string, environment ...string) (output string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	command.Dir = dir
	command.Env = append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	require.NoErrorf(t, err, "%s\n%s", commands, out)
	return string(out)
}

func TestDeliveriesAfterARestoreOfPostgreSQL(t *testing.T) {
	cluster, _ := startPostgres(t)
	dsn := cluster.URL("temporal")
	at, err := url.Parse(dsn)
	require.NoError(t, err)
	password, _ := at.User.Password()
	environment := []string{"PGHOST=" + at.Hostname(), "PGPORT=" + at.Port(), "PGUSER=" + at.User.Username(), "PGPASSWORD=" + password}
	dumps := t.TempDir()
	n := newBackupScenario(t, startServer(t, "-postgres", dsn))

	n.beforeBackup(t)
	runShell(t, dumps, backupCommands(t, "PostgreSQL: back up"), environment...) // with everything running
	n.changeOutcomes()
	n.afterBackup(t)
	n.stop(t)
	runShell(t, dumps, backupCommands(t, "PostgreSQL: restore"), environment...)
	n.temporal.start(t)
	n.afterRestore(t)
}

func TestDeliveriesAfterARestoreOfADataDirectory(t *testing.T) {
	home := t.TempDir()
	n := newBackupScenario(t, startServer(t, "-data", filepath.Join(home, "data")))

	n.beforeBackup(t)
	n.stop(t)
	runShell(t, home, backupCommands(t, "One machine: back up"))
	n.changeOutcomes()
	n.temporal.start(t)
	n.serve(t)
	n.work(t)
	n.afterBackup(t)
	n.stop(t)
	runShell(t, home, backupCommands(t, "One machine: restore"))
	n.temporal.start(t)
	n.afterRestore(t)
}

// stop stops the whole installation.
func (n *backupScenario) stop(t *testing.T) {
	t.Helper()
	for _, process := range []*proc.Process{n.program, n.worker, n.temporal.process} {
		require.NoError(t, process.Stop(syscall.SIGTERM, grace))
	}
}
