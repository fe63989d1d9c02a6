package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// RedeliverPageInput asks to redeliver one page of the runs that were matched.
type RedeliverPageInput struct {
	Job operation.BulkRedelivery `json:"redeliveries"`
	// Position is where to begin.
	Position operation.BulkRedeliveryPosition `json:"place"`
	PageSize int                              `json:"page_size"`
}

const (
	// RedeliverHeartbeatTimeout is how long after a worker's death its page is taken
	// over. The redelivery of one operation takes less: so two workers never redeliver
	// the same one.
	RedeliverHeartbeatTimeout  = 15 * time.Second
	redeliverHeartbeatInterval = 2 * time.Second
	// recordMaxAge is how old the page's record may be when an operation is begun.
	recordMaxAge = 500 * time.Millisecond
)

// RedeliverPage redelivers the operations of one page, at most RatePerSecond. It may be
// repeated from the place that it recorded. The first operation of each run waits as
// well, so that a worker's death makes no burst.
func (a *Activities) RedeliverPage(ctx context.Context, in RedeliverPageInput) (operation.BulkRedeliveryPosition, error) {
	if in.PageSize < 1 || in.Job.RatePerSecond <= 0 {
		return in.Position, badInput(errors.New("page_size and rate_per_second are not above 0; start a bulk redelivery by the API"))
	}
	if err := checkWorkflow(ctx, operation.BulkRedeliveryWorkflowID(in.Job.ID)); err != nil {
		return in.Position, err
	}
	p := &redeliveryPage{a: a, in: in, at: in.Position, recorder: a.newRecorder(ctx, overload.Redelivery), begun: time.Now()}
	if err := readRecord(ctx, &p.at); err != nil {
		return in.Position, err
	}
	p.recorder.note(p.at)
	defer p.recorder.keepAlive(ctx, redeliverHeartbeatInterval)()
	page, err := a.MatchedRuns(ctx, in.Job, p.at.PageToken, in.PageSize)
	if err != nil {
		return in.Position, err
	}
	for _, run := range p.remaining(page.Runs) {
		if run.Older {
			continue // its operation was counted by its latest run, if that matched
		}
		if err := p.next(ctx, run); err != nil {
			return p.stop(ctx, err)
		}
	}
	return operation.BulkRedeliveryPosition{
		PageToken: page.NextPageToken, Progress: p.at.Progress, Over: page.NextPageToken == "",
	}, nil
}

type redeliveryPage struct {
	a        *Activities
	in       RedeliverPageInput
	at       operation.BulkRedeliveryPosition
	recorder *recorder
	// begun is when the latest operation was begun, or the page.
	begun time.Time
	// recordedAt is when the page was last recorded.
	recordedAt time.Time
}

// remaining are the runs after the last one that was redelivered, or all if that is
// gone: to try one again changes nothing but the counts.
func (p *redeliveryPage) remaining(runs []operation.RunRef) []operation.RunRef {
	at := slices.IndexFunc(runs, func(r operation.RunRef) bool { return r.RunID == p.at.After })
	return runs[at+1:]
}

// next redelivers the next operation once it is its turn.
func (p *redeliveryPage) next(ctx context.Context, run operation.RunRef) error {
	if err := p.awaitTurn(ctx); err != nil {
		return err
	}
	if err := p.record(ctx); err != nil {
		return err
	}
	begun := time.Now()
	r := p.in.Job
	redelivered, err := p.a.RedeliverRun(context.WithoutCancel(ctx), run,
		operation.RedeliveryRequest{Force: r.Force, Reason: r.Reason, By: r.By, KeyID: r.KeyID, BulkRedeliveryID: r.ID})
	if err != nil {
		return err
	}
	if redelivered.Verdict == operation.RedeliveryDone {
		// What was not redelivered uses up none of the rate.
		p.begun = begun
	}
	p.at.After = run.RunID
	p.at.Progress.Add(run.Key, redelivered)
	p.at.Progress.Failures = slices.Clone(p.at.Progress.Failures)
	p.recorder.note(p.at)
	return nil
}

// awaitTurn keeps to the rate, and then gives way while callbacks, or other work that
// goes first, are late.
func (p *redeliveryPage) awaitTurn(ctx context.Context) error {
	gap := time.Duration(float64(time.Second) / p.in.Job.RatePerSecond)
	err := p.recorder.sleepUntil(ctx, p.begun.Add(gap))
	for err == nil && p.a.RedeliveryGivesWay != nil && p.a.RedeliveryGivesWay() {
		err = p.recorder.sleepUntil(ctx, time.Now().Add(time.Second))
	}
	return err
}

// record records the page's place on the server, unless it was just recorded.
func (p *redeliveryPage) record(ctx context.Context) error {
	now := time.Now()
	if now.Sub(p.recordedAt) < recordMaxAge {
		return nil
	}
	if err := p.recorder.record(ctx, p.at); err != nil {
		return err
	}
	p.recordedAt = now
	return nil
}

// stop ends this run of the activity: with the page's place where the workflow
// cancelled it, else with an error after which the server retries it.
func (p *redeliveryPage) stop(ctx context.Context, err error) (operation.BulkRedeliveryPosition, error) {
	switch {
	case errors.Is(err, errEndedByWorkflow):
		return p.at, nil
	case errors.Is(err, errLost):
		return p.at, activity.ErrResultPending
	}
	// Where this fails, the next run begins at the record before.
	p.recorder.repeat(context.WithoutCancel(ctx))
	kind := TypeHeldBack
	if errors.Is(err, errStopping) || errors.Is(err, errPausedOrReset) {
		kind = TypeWaiting
	}
	return p.at, waitOnServer(kind, fmt.Sprintf("after %d operations: %v", p.at.Progress.Done, err), time.Now().Add(heldBackWait))
}
