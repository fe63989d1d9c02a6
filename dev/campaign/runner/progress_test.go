package runner

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

func TestATallyFollowsJournalsAsTheyGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, startersRole+journal.Extension)
	w, err := journal.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	started := journal.Entry{Call: &journal.Call{Key: operation.Key{Endpoint: "SHOP", OperationID: "1"}, What: journal.Start, HTTPStatus: 201}}
	var counted tally
	for n := range 3 {
		counted.read(dir)
		require.Equal(t, n, counted.accepted)
		require.NoError(t, w.Write(started))
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = torn.WriteString(`{"call":{"http_status":201`)
	require.NoError(t, err)
	require.NoError(t, torn.Close())
	counted.read(dir)
	require.Equal(t, 3, counted.accepted, "half a line is none yet")
}

func TestATallyCountsEachQuestionAndEachRequestOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := journal.Open(filepath.Join(dir, coresRole+journal.Extension))
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	came := journal.Span{Began: time.Now()}
	over := journal.Span{Began: came.Began, Ended: time.Now()}
	for _, e := range []journal.Entry{
		{Poll: &journal.Poll{Span: came}}, {Poll: &journal.Poll{Span: over}},
		{Request: &journal.Request{Span: came}}, {Request: &journal.Request{Span: over}}, {Request: &journal.Request{Span: over, Answered: true}},
	} {
		require.NoError(t, w.Write(e))
	}
	var counted tally
	counted.read(dir)
	require.Equal(t, 1, counted.polls)
	require.Equal(t, 1, counted.requests)
}
