package rest_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

func TestWithoutKeysAPageOfAnotherOriginCallsNothing(t *testing.T) {
	t.Parallel()
	const start, ui = `{"endpoint":"SHOP","operation_id":"1"}`, "http://127.0.0.1:8233"
	type header = map[string]string
	for name, tc := range map[string]struct {
		method, path, body string
		header             header
		code               int
		detail             string
	}{
		"a program reads":                                           {"GET", operationPath, "", nil, 200, ""},
		"a program starts":                                          {"POST", "/v1/operations", start, header{"Content-Type": "application/json"}, 200, ""},
		"the name localhost is as good":                             {"GET", operationPath, "", header{"Host": "LocalHost:8080"}, 200, ""},
		"another loopback address is as good":                       {"GET", operationPath, "", header{"Host": "[::1]:8080"}, 200, ""},
		"a foreign name may lead here, and is refused":              {"GET", operationPath, "", header{"Host": "evil.example:8080"}, 403, "such as 127.0.0.1:8080"},
		"a name that begins as a loopback address is foreign":       {"GET", operationPath, "", header{"Host": "127.0.0.1.evil.example:8080"}, 403, "header Host"},
		"an address of a network is refused":                        {"GET", operationPath, "", header{"Host": "10.0.0.1:8080"}, 403, "header Host"},
		"another port is refused":                                   {"GET", operationPath, "", header{"Host": "127.0.0.1:8081"}, 403, "header Host"},
		"no port is port 80, and refused":                           {"GET", operationPath, "", header{"Host": "127.0.0.1"}, 403, "header Host"},
		"no Host is refused":                                        {"GET", operationPath, "", header{"Host": ""}, 403, "header Host"},
		"a page of this program may read":                           {"GET", operationPath, "", header{"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, 200, ""},
		"who types the address into a browser may read":             {"GET", operationPath, "", header{"Sec-Fetch-Site": "none"}, 200, ""},
		"a page of another origin does not start":                   {"POST", "/v1/operations", start, header{"Content-Type": "application/json", "Origin": "https://evil.example"}, 403, "another origin"},
		"a page of another port does not start":                     {"POST", "/v1/operations", start, header{"Content-Type": "application/json", "Origin": "http://127.0.0.1:3000"}, 403, "another origin"},
		"a sandboxed page does not start":                           {"POST", "/v1/operations", start, header{"Content-Type": "application/json", "Origin": "null"}, 403, "another origin"},
		"a page of another site does not read":                      {"GET", operationPath, "", header{"Sec-Fetch-Site": "cross-site"}, 403, "another origin"},
		"nor does the page of the Temporal UI, outside the codec":   {"GET", operationPath, "", header{"Origin": ui}, 403, "another origin"},
		"a page of another origin does not withdraw":                {"DELETE", operationPath, "", header{"Origin": "https://evil.example"}, 403, "another origin"},
		"a page does not see the document either":                   {"GET", "/openapi.yaml", "", header{"Host": "evil.example:8080"}, 403, "header Host"},
		"a form of text/plain does not start":                       {"POST", "/v1/operations", start, header{"Content-Type": "text/plain"}, 415, "Content-Type: application/json"},
		"a form without a body does not push":                       {"POST", operationPath + "/status", "", header{"Content-Type": "application/x-www-form-urlencoded"}, 415, "also without a body"},
		"an empty body without a type does not push":                {"POST", operationPath + "/status", "", nil, 415, "also without a body"},
		"an empty body with the type pushes":                        {"POST", operationPath + "/status", "", header{"Content-Type": "application/json"}, 202, ""},
		"a withdrawal without a type is refused":                    {"DELETE", operationPath, "", nil, 415, "also without a body"},
		"a stop of a bulk redelivery without a type is refused":     {"POST", "/v1/redeliveries/rd_aaaaaaaaaaaaaaaaaaaaaaaaaa/stop", "", nil, 415, "also without a body"},
		"the codec is for the pages that it names":                  {"POST", "/codec/decode", "{}", header{"Origin": ui, "Sec-Fetch-Site": "cross-site"}, 200, ""},
		"the codec is for no other page":                            {"POST", "/codec/decode", "{}", header{"Origin": "https://evil.example"}, 403, "another origin"},
		"the codec under a foreign name is for no page":             {"POST", "/codec/decode", "{}", header{"Origin": ui, "Host": "evil.example:8080"}, 403, "header Host"},
		"who follows a link sees what it leads to":                  {"GET", operationPath, "", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200, ""},
		"a form that is sent changes nothing":                       {"POST", "/v1/operations", start, header{"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403, "another origin"},
		"a page does not frame the sign-in of the codec":            {"GET", "/codec", "", header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403, "another origin"},
		"a path that only begins as the codec's is not the codec's": {"GET", "/codecs", "", header{"Origin": ui}, 403, "another origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{state: someState("1")}
			settings := rest.Settings{CodecOrigins: []string{ui}}
			options := rest.Options{
				Operations: f, Settings: func() rest.Settings { return settings },
				Codec: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			}
			send := func() *httptest.ResponseRecorder {
				r := newRequest(tc.method, tc.path, strings.NewReader(tc.body))
				for name, value := range tc.header {
					r.Header.Set(name, value)
				}
				if host, given := tc.header["Host"]; given {
					r.Host = host
				}
				if len(settings.Keys) > 0 {
					r.Header.Set("Authorization", "Bearer "+secret)
				}
				response := httptest.NewRecorder()
				rest.New(options).ServeHTTP(response, r)
				return response
			}
			response := send()
			require.Equal(t, tc.code, response.Code, response.Body)
			require.Contains(t, response.Body.String(), tc.detail)
			if tc.code >= 400 {
				require.Empty(t, f.received(), "nothing was done")
			}

			settings.Keys = oneKey(rest.Key{Name: "all", Scopes: operation.Scopes})().Keys
			require.NotContains(t, send().Body.String(), "Without API keys", "with keys nothing of this holds")
		})
	}
}

// TestWithoutKeysTheChecksHoldOnARealConnection holds that the port is the listener's.
func TestWithoutKeysTheChecksHoldOnARealConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(rest.New(rest.Options{Operations: &fake{state: someState("1")}}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	for host, code := range map[string]int{"127.0.0.1:" + port: 200, "localhost:" + port: 200, "localhost:1": 403, "evil.example:" + port: 403} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+operationPath, nil)
		require.NoError(t, err)
		r.Host = host
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, code, response.StatusCode, host)
	}
	http.DefaultClient.CloseIdleConnections()
}
