package rest

import (
	"cmp"
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"ringback/internal/overload"
)

// Time-outs; Options may set the first two.
const (
	// DefaultTimeout bounds one read.
	DefaultTimeout = 15 * time.Second
	// DefaultChangeTimeout bounds one change once its body is read. A start that is
	// given up half-way loses its eager workflow task and stalls, so the bound is
	// generous.
	DefaultChangeTimeout = 10 * time.Second
	// readyTimeout bounds Options.Ready: probes give up after a few seconds.
	readyTimeout = 3 * time.Second
)

// Settings are what a reload of the configuration changes.
type Settings struct {
	// Keys are the API keys. None: every caller may do everything, which the program
	// allows on a loopback address only.
	Keys []Key
	// ReadLimit bounds the reads of each key, ChangeLimit its other calls; zero per
	// second: no limit.
	ReadLimit, ChangeLimit Limit
	// AuditReads says whether reads are audited as changes are.
	AuditReads bool
	// CodecOrigins are the origins whose pages may use the codec.
	CodecOrigins []string
	// ConfigHash is the configuration's, shown by /readyz.
	ConfigHash string
}

// Options are what a Server is made of. Operations is required; the rest may be left out.
type Options struct {
	Operations Operations
	// Settings are those in force.
	Settings func() Settings
	// Ready returns nil if the program can do its work. It is called once a second at
	// most, however many ask.
	Ready func(context.Context) error
	// Metrics serves /metrics: where keys are configured, to those with the scope
	// read that are for all endpoints.
	Metrics http.Handler
	// Codec serves Temporal's codec protocol at /codec/encode and /codec/decode,
	// to keys with the scope codec that are for all endpoints; nil: it is not there.
	Codec http.Handler
	// Acquire waits until a call about an endpoint may run, or refuses it; see overload.Limiter.
	Acquire func(ctx context.Context, w overload.Work, endpoint string) (release func(error), err error)
	// Observe, if set, counts and traces a call of /v1: it may add to the call's context,
	// and observed is called with the HTTP status.
	Observe func(ctx context.Context, r *http.Request) (with context.Context, observed func(status int))
	// Version is the program's build, shown by /readyz.
	Version string
	Log     *zap.Logger
	// Audit writes one line of the audit, and returns once it is written; nil: the
	// lines are in Log.
	Audit func(fields ...zap.Field) error
	// Timeout and ChangeTimeout replace the defaults.
	Timeout, ChangeTimeout time.Duration
}

// Server is the API as an http.Handler, and the probes beside it.
type Server struct {
	options Options
	// router is the API's, probes that of /healthz, /readyz and /metrics.
	router, probes *mux.Router
	reads          Limiter
	changes        Limiter
	// starts are the starts in flight.
	starts    *semaphore.Weighted
	draining  atomic.Bool
	readiness readiness
	guessers  guessers
	refused   refusedLog
}

// New builds the API and the probes. The probes alone use Settings, Ready,
// Metrics and Log of o.
func New(o Options) *Server {
	o.Timeout, o.ChangeTimeout = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.ChangeTimeout, DefaultChangeTimeout)
	o.Log = cmp.Or(o.Log, zap.NewNop())
	if o.Settings == nil {
		o.Settings = func() Settings { return Settings{} }
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	if o.Metrics == nil {
		o.Metrics = http.HandlerFunc(noSuchRoute)
	}
	if o.Codec == nil {
		o.Codec = http.HandlerFunc(noSuchRoute)
	}
	if o.Audit == nil {
		o.Audit = func(fields ...zap.Field) error { o.Log.Info("audit", fields...); return nil }
	}
	if o.Observe == nil {
		o.Observe = func(ctx context.Context, _ *http.Request) (context.Context, func(int)) { return ctx, func(int) {} }
	}
	if o.Acquire == nil {
		o.Acquire = func(context.Context, overload.Work, string) (func(error), error) { return func(error) {}, nil }
	}
	s := &Server{options: o, starts: semaphore.NewWeighted(allStarts),
		refused: refusedLog{limit: rate.NewLimiter(1, 1)}}
	s.router, s.probes = s.routes(), s.probeRoutes()
	return s
}

// ServeHTTP serves one request of the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.route(s.router, w, r) }

// Probes serves /healthz, /readyz and /metrics: on a listener of their own, so that no
// caller of the API keeps a probe or a scraper out.
func (s *Server) Probes() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.route(s.probes, w, r) })
}

func (s *Server) route(router *mux.Router, w http.ResponseWriter, r *http.Request) {
	id := requestID(r)
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	ctx := withRequestID(r.Context(), id)
	r = r.WithContext(ctx)
	if err := s.checkAnonymous(r); err != nil {
		s.finish(ctx, w, &request{Request: r, header: h, action: "call without keys", caller: anyone}, response{}, err)
		return
	}
	router.ServeHTTP(w, r)
}

// HTTPServer is an http.Server around the API.
func (s *Server) HTTPServer() *http.Server { return s.httpServer(s) }

// ProbesServer is an http.Server around the Probes.
func (s *Server) ProbesServer() *http.Server { return s.httpServer(s.Probes()) }

// httpServer has time limits that fit: slow clients cannot hold a connection, and there
// is time to write a response.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10*time.Second + s.options.Timeout + s.options.ChangeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          zap.NewStdLog(s.options.Log.Named("http")),
	}
}
