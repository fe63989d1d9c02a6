package rest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api/rest"
)

// probes is what a program without an API serves, its keys as given.
func probes(keys ...rest.Key) *rest.Server {
	return rest.NewProbes(rest.Options{
		Keys: func() []rest.Key { return keys },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ringback_config_info 1\n"))
		}),
	})
}

func TestAProgramWithoutAnAPIShowsItsMetricsToKeysThatMayRead(t *testing.T) {
	t.Parallel()
	reader := rest.Key{Name: "prometheus", SHA256: sha256.Sum256([]byte("reads")), Scopes: []rest.Scope{rest.ScopeRead}}
	starter := rest.Key{Name: "core", SHA256: sha256.Sum256([]byte("starts")), Scopes: []rest.Scope{rest.ScopeStart}}
	for name, tc := range map[string]struct {
		server        *rest.Server
		method, path  string
		authorization string
		code          int
	}{
		"without keys anybody sees them":                   {probes(), http.MethodGet, "/metrics", "", 200},
		"a key with the scope read sees them":              {probes(reader, starter), http.MethodGet, "/metrics", "Bearer reads", 200},
		"without a key they are refused":                   {probes(reader), http.MethodGet, "/metrics", "", 401},
		"a key without the scope is refused":               {probes(reader, starter), http.MethodGet, "/metrics", "Bearer starts", 403},
		"health is shown to anybody, for the orchestrator": {probes(reader), http.MethodGet, "/healthz", "", 200},
		"readiness is, too":                                {probes(reader), http.MethodGet, "/readyz", "", 200},
		"the API is not there":                             {probes(), http.MethodGet, "/v1/operations", "", 404},
		"nothing is changed there":                         {probes(), http.MethodPost, "/metrics", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := newRequest(tc.method, tc.path, nil)
			if tc.authorization != "" {
				request.Header.Set("Authorization", tc.authorization)
			}
			response := httptest.NewRecorder()
			tc.server.ServeHTTP(response, request)
			require.Equal(t, tc.code, response.Code)
			require.Equal(t, tc.code == 200 && tc.path == "/metrics", response.Body.String() == "ringback_config_info 1\n")
		})
	}
}

func TestAProgramWithoutAnAPISaysWhenItIsNotReady(t *testing.T) {
	t.Parallel()
	ready := func(s *rest.Server) int {
		response := httptest.NewRecorder()
		s.ServeHTTP(response, newRequest(http.MethodGet, "/readyz", nil))
		return response.Code
	}
	away := rest.NewProbes(rest.Options{Ready: func(context.Context) error { return errors.New("away") }})
	require.Equal(t, http.StatusServiceUnavailable, ready(away))
	draining := probes()
	require.Equal(t, http.StatusOK, ready(draining))
	require.NoError(t, draining.Drain(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, ready(draining))
}
