package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// roleSetup are the settings of a role that uses the Temporal server.
type roleSetup struct {
	Temporal string `json:"temporal"`
	// Simulator is the base URL of the simulated cores and receivers.
	Simulator string `json:"simulator,omitempty"`
	// Config is the path of Ringback's configuration.
	Config string `json:"config,omitempty"`
}

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

func openFloor(_ context.Context, settings json.RawMessage) (handler, any, error) {
	var s roleSetup
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, nil, err
	}
	c, err := dial(s.Temporal, uncompressed())
	if err != nil {
		return nil, nil, err
	}
	w := worker.New(c, floorQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(empty, workflow.RegisterOptions{Name: "Empty"})
	w.RegisterWorkflowWithOptions(task, workflow.RegisterOptions{Name: "Task"})
	f := &floor{client: c}
	return func(ctx context.Context, r request) (any, error) {
		switch r.Do {
		case "start":
			return r.Load.run(ctx, f.start("Empty")), nil
		case "complete":
			return r.Load.run(ctx, f.complete), nil
		case "wait":
			return r.Load.run(ctx, f.start("Task")), nil
		case "signal":
			return r.Load.run(ctx, f.signal), nil
		case "describe":
			return r.Load.run(ctx, f.describe), nil
		case "history":
			return f.history(ctx, r.Prefix)
		case stopping:
			w.Stop()
			c.Close()
			return nil, nil
		}
		return nil, unknownRequest(r)
	}, nil, w.Start()
}

// uncompressed is how Ringback connects to Temporal.
func uncompressed() client.ConnectionOptions {
	return client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}}
}

func dial(address string, connection client.ConnectionOptions) (client.Client, error) {
	c, err := client.Dial(client.Options{HostPort: address, Logger: noLog(), ConnectionOptions: connection})
	if err != nil {
		return nil, fmt.Errorf("dial Temporal at %s: %w", address, err)
	}
	return c, nil
}

// noLog drops what the SDK logs.
func noLog() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func (f *floor) start(kind string) func(ctx context.Context, _, id string) error {
	return func(ctx context.Context, _, id string) error {
		_, err := f.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: id, TaskQueue: floorQueue, EnableEagerStart: true,
		}, kind)
		return err
	}
}

// complete starts an empty workflow and waits for its completion.
func (f *floor) complete(ctx context.Context, _, id string) error {
	run, err := f.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: floorQueue, EnableEagerStart: true,
	}, "Empty")
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
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
type historySize struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`
}

func (f *floor) history(ctx context.Context, workflowID string) (historySize, error) {
	answer, err := f.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return historySize{}, err
	}
	info := answer.GetWorkflowExecutionInfo()
	return historySize{Events: info.GetHistoryLength(), Bytes: info.GetHistorySizeBytes()}, nil
}
