package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

// BulkRedelivery redelivers the operations whose runs its filter matched when it was
// started: one activity for each page. It can be stopped and resumed, and returns its
// progress.
func BulkRedelivery(ctx workflow.Context, in BulkRedeliveryInput) (operation.BulkRedeliveryProgress, error) {
	if in.PageSize < 1 || in.Pages < 1 || in.Job.RatePerSecond <= 0 {
		return in.Position.Progress, temporal.NewNonRetryableApplicationError(
			"page_size, pages and rate_per_second are not above 0; start a bulk redelivery by the API", activities.TypeBadInput, nil)
	}
	if err := checkID(ctx, BulkRedeliveryWorkflowID(in.Job.ID)); err != nil {
		return in.Position.Progress, err
	}
	b := &bulk{in: in, ctx: ctx, position: in.Position, stopped: in.Stopped}
	b.written = b.memo()
	if err := b.registerHandlers(); err != nil {
		return b.position.Progress, fmt.Errorf("registering the bulk redelivery's handlers: %w", err)
	}
	b.receive(SignalStop, true)
	b.receive(SignalResume, false)
	b.show()
	for pages := 0; !b.position.Over; pages++ {
		if err := workflow.Await(ctx, func() bool { return !b.stopped }); err != nil {
			return b.end(err)
		}
		if pages >= in.Pages || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return b.continueAsNew()
		}
		if err := b.page(); err != nil {
			return b.end(err)
		}
		if !b.position.Over {
			b.show()
		}
	}
	return b.end(nil)
}

// bulk is one run of a bulk redelivery.
type bulk struct {
	in       BulkRedeliveryInput
	ctx      workflow.Context
	position operation.BulkRedeliveryPosition
	stopped  bool
	// cancelPage cancels the page in progress; nil: there is none.
	cancelPage workflow.CancelFunc
	// ended is the phase of a run that is about to close; else empty.
	ended operation.BulkRedeliveryPhase
	// written is what the memo holds. A run that continues another has its memo.
	written BulkRedeliveryMemo
}

func (b *bulk) phase() operation.BulkRedeliveryPhase {
	switch {
	case b.ended != "":
		return b.ended
	case b.stopped:
		return operation.BulkRedeliveryStopped
	}
	return operation.BulkRedeliveryRunning
}

func (b *bulk) registerHandlers() error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(b.ctx, UpdateStop, func(workflow.Context) (operation.BulkRedeliveryPhase, error) {
			return b.setStopped(true), nil
		}, workflow.UpdateHandlerOptions{Description: "Redeliver no further operation."}),
		workflow.SetUpdateHandlerWithOptions(b.ctx, UpdateResume, func(workflow.Context) (operation.BulkRedeliveryPhase, error) {
			return b.setStopped(false), nil
		}, workflow.UpdateHandlerOptions{Description: "Continue where it was stopped."}),
		workflow.SetQueryHandlerWithOptions(b.ctx, QueryProgress, func() (operation.BulkRedeliveryProgress, error) {
			return b.position.Progress, nil
		}, workflow.QueryHandlerOptions{Description: "The progress at the end of the latest page."}),
	)
}

// receive takes a Signal for as long as the run lasts.
func (b *bulk) receive(signal string, stopped bool) {
	signals := workflow.GetSignalChannel(b.ctx, signal)
	workflow.Go(b.ctx, func(ctx workflow.Context) {
		for {
			signals.Receive(ctx, nil)
			b.setStopped(stopped)
		}
	})
}

// setStopped stops or resumes. A second time changes nothing.
func (b *bulk) setStopped(stopped bool) operation.BulkRedeliveryPhase {
	if b.stopped != stopped {
		b.stopped = stopped
		b.show()
	}
	if b.stopped && b.cancelPage != nil {
		b.cancelPage()
	}
	return b.phase()
}

// page redelivers one page, or a part of it. Its activity keeps the rate
// (activities/bulkredelivery.go), redelivers no run twice (internal/service/redeliver_once.go),
// and is retried until it succeeds.
func (b *bulk) page() error {
	longest := time.Duration(float64(b.in.PageSize) / b.in.Job.RatePerSecond * float64(time.Second))
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(b.ctx, workflow.ActivityOptions{
		StartToCloseTimeout: longest + time.Hour,
		HeartbeatTimeout:    activities.RedeliverHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Priority:            temporal.Priority{PriorityKey: PriorityBulkRedelivery},
		Summary:             fmt.Sprintf("after %d of %d", b.position.Progress.Processed(), b.in.Job.Matched),
	}))
	defer cancel()
	b.cancelPage = cancel
	defer func() { b.cancelPage = nil }()
	var position operation.BulkRedeliveryPosition
	err := workflow.ExecuteActivity(ctx, acts.RedeliverPage, activities.RedeliverPageInput{
		Job: b.in.Job, Position: b.position, PageSize: b.in.PageSize,
	}).Get(ctx, &position)
	if err == nil {
		b.position = position
	}
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case err != nil && wasCancelled(err):
		// Its record was dropped, so the page is repeated; what it redelivered is recognised.
		return nil
	}
	return err
}

func (b *bulk) continueAsNew() (operation.BulkRedeliveryProgress, error) {
	if err := workflow.Await(b.ctx, func() bool { return workflow.AllHandlersFinished(b.ctx) }); err != nil {
		return b.end(err)
	}
	next := b.in
	next.Position, next.Stopped = b.position, b.stopped
	return b.position.Progress, workflow.NewContinueAsNewError(b.ctx, BulkRedelivery, next)
}

// end shows the final progress.
func (b *bulk) end(err error) (operation.BulkRedeliveryProgress, error) {
	b.ended = operation.BulkRedeliveryDone
	if err != nil {
		b.ended = operation.BulkRedeliveryEnded
	}
	b.show()
	return b.position.Progress, err
}

func (b *bulk) memo() BulkRedeliveryMemo {
	return BulkRedeliveryMemo{Phase: b.phase(), BulkRedeliveryProgress: b.position.Progress}
}

// show writes the progress to the memo and to the Temporal UI.
func (b *bulk) show() {
	r, memo := b.in.Job, b.memo()
	r.Phase, r.BulkRedeliveryProgress = memo.Phase, memo.BulkRedeliveryProgress
	workflow.SetCurrentDetails(b.ctx, ui.BulkRedelivery(r))
	if memo.Phase == b.written.Phase && memo.Processed() == b.written.Processed() {
		return
	}
	if err := workflow.UpsertMemo(b.ctx, map[string]any{MemoProgress: memo}); err != nil {
		workflow.GetLogger(b.ctx).Warn("writing the memo of the bulk redelivery failed", "error", err)
	}
	b.written = memo
}
