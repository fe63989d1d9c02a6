package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	apiclient "ringback/api/client"
	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/service"
)

const callsAtOnce = 20

func TestOneOfTwentyWhoRedeliverAnOperationAtOnceBeginsARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
	api := w.run(t).Client
	for round, request := range []operation.RedeliveryRequest{
		{Force: true}, {Force: true}, {Force: true}, {Force: true, Repoll: true}, {Force: true, Repoll: true},
	} {
		id := fmt.Sprintf("4%02d", round)
		w.core.SetStatus(id, "done")
		key := start(t, api, entry(id))
		require.Equal(t, operation.OutcomeAcknowledged, closed(t, api, key).Outcome)

		var begun, refused atomic.Int32
		var calls sync.WaitGroup
		for range callsAtOnce {
			calls.Go(func() {
				_, err := api.Redeliver(t.Context(), key, request)
				switch {
				case err == nil:
					begun.Add(1)
				case apiclient.Status(err) == http.StatusConflict:
					refused.Add(1)
				default:
					t.Errorf("neither 201 nor 409: %v", err)
				}
			})
		}
		calls.Wait()
		require.EqualValues(t, 1, begun.Load(), "round %d", round)
		require.EqualValues(t, callsAtOnce-1, refused.Load())
		require.NotNil(t, closed(t, api, key).Redelivery)
		require.Len(t, w.standard.Received(id), 2)
	}
}

// lateStarts is a client whose starts wait until all that are expected have
// come; then the first is made, and the others once the run that it began has
// closed.
type lateStarts struct {
	client.Client
	expected int32
	come     atomic.Int32
	all      chan struct{}
	over     chan struct{}
}

func (l *lateStarts) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	first := false
	switch l.come.Add(1) {
	case 1:
		first = true
	case l.expected:
		close(l.all)
	}
	<-l.all
	if !first {
		<-l.over
		return l.Client.ExecuteWorkflow(ctx, o, workflow, args...)
	}
	defer close(l.over)
	run, err := l.Client.ExecuteWorkflow(ctx, o, workflow, args...)
	if err != nil {
		return nil, err
	}
	return run, run.Get(ctx, nil)
}

func TestWhoRedeliversARunThatWasRedeliveredSinceBeginsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
	api := w.run(t).Client
	w.core.SetStatus("450", "done")
	key := start(t, api, entry("450"))
	first := closed(t, api, key)

	c, err := config.Load(w.config)
	require.NoError(t, err)
	temporal, err := client.Dial(service.ClientOptions(client.Options{HostPort: w.temporal.addr, Namespace: w.temporal.namespace}))
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	service := &service.Service{
		Client:    &lateStarts{Client: temporal, expected: callsAtOnce, all: make(chan struct{}), over: make(chan struct{})},
		Namespace: w.temporal.namespace, Converter: converter.GetDefaultDataConverter(), Endpoint: c.Endpoint,
	}
	var done, skipped atomic.Int32
	var calls sync.WaitGroup
	for i := range callsAtOnce {
		calls.Go(func() {
			redelivered, err := service.RedeliverRun(t.Context(), operation.RunRef{Key: key, RunID: first.RunID},
				operation.RedeliveryRequest{Force: true, BulkRedeliveryID: fmt.Sprintf("rd_%d", i)})
			switch {
			case err != nil:
				t.Error(err)
			case redelivered.Verdict == operation.RedeliveryDone:
				done.Add(1)
			case redelivered.Verdict == operation.RedeliverySkipped:
				skipped.Add(1)
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 1, done.Load())
	require.EqualValues(t, callsAtOnce-1, skipped.Load())
	require.Len(t, w.standard.Received("450"), 2)
}
