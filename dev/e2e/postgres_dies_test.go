package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// TestAPostgreSQLThatDiesLosesNothing kills the database under Temporal. Nobody
// restarts anything else (docs/operations/running.md, "When something dies").
func TestAPostgreSQLThatDiesLosesNothing(t *testing.T) {
	cluster, _ := startPostgres(t)
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
	refusesToStart(t, api, entry("1303"))
	require.Regexp(t, `temporal_request_failure_total\{.*status_code="(UNAVAILABLE|DEADLINE_EXCEEDED)"`, scrape(t, telemetryAddress(t, api)), "what RingbackTemporalFailing asks for")
	ready, err := probes(t, api).Call(t.Context(), http.MethodGet, "/readyz", nil, nil)
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
