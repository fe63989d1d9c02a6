package rest

import (
	"context"
	_ "embed" // openapi.yaml
	"errors"
	"net/http"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

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
}

// NewProbes serves /healthz, /readyz and /metrics alone, for a program without an
// API. Of o it uses Keys, Ready, Metrics, ConfigHash and Log.
func NewProbes(o Options) *Server {
	s := newServer(o)
	s.router = mux.NewRouter()
	s.probeRoutes(s.router)
	return s
}

func (s *Server) probeRoutes(r *mux.Router) {
	r.NotFoundHandler = http.HandlerFunc(noSuchRoute)
	r.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)
	r.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/metrics", s.metrics).Methods(http.MethodGet)
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
		writeJSON(w, "application/json", http.StatusServiceUnavailable, health{"draining", "The program is shutting down.", hash})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.options.Ready(ctx); err != nil {
		s.options.Log.Warn("not ready", zap.String("request_id", requestIDOf(ctx)), zap.Error(err))
		w.Header().Set("Retry-After", retryAfter(0))
		writeJSON(w, "application/json", http.StatusServiceUnavailable, health{"unavailable", notReady(err), hash})
		return
	}
	writeJSON(w, "application/json", http.StatusOK, health{"ready", "", hash})
}

// notReady is the part of err that every caller may see.
func notReady(err error) string {
	var refused *operation.Error
	if errors.As(err, &refused) {
		return refused.Detail
	}
	return "A part that Ringback needs does not respond; its log says which."
}
