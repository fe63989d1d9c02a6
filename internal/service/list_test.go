package service

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/internal/operation"
)

// visibility is a Temporal client whose visibility answers every query with the
// same runs, and which knows no more of each than is given.
type visibility struct {
	client.Client
	runs []*workflowpb.WorkflowExecutionInfo
	// next is the token of each page's next one.
	next []byte
	// asked, if set, is called with the token of each query.
	asked func(token []byte)
	// failedWith are the details of each run's failure; nil: it can't be read.
	failedWith *commonpb.Payloads
	// pending is each run's pending activity.
	pending *workflowpb.PendingActivityInfo
}

func (v visibility) CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{Count: int64(len(v.runs))}, nil
}

func (v visibility) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{PendingActivities: []*workflowpb.PendingActivityInfo{v.pending}}, nil
}

func (v visibility) GetWorkflowHistory(context.Context, string, string, bool, enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return failedHistory{details: v.failedWith}
}

type failedHistory struct {
	client.HistoryEventIterator
	details *commonpb.Payloads
}

func (h failedHistory) Next() (*historypb.HistoryEvent, error) {
	if h.details == nil {
		return nil, serviceerror.NewUnavailable("no")
	}
	return &historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes{
		WorkflowExecutionFailedEventAttributes: &historypb.WorkflowExecutionFailedEventAttributes{
			Failure: &failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Details: h.details}}},
		},
	}}, nil
}

func (v visibility) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if v.asked != nil {
		v.asked(r.GetNextPageToken())
	}
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: v.runs, NextPageToken: v.next}, nil
}

func TestAPageTokenIsTakenAsItWasGivenAlone(t *testing.T) {
	t.Parallel()
	var asked [][]byte
	with := func(key string) *Service {
		s := newService()
		s.PageKey = func() []byte { return []byte(key) }
		s.Client = visibility{next: []byte("visibility's"), asked: func(token []byte) { asked = append(asked, token) }}
		return s
	}
	here := operation.ListQuery{Endpoint: "BANK"}
	page, err := with("a").List(t.Context(), here)
	require.NoError(t, err)
	given := page.NextPageToken
	crc := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte("crafted")))
	bare := sha256.Sum256([]byte("crafted"))
	encode := base64.RawURLEncoding.EncodeToString
	for name, row := range map[string]struct {
		key   string
		query operation.ListQuery
		token string
		taken bool
	}{
		"as it was given":                        {"a", here, given, true},
		"by another program of the installation": {"a", here, given, true},
		"of another list":                        {"a", operation.ListQuery{Endpoint: "SHOP"}, given, false},
		"of another configuration":               {"b", here, given, false},
		"cut":                                    {"a", here, given[:len(given)-2], false},
		"longer":                                 {"a", here, given + "AA", false},
		"crafted, with a checksum":               {"a", here, encode(append(crc, "crafted"...)), false},
		"crafted, with a hash that needs no secret": {"a", here, encode(append(bare[:], "crafted"...)), false},
		"visibility's own":                          {"a", here, encode([]byte("visibility's")), false},
		"no base64":                                 {"a", here, "?", false},
	} {
		asked = nil
		row.query.PageToken = row.token
		_, err := with(row.key).List(t.Context(), row.query)
		if row.taken {
			require.NoError(t, err, name)
			require.Equal(t, [][]byte{[]byte("visibility's")}, asked, name)
			continue
		}
		require.ErrorContains(t, err, "begin again with the first page", name)
		require.Empty(t, asked, "%s: Temporal is not asked", name)
	}
}

func TestAnOperationWithTwoRunsIsOne(t *testing.T) {
	t.Parallel()
	closed := func(run string, second int64) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "SHOP/1", RunId: run},
			Status:    enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
			StartTime: timestamppb.New(time.Unix(second, 0)), CloseTime: timestamppb.New(time.Unix(second+1, 0)),
		}
	}
	s := newService()
	s.Client = visibility{runs: []*workflowpb.WorkflowExecutionInfo{closed("second", 20), closed("first", 10)}}
	page, err := s.List(t.Context(), operation.ListQuery{})
	require.NoError(t, err)
	require.Len(t, page.Operations, 1)
	require.Equal(t, "second", page.Operations[0].RunID)

	found, err := s.DryRun(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: "SHOP"}})
	require.NoError(t, err)
	require.Equal(t, 1, found.Matched)
	require.True(t, found.Exact)
	require.Equal(t, []operation.CountGroup{{Endpoint: "SHOP", Count: 1}}, found.Endpoints)
	require.Equal(t, page.Operations, found.Sample)

	matched, err := s.MatchedRuns(t.Context(), operation.BulkRedelivery{}, "", 100)
	require.NoError(t, err)
	key := operation.Key{Endpoint: "SHOP", OperationID: "1"}
	require.Equal(t, []operation.RunRef{{Key: key, RunID: "second"}, {Key: key, RunID: "first", Older: true}}, matched.Runs)
}

