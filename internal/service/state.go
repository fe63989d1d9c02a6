package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/internal/operation"
	"ringback/workflows"
)

// run is the latest run of an operation, as Describe knows it.
type run struct {
	key    operation.Key
	id     string
	status enumspb.WorkflowExecutionStatus
	// start is the request that the operation was accepted with; url is the
	// callback's URL in force, where a redelivery has replaced it.
	start operation.StartRequest
	url   string
	// startedAt is when the run began, by the server's clock.
	startedAt time.Time
	pending   operation.Pending
	// note says who began it, where it is a redelivery.
	note *operation.RedeliveryNote
}

// inForce is the request with the URL that a redelivery has replaced.
func (r run) inForce() operation.StartRequest {
	start := r.start
	if r.url != "" {
		start.Callback.URL = r.url
	}
	return start
}

func (r run) open() bool { return isOpen(r.status) }

// isOpen reports whether a run with that status goes on, by itself or once an
// operator resumes it.
func isOpen(s enumspb.WorkflowExecutionStatus) bool {
	return s == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || s == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// State reads an operation without asking a worker: a closed run's from its
// close event, an open one's from Describe, and only what Describe lacks by a
// Query with a short deadline.
func (s *Service) State(ctx context.Context, key operation.Key) (operation.State, error) {
	latest, err := s.describe(ctx, key)
	if err != nil {
		return operation.State{}, err
	}
	return s.stateOf(ctx, latest)
}

// Started is the request that an operation was accepted with.
func (s *Service) Started(ctx context.Context, key operation.Key) (operation.StartRequest, error) {
	latest, err := s.describe(ctx, key)
	return latest.start, err
}

func (s *Service) describe(ctx context.Context, key operation.Key) (run, error) {
	if err := s.screen(key); err != nil {
		return run{}, err
	}
	response, err := s.describeLatest(ctx, key.WorkflowID())
	if err != nil {
		return run{}, engineError("reading", key, err)
	}
	info := response.GetWorkflowExecutionInfo()
	latest := run{key: key, id: info.GetExecution().GetRunId(), status: info.GetStatus(), startedAt: info.GetStartTime().AsTime()}
	memo := info.GetMemo().GetFields()
	err = errors.Join(s.fromMemo(memo, workflows.MemoStart, &latest.start),
		s.fromMemo(memo, memoURL, &latest.url), s.fromMemo(memo, workflows.MemoRedelivery, &latest.note))
	if err != nil {
		return run{}, engineError("decoding the memo of", key, err)
	}
	latest.pending, err = PendingRecords(s.Converter, response.GetPendingActivities())
	if err != nil {
		return run{}, engineError("decoding the records of", key, err)
	}
	return latest, nil
}

// describeAgain is how often a run is described that is being continued.
const describeAgain = 3

// describeLatest describes the latest run. The server finds it first and then
// reads it, and it may be continued as new in between.
func (s *Service) describeLatest(ctx context.Context, workflowID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	for range describeAgain {
		response, err := s.Client.DescribeWorkflowExecution(ctx, workflowID, "")
		if err != nil || response.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
			return response, err
		}
	}
	return nil, serviceerror.NewUnavailable("the run is being continued as new")
}

func (s *Service) stateOf(ctx context.Context, r run) (operation.State, error) {
	state, err := s.untoldState(ctx, r)
	state.Redelivery = r.note
	return state, err
}

// untoldState is the state without who began the run.
func (s *Service) untoldState(ctx context.Context, r run) (operation.State, error) {
	r, state, err := s.settled(ctx, r)
	if err != nil || r.open() {
		return state, err
	}
	ending, err := s.ending(ctx, r)
	if errors.Is(err, errUntold) {
		return s.terminated(r, s.accepted(r.start, r.id)), nil
	}
	return ending.State, err
}

// settled is the run and, where that is open, its state. A run whose state is closed
// already is about to close: it is waited for, so that what is read is one moment's.
func (s *Service) settled(ctx context.Context, r run) (run, operation.State, error) {
	if !r.open() {
		return r, operation.State{}, nil
	}
	state := s.openState(ctx, r)
	for begun := time.Now(); state.Phase == operation.Closed && time.Since(begun) < stateDeadline; time.Sleep(updateAgain) {
		now, err := s.describe(ctx, r.key)
		if err != nil || now.id != r.id || !now.open() {
			return now, state, err
		}
	}
	return r, state, nil
}

