package service

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
	"ringback/workflows"
)

func TestABulkRedeliveryIsAQueryToVisibility(t *testing.T) {
	t.Parallel()
	since := operation.At(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
	for name, tc := range map[string]struct {
		filter operation.Filter
		force  bool
		want   string
	}{
		"without an outcome, all that may be redelivered": {operation.Filter{Endpoint: "SHOP"}, false,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'SHOP' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired' OR ExecutionStatus = 'Terminated')"},
		"with force, the acknowledged ones as well": {operation.Filter{Endpoint: "SHOP"}, true,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND RingbackEndpoint = 'SHOP' AND ((ExecutionStatus = 'Completed' AND RingbackOutcome IS NULL) OR RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired' OR ExecutionStatus = 'Terminated')"},
		"with a status, those of which it is kept, also with force": {operation.Filter{Status: "do'ne"}, true,
			`WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone' OR RingbackOutcome = 'expired') AND RingbackStatus = 'do\'ne'`},
		"with an HTTP status, those of which it is kept": {operation.Filter{HTTPStatus: "503", Status: "done"}, false,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'exhausted' OR RingbackOutcome = 'gone') AND RingbackStatus = 'done' AND RingbackHTTPStatus = '503'"},
		"the period is when the run closed": {operation.Filter{Outcome: operation.OutcomeGone, Since: since, Until: since.Add(time.Hour)}, false,
			"WorkflowType = 'Operation' AND ExecutionStatus != 'ContinuedAsNew' AND (RingbackOutcome = 'gone') AND CloseTime >= '2026-11-20T00:00:00.000Z' AND CloseTime < '2026-11-20T01:00:00.000Z'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, bulkQuery(tc.filter, tc.force))
		})
	}
}

func TestAFilterIsValidatedAndEndsNow(t *testing.T) {
	t.Parallel()
	now := operation.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	validate := func(r operation.BulkRedeliveryRequest) (operation.Filter, error) {
		return newService().validateFilter(r, now)
	}
	for name, until := range map[string]operation.Time{"no end": {}, "an end to come": now.Add(time.Hour)} {
		f, err := validate(operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: "SHOP", Until: until}})
		require.NoError(t, err, name)
		require.Equal(t, now, f.Until, "%s becomes now, so that it never finds the runs that it begins", name)
	}
	f, err := validate(operation.BulkRedeliveryRequest{Filter: operation.Filter{Until: now.Add(-time.Hour)}})
	require.NoError(t, err)
	require.Equal(t, now.Add(-time.Hour), f.Until, "an end in the past stays")
	for field, r := range map[string]operation.BulkRedeliveryRequest{
		"filter.endpoint": {Filter: operation.Filter{Endpoint: "NOBODY"}},
		"filter.since":    {Filter: operation.Filter{Since: now}},
	} {
		_, err := validate(r)
		var refused *operation.Error
		require.ErrorAs(t, err, &refused, field)
		require.Equal(t, operation.ProblemInvalid, refused.Problem)
		require.Equal(t, field, refused.Fields[0].Field)
	}
}

func TestARunWithANewerRunIsDoneOrSkipped(t *testing.T) {
	t.Parallel()
	ref := operation.RunRef{Key: key, RunID: "first"}
	request := operation.RedeliveryRequest{BulkRedeliveryID: "rd_mine"}
	for name, tc := range map[string]struct {
		note *operation.RedeliveryNote
		want operation.RedeliveryVerdict
	}{
		"the newer run is its own: the work is done":         {&operation.RedeliveryNote{BulkRedeliveryID: "rd_mine", PreviousRunID: "first"}, operation.RedeliveryDone},
		"its own, which followed another run":                {&operation.RedeliveryNote{BulkRedeliveryID: "rd_mine", PreviousRunID: "second"}, operation.RedeliverySkipped},
		"another bulk redelivery's":                          {&operation.RedeliveryNote{BulkRedeliveryID: "rd_yours", PreviousRunID: "first"}, operation.RedeliverySkipped},
		"a redelivery of that one alone":                     {&operation.RedeliveryNote{By: "ops", PreviousRunID: "first"}, operation.RedeliverySkipped},
		"an operator's reset, which is no redelivery at all": {nil, operation.RedeliverySkipped},
	} {
		require.Equal(t, tc.want, followed(run{key: key, id: "newer", redelivery: tc.note}, ref, request).Verdict, name)
	}
}

func TestAnErrorThatMayPassIsNoVerdict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want operation.RedeliveryVerdict
	}{
		"none: done":                               {nil, operation.RedeliveryDone},
		"open, or acknowledged: skipped":           {notRedeliverable("no"), operation.RedeliverySkipped},
		"gone with the retention: skipped":         {newService().notFoundError(key), operation.RedeliverySkipped},
		"a URL that is refused now: failed":        {operation.Invalid(operation.FieldError{Field: "callback.url", Detail: "no"}), operation.RedeliveryFailed},
		"terminated, its progress unknown: failed": {&operation.Error{Problem: operation.ProblemUnavailable, Err: errProgressUnknown}, operation.RedeliveryFailed},
		"a server that is away: to repeat":         {newService().operationError("reading", key, serviceerror.NewUnavailable("no")), ""},
		"out of time: to repeat":                   {context.DeadlineExceeded, ""},
		"any other error: to repeat":               {errors.New("surprise"), ""},
	} {
		got, err := verdict(tc.err)
		require.Equal(t, tc.want, got.Verdict, name)
		require.Equal(t, tc.want == "", err != nil, name)
	}
}

