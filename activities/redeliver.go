package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"ringback/internal/operation"
)

// RedeliverPageInput asks to redeliver one page of what a bulk redelivery
// matched.
type RedeliverPageInput struct {
	Job operation.BulkRedelivery `json:"redeliveries"`
	// Position is where to begin.
	Position operation.BulkRedeliveryPosition `json:"place"`
	PageSize int                              `json:"page_size"`
}

const (
	// RedeliverHeartbeatTimeout is how long after a worker's death its page is
	// taken over. The redelivery of one operation takes less, and none is begun
	// unless the server has just heard of the page: so two workers are never at
	// the same operation (docs/adr/0026).
	RedeliverHeartbeatTimeout  = 15 * time.Second
	redeliverHeartbeatInterval = 2 * time.Second
	// recordsWithin is how long before an operation the server has been told
	// how far the page is, at most.
	recordsWithin = 500 * time.Millisecond
	// redeliverTries is how often one operation is tried on the spot, before the
	// server is asked to wake the activity later.
	redeliverTries = 3
)

// RedeliverPage redelivers the operations of one page, one after another, at
// most so many in a second. It records how far it has come, and may be repeated
// from there: what was redelivered since is found done. The first operation of
// each run waits as well, so that a worker's death makes no burst. Where the
// workflow cancels it, it returns the place that it has come to.
func (a *Activities) RedeliverPage(ctx context.Context, in RedeliverPageInput) (operation.BulkRedeliveryPosition, error) {
	p := &redeliveryPage{a: a, in: in, at: in.Position, recorder: a.newRecorder(ctx), begun: time.Now()}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &p.at); err != nil {
			return in.Position, badInput(fmt.Errorf("reading the page's own record: %w", err))
		}
	}
	p.recorder.note(p.at)
	stop := p.recorder.keepAlive(ctx, redeliverHeartbeatInterval)
	defer stop()
	page, err := a.MatchedRuns(ctx, in.Job.Filter, in.Job.Force, p.at.PageToken, in.PageSize)
	if err != nil {
		return in.Position, err
	}
	for _, run := range p.left(page.Runs) {
		if err := p.next(ctx, run); err != nil {
			return p.leave(ctx, err)
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
	// heard is when the server was last told how far the page is.
	heard time.Time
}

// left are the runs after the last that was dealt with. Where that one is no
// longer listed, all are looked at again, which changes nothing but the counts.
func (p *redeliveryPage) left(runs []operation.RunRef) []operation.RunRef {
	at := slices.IndexFunc(runs, func(r operation.RunRef) bool { return r.RunID == p.at.After })
	return runs[at+1:]
}

// next waits for the next operation's turn and redelivers it.
func (p *redeliveryPage) next(ctx context.Context, run operation.RunRef) error {
	gap := time.Duration(float64(time.Second) / p.in.Job.RatePerSecond)
	if err := p.recorder.sleepUntil(ctx, p.begun.Add(gap)); err != nil {
		return err
	}
	if err := p.giveWay(ctx); err != nil {
		return err
	}
	if err := p.record(ctx); err != nil {
		return err
	}
	begun := time.Now()
	redelivered, err := p.redeliver(ctx, run)
	if err != nil {
		return err
	}
	if redelivered.Verdict == operation.RedeliveryDone {
		// What rings nobody takes no one's turn.
		p.begun = begun
	}
	p.at.After = run.RunID
	p.at.Progress.Add(run.Key, redelivered)
	p.at.Progress.Failures = slices.Clone(p.at.Progress.Failures)
	p.recorder.note(p.at)
	return nil
}

// giveWay waits while callbacks are late, or other work that goes first.
func (p *redeliveryPage) giveWay(ctx context.Context) error {
	for p.a.RedeliveryGivesWay != nil && p.a.RedeliveryGivesWay() {
		if err := p.recorder.sleepUntil(ctx, time.Now().Add(time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// record tells the server how far the page is, unless it has just been told.
func (p *redeliveryPage) record(ctx context.Context) error {
	now := time.Now()
	if now.Sub(p.heard) < recordsWithin {
		return nil
	}
	if err := p.recorder.record(ctx, p.at); err != nil {
		return err
	}
	p.heard = now
	return nil
}

// redeliver tries one operation a few times; what does not pass is left to a
// later run.
func (p *redeliveryPage) redeliver(ctx context.Context, run operation.RunRef) (operation.Redelivered, error) {
	r := p.in.Job
	request := operation.RedeliveryRequest{Force: r.Force, Reason: r.Reason, By: r.By, BulkRedeliveryID: r.ID}
	for try := 1; ; try++ {
		redelivered, err := p.a.RedeliverRun(context.WithoutCancel(ctx), run, request)
		if err == nil || try == redeliverTries {
			return redelivered, err
		}
		if err := p.recorder.sleepUntil(ctx, time.Now().Add(time.Second<<try)); err != nil {
			return operation.Redelivered{}, err
		}
		if err := p.record(ctx); err != nil {
			return operation.Redelivered{}, err
		}
	}
}

// leave ends the page early: with its place where the workflow wants it no
// longer, else with an error after which the server goes on with it.
func (p *redeliveryPage) leave(ctx context.Context, err error) (operation.BulkRedeliveryPosition, error) {
	switch {
	case errors.Is(err, errUnwanted):
		return p.at, nil
	case errors.Is(err, errLost):
		return p.at, activity.ErrResultPending
	}
	// A record that fails in passing leaves the one before it, from which the
	// same is done.
	p.recorder.repeat(context.WithoutCancel(ctx))
	kind := TypeHeldBack
	if errors.Is(err, errStopping) || errors.Is(err, errInterrupted) {
		kind = TypeWaiting
	}
	return p.at, waitOnServer(kind, fmt.Sprintf("after %d operations: %v", p.at.Progress.Done, err), time.Now().Add(heldBackWait))
}
