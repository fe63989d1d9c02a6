package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
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

// atOnce bounds the starts of a configuration.
func (w *world) atOnce(t *testing.T, starts int) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	require.NoError(t, err)
	changed := strings.Replace(string(text), "api: {listen: 127.0.0.1:0}", fmt.Sprintf("api: {listen: 127.0.0.1:0, max_starts: %d}", starts), 1)
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(w.config, []byte(changed), 0o600))
}

// pause stops the server's process, and lets it go on.
func (e *engine) pause(t *testing.T) (goOn func()) {
	t.Helper()
	require.NoError(t, e.process.Signal(syscall.SIGSTOP))
	return sync.OnceFunc(func() { require.NoError(t, e.process.Signal(syscall.SIGCONT)) })
}

// While the engine stands still, starts fill what room there is for them and the
// others are told to come back; what was accepted, before and then, is rung.
func TestStartsAreShedBeforeTheEngineDrownsAndWhatIsAcceptedCompletes(t *testing.T) {
	w := newWorld(t, startEngine(t), quick)
	w.atOnce(t, 4)
	api := w.run(t)
	w.core.SetStatus("known", "done")
	closed(t, api.Client, start(t, api.Client, entry("known")))

	goOn := w.temporal.pause(t)
	defer goOn()
	const many = 40
	outcomes := make([]error, many)
	var starters sync.WaitGroup
	for i := range many {
		id := fmt.Sprintf("flood-%d", i)
		w.core.SetStatus(id, "done")
		starters.Go(func() { _, _, outcomes[i] = api.Start(t.Context(), entry(id)) })
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
		_ = patiently(t, api.Client, request)
		require.Equal(t, operation.OutcomeAcknowledged, closed(t, api.Client, request.Key()).Outcome)
		require.Len(t, rung(t, w.standard, request.OperationID, 1), 1, "once")
	}
}

// patiently starts an operation as a client does that obeys Retry-After.
func patiently(t *testing.T, api *apiclient.Client, r operation.StartRequest) operation.State {
	t.Helper()
	for begun := time.Now(); ; {
		state, _, err := api.Start(t.Context(), r)
		refused, ok := errors.AsType[*apiclient.Problem](err)
		if !ok || refused.Status != http.StatusServiceUnavailable || time.Since(begun) > patience {
			require.NoError(t, err)
			return state
		}
		seconds, err := strconv.Atoi(refused.RetryAfter)
		require.NoError(t, err)
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

// What is said to open operations is heard while starts hold all the room there
// is for them.
func TestChangesAndReadsAreAdmittedBesideAFloodOfStarts(t *testing.T) {
	w := newWorld(t, startEngine(t), quick)
	w.atOnce(t, 1)
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
					_, _, _ = api.Start(t.Context(), entry(fmt.Sprintf("flood-%d-%d", i, n)))
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
	require.Equal(t, operation.OutcomeWithdrawn, closed(t, api.Client, open).Outcome)
}
