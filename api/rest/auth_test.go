package rest_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
	"ringback/internal/operation"
)

const secret = "a-key-of-the-tests"

func oneKey(k rest.Key) func() rest.Settings {
	k.SHA256 = sha256.Sum256([]byte(secret))
	return func() rest.Settings {
		return rest.Settings{Keys: []rest.Key{{Name: "another", Scopes: operation.Scopes}, k}}
	}
}

func TestAKeyAllowsItsScopesAndEndpointsAlone(t *testing.T) {
	t.Parallel()
	reader := rest.Key{Name: "reader", Scopes: []string{operation.ScopeRead}}
	bound := rest.Key{Name: "bound", Scopes: operation.Scopes, Endpoints: []string{"SHOP", "KIOSK"}}
	unforced := rest.Key{Name: "unforced", Scopes: []string{operation.ScopeRedeliver}}
	good := "Bearer " + secret
	for name, c := range map[string]struct {
		key       rest.Key
		header    string
		httpCall  httpCall
		status    int
		challenge string
		says      string
	}{
		"no key":                         {reader, "", httpCall{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, "Authorization: Bearer"},
		"a wrong key":                    {reader, "Bearer nope", httpCall{method: "GET", path: operationPath}, 401, `Bearer realm="ringback", error="invalid_token"`, "not one of"},
		"an empty key":                   {reader, "Bearer ", httpCall{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, ""},
		"another scheme":                 {reader, "Basic " + secret, httpCall{method: "GET", path: operationPath}, 401, `Bearer realm="ringback"`, ""},
		"the right key":                  {reader, good, httpCall{method: "GET", path: operationPath}, 200, "", ""},
		"the scheme in lower case":       {reader, "bearer " + secret, httpCall{method: "GET", path: operationPath}, 200, "", ""},
		"a scope that is missing":        {reader, good, httpCall{method: "DELETE", path: operationPath}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="withdraw"`, "scope withdraw"},
		"a wrong key with a bad body":    {reader, "Bearer nope", httpCall{method: "POST", path: "/v1/operations", body: "{"}, 401, `Bearer realm="ringback", error="invalid_token"`, ""},
		"force without its scope":        {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"force":true}`}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="force"`, "scope force"},
		"redelivery without force":       {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"force":false}`}, 201, "", ""},
		"another URL without its scope":  {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"url":"https://b.example/"}}`}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="redirect"`, "scope redirect"},
		"the start's path at a new host": {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"url":"https://b.example/in"}}`}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="redirect"`, "scope redirect"},
		"another path at its host":       {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"url":"https://a.example/"}}`}, 403, `Bearer realm="ringback", error="insufficient_scope", scope="redirect"`, "scope redirect"},
		"the start's URL again":          {unforced, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"url":"https://a.example/in"}}`}, 201, "", ""},
		"another URL with its scope":     {bound, good, httpCall{method: "POST", path: operationPath + "/redelivery", body: `{"callback":{"url":"https://b.example/"}}`}, 201, "", ""},
		"its endpoint":                   {bound, good, httpCall{method: "GET", path: operationPath}, 200, "", ""},
		"another's endpoint":             {bound, good, httpCall{method: "GET", path: "/v1/operations/BANK/1"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, changed":    {bound, good, httpCall{method: "POST", path: "/v1/operations/BANK/1/revocation", body: `{"initiated_by":"user"}`}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, started":    {bound, good, httpCall{method: "POST", path: "/v1/operations", body: `{"endpoint":"BANK","operation_id":"1"}`}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, listed":     {bound, good, httpCall{method: "GET", path: "/v1/operations?endpoint=BANK"}, 403, "", "SHOP, KIOSK"},
		"its endpoint, listed":           {bound, good, httpCall{method: "GET", path: "/v1/operations?endpoint=KIOSK"}, 200, "", ""},
		"every endpoint, listed":         {bound, good, httpCall{method: "GET", path: "/v1/operations"}, 422, "", "SHOP, KIOSK"},
		"health needs no key":            {reader, "", httpCall{method: "GET", path: "/healthz"}, 200, "", ""},
		"readiness needs no key":         {reader, "", httpCall{method: "GET", path: "/readyz"}, 200, "", ""},
		"the document needs no key":      {reader, "", httpCall{method: "GET", path: "/openapi.yaml"}, 200, "", ""},
		"an unknown path needs no key":   {reader, "", httpCall{method: "GET", path: "/nowhere"}, 404, "", ""},
		"the metrics need a key":         {reader, "", httpCall{method: "GET", path: "/metrics"}, 401, `Bearer realm="ringback"`, ""},
		"the metrics, with a key":        {reader, good, httpCall{method: "GET", path: "/metrics"}, 404, "", ""},
		"the metrics name all endpoints": {bound, good, httpCall{method: "GET", path: "/metrics"}, 403, "", "about all endpoints"},
		"another's endpoint, counted":    {bound, good, httpCall{method: "GET", path: "/v1/operations/count?endpoint=BANK"}, 403, "", "SHOP, KIOSK"},
		"every endpoint, counted":        {bound, good, httpCall{method: "GET", path: "/v1/operations/count"}, 422, "", "SHOP, KIOSK"},
		"another's endpoint, pinged":     {bound, good, httpCall{method: "POST", path: "/v1/endpoints/BANK/ping"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, in detail":  {bound, good, httpCall{method: "GET", path: "/v1/operations/BANK/1/details"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, pushed":     {bound, good, httpCall{method: "POST", path: "/v1/operations/BANK/1/status"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, withdrawn":  {bound, good, httpCall{method: "DELETE", path: "/v1/operations/BANK/1"}, 403, "", "SHOP, KIOSK"},
		"another's endpoint, again":      {bound, good, httpCall{method: "POST", path: "/v1/operations/BANK/1/redelivery"}, 403, "", "SHOP, KIOSK"},
		"a prefix of an endpoint":        {bound, good, httpCall{method: "GET", path: "/v1/operations/SHO/1"}, 403, "", "SHOP, KIOSK"},
		"an endpoint in another case":    {bound, good, httpCall{method: "GET", path: "/v1/operations/shop/1"}, 403, "", "SHOP, KIOSK"},
		"an endpoint encoded twice":      {bound, good, httpCall{method: "GET", path: "/v1/operations/SHOP%252F..%252FBANK/1"}, 422, "", "endpoint"},
		"two keys at once":               {reader, good + ", Bearer other", httpCall{method: "GET", path: operationPath}, 401, `Bearer realm="ringback", error="invalid_token"`, ""},
		"the key in the query":           {reader, "", httpCall{method: "GET", path: operationPath + "?access_token=" + secret}, 401, `Bearer realm="ringback"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{state: someState("1"), started: operation.StartRequest{Callback: operation.Target{URL: "https://a.example/in"}}}
			c.httpCall.header = map[string]string{"Authorization": c.header}
			response, body := c.httpCall.do(t, rest.New(rest.Options{Operations: f, Settings: oneKey(c.key)}))
			require.Equal(t, c.status, response.StatusCode, body)
			require.Equal(t, c.challenge, response.Header.Get("WWW-Authenticate"))
			require.Contains(t, body, c.says)
			require.NotContains(t, body, secret)
			if c.status >= 400 {
				require.Empty(t, f.received())
			}
		})
	}
}

func TestTwoKeysOfOneNameBothWorkAndAReloadTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	keys := []rest.Key{
		{Name: "core", SHA256: sha256.Sum256([]byte("old")), Scopes: operation.Scopes},
		{Name: "core", SHA256: sha256.Sum256([]byte("new")), Scopes: operation.Scopes},
	}
	server := rest.New(rest.Options{Operations: &fake{state: someState("1")}, Settings: func() rest.Settings { return rest.Settings{Keys: keys} }})
	with := func(key string) int {
		response, _ := httpCall{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		return response.StatusCode
	}
	require.Equal(t, []int{200, 200}, []int{with("old"), with("new")})
	keys = keys[1:]
	require.Equal(t, []int{401, 200}, []int{with("old"), with("new")})
}

func TestReadsAndChangesAreLimitedPerKey(t *testing.T) {
	t.Parallel()
	keys := []rest.Key{
		{Name: "a", SHA256: sha256.Sum256([]byte("a")), Scopes: operation.Scopes},
		{Name: "b", SHA256: sha256.Sum256([]byte("b")), Scopes: operation.Scopes},
	}
	limit := rest.Limit{PerSecond: 0.001, Burst: 2}
	server := rest.New(rest.Options{
		Operations: &fake{state: someState("1")},
		Settings:   func() rest.Settings { return rest.Settings{Keys: keys, ReadLimit: limit, ChangeLimit: limit} },
	})
	call := func(method, path, key string) *http.Response {
		response, _ := httpCall{method: method, path: path, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		return response
	}
	require.Equal(t, 200, call("GET", operationPath, "a").StatusCode)
	require.Equal(t, 200, call("GET", "/v1/operations", "a").StatusCode)
	refused := call("GET", operationPath, "a")
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, "1000", refused.Header.Get("Retry-After"))
	again := call("GET", operationPath+"/details", "a")
	require.Equal(t, 429, again.StatusCode)
	require.Equal(t, "1000", again.Header.Get("Retry-After"), "a refused call costs nothing")
	require.Equal(t, 200, call("DELETE", operationPath, "a").StatusCode, "a change is not a read")
	require.Equal(t, 202, call("POST", operationPath+"/status", "a").StatusCode)
	changed := call("POST", operationPath+"/status", "a")
	require.Equal(t, 429, changed.StatusCode)
	require.Equal(t, "1000", changed.Header.Get("Retry-After"))
	require.Equal(t, 200, call("DELETE", operationPath, "b").StatusCode, "another key has a limit of its own")
	require.Equal(t, 200, call("GET", operationPath, "b").StatusCode, "another key has a limit of its own")
	limit = rest.Limit{}
	require.Equal(t, 200, call("GET", operationPath, "a").StatusCode, "a reload that lifts the limit takes effect at once")
}

// A key is found by its hash alone: which key it was almost like plays no part.
func TestAKeyIsComparedWhole(t *testing.T) {
	t.Parallel()
	server := rest.New(rest.Options{Operations: &fake{state: someState("1")}, Settings: func() rest.Settings {
		return rest.Settings{Keys: []rest.Key{{Name: "core", SHA256: sha256.Sum256([]byte(secret)), Scopes: operation.Scopes}, {Name: "unset", Scopes: operation.Scopes}}}
	}})
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(secret)))
	for name, key := range map[string]string{
		"without its last letter": secret[:len(secret)-1], "with one more": secret + "s", "in upper case": strings.ToUpper(secret),
		"its own digest": digest, "the digest of nothing": fmt.Sprintf("%x", sha256.Sum256(nil)), "zeros": strings.Repeat("0", 64),
	} {
		response, _ := httpCall{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + key}}.do(t, server)
		require.Equal(t, http.StatusUnauthorized, response.StatusCode, name)
	}
}

func TestAKeyIsRefusedOnceExpiredAndFromElsewhere(t *testing.T) {
	t.Parallel()
	from := func(networks ...string) (prefixes []netip.Prefix) {
		for _, network := range networks {
			prefixes = append(prefixes, netip.MustParsePrefix(network))
		}
		return prefixes
	}
	for name, row := range map[string]struct {
		key     rest.Key
		address string
		status  int
		says    string
	}{
		"a key that has expired":                 {rest.Key{Expires: time.Now().Add(-time.Second)}, "192.0.2.1:9", 401, "The API key core expired at "},
		"a key that has not":                     {rest.Key{Expires: time.Now().Add(time.Hour)}, "192.0.2.1:9", 200, ""},
		"from its network":                       {rest.Key{From: from("10.0.0.0/8", "192.0.2.0/24")}, "192.0.2.1:9", 200, ""},
		"from its network, in IPv6's spelling":   {rest.Key{From: from("192.0.2.0/24")}, "[::ffff:192.0.2.1]:9", 200, ""},
		"from its network, with a zone":          {rest.Key{From: from("fe80::/64")}, "[fe80::1%eth0]:9", 200, ""},
		"from another network":                   {rest.Key{From: from("10.0.0.0/8")}, "192.0.2.1:9", 403, "may not be used from the address 192.0.2.1"},
		"from nowhere known":                     {rest.Key{From: from("0.0.0.0/0")}, "@", 403, "may not be used from"},
		"expired, and from another network":      {rest.Key{Expires: time.Now(), From: from("10.0.0.0/8")}, "192.0.2.1:9", 401, "expired"},
		"X-Forwarded-For makes no other address": {rest.Key{From: from("10.0.0.0/8")}, "192.0.2.1:9", 403, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.key.Name, row.key.Scopes = "core", operation.Scopes
			request := httptest.NewRequest(http.MethodGet, operationPath, nil)
			request.RemoteAddr = row.address
			request.Header.Set("Authorization", "Bearer "+secret)
			request.Header.Set("X-Forwarded-For", "10.0.0.1")
			response := httptest.NewRecorder()
			rest.New(rest.Options{Operations: &fake{state: someState("1")}, Settings: oneKey(row.key)}).ServeHTTP(response, request)
			require.Equal(t, row.status, response.Code)
			require.Contains(t, response.Body.String(), row.says)
		})
	}
}

func TestAKeyThatMayNotBeUsedIsInTheAudit(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]rest.Key{
		"from another network": {From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		"once it has expired":  {Expires: time.Now().Add(-time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key.Name, key.Scopes, key.SHA256 = "core", operation.Scopes, sha256.Sum256([]byte(secret))
			core, lines := observer.New(zap.InfoLevel)
			server := rest.New(rest.Options{
				Operations: &fake{}, Settings: func() rest.Settings { return rest.Settings{Keys: []rest.Key{key}} },
				Audit: func(fields ...zap.Field) error { zap.New(core).Info("audit", fields...); return nil },
			})
			for range 5 {
				request := httptest.NewRequest(http.MethodDelete, operationPath, http.NoBody)
				request.Header.Set("Authorization", "Bearer "+secret)
				server.ServeHTTP(httptest.NewRecorder(), request)
			}
			require.Equal(t, 5, lines.FilterField(zap.String("event", "refused")).FilterField(zap.String("key_id", key.ID())).Len())
		})
	}
}

func TestARefusedReadIsLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	reader := func() *rest.Server {
		return rest.New(rest.Options{
			Operations: &fake{state: someState("1")}, Log: zap.New(core),
			Settings: oneKey(rest.Key{Name: "core", Scopes: []string{operation.ScopeRead}, Endpoints: []string{"SHOP"}}),
		})
	}
	for _, c := range []struct{ path, key, action, who, result string }{
		{operationPath, "guess", "state", "", "unauthenticated"},
		{"/v1/operations/BANK/1", secret, "state", "core", "forbidden"},
		{"/v1/redeliveries", secret, "list redeliveries", "core", "forbidden"},
		{"/metrics", "guess", "metrics", "", "unauthenticated"},
		{"/metrics", secret, "metrics", "core", "forbidden"},
	} {
		httpCall{method: "GET", path: c.path, header: map[string]string{"Authorization": "Bearer " + c.key}}.do(t, reader())
		lines := logs.FilterMessage("refused").TakeAll()
		require.Len(t, lines, 1, c.path)
		line := lines[0].ContextMap()
		require.Equal(t, []any{c.action, c.who, c.result, "192.0.2.1"}, []any{line["action"], line["who"], line["result"], line["from"]})
		require.NotContains(t, fmt.Sprint(line), c.key)
		logs.TakeAll()
	}
	httpCall{method: "GET", path: operationPath, header: map[string]string{"Authorization": "Bearer " + secret}}.do(t, reader())
	require.Zero(t, logs.Len(), "a read that succeeds is not logged")
}
