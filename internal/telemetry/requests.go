package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
)

// Requests counts and traces the API's requests by their route.
type Requests struct {
	traces *Traces
	total  *prometheus.CounterVec
	took   *prometheus.HistogramVec
}

// NewRequests registers the metrics of requests. traces may be nil.
func NewRequests(r prometheus.Registerer, traces *Traces) *Requests {
	q := &Requests{
		traces: traces,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_api_requests_total", Help: "Requests to the API, by method, route and HTTP status.",
		}, []string{"method", "route", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_api_request_seconds", Help: "How long requests to the API took, by method and route.",
			Buckets: []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
	}
	r.MustRegister(q.total, q.took)
	return q
}

// Observe begins the span of a request, within its caller's trace if any; observed counts
// the request and ends the span.
func (q *Requests) Observe(ctx context.Context, r *http.Request) (with context.Context, observed func(status int)) {
	begun := time.Now()
	route, _ := mux.CurrentRoute(r).GetPathTemplate() // of a route with a path: can't fail
	with, span := q.traces.request(ctx, r, route)
	return with, func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		span.End()
		q.total.WithLabelValues(r.Method, route, strconv.Itoa(status)).Inc()
		q.took.WithLabelValues(r.Method, route).Observe(time.Since(begun).Seconds())
	}
}
