package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/workflows"
)

const (
	// redeliveriesPage is how many runs one activity of a bulk redelivery looks
	// at: at ten a second, ten seconds' work.
	redeliveriesPage = 100
	// redeliveriesPages is how many pages one run of a bulk redelivery works off
	// before it continues as new: some 2,000 events.
	redeliveriesPages = 200
	// recentRedeliveries is how many a list shows.
	recentRedeliveries = 100
)

// StartRedeliveries begins a bulk redelivery. What it will find is bounded by
// the moment that it was asked for, so that it never finds what it ended itself.
func (s *Service) StartRedeliveries(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error) {
	now := operation.At(time.Now())
	filter, err := s.admitFilter(r, now)
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	matched, err := s.countRuns(ctx, filterQuery(filter, r.Force))
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	begun := operation.BulkRedelivery{
		ID: "rd_" + strings.ToLower(rand.Text()), Phase: operation.BulkRedeliveryRunning, Filter: filter,
		RatePerSecond: r.RatePerSecond, Force: r.Force, By: r.By, Reason: r.Reason, Matched: matched, StartedAt: now,
	}
	run, err := s.Client.ExecuteWorkflow(ctx, redeliveriesOptions(begun), workflows.BulkRedeliveryType, workflows.BulkRedeliveryInput{
		Job: begun, PageSize: redeliveriesPage, Pages: redeliveriesPages,
	})
	if err != nil {
		return operation.BulkRedelivery{}, redeliveriesError("starting", begun.ID, err)
	}
	begun.RunID, begun.UIURL = run.GetRunID(), s.uiURL(run.GetID(), run.GetRunID())
	return begun, nil
}

func redeliveriesOptions(r operation.BulkRedelivery) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       workflows.BulkRedeliveryWorkflowID(r.ID),
		TaskQueue:                workflows.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		Memo:                     map[string]any{workflows.MemoBulkRedelivery: r},
		Priority:                 temporal.Priority{PriorityKey: workflows.PriorityBulkRedelivery},
		StaticSummary:            fmt.Sprintf("%d by %s: %s", r.Matched, r.By, r.Reason),
	}
}

// DryRun counts what a bulk redelivery would look at, and shows the first of it.
func (s *Service) DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error) {
	filter, err := s.admitFilter(r, operation.At(time.Now()))
	if err != nil {
		return operation.DryRun{}, err
	}
	found := operation.DryRun{Filter: filter, Sample: []operation.Summary{}}
	query := filterQuery(filter, r.Force)
	if found.Matched, err = s.countRuns(ctx, query); err != nil {
		return operation.DryRun{}, err
	}
	err = s.eachLatest(ctx, query, func(s operation.Summary) bool {
		found.Sample = append(found.Sample, s)
		return len(found.Sample) < operation.MaxSample
	})
	return found, err
}

// admitFilter checks what only the configuration knows, and ends the period now.
func (s *Service) admitFilter(r operation.BulkRedeliveryRequest, now operation.Time) (operation.Filter, error) {
	faults := operation.Faults(operation.ReasonRule.Check(r.Reason), operation.StatusRule.As("filter.status").Check(r.Filter.Status))
	if _, ok := s.Endpoint(r.Filter.Endpoint); !ok && r.Filter.Endpoint != "" {
		faults = append(faults, operation.FieldError{Field: "filter.endpoint",
			Detail: "is not registered; registered are " + strings.Join(s.EndpointNames(), ", ")})
	}
	if !r.Filter.Since.Before(now) {
		faults = append(faults, operation.FieldError{Field: "filter.since", Detail: "is in the future; nothing has closed since then"})
	}
	if len(faults) > 0 {
		return r.Filter, operation.Invalid(faults...)
	}
	if r.Filter.Until.IsZero() || now.Before(r.Filter.Until) {
		r.Filter.Until = now
	}
	return r.Filter, nil
}

// RedeliveriesState is how far a bulk redelivery has come: without a worker,
// from its memo and from what its activity recorded.
func (s *Service) RedeliveriesState(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	response, err := s.describeLatest(ctx, workflows.BulkRedeliveryWorkflowID(id))
	if err != nil {
		return operation.BulkRedelivery{}, redeliveriesError("reading", id, err)
	}
	found, err := s.redeliveries(response.GetWorkflowExecutionInfo())
	if err != nil {
		return operation.BulkRedelivery{}, redeliveriesError("decoding the memo of", id, err)
	}
	return found, s.addPending(&found, response.GetPendingActivities())
}

