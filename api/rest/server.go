package rest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// Times that hold where Options says nothing else.
const (
	// DefaultTimeout bounds one request's work, from its body to its answer.
	DefaultTimeout = 15 * time.Second
	// DefaultStartTimeout bounds one start. A start given up half-way loses its
	// eager workflow task and stalls, so the bound is generous.
	DefaultStartTimeout = 10 * time.Second
	// readyTimeout bounds Options.Ready: probes give up after a few seconds.
	readyTimeout = 3 * time.Second
	// drainRetryAfter is when a start refused by a draining program may come
	// back: by then a load balancer has seen readyz.
	drainRetryAfter = 2 * time.Second
)

// Options are what a Server is made of. Operations is required; the rest may
// be left out.
type Options struct {
	Operations Operations
	// Keys are the API keys in force; read at each request, so that a reload
	// takes effect at once. None: everybody may do everything, which the
	// program allows on a loopback address only.
	Keys func() []Key
	// Ready says whether the program can do its work; nil error: it can.
	Ready func(context.Context) error
	// Metrics serves /metrics: where keys are configured, to one with the scope
	// read that is for all endpoints.
	Metrics http.Handler
	// Codec serves Temporal's codec protocol at /codec/encode and /codec/decode,
	// to keys with the scope admin that are for all endpoints; nil: it is not there.
	Codec http.Handler
	// CodecOrigins are the origins whose pages may ask Codec; read at each request.
	CodecOrigins func() []string
	// Admit lets a call in, or refuses it: it may wait a little. Who was let in
	// calls leave once, with the error that the call ended with. Nil: all are.
	Acquire func(ctx context.Context, w overload.Work) (leave func(error), err error)
	// Middleware, if set, is around every route's handler.
	Middleware func(http.Handler) http.Handler
	// ConfigHash is the hash of the configuration in force, shown by /readyz.
	ConfigHash func() string
	Log        *zap.Logger
	// ReadLimit bounds calls of the scope read, for each key by itself; read
	// at each request. Nil, or zero per second: no limit.
	ReadLimit func() Limit
	// ChangeLimit bounds all other calls likewise.
	ChangeLimit func() Limit
	// Timeout and StartTimeout replace the defaults.
	Timeout, StartTimeout time.Duration
}

// Server is the API as an http.Handler.
type Server struct {
	options Options
	router  *mux.Router
	reads   limiter
	changes limiter
	starts  gate
}

// New builds the API.
func New(o Options) *Server {
	s := &Server{options: withDefaults(o)}
	s.router = s.routes()
	return s
}

