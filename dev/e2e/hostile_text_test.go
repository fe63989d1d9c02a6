package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// texts are card numbers by ways that a plain search does not see, and networks that
// are opened at one port.
func (h *hostileEnvironment) texts() []hostile {
	const open = "/v1/operations/IDLE/open"
	rows := h.rows([]call{
		{input: "a card number with underscores as id", body: `{"endpoint":"LEDGER","operation_id":"4111_1111_1111_1111"}`, want: "422 invalid: operation_id"},
		{input: "a card number of Mir as id", body: `{"endpoint":"LEDGER","operation_id":"2200000000000004"}`, want: "422 invalid: operation_id"},
		{input: "a card number percent-encoded in a path", method: http.MethodDelete, path: "/v1/operations/LEDGER/4111%5F1111%5F1111%5F1111", want: "422 invalid: operation_id"},
		{input: "a card number in a query", method: http.MethodGet, path: "/v1/operations?endpoint=" + card, want: "422 invalid: endpoint"},
		{input: "a card number percent-encoded in a URL", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"http://127.0.0.1/?pan=%34111%2E1111%2e1111%2E1111"}`, want: "422 invalid: url"},
		{input: "a card number with dots as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"4111.1111.1111.1111"}`, want: "422 invalid: reason"},
		{input: "a card number with two spaces as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"4111  1111  1111  1111"}`, want: "422 invalid: reason"},
		{input: "a card number with minus signs as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"4111−1111−1111−1111"}`, want: "422 invalid: reason"},
		{input: "a card number with middle dots as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"4111·1111·1111·1111"}`, want: "422 invalid: reason"},
		{input: "a card number with pluses in a URL", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"http://127.0.0.1/?pan=4111+1111+1111+1111"}`, want: "422 invalid: url"},
		{input: "a card number with encoded pluses in a URL", path: "/v1/endpoints/WALLET_SHOP/ping", body: `{"url":"http://127.0.0.1/?pan=4111%2B1111%2B1111%2B1111"}`, want: "422 invalid: url"},
		{input: "a card number of full-width digits as reason", path: open + "/revocation", body: `{"initiated_by":"core","reason":"４１１１１１１１１１１１１１１１"}`, want: "422 invalid: reason"},
		{input: "a card number with dots as status", path: open + "/status", body: `{"status":"4111.1111.1111.1111"}`, want: "422 invalid: status"},
	})
	return append(rows,
		hostile{input: "a card number as X-Request-Id", want: "another id", exactly: true, try: func(t *testing.T) string {
			t.Helper()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Base+"/healthz", http.NoBody)
			require.NoError(t, err)
			request.Header.Set("X-Request-Id", card)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			if id := response.Header.Get("X-Request-Id"); id == "" || id == card {
				return id
			}
			return "another id"
		}},
		hostile{input: "a network at port 0", want: "egress.allow[0]", try: func(t *testing.T) string {
			t.Helper()
			return h.configured(t, "api", strings.Replace(soundFile, "127.0.0.0/8", "127.0.0.0/8:0", 1))
		}},
	)
}

// answeredTexts are answers that write into reasons.
func (h *hostileEnvironment) answeredTexts() []hostile {
	rows := h.answered(gold, toReceiver, "text: ", []badAnswer{
		{"a status line that colours a terminal", "unacknowledged: no answer: not a valid HTTP answer; then", respondRaw("HTTP/1.1 \x1b[31mEVIL\r\n\r\n")},
		{"a status line that turns the direction", "unacknowledged: no answer: not a valid HTTP answer; then", respondRaw("\u202eEVIL " + card + "\r\n\r\n")},
		{"a connection that closes", "unacknowledged: no answer: the connection was ", respondRaw("")},
	})
	cores := h.answered(ledger, toCore, "text: ", []badAnswer{
		{"a card number as status", "", respond(200, `{"id":"{id}","status":"`+card+`"}`)},
		{"a card number with dots as status", "", respond(200, `{"id":"{id}","status":"4111.1111.1111.1111"}`)},
	})
	for i := range cores {
		cores[i].want = "2 polls; " + acknowledgedOnce
	}
	return append(rows, cores...)
}
