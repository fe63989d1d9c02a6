package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// anyID is a kind whose operation ids are any text. Only the final status is sent.
const anyID = `
api: {listen: 127.0.0.1:0}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
kinds:
  any:
    statuses: {accepted: [revocable], done: [final, rings]}
    request: {path: "/payments/{operation.operation_id}"}
    answer: {answered: has(body.id), about: body.id, status: body.status}
sources: {core: {kind: any, base_urls: [%q]}}
endpoints:
  SHOP: {dialect: standard, source: core, url: %q, push: trust, poll: {interval: 100ms, lifetime: 1h}, delivery: {interval: 50ms, attempts: 4, timeout: 5s}}
`

func TestAnOperationIDIsAnyText(t *testing.T) {
	t.Parallel()
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/payments/")
		status := "accepted"
		if strings.HasPrefix(id, "polled") {
			status = "done"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "status": status})
	}))
	t.Cleanup(core.Close)
	shop := receiver(t, "standard")
	w := &environment{temporal: sharedServer(t), config: filepath.Join(t.TempDir(), "ringback.yml")}
	require.NoError(t, os.WriteFile(w.config, fmt.Appendf(nil, anyID, core.URL, shop.URL()+"/hooks"), 0o600))
	api := w.run(t).Client
	begin := func(t *testing.T, id string) operation.Key {
		t.Helper()
		return start(t, api, operation.StartRequest{Endpoint: "SHOP", OperationID: id})
	}
	for _, id := range []string{"ёж", "é", "漢字", "😀", "a\u00a0b", "%20/?#+"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			polled := begin(t, "polled "+id)
			require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, polled).Outcome)
			_, err := api.Redeliver(t.Context(), polled, operation.RedeliveryRequest{Force: true})
			require.NoError(t, err)
			awaitCallbacks(t, shop, "polled "+id, 2)

			pushed := begin(t, id)
			require.NoError(t, api.Push(t.Context(), pushed, "done"))
			require.Equal(t, "done", awaitClosed(t, api, pushed).Status.Value)
			awaitCallbacks(t, shop, id, 1)

			revoked := begin(t, "revoked "+id)
			_, err = api.Revoke(t.Context(), revoked, "user", "")
			require.NoError(t, err)
			require.NotNil(t, awaitClosed(t, api, revoked).Revocation)

			withdrawn := begin(t, "withdrawn "+id)
			withdraw(t, api, withdrawn)
			require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, api, withdrawn).Outcome)

			require.Eventually(t, func() bool {
				page, err := api.List(t.Context(), apiclient.ListQuery{})
				require.NoError(t, err)
				listed := 0
				for _, o := range page.Operations {
					if strings.HasSuffix(o.OperationID, id) {
						listed++
					}
				}
				return listed >= 4
			}, patience, quickInterval)
		})
	}
}
