package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/codec"
	"ringback/internal/operation"
	"ringback/internal/ui"
	"ringback/workflows"
)

const (
	// bulkPageSize is how many runs one activity of a bulk redelivery works off: at
	// ten a second, ten seconds' work.
	bulkPageSize = 100
	// bulkPages is how many pages one run of a bulk redelivery works off before it
	// continues as new: some 2,000 events.
	bulkPages = 200
	// recentBulk is how many bulk redeliveries a list shows.
	recentBulk = 100
)

// StartBulkRedelivery begins a bulk redelivery of what has closed by now: it never
// finds the runs that it begins itself.
func (s *Service) StartBulkRedelivery(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.BulkRedelivery, error) {
	now := operation.At(time.Now())
	filter, err := s.validateFilter(r, now)
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	matched, err := s.countOperations(ctx, bulkQuery(filter, r.Force), "")
	if err != nil {
		return operation.BulkRedelivery{}, err
	}
	begun := operation.BulkRedelivery{
		ID: "rd_" + strings.ToLower(rand.Text()), Phase: operation.BulkRedeliveryRunning, Filter: filter,
		RatePerSecond: r.RatePerSecond, Force: r.Force, By: r.By, KeyID: r.KeyID, Reason: r.Reason,
		Matched: matched.Count, Exact: matched.Exact, StartedAt: now,
	}
	run, err := s.Client.ExecuteWorkflow(ctx, bulkOptions(begun), workflows.BulkRedeliveryType, workflows.BulkRedeliveryInput{
		Job: begun, PageSize: bulkPageSize, Pages: bulkPages,
	})
	if err != nil {
		return operation.BulkRedelivery{}, bulkError("starting", begun.ID, err)
	}
	begun.RunID, begun.UIURL = run.GetRunID(), s.uiURL(run.GetID(), run.GetRunID())
	return begun, nil
}

func bulkOptions(r operation.BulkRedelivery) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       workflows.BulkRedeliveryWorkflowID(r.ID),
		TaskQueue:                workflows.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		Memo:                     map[string]any{workflows.MemoBulkRedelivery: r},
		Priority:                 temporal.Priority{PriorityKey: workflows.PriorityBulkRedelivery},
		StaticSummary:            strconv.Itoa(r.Matched) + ui.Summary(" by %s: %s", r.By, r.Reason),
	}
}

// DryRun counts the operations that a bulk redelivery would work off, and shows the first.
func (s *Service) DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (operation.DryRun, error) {
	filter, err := s.validateFilter(r, operation.At(time.Now()))
	if err != nil {
		return operation.DryRun{}, err
	}
	query := bulkQuery(filter, r.Force)
	matched, err := s.countOperations(ctx, query, operation.GroupByEndpoint)
	if err != nil {
		return operation.DryRun{}, err
	}
	found := operation.DryRun{Filter: filter, Matched: matched.Count, Exact: matched.Exact, Endpoints: matched.Groups, Sample: []operation.Summary{}}
	err = s.eachLatest(ctx, query, func(one operation.Summary) bool {
		found.Sample = append(found.Sample, one)
		return len(found.Sample) < operation.MaxSample
	})
	s.addReasons(ctx, found.Sample)
	return found, err
}

