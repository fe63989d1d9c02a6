package activities

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/activity"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// Metrics counts polls and attempts. Labels are closed lists and configured names, so
// their number is bounded.
type Metrics struct {
	polls         *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	first         *prometheus.HistogramVec
	inFlight      *prometheus.GaugeVec
	heldBack      *prometheus.CounterVec
	unknownStatus *prometheus.CounterVec
	missing       *prometheus.CounterVec
	onHold        *prometheus.GaugeVec
}

// firstBuckets are in seconds.
var firstBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// NewMetrics registers the activities' metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ringback", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	m := &Metrics{
		polls:         counter("polls_total", "Polls by source and result (an error's kind, or answered).", "source", "result"),
		attempts:      counter("attempts_total", "Attempts by endpoint and verdict.", "endpoint", "verdict"),
		heldBack:      counter("held_back_total", "Polls and attempts held back by a bulkhead or breaker, by the source or endpoint.", "kind", "name"),
		unknownStatus: counter("unknown_statuses_total", "Statuses outside the documented vocabulary, by source.", "source"),
		missing:       counter("missing_configuration_total", "Polls and attempts that wait because their source or endpoint is not in this program's configuration.", "kind"),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_first_attempt_after_seconds", Help: "From the answer with a new status to the first attempt about it.",
			Buckets: firstBuckets,
		}, []string{"endpoint"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringback_in_flight", Help: "Attempts and polls in flight, by the endpoint or source.",
		}, []string{"kind", "name"}),
		onHold: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringback_deliveries_on_hold", Help: "Deliveries that wait in this worker since their endpoint is on hold.",
		}, []string{"endpoint"}),
	}
	r.MustRegister(m.first, m.inFlight, m.onHold)
	return m
}

// pollResults are the values of result.
var pollResults = []string{
	"answered", string(source.Unauthorized), string(source.Throttled), string(source.Unavailable),
	string(source.NotFound), string(source.Malformed),
}

// InitLabels shows counters as zero: Prometheus sees no increase in one that appears
// with its first count.
func (m *Metrics) InitLabels(endpoints, sources []string) {
	for _, endpoint := range endpoints {
		m.attempts.WithLabelValues(endpoint, string(operation.Acknowledged))
		m.attempts.WithLabelValues(endpoint, string(operation.Unacknowledged))
		m.heldBack.WithLabelValues("endpoint", endpoint)
	}
	for _, name := range sources {
		for _, result := range pollResults {
			m.polls.WithLabelValues(name, result)
		}
		m.heldBack.WithLabelValues("source", name)
		m.unknownStatus.WithLabelValues(name)
	}
	m.missing.WithLabelValues("endpoint")
	m.missing.WithLabelValues("source")
}

// countAttempt counts one attempt.
func (m *Metrics) countAttempt(endpoint string, in AttemptRequest, made operation.Attempt) {
	m.attempts.WithLabelValues(endpoint, string(made.Verdict)).Inc()
	if in.Number == 1 && in.Callback.Reason == "" && !in.Callback.Observation.ObservedAt.IsZero() {
		m.first.WithLabelValues(endpoint).Observe(max(made.At.Sub(in.Callback.Observation.ObservedAt.Time).Seconds(), 0))
	}
}

// inFlightUntilDone counts one attempt or poll as in flight until done is called.
func (m *Metrics) inFlightUntilDone(kind, name string) (done func()) {
	gauge := m.inFlight.WithLabelValues(kind, name)
	gauge.Inc()
	return gauge.Dec
}

// IsolationMetrics shows those bulkheads and breakers of a that were used.
func IsolationMetrics(a *Activities) prometheus.Collector {
	return isolation{
		a: a,
		limit: prometheus.NewDesc("ringback_concurrency_limit",
			"How many attempts or polls may be in flight at once, by the endpoint or source.", []string{"kind", "name"}, nil),
		open: prometheus.NewDesc("ringback_breaker_open",
			"1 while the breaker of an endpoint or source holds everything back, 0.5 while it lets one try.", []string{"kind", "name"}, nil),
		troubled: prometheus.NewDesc("ringback_endpoint_troubled",
			"1 while most of the endpoint's latest attempts failed or were slow: its starts come last.", []string{"endpoint"}, nil),
	}
}

type isolation struct {
	a                     *Activities
	limit, open, troubled *prometheus.Desc
}

// Describe sends the metrics' descriptions.
func (i isolation) Describe(to chan<- *prometheus.Desc) {
	to <- i.limit
	to <- i.open
	to <- i.troubled
}

// Collect sends the metrics as they stand, of an endpoint's hosts the worst.
func (i isolation) Collect(to chan<- prometheus.Metric) {
	for name, state := range i.a.receivers.States() {
		i.send(to, "endpoint", name, state)
		troubled := 0.0
		if Troubled(i.a, name) {
			troubled = 1
		}
		to <- prometheus.MustNewConstMetric(i.troubled, prometheus.GaugeValue, troubled, name)
	}
	i.a.sources.Range(func(name, limiter any) bool {
		i.send(to, "source", name.(string), limiter.(*sourceLimiter).state())
		return true
	})
}

// Troubled reports whether most of an endpoint's latest attempts by a failed or were slow.
func Troubled(a *Activities, endpoint string) bool { return a.receivers.Troubled(endpoint) }

func (i isolation) send(to chan<- prometheus.Metric, kind, name string, state receiver.State) {
	to <- prometheus.MustNewConstMetric(i.limit, prometheus.GaugeValue, float64(state.Limit), kind, name)
	to <- prometheus.MustNewConstMetric(i.open, prometheus.GaugeValue, state.Open, kind, name)
}

// traceID is the trace that ctx belongs to, for a log line; nothing if none.
func traceID(ctx context.Context) zap.Field {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return zap.Stringer("trace_id", span.TraceID())
	}
	return zap.Skip()
}

// workflowID is the workflow that an activity works for; nothing outside of one.
func workflowID(ctx context.Context) zap.Field {
	if !activity.IsActivity(ctx) {
		return zap.Skip()
	}
	return zap.String("workflow_id", activity.GetInfo(ctx).WorkflowExecution.ID)
}

// runID is the run that an activity works for; nothing outside of one.
func runID(ctx context.Context) zap.Field {
	if !activity.IsActivity(ctx) {
		return zap.Skip()
	}
	return zap.String("run_id", activity.GetInfo(ctx).WorkflowExecution.RunID)
}