// redeliveries is what a run's memo says.
func (s *Service) redeliveries(info *workflowpb.WorkflowExecutionInfo) (operation.BulkRedelivery, error) {
	var found operation.BulkRedelivery
	var memo workflows.BulkRedeliveryMemo
	fields := info.GetMemo().GetFields()
	if err := s.fromMemo(fields, workflows.MemoBulkRedelivery, &found); err != nil {
		return found, err
	}
	if err := s.fromMemo(fields, workflows.MemoProgress, &memo); err != nil {
		return found, err
	}
	if memo.Phase != "" {
		found.Phase, found.BulkRedeliveryProgress = memo.Phase, memo.BulkRedeliveryProgress
	}
	found.RunID = info.GetExecution().GetRunId()
	found.UIURL = s.uiURL(info.GetExecution().GetWorkflowId(), found.RunID)
	if !isOpen(info.GetStatus()) {
		ended := operation.At(info.GetCloseTime().AsTime())
		found.EndedAt = &ended
		if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
			found.Phase = operation.BulkRedeliveryEnded
		}
	}
	return found, nil
}

func (s *Service) fromMemo(fields map[string]*commonpb.Payload, name string, into any) error {
	payload, ok := fields[name]
	if !ok {
		return nil
	}
	return s.Converter.FromPayload(payload, into)
}

// addPending shows what the page in hand has come to.
func (s *Service) addPending(r *operation.BulkRedelivery, pending []*workflowpb.PendingActivityInfo) error {
	for _, p := range pending {
		if p.GetActivityType().GetName() != workflows.ActivityRedeliverPage || len(p.GetHeartbeatDetails().GetPayloads()) == 0 {
			continue
		}
		var place operation.BulkRedeliveryPosition
		if err := s.Converter.FromPayloads(p.GetHeartbeatDetails(), &place); err != nil {
			return redeliveriesError("decoding the progress of", r.ID, err)
		}
		r.BulkRedeliveryProgress = place.Progress
	}
	return nil
}

// RecentRedeliveries are the latest bulk redeliveries, newest first, as
// visibility knows them.
func (s *Service) RecentRedeliveries(ctx context.Context) ([]operation.BulkRedelivery, error) {
	response, err := s.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: recentRedeliveries,
		Query: fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus != 'ContinuedAsNew'", workflows.BulkRedeliveryType),
	})
	if err != nil {
		return nil, redeliveriesError("listing", "", err)
	}
	recent := make([]operation.BulkRedelivery, 0, len(response.GetExecutions()))
	for _, execution := range response.GetExecutions() {
		found, err := s.redeliveries(execution)
		if err != nil {
			return nil, redeliveriesError("decoding the memo of", execution.GetExecution().GetWorkflowId(), err)
		}
		recent = append(recent, found)
	}
	return recent, nil
}

// StopRedeliveries makes a bulk redelivery begin no further operation.
func (s *Service) StopRedeliveries(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return s.tellRedeliveries(ctx, id, workflows.UpdateStop, workflows.SignalStop)
}

// ResumeRedeliveries makes a stopped bulk redelivery go on.
func (s *Service) ResumeRedeliveries(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return s.tellRedeliveries(ctx, id, workflows.UpdateResume, workflows.SignalResume)
}

func (s *Service) tellRedeliveries(ctx context.Context, id, what, signal string) (operation.BulkRedelivery, error) {
	workflowID := workflows.BulkRedeliveryWorkflowID(id)
	var phase operation.BulkRedeliveryPhase
	told := s.update(ctx, newUpdate(workflowID, what), &phase)
	if errors.Is(told, errUnheard) || takesNoUpdates(told) {
		told = s.Client.SignalWorkflow(ctx, workflowID, "", signal, nil)
	}
	if told != nil && !runEnded(told) {
		return operation.BulkRedelivery{}, redeliveriesError("telling "+what+" to", id, told)
	}
	found, err := s.RedeliveriesState(ctx, id)
	if err != nil {
		return found, err
	}
	if found.EndedAt != nil {
		return found, operation.Refuse(operation.ProblemClosed, "The bulk redelivery %s has ended; start another.", id)
	}
	if told != nil {
		return operation.BulkRedelivery{}, redeliveriesError("telling "+what+" to", id, serviceerror.NewUnavailable("it went on in a new run"))
	}
	if phase != "" {
		found.Phase = phase
	}
	return found, nil
}

func redeliveriesError(doing, id string, err error) error {
	cause := fmt.Errorf("%s the bulk redelivery %s: %w", doing, id, err)
	switch {
	case isNotFound(err):
		return operation.Refuse(operation.ProblemNotFound, "There is no bulk redelivery %s, or its namespace's retention has ended.", id)
	case !away(err):
		return cause
	}
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry, Err: cause,
		Detail: fmt.Sprintf("Temporal did not answer while %s the bulk redelivery; try again.", doing),
	}
}

