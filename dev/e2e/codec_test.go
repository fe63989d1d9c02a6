package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/internal/app"
	"ringback/internal/operation"
	"ringback/workflows"
)

// Two keys of the codec: 32 bytes in base64.
var (
	codecKeyA = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'a'}, 32))
	codecKeyB = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'b'}, 32))
)

// The configuration's codec, with one of the keys, or both.
const (
	onlyA  = `codec: {keys: [{id: a, key: "${env:E2E_CODEC_A}"}]}`
	onlyB  = `codec: {keys: [{id: b, key: "${env:E2E_CODEC_B}"}]}`
	bThenA = `codec: {keys: [{id: b, key: "${env:E2E_CODEC_B}"}, {id: a, key: "${env:E2E_CODEC_A}"}]}`
	noKeys = `codec: {}`
)

// useCodec sets the configuration's line about the codec.
func (w *environment) useCodec(t *testing.T, line string) {
	t.Helper()
	w.edit(t, func(text string) string { return withCodec(text, line) })
}

// reloadCodec does so in a program that runs, and returns when it has read it.
func (w *environment) reloadCodec(t *testing.T, process *proc.Process, api *apiclient.Client, line string) {
	t.Helper()
	hash := configHash(t, api)
	w.rewrite(t, process, func(text string) string { return withCodec(text, line) })
	require.Eventually(t, func() bool { return configHash(t, api) != hash }, patience, 20*time.Millisecond)
}

func withCodec(text, line string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "codec:") {
			lines[i] = line
			return strings.Join(lines, "\n")
		}
	}
	return line + "\n" + text
}

// What must not be kept where it can be read.
const (
	urlToken         = "marked-url-token-5b1f"
	urlPassword      = "marked-url-password-77c2"
	revocationReason = "marked-reason-91d0"
	answeredBody     = "marked-answer-3e8a"
	pan              = "4111111111111111"
)

// neverKept are not kept at all, whether sealed or not.
var neverKept = []string{wsgatePassword, macKey, signingSecret, urlPassword, pan}

// sealedOnly are kept, and sealed where there are keys.
var sealedOnly = []string{urlToken, revocationReason}

// inClear are what can't be sealed: ids, types, names and search attributes
// (docs/operations/running.md). They hold nothing secret.
var inClear = []string{"LEDGER/2101", "WALLET_SHOP/2102", "Operation", "Deliver", "RingbackEndpoint", "exhausted"}

// TestStoredPayloadsAreEncrypted looks for what is marked in all that
// the engine has written, every file and every row. Without keys the same search
// finds it: the search is one that can find.
func TestStoredPayloadsAreEncrypted(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	for name, tc := range map[string]struct {
		codec string
		found bool
	}{
		"with a key nothing marked is found":               {onlyA, false},
		"without a key, what is kept is there to be found": {noKeys, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := startServer(t, "-data", dir)
			w := newEnvironment(t, e, quick)
			w.useCodec(t, tc.codec)
			w.exercise(t)
			require.NoError(t, e.process.Stop(syscall.SIGTERM, grace))
			kept := append(files(t, dir), rows(t, dir)...)
			requireStored(t, kept, tc.found)
		})
	}
}

// TestStoredPayloadsAreEncryptedOnPostgreSQL looks into the files of a cluster.
func TestStoredPayloadsAreEncryptedOnPostgreSQL(t *testing.T) {
	cluster, dir := startPostgres(t)
	e := startServer(t, "-postgres", cluster.URL("temporal"))
	w := newEnvironment(t, e, quick)
	w.useCodec(t, onlyA)
	w.exercise(t)
	require.NoError(t, e.process.Stop(syscall.SIGTERM, grace))
	require.NoError(t, cluster.Stop())
	requireStored(t, files(t, dir), false)
}

func requireStored(t *testing.T, kept [][]byte, found bool) {
	t.Helper()
	for _, word := range inClear {
		require.Truef(t, isStoredIn(kept, word), "%q is in clear", word)
	}
	for _, word := range sealedOnly {
		require.Equalf(t, found, isStoredIn(kept, word), "%q", word)
	}
	for _, word := range append([]string{answeredBody}, neverKept...) {
		if word == answeredBody && found {
			continue // masked or not, it may stand in an attempt's reason
		}
		require.Falsef(t, isStoredIn(kept, word), "%q", word)
	}
}

