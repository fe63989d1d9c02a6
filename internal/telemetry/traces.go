package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
)

// TracesOptions say whether and where traces go.
type TracesOptions struct {
	// Service is the program's name, unless OTEL_SERVICE_NAME says another.
	Service string
	// Endpoint is the base URL of an OTLP/HTTP receiver. Empty: the one of
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT.
	Endpoint string
	// Ratio is the share of traces that are recorded where the caller has not
	// decided, 0 to 1. OTEL_TRACES_SAMPLER says otherwise, if it is set.
	Ratio float64
	// OnError, if set, is called where spans could not be sent, in the whole process:
	// OpenTelemetry has one such handler.
	OnError func(error)
	// Processor replaces the exporter, in tests.
	Processor trace.SpanProcessor
}

// Traces are a program's. Nil: off, which costs nothing and leaves no trace in
// a history.
type Traces struct {
	provider *trace.TracerProvider
	tracer   api.Tracer
	w3c      propagation.TraceContext
}

// OpenTraces starts sending spans by OTLP/HTTP; nil where nothing says to where.
func OpenTraces(ctx context.Context, o TracesOptions) (*Traces, error) {
	processor := o.Processor
	if processor == nil {
		if !enabled(o.Endpoint) {
			return nil, nil //nolint:nilnil // nil is a Traces that is off
		}
		var options []otlptracehttp.Option
		if o.Endpoint != "" {
			options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
		}
		exporter, err := otlptracehttp.New(ctx, options...)
		if err != nil {
			return nil, fmt.Errorf("opening the exporter of traces: %w", err)
		}
		if o.OnError != nil {
			otel.SetErrorHandler(otel.ErrorHandlerFunc(o.OnError))
		}
		processor = trace.NewBatchSpanProcessor(exporter)
	}
	provider := trace.NewTracerProvider(append(sampler(o.Ratio),
		trace.WithSpanProcessor(processor), trace.WithResource(newResource(o.Service)))...)
	return &Traces{provider: provider, tracer: provider.Tracer("ringback")}, nil
}

// enabled follows OpenTelemetry's variables where the configuration has no endpoint.
func enabled(endpoint string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

// sampler leaves the decision to the caller's trace, and to OTEL_TRACES_SAMPLER.
func sampler(ratio float64) []trace.TracerProviderOption {
	if os.Getenv("OTEL_TRACES_SAMPLER") != "" {
		return nil
	}
	return []trace.TracerProviderOption{trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(ratio)))}
}

// newResource names the program, and neither the machine nor the arguments.
func newResource(service string) *resource.Resource {
	if os.Getenv("OTEL_SERVICE_NAME") != "" {
		return resource.Environment()
	}
	named := resource.NewSchemaless(attribute.String("service.name", service))
	merged, err := resource.Merge(resource.Environment(), named)
	if err != nil {
		return named
	}
	return merged
}

// Close sends what is left, within ctx.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Interceptors carry a trace from a start through the workflow to its
// activities, in the history's headers; none while traces are off.
func (t *Traces) Interceptors() ([]interceptor.ClientInterceptor, error) {
	if t == nil {
		return nil, nil
	}
	made, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer: t.tracer, TextMapPropagator: t.w3c, DisableBaggage: true, AllowInvalidParentSpans: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making the Temporal client's tracing: %w", err)
	}
	return []interceptor.ClientInterceptor{made}, nil
}

// request begins the span of a request to the API, within the trace that the
// caller names, if it does.
func (t *Traces) request(r *http.Request, route string) (*http.Request, api.Span) {
	if t == nil {
		return r, api.SpanFromContext(r.Context())
	}
	ctx := t.w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method+" "+route, api.WithSpanKind(api.SpanKindServer),
		api.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
	return r.WithContext(ctx), span
}

// Client is c with a span of that name around each request that belongs to a trace.
// With propagate, the request has the header traceparent. Addresses and bodies are
// kept out of spans.
func (t *Traces) Client(c *http.Client, name string, propagate bool) *http.Client {
	if t == nil {
		return c
	}
	traced := *c
	traced.Transport = &transport{RoundTripper: c.Transport, traces: t, name: name, propagate: propagate}
	return &traced
}

type transport struct {
	http.RoundTripper
	traces    *Traces
	name      string
	propagate bool
}

// RoundTrip sends r in a span of its own.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !api.SpanContextFromContext(r.Context()).IsValid() {
		return t.RoundTripper.RoundTrip(r)
	}
	ctx, span := t.traces.tracer.Start(r.Context(), t.name, api.WithSpanKind(api.SpanKindClient),
		api.WithAttributes(attribute.String("http.request.method", r.Method)))
	defer span.End()
	r = r.Clone(ctx)
	if t.propagate {
		t.traces.w3c.Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	return response, nil
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