// validateFilter checks what only the configuration knows, and ends the period now.
func (s *Service) validateFilter(r operation.BulkRedeliveryRequest, now operation.Time) (operation.Filter, error) {
	var faults []operation.FieldError
	if _, ok := s.Endpoint(r.Filter.Endpoint); !ok && r.Filter.Endpoint != "" {
		faults = append(faults, s.NotRegistered("filter.endpoint", r.Filter.Endpoint))
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

// BulkRedelivery is how far a bulk redelivery has come: without a worker,
// from its memo and from what its activity recorded.
func (s *Service) BulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	response, err := s.describeLatest(ctx, workflows.BulkRedeliveryWorkflowID(id))
	if err != nil {
		return operation.BulkRedelivery{}, bulkError("reading", id, err)
	}
	info := response.GetWorkflowExecutionInfo()
	found, err := s.bulkRedelivery(info)
	recorded := false
	for _, p := range response.GetPendingActivities() {
		if p.GetActivityType().GetName() != workflows.ActivityRedeliverPage || len(p.GetHeartbeatDetails().GetPayloads()) == 0 {
			continue
		}
		var position operation.BulkRedeliveryPosition
		err = errors.Join(err, s.converter(info.GetExecution().GetWorkflowId()).FromPayloads(p.GetHeartbeatDetails(), &position))
		found.BulkRedeliveryProgress, recorded = position.Progress, true
	}
	if err != nil {
		return operation.BulkRedelivery{}, bulkError("decoding the progress of", id, err)
	}
	if found.Phase == operation.BulkRedeliveryRunning && !recorded {
		// Between two pages the run knows more than its memo.
		var progress operation.BulkRedeliveryProgress
		if s.query(ctx, workflows.BulkRedeliveryWorkflowID(id), found.RunID, workflows.QueryProgress, &progress) == nil {
			found.BulkRedeliveryProgress = progress
		}
	}
	return found, nil
}

// bulkRedelivery is what a run's memo says.
func (s *Service) bulkRedelivery(info *workflowpb.WorkflowExecutionInfo) (operation.BulkRedelivery, error) {
	var found operation.BulkRedelivery
	var memo workflows.BulkRedeliveryMemo
	err := errors.Join(s.fromMemo(info, workflows.MemoBulkRedelivery, &found), s.fromMemo(info, workflows.MemoProgress, &memo))
	if err != nil {
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

// BulkRedeliveries are the latest bulk redeliveries, newest first, as visibility knows
// them; with a key, its name or its id, all that it started.
func (s *Service) BulkRedeliveries(ctx context.Context, key string) ([]operation.BulkRedelivery, error) {
	listed := []operation.BulkRedelivery{}
	for token := []byte(nil); ; {
		runs, next, err := s.listRuns(ctx, fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus != 'ContinuedAsNew'", workflows.BulkRedeliveryType), recentBulk, token)
		if err != nil {
			return nil, engineError("listing bulk redeliveries", err, nil)
		}
		for _, run := range runs {
			found, err := s.bulkRedelivery(run)
			if sealed, ok := errors.AsType[*codec.Error](err); ok && sealed.Refused {
				continue // not begun by Ringback, or before the keys; it must not hide the others
			}
			if err != nil {
				return nil, engineError("decoding the memo of "+run.GetExecution().GetWorkflowId(), err, nil)
			}
			if key == "" || key == found.By || key == found.KeyID {
				listed = append(listed, found)
			}
		}
		if token = next; key == "" || len(token) == 0 {
			return listed, nil
		}
	}
}

// StopBulkRedelivery makes a bulk redelivery begin no further operation.
func (s *Service) StopBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return s.changeBulk(ctx, "stopping", id, workflows.UpdateStop, workflows.SignalStop)
}

// ResumeBulkRedelivery makes a stopped bulk redelivery go on.
func (s *Service) ResumeBulkRedelivery(ctx context.Context, id string) (operation.BulkRedelivery, error) {
	return s.changeBulk(ctx, "resuming", id, workflows.UpdateResume, workflows.SignalResume)
}

func (s *Service) changeBulk(ctx context.Context, doing, id, update, signal string) (operation.BulkRedelivery, error) {
	workflowID := workflows.BulkRedeliveryWorkflowID(id)
	var phase operation.BulkRedeliveryPhase
	changeErr := s.change(ctx, newUpdate(workflowID, update), &phase, func() error {
		return s.Client.SignalWorkflow(ctx, workflowID, "", signal, nil)
	})
	if changeErr != nil && !runEnded(changeErr) {
		return operation.BulkRedelivery{}, bulkError(doing, id, changeErr)
	}
	found, err := s.BulkRedelivery(ctx, id)
	switch {
	case err != nil:
		return found, err
	case found.EndedAt != nil:
		return found, operation.Refuse(operation.ProblemClosed, "The bulk redelivery %s has ended; start another.", id)
	case changeErr != nil:
		return found, unavailable(changeErr, "The bulk redelivery %s went on in a new run meanwhile; try again.", id)
	}
	found.Phase = cmp.Or(phase, found.Phase)
	return found, nil
}

// bulkError is engineError for what was tried on one bulk redelivery.
func bulkError(doing, id string, err error) error {
	return engineError(doing+" the bulk redelivery "+id, err, operation.Refuse(operation.ProblemNotFound,
		"There is no bulk redelivery %s, or its namespace's retention has ended.", id))
}

// MatchedRuns is one page of the runs that the filter of a bulk redelivery matches.
func (s *Service) MatchedRuns(ctx context.Context, job operation.BulkRedelivery, pageToken string, pageSize int) (operation.RunPage, error) {
	token, err := base64.RawURLEncoding.DecodeString(pageToken)
	if err != nil {
		return operation.RunPage{}, fmt.Errorf("decoding the page token %q: %w", pageToken, err)
	}
	runs, next, err := s.listRuns(ctx, bulkQuery(job.Filter, job.Force), pageSize, token)
	if err != nil {
		return operation.RunPage{}, fmt.Errorf("listing the runs of a bulk redelivery: %w", err)
	}
	latest, err := s.latestRuns(ctx, runs, job.StartedAt)
	if err != nil {
		return operation.RunPage{}, fmt.Errorf("looking up the latest runs of a bulk redelivery's operations: %w", err)
	}
	page := operation.RunPage{NextPageToken: base64.RawURLEncoding.EncodeToString(next)}
	for _, run := range runs {
		if key, ok := operation.ParseWorkflowID(run.GetExecution().GetWorkflowId()); ok {
			page.Runs = append(page.Runs, operation.RunRef{Key: key, RunID: run.GetExecution().GetRunId(), Older: hasNewer(run, latest)})
		}
	}
	return page, nil
}

// redeliverTimeout bounds the redelivery of one operation by a bulk redelivery: to
// less than the heartbeat timeout of the activity around it, so that two workers
// never do it at once (docs/adr/0009).
const redeliverTimeout = 8 * time.Second

// RedeliverRun redelivers the operation of a run as a part of a bulk redelivery, as
// long as that run is its latest. It may be repeated: a run is redelivered once.
// After an error it is to be repeated.
func (s *Service) RedeliverRun(ctx context.Context, ref operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error) {
	ctx, cancel := context.WithTimeout(ctx, redeliverTimeout)
	defer cancel()
	if _, ok := s.Endpoint(ref.Endpoint); !ok {
		return failed("The endpoint %s is not registered any more; register it, then redeliver.", ref.Endpoint), nil
	}
	latest, err := s.describe(ctx, ref.Key)
	if err != nil {
		return verdict(err)
	}
	if latest.id != ref.RunID {
		return followed(latest, ref, r), nil
	}
	_, err = s.redeliverLatest(ctx, latest, r)
	if refused, ok := errors.AsType[*operation.Error](err); ok && refused.Problem == operation.ProblemNotRedeliverable {
		// It may have been redelivered since, also by this bulk redelivery.
		now, unknown := s.describe(ctx, ref.Key)
		if unknown != nil {
			return verdict(unknown)
		}
		if now.id != ref.RunID {
			return followed(now, ref, r), nil
		}
	}
	return verdict(err)
}

func failed(format string, args ...any) operation.Redelivered {
	return operation.Redelivered{Verdict: operation.RedeliveryFailed, Detail: fmt.Sprintf(format, args...)}
}

// verdict is that on one operation after err; an error that may pass is returned.
func verdict(err error) (operation.Redelivered, error) {
	var refused *operation.Error
	switch {
	case err == nil:
		return operation.Redelivered{Verdict: operation.RedeliveryDone}, nil
	case errors.Is(err, errProgressUnknown):
		return failed("It was terminated, and no worker answered how far it had come; redeliver it alone."), nil
	case !errors.As(err, &refused), refused.Problem == operation.ProblemUnavailable:
		return operation.Redelivered{}, err
	case refused.Problem == operation.ProblemNotRedeliverable, refused.Problem == operation.ProblemNotFound:
		return operation.Redelivered{Verdict: operation.RedeliverySkipped, Detail: refused.Detail}, nil
	}
	return failed("%s", refused), nil
}
