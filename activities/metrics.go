package activities

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the activities did. Labels are closed lists and names of
// sources and endpoints, so their number is bounded; a name that is missing here
// comes from the configuration under which its operations were started.
type Metrics struct {
	polls         *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	heldBack      *prometheus.CounterVec
	unknownStatus *prometheus.CounterVec
	missing       *prometheus.CounterVec
}

// NewMetrics registers the activities' metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ringback", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	return &Metrics{
		polls:         counter("polls_total", "Polls by source and result (an error's kind, or answered).", "source", "result"),
		attempts:      counter("attempts_total", "Attempts by endpoint and verdict.", "endpoint", "verdict"),
		heldBack:      counter("held_back_total", "Polls and attempts held back by a bulkhead or breaker, by the source or endpoint.", "kind", "name"),
		unknownStatus: counter("unknown_statuses_total", "Statuses outside the documented vocabulary, by source.", "source"),
		missing:       counter("missing_configuration_total", "Polls and attempts that wait because their source or endpoint is not in this program's configuration.", "kind", "name"),
	}
}
