package app

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"ringback/internal/config"
	"ringback/internal/telemetry"
	"ringback/internal/version"
)

// metrics are the program's own.
type metrics struct {
	configInfo         *prometheus.GaugeVec
	cardNumberRefusals *prometheus.CounterVec
	openOperations     prometheus.Gauge
}

// openMetrics registers the program's own metrics and those of the Temporal SDK.
func (p *process) openMetrics() (err error) {
	p.metrics = metrics{
		configInfo: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringback_config_info", Help: "1, labelled with the hash of the configuration in force.",
		}, []string{"hash"}),
		cardNumberRefusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_card_number_refusals_total",
			Help: "Starts refused since they hold what looks like a card number, by endpoint.",
		}, []string{"endpoint"}),
		openOperations: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringback_open_operations", Help: "Operations that have not ended, in the whole namespace; NaN while it is not known.",
		}),
	}
	p.metrics.openOperations.Set(math.NaN())
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		p.metrics.configInfo, p.metrics.cardNumberRefusals,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ringback_build_info", Help: "1, labelled with the program's version.",
			ConstLabels: prometheus.Labels{"version": version.String()},
		}, func() float64 { return 1 }),
		newFlag("ringback_config_refused", "1 while the configuration's file is refused, so that the configuration before it is in force.",
			p.refused.Load),
		newFlag("ringback_temporal_reachable", "1 while Temporal takes this program's calls.",
			func() bool { return p.checkReachable() == nil }),
		newFlag("ringback_build_current", "1 while new operations may begin in this program: its build is the current one, or it is not versioned.",
			p.buildCurrent))
	if p.API {
		p.registry.MustRegister(p.metrics.openOperations)
	}
	if p.Temporal.MetricsHandler == nil {
		p.Temporal.MetricsHandler, err = telemetry.SDKMetrics(p.registry)
	}
	return err
}

// newFlag is a gauge that is 1 while isSet, else 0.
func newFlag(name, help string, isSet func() bool) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		if isSet() {
			return 1
		}
		return 0
	})
}

// showConfig logs the configuration's warnings, shows its hash in the metrics
// (promise 14), and begins the counts of its endpoints and sources at zero.
func (p *process) showConfig(c *config.Config) {
	for _, warning := range c.Warnings {
		p.Log.Warn(warning)
	}
	unscreened := map[string]bool{}
	for name, e := range c.Endpoints {
		unscreened[name] = !e.CardNumberScreen
	}
	p.unscreened.Set(unscreened)
	p.metrics.configInfo.Reset()
	p.metrics.configInfo.WithLabelValues(c.Hash).Set(1)
	endpoints := p.config.endpointNames()
	for _, endpoint := range endpoints {
		p.metrics.cardNumberRefusals.WithLabelValues(endpoint)
	}
	if len(p.workers) > 0 {
		p.outcomes.InitLabels(endpoints)
		p.activities.Metrics.InitLabels(endpoints, slices.Sorted(maps.Keys(p.config.file().Sources)))
	}
}

// flushTimeout bounds the sending of the last spans at a stop.
const flushTimeout = 5 * time.Second

// openTraces starts sending spans where the file or the environment says to.
func (p *process) openTraces(ctx context.Context, c *config.Config) error {
	name := "ringback-worker"
	if p.API {
		name = "ringback-api"
	}
	traces, err := telemetry.OpenTraces(ctx, telemetry.TracesOptions{
		Service: name, Endpoint: c.Telemetry.Traces.Endpoint, Ratio: c.Telemetry.Traces.Ratio, Processor: p.Spans,
		OnError: func(err error) { p.Log.Warn("spans could not be sent; nothing else is affected", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	p.traces, p.config.traces, p.config.uiURL = traces, traces, p.UIURL
	interceptors, err := traces.Interceptors()
	p.Temporal.Interceptors = append(p.Temporal.Interceptors[:len(p.Temporal.Interceptors):len(p.Temporal.Interceptors)], interceptors...)
	return err
}

func (p *process) closeTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.Log.Warn("the last spans could not be sent", zap.Error(err))
	}
}
