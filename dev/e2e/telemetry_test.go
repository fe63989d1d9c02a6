package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// installation is Ringback as it is installed: the programs api and worker, on
// files that differ, as after a reload that reached one of them alone.
type installation struct {
	*environment
	*apiclient.Client
	api, worker *proc.Process
	// apiAddress and workerAddress are where their metrics are.
	apiAddress, workerAddress string
}

// install starts it. Beside the three endpoints of every environment there is one
// whose core refuses us, one that worker's file does not know, one that takes
// one attempt at a time, and one whose lifetime is soon over.
func install(t *testing.T) *installation {
	t.Helper()
	w := newEnvironment(t, sharedServer(t), quick)
	const rest = ", poll: {interval: 100ms, lifetime: 1m}, delivery: {interval: 50ms, attempts: 4, timeout: 5s}}\n"
	hooks := w.standard.URL() + "/hooks"
	w.replace(t, "\nendpoints:\n", fmt.Sprintf("\n  locked: {kind: paysera, base_urls: [%q], mac: {id: nobody, key: \"${env:E2E_MAC_KEY}\"}}\nendpoints:\n", w.core.URL())+
		"  NARROW: {dialect: standard, source: wallet, url: "+hooks+", max_concurrent: 1"+rest+
		"  LOCKED: {dialect: standard, source: locked, url: "+hooks+rest+
		"  SHORT: {dialect: standard, source: wallet, url: "+hooks+", poll: {interval: 100ms, lifetime: 300ms}, delivery: {interval: 50ms, attempts: 4}}\n")
	workers := w.config + ".worker"
	text, err := os.ReadFile(w.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(workers, text, 0o600))
	w.appendConfig(t, "  ELSEWHERE: {dialect: standard, source: wallet, url: "+hooks+rest)
	api, calls := w.api(t, "127.0.0.1:0", "-worker=false")
	apis := w.config
	w.config = workers
	worker := w.worker(t)
	w.config = apis
	return &installation{
		environment: w, Client: calls, api: api, worker: worker, apiAddress: telemetryAddress(t, calls),
		workerAddress: awaitOutput(t, worker, `"telemetry":"([^"]+)"`),
	}
}

// exercise lets happen what the metrics tell of: operations of every
// outcome that a worker sees, cores and receivers that fail in every way, and
// starts that are refused.
func (i *installation) exercise(t *testing.T) {
	t.Helper()
	api := i.Client
	at := func(endpoint, id string) operation.StartRequest {
		return operation.StartRequest{Endpoint: endpoint, OperationID: id}
	}
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "slow1", "slow2"} {
		i.core.SetStatus(id, "done")
	}
	i.core.SetStatus("open", "reserved")
	i.core.SetStatus("withdrawn", "reserved")
	i.core.SetStatus("revoked", "reserved")
	i.core.SetStatus("odd", "polished")
	i.standard.Script("2", failing(http.StatusServiceUnavailable), simulator.Acknowledge)
	i.standard.Script("3", failing(http.StatusServiceUnavailable))
	i.standard.Script("4", failing(http.StatusGone))
	slow := simulator.Acknowledge
	slow.Delay = 3 * time.Second
	i.standard.Script("slow1", slow)

	start(t, api, at("LOCKED", "5"))
	start(t, api, at("LOCKED", "7"))
	start(t, api, at("ELSEWHERE", "6"))
	start(t, api, at("NARROW", "slow1"))
	awaitInFlight(t, i.standard, "slow1", 1)
	start(t, api, at("NARROW", "slow2"))
	for _, id := range []string{"1", "2", "3", "4"} {
		awaitClosed(t, api, start(t, api, entry(id)))
	}
	i.standard.Script("3", simulator.Acknowledge)
	_, err := api.Redeliver(t.Context(), entry("3").Key(), operation.RedeliveryRequest{Reason: "repaired"})
	require.NoError(t, err)
	start(t, api, entry("open"))
	start(t, api, entry("odd"))
	withdraw(t, api, start(t, api, entry("withdrawn")))
	_, err = api.Revoke(t.Context(), start(t, api, entry("revoked")), "client", "")
	require.NoError(t, err)
	_, _, err = api.Start(t.Context(), operation.StartRequest{Endpoint: ledger, OperationID: "4111111111111111"})
	require.Equal(t, http.StatusUnprocessableEntity, apiclient.Status(err))
	_, err = api.State(t.Context(), entry("nobody").Key())
	require.Equal(t, http.StatusNotFound, apiclient.Status(err))
	i.failWorkflowTask(t)
}

// failWorkflowTask starts a workflow that no worker of ours knows, as a worker of an
// older version meets one of a newer.
func (i *installation) failWorkflowTask(t *testing.T) {
	t.Helper()
	c := i.temporalClient(t)
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "unknown", TaskQueue: "ringback"}, "Unknown")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(scrape(t, i.workerAddress), "temporal_workflow_task_execution_failed_total{")
	}, patience, 100*time.Millisecond)
	require.NoError(t, c.TerminateWorkflow(t.Context(), "unknown", "", "the test has seen it"))
}

// scrape reads a program's metrics.
func scrape(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// shown are the metrics of both programs: for each name the values of each label.
func (i *installation) shown(t *testing.T) map[string]map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]map[string]bool{}
	for _, address := range []string{i.apiAddress, i.workerAddress} {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(scrape(t, address)))
		require.NoError(t, err)
		for name, family := range families {
			for _, metric := range family.GetMetric() {
				labels := map[string]string{}
				for _, pair := range metric.GetLabel() {
					labels[pair.GetName()] = pair.GetValue()
				}
				add(all, name, labels)
				if metric.GetHistogram() == nil {
					continue
				}
				add(all, name+"_sum", labels)
				add(all, name+"_count", labels)
				for _, bucket := range metric.GetHistogram().GetBucket() {
					labels["le"] = model.SampleValue(bucket.GetUpperBound()).String()
					add(all, name+"_bucket", labels)
				}
			}
		}
	}
	return all
}

func add(all map[string]map[string]map[string]bool, name string, labels map[string]string) {
	if all[name] == nil {
		all[name] = map[string]map[string]bool{}
	}
	for label, value := range labels {
		if all[name][label] == nil {
			all[name][label] = map[string]bool{}
		}
		all[name][label][value] = true
	}
}