// filterQuery is a bulk redelivery's filter in visibility's language.
func filterQuery(f operation.Filter, force bool) string {
	var ended []string
	for _, outcome := range f.Outcomes(force) {
		ended = append(ended, outcomeTerm(outcome))
	}
	terms := append(baseTerms(f.Endpoint), "("+strings.Join(ended, " OR ")+")")
	if f.Status != "" {
		terms = append(terms, fmt.Sprintf("%s = %s", workflows.AttributeStatus.GetName(), quote(f.Status)))
	}
	return strings.Join(append(terms, periodTerms("CloseTime", f.Since, f.Until)...), " AND ")
}

// MatchedRuns is one page of the runs that a bulk redelivery is about.
func (s *Service) MatchedRuns(ctx context.Context, f operation.Filter, force bool, pageToken string, pageSize int) (operation.RunPage, error) {
	token, err := base64.RawURLEncoding.DecodeString(pageToken)
	if err != nil {
		return operation.RunPage{}, fmt.Errorf("decoding the page token %q: %w", pageToken, err)
	}
	response, err := s.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: int32(pageSize), NextPageToken: token, Query: filterQuery(f, force),
	})
	if err != nil {
		return operation.RunPage{}, fmt.Errorf("listing what a bulk redelivery is about: %w", err)
	}
	page := operation.RunPage{NextPageToken: base64.RawURLEncoding.EncodeToString(response.GetNextPageToken())}
	for _, execution := range response.GetExecutions() {
		if key, ok := operation.ParseWorkflowID(execution.GetExecution().GetWorkflowId()); ok {
			page.Runs = append(page.Runs, operation.RunRef{Key: key, RunID: execution.GetExecution().GetRunId()})
		}
	}
	return page, nil
}

// redeliverWithin bounds the redelivery of one operation, from the look at its
// latest run to the start of the next: to less than the heartbeat timeout of
// the activity around it, so that two workers never do it at once (docs/adr/0026).
const redeliverWithin = 8 * time.Second

// RedeliverRun redelivers the operation of a run as a part of a bulk
// redelivery, as long as that run is its latest. It may be repeated: a run is
// taken up once. Errors are passing ones, after which it is to be repeated.
func (s *Service) RedeliverRun(ctx context.Context, ref operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error) {
	ctx, cancel := context.WithTimeout(ctx, redeliverWithin)
	defer cancel()
	if _, ok := s.Endpoint(ref.Endpoint); !ok {
		return failed("The endpoint %s is not registered any more; register it, then redeliver.", ref.Endpoint), nil
	}
	latest, err := s.describe(ctx, ref.Key)
	if err != nil {
		return verdict(err)
	}
	if latest.id != ref.RunID {
		return overtaken(latest, ref, r), nil
	}
	_, err = s.redeliverLatest(ctx, latest, r)
	if refused := (*operation.Error)(nil); errors.As(err, &refused) && refused.Problem == operation.ProblemNotRedeliverable {
		// It may have been taken up since the look, also by this bulk redelivery.
		if latest, lookErr := s.describe(ctx, ref.Key); lookErr == nil && latest.id != ref.RunID {
			return overtaken(latest, ref, r), nil
		}
	}
	return verdict(err)
}

// overtaken is the verdict on a run that is not its operation's latest.
func overtaken(latest run, ref operation.RunRef, r operation.RedeliveryRequest) operation.Redelivered {
	if n := latest.note; n != nil && n.BulkRedeliveryID == r.BulkRedeliveryID && n.PreviousRunID == ref.RunID {
		return operation.Redelivered{Verdict: operation.RedeliveryDone}
	}
	return operation.Redelivered{Verdict: operation.RedeliverySkipped, Detail: "It has a newer run."}
}

func failed(format string, args ...any) operation.Redelivered {
	return operation.Redelivered{Verdict: operation.RedeliveryFailed, Detail: fmt.Sprintf(format, args...)}
}

// verdict tells what will not change from what passes.
func verdict(err error) (operation.Redelivered, error) {
	var refused *operation.Error
	switch {
	case err == nil:
		return operation.Redelivered{Verdict: operation.RedeliveryDone}, nil
	case errors.Is(err, errUntold):
		return failed("It was terminated, and no worker told how far it had come; redeliver it alone."), nil
	case !errors.As(err, &refused), refused.Problem == operation.ProblemUnavailable:
		return operation.Redelivered{}, err
	case refused.Problem == operation.ProblemNotRedeliverable, refused.Problem == operation.ProblemNotFound:
		return operation.Redelivered{Verdict: operation.RedeliverySkipped, Detail: refused.Detail}, nil
	}
	return failed("%s", refused), nil
}