func TestARunOfTheBulkRedeliveryItselfMakesNoRunOlder(t *testing.T) {
	t.Parallel()
	begun := time.Unix(100, 0)
	id := `SHOP/a\b`
	run := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "first"}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
		StartTime: timestamppb.New(begun.Add(-time.Hour)),
	}
	s := newService()
	for startedAt, older := range map[time.Time]bool{begun.Add(-time.Minute): true, begun.Add(time.Minute): false} {
		s.Client = unnamed{visibility{runs: []*workflowpb.WorkflowExecutionInfo{run}}, &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "second"}, StartTime: timestamppb.New(startedAt),
		}}
		matched, err := s.MatchedRuns(t.Context(), operation.BulkRedelivery{StartedAt: operation.At(begun)}, "", 100)
		require.NoError(t, err)
		require.Len(t, matched.Runs, 1)
		require.Equal(t, older, matched.Runs[0].Older, startedAt)
	}
}

// unnamed has an operation whose id visibility's language can't name.
type unnamed struct {
	visibility
	newest *workflowpb.WorkflowExecutionInfo
}

func (u unnamed) ListWorkflow(ctx context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if strings.Contains(r.GetQuery(), "WorkflowId IN") {
		return &workflowservice.ListWorkflowExecutionsResponse{}, nil
	}
	return u.visibility.ListWorkflow(ctx, r)
}

func (u unnamed) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: u.newest}, nil
}

func TestAnEndpointThatIsMistypedIsNotAnEmptyList(t *testing.T) {
	t.Parallel()
	s := newService()
	s.Client = visibility{}
	for endpoint, says := range map[string]string{
		"SHOP": "", "SHPO": " (did you mean SHOP?)", "NOBODY": "; registered are BANK, OFF, SHOP",
	} {
		_, listErr := s.List(t.Context(), operation.ListQuery{Endpoint: endpoint})
		_, countErr := s.Count(t.Context(), operation.CountQuery{ListQuery: operation.ListQuery{Endpoint: endpoint}})
		for _, err := range []error{listErr, countErr} {
			refused, _ := errors.AsType[*operation.Error](err)
			require.Equal(t, says != "", refused != nil, endpoint)
			if says != "" {
				require.Contains(t, refused.Fields[0].Detail, "is not registered"+says)
			}
		}
	}
	require.ErrorContains(t, s.notFoundError(operation.Key{Endpoint: "SHPO", OperationID: "1"}), "The endpoint is not registered (did you mean SHOP?).")
	require.NotContains(t, s.notFoundError(key).Error(), "registered")

	s.Client = visibility{runs: []*workflowpb.WorkflowExecutionInfo{{Execution: &commonpb.WorkflowExecution{WorkflowId: "OLD/1"}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}}}
	page, err := s.List(t.Context(), operation.ListQuery{Endpoint: "OLD"})
	require.NoError(t, err)
	require.Len(t, page.Operations, 1, "those of an endpoint that is registered no more")

	s.Client = noneGone{}
	gone := operation.ListQuery{Endpoint: "OLD", Outcome: operation.OutcomeGone}
	page, err = s.List(t.Context(), gone)
	require.NoError(t, err, "an endpoint that is registered no more may have none of an outcome")
	require.Empty(t, page.Operations)
	count, err := s.Count(t.Context(), operation.CountQuery{ListQuery: gone})
	require.NoError(t, err)
	require.Zero(t, count.Count)
}

// noneGone has operations, none of which ended as gone.
type noneGone struct{ visibility }

func (noneGone) CountWorkflow(_ context.Context, r *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	if strings.Contains(r.GetQuery(), string(operation.OutcomeGone)) {
		return &workflowservice.CountWorkflowExecutionsResponse{}, nil
	}
	return &workflowservice.CountWorkflowExecutionsResponse{Count: 3}, nil
}

