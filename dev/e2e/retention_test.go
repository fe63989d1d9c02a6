package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// TestAfterTheRetentionAnOperationIsForgotten holds what bounds promises 1 and
// 10: a namespace whose retention is seconds.
func TestAfterTheRetentionAnOperationIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, startEngine(t, "-retention", "5s"), quick)
	process, api := w.api(t, "127.0.0.1:0")
	require.Equal(t, "the namespace's retention is below 30 days", says(t, process, "the namespace's retention is below 30 days"))
	w.core.SetStatus("1101", "done")
	w.core.SetStatus("1102", "done")
	w.core.SetStatus("1103", "waiting_funds")
	w.standard.Script("1102", failing(http.StatusServiceUnavailable))
	open := start(t, api, w.transfer("1103"))
	rung(t, w.paysera, "1103", 1)
	acknowledged, exhausted := start(t, api, entry("1101")), start(t, api, entry("1102"))
	require.Equal(t, operation.OutcomeExhausted, closed(t, api, exhausted).Outcome)
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, acknowledged).Outcome)
	_, created, err := api.Start(t.Context(), entry("1101"))
	require.NoError(t, err)
	require.False(t, created, "within the retention a second start is a duplicate")

	for _, key := range []operation.Key{acknowledged, exhausted} {
		require.Eventually(t, func() bool {
			_, err := api.State(t.Context(), key)
			return apiclient.Status(err) == http.StatusNotFound
		}, patience, 100*time.Millisecond, "%s is forgotten", key.WorkflowID())
	}
	_, err = api.Redeliver(t.Context(), exhausted, operation.RedeliveryRequest{})
	require.Equal(t, http.StatusNotFound, apiclient.Status(err), "what is forgotten can't be redelivered: %v", err)
	again := start(t, api, entry("1101"))
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, again).Outcome)
	got := w.standard.Received("1101")
	require.Len(t, got, 2, "a start of what is forgotten is a new operation, which rings")
	require.Equal(t, got[0].CallbackID, got[1].CallbackID, "and by its id the receiver knows the callback")

	state, err := api.State(t.Context(), open)
	require.NoError(t, err, "what is open is never forgotten, however old it is")
	require.Equal(t, operation.Watching, state.Phase)
	w.core.SetStatus("1103", "done")
	require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, open).Outcome)
}

// TestARetentionThatIsLongEnoughIsNotWarnedOf is the other half of what programs
// say at their start.
func TestARetentionThatIsLongEnoughIsNotWarnedOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, startEngine(t), quick)
	process, _ := w.api(t, "127.0.0.1:0")
	require.NotContains(t, process.Output(), "retention")
}
