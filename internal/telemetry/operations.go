package telemetry

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/workflows"
)

// acknowledgedBuckets are in seconds; the alerts use 60 (deploy/prometheus).
var acknowledgedBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 21600, 86400}

// Operations counts how operations end, as an interceptor around the workflow.
type Operations struct {
	interceptor.WorkerInterceptorBase
	known        func(endpoint string) bool
	ended        *prometheus.CounterVec
	redelivered  *prometheus.CounterVec
	acknowledged *prometheus.HistogramVec
}

// NewOperations registers the metrics of operations. Endpoints that are not known, so
// not configured, are counted as Other.
func NewOperations(r prometheus.Registerer, known func(endpoint string) bool) *Operations {
	o := &Operations{
		known: known,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_operations_total", Help: "Operations that ended, by endpoint and outcome; redeliveries apart.",
		}, []string{"endpoint", "outcome"}),
		redelivered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_redeliveries_total", Help: "Redeliveries that ended, by endpoint and outcome.",
		}, []string{"endpoint", "outcome"}),
		acknowledged: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ringback_acknowledged_after_seconds",
			Help:    "From the final status to its callback's acknowledgement; redeliveries apart.",
			Buckets: acknowledgedBuckets,
		}, []string{"endpoint"}),
	}
	r.MustRegister(o.ended, o.redelivered, o.acknowledged)
	return o
}

// InitLabels begins these endpoints' counts at zero: Prometheus sees no increase in a
// series that begins at one.
func (o *Operations) InitLabels(endpoints []string) {
	for _, endpoint := range endpoints {
		o.acknowledged.WithLabelValues(endpoint)
		for _, outcome := range operation.Outcomes {
			if outcome != operation.OutcomeTerminated { // which no worker sees
				o.ended.WithLabelValues(endpoint, string(outcome))
				o.redelivered.WithLabelValues(endpoint, string(outcome))
			}
		}
	}
}

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (o *Operations) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &endCounter{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, operations: o}
}

type endCounter struct {
	interceptor.WorkflowInboundInterceptorBase
	operations *Operations
}

// ExecuteWorkflow counts the end of a run, except in a replay of its history.
func (c *endCounter) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	result, err := c.Next.ExecuteWorkflow(ctx, in)
	if workflow.IsReplaying(ctx) || workflow.GetInfo(ctx).WorkflowType.Name != workflows.OperationType || len(in.Args) == 0 {
		return result, err
	}
	if input, ok := in.Args[0].(workflows.Input); ok {
		c.operations.count(input, result, err)
	}
	return result, err
}

func (o *Operations) count(in workflows.Input, result any, err error) {
	ending, ok := endingOf(result, err)
	outcome := ending.State.Outcome
	if !ok || !slices.Contains(operation.Outcomes, outcome) {
		return
	}
	endpoint := in.Start.Endpoint
	if !o.known(endpoint) {
		endpoint = Other
	}
	if in.Redelivery != nil {
		o.redelivered.WithLabelValues(endpoint, string(outcome)).Inc()
		return
	}
	o.ended.WithLabelValues(endpoint, string(outcome)).Inc()
	if seconds, ok := acknowledgedAfter(ending.State); ok {
		o.acknowledged.WithLabelValues(endpoint).Observe(seconds)
	}
}

// endingOf is the ending that a run's result, failure or cancellation carries.
func endingOf(result any, err error) (ending operation.Record, ok bool) {
	if err == nil {
		ending, ok = result.(operation.Record)
		return ending, ok
	}
	var withDetails interface {
		HasDetails() bool
		Details(into ...any) error
	}
	return ending, errors.As(err, &withDetails) && withDetails.HasDetails() && withDetails.Details(&ending) == nil
}

// acknowledgedAfter is how long the final status waited for its acknowledgement.
func acknowledgedAfter(s operation.State) (seconds float64, ok bool) {
	if s.Outcome != operation.OutcomeAcknowledged || s.Status == nil || !s.Status.Final {
		return 0, false
	}
	for _, d := range slices.Backward(s.Deliveries) {
		if d.Status == s.Status.Value && d.Outcome == operation.DeliveryAcknowledged && len(d.Attempts) > 0 {
			last := d.Attempts[len(d.Attempts)-1]
			return max(last.End().Sub(s.Status.ObservedAt.Time).Seconds(), 0), true
		}
	}
	return 0, false
}
