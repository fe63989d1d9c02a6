package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

func key(id string) operation.Key { return operation.Key{Endpoint: "GOLD", OperationID: id} }

func call(id string) journal.Entry {
	return journal.Entry{Call: &journal.Call{Key: key(id), Kind: journal.Start, HTTPStatus: 201}}
}

func request(name string, accepted bool) journal.Entry {
	return journal.Entry{Request: &journal.Request{Key: key("1"), Name: name, Accepted: accepted}}
}

func poll(name string, forbidden bool) journal.Entry {
	return journal.Entry{Poll: &journal.Poll{Key: key("1"), Name: name, Forbidden: forbidden}}
}

func open(t *testing.T, path string) *journal.Writer {
	t.Helper()
	w, err := journal.Open(path)
	require.NoError(t, err)
	return w
}

func write(t *testing.T, path string, entries ...journal.Entry) {
	t.Helper()
	w := open(t, path)
	for _, e := range entries {
		require.NoError(t, w.Write(e))
	}
	require.NoError(t, w.Close())
}

func TestReadReturnsWrittenEntries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Date(2026, 11, 21, 12, 0, 0, 123_456_789, time.UTC)
	entries := []journal.Entry{
		call("A/1 #%2F?&"),
		{Poll: &journal.Poll{Span: journal.Span{Began: began, Ended: began.Add(time.Millisecond)}, Key: key("1"), Status: "2"}},
		{Request: &journal.Request{Span: journal.Span{Began: began}, Key: key("1"), Name: "1", Number: 1}},
		{Fault: &journal.Fault{Span: journal.Span{Began: began}, Kind: "kill -9", On: "worker-0"}},
		{State: &journal.State{Key: key("1"), HTTPStatus: 200, State: operation.State{Key: key("1"), Phase: operation.Closed, Outcome: operation.OutcomeAcknowledged}}},
	}
	write(t, filepath.Join(dir, "a.jsonl"), entries...)
	read, err := journal.Read(dir)
	require.NoError(t, err)
	require.Equal(t, entries, read)
}

func TestReadOrdersEntriesByFileNameAndLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.jsonl"), call("3"))
	write(t, filepath.Join(dir, "a.jsonl"), call("1"), call("2"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.log"), []byte("not a journal\n"), 0o600))
	read, err := journal.Read(dir)
	require.NoError(t, err)
	require.Equal(t, []journal.Entry{call("1"), call("2"), call("3")}, read)
}

func TestAnIncompleteLastLineIsSkippedAndThenRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.jsonl")
	write(t, path, call("1"), call("2, on a longer line than the next one"))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, missing := range []int{1, 10} {
		require.NoError(t, os.WriteFile(path, whole[:len(whole)-missing], 0o600))
		read, err := journal.Read(dir)
		require.NoError(t, err)
		require.Equal(t, []journal.Entry{call("1")}, read, "%d bytes are missing", missing)
	}

	write(t, path, call("3"))
	read, err := journal.Read(dir)
	require.NoError(t, err)
	require.Equal(t, []journal.Entry{call("1"), call("3")}, read, "the next entry has a line of its own")
	whole, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, byte('\n'), whole[len(whole)-1], "nothing is left of the incomplete line")
}

func TestAnIncompleteLineBeforeOthersIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("{\"call\":{\n{}\n"), 0o600))
	_, err := journal.ReadFile(path)
	require.ErrorContains(t, err, "line 1")
}

func TestReadReturnsTheLatestEntryOfAPollOrRequest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.jsonl")
	write(t, path, request("1", false), poll("1", false), request("2", false), call("1"), request("1", true), poll("1", true))
	read, err := journal.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, []journal.Entry{request("1", true), poll("1", true), request("2", false), call("1")}, read)
}
