package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// pause stops the server's process, and lets it go on.
func (e *temporalServer) pause(t *testing.T) (goOn func()) {
	t.Helper()
	require.NoError(t, e.process.Signal(syscall.SIGSTOP))
	return sync.OnceFunc(func() { require.NoError(t, e.process.Signal(syscall.SIGCONT)) })
}

// While the Temporal server stands still, starts take the room that there is and the
// others are refused with 503. What was accepted is delivered.
func TestStartsAreRefusedUnderOverloadAndAcceptedOnesComplete(t *testing.T) {
	w := newEnvironment(t, startServer(t), quick)
	w.setAPI(t, "max_starts: 4")
	api := w.run(t)
	w.core.SetStatus("known", "done")
	awaitClosed(t, api.Client, start(t, api.Client, entry("known")))

	goOn := w.temporal.pause(t)
	defer goOn()
	const many = 40
	outcomes := make([]error, many)
	var starters sync.WaitGroup
	for i := range many {
		id := fmt.Sprintf("flood-%d", i)
		w.core.SetStatus(id, "done")
		starters.Go(func() { _, _, outcomes[i] = direct(api.Client).Start(t.Context(), entry(id)) })
	}
	time.Sleep(5 * time.Second) // longer than a start waits for its turn
	goOn()
	starters.Wait()

	shed := 0
	for i, err := range outcomes {
		if err == nil {
			continue
		}
		shed++
		refused, ok := errors.AsType[*apiclient.Problem](err)
		require.True(t, ok, err)
		require.Equal(t, http.StatusServiceUnavailable, refused.Status)
		seconds, err := strconv.Atoi(refused.RetryAfter)
		require.NoError(t, err)
		require.Positive(t, seconds)
		if strings.HasSuffix(refused.Type, "/overloaded") {
			_, err := api.State(t.Context(), entry(fmt.Sprintf("flood-%d", i)).Key())
			require.Equal(t, http.StatusNotFound, apiclient.Status(err), "what was shed did not begin")
		}
	}
	require.GreaterOrEqual(t, shed, many-8, "there was room for four, and for none that waited")
	for i := range many {
		request := entry(fmt.Sprintf("flood-%d", i))
		start(t, api.Client, request)
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api.Client, request.Key()).Outcome)
		require.Len(t, awaitCallbacks(t, w.standard, request.OperationID, 1), 1, "once")
	}
}

// Changes of open operations are served while starts take all the room there is for
// starts.
func TestChangesAndReadsAreServedDuringAFloodOfStarts(t *testing.T) {
	w := newEnvironment(t, startServer(t), quick)
	w.setAPI(t, "max_starts: 1")
	api := w.run(t)
	w.core.SetStatus("open", "reserved")
	open := start(t, api.Client, entry("open"))

	stop := make(chan struct{})
	var starters sync.WaitGroup
	for i := range 16 {
		starters.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					_, _, _ = direct(api.Client).Start(t.Context(), entry(fmt.Sprintf("flood-%d-%d", i, n)))
				}
			}
		})
	}
	defer starters.Wait()
	defer close(stop)
	for range 20 {
		_, err := api.State(t.Context(), open)
		require.NoError(t, err)
		require.NoError(t, api.Push(t.Context(), open, "reserved"))
	}
	withdraw(t, api.Client, open)
	require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api.Client, open).Outcome)
}
