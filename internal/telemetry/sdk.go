package telemetry

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// maxSeries bounds the series of one of the SDK's metrics: a caller of Temporal may
// invent workflow types, which are labels. The rest is labelled otel_metric_overflow.
const maxSeries = 500

// sdkBuckets are in seconds: a workflow task takes milliseconds, a long poll a minute.
var sdkBuckets = []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// SDKMetrics is a handler that shows the Temporal SDK's metrics, temporal_…, in r.
func SDKMetrics(r prometheus.Registerer) (client.MetricsHandler, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(r),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("registering the Temporal SDK's metrics: %w", err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter),
		metric.WithResource(resource.Empty()), metric.WithCardinalityLimit(maxSeries),
		metric.WithView(metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram},
			metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: sdkBuckets}})))
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter: provider.Meter("temporal-sdk-go"), UseMonotonicCounters: true,
	}), nil
}
