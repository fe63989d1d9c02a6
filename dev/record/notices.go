package main

import (
	"context"

	"ringback/internal/operation"
	"ringback/workflows"
)

// notice is the history of the notice about an exhausted delivery.
func (s *recording) notice(ctx context.Context, id string) ([]byte, error) {
	if err := s.exhaust(ctx, id); err != nil {
		return nil, err
	}
	state, err := s.api.State(ctx, operation.Key{Endpoint: "WALLET", OperationID: id})
	if err != nil {
		return nil, err
	}
	return s.lastHistory(ctx, workflows.NoticeID(state.Deliveries[0].CallbackID, state.RunID))
}

// outage is the history of an endpoint's outage, from failing to recovered.
func (s *recording) outage(ctx context.Context, id string) ([]byte, error) {
	if err := s.exhaust(ctx, id); err != nil {
		return nil, err
	}
	key := operation.Key{Endpoint: "WALLET", OperationID: id}
	if _, err := s.api.Redeliver(ctx, key, operation.RedeliveryRequest{}); err != nil {
		return nil, err
	}
	return s.lastHistory(ctx, workflows.OutageID(key.Endpoint))
}

// lastHistory waits until a workflow has ended and returns the history of its last run.
func (s *recording) lastHistory(ctx context.Context, id string) ([]byte, error) {
	runID, err := s.awaitEnd(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.history(ctx, id, runID)
}
