package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// The endpoints of the rows below: one with a bearer token for whatever listed host a
// start brings, one whose pushed statuses are hints, and one that takes none.
const hostsConfig = `
  HOSTS: {dialect: paysera, source: wallet, callback_url: per_operation, callback_hosts: [pay.example, "*.shop.example"], auth: {bearer: "${env:E2E_WSGATE_PASSWORD}"}, poll: {interval: 100ms, lifetime: 1m}, delivery: {interval: 50ms, attempts: 3, timeout: 1s}}
  HINTED: {dialect: standard, source: wallet, url: %[1]q, poll: {interval: 1h, lifetime: 2h}, delivery: {interval: 50ms, attempts: 3, timeout: 1s}}
  UNPUSHED: {dialect: standard, source: wallet, url: %[1]q, push: off, poll: {interval: 1h, lifetime: 2h}, delivery: {interval: 50ms, attempts: 3, timeout: 1s}}
`

// hosts are callers that try to have something sent to where it does not belong.
func (h *hostileEnvironment) hosts() []hostile {
	to := func(input, url string) call {
		return call{input: input, body: fmt.Sprintf(`{"endpoint":"HOSTS","operation_id":"1","callback":{"url":%q}}`, url), want: "422 invalid: callback.url"}
	}
	bearer := func(key string) []string {
		return []string{"Authorization: Bearer " + key, "Content-Type: application/json"}
	}
	return h.rows([]call{
		to("a start at a host that is not listed", "https://evil.example/"),
		to("a start at a host that ends like a listed one", "https://evilshop.example/"),
		to("a start at two labels for a wildcard", "https://a.b.shop.example/"),
		to("a start at a listed host as a user name", "https://pay.example@evil.example/"),
		to("a start at a listed host before a backslash", `https://pay.example\.evil.example/`),
		to("a start at a listed host in wide letters", "https://ｐay.example/"),
		to("a start at an address", "http://127.0.0.1/"),
		{input: "a ping to a host that is not listed", path: "/v1/endpoints/HOSTS/ping", body: `{"url":"https://evil.example/"}`, want: "422 invalid: url"},
		{input: "a redelivery to another URL without its scope", path: "/v1/operations/LEDGER/closed/redelivery", header: bearer(keyBound), body: `{"callback":{"url":"https://evil.example/"}}`, want: "403 forbidden"},
		{input: "who may only start pushes", path: "/v1/operations/IDLE/open/status", header: bearer(keyStart), body: `{"status":"done"}`, want: "403 forbidden"},
		{input: "who may only start asks for a poll", path: "/v1/operations/IDLE/open/status", header: bearer(keyStart), body: `{}`, want: "403 forbidden"},
	})
}

// pushes are statuses that the core did not state.
func (h *hostileEnvironment) pushes() []hostile {
	begin := func(t *testing.T, endpoint, id string) operation.Key {
		t.Helper()
		h.fakeServers.status(id, "processing")
		key := start(t, h.Client, operation.StartRequest{Endpoint: endpoint, OperationID: id})
		awaitState(t, h.Client, key, watchedOn)
		return key
	}
	return []hostile{
		{input: "a final status that is a hint, while the core says another", want: "processing after 2 polls, nothing sent", exactly: true, try: func(t *testing.T) string {
			key := begin(t, "HINTED", "hinted")
			require.NoError(t, h.Push(t.Context(), key, "done"))
			state := awaitState(t, h.Client, key, func(s operation.State) bool { return s.Polls == 2 && s.Status != nil })
			if len(state.Deliveries) > 0 || len(h.fakeServers.receivedStatuses("hinted")) > 0 {
				return "something sent"
			}
			return fmt.Sprintf("%s after %d polls, nothing sent", state.Status.Value, state.Polls)
		}},
		{input: "a final status where none is taken", want: "422 invalid: status", exactly: true, try: func(t *testing.T) string {
			key := begin(t, "UNPUSHED", "unpushed")
			return h.send(t, call{path: "/v1/operations/" + key.WorkflowID() + "/status", body: `{"status":"done"}`})
		}},
	}
}
