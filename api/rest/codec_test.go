package rest_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
	"ringback/internal/operation"
)

const temporalUI = "https://temporal.example"

// codecServer echoes the path and the body.
func codecServer(key rest.Key) *rest.Server {
	settings := oneKey(key)()
	settings.CodecOrigins = []string{temporalUI}
	return rest.New(rest.Options{
		Operations: &fake{}, Settings: func() rest.Settings { return settings },
		Codec: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_, _ = w.Write(append([]byte(r.URL.Path+" "), body...))
		}),
	})
}

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+password))
}

func TestTheCodecIsForItsScopeAndNamedOrigins(t *testing.T) {
	t.Parallel()
	all := rest.Key{Name: "ops", Scopes: operation.Scopes}
	for _, row := range []struct {
		name                  string
		key                   rest.Key
		authorization, origin string
		want                  int
	}{
		{"the CLI with a key", all, "Bearer " + secret, "", http.StatusOK},
		{"the CLI without one", all, "", "", http.StatusUnauthorized},
		{"the CLI with another", all, "Bearer x" + secret, "", http.StatusUnauthorized},
		{"a page of the UI with the key that the browser keeps", all, basic(secret), temporalUI, http.StatusOK},
		{"a page of the UI with an access token that is a key", all, "Bearer " + secret, temporalUI, http.StatusOK},
		{"a page of the UI before the browser is signed in", all, "", temporalUI, http.StatusUnauthorized},
		{"a page of the UI with another password", all, basic("x" + secret), temporalUI, http.StatusUnauthorized},
		{"a page of another origin with the key that the browser keeps", all, basic(secret), "https://evil.example", http.StatusForbidden},
		{"a page of an origin that begins alike", all, basic(secret), temporalUI + ".evil.example", http.StatusForbidden},
		{"a page of the same host in plain http", all, basic(secret), "http://temporal.example", http.StatusForbidden},
		{"a page that hides its origin", all, basic(secret), "null", http.StatusForbidden},
		{"a key without the scope", rest.Key{Name: "core", Scopes: allScopesBut(operation.ScopeCodec)}, "Bearer " + secret, "", http.StatusForbidden},
		{"a key for some endpoints alone", rest.Key{Name: "core", Scopes: operation.Scopes, Endpoints: []string{"SHOP"}}, "Bearer " + secret, "", http.StatusForbidden},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/codec/decode", "/codec/encode"} {
				r := newRequest(http.MethodPost, path, strings.NewReader("payloads"))
				if row.authorization != "" {
					r.Header.Set("Authorization", row.authorization)
				}
				if row.origin != "" {
					r.Header.Set("Origin", row.origin)
				}
				response := httptest.NewRecorder()
				codecServer(row.key).ServeHTTP(response, r)
				require.Equal(t, row.want, response.Code, response.Body)
				require.Equal(t, row.want == http.StatusOK, response.Body.String() == path+" payloads")
				readable := ""
				if row.origin == temporalUI {
					readable = temporalUI
				}
				require.Equal(t, readable, response.Header().Get("Access-Control-Allow-Origin"))
			}
		})
	}
}

func TestACodecPreflightAllowsTheConfiguredOriginsAlone(t *testing.T) {
	t.Parallel()
	preflight := func(origin string) *httptest.ResponseRecorder {
		r := newRequest(http.MethodOptions, "/codec/decode", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		r.Header.Set("Access-Control-Request-Headers", "content-type,x-namespace")
		response := httptest.NewRecorder()
		codecServer(rest.Key{Name: "ops", Scopes: operation.Scopes}).ServeHTTP(response, r)
		return response
	}
	allowed := preflight(temporalUI)
	require.Equal(t, http.StatusNoContent, allowed.Code)
	require.Equal(t, temporalUI, allowed.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", allowed.Header().Get("Access-Control-Allow-Credentials"))
	require.Contains(t, allowed.Header().Get("Access-Control-Allow-Headers"), "X-Namespace")
	require.Equal(t, "Origin", allowed.Header().Get("Vary"))
	refused := preflight("https://evil.example")
	require.Equal(t, http.StatusForbidden, refused.Code)
	require.Empty(t, refused.Header().Get("Access-Control-Allow-Origin"))
}

func TestABrowserSignsInToTheCodecWithAKey(t *testing.T) {
	t.Parallel()
	server := codecServer(rest.Key{Name: "ops", Scopes: operation.Scopes})
	get := func(authorization string) *httptest.ResponseRecorder {
		r := newRequest(http.MethodGet, "/codec", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		response := httptest.NewRecorder()
		server.ServeHTTP(response, r)
		return response
	}
	require.Equal(t, http.StatusUnauthorized, get("").Code)
	require.Contains(t, get("").Header().Get("WWW-Authenticate"), "Basic ")
	require.Equal(t, http.StatusUnauthorized, get(basic("x")).Code)
	require.Equal(t, http.StatusOK, get(basic(secret)).Code)
}

func TestACodecRequestIsBounded(t *testing.T) {
	t.Parallel()
	r := newRequest(http.MethodPost, "/codec/decode", strings.NewReader(strings.Repeat("x", rest.MaxCodecBody+1)))
	r.Header.Set("Authorization", "Bearer "+secret)
	response := httptest.NewRecorder()
	codecServer(rest.Key{Name: "ops", Scopes: operation.Scopes}).ServeHTTP(response, r)
	require.Equal(t, http.StatusRequestEntityTooLarge, response.Code)
	require.Contains(t, response.Body.String(), "16777216")
}
