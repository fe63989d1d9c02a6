package rest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

func somePing() operation.Ping {
	return operation.Ping{
		Endpoint: "SHOP", OperationID: "ringback-ping-x", CallbackID: "cb_ping_x", Dialect: "paysera",
		At: noon, TookMS: 3, Verdict: operation.Unacknowledged, Reason: "HTTP 500 is not 2xx",
		Request: operation.SentRequest{Line: "POST / HTTP/1.1", Headers: []operation.HeaderLine{{Name: "Host", Value: "a.example"}}},
	}
}

func TestAPingIsSentAndShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body     string
		received operation.PingRequest
	}{
		"without a body":      {"", operation.PingRequest{}},
		"with an empty body":  {"{}", operation.PingRequest{}},
		"to the caller's URL": {`{"url":"https://a.example/"}`, operation.PingRequest{URL: "https://a.example/"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{ping: somePing()}
			response, body := httpCall{method: http.MethodPost, path: "/v1/endpoints/SHOP/ping", body: tt.body}.
				do(t, rest.New(rest.Options{Operations: f}))
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, []any{"SHOP", tt.received}, f.received())
			var got operation.Ping
			require.NoError(t, json.Unmarshal([]byte(body), &got))
			require.Equal(t, somePing(), got)
		})
	}
}

func TestABadPingIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, body string
		err        error
		status     int
		says       string
	}{
		"an endpoint that is no name":   {"/v1/endpoints/A%2FB/ping", "", nil, 422, "endpoint"},
		"another endpoint than the key": {"/v1/endpoints/OTHER/ping", "", nil, 403, "not for that endpoint"},
		"a field that there is not":     {"/v1/endpoints/SHOP/ping", `{"status":"2"}`, nil, 422, "status"},
		"a query":                       {"/v1/endpoints/SHOP/ping?url=x", "", nil, 422, "url"},
		"a URL that is endless":         {"/v1/endpoints/SHOP/ping", `{"url":"https://a.example/` + strings.Repeat("x", 2048) + `"}`, nil, 422, "longer than 2048"},
		"too often": {"/v1/endpoints/SHOP/ping", "", &operation.Error{
			Problem: rest.ProblemTooManyRequests, Detail: "Wait.", RetryAfter: 1500 * time.Millisecond}, 429, "Wait."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{ping: somePing(), err: tt.err}
			response, body := httpCall{
				method: http.MethodPost, path: tt.path, body: tt.body, header: map[string]string{"Authorization": "Bearer " + secret},
			}.do(t, rest.New(rest.Options{Operations: f, Settings: oneKey(rest.Key{Name: "admin", Scopes: []string{operation.ScopePing}, Endpoints: []string{"SHOP"}})}))
			require.Equal(t, tt.status, response.StatusCode, body)
			require.Contains(t, body, tt.says)
			if tt.err == nil {
				require.Empty(t, f.received())
				return
			}
			require.Equal(t, "2", response.Header.Get("Retry-After"))
		})
	}
}
