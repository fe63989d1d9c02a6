package telemetry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var observed = operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))

// ended is an ending of that outcome whose final status was acknowledged by
// attempt 2, 1,250 ms after it was observed.
func ended(outcome operation.Outcome) operation.Record {
	return operation.Record{State: operation.State{
		Outcome: outcome,
		Status:  &operation.Status{Value: "done", Final: true, ObservedAt: observed},
		Deliveries: []operation.Delivery{{Status: "done", Outcome: operation.DeliveryOutcome(outcome), Attempts: []operation.Attempt{
			{Number: 1, At: observed, TookMS: 5, Verdict: operation.Unacknowledged},
			{Number: 2, At: observed.Add(time.Second), TookMS: 250, Verdict: operation.Acknowledged},
		}}},
	}}
}

// run runs a workflow with that ending on a worker with the interceptor.
func run(t *testing.T, o *telemetry.Operations, in workflows.Input, ending operation.Record, fail func(operation.Record) error) {
	t.Helper()
	env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{o}, DeadlockDetectionTimeout: time.Minute})
	env.RegisterWorkflowWithOptions(func(workflow.Context, workflows.Input) (operation.Record, error) {
		if fail != nil {
			return ending, fail(ending)
		}
		return ending, nil
	}, workflow.RegisterOptions{Name: workflows.OperationType})
	env.ExecuteWorkflow(workflows.OperationType, in)
	require.True(t, env.IsWorkflowCompleted())
}

func TestOperationsAreCountedByEndpointAndOutcome(t *testing.T) {
	t.Parallel()
	fails := func(e operation.Record) error {
		return temporal.NewNonRetryableApplicationError("exhausted", workflows.TypeExhausted, nil, e)
	}
	redelivered := &workflows.Redelivery{}
	for name, tc := range map[string]struct {
		endpoint   string
		redelivery *workflows.Redelivery
		outcome    operation.Outcome
		fail       func(operation.Record) error
		// metric is the one counted, endpoint its label.
		metric, label string
		// acknowledged says that the time to it is counted as well.
		acknowledged bool
	}{
		"acknowledged, with the time from the final status": {
			endpoint: "SHOP", outcome: operation.OutcomeAcknowledged, metric: "ringback_operations_total", label: "SHOP", acknowledged: true},
		"exhausted, by the failure's details": {
			endpoint: "SHOP", outcome: operation.OutcomeExhausted, fail: fails, metric: "ringback_operations_total", label: "SHOP"},
		"withdrawn, by the cancellation's details": {
			endpoint: "SHOP", outcome: operation.OutcomeWithdrawn, metric: "ringback_operations_total", label: "SHOP",
			fail: func(e operation.Record) error { return temporal.NewCanceledError(e) }},
		"revoked": {endpoint: "SHOP", outcome: operation.OutcomeRevoked, metric: "ringback_operations_total", label: "SHOP"},
		"an endpoint that is not configured is one of the others": {
			endpoint: "SHOPPE", outcome: operation.OutcomeExhausted, fail: fails, metric: "ringback_operations_total", label: telemetry.Other},
		"a redelivery is counted apart, and its time is not": {
			endpoint: "SHOP", redelivery: redelivered, outcome: operation.OutcomeAcknowledged, metric: "ringback_redeliveries_total", label: "SHOP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prometheus.NewPedanticRegistry()
			o := telemetry.NewOperations(r, func(name string) bool { return name == "SHOP" })
			in := workflows.Input{Start: operation.StartRequest{Endpoint: tc.endpoint, OperationID: "1"}, Redelivery: tc.redelivery}
			run(t, o, in, ended(tc.outcome), tc.fail)

			counted := gathered(t, r, tc.metric)
			require.Len(t, counted, 1)
			require.InDelta(t, 1, counted[0].GetCounter().GetValue(), 0)
			require.Equal(t, tc.label, label(counted[0], "endpoint"))
			require.Equal(t, string(tc.outcome), label(counted[0], "outcome"))
			times := gathered(t, r, "ringback_acknowledged_after_seconds")
			if !tc.acknowledged {
				require.Empty(t, times)
				return
			}
			require.InDelta(t, 1.25, times[0].GetHistogram().GetSampleSum(), 1e-9)
		})
	}
}

func TestOnlyAFinalStatusHasATimeToItsAcknowledgement(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*operation.State){
		"nothing was observed":                     func(s *operation.State) { s.Status = nil },
		"the last status is not final":             func(s *operation.State) { s.Status.Final = false },
		"the final status was not delivered":       func(s *operation.State) { s.Deliveries[0].Status = "reserved" },
		"its delivery was superseded by another's": func(s *operation.State) { s.Deliveries[0].Outcome = operation.DeliverySuperseded },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prometheus.NewPedanticRegistry()
			ending := ended(operation.OutcomeAcknowledged)
			change(&ending.State)
			run(t, telemetry.NewOperations(r, func(string) bool { return true }), workflows.Input{}, ending, nil)
			require.Len(t, gathered(t, r, "ringback_operations_total"), 1)
			require.Empty(t, gathered(t, r, "ringback_acknowledged_after_seconds"))
		})
	}
}

func TestEndpointsThatAreNotConfiguredAddNoSeries(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	o := telemetry.NewOperations(r, func(name string) bool { return name == "SHOP" })
	for i := range 50 {
		in := workflows.Input{Start: operation.StartRequest{Endpoint: fmt.Sprintf("E%d", i), OperationID: fmt.Sprint(i)}}
		run(t, o, in, ended(operation.OutcomeAcknowledged), nil)
		in.Start.Endpoint = "SHOP"
		run(t, o, in, ended(operation.Outcome(fmt.Sprintf("invented %d", i))), nil)
	}
	require.Len(t, gathered(t, r, "ringback_operations_total"), 1)
}

// A replay, such as a query of a closed run asks for, counts nothing again.
func TestAReplayCountsNothing(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Interceptors: []interceptor.WorkerInterceptor{telemetry.NewOperations(r, func(string) bool { return true })},
	})
	require.NoError(t, err)
	replayer.RegisterWorkflowWithOptions(workflows.Operation, workflow.RegisterOptions{Name: workflows.OperationType})
	file, err := os.Open(filepath.Join("..", "..", "workflows", "testdata", "histories", "1.0.0", "acknowledged.json"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(t, err)
	id := history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowId()
	require.NoError(t, replayer.ReplayWorkflowHistoryWithOptions(telemetry.TemporalLogger(zap.NewNop()), history,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id}}))
	require.Empty(t, gathered(t, r, "ringback_operations_total"))
}

func TestCountsOfConfiguredEndpointsBeginAtZero(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	o := telemetry.NewOperations(r, func(string) bool { return true })
	o.InitLabels([]string{"LEDGER", "SHOP"})
	for name, series := range map[string]int{
		"ringback_operations_total": 12, "ringback_redeliveries_total": 12, "ringback_acknowledged_after_seconds": 2,
	} {
		shown := gathered(t, r, name)
		require.Len(t, shown, series, name)
		for _, m := range shown {
			require.Zero(t, m.GetCounter().GetValue())
			require.NotEqual(t, string(operation.OutcomeTerminated), label(m, "outcome"))
		}
	}
}
