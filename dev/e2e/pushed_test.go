package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// pushingCore is a core that is never polled. Its endpoints differ by the lifetime of
// their operations.
const pushingCore = `
api: {listen: 127.0.0.1:0}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
kinds:
  pushing:
    statuses: {accepted: [rings], done: [final, rings], lapsed: [final, rings]}
    push: {lifetime_status: lapsed}
sources: {core: {kind: pushing}}
endpoints:
  PATIENT: {dialect: standard, source: core, url: %[1]q, poll: {lifetime: 1h}, delivery: {interval: 50ms, attempts: 4, timeout: 5s}}
  BRIEF: {dialect: standard, source: core, url: %[1]q, poll: {lifetime: 500ms}, delivery: {interval: 50ms, attempts: 4, timeout: 5s}}
`

func TestACoreThatOnlyPushesByItsFileAlone(t *testing.T) {
	t.Parallel()
	shop := receiver(t, "standard")
	w := &environment{temporal: sharedServer(t), config: filepath.Join(t.TempDir(), "ringback.yml")}
	require.NoError(t, os.WriteFile(w.config, fmt.Appendf(nil, pushingCore, shop.URL()+"/hooks"), 0o600))
	api := w.run(t).Client

	t.Run("what it pushes is sent, and the operation ends with its final status", func(t *testing.T) {
		t.Parallel()
		key := start(t, api, operation.StartRequest{Endpoint: "PATIENT", OperationID: "991"})
		_, err := direct(api).Details(t.Context(), key)
		require.Equal(t, http.StatusNotFound, apiclient.Status(err), "%v", err)
		require.ErrorContains(t, err, "The source core has no details: it pushes, and is never asked.")
		require.NoError(t, api.Push(t.Context(), key, "accepted"))
		awaitCallbacks(t, shop, "991", 1)
		state := awaitState(t, api, key, func(s operation.State) bool {
			return len(s.Deliveries) == 1 && s.Deliveries[0].Outcome == operation.DeliveryAcknowledged
		})
		require.Equal(t, operation.OutcomeNone, state.Outcome, "accepted is not final")
		require.NoError(t, api.Push(t.Context(), key, "done"))
		requirePushed(t, awaitClosed(t, api, key), shop.Received("991"), "accepted", "done")
	})
	t.Run("once the lifetime is over its status is sent", func(t *testing.T) {
		t.Parallel()
		key := start(t, api, operation.StartRequest{Endpoint: "BRIEF", OperationID: "992"})
		requirePushed(t, awaitClosed(t, api, key), shop.Received("992"), "lapsed")
	})
}

// requirePushed requires one acknowledged callback about each status, and no poll.
func requirePushed(t *testing.T, state operation.State, sent []simulator.Received, statuses ...string) {
	t.Helper()
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Zero(t, state.Polls)
	require.Len(t, sent, len(statuses))
	for i, status := range statuses {
		require.Equal(t, status, sent[i].Status)
		require.Equal(t, "acknowledged", verdicts(state.Deliveries[i]))
	}
	require.Equal(t, statuses[len(statuses)-1], state.Status.Value)
}