// TestTheBulkRedeliveriesOfAKeyAreFound has two pages in visibility.
// overtakenServer begins the run of an earlier call that was given up, when that is
// repeated, and can't say after that which run is the latest.
type overtakenServer struct {
	*runsServer
	earlier   operation.RedeliveryNote
	overtaken bool
}

func (s *overtakenServer) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	earlier := o
	earlier.Memo = map[string]any{workflows.MemoStart: o.Memo[workflows.MemoStart], workflows.MemoRedelivery: s.earlier, memoClaim: "the earlier call's"}
	s.overtaken = true
	if _, err := s.runsServer.ExecuteWorkflow(ctx, earlier, workflow, args...); err != nil {
		return nil, err
	}
	return s.runsServer.ExecuteWorkflow(ctx, o, workflow, args...)
}

func (s *overtakenServer) DescribeWorkflowExecution(ctx context.Context, id, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if s.overtaken && runID == "" {
		return nil, serviceerror.NewUnavailable("too busy")
	}
	return s.runsServer.DescribeWorkflowExecution(ctx, id, runID)
}

func TestARunIsNotSkippedBecauseTemporalIsTooBusyToSayWhoBeganTheNewerOne(t *testing.T) {
	t.Parallel()
	engine := &overtakenServer{runsServer: acknowledgedOnce(t), earlier: operation.RedeliveryNote{BulkRedeliveryID: "rd_mine", PreviousRunID: "run-0"}}
	mine := operation.RedeliveryRequest{Force: true, BulkRedeliveryID: "rd_mine"}
	ref := operation.RunRef{Key: key, RunID: "run-0"}
	redelivered, err := serviceOn(engine).RedeliverRun(t.Context(), ref, mine)
	require.Error(t, err, "%+v", redelivered)

	engine.overtaken = false
	redelivered, err = serviceOn(engine).RedeliverRun(t.Context(), ref, mine)
	require.NoError(t, err)
	require.Equal(t, operation.RedeliveryDone, redelivered.Verdict)
}

func TestTheBulkRedeliveriesOfAKeyAreFound(t *testing.T) {
	t.Parallel()
	run := func(id, by, keyID string) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "redeliveries:" + id, RunId: id}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
			Memo: memoOf(t, map[string]any{"redeliveries": operation.BulkRedelivery{ID: id, By: by, KeyID: keyID}}),
		}
	}
	pages := [][]*workflowpb.WorkflowExecutionInfo{
		{run("1", "engineers", "0d1e2f30"), run("2", "core", "7c9e0a3d")},
		{run("3", "engineers", "aaaaaaaa"), run("4", "engineers", "0d1e2f30")},
	}
	for key, want := range map[string][]string{
		"":          {"1", "2"},
		"engineers": {"1", "3", "4"},
		"0d1e2f30":  {"1", "4"},
		"7c9e0a3d":  {"2"},
		"nobody":    nil,
	} {
		s := newService()
		s.Converter = converter.GetDefaultDataConverter()
		s.Client = pagedVisibility{pages: pages}
		found, err := s.BulkRedeliveries(t.Context(), key)
		require.NoError(t, err, key)
		var ids []string
		for _, r := range found {
			ids = append(ids, r.ID)
		}
		require.Equal(t, want, ids, key)
	}
}

// pagedVisibility is a Temporal client whose visibility has pages, its token the number
// of the next.
type pagedVisibility struct {
	client.Client
	pages [][]*workflowpb.WorkflowExecutionInfo
}

func (v pagedVisibility) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	at := len(r.GetNextPageToken())
	response := &workflowservice.ListWorkflowExecutionsResponse{Executions: v.pages[at]}
	if at+1 < len(v.pages) {
		response.NextPageToken = []byte(strings.Repeat("x", at+1))
	}
	return response, nil
}
