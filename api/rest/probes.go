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

// NewProbes serves what a program without an API shows of itself: /healthz,
// /readyz and /metrics. Where keys are configured, /metrics asks for one with
// the scope read. Operations and what concerns them are not used.
func NewProbes(o Options) *Server {
	s := &Server{options: withDefaults(o)}
	s.router = mux.NewRouter()
	s.router.NotFoundHandler = http.HandlerFunc(noSuchRoute)
	s.router.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)
	s.router.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	s.router.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	s.router.Handle("/metrics", s.keyed("metrics", ScopeRead, s.options.Metrics)).Methods(http.MethodGet)
	return s
}

// keyed serves next to keys with the scope alone that are for all endpoints,
// since what next shows is of all of them.
func (s *Server) keyed(action string, scope Scope, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, err := s.authenticate(r.Header, w.Header())
		if err == nil {
			err = key.require(scope, w.Header())
		}
		if err == nil {
			err = key.requireAll()
		}
		if err != nil {
			x := &exchange{Request: r, header: w.Header(), caller: key}
			s.log(r.Context(), x, action, err).Info("refused", zap.Int("http_status", finish(w, r, 0, nil, err)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, health{Status: "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	hash := s.options.ConfigHash()
	w.Header().Set("X-Ringback-Config", hash)
	if s.starts.isShut() {
		w.Header().Set("Retry-After", retryAfter(drainRetryAfter))
		writeHealth(w, http.StatusServiceUnavailable, health{"draining", "The program is shutting down.", hash})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.options.Ready(ctx); err != nil {
		s.options.Log.Warn("not ready", zap.String("request_id", requestIDOf(ctx)), zap.Error(err))
		w.Header().Set("Retry-After", retryAfter(0))
		writeHealth(w, http.StatusServiceUnavailable, health{"unavailable", notReady(err), hash})
		return
	}
	writeHealth(w, http.StatusOK, health{"ready", "", hash})
}

// notReady is what may be said of err to anybody.
func notReady(err error) string {
	var refused *operation.Error
	if errors.As(err, &refused) {
		return refused.Detail
	}
	return "A part that Ringback needs does not answer; its log says which."
}

func writeHealth(w http.ResponseWriter, status int, h health) {
	data, err := encode(h)
	if err != nil {
		panic(err) // three strings: can't be
	}
	write(w, "application/json", status, data)
}
