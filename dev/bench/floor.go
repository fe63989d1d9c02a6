package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const floorQueue = "floor"

// floor is the least that Temporal can be asked for: empty workflows, started eagerly.
// It also makes the calls that Ringback's are compared with.
type floor struct{ client client.Client }

// empty does nothing.
func empty(workflow.Context) error { return nil }

// task ends at its first signal: one workflow task from signal to end.
func task(ctx workflow.Context) error {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	return nil
}

func openFloor(_ context.Context, s Setup) (handlers, func() error, string, error) {
	c, err := dial(s.Temporal, uncompressed())
	if err != nil {
		return nil, nil, "", err
	}
	w := worker.New(c, floorQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(empty, workflow.RegisterOptions{Name: "Empty"})
	w.RegisterWorkflowWithOptions(task, workflow.RegisterOptions{Name: "Task"})
	f := &floor{client: c}
	return handlers{
		"complete": makes(f.complete), "wait": makes(f.wait), "signal": makes(f.signal),
		"describe": makes(f.describe), "history": f.history,
	}, closing(w, c), "", w.Start()
}

// closing stops a worker and its client.
func closing(w worker.Worker, c client.Client) func() error {
	return func() error {
		w.Stop()
		c.Close()
		return nil
	}
}

// uncompressed is how Ringback connects to Temporal.
func uncompressed() client.ConnectionOptions {
	return client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}}
}

// dial connects without a log of the SDK's.
func dial(address string, connection client.ConnectionOptions) (client.Client, error) {
	silent := log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	c, err := client.Dial(client.Options{HostPort: address, Logger: silent, ConnectionOptions: connection})
	if err != nil {
		return nil, fmt.Errorf("dial Temporal at %s: %w", address, err)
	}
	return c, nil
}

func (f *floor) start(ctx context.Context, kind, id string) (client.WorkflowRun, error) {
	return f.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: floorQueue, EnableEagerStart: true}, kind)
}

// complete starts an empty workflow and waits for its completion.
func (f *floor) complete(ctx context.Context, _, id string) error {
	run, err := f.start(ctx, "Empty", id)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}

// wait starts a workflow that waits for its signal.
func (f *floor) wait(ctx context.Context, _, id string) error {
	_, err := f.start(ctx, "Task", id)
	return err
}

func (f *floor) signal(ctx context.Context, _, id string) error {
	return errors.Join(
		f.client.SignalWorkflow(ctx, id, "", "go", nil),
		f.client.GetWorkflow(ctx, id, "").Get(ctx, nil),
	)
}

func (f *floor) describe(ctx context.Context, endpoint, id string) error {
	_, err := f.client.DescribeWorkflowExecution(ctx, endpoint+"/"+id, "")
	return err
}

// historySize is that of a run.
type historySize struct{ Events, Bytes int64 }

// history is that of the workflow whose id is the request's prefix.
func (f *floor) history(ctx context.Context, q Request, out *Reply) error {
	answer, err := f.client.DescribeWorkflowExecution(ctx, q.Prefix, "")
	info := answer.GetWorkflowExecutionInfo()
	out.History = historySize{Events: info.GetHistoryLength(), Bytes: info.GetHistorySizeBytes()}
	return err
}
