package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	enumspb "go.temporal.io/api/enums/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ringback/dev/simulator"
	"ringback/internal/app"
	"ringback/internal/operation"
)

// traced starts one operation at an endpoint that asked for its traces and
// returns what its receiver got, when the operation has ended: the first attempt is
// made in a workflow task, the second by an activity.
func traced(t *testing.T, w *environment, id string, change func(*app.Options)) []simulator.Received {
	t.Helper()
	w.core.SetStatus("before"+id, "done")
	w.core.SetStatus(id, "done")
	w.standard.Script(id, failing(http.StatusServiceUnavailable), simulator.Acknowledge)
	r := w.run(t, change)
	awaitClosed(t, r.Client, start(t, r.Client, operation.StartRequest{Endpoint: "TRACED", OperationID: "before" + id}))
	key := start(t, r.Client, operation.StartRequest{Endpoint: "TRACED", OperationID: id})
	require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, r.Client, key).Outcome)
	r.stop(t)
	return awaitCallbacks(t, w.standard, id, 2)
}

// newTracingEnvironment has an endpoint that asked for its traces.
func newTracingEnvironment(t *testing.T) *environment {
	t.Helper()
	w := newEnvironment(t, sharedServer(t), quick)
	w.appendConfig(t, fmt.Sprintf("  TRACED: {dialect: standard, source: wallet, url: %q, poll: {interval: 1s, lifetime: 1m}, delivery: {interval: 50ms, attempts: 3}, traceparent: true}",
		w.standard.URL()+"/hooks"))
	return w
}

func TestOneTraceLeadsFromTheStartToTheReceiver(t *testing.T) {
	t.Parallel()
	w := newTracingEnvironment(t)
	spans := tracetest.NewSpanRecorder()
	core, logs := observer.New(zapcore.InfoLevel)
	got := traced(t, w, "901", func(o *app.Options) { o.Spans, o.Log = spans, zap.New(core) })

	of, named := latest(spans.Ended())
	for _, name := range []string{
		"StartWorkflow:Operation", "RunWorkflow:Operation", "RunActivity:Poll", "poll",
		"RunActivity:Attempt", "RunActivity:Deliver",
	} {
		require.NotEmptyf(t, named[name], "%s; there are %v", name, named)
	}
	require.Len(t, named["attempt"], 2)
	require.Equal(t, named["RunActivity:Attempt"][0].SpanContext().SpanID(), named["attempt"][0].Parent().SpanID(), "in a workflow task")
	require.Equal(t, named["RunActivity:Deliver"][0].SpanContext().SpanID(), named["attempt"][1].Parent().SpanID(), "by an activity")
	for i, request := range got {
		attempt := named["attempt"][i].SpanContext()
		require.Equal(t, fmt.Sprintf("00-%s-%s-01", of, attempt.SpanID()), request.Header.Get("traceparent"), "attempt %d says which span it is", i+1)
	}
	require.Empty(t, w.core.Questions("901")[0].Header.Get("traceparent"), "the core did not ask for it")

	of901 := logs.FilterField(zap.String("operation_id", "901"))
	require.Equal(t, 2, of901.FilterMessage("audit").Len(), "begun and completed")
	require.Equal(t, 2, of901.FilterMessage("attempt").Len())
	for _, line := range append(of901.FilterMessage("audit").All(), of901.FilterMessage("attempt").All()...) {
		require.Equal(t, of.String(), line.ContextMap()["trace_id"], "the log says the same trace: %s", line.Message)
	}
	for _, line := range of901.FilterMessage("attempt").All() {
		require.NotEmpty(t, line.ContextMap()["run_id"])
	}
}

// latest is the trace of the latest start, and its spans by name.
func latest(spans []trace.ReadOnlySpan) (of api.TraceID, named map[string][]trace.ReadOnlySpan) {
	for _, span := range spans {
		if span.Name() == "POST /v1/operations" {
			of = span.SpanContext().TraceID()
		}
	}
	named = map[string][]trace.ReadOnlySpan{}
	for _, span := range spans {
		if span.SpanContext().TraceID() == of {
			named[span.Name()] = append(named[span.Name()], span)
		}
	}
	return of, named
}

// Without traces nothing of them is anywhere: not in the history, where it
// would stay for as long as the namespace keeps it, and not at the receiver.
func TestTracesThatAreOffAreInNoHistoryAndAtNoReceiver(t *testing.T) {
	t.Parallel()
	w := newTracingEnvironment(t)
	for _, request := range traced(t, w, "902", func(*app.Options) {}) {
		require.Empty(t, request.Header.Get("traceparent"))
	}
	require.Empty(t, headers(t, w, "TRACED/902"))
	traced(t, w, "903", func(o *app.Options) { o.Spans = tracetest.NewSpanRecorder() })
	require.Contains(t, headers(t, w, "TRACED/903"), "_tracer-data", "which shows that the test can fail")
}

// headers are the names of all headers in a run's history.
func headers(t *testing.T, w *environment, workflowID string) string {
	t.Helper()
	c := w.temporalClient(t)
	var found []string
	events := c.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		for name := range event.GetWorkflowExecutionStartedEventAttributes().GetHeader().GetFields() {
			found = append(found, name)
		}
		for name := range event.GetActivityTaskScheduledEventAttributes().GetHeader().GetFields() {
			found = append(found, name)
		}
	}
	return strings.Join(found, " ")
}
