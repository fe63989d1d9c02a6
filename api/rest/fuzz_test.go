package rest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// FuzzDecode: whatever the bytes, the response is a request or a refusal; what
// is accepted is read the same again after it was written.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"endpoint":"SHOP","operation_id":"1"}`,
		`{"endpoint":"SHOP","operation_id":"1","reference":{"registered_at":"2026-11-21T09:30:00+02:00","order_id":"o"},"callback":{"url":"u","statuses":["a"]}}`,
		`{"endpoint":null}`, `{"a":1,"a":2}`, `[]`, `{`, "\xff", `{"operation_id":"\ud800"}`, ` {} x`, `{"callback":{"statuses":[[[[]]]]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request operation.StartRequest
		if err := rest.Decode(body, &request); err != nil {
			var refused *operation.Error
			require.ErrorAs(t, err, &refused)
			require.NotEmpty(t, refused.Detail)
			require.True(t, refused.Problem == rest.ProblemMalformed || len(refused.Fields) > 0)
			return
		}
		var loose operation.StartRequest
		require.NoError(t, json.Unmarshal(body, &loose), "what is accepted strictly is accepted loosely")
		require.Equal(t, loose, request)
		again := operation.StartRequest{}
		require.NoError(t, rest.Decode(mustJSON(t, request), &again))
		require.Equal(t, mustJSON(t, request), mustJSON(t, again))
	})
}

// FuzzPath: an id in a path reaches Operations as it was, or not at all.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"1", "a/b#c%", "..", "%2F", "ї", "\x00", "a?b", "/", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" {
			return // that is another path
		}
		operations := &fake{state: someState("1")}
		r := newRequest(http.MethodGet, "/v1/operations/SHOP/"+url.PathEscape(id), nil)
		response := httptest.NewRecorder()
		rest.New(rest.Options{Operations: operations}).ServeHTTP(response, r)
		if response.Code == 422 {
			require.Empty(t, operations.received())
			return
		}
		require.Equal(t, 200, response.Code)
		require.Equal(t, []any{operation.Key{Endpoint: "SHOP", OperationID: id}}, operations.received())
	})
}

// FuzzQuery: whatever the query, the response is a page or names a parameter.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "endpoint=SHOP&outcome=gone", "since=2026-11-21T09:30:00Z", "a=1&a=2", "%zz", ";", "since=%ff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := newRequest(http.MethodGet, "/v1/operations", nil)
		r.URL.RawQuery = query
		response := httptest.NewRecorder()
		rest.New(rest.Options{Operations: &fake{}}).ServeHTTP(response, r)
		if response.Code == 200 {
			return
		}
		require.Equal(t, 422, response.Code)
		require.NotEmpty(t, isProblem(t, response.Result(), response.Body.Bytes()).Errors)
	})
}

// fuzzedCalls are the calls that take a body.
var fuzzedCalls = []string{
	"/v1/operations",
	"/v1/operations/SHOP/1/status",
	"/v1/operations/SHOP/1/revocation",
	"/v1/operations/SHOP/1/redelivery",
	"/v1/redeliveries",
	"/v1/endpoints/SHOP/ping",
}

// FuzzBody: whatever the body of a call, it is done or refused for what it is,
// and what is refused never reaches Operations.
func FuzzBody(f *testing.F) {
	seeds := []string{
		"", "{}", "null", "[]", `{"endpoint":"SHOP","operation_id":"1"}`, `{"status":"done"}`, `{"status":""}`, `{"status":null}`,
		`{"initiated_by":"client","reason":"r"}`, `{"initiated_by":"core","initiated_by":"user"}`,
		`{"repoll":true,"force":false,"reason":"r","callback":{"url":"https://a.example/"}}`,
		`{"filter":{"endpoint":"SHOP","outcome":"exhausted","since":"2026-11-21T09:30:00Z"},"rate_per_second":1e-300,"dry_run":true}`,
		`{"filter":{"status":"done"},"rate_per_second":1e999}`, `{"url":"https://a.example/"}`, `{"url":1}`, "{\"reason\":\"\\u0000\"}", "\xff",
	}
	for call := range fuzzedCalls {
		for _, seed := range seeds {
			f.Add(uint8(call), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, call uint8, body []byte) {
		operations := &fake{state: someState("1")}
		r := newRequest(http.MethodPost, fuzzedCalls[int(call)%len(fuzzedCalls)], bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		response := httptest.NewRecorder()
		rest.New(rest.Options{Operations: operations}).ServeHTTP(response, r)
		if response.Code < 300 {
			require.NotEmpty(t, operations.received())
			return
		}
		require.Contains(t, []int{400, 413, 422}, response.Code, "%s", response.Body)
		isProblem(t, response.Result(), response.Body.Bytes())
		require.Empty(t, operations.received())
	})
}

// FuzzBearer: whatever the Authorization header says, only a key's own bytes
// open anything.
func FuzzBearer(f *testing.F) {
	const key = "a-key-that-nobody-guesses"
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer " + key, "bearer  " + key, "Basic YTpi", "Bearer " + key + "\x00", "Bearer \xff"} {
		f.Add(seed)
	}
	keys := []rest.Key{{Name: "core", SHA256: sha256.Sum256([]byte(key)), Scopes: []string{operation.ScopeRead}}}
	f.Fuzz(func(t *testing.T, header string) {
		operations := &fake{state: someState("1")}
		r := newRequest(http.MethodGet, "/v1/operations/SHOP/1", nil)
		r.Header["Authorization"] = []string{header}
		response := httptest.NewRecorder()
		rest.New(rest.Options{Operations: operations, Settings: func() rest.Settings { return rest.Settings{Keys: keys} }}).ServeHTTP(response, r)
		if response.Code == 200 {
			require.Contains(t, header, key)
			return
		}
		require.Equal(t, 401, response.Code)
		require.Empty(t, operations.received())
	})
}
