package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ringback/internal/operation"
	"ringback/workflows"
)

// recordNotices records a notice about a delivery and an outage, from failing to
// recovered, if they have no file yet or all is set.
func (s *recording) recordNotices(ctx context.Context, folder string, all bool) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	notice, outage := filepath.Join(folder, "notice.json"), filepath.Join(folder, "outage.json")
	if exists(notice) && exists(outage) && !all {
		return nil
	}
	key := operation.Key{Endpoint: "WALLET", OperationID: "1901"}
	if err := s.exhaust(ctx, key.OperationID); err != nil {
		return err
	}
	state, err := s.api.State(ctx, key)
	if err != nil {
		return err
	}
	if err := s.recordRun(ctx, notice, workflows.NoticeID(state.Deliveries[0].CallbackID, state.RunID)); err != nil {
		return err
	}
	if _, err := s.api.Redeliver(ctx, key, operation.RedeliveryRequest{}); err != nil {
		return err
	}
	return s.recordRun(ctx, outage, workflows.OutageID(key.Endpoint))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// recordRun waits until a workflow has ended and records its last run.
func (s *recording) recordRun(ctx context.Context, path, id string) error {
	runID, err := s.awaitEnd(ctx, id)
	if err != nil {
		return fmt.Errorf("waiting for the end of %s: %w", id, err)
	}
	history, err := s.runHistory(ctx, id, runID)
	if err != nil {
		return err
	}
	fmt.Println("recorded", path)
	return os.WriteFile(path, history, 0o600)
}