func withDefaults(o Options) Options {
	if o.Keys == nil {
		o.Keys = func() []Key { return nil }
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
	if o.CodecOrigins == nil {
		o.CodecOrigins = func() []string { return nil }
	}
	if o.ConfigHash == nil {
		o.ConfigHash = func() string { return "" }
	}
	if o.Acquire == nil {
		o.Acquire = func(context.Context, overload.Work) (func(error), error) { return func(error) {}, nil }
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.ReadLimit == nil {
		o.ReadLimit = func() Limit { return Limit{} }
	}
	if o.ChangeLimit == nil {
		o.ChangeLimit = func() Limit { return Limit{} }
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = DefaultStartTimeout
	}
	return o
}

// routes is the whole surface. Ids arrive percent-encoded and may hold an
// encoded slash, so the encoded path is matched, and never "cleaned" by a
// redirect.
func (s *Server) routes() *mux.Router {
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	r.NotFoundHandler = http.HandlerFunc(noSuchRoute)
	r.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)

	const operation = "/v1/operations/{endpoint}/{operation_id}"
	r.Handle("/v1/operations", s.begin("start", ScopeStart, s.start)).Methods(http.MethodPost)
	r.Handle("/v1/operations", s.search("list", ScopeRead, s.list)).Methods(http.MethodGet)
	r.Handle("/v1/operations/count", s.search("count", ScopeRead, s.count)).Methods(http.MethodGet)
	r.Handle(operation, s.read("state", s.state)).Methods(http.MethodGet)
	r.Handle(operation, s.change("withdraw", ScopeStart, s.withdraw)).Methods(http.MethodDelete)
	r.Handle(operation+"/details", s.read("details", s.details)).Methods(http.MethodGet)
	r.Handle(operation+"/status", s.change("push", ScopeStart, s.push)).Methods(http.MethodPost)
	r.Handle(operation+"/revocation", s.change("revoke", ScopeRevoke, s.revoke)).Methods(http.MethodPost)
	r.Handle(operation+"/redelivery", s.begin("redeliver", ScopeRedeliver, s.redeliver)).Methods(http.MethodPost)

	const redeliveries = "/v1/redeliveries"
	r.Handle(redeliveries, s.begin("redeliver many", ScopeRedeliver, s.redeliverMany)).Methods(http.MethodPost)
	r.Handle(redeliveries, s.search("list redeliveries", ScopeRedeliver, s.listRedeliveries)).Methods(http.MethodGet)
	r.Handle(redeliveries+"/{id}", s.readAs("see redeliveries", ScopeRedeliver, s.seeRedeliveries)).Methods(http.MethodGet)
	r.Handle(redeliveries+"/{id}/stop", s.change("stop redeliveries", ScopeRedeliver, s.stopRedeliveries)).Methods(http.MethodPost)
	r.Handle(redeliveries+"/{id}/resume", s.change("resume redeliveries", ScopeRedeliver, s.resumeRedeliveries)).Methods(http.MethodPost)
	r.Handle("/v1/endpoints/{endpoint}/ping", s.change("ping", ScopeAdmin, s.ping)).Methods(http.MethodPost)

	r.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/metrics", s.keyed("metrics", ScopeRead, s.options.Metrics)).Methods(http.MethodGet)
	r.HandleFunc("/openapi.yaml", serveOpenAPI).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/codec/encode", s.codec("encode")).Methods(http.MethodPost, http.MethodOptions)
	r.Handle("/codec/decode", s.codec("decode")).Methods(http.MethodPost, http.MethodOptions)
	r.HandleFunc("/codec", s.codecSignIn).Methods(http.MethodGet)
	if s.options.Middleware != nil {
		r.Use(s.options.Middleware)
	}
	return r
}

// Routes visits every route with its path template and methods, so that the
// contract can be checked against the code.
func (s *Server) Routes(visit func(path string, methods []string) error) error {
	return s.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err != nil {
			return err
		}
		return visit(path, methods)
	})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID(r)
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	s.router.ServeHTTP(w, r.WithContext(withRequestID(r.Context(), id)))
}

// HTTPServer is an http.Server around the API whose own bounds fit it: slow
// clients cannot hold a connection, and an answer has time to be written.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10*time.Second + s.options.Timeout + s.options.StartTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          zap.NewStdLog(s.options.Log.Named("http")),
	}
}

// Drain makes /readyz say 503 and refuses new starts and redeliveries with 503
// and Retry-After, and returns when those in flight have ended, or with ctx's
// error. Everything else is served on. Draining can't be undone.
func (s *Server) Drain(ctx context.Context) error { return s.starts.drain(ctx) }

var errDraining = &operation.Error{
	Problem:    operation.ProblemUnavailable,
	Detail:     "This program is shutting down and takes no new operations; send the request again.",
	RetryAfter: drainRetryAfter,
}

// gate counts starts in flight and can be shut.
type gate struct {
	mu       sync.Mutex
	inFlight int
	shut     bool
	// empty is closed once the gate is shut and nothing is in flight.
	empty chan struct{}
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return errDraining
	}
	g.inFlight++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if g.shut && g.inFlight == 0 {
		close(g.empty)
	}
}

func (g *gate) drain(ctx context.Context) error {
	select {
	case <-g.close():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return g.empty
	}
	g.shut = true
	g.empty = make(chan struct{})
	if g.inFlight == 0 {
		close(g.empty)
	}
	return g.empty
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}
