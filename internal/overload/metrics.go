package overload

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of one Control. Their labels are closed lists.
type metrics struct {
	shed *prometheus.CounterVec
	late *prometheus.HistogramVec
}

// lateBuckets are in seconds: 1 and 5 are those from which callbacks and polls
// are late.
var lateBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newMetrics(r prometheus.Registerer, c *Control) *metrics {
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
	r.MustRegister(m.shed, m.late, newShown(c))
	return m
}

// shown shows how a Control stands when it is asked.
type shown struct {
	c                                     *Control
	share, limit, inEngine, wait, backlog *prometheus.Desc
}

func newShown(c *Control) shown {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return shown{
		c:        c,
		share:    desc("ringback_admitted_share", "How much of starts and polls is let in, 1 for all: less while callbacks are late.", "work"),
		limit:    desc("ringback_starts_limit", "How many starts may be in the engine at once."),
		inEngine: desc("ringback_starts_in_engine", "How many are."),
		wait:     desc("ringback_starts_waiting", "How many starts wait for their turn."),
		backlog:  desc("ringback_backlog_age_seconds", "How long what waits longest on the server waits for a worker.", "work"),
	}
}

// Describe sends the metrics' descriptions.
func (s shown) Describe(to chan<- *prometheus.Desc) {
	to <- s.share
	to <- s.limit
	to <- s.inEngine
	to <- s.wait
	to <- s.backlog
}

// Collect sends the metrics as they stand.
func (s shown) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	shares, starts := s.c.pressure.shares(), s.c.starts.standing()
	backlog := s.c.pressure.seen()
	gauge(s.share, shares.starts, string(Start))
	gauge(s.share, shares.polls, string(Poll))
	gauge(s.limit, float64(starts.room))
	gauge(s.inEngine, float64(starts.inside))
	gauge(s.wait, float64(starts.waiting))
	gauge(s.backlog, backlog.Callbacks.Seconds(), string(Callback))
	gauge(s.backlog, backlog.Polls.Seconds(), string(Poll))
}
