package telemetry

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

const (
	// valuesKept is how many values of one label of the SDK's metrics are
	// shown; later ones are Other. Ours are about thirty (calls to the server).
	valuesKept = 64
	// seriesKept bounds the series of one of the SDK's metrics.
	seriesKept = 2000
)

// sdkBuckets are in seconds. A workflow task of the happy path takes
// milliseconds, a long poll a minute.
var sdkBuckets = []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// SDKMetrics is a handler that shows the Temporal SDK's metrics in r, under
// their own names: temporal_….
func SDKMetrics(r prometheus.Registerer) (client.MetricsHandler, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(r),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("registering the Temporal SDK's metrics: %w", err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter),
		metric.WithResource(resource.Empty()), metric.WithCardinalityLimit(seriesKept),
		metric.WithView(metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram},
			metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: sdkBuckets}})))
	handler := opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter: provider.Meter("temporal-sdk-go"), UseMonotonicCounters: true,
	})
	return newSDKHandler(handler, &values{byLabel: map[string]map[string]bool{}}), nil
}

// sdkHandler keeps what the handler beneath makes anew at each call, tag sets
// and instruments: the SDK asks for them many times in each workflow task.
type sdkHandler struct {
	next   client.MetricsHandler
	values *values

	mu       sync.RWMutex
	tagged   map[string]*sdkHandler
	counters map[string]client.MetricsCounter
	gauges   map[string]client.MetricsGauge
	timers   map[string]client.MetricsTimer
}

func newSDKHandler(next client.MetricsHandler, v *values) *sdkHandler {
	return &sdkHandler{
		next: next, values: v, tagged: map[string]*sdkHandler{}, counters: map[string]client.MetricsCounter{},
		gauges: map[string]client.MetricsGauge{}, timers: map[string]client.MetricsTimer{},
	}
}

// WithTags is the handler with tags added, each value bounded.
func (h *sdkHandler) WithTags(tags map[string]string) client.MetricsHandler {
	var space [4]string
	labels := space[:0]
	for label := range tags {
		labels = append(labels, label)
	}
	slices.Sort(labels)
	var room [128]byte
	key := room[:0]
	for _, label := range labels {
		key = appendSized(appendSized(key, label), h.values.bound(label, tags[label]))
	}
	h.mu.RLock()
	found := h.tagged[string(key)]
	h.mu.RUnlock()
	if found != nil {
		return found
	}
	bounded := make(map[string]string, len(tags))
	for label, value := range tags {
		bounded[label] = h.values.bound(label, value)
	}
	return kept(&h.mu, h.tagged, string(key), func(string) *sdkHandler {
		return newSDKHandler(h.next.WithTags(bounded), h.values)
	})
}

// appendSized keeps two lists of texts apart, whatever is in the texts.
func appendSized(key []byte, text string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(text))), text...)
}

// Counter is the counter of that name.
func (h *sdkHandler) Counter(name string) client.MetricsCounter {
	return kept(&h.mu, h.counters, name, h.next.Counter)
}

// Gauge is the gauge of that name.
func (h *sdkHandler) Gauge(name string) client.MetricsGauge {
	return kept(&h.mu, h.gauges, name, h.next.Gauge)
}

// Timer is the timer of that name.
func (h *sdkHandler) Timer(name string) client.MetricsTimer {
	return kept(&h.mu, h.timers, name, h.next.Timer)
}

// kept is what is in m by that name, made at first use.
func kept[T any](mu *sync.RWMutex, m map[string]T, name string, build func(string) T) T {
	mu.RLock()
	found, ok := m[name]
	mu.RUnlock()
	if ok {
		return found
	}
	mu.Lock()
	defer mu.Unlock()
	if _, ok := m[name]; !ok {
		m[name] = build(name)
	}
	return m[name]
}

// values are those of each label that are shown: the first valuesKept.
type values struct {
	mu      sync.RWMutex
	byLabel map[string]map[string]bool
}

func (v *values) bound(label, value string) string {
	v.mu.RLock()
	shown := v.byLabel[label][value]
	v.mu.RUnlock()
	if shown {
		return value
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byLabel[label] == nil {
		v.byLabel[label] = map[string]bool{}
	}
	if len(v.byLabel[label]) >= valuesKept && !v.byLabel[label][value] {
		return Other
	}
	v.byLabel[label][value] = true
	return value
}
