package rest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// routes is the whole API. Ids arrive percent-encoded and may hold an encoded
// slash, so the encoded path is matched, and never "cleaned" by a redirect.
func (s *Server) routes() *mux.Router {
	r := s.newRouter().UseEncodedPath().SkipClean(true)
	get := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodGet) }
	post := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodPost) }

	const one = "/v1/operations/{endpoint}/{operation_id}"
	post("/v1/operations", s.handle("start", operation.ScopeStart, s.start))
	get("/v1/operations", s.handle("list", operation.ScopeRead, s.list))
	get("/v1/operations/count", s.handle("count", operation.ScopeRead, s.count))
	get(one, s.handle("state", operation.ScopeRead, s.state))
	r.Handle(one, s.handle("withdraw", operation.ScopeWithdraw, s.withdraw)).Methods(http.MethodDelete)
	get(one+"/details", s.handle("details", operation.ScopeRead, s.details))
	post(one+"/status", s.handle("push", operation.ScopePush, s.push))
	post(one+"/revocation", s.handle("revoke", operation.ScopeRevoke, s.revoke))
	post(one+"/redelivery", s.handle("redeliver", operation.ScopeRedeliver, s.redeliver))

	const redeliveries = "/v1/redeliveries"
	post(redeliveries, s.handle("redeliver many", operation.ScopeRedeliver, s.startBulkRedelivery))
	get(redeliveries, s.handle("list redeliveries", operation.ScopeRedeliver, s.listBulkRedeliveries))
	get(redeliveries+"/{id}", s.handle("see redeliveries", operation.ScopeRedeliver, s.bulkRedelivery))
	post(redeliveries+"/{id}/stop", s.handle("stop redeliveries", operation.ScopeRedeliver, s.stopBulkRedelivery))
	post(redeliveries+"/{id}/resume", s.handle("resume redeliveries", operation.ScopeRedeliver, s.resumeBulkRedelivery))
	post("/v1/endpoints/{endpoint}/ping", s.handle("ping", operation.ScopePing, s.ping))

	r.HandleFunc("/openapi.yaml", serveOpenAPI).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/codec/encode", s.codec("encode")).Methods(http.MethodPost, http.MethodOptions)
	r.Handle("/codec/decode", s.codec("decode")).Methods(http.MethodPost, http.MethodOptions)
	r.HandleFunc("/codec", s.codecSignIn).Methods(http.MethodGet)
	return r
}

// call is a valid request: how it counts as load, and what it does.
type call struct {
	work overload.Work
	do   func(context.Context) (response, error)
}

// newRouter is a router that answers what it has no route for as a problem.
func (s *Server) newRouter() *mux.Router {
	r := mux.NewRouter()
	r.NotFoundHandler = http.HandlerFunc(noSuchRoute)
	r.MethodNotAllowedHandler = methodNotAllowed(r)
	return r
}

// response is what a call returns, apart from problems; a nil body is none.
type response struct {
	status int
	body   any
}

// handle serves a route of /v1. validate reads the path, query and body, and
// checks whether the key is for the endpoint that they name.
func (s *Server) handle(action string, scope string, validate func(*request) (call, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		ctx, observed := s.options.Observe(hr.Context(), hr)
		r := &request{Request: hr.WithContext(ctx), header: w.Header(), action: action}
		result, err := s.serve(ctx, r, scope, validate)
		observed(s.finish(ctx, w, r, result, err))
	})
}

// serve is a request's way through the API: the key, its rate, the calls at
// once, the validation, then one call of Operations.
//
// The turn of its kind of work is acquired once the body was read, so that a slow
// client occupies none.
func (s *Server) serve(ctx context.Context, r *request, scope string, validate func(*request) (call, error)) (result response, err error) {
	if err := s.authorize(r, scope); err != nil {
		return response{}, err
	}
	if err := s.requireJSON(r); err != nil {
		return response{}, err
	}
	if err := s.allow(r); err != nil {
		return response{}, err
	}
	release, err := s.acquire(ctx, overload.Request, "")
	if err != nil {
		return response{}, err
	}
	defer func() { release(err) }()
	c, err := validate(r)
	if err != nil {
		return response{}, err
	}
	return s.run(ctx, r, c)
}

// run makes the call once it is its turn. A read ends with its client; a change,
// once begun, goes on without it.
func (s *Server) run(ctx context.Context, r *request, c call) (result response, err error) {
	timeout := s.options.Timeout
	if !r.isRead() {
		ctx, timeout = context.WithoutCancel(ctx), s.options.ChangeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	release, err := s.acquire(ctx, c.work, r.key.Endpoint)
	if err != nil {
		return response{}, err
	}
	defer func() { release(err) }()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.options.Log.Error("a call panicked", zap.String("request_id", requestIDOf(ctx)), zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	if err := s.authorizeAgain(r); err != nil {
		return response{}, err
	}
	if err := s.beginAudit(ctx, r); err != nil {
		return response{}, err
	}
	return c.do(ctx)
}

// finish writes the audit or the log, and then the response, whose HTTP status it
// returns.
func (s *Server) finish(ctx context.Context, w http.ResponseWriter, r *request, result response, err error) int {
	if err != nil {
		s.report(ctx, r, kinds[refusal(err).Problem].status, err)
		return writeProblem(w, r.Request, refusal(err))
	}
	s.report(ctx, r, result.status, nil)
	writeJSON(w, "application/json", result.status, result.body)
	return result.status
}
