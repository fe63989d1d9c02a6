package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// exchange is one request under /v1 on its way through the API.
type exchange struct {
	*http.Request
	caller Key
	// header is the answer's.
	header http.Header
	// key is the operation, once it is known; it may not be written to a log
	// before Operations has screened it (promise 13).
	key operation.Key
	// asked is the operation, or the endpoint alone, as the caller names it.
	asked operation.Key
	// notes are written to the log where the call went well.
	notes []zap.Field
	// about says of what the call is, and is always written.
	about []zap.Field
}

// answer is what a call brings, apart from problems. No body: an empty answer.
type answer struct {
	status int
	body   any
}

// call is what is particular to one route.
type call func(ctx context.Context, x *exchange) (answer, error)

// reading serves a call that changes nothing: it ends with its client, and is
// bounded per key.
func (s *Server) reading(action string, scope Scope, do call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Request: r, header: w.Header()}
		status, data, err := s.serve(r.Context(), x, scope, func(ctx context.Context, x *exchange) (answer, error) {
			if err := s.reads.take(x.caller.Name, s.options.ReadLimit(), readsTooOften); err != nil {
				return answer{}, err
			}
			return do(ctx, x)
		})
		log, answered := s.log(r.Context(), x, action, err), zap.Int("http_status", finish(w, r, status, data, err))
		if keptOut(err) {
			log.Info("refused", answered)
			return
		}
		log.Debug("read", answered)
	})
}

// What a caller hears whose limit is used up.
const (
	readsTooOften   = "This key reads more often than it may; wait as Retry-After says. A callback tells sooner than a question."
	changesTooOften = "This key changes more often than it may, and nothing was changed; wait as Retry-After says."
)

// keptOut reports whether err says that the caller may not.
func keptOut(err error) bool {
	var refused *operation.Error
	return errors.As(err, &refused) && (refused.Problem == ProblemUnauthenticated || refused.Problem == ProblemForbidden)
}

// changing serves a call that changes something: once begun it goes on without
// its client, and one line is written about it, whatever came of it.
func (s *Server) changing(action string, scope Scope, do call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Request: r, header: w.Header()}
		status, data, err := s.serve(r.Context(), x, scope, func(ctx context.Context, x *exchange) (answer, error) {
			if err := s.changes.take(x.caller.Name, s.options.ChangeLimit(), changesTooOften); err != nil {
				return answer{}, err
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.StartTimeout)
			defer cancel()
			return do(ctx, x)
		})
		s.log(r.Context(), x, action, err).Info("audit", zap.Int("http_status", finish(w, r, status, data, err)))
	})
}

// serve asks who and may they, then makes the call, unless too many are made at
// once. A panic is an error here.
func (s *Server) serve(ctx context.Context, x *exchange, scope Scope, do call) (status int, data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.options.Log.Error("a call panicked", zap.String("request_id", requestIDOf(ctx)), zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if x.caller, err = s.authenticate(x.Header, x.header); err != nil {
		return 0, nil, err
	}
	if err = x.caller.require(scope, x.header); err != nil {
		return 0, nil, err
	}
	a, err := s.admit(overload.Request, do)(ctx, x)
	if err != nil || a.body == nil {
		return a.status, nil, err
	}
	data, err = encode(a.body)
	return a.status, data, err
}

// finish writes the answer and returns its HTTP status.
func finish(w http.ResponseWriter, r *http.Request, status int, data []byte, err error) int {
	if err != nil {
		refused := refusal(err)
		writeProblem(w, r, refused)
		return kinds[refused.Problem].status
	}
	write(w, "application/json", status, data)
	return status
}

// log is a logger with what is known of the exchange: who, from where, what, on
// which operation, and what came of it. Failures are logged with their cause here.
func (s *Server) log(ctx context.Context, x *exchange, action string, err error) *zap.Logger {
	fields := []zap.Field{
		zap.String("request_id", requestIDOf(ctx)),
		zap.String("who", x.caller.Name),
		zap.String("from", from(x.Request)),
		certificate(x.Request),
		zap.String("action", action),
		traceID(ctx),
	}
	result := "ok"
	var refused *operation.Error
	if err != nil {
		refused = refusal(err)
		result = string(refused.Problem)
	}
	fields = append(fields, zap.String("result", result))
	fields = append(append(fields, x.subject(refused)...), x.about...)
	if err == nil {
		fields = append(fields, x.notes...)
	}
	log := s.options.Log.With(fields...)
	if refused != nil {
		logFailure(log, refused)
	}
	return log
}

// subject is the operation that the call is about. Where Operations has not
// screened it, a name is left out that can't be one or looks like a card number.
func (x *exchange) subject(refused *operation.Error) []zap.Field {
	key := x.key
	if !screened(refused) {
		key = x.asked
		if checkEndpoint(key.Endpoint) != "" || operation.LooksLikeCardNumber(key.Endpoint) {
			key.Endpoint = ""
		}
		if checkOperationID(key.OperationID) != "" || operation.LooksLikeCardNumber(key.OperationID) {
			key.OperationID = ""
		}
	}
	var fields []zap.Field
	if key.Endpoint != "" {
		fields = append(fields, zap.String("endpoint", key.Endpoint))
	}
	if key.OperationID != "" {
		fields = append(fields, zap.String("operation_id", key.OperationID))
	}
	return fields
}

// from is the address that the request came from: behind a proxy, the proxy's,
// since what a header says of others is hearsay.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// certificate is whose certificate the client showed, if it was asked for one.
func certificate(r *http.Request) zap.Field {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return zap.Skip()
	}
	return zap.String("certificate", r.TLS.PeerCertificates[0].Subject.String())
}

