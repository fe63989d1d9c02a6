package rest

import (
	"context"
	_ "embed" // openapi.yaml
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"ringback/internal/operation"
)

//go:embed openapi.yaml
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	write(w, "application/yaml", http.StatusOK, openAPI)
}

// health is the body of /healthz and /readyz.
type health struct {
	// Status is "ok"; of /readyz "ready", "draining" or "unavailable".
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
	// ConfigHash tells programs on different files apart (promise 14).
	ConfigHash string `json:"config_hash,omitempty"`
	Version    string `json:"version,omitempty"`
}

func (s *Server) probeRoutes() *mux.Router {
	r := s.newRouter()
	r.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/metrics", s.metrics).Methods(http.MethodGet)
	return r
}

// metrics are about all endpoints.
func (s *Server) metrics(w http.ResponseWriter, hr *http.Request) {
	r := &request{Request: hr, header: w.Header(), action: "metrics"}
	if err := s.authorizeAll(r, ScopeRead); err != nil {
		s.finish(hr.Context(), w, r, 0, nil, err)
		return
	}
	s.options.Metrics.ServeHTTP(w, hr)
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, health{Status: "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	hash := s.options.ConfigHash()
	w.Header().Set("X-Ringback-Config", hash)
	if s.draining.Load() {
		w.Header().Set("Retry-After", retryAfter(drainRetryAfter))
		writeJSON(w, "application/json", http.StatusServiceUnavailable, health{"draining", "The program is shutting down.", hash, s.options.Version})
		return
	}
	if err := s.ready(r.Context()); err != nil {
		w.Header().Set("Retry-After", retryAfter(0))
		writeJSON(w, "application/json", http.StatusServiceUnavailable, health{"unavailable", notReady(err), hash, s.options.Version})
		return
	}
	writeJSON(w, "application/json", http.StatusOK, health{"ready", "", hash, s.options.Version})
}

// readyFor is how long an answer of Options.Ready is given to all who ask.
const readyFor = time.Second

// readiness is the latest answer of Options.Ready.
type readiness struct {
	asking singleflight.Group
	// at and err are of the latest question.
	at  time.Time
	err error
}

// ready is Options.Ready, asked by one request for all that come meanwhile, and for
// those of the next second.
func (s *Server) ready(ctx context.Context) error {
	latest := &s.readiness
	_, err, _ := latest.asking.Do("", func() (any, error) {
		if !latest.at.IsZero() && time.Since(latest.at) < readyFor {
			return nil, latest.err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
		defer cancel()
		before := latest.err
		// Probes come every few seconds: one line for as long as the answer is the same.
		if latest.err = s.options.Ready(ctx); latest.err != nil && (before == nil || before.Error() != latest.err.Error()) {
			s.options.Log.Warn("not ready", zap.String("request_id", requestIDOf(ctx)), zap.Error(latest.err))
		}
		latest.at = time.Now()
		return nil, latest.err
	})
	return err
}

// notReady is the part of err that every caller may see.
func notReady(err error) string {
	var refused *operation.Error
	if errors.As(err, &refused) {
		return refused.Detail
	}
	return "A part that Ringback needs does not respond; its log says which."
}
