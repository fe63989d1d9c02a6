package helm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/dev/port"
	"ringback/dev/proc"
)

// operated is a scrape of the pod at the address %[1]s by the Prometheus operator, whose
// own relabelings come first and then those of the ServiceMonitor, %[2]s (generateServiceMonitorConfig
// in pkg/prometheus/promcfg.go of the operator). What chooses Services is left out.
const operated = `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: serviceMonitor/payments/ringback/0
    honor_labels: false
    static_configs:
      - targets: [%[1]q]
        labels:
          __meta_kubernetes_namespace: payments
          __meta_kubernetes_service_name: ringback-telemetry
          __meta_kubernetes_endpoint_address_target_kind: Pod
          __meta_kubernetes_endpoint_address_target_name: ringback-api-0
          __meta_kubernetes_endpoint_port_name: telemetry
          __meta_kubernetes_pod_name: ringback-api-0
          __meta_kubernetes_pod_phase: Running
          __meta_kubernetes_pod_container_name: api
          __meta_kubernetes_pod_label_app_kubernetes_io_component: api
    relabel_configs:
      - {source_labels: [job], target_label: __tmp_prometheus_job_name}
      - {action: keep, source_labels: [__meta_kubernetes_endpoint_port_name], regex: telemetry}
      - {source_labels: [__meta_kubernetes_endpoint_address_target_kind, __meta_kubernetes_endpoint_address_target_name], regex: Node;(.*), target_label: node}
      - {source_labels: [__meta_kubernetes_endpoint_address_target_kind, __meta_kubernetes_endpoint_address_target_name], regex: Pod;(.*), target_label: pod}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_service_name], target_label: service}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
      - {action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: (Failed|Succeeded)}
      - {source_labels: [__meta_kubernetes_service_name], target_label: job}
      - {target_label: endpoint, replacement: telemetry}
%[2]s`

func TestTheKeyOfPrometheusHasNoLineBreakAsThePageMakesIt(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "bash", "-c", `starter() { echo "a key"; }; `+found(t, "docs/deploy/kubernetes.md", `(?m)^(.*> prometheus\.key.*)$`))
	command.Dir = t.TempDir()
	require.NoError(t, command.Run())
	key, err := os.ReadFile(filepath.Join(command.Dir, "prometheus.key"))
	require.NoError(t, err)
	require.Equal(t, "a key", string(key), "the operator and Prometheus send it as it is")
}

func TestPromtoolsPrometheusKeepsTheLabelsOfRingbackUnderTheOperator(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	activities.NewMetrics(registry).InitLabels([]string{"SHOP"}, nil)
	pod := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(pod.Close)
	address := strings.TrimPrefix(pod.URL, "http://")

	rendered, err := render(t, "serviceMonitor: {enabled: true}")
	require.NoError(t, err)
	var ours strings.Builder
	for _, r := range get[serviceMonitor](t, decoded(t, rendered), "ServiceMonitor/ringback").Spec.Endpoints[0].Relabelings {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		ours.WriteString("      - " + strings.NewReplacer("sourceLabels", "source_labels", "targetLabel", "target_label").Replace(string(text)) + "\n")
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, operated, address, ours.String()), 0o600))
	listen, err := port.HoldAny(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, port.Release(listen)) })
	process, err := proc.Start(exec.Command("prometheus", "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"), "--web.listen-address="+listen.String()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, time.Minute) })

	query := "http://" + listen.String() + "/api/v1/query?query=" + url.QueryEscape(`ringback_attempts_total{verdict="acknowledged"}`)
	var found struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	require.Eventually(t, func() bool {
		response, err := http.Get(query)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return json.NewDecoder(response.Body).Decode(&found) == nil && len(found.Data.Result) == 1
	}, time.Minute, 100*time.Millisecond, "%s", process.OutputEnd())
	require.Equal(t, map[string]string{
		"__name__": "ringback_attempts_total", "endpoint": "SHOP", "verdict": "acknowledged",
		"namespace": "payments", "service": "ringback-telemetry", "pod": "ringback-api-0", "container": "api", "job": "ringback-api", "instance": address,
	}, found.Data.Result[0].Metric)
}
