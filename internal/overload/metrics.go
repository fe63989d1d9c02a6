package overload

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of one Limiter. Their labels are closed lists.
type metrics struct {
	shed *prometheus.CounterVec
	late *prometheus.HistogramVec
}

// lateBuckets are in seconds: callbacks are late from 1, polls from 5 on.
var lateBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newMetrics(r prometheus.Registerer, l *Limiter) *metrics {
	m := &metrics{
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_shed_total",
			Help: "Calls refused, and polls and redeliveries put off, so that more urgent work goes first, by the work and why.",
		}, []string{"work", "reason"}),
		late: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_late_seconds", Help: "How late attempts of deliveries, and polls, began after they were due.",
			Buckets: lateBuckets,
		}, []string{"work"}),
	}
	for work, reasons := range map[Work][]string{
		Start: {reasonQueue}, Search: {reasonLate, reasonQueue}, Poll: {reasonLate}, Redelivery: {reasonLate},
		Change: {reasonBound}, Read: {reasonBound}, Request: {reasonBound},
	} {
		for _, reason := range reasons {
			m.shed.WithLabelValues(string(work), reason)
		}
	}
	m.late.WithLabelValues(string(Callback))
	m.late.WithLabelValues(string(Poll))
	r.MustRegister(m.shed, m.late)

	gauge := func(name, help string, work Work, value func() float64) {
		o := prometheus.GaugeOpts{Name: name, Help: help}
		if work != "" {
			o.ConstLabels = prometheus.Labels{"work": string(work)}
		}
		r.MustRegister(prometheus.NewGaugeFunc(o, value))
	}
	const share, age = "How much of starts and polls goes on, 1 for all: less while callbacks are late.", "How long the oldest task on the server waits for a worker of this build."
	gauge("ringback_admitted_share", share, Start, func() float64 { return l.pressure.shares().starts })
	gauge("ringback_admitted_share", share, Poll, func() float64 { return l.pressure.shares().polls })
	gauge("ringback_starts_limit", "How many starts may run at once.", "", func() float64 { return float64(l.starts.state().limit) })
	gauge("ringback_starts_in_engine", "How many starts run.", "", func() float64 { return float64(l.starts.state().running) })
	gauge("ringback_starts_waiting", "How many starts wait for their turn.", "", func() float64 { return float64(l.starts.state().waiting) })
	gauge("ringback_backlog_age_seconds", age, Callback, func() float64 { return l.pressure.currentOwnBacklog().Callbacks.Seconds() })
	gauge("ringback_backlog_age_seconds", age, Poll, func() float64 { return l.pressure.currentOwnBacklog().Polls.Seconds() })
	return m
}
