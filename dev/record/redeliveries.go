package main

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/workflows"
)

// bulkStory is one bulk redelivery, and what is done while it runs.
type bulkStory struct {
	name       string
	operations int
	rate       float64
	// pageSize and pages are smaller than the API's if they are set.
	pageSize, pages int
	actions         action[string]
	ends            enumspb.WorkflowExecutionStatus
	// first records the first of several runs, not the last one.
	first bool
}

var bulkStories = []bulkStory{
	{name: "done", operations: 3, rate: 100},
	{name: "nothing-matched", rate: 100},
	{name: "several-pages", operations: 5, rate: 100, pageSize: 2, pages: 100},
	{name: "continues-as-new", operations: 5, rate: 100, pageSize: 1, pages: 2, first: true, ends: enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW},
	{name: "continued-as-new", operations: 5, rate: 100, pageSize: 1, pages: 2},
	{name: "stopped-and-resumed", operations: 4, rate: 2, actions: inTurn(hasDone(1), stopped, pause, resumed)},
	{name: "stopped-and-resumed-by-signal", operations: 4, rate: 2,
		actions: inTurn(hasDone(1), signalled(workflows.SignalStop), pause, signalled(workflows.SignalResume))},
	{name: "cancelled", operations: 4, rate: 2, actions: inTurn(hasDone(1), cancelled), ends: enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED},
}

// performBulk fails the story's operations, redelivers them, and returns the
// history of the bulk redelivery.
func (s *recording) performBulk(ctx context.Context, story bulkStory, firstID int) ([]byte, error) {
	since := operation.At(time.Now())
	for i := range story.operations {
		if err := s.exhaust(ctx, fmt.Sprint(firstID+i)); err != nil {
			return nil, err
		}
	}
	if err := s.awaitCount(ctx, since, story.operations); err != nil {
		return nil, err
	}
	begun, firstRun, err := s.begin(ctx, story, since)
	if err != nil {
		return nil, err
	}
	if story.actions != nil {
		if err := story.actions(ctx, s, begun.ID); err != nil {
			return nil, err
		}
	}
	id := workflows.BulkRedeliveryWorkflowID(begun.ID)
	runID, err := s.awaitEnd(ctx, id)
	if err != nil {
		return nil, err
	}
	if story.first {
		runID = firstRun
	}
	description, err := s.temporal.DescribeWorkflowExecution(ctx, id, runID)
	if err != nil {
		return nil, err
	}
	ends := max(story.ends, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	if got := description.GetWorkflowExecutionInfo().GetStatus(); got != ends {
		return nil, fmt.Errorf("it ended as %s, not %s", got, ends)
	}
	return s.history(ctx, id, runID)
}

// exhaust makes an exhausted operation whose redelivery is acknowledged.
func (s *recording) exhaust(ctx context.Context, id string) error {
	key := operation.Key{Endpoint: "WALLET", OperationID: id}
	s.script(story{endpoint: key.Endpoint, statuses: []string{"done"}, replies: []simulator.Reply{fails, fails, fails, fails, ack}}, id)
	if _, _, err := s.api.Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: id}); err != nil {
		return err
	}
	_, err := s.api.Await(ctx, key, apiclient.Closed)
	return err
}

func (s *recording) awaitCount(ctx context.Context, since operation.Time, n int) error {
	query := operation.CountQuery{ListQuery: operation.ListQuery{Undelivered: true, ByClose: true, Since: since}}
	return until(ctx, func() (bool, error) {
		count, err := s.api.Count(ctx, query)
		return count.Count == n, err
	})
}

// begin begins a bulk redelivery through the API, or like the API if its pages are
// smaller.
func (s *recording) begin(ctx context.Context, story bulkStory, since operation.Time) (operation.BulkRedelivery, string, error) {
	request := operation.BulkRedeliveryRequest{
		Filter: operation.Filter{Endpoint: "WALLET", Outcome: operation.OutcomeExhausted, Since: since}, RatePerSecond: story.rate, Reason: "for the record",
	}
	if story.pageSize == 0 {
		begun, err := s.api.StartBulkRedelivery(ctx, request)
		return begun, begun.RunID, err
	}
	request.Filter.Until = operation.At(time.Now())
	begun := operation.BulkRedelivery{
		ID: "rd_" + story.name, Phase: operation.BulkRedeliveryRunning, Filter: request.Filter, RatePerSecond: story.rate,
		By: recorder, Reason: request.Reason, Matched: story.operations, StartedAt: request.Filter.Until,
	}
	run, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.BulkRedeliveryWorkflowID(begun.ID), TaskQueue: workflows.TaskQueue,
		Memo: map[string]any{workflows.MemoBulkRedelivery: begun},
	}, workflows.BulkRedeliveryType, workflows.BulkRedeliveryInput{Job: begun, PageSize: story.pageSize, Pages: story.pages})
	if err != nil {
		return begun, "", err
	}
	return begun, run.GetRunID(), nil
}

// awaitEnd waits for the last run and returns its id.
func (s *recording) awaitEnd(ctx context.Context, id string) (runID string, err error) {
	err = until(ctx, func() (bool, error) {
		description, err := s.temporal.DescribeWorkflowExecution(ctx, id, "")
		info := description.GetWorkflowExecutionInfo()
		runID = info.GetExecution().GetRunId()
		status := info.GetStatus()
		return status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && status != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, err
	})
	return runID, err
}

func hasDone(n int) action[string] {
	return func(ctx context.Context, s *recording, id string) error {
		return until(ctx, func() (bool, error) {
			found, err := s.api.BulkRedelivery(ctx, id)
			return found.Done >= n, err
		})
	}
}

func stopped(ctx context.Context, s *recording, id string) error {
	_, err := s.api.StopBulkRedelivery(ctx, id)
	return err
}

func resumed(ctx context.Context, s *recording, id string) error {
	_, err := s.api.ResumeBulkRedelivery(ctx, id)
	return err
}

func signalled(name string) action[string] {
	return func(ctx context.Context, s *recording, id string) error {
		return s.temporal.SignalWorkflow(ctx, workflows.BulkRedeliveryWorkflowID(id), "", name, nil)
	}
}

// pause is long enough for a page to end.
func pause(context.Context, *recording, string) error { time.Sleep(3 * time.Second); return nil }

func cancelled(ctx context.Context, s *recording, id string) error {
	return s.temporal.CancelWorkflow(ctx, workflows.BulkRedeliveryWorkflowID(id), "")
}
