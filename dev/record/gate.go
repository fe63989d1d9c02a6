package main

import (
	"context"

	"go.temporal.io/sdk/client"

	"ringback/workflows"
)

// gate is the history of the gate of a build that may be promoted.
func (s *recording) gate(ctx context.Context) ([]byte, error) {
	run, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "gate", TaskQueue: workflows.TaskQueue}, workflows.GateType)
	if err != nil {
		return nil, err
	}
	if err := run.Get(ctx, nil); err != nil {
		return nil, err
	}
	return s.history(ctx, run.GetID(), run.GetRunID())
}
