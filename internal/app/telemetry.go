package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/converter"
	"go.uber.org/zap"

	"ringback/activities"
	"ringback/api/rest"
	"ringback/internal/config"
	"ringback/internal/service"
	"ringback/internal/telemetry"
)

const (
	// countedFor is how long the count of open operations is shown before it is
	// asked for again: it costs the server a query.
	countedFor = 20 * time.Second
	// countTimeout bounds that query, and with it a scrape.
	countTimeout = 2 * time.Second
	// flushTimeout bounds the sending of the last spans at a stop.
	flushTimeout = 5 * time.Second
)

// openTraces starts sending spans where the file or the environment says to.
func (p *program) openTraces(c *config.Config) error {
	traces, err := telemetry.OpenTraces(context.Background(), telemetry.TracesOptions{
		Service: p.service(), Endpoint: c.Telemetry.Traces.Endpoint, Ratio: c.Telemetry.Traces.Ratio, Processor: p.Spans,
		OnError: func(err error) { p.Log.Warn("spans could not be sent; nothing else is affected", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	p.traces, p.registry.traces = traces, traces
	interceptors, err := traces.Interceptors()
	if err != nil {
		return err
	}
	p.Temporal.Interceptors = append(p.Temporal.Interceptors[:len(p.Temporal.Interceptors):len(p.Temporal.Interceptors)], interceptors...)
	return nil
}

// service is how the program is called in traces.
func (p *program) service() string {
	if p.API {
		return "ringback-api"
	}
	return "ringback-worker"
}

func (p *program) closeTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.Log.Warn("the last spans could not be sent", zap.Error(err))
	}
}

// openMetrics registers what is shown whatever the program hosts, the Temporal
// SDK's metrics among it.
func (p *program) openMetrics() error {
	p.metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newConfigCollector(&p.registry))
	p.cardNumbers = newCardNumbers(p.metrics)
	p.openAdmission()
	p.metrics.MustRegister(
		newFlag("ringback_temporal_reachable", "1 while Temporal takes this program's calls.",
			func() bool { return p.absent() == nil }),
		newFlag("ringback_build_current", "1 while new operations may begin in this program: its build is the current one, or it is not versioned.",
			p.current))
	if p.Temporal.MetricsHandler != nil {
		return nil
	}
	handler, err := telemetry.SDKMetrics(p.metrics)
	if err != nil {
		return err
	}
	p.Temporal.MetricsHandler = handler
	return nil
}

// observed is a with its bulkheads and breakers shown, and how late it is.
func (p *program) observed(a *activities.Activities) *activities.Activities {
	p.givingWay(a)
	p.metrics.MustRegister(activities.IsolationMetrics(a))
	p.acts = a.Metrics
	return a
}

// expect begins the counts of what is configured at zero.
func (p *program) expect() {
	endpoints := p.registry.endpointNames()
	for _, endpoint := range endpoints {
		p.cardNumbers.total.WithLabelValues(endpoint)
	}
	if len(p.workers) == 0 {
		return
	}
	p.operations.Expect(endpoints)
	p.acts.InitLabels(endpoints, p.registry.sourceNames())
}

// endpointKnown says whether an endpoint's name may be a label.
func (p *program) endpointKnown(name string) bool {
	_, known := p.registry.endpoint(name)
	return known
}

// cardNumbers counts the starts that were refused for what looks like a card
// number, by endpoint.
type cardNumbers struct{ total *prometheus.CounterVec }

func newCardNumbers(r prometheus.Registerer) cardNumbers {
	c := cardNumbers{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ringback_card_number_refusals_total",
		Help: "Starts refused since they hold what looks like a card number, by endpoint.",
	}, []string{"endpoint"})}
	r.MustRegister(c.total)
	return c
}

func (c cardNumbers) refused(endpoint string) { c.total.WithLabelValues(endpoint).Inc() }

// apiServer is the API and what is shown beside it.
func (p *program) apiServer() *rest.Server {
	p.metrics.MustRegister(newOpenCollector(p.countOpen))
	return rest.New(rest.Options{
		Operations: apiService{p.newService(), &p.registry, p.absent},
		Keys:       p.registry.keys, ReadLimit: p.registry.readLimit, ChangeLimit: p.registry.changeLimit, ConfigHash: p.registry.hash,
		Ready: p.ready, Log: p.Log, Acquire: p.overload.Acquire,
		Metrics: p.metricsHandler(),
		Codec:   converter.NewPayloadCodecHTTPHandler(&p.registry.codec), CodecOrigins: p.codecOrigins,
		Middleware: telemetry.NewRequests(p.metrics, p.traces).Middleware,
	})
}

// codecOrigins are the configured ones and that of the UI that links lead to.
func (p *program) codecOrigins() []string {
	origins := p.registry.config().Codec.Server.Origins
	ui, err := url.Parse(p.UIURL)
	if err != nil || ui.Host == "" {
		return origins
	}
	return append(slices.Clone(origins), ui.Scheme+"://"+ui.Host)
}

// probesServer is what a program without an API shows.
func (p *program) probesServer() *rest.Server {
	return rest.NewProbes(rest.Options{
		Keys: p.registry.keys, ConfigHash: p.registry.hash, Ready: p.ready, Log: p.Log, Metrics: p.metricsHandler(),
	})
}

func (p *program) metricsHandler() http.Handler {
	return promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{})
}

func (p *program) countOpen(ctx context.Context) (int64, error) {
	if err := p.absent(); err != nil {
		return 0, err
	}
	return service.CountOpen(ctx, p.client, p.Temporal.Namespace)
}

// openCollector shows how many operations are open, by one query at a time and
// none more often than countedFor. Without an answer it shows nothing.
type openCollector struct {
	count func(context.Context) (int64, error)
	open  *prometheus.Desc

	mu    sync.Mutex
	asked time.Time
	last  int64
	err   error
}

func newOpenCollector(count func(context.Context) (int64, error)) *openCollector {
	return &openCollector{count: count, open: prometheus.NewDesc("ringback_open_operations",
		"Operations that have not ended, in the whole namespace.", nil, nil)}
}

// Describe sends the metric's description.
func (c *openCollector) Describe(to chan<- *prometheus.Desc) { to <- c.open }

// Collect sends the metric as it stood at most countedFor ago.
func (c *openCollector) Collect(to chan<- prometheus.Metric) {
	if n, err := c.current(); err == nil {
		to <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, float64(n))
	}
}

func (c *openCollector) current() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && time.Since(c.asked) < countedFor {
		return c.last, c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	c.last, c.err = c.count(ctx)
	c.asked = time.Now()
	if c.err != nil {
		c.err = fmt.Errorf("counting open operations: %w", c.err)
	}
	return c.last, c.err
}