// openState is built from what the pending activities recorded. What they do
// not tell is asked of the run; where no worker answers in time, what is known
// must do.
func (s *Service) openState(ctx context.Context, r run) operation.State {
	state := s.accepted(r.start, r.id)
	state.Key = r.key
	if !r.pending.Complete() {
		var asked operation.State
		if err := s.query(ctx, r, workflows.QueryState, &asked); err == nil {
			state = asked
			state.UIURL = s.uiURL(r.key.WorkflowID(), r.id)
		}
	}
	r.pending.Apply(&state)
	return state
}

func (s *Service) query(ctx context.Context, r run, name string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, stateDeadline)
	defer cancel()
	value, err := s.Client.QueryWorkflow(ctx, r.key.WorkflowID(), r.id, name)
	if err != nil {
		return err
	}
	return value.Get(answer)
}

// ending is how a closed run ended.
func (s *Service) ending(ctx context.Context, r run) (operation.Record, error) {
	var ending operation.Record
	event, err := s.closeEvent(ctx, r)
	if err != nil {
		return ending, err
	}
	payloads := endingPayloads(event)
	if payloads == nil {
		return s.endedElsewhere(ctx, r)
	}
	if err := s.Converter.FromPayloads(payloads, &ending); err != nil {
		return ending, engineError("decoding the ending of", r.key, err)
	}
	ending.State.RunID, ending.State.UIURL = r.id, s.uiURL(r.key.WorkflowID(), r.id)
	return ending, nil
}

func (s *Service) closeEvent(ctx context.Context, r run) (*historypb.HistoryEvent, error) {
	events := s.Client.GetWorkflowHistory(ctx, r.key.WorkflowID(), r.id, false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	event, err := events.Next()
	if err != nil {
		return nil, engineError("reading the close event of", r.key, err)
	}
	return event, nil
}

// endingPayloads are where each kind of close event keeps the ending; nil for
// one that Ringback did not write, such as a termination.
func endingPayloads(event *historypb.HistoryEvent) *commonpb.Payloads {
	switch {
	case event.GetWorkflowExecutionCompletedEventAttributes() != nil:
		return event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	case event.GetWorkflowExecutionFailedEventAttributes() != nil:
		return event.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetDetails()
	case event.GetWorkflowExecutionCanceledEventAttributes() != nil:
		return event.GetWorkflowExecutionCanceledEventAttributes().GetDetails()
	}
	return nil
}

// errUntold says that no worker could tell how far a terminated run had come.
var errUntold = errors.New("no worker answered how far the run had come")

// endedElsewhere is the ending of a run that an operator terminated: how far it
// had come is asked of its history, by a Query.
func (s *Service) endedElsewhere(ctx context.Context, r run) (operation.Record, error) {
	var ending operation.Record
	if err := s.query(ctx, r, workflows.QueryRecord, &ending); err != nil {
		return ending, &operation.Error{
			Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry, Err: errors.Join(errUntold, err),
			Detail: fmt.Sprintf("The operation %s was terminated, and no worker answered how far it had come; try again.", r.key.WorkflowID()),
		}
	}
	ending.State = s.terminated(r, ending.State)
	return ending, nil
}

// reasonTerminated is the reason of an attempt whose end nobody saw since its run
// was terminated.
const reasonTerminated = "the run was terminated while the attempt was on its way"

// terminated completes the state of a run that an operator terminated by what its
// activities had recorded: the server still describes them.
func (s *Service) terminated(r run, state operation.State) operation.State {
	r.pending.Apply(&state)
	state.NextPollAt = nil
	for i := range state.Deliveries {
		delivery := &state.Deliveries[i]
		delivery.NextAttemptAt = nil
		if last := len(delivery.Attempts) - 1; last >= 0 && delivery.Attempts[last].Verdict == "" {
			delivery.Attempts[last].Verdict, delivery.Attempts[last].Reason = operation.Unacknowledged, reasonTerminated
		}
	}
	state.Key, state.Phase, state.Outcome = r.key, operation.Closed, operation.OutcomeTerminated
	state.RunID, state.UIURL = r.id, s.uiURL(r.key.WorkflowID(), r.id)
	return state
}
