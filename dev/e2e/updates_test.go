package e2e_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// updatesARun is how many Updates an unmodified server allows one run
// (history.maxTotalUpdates).
const updatesARun = 2000

func TestAnOperationIsPushedAndRevokedBeyondTheUpdatesOfOneRun(t *testing.T) {
	w := newEnvironment(t, sharedServer(t), quick,
		`SLOW: {dialect: standard, source: wallet, url: "http://127.0.0.1:9/", poll: {interval: 1h, lifetime: 24h}, delivery: {interval: 1h, attempts: 1}, push: trust}`)
	api := w.run(t).Client
	w.core.SetStatus("460", "new")
	request := entry("460")
	request.Endpoint = "SLOW"
	key := start(t, api, request)

	const callers = 8
	var calls sync.WaitGroup
	for range callers {
		calls.Go(func() {
			for range updatesARun/callers + 1 {
				if err := api.Push(t.Context(), key, "new"); err != nil {
					t.Errorf("a push was refused: %v", err)
					return
				}
			}
		})
	}
	calls.Wait()
	state, err := api.Revoke(t.Context(), key, operation.InitiatedByClient, "beyond the limit")
	require.NoError(t, err)
	require.NotNil(t, state.Revocation)
	require.Equal(t, operation.OutcomeRevoked, awaitClosed(t, api, key).Outcome)
}
