package telemetry

import (
	"net/http"
	"strconv"
	"strings"
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

// Middleware counts and traces the requests under /v1/.
func (q *Requests) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, err := mux.CurrentRoute(r).GetPathTemplate()
		if err != nil || !strings.HasPrefix(route, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		begun := time.Now()
		r, span := q.traces.request(r, route)
		defer span.End()
		status := &statusRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(status, r)
		span.SetAttributes(attribute.Int("http.response.status_code", status.code))
		q.total.WithLabelValues(r.Method, route, strconv.Itoa(status.code)).Inc()
		q.took.WithLabelValues(r.Method, route).Observe(time.Since(begun).Seconds())
	})
}

// statusRecorder keeps the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements [http.ResponseWriter].
func (s *statusRecorder) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap serves [http.ResponseController].
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
