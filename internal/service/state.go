package service

import (
	"context"
	"errors"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
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
	// startedAt and closedAt are when the run began and ended, by the server's clock.
	startedAt, closedAt time.Time
	pending             operation.Pending
	// redelivery says who began the run, where it is a redelivery.
	redelivery *operation.RedeliveryNote
}

func (r run) open() bool { return isOpen(r.status) }

// isOpen reports whether a run with that status goes on, by itself or once an
// operator resumes it.
func isOpen(s enumspb.WorkflowExecutionStatus) bool {
	return s == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || s == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// State reads an operation without a worker where it can: a closed run's from its
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
	if err := s.refuseCardNumber(key); err != nil {
		return run{}, err
	}
	response, err := s.describeLatest(ctx, key.WorkflowID())
	if err != nil {
		return run{}, s.operationError("reading", key, err)
	}
	info := response.GetWorkflowExecutionInfo()
	latest := run{key: key, id: info.GetExecution().GetRunId(), status: info.GetStatus(),
		startedAt: info.GetStartTime().AsTime(), closedAt: info.GetCloseTime().AsTime()}
	err = errors.Join(s.fromMemo(info, workflows.MemoStart, &latest.start),
		s.fromMemo(info, memoURL, &latest.url), s.fromMemo(info, workflows.MemoRedelivery, &latest.redelivery))
	if err != nil {
		return run{}, s.operationError("decoding the memo of", key, err)
	}
	latest.pending, err = s.pendingRecords(key.WorkflowID(), response.GetPendingActivities())
	if err != nil {
		return run{}, s.operationError("decoding the records of", key, err)
	}
	return latest, nil
}

func (s *Service) fromMemo(run *workflowpb.WorkflowExecutionInfo, name string, into any) error {
	payload, ok := run.GetMemo().GetFields()[name]
	if !ok {
		return nil
	}
	return s.converter(run.GetExecution().GetWorkflowId()).FromPayload(payload, into)
}

// describeAttempts is how often a run is described that is being continued as new.
const describeAttempts = 3

// describeLatest describes the latest run. The server finds it first and then
// reads it, and it may be continued as new in between.
func (s *Service) describeLatest(ctx context.Context, workflowID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	for range describeAttempts {
		response, err := s.Client.DescribeWorkflowExecution(ctx, workflowID, "")
		if err != nil || response.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
			return response, err
		}
	}
	return nil, serviceerror.NewUnavailable("the run is being continued as new")
}

func (s *Service) stateOf(ctx context.Context, r run) (operation.State, error) {
	r, state, err := s.settle(ctx, r)
	if err == nil && !r.open() {
		var ending operation.Record
		if ending, err = s.ending(ctx, r); errors.Is(err, errProgressUnknown) {
			ending.State, err = s.terminated(r, s.firstState(r.start, r.id)), nil
		}
		state = ending.State
	}
	state.Redelivery = r.redelivery
	state.StartedAt = new(operation.At(r.startedAt))
	if !r.open() {
		state.ClosedAt = new(operation.At(r.closedAt))
	}
	return state, err
}

// settle is the run and, where that is open, its state. A run whose state says
// closed is about to close and is waited for, so that both agree.
func (s *Service) settle(ctx context.Context, r run) (run, operation.State, error) {
	if !r.open() {
		return r, operation.State{}, nil
	}
	state := s.openState(ctx, r)
	for begun := time.Now(); state.Phase == operation.Closed && time.Since(begun) < queryTimeout; time.Sleep(retryWait) {
		now, err := s.describe(ctx, r.key)
		if err != nil || now.id != r.id || !now.open() {
			return now, state, err
		}
	}
	return r, state, nil
}

// openState is built from what the pending activities recorded. The rest is
// queried; where no worker answers in time, it is left out.
func (s *Service) openState(ctx context.Context, r run) operation.State {
	state := s.firstState(r.start, r.id)
	state.Key = r.key
	if !r.pending.Complete() {
		var queried operation.State
		if err := s.query(ctx, r.key.WorkflowID(), r.id, workflows.QueryState, &queried); err == nil {
			state = s.linked(queried)
		}
	}
	r.pending.Apply(&state)
	return state
}

// linked is a state from a run, with the link that no run knows.
func (s *Service) linked(state operation.State) operation.State {
	state.UIURL = s.uiURL(state.WorkflowID(), state.RunID)
	return state
}

func (s *Service) query(ctx context.Context, workflowID, runID, name string, result any) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	value, err := s.Client.QueryWorkflow(ctx, workflowID, runID, name)
	if err != nil {
		return err
	}
	return value.Get(result)
}

// ending is how a closed run ended, from its close event. One that an operator
// terminated has none of ours: how far it had come is queried, which replays its
// history on a worker.
func (s *Service) ending(ctx context.Context, r run) (operation.Record, error) {
	var ending operation.Record
	event, err := s.Client.GetWorkflowHistory(ctx, r.key.WorkflowID(), r.id, false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT).Next()
	if err != nil {
		return ending, s.operationError("reading the close event of", r.key, err)
	}
	payloads := endingPayloads(event)
	if payloads == nil {
		if err := s.query(ctx, r.key.WorkflowID(), r.id, workflows.QueryRecord, &ending); err != nil {
			return ending, unavailable(errors.Join(errProgressUnknown, err),
				"The operation %s was terminated, and no worker answered how far it had come; try again.", r.key.WorkflowID())
		}
		ending.State = s.terminated(r, ending.State)
		return ending, nil
	}
	if err := s.converter(r.key.WorkflowID()).FromPayloads(payloads, &ending); err != nil {
		return ending, s.operationError("decoding the ending of", r.key, err)
	}
	ending.State.RunID, ending.State.UIURL = r.id, s.uiURL(r.key.WorkflowID(), r.id)
	return ending, nil
}

// errProgressUnknown: no worker answered how far a terminated run had come.
var errProgressUnknown = errors.New("no worker answered how far the run had come")

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

// reasonTerminated is the reason of an attempt whose end is not known since its run
// was terminated.
const reasonTerminated = "the run was terminated while the attempt was on its way"

// terminated completes the state of a run that an operator terminated by what its
// activities had recorded: the server still describes them.
func (s *Service) terminated(r run, state operation.State) operation.State {
	r.pending.Apply(&state)
	if i := slices.IndexFunc(state.Deliveries, func(d operation.Delivery) bool { return d.Outcome == operation.DeliveryPending }); i >= 0 && r.pending.DeliveryLost > 0 {
		record := operation.DeliveryRecord{Delivery: state.Deliveries[i]}
		record.BeginAttempt(r.pending.LostAttempt(operation.At(r.closedAt)))
		state.Deliveries[i] = record.Delivery
	}
	state.NextPollAt = nil
	for i := range state.Deliveries {
		delivery := &state.Deliveries[i]
		delivery.NextAttemptAt, delivery.OnHold = nil, false
		if last := len(delivery.Attempts) - 1; last >= 0 && delivery.Attempts[last].Verdict == "" {
			delivery.Attempts[last].Verdict, delivery.Attempts[last].Reason = operation.Unacknowledged, reasonTerminated
		}
	}
	state.Key, state.Phase, state.Outcome = r.key, operation.Closed, operation.OutcomeTerminated
	state.RunID, state.UIURL = r.id, s.uiURL(r.key.WorkflowID(), r.id)
	return state
}
