package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"ringback/internal/telemetry"
)

func sdkMetrics(t testing.TB) (client.MetricsHandler, *prometheus.Registry) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	handler, err := telemetry.SDKMetrics(r)
	require.NoError(t, err)
	return handler, r
}

// gathered are the metrics of a name.
func gathered(t testing.TB, r *prometheus.Registry, name string) []*dto.Metric {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()
		}
	}
	return nil
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

func TestTheSDKsMetricsHavePrometheusNamesAndKinds(t *testing.T) {
	t.Parallel()
	handler, r := sdkMetrics(t)
	tagged := handler.WithTags(map[string]string{"worker_type": "WorkflowWorker"})
	tagged.Counter("temporal_workflow_completed").Inc(2)
	tagged.Counter("temporal_workflow_completed").Inc(1)
	tagged.Gauge("temporal_worker_task_slots_available").Update(7)
	tagged.Timer("temporal_request_latency").Record(30 * time.Millisecond)

	counter := gathered(t, r, "temporal_workflow_completed_total")
	require.Len(t, counter, 1)
	require.InDelta(t, 3, counter[0].GetCounter().GetValue(), 0)
	require.Equal(t, "WorkflowWorker", label(counter[0], "worker_type"))
	require.Len(t, counter[0].GetLabel(), 1, "and no label of the library's own")
	require.InDelta(t, 7, gathered(t, r, "temporal_worker_task_slots_available")[0].GetGauge().GetValue(), 0)
	timer := gathered(t, r, "temporal_request_latency_seconds")[0].GetHistogram()
	require.InDelta(t, 0.03, timer.GetSampleSum(), 1e-9)
	require.InDelta(t, 60, timer.GetBucket()[len(timer.GetBucket())-1].GetUpperBound(), 0, "in seconds, up to a long poll")
}

func TestAMetricOfTheSDKShowsItsFirstSeriesAndCountsTheOthersTogether(t *testing.T) {
	t.Parallel()
	handler, r := sdkMetrics(t)
	const invented = 1000
	for i := range invented {
		tags := map[string]string{"workflow_type": fmt.Sprintf("Invented%d", i), "namespace": "default"}
		handler.WithTags(tags).Counter("temporal_workflow_completed").Inc(1)
	}
	shown := gathered(t, r, "temporal_workflow_completed_total")
	require.Len(t, shown, 500)
	total := 0.0
	for _, m := range shown {
		total += m.GetCounter().GetValue()
		if label(m, "otel_metric_overflow") != "" {
			require.InDelta(t, invented-499, m.GetCounter().GetValue(), 0)
		}
	}
	require.InDelta(t, invented, total, 0, "nothing is lost")
}
