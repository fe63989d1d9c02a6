package rest

import (
	"context"
	"errors"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"ringback/internal/operation"
)

// log is a logger with what is known of the request: who, from where, what, on
// which operation, and the result. A failure is logged here with its cause.
func (s *Server) log(ctx context.Context, r *request, err error) *zap.Logger {
	result := "ok"
	var refused *operation.Error
	if err != nil {
		refused = refusal(err)
		result = string(refused.Problem)
	}
	log := s.options.Log.With(
		zap.String("request_id", requestIDOf(ctx)),
		zap.String("who", r.caller.Name),
		zap.String("from", remoteAddress(r.Request)),
		certificate(r.Request),
		zap.String("action", r.action),
		traceID(ctx),
		zap.String("result", result),
	).With(r.subject(err)...).With(r.fields...)
	if refused != nil {
		logFailure(log, refused)
	}
	return log
}

// note adds to the request's line what it asks for, if that may stand in a log.
func (r *request) note(rule operation.FieldRule, value string) {
	rule.NoCardNumber = true
	if value != "" && rule.Check(value) == nil {
		r.fields = append(r.fields, zap.String(rule.Field, value))
	}
}

// noteHost is note for the host of a URL; its path and query may hold secrets.
func (r *request) noteHost(address string) {
	r.note(operation.FieldRule{Field: "host", MaxLength: 255}, operation.Host(address))
}

// subject is what the request is about. Operations accepts no name that holds a
// card number, unless the endpoint's configuration says that it is none; before
// that, a name that could be one is left out (promise 13).
func (r *request) subject(err error) []zap.Field {
	var fields []zap.Field
	add := func(rule operation.FieldRule, value string) {
		rule.NoCardNumber = err != nil
		if rule.Check(value) == nil {
			fields = append(fields, zap.String(rule.Field, value))
		}
	}
	add(operation.EndpointRule, r.key.Endpoint)
	add(operation.OperationIDRule, r.key.OperationID)
	return fields
}

// logFailure writes what the caller is not shown.
func logFailure(log *zap.Logger, refused *operation.Error) {
	switch {
	case errors.Is(refused.Err, context.Canceled):
		// The client has gone.
	case refused.Problem == ProblemInternal:
		log.Error("a request failed", zap.Error(refused.Err))
	case refused.Problem == operation.ProblemUnavailable:
		log.Warn("a request could not be served now", zap.String("detail", refused.Detail), zap.Error(refused.Err))
	}
}

// isForbidden reports whether err refuses the caller, whatever the request.
func isForbidden(err error) bool {
	var refused *operation.Error
	return errors.As(err, &refused) && (refused.Problem == ProblemUnauthenticated || refused.Problem == ProblemForbidden)
}

// remoteAddress is where the request came from: behind a proxy, the proxy. Headers
// such as X-Forwarded-For are not read: a client can write what it likes there.
func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// certificate is the subject of the client's certificate, if it showed one.
func certificate(r *http.Request) zap.Field {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return zap.Skip()
	}
	return zap.String("certificate", r.TLS.PeerCertificates[0].Subject.String())
}

// traceID is the trace that a request belongs to, if any.
func traceID(ctx context.Context) zap.Field {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return zap.Stringer("trace_id", span.TraceID())
	}
	return zap.Skip()
}
