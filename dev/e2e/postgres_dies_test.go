package e2e_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/postgres"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// TestAPostgreSQLThatDiesLosesNothing kills the database under Temporal. Nobody
// restarts anything else (docs/operations/running.md, "When something dies").
func TestAPostgreSQLThatDiesLosesNothing(t *testing.T) {
	dir, err := os.MkdirTemp("", "ringback-e2e") //nolint:usetesting // the user postgres may not enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cluster, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.NoError(t, err)
	closeAtEnd(t, cluster.Stop)
	w := newEnvironment(t, startServer(t, "-postgres", cluster.URL("temporal")), policies{
		poll:     "{interval: 500ms, lifetime: 5m}",
		delivery: "{interval: 6s, attempts: 30, timeout: 5s}",
	})
	_, api := w.api(t, "127.0.0.1:0", "-worker=false")
	w.worker(t)
	w.core.SetStatus("1301", "waiting_funds")
	w.core.SetStatus("1302", "done")
	w.core.SetStatus("1303", "done")
	w.standard.Script("1302", failing(http.StatusServiceUnavailable))
	watching, delivering := start(t, api, w.transfer("1301")), start(t, api, entry("1302"))
	awaitCallbacks(t, w.paysera, "1301", 1)
	awaitCallbacks(t, w.standard, "1302", 2)

	require.NoError(t, cluster.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, _, err = direct(api).Start(ctx, entry("1303"))
	problem := &apiclient.Problem{}
	require.ErrorAs(t, err, &problem)
	require.Equal(t, http.StatusServiceUnavailable, problem.Status)
	require.NotEmpty(t, problem.RetryAfter)
	require.Regexp(t, `temporal_request_failure_total\{.*status_code="(UNAVAILABLE|DEADLINE_EXCEEDED)"`, text(t, api.Base+"/metrics"), "what RingbackTemporalFailing asks for")
	ready, err := api.Call(t.Context(), http.MethodGet, "/readyz", nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ready, "Temporal is there")
	w.core.SetStatus("1301", "done")
	w.standard.Script("1302", failing(http.StatusServiceUnavailable), simulator.Acknowledge)
	require.NoError(t, cluster.Restart(t.Context()))

	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, watching).Outcome)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, delivering).Outcome)
	require.Len(t, w.paysera.Received("1301"), 2)
	require.Eventually(t, func() bool {
		_, _, err := api.Start(t.Context(), entry("1303"))
		return err == nil
	}, patience, apiclient.AwaitInterval)
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, entry("1303").Key()).Outcome)
	require.Len(t, w.standard.Received("1303"), 1)
}

// text is what an address answers with.
func text(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	answered, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(answered)
}
