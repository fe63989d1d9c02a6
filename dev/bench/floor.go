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

// temporalSetup is where a role finds its server.
type temporalSetup struct {
	Temporal string `json:"temporal"`
	// World is the base URL of the cores and receivers.
	World string `json:"world,omitempty"`
	// Config is Ringback's configuration file.
	Config string `json:"config,omitempty"`
}

const floorQueue = "floor"

// floor is the engine's floor: empty workflows, started eagerly. It also asks
// the engine what Ringback's answers are compared with.
type floor struct{ client client.Client }

// empty is the least that an engine can be asked for.
func empty(workflow.Context) error { return nil }

// task ends at its first signal: one workflow task from signal to end.
func task(ctx workflow.Context) error {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	return nil
}

func openFloor(_ context.Context, settings json.RawMessage) (handler, any, error) {
	var s temporalSetup
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
	return func(ctx context.Context, o order) (any, error) {
		switch o.Do {
		case "start":
			return o.Load.run(ctx, f.start("Empty")), nil
		case "complete":
			return o.Load.run(ctx, f.complete), nil
		case "wait":
			return o.Load.run(ctx, f.start("Task")), nil
		case "signal":
			return o.Load.run(ctx, f.signal), nil
		case "describe":
			return o.Load.run(ctx, f.describe), nil
		case "history":
			return f.history(ctx, o.Prefix)
		case stopping:
			w.Stop()
			c.Close()
			return nil, nil
		}
		return nil, fmt.Errorf("the floor knows no order %q", o.Do)
	}, nil, w.Start()
}

// uncompressed is how Ringback talks to Temporal, and so its floor.
func uncompressed() client.ConnectionOptions {
	return client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}}
}

func dial(address string, connection client.ConnectionOptions) (client.Client, error) {
	c, err := client.Dial(client.Options{HostPort: address, Logger: quiet(), ConnectionOptions: connection})
	if err != nil {
		return nil, fmt.Errorf("dial Temporal at %s: %w", address, err)
	}
	return c, nil
}

// quiet drops what the SDK logs: it logs nothing on the paths measured.
func quiet() log.Logger {
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

// recorded is what a run's history came to.
type recorded struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`
}

func (f *floor) history(ctx context.Context, workflowID string) (recorded, error) {
	answer, err := f.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return recorded{}, err
	}
	info := answer.GetWorkflowExecutionInfo()
	return recorded{Events: info.GetHistoryLength(), Bytes: info.GetHistorySizeBytes()}, nil
}
