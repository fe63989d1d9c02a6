package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"ringback/internal/telemetry"
)

func traces(t *testing.T, ratio float64) (*telemetry.Traces, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	opened, err := telemetry.OpenTraces(t.Context(), telemetry.TracesOptions{Service: "ringback-api", Ratio: ratio, Processor: recorder})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close(context.Background())) })
	return opened, recorder
}

// served makes a request to the API whose handler calls a receiver, and returns the
// header traceparent that the receiver got.
func served(t *testing.T, opened *telemetry.Traces, propagate bool, parent string) (traceparent string) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		traceparent = r.Header.Get("traceparent")
	}))
	defer receiver.Close()
	calls := opened.Client(receiver.Client(), "attempt", propagate)
	defer calls.CloseIdleConnections()
	called := errors.New("the handler was not called")
	router := mux.NewRouter()
	requests := telemetry.NewRequests(prometheus.NewRegistry(), opened)
	router.HandleFunc("/v1/operations/{id}", func(_ http.ResponseWriter, r *http.Request) {
		ctx, observed := requests.Observe(r.Context(), r)
		called = send(ctx, calls, receiver.URL+"/secret?key=1")
		observed(http.StatusCreated)
	})
	request := httptest.NewRequest(http.MethodPost, "/v1/operations/4711", nil)
	if parent != "" {
		request.Header.Set("traceparent", parent)
	}
	router.ServeHTTP(httptest.NewRecorder(), request)
	require.NoError(t, called)
	return traceparent
}

func send(ctx context.Context, calls *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	response, err := calls.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

const (
	caller       = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	callerUnkept = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	noParent     = ""
)

func TestATraceReachesTheReceiverWhereItsEndpointAsksForIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		parent    string
		ratio     float64
		propagate bool
		// spans are how many are recorded.
		spans int
	}{
		"a trace begun here is sent on":                                    {noParent, 1, true, 2},
		"the caller's trace goes on":                                       {caller, 1, true, 2},
		"the caller's trace goes on whatever our share":                    {caller, 0, true, 2},
		"a trace that the caller does not record is not":                   {callerUnkept, 1, true, 0},
		"a share of none records none":                                     {noParent, 0, true, 0},
		"a receiver that did not ask gets no header":                       {caller, 1, false, 2},
		"a receiver that did not ask gets no header of a trace begun here": {noParent, 1, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened, recorder := traces(t, tc.ratio)
			traceparent := served(t, opened, tc.propagate, tc.parent)
			require.Len(t, recorder.Ended(), tc.spans)
			require.Equal(t, tc.propagate, traceparent != "")
			if tc.parent != "" && tc.propagate {
				require.Contains(t, traceparent, callersTrace)
			}
			if tc.spans == 0 {
				return
			}
			attempt, request := recorder.Ended()[0], recorder.Ended()[1]
			require.Equal(t, "attempt", attempt.Name())
			require.Equal(t, api.SpanKindClient, attempt.SpanKind())
			require.Equal(t, "POST /v1/operations/{id}", request.Name(), "an id is in no span's name")
			require.Equal(t, request.SpanContext().SpanID(), attempt.Parent().SpanID())
			if tc.propagate {
				require.Contains(t, traceparent, attempt.SpanContext().SpanID().String())
			}
			requireNoSecrets(t, recorder.Ended())
		})
	}
}

// requireNoSecrets holds that no address and no id of a request is in a span.
func requireNoSecrets(t *testing.T, spans []trace.ReadOnlySpan) {
	t.Helper()
	for _, span := range spans {
		for _, attribute := range span.Attributes() {
			require.NotContains(t, attribute.Value.String(), "secret")
			require.NotContains(t, attribute.Value.String(), "4711")
		}
	}
}

func TestTracesThatAreOffChangeNothing(t *testing.T) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(variable, "")
	}
	opened, err := telemetry.OpenTraces(t.Context(), telemetry.TracesOptions{Service: "ringback-api", Ratio: 1})
	require.NoError(t, err)
	require.Nil(t, opened)
	interceptors, err := opened.Interceptors()
	require.NoError(t, err)
	require.Empty(t, interceptors, "no header in a history")
	client := &http.Client{}
	require.Same(t, client, opened.Client(client, "attempt", true))
	require.Empty(t, served(t, opened, true, caller))
	require.NoError(t, opened.Close(t.Context()))
}

func TestSpansThatTheCollectorRefusesAreReportedAndDelayNothing(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not these", http.StatusBadRequest)
	}))
	defer receiver.Close()
	failures := make(chan error, 8)
	opened, err := telemetry.OpenTraces(t.Context(), telemetry.TracesOptions{
		Service: "ringback-api", Ratio: 1, Endpoint: receiver.URL, OnError: func(err error) { failures <- err },
	})
	require.NoError(t, err)
	require.NotEmpty(t, served(t, opened, true, noParent))
	require.NoError(t, opened.Close(t.Context()))
	require.ErrorContains(t, <-failures, "400")
}

// TestSpansAreSentToTheConfiguredCollector sends them for real.
func TestSpansAreSentToTheConfiguredCollector(t *testing.T) {
	for name, tc := range map[string]struct {
		configured, disabled bool
		sent                 bool
	}{
		"the configuration's receiver":                     {configured: true, sent: true},
		"the environment's receiver":                       {sent: true},
		"to none where the environment switches all of it": {configured: true, disabled: true},
	} {
		t.Run(name, func(t *testing.T) {
			paths := make(chan string, 8)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
			defer receiver.Close()
			options := telemetry.TracesOptions{Service: "ringback-api", Ratio: 1}
			if tc.configured {
				options.Endpoint = receiver.URL
			} else {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
			}
			if tc.disabled {
				t.Setenv("OTEL_SDK_DISABLED", "true")
			}
			opened, err := telemetry.OpenTraces(t.Context(), options)
			require.NoError(t, err)
			served(t, opened, true, noParent)
			require.NoError(t, opened.Close(t.Context()))
			if !tc.sent {
				require.Empty(t, paths)
				return
			}
			require.Equal(t, "/v1/traces", <-paths)
			receiver.CloseClientConnections()
		})
	}
}