// screened reports whether Operations, which screens first, has taken the
// operation's id for no card number: only then may it be logged (promise 13).
func screened(refused *operation.Error) bool {
	if refused == nil {
		return true
	}
	switch refused.Problem {
	case operation.ProblemNotFound, operation.ProblemConflict, operation.ProblemClosed,
		operation.ProblemNotRevocable, operation.ProblemNotRedeliverable:
		return true
	case operation.ProblemUnavailable, ProblemInternal:
		return refused != errDraining
	default:
		return false
	}
}

// operation reads which operation the path names, and whether the caller's key
// is for its endpoint.
func (x *exchange) operation() (operation.Key, error) {
	vars := mux.Vars(x.Request)
	endpoint, err := url.PathUnescape(vars["endpoint"])
	if err != nil {
		return operation.Key{}, operation.Invalid(operation.FieldError{Field: "endpoint", Detail: "is not percent-encoded as it should be"})
	}
	operationID, err := url.PathUnescape(vars["operation_id"])
	if err != nil {
		return operation.Key{}, operation.Invalid(operation.FieldError{Field: "operation_id", Detail: "is not percent-encoded as it should be"})
	}
	return x.may(operation.Key{Endpoint: endpoint, OperationID: operationID})
}

// may checks the operation's name and the caller's endpoints.
func (x *exchange) may(k operation.Key) (operation.Key, error) {
	x.asked = k
	if faults := checkKey(k); len(faults) > 0 {
		return operation.Key{}, operation.Invalid(faults...)
	}
	if err := x.caller.requireEndpoint(k.Endpoint); err != nil {
		return operation.Key{}, err
	}
	x.key = k
	return k, nil
}

// MaxOperationID is the most characters that an operation id has, whatever its
// source allows: with the endpoint's name it fits a workflow id.
const MaxOperationID = 255

const notAName = "is not a name of 1 to 50 letters, digits, _ or -"

var endpointName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

func checkKey(k operation.Key) []operation.FieldError {
	var faults []operation.FieldError
	if fault := checkEndpoint(k.Endpoint); fault != "" {
		faults = append(faults, operation.FieldError{Field: "endpoint", Detail: fault})
	}
	if fault := checkOperationID(k.OperationID); fault != "" {
		faults = append(faults, operation.FieldError{Field: "operation_id", Detail: fault})
	}
	return faults
}

func checkEndpoint(name string) string {
	switch {
	case name == "":
		return "is required"
	case !endpointName.MatchString(name):
		return notAName
	}
	return ""
}

func checkOperationID(id string) string {
	switch {
	case id == "":
		return "is required"
	case id == "." || id == "..":
		return "can't be . or .., which paths leave out"
	case utf8.RuneCountInString(id) > MaxOperationID:
		return fmt.Sprintf("is longer than %d characters", MaxOperationID)
	}
	return checkText(id)
}

// checkText refuses what has no place in any of the API's strings.
func checkText(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case strings.ContainsRune(text, utf8.RuneError):
		return "holds U+FFFD or half a surrogate pair: its text was broken on the way"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "holds a control character"
	}
	return ""
}

// traceID is the trace that a request belongs to; nothing if none.
func traceID(ctx context.Context) zap.Field {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return zap.Stringer("trace_id", span.TraceID())
	}
	return zap.Skip()
}

type requestIDKey struct{}

var soundRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the client's own where it is sound, else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); soundRequestID.MatchString(id) {
		return id
	}
	return rand.Text()
}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