// exercise has operations end in every way that keeps texts.
func (w *environment) exercise(t *testing.T) {
	t.Helper()
	r := w.run(t)
	api := r.Client
	refused := func(request operation.StartRequest) {
		_, _, err := api.Start(t.Context(), request)
		require.Equal(t, http.StatusUnprocessableEntity, apiclient.Status(err), "%v", err)
	}
	refused(entry(pan))
	withPassword := w.transfer("2100")
	withPassword.Callback.URL = strings.Replace(withPassword.Callback.URL, "http://", "http://shop:"+urlPassword+"@", 1)
	refused(withPassword)

	unavailable := simulator.Reply{HTTPStatus: http.StatusServiceUnavailable, Body: answeredBody + " card " + pan}
	for _, id := range []string{"2101", "2102"} {
		w.core.SetStatus(id, "done")
	}
	w.core.SetStatus("2103", "new")
	w.core.SetStatus("2104", "new")
	w.standard.Script("2101", unavailable)
	w.paysera.Script("2102", unavailable)
	exhausted := start(t, api, entry("2101"))
	tokened := w.transfer("2102")
	tokened.Callback.URL += "?token=" + urlToken
	byURL := start(t, api, tokened)
	revoked, open := start(t, api, entry("2103")), start(t, api, entry("2104"))
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, exhausted).Outcome)
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, byURL).Outcome)
	_, err := api.Revoke(t.Context(), revoked, "user", revocationReason)
	require.NoError(t, err)
	require.Equal(t, revocationReason, awaitClosed(t, api, revoked).Revocation.Reason, "a program with the key reads it")
	awaitState(t, api, open, observed)

	_, err = api.Redeliver(t.Context(), exhausted, operation.RedeliveryRequest{Reason: revocationReason})
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeExhausted, awaitClosed(t, api, exhausted).Outcome)
	many, err := api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{
		Filter: operation.Filter{Endpoint: shop, Outcome: operation.OutcomeExhausted}, Reason: revocationReason,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		seen, err := api.BulkRedelivery(t.Context(), many.ID)
		return err == nil && seen.Phase == operation.BulkRedeliveryDone
	}, patience, 100*time.Millisecond, "its memo and what its activity recorded are read")
	require.Eventually(t, func() bool {
		listed, err := api.BulkRedeliveries(t.Context(), "")
		return err == nil && len(listed.Redeliveries) == 1 && listed.Redeliveries[0].Reason == revocationReason
	}, patience, 100*time.Millisecond, "visibility follows a moment behind")
	r.stop(t)
}

// files are the contents of every file in dir.
func files(t *testing.T, dir string) [][]byte {
	t.Helper()
	var all [][]byte
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, content)
		return err
	}))
	require.NotEmpty(t, all)
	return all
}

// rows are the values of every row of every table, where a file's pages may have
// cut them in pieces.
func rows(t *testing.T, dir string) [][]byte {
	t.Helper()
	databases, err := filepath.Glob(filepath.Join(dir, "*.db"))
	require.NoError(t, err)
	require.NotEmpty(t, databases)
	var all [][]byte
	for _, path := range databases {
		db, err := sql.Open("sqlite", "file:"+path)
		require.NoError(t, err)
		for _, table := range column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%fts%'`) {
			all = append(all, values(t, db, fmt.Sprintf("SELECT * FROM %q", table))...)
		}
		require.NoError(t, db.Close())
	}
	require.NotEmpty(t, all)
	return all
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	var names []string
	for _, value := range values(t, db, query) {
		names = append(names, string(value))
	}
	return names
}

func values(t *testing.T, db *sql.DB, query string) [][]byte {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	defer func() { require.NoError(t, found.Close()) }()
	columns, err := found.Columns()
	require.NoError(t, err)
	var all [][]byte
	for found.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, found.Scan(into...))
		for _, value := range row {
			switch value := value.(type) {
			case []byte:
				all = append(all, value)
			default:
				all = append(all, fmt.Append(nil, value))
			}
		}
	}
	require.NoError(t, found.Err())
	return all
}

// isStoredIn says whether word is in one of the texts, as it is or within something
// that was written in base64, wherever in it the word begins.
func isStoredIn(kept [][]byte, word string) bool {
	forms := [][]byte{[]byte(word)}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			coded := encoding.EncodeToString(append(make([]byte, shift), word...))
			// The first and the last characters depend on what is around the word.
			from, to := (shift*8+5)/6, (shift+len(word))*8/6
			forms = append(forms, []byte(coded[from:to]))
		}
	}
	for _, text := range kept {
		for _, form := range forms {
			if bytes.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

// TestARunWaitsForItsMissingCodecKey holds that a program whose keys are not the run's
// fails its workflow task, says which key it lacks, and loses nothing.
func TestARunWaitsForItsMissingCodecKey(t *testing.T) { //nolint:tparallel // its subtests share one environment, or the machine
	t.Parallel()
	for name, tc := range map[string]struct{ without, says string }{
		"with another key":             {onlyB, `opening a payload sealed with the key \"a\": codec.keys holds only b`},
		"without any":                  {noKeys, `opening a payload sealed with the key \"a\": codec.keys holds no key`},
		"with another key of its name": {strings.Replace(onlyA, "CODEC_A", "CODEC_B", 1), `opening a payload sealed with the key \"a\": codec.keys holds another key of that name, or the payload was changed`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newEnvironment(t, sharedServer(t), quick)
			w.useCodec(t, onlyA)
			w.core.SetStatus("2111", "new")
			process, api := w.api(t, "127.0.0.1:0")
			key := start(t, api, entry("2111"))
			awaitState(t, api, key, observed)
			require.NoError(t, process.Stop(syscall.SIGTERM, grace))

			w.useCodec(t, tc.without)
			process, api = w.api(t, "127.0.0.1:0")
			c := w.temporalClient(t)
			require.NoError(t, c.SignalWorkflow(t.Context(), key.WorkflowID(), "", workflows.SignalStatus, workflows.Push{Status: "done"}))
			awaitFailedTask(t, c, key)
			require.Contains(t, process.Output(), tc.says)
			found, err := c.DescribeWorkflowExecution(t.Context(), key.WorkflowID(), "")
			require.NoError(t, err)
			require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, found.GetWorkflowExecutionInfo().GetStatus(), "and the run waits")
			_, err = direct(api).State(t.Context(), key)
			require.Equal(t, http.StatusServiceUnavailable, apiclient.Status(err), "what can't be read is not made up: %v", err)
			require.ErrorContains(t, err, `sealed with the key "a"`)

			w.core.SetStatus("2111", "done") // the Signal is not sealed, and ignored
			w.reloadCodec(t, process, api, bThenA)
			// The server tries the workflow task again after a while.
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			state, err := api.Await(ctx, key, apiclient.Closed)
			require.NoError(t, err)
			require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
			require.Len(t, w.standard.Received("2111"), 1)
		})
	}
}

