package rest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"ringback/internal/operation"
)

// The events of the audit. Where a change was begun and not completed, the program
// ended in between.
const (
	eventBegun     = "begun"
	eventCompleted = "completed"
	// eventRefused: nothing was begun.
	eventRefused = "refused"
)

// isAudited reports whether the request is in the audit: each change, each use of the
// codec, and where reads are audited, too, each read.
func (s *Server) isAudited(r *request) bool {
	return !r.isRead() || r.audited || s.options.Settings().AuditReads
}

// beginAudit writes the line that goes before the act. What can't be audited is not
// done.
func (s *Server) beginAudit(ctx context.Context, r *request) error {
	if !s.isAudited(r) {
		return nil
	}
	fields := append([]zap.Field{zap.String("event", eventBegun)}, r.describe(ctx, false)...)
	if err := s.options.Audit(fields...); err != nil {
		return &operation.Error{Problem: operation.ProblemUnavailable, Err: err,
			Detail: "The audit can't be written, so nothing was done; tell who runs Ringback, and try again later."}
	}
	r.begun = true
	return nil
}

// report writes how a request ended: of what is audited to the audit; to the log what
// was refused to its key, and the cause of a failure.
func (s *Server) report(ctx context.Context, r *request, status int, err error) {
	result := "ok"
	if err != nil {
		result = string(refusal(err).Problem)
	}
	fields := append(r.describe(ctx, err == nil), zap.String("result", result), zap.Int("http_status", status))
	log := s.options.Log.With(fields...)
	if err != nil {
		logFailure(log, refusal(err))
	}
	switch {
	case !r.authenticated:
		s.refused.write(log)
	case s.isAudited(r):
		event := eventRefused
		if r.begun {
			event = eventCompleted
		}
		if err := s.options.Audit(append([]zap.Field{zap.String("event", event)}, fields...)...); err != nil {
			log.Error("a line of the audit could not be written", zap.String("event", event), zap.Error(err))
		}
	case refusesCaller(err):
		log.Info("refused")
	default:
		log.Debug("read")
	}
}

// describe is who asks, from where, and for what.
func (r *request) describe(ctx context.Context, accepted bool) []zap.Field {
	id := zap.Skip()
	if r.caller.ID() != "" {
		id = zap.String("key_id", r.caller.ID())
	}
	return slices.Concat([]zap.Field{
		zap.String("request_id", requestIDOf(ctx)),
		id,
		zap.String("who", r.caller.Name),
		zap.String("from", remoteAddress(r.Request)),
		certificate(r.Request),
		zap.String("action", r.action),
		traceID(ctx),
	}, r.subject(accepted), r.fields)
}

// note adds to the request's line what it asks for, if that may stand in a log.
func (r *request) note(rule operation.FieldRule, value string) {
	rule.MayLookLikeCardNumber = false
	if value != "" && rule.Check(value) == nil {
		r.fields = append(r.fields, zap.String(rule.Field, value))
	}
}

// noteHost is note for the host of a URL; its path and query may hold secrets.
func (r *request) noteHost(host string) {
	r.note(operation.FieldRule{Field: "host", MaxLength: 255}, host)
}

// subject is what the request is about. Operations accepts no name that holds a
// card number, unless the endpoint's configuration says that it is none; before
// that, a name that could be one is left out (promise 13).
func (r *request) subject(accepted bool) []zap.Field {
	var fields []zap.Field
	add := func(rule operation.FieldRule, value string) {
		rule.MayLookLikeCardNumber = accepted
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

// refusesCaller reports whether err refuses the caller, whatever the request.
func refusesCaller(err error) bool {
	refused, ok := errors.AsType[*operation.Error](err)
	return ok && (refused.Problem == ProblemUnauthenticated || refused.Problem == ProblemForbidden)
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
