package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/workflows"
)

// bulkStory is one bulk redelivery: of how many operations, and what is done to
// it on its way.
type bulkStory struct {
	name       string
	operations int
	rate       float64
	// pageSize and pages, where set, are smaller than the API's.
	pageSize, pages int
	tell            func(context.Context, *stage, string) error
	ends            enumspb.WorkflowExecutionStatus
	// first says that the first of several runs is recorded, not the last.
	first bool
}

var bulkStories = []bulkStory{
	{name: "done", operations: 3, rate: 100},
	{name: "nothing-matched", rate: 100},
	{name: "several-pages", operations: 5, rate: 100, pageSize: 2, pages: 100},
	{name: "continues-as-new", operations: 5, rate: 100, pageSize: 1, pages: 2, first: true, ends: enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW},
	{name: "continued-as-new", operations: 5, rate: 100, pageSize: 1, pages: 2},
	{name: "stopped-and-resumed", operations: 4, rate: 2, tell: inTurn(hasDone(1), stopped, pause, resumed)},
	{name: "stopped-and-resumed-by-signal", operations: 4, rate: 2,
		tell: inTurn(hasDone(1), signalled(workflows.SignalStop), pause, signalled(workflows.SignalResume))},
	{name: "cancelled", operations: 4, rate: 2, tell: inTurn(hasDone(1), cancelled), ends: enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED},
}

// recordBulks records what has no file yet, or all.
func (s *stage) recordBulks(ctx context.Context, folder string, all bool) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for i, story := range bulkStories {
		path := filepath.Join(folder, story.name+".json")
		if _, err := os.Stat(path); err == nil && !all {
			continue
		}
		history, err := s.performBulk(ctx, story, 2001+100*i)
		if err != nil {
			return fmt.Errorf("the bulk redelivery %s: %w", story.name, err)
		}
		if err := os.WriteFile(path, history, 0o600); err != nil {
			return err
		}
		fmt.Println("recorded", path)
	}
	return nil
}

// performBulk fails the story's operations, redelivers them, and returns the
// history of the bulk redelivery.
func (s *stage) performBulk(ctx context.Context, story bulkStory, firstID int) ([]byte, error) {
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
	if story.tell != nil {
		if err := story.tell(ctx, s, begun.ID); err != nil {
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
	return s.runHistory(ctx, id, runID)
}

// exhaust makes an operation whose next delivery, and no earlier, is acknowledged.
func (s *stage) exhaust(ctx context.Context, id string) error {
	key := operation.Key{Endpoint: "WALLET", OperationID: id}
	s.script(story{endpoint: key.Endpoint, statuses: []string{"done"}, replies: []simulator.Reply{fails, fails, fails, fails, ack}}, id)
	if _, _, err := s.api.Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: id}); err != nil {
		return err
	}
	_, err := s.api.Await(ctx, key, apiclient.Closed)
	return err
}

func (s *stage) awaitCount(ctx context.Context, since operation.Time, n int) error {
	query := operation.CountQuery{ListQuery: operation.ListQuery{Undelivered: true, ByClose: true, Since: since}}
	for {
		count, err := s.api.Count(ctx, query)
		if err != nil || count.Count == n {
			return err
		}
		time.Sleep(settles)
	}
}

// begin begins a bulk redelivery: through the API, or where the story's pages
// are smaller than the API's as the API would.
func (s *stage) begin(ctx context.Context, story bulkStory, since operation.Time) (operation.BulkRedelivery, string, error) {
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
func (s *stage) awaitEnd(ctx context.Context, id string) (string, error) {
	for {
		description, err := s.temporal.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return "", err
		}
		info := description.GetWorkflowExecutionInfo()
		switch info.GetStatus() {
		case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
			time.Sleep(settles)
		default:
			return info.GetExecution().GetRunId(), nil
		}
	}
}

type bulkSaying = func(context.Context, *stage, string) error

func inTurn(sayings ...bulkSaying) bulkSaying {
	return func(ctx context.Context, s *stage, id string) error {
		for _, say := range sayings {
			if err := say(ctx, s, id); err != nil {
				return err
			}
		}
		return nil
	}
}

func hasDone(n int) bulkSaying {
	return func(ctx context.Context, s *stage, id string) error {
		for {
			found, err := s.api.BulkRedelivery(ctx, id)
			if err != nil || found.Done >= n {
				return err
			}
			time.Sleep(settles)
		}
	}
}

func stopped(ctx context.Context, s *stage, id string) error {
	_, err := s.api.StopBulkRedelivery(ctx, id)
	return err
}

func resumed(ctx context.Context, s *stage, id string) error {
	_, err := s.api.ResumeBulkRedelivery(ctx, id)
	return err
}

func signalled(name string) bulkSaying {
	return func(ctx context.Context, s *stage, id string) error {
		return s.temporal.SignalWorkflow(ctx, workflows.BulkRedeliveryWorkflowID(id), "", name, nil)
	}
}

// pause leaves time for the page to end.
func pause(context.Context, *stage, string) error { time.Sleep(3 * time.Second); return nil }

func cancelled(ctx context.Context, s *stage, id string) error {
	return s.temporal.CancelWorkflow(ctx, workflows.BulkRedeliveryWorkflowID(id), "")
}