// awaitFailedTask waits until a workflow task of the run has failed.
func awaitFailedTask(t *testing.T, c temporalClient, key operation.Key) {
	t.Helper()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(history(t, c, key), func(e *historypb.HistoryEvent) bool {
			return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED
		})
	}, patience, 100*time.Millisecond, "the workflow task fails")
}

// TestASignalOfAKeyThatNobodyHas holds that it waits, and how an operator has it ignored
// (docs/operations/running.md).
func TestASignalOfAKeyThatNobodyHas(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	w.useCodec(t, onlyA)
	w.core.SetStatus("2131", "new")
	process, api := w.api(t, "127.0.0.1:0")
	key := start(t, api, entry("2131"))
	awaitState(t, api, key, observed)
	c := w.temporalClient(t)
	require.NoError(t, c.SignalWorkflow(t.Context(), key.WorkflowID(), "", workflows.SignalStatus, w.saidToBeSealed(key, "nobody")))
	awaitFailedTask(t, c, key)
	require.Contains(t, process.Output(), `opening a payload sealed with the key \"nobody\": codec.keys holds only a`)

	w.core.SetStatus("2131", "done")
	w.reloadCodec(t, process, api, `codec: {keys: [{id: a, key: "${env:E2E_CODEC_A}"}, {id: nobody, key: "${env:E2E_CODEC_B}"}]}`)
	// The server tries the workflow task again after a while.
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	state, err := api.Await(ctx, key, apiclient.Closed)
	require.NoError(t, err)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
}

// TestAnAPIWithAnotherCodecKeyHasItsCallsRepeated holds that what a run cannot read is no
// answer about the operation.
func TestAnAPIWithAnotherCodecKeyHasItsCallsRepeated(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	w.useCodec(t, onlyA)
	w.core.SetStatus("2141", "new")
	api := w.run(t).Client
	key := start(t, api, entry("2141"))
	awaitState(t, api, key, observed)

	text, err := os.ReadFile(w.config)
	require.NoError(t, err)
	wrong := *w
	wrong.config = filepath.Join(t.TempDir(), "ringback.yml")
	require.NoError(t, os.WriteFile(wrong.config, text, 0o600))
	wrong.useCodec(t, strings.Replace(onlyA, "CODEC_A", "CODEC_B", 1))
	mistaken := direct(wrong.run(t, func(o *app.Options) { o.Worker = false }).Client)
	_, err = mistaken.Revoke(t.Context(), key, "user", "")
	require.Equal(t, http.StatusServiceUnavailable, apiclient.Status(err), "%v", err)
	err = mistaken.Push(t.Context(), key, "done")
	require.Equal(t, http.StatusServiceUnavailable, apiclient.Status(err), "%v", err)

	_, err = api.Revoke(t.Context(), key, "user", "")
	require.NoError(t, err)
	require.NotNil(t, awaitClosed(t, api, key).Revocation)
}

// TestCodecKeysAreReplacedWithoutARestart holds that after a reload new runs are
// sealed with the new key, and those of before go on.
func TestCodecKeysAreReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	w.useCodec(t, onlyA)
	w.core.SetStatus("2121", "new")
	process, api := w.api(t, "127.0.0.1:0")
	before := start(t, api, entry("2121"))
	awaitState(t, api, before, observed)
	w.reloadCodec(t, process, api, bThenA)
	after := start(t, api, entry("2122"))
	w.core.SetStatus("2121", "done")
	w.core.SetStatus("2122", "done")
	for key, id := range map[operation.Key]string{before: "a", after: "b"} {
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)
		input := history(t, w.temporalClient(t), key)[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
		require.Equal(t, "binary/encrypted", string(input.GetMetadata()["encoding"]))
		require.Equal(t, id, string(input.GetMetadata()["encryption-key-id"]))
	}
}
