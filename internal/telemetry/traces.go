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
	// Service is the program's name, unless OTEL_SERVICE_NAME is set.
	Service string
	// Endpoint is the base URL of an OTLP/HTTP receiver; empty: that of the variables
	// OTEL_EXPORTER_OTLP_….
	Endpoint string
	// Ratio is the share of traces, 0 to 1, that are recorded where neither the caller
	// nor OTEL_TRACES_SAMPLER decides.
	Ratio float64
	// OnError, if set, is called for spans that could not be sent, in the whole process.
	OnError func(error)
	// Processor replaces the exporter, in tests.
	Processor trace.SpanProcessor
}

// Traces are a program's; nil: off.
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
	// The resource names the program, and neither the machine nor the arguments.
	named, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", o.Service)), resource.WithFromEnv())
	if err != nil {
		otel.Handle(fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err))
	}
	options := []trace.TracerProviderOption{trace.WithSpanProcessor(processor), trace.WithResource(named)}
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		options = append(options, trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(o.Ratio))))
	}
	provider := trace.NewTracerProvider(options...)
	return &Traces{provider: provider, tracer: provider.Tracer("ringback")}, nil
}

// enabled follows OpenTelemetry's variables where the configuration has no endpoint.
func enabled(endpoint string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

// Close sends the last spans.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Interceptors carry a trace from a start through the workflow to its activities, in
// the history's headers.
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

// request begins the span of a request to the API, within the caller's trace if any.
func (t *Traces) request(ctx context.Context, r *http.Request, route string) (context.Context, api.Span) {
	if t == nil {
		return ctx, api.SpanFromContext(ctx)
	}
	ctx = t.w3c.Extract(ctx, propagation.HeaderCarrier(r.Header))
	return t.tracer.Start(ctx, r.Method+" "+route, api.WithSpanKind(api.SpanKindServer),
		api.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
}

// Client is c with a span of that name around each request that belongs to a trace,
// without addresses and bodies. With propagate, requests carry the header traceparent.
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

// RoundTrip implements [http.RoundTripper].
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
		span.SetStatus(codes.Error, "no response")
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
