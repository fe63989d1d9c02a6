package service

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/internal/operation"
)

// visibility is a Temporal client whose visibility answers every query with the
// same runs, and which knows nothing else.
type visibility struct {
	client.Client
	runs []*workflowpb.WorkflowExecutionInfo
	// next is the token of each page's next one.
	next []byte
	// asked, if set, is called with the token of each query.
	asked func(token []byte)
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
	here := operation.ListQuery{Endpoint: "LEDGER"}
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

func TestAnOperationWithTwoRunsInOnePageIsListedOnce(t *testing.T) {
	t.Parallel()
	closed := func(run string, second int64) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "LEDGER/1", RunId: run},
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
