package rest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ringback/api/rest"
)

// probes is what a program serves beside its API, its keys as given.
func probes(keys ...rest.Key) *rest.Server {
	return rest.New(rest.Options{
		Keys: func() []rest.Key { return keys },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ringback_config_info 1\n"))
		}),
	})
}

func TestAProgramShowsItsMetricsToKeysThatMayRead(t *testing.T) {
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
			tc.server.Probes().ServeHTTP(response, request)
			require.Equal(t, tc.code, response.Code)
			require.Equal(t, tc.code == 200 && tc.path == "/metrics", response.Body.String() == "ringback_config_info 1\n")
		})
	}
}

func TestAProgramSaysWhenItIsNotReady(t *testing.T) {
	t.Parallel()
	ready := func(s *rest.Server) int {
		response := httptest.NewRecorder()
		s.Probes().ServeHTTP(response, newRequest(http.MethodGet, "/readyz", nil))
		return response.Code
	}
	away := rest.New(rest.Options{Ready: func(context.Context) error { return errors.New("away") }})
	require.Equal(t, http.StatusServiceUnavailable, ready(away))
	draining := probes()
	require.Equal(t, http.StatusOK, ready(draining))
	require.NoError(t, draining.Drain(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, ready(draining))
}

func TestTheAPIServesNoProbes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		response := httptest.NewRecorder()
		probes().ServeHTTP(response, newRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusNotFound, response.Code, path)
	}
}

func TestWhetherTheProgramIsReadyIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		away := errors.New("away")
		core, logs := observer.New(zapcore.InfoLevel)
		s := rest.New(rest.Options{Log: zap.New(core), Ready: func(ctx context.Context) error {
			time.Sleep(100 * time.Millisecond)
			if asked.Add(1) == 1 {
				return ctx.Err()
			}
			return away
		}})
		probe := func(ctx context.Context) int {
			response := httptest.NewRecorder()
			s.Probes().ServeHTTP(response, received(httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil)))
			return response.Code
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, http.StatusOK, probe(gone), "one that has gone does not spoil the answer for the others")
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { assert.Equal(t, http.StatusOK, probe(t.Context())) })
		}
		all.Wait()
		require.EqualValues(t, 1, asked.Load())

		time.Sleep(time.Second)
		for range 1000 {
			all.Go(func() { assert.Equal(t, http.StatusServiceUnavailable, probe(t.Context())) })
		}
		all.Wait()
		require.EqualValues(t, 2, asked.Load(), "all that ask at once wait for one answer")
		time.Sleep(time.Second)
		require.Equal(t, http.StatusServiceUnavailable, probe(t.Context()))
		require.Len(t, logs.FilterMessage("not ready").All(), 1, "the same answer is logged once")
	})
}