func TestAListHasTheReasonOfTheLatestAttempt(t *testing.T) {
	t.Parallel()
	failed := func(outcome operation.DeliveryOutcome, reason string, attempts ...operation.Attempt) operation.Delivery {
		return operation.Delivery{CallbackID: "cb_1", Outcome: outcome, Reason: reason, Attempts: attempts}
	}
	missed := operation.Attempt{Number: 3, Verdict: operation.Unacknowledged, Reason: "HTTP 503 is not 2xx"}
	const exhausted, gone = string(operation.OutcomeExhausted), string(operation.OutcomeGone)
	for name, tc := range map[string]struct {
		// outcome is the search attribute; empty: the operation is delivering.
		outcome    string
		deliveries []operation.Delivery
		unreadable bool
		want       string
	}{
		"exhausted":                           {exhausted, []operation.Delivery{failed(operation.DeliveryExhausted, "", missed)}, false, "HTTP 503 is not 2xx"},
		"gone, without an attempt":            {gone, []operation.Delivery{failed(operation.DeliveryGone, operation.ReasonHost)}, false, operation.ReasonHost},
		"before one that was superseded":      {exhausted, []operation.Delivery{failed(operation.DeliveryExhausted, "", missed), failed(operation.DeliverySuperseded, "")}, false, "HTTP 503 is not 2xx"},
		"one that can't be read":              {exhausted, nil, true, ""},
		"delivering, the next one on its way": {"", []operation.Delivery{failed(operation.DeliveryPending, "", missed, operation.Attempt{Number: 4})}, false, "HTTP 503 is not 2xx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			execution := &workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{WorkflowId: key.WorkflowID(), RunId: "first"}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
			}
			attributes := map[string]any{"RingbackOutcome": tc.outcome}
			fake := visibility{runs: []*workflowpb.WorkflowExecutionInfo{execution}}
			encode := func(record any) *commonpb.Payloads {
				payloads, err := converter.GetDefaultDataConverter().ToPayloads(record)
				require.NoError(t, err)
				return payloads
			}
			switch {
			case tc.outcome == "":
				execution.Status, attributes = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, map[string]any{"RingbackPhase": operation.Delivering}
				fake.pending = &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Deliver"},
					HeartbeatDetails: encode(operation.DeliveryRecord{Delivery: tc.deliveries[0]})}
			case !tc.unreadable:
				fake.failedWith = encode(operation.Record{State: operation.State{Deliveries: tc.deliveries}})
			}
			execution.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: memoOf(t, attributes).GetFields()}
			s := newService()
			s.Client, s.Converter = fake, converter.GetDefaultDataConverter()
			for reasons, want := range map[bool]string{true: tc.want, false: ""} {
				page, err := s.List(t.Context(), operation.ListQuery{Reasons: reasons})
				require.NoError(t, err)
				require.Len(t, page.Operations, 1)
				require.Equal(t, want, page.Operations[0].Reason)
			}
		})
	}
}

func TestAListShowsThePhaseOfEachOperation(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status enumspb.WorkflowExecutionStatus
		// written is the search attribute RingbackPhase; empty: none.
		written, want operation.Phase
	}{
		"one on the happy path":                             {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, "", operation.Watching},
		"one whose first attempt was not acknowledged":      {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, operation.Delivering, operation.Delivering},
		"one that goes on after such a delivery":            {enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, operation.Watching, operation.Watching},
		"one that an operator paused":                       {enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, operation.Delivering, operation.Delivering},
		"one that was terminated, which takes nothing back": {enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, operation.Delivering, operation.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			execution := &workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{WorkflowId: "LEDGER/1", RunId: "first"}, Status: tc.status,
				StartTime: timestamppb.New(time.Unix(10, 0)),
			}
			if tc.written != "" {
				execution.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: memoOf(t, map[string]any{"RingbackPhase": tc.written}).GetFields()}
			}
			s := newService()
			s.Client = visibility{runs: []*workflowpb.WorkflowExecutionInfo{execution}}
			page, err := s.List(t.Context(), operation.ListQuery{})
			require.NoError(t, err)
			require.Len(t, page.Operations, 1)
			require.Equal(t, tc.want, page.Operations[0].Phase)
			require.Equal(t, tc.want == operation.Closed, page.Operations[0].ClosedAt != nil)
		})
	}
}
