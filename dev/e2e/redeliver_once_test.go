package e2e_test

import (
	"context"
	"errors"
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

const concurrentCalls = 20

func TestTwentyRedeliveriesAtOnceStartOneRun(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	for round, request := range []operation.RedeliveryRequest{
		{Force: true}, {Force: true}, {Force: true}, {Force: true, Repoll: true}, {Force: true, Repoll: true},
	} {
		id := fmt.Sprintf("4%02d", round)
		w.core.SetStatus(id, "done")
		key := start(t, api, entry(id))
		require.Equal(t, operation.OutcomeAcknowledged, awaitClosed(t, api, key).Outcome)

		var begun, refused, unserved atomic.Int32
		var calls sync.WaitGroup
		for range concurrentCalls {
			calls.Go(func() {
				_, err := direct(api).Redeliver(t.Context(), key, request)
				switch {
				case err == nil:
					begun.Add(1)
				case apiclient.Status(err) == http.StatusConflict:
					refused.Add(1)
				case later(err):
					// On a machine that is too busy; sent again it would be another one.
					unserved.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		calls.Wait()
		require.LessOrEqual(t, begun.Load(), int32(1), "round %d", round)
		require.EqualValues(t, concurrentCalls, begun.Load()+refused.Load()+unserved.Load())
		state := awaitClosed(t, api, key)
		require.LessOrEqual(t, len(w.standard.Received(id)), 2)
		if unserved.Load() == 0 {
			require.EqualValues(t, 1, begun.Load(), "round %d", round)
			require.NotNil(t, state.Redelivery)
			require.Len(t, w.standard.Received(id), 2)
		}
	}
}

// lateStarts is a client whose starts wait until as many as expected have arrived.
// Then the first is made, and the others once the run that it started has closed.
type lateStarts struct {
	client.Client
	expected int32
	arrived  atomic.Int32
	all      chan struct{}
	over     chan struct{}
}

func (l *lateStarts) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	first := false
	switch l.arrived.Add(1) {
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
	run, err := l.Client.ExecuteWorkflow(ctx, o, workflow, args...)
	if err == nil {
		_ = run.Get(context.WithoutCancel(ctx), nil)
	}
	close(l.over)
	return run, err
}

func TestARunThatWasRedeliveredMeanwhileIsNotRedeliveredAgain(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	w.core.SetStatus("450", "done")
	key := start(t, api, entry("450"))
	first := awaitClosed(t, api, key)

	c, err := config.Load(w.config)
	require.NoError(t, err)
	temporal, err := client.Dial(service.ClientOptions(client.Options{HostPort: w.temporal.addr, Namespace: w.temporal.namespace}))
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	service := &service.Service{
		Client:    &lateStarts{Client: temporal, expected: concurrentCalls, all: make(chan struct{}), over: make(chan struct{})},
		Namespace: w.temporal.namespace, Converter: converter.GetDefaultDataConverter(), Endpoint: c.Endpoint,
	}
	var done, skipped atomic.Int32
	var calls sync.WaitGroup
	for i := range concurrentCalls {
		calls.Go(func() {
			redeliver := func() (operation.Redelivered, error) {
				return service.RedeliverRun(t.Context(), operation.RunRef{Key: key, RunID: first.RunID},
					operation.RedeliveryRequest{Force: true, BulkRedeliveryID: fmt.Sprintf("rd_%d", i)})
			}
			redelivered, err := redeliver()
			// What waited too long for the first to end is sent again.
			for unavailable, ok := errors.AsType[*operation.Error](err); ok && unavailable.Problem == operation.ProblemUnavailable; unavailable, ok = errors.AsType[*operation.Error](err) {
				redelivered, err = redeliver()
			}
			switch {
			case err != nil:
				t.Error(err)
			case redelivered.Verdict == operation.RedeliveryDone:
				done.Add(1)
			case redelivered.Verdict == operation.RedeliverySkipped:
				skipped.Add(1)
			default:
				t.Errorf("%+v", redelivered)
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 1, done.Load())
	require.EqualValues(t, concurrentCalls-1, skipped.Load())
	require.Len(t, w.standard.Received("450"), 2)
}
