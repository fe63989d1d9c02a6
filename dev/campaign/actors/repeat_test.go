package actors_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
)

// repeatStarts repeats starts until the returned function is called.
func repeatStarts(t *testing.T, o actors.Options) (stop func()) {
	t.Helper()
	written, err := journal.Open(o.Journal)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := actors.NewStarters(o, written)
	go func() { ended <- s.Repeat(t.Context(), ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
		s.Close()
		require.NoError(t, written.Close())
	}
}

func TestRepeatedStartsAreThoseOfThePlan(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 0)
	o, p := starters(t, a)
	require.NoError(t, runStarters(t.Context(), o))
	before := len(read(t, o))
	stop := repeatStarts(t, o)
	require.Eventually(t, func() bool { return len(read(t, o)) >= before+4 }, 30*time.Second, 20*time.Millisecond)
	stop()
	require.Len(t, a.started, len(p.Operations), "none is new")
	for i, e := range read(t, o)[before:] {
		operation := p.Operations[i]
		require.Equal(t, operation.Key(), e.Call.Key)
		require.Equal(t, journal.Start, e.Call.Kind)
		require.Equal(t, operation.Starts, e.Call.Number)
		require.Equal(t, http.StatusOK, e.Call.HTTPStatus, "%s: the same content", e.Call.Error)
	}
}

func TestARepeatedStartIsNotCancelledAtTheEnd(t *testing.T) {
	t.Parallel()
	called, answer := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(called)
		<-answer
	}))
	t.Cleanup(slow.Close)
	o, _ := starters(t)
	o.APIs = []actors.API{{Name: "api-0", URL: slow.URL}}
	stop := repeatStarts(t, o)
	<-called
	time.AfterFunc(300*time.Millisecond, func() { close(answer) })
	stop()
	entries := read(t, o)
	require.Len(t, entries, 1)
	require.Equal(t, http.StatusOK, entries[0].Call.HTTPStatus)
}
