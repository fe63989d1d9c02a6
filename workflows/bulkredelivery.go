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

// BulkRedelivery is a bulk redelivery: it works off, page by page, the runs that
// its filter matched when it was asked for, and redelivers the operation of
// each. How is up to its activity; what it adds is that nothing is forgotten,
// that it can be stopped, and that its history stays short however many there
// are. Its result is how it went.
func BulkRedelivery(ctx workflow.Context, in BulkRedeliveryInput) (operation.BulkRedeliveryProgress, error) {
	if in.PageSize < 1 || in.Pages < 1 || in.Job.RatePerSecond <= 0 {
		return in.Position.Progress, temporal.NewNonRetryableApplicationError(
			"page_size, pages and rate_per_second are not above 0; begin a bulk redelivery by the API", activities.TypeBadInput, nil)
	}
	b := &bulk{in: in, ctx: ctx, place: in.Position, stopped: in.Stopped}
	b.kept = b.memo()
	if err := b.answer(); err != nil {
		return b.place.Progress, fmt.Errorf("setting the bulk redelivery's handlers: %w", err)
	}
	b.listen()
	b.show()
	for pages := 0; !b.place.Over; pages++ {
		if err := workflow.Await(ctx, func() bool { return !b.stopped }); err != nil {
			return b.end(err)
		}
		if pages >= in.Pages || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return b.continueAsNew()
		}
		if err := b.page(); err != nil {
			return b.end(err)
		}
		if !b.place.Over {
			b.show()
		}
	}
	return b.end(nil)
}

// bulk is one run's moving parts.
type bulk struct {
	in      BulkRedeliveryInput
	ctx     workflow.Context
	place   operation.BulkRedeliveryPosition
	stopped bool
	// leave cancels the page in hand, if there is one.
	leave workflow.CancelFunc
	// ended says that the run is about to close.
	ended operation.BulkRedeliveryPhase
	// kept is what the memo says; a run that continues another keeps its memo.
	kept BulkRedeliveryMemo
}

func (b *bulk) memo() BulkRedeliveryMemo {
	return BulkRedeliveryMemo{Phase: b.phase(), BulkRedeliveryProgress: b.place.Progress}
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

// answer sets the handlers of Updates and the Query.
func (b *bulk) answer() error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(b.ctx, UpdateStop, func(workflow.Context) (operation.BulkRedeliveryPhase, error) {
			return b.tell(true), nil
		}, workflow.UpdateHandlerOptions{Description: "Begin no further operation."}),
		workflow.SetUpdateHandlerWithOptions(b.ctx, UpdateResume, func(workflow.Context) (operation.BulkRedeliveryPhase, error) {
			return b.tell(false), nil
		}, workflow.UpdateHandlerOptions{Description: "Go on where it stopped."}),
		workflow.SetQueryHandlerWithOptions(b.ctx, QueryProgress, func() (operation.BulkRedeliveryProgress, error) {
			return b.place.Progress, nil
		}, workflow.QueryHandlerOptions{Description: "What was counted up to the end of the latest page."}),
	)
}

// listen takes the Signals of the same names.
func (b *bulk) listen() {
	b.listenFor(SignalStop, true)
	b.listenFor(SignalResume, false)
}

func (b *bulk) listenFor(signal string, stopped bool) {
	said := workflow.GetSignalChannel(b.ctx, signal)
	workflow.Go(b.ctx, func(ctx workflow.Context) {
		for {
			said.Receive(ctx, nil)
			b.tell(stopped)
		}
	})
}

// tell stops or resumes; twice is once.
func (b *bulk) tell(stopped bool) operation.BulkRedeliveryPhase {
	if b.stopped != stopped {
		b.stopped = stopped
		b.show()
	}
	if b.stopped && b.leave != nil {
		b.leave()
	}
	return b.phase()
}

// page works off one page, or a part of it where it is stopped on the way.
func (b *bulk) page() error {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(b.ctx, b.options()))
	defer cancel()
	b.leave = cancel
	defer func() { b.leave = nil }()
	var place operation.BulkRedeliveryPosition
	err := workflow.ExecuteActivity(ctx, acts.RedeliverPage, activities.RedeliverPageInput{
		Job: b.in.Job, Position: b.place, PageSize: b.in.PageSize,
	}).Get(ctx, &place)
	if err == nil {
		b.place = place
	}
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case err != nil && wasCancelled(err):
		// It waited on the server and takes its record with it. The page begins
		// again where it began; what it redelivered is found done.
		return nil
	}
	return err
}

// options are an activity's for one page. It is repeated until it succeeds: it
// fails with what passes only.
func (b *bulk) options() workflow.ActivityOptions {
	atMost := time.Duration(float64(b.in.PageSize) / b.in.Job.RatePerSecond * float64(time.Second))
	return workflow.ActivityOptions{
		StartToCloseTimeout: atMost + time.Hour,
		HeartbeatTimeout:    activities.RedeliverHeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Priority:            temporal.Priority{PriorityKey: PriorityBulkRedelivery},
		Summary:             fmt.Sprintf("after %d of %d", b.place.Progress.Looked(), b.in.Job.Matched),
	}
}

// continueAsNew goes on in a new run, with a short history.
func (b *bulk) continueAsNew() (operation.BulkRedeliveryProgress, error) {
	if err := b.finishHandlers(); err != nil {
		return b.end(err)
	}
	next := b.in
	next.Position, next.Stopped = b.place, b.stopped
	return b.place.Progress, workflow.NewContinueAsNewError(b.ctx, BulkRedelivery, next)
}

func (b *bulk) finishHandlers() error {
	return workflow.Await(b.ctx, func() bool { return workflow.AllHandlersFinished(b.ctx) })
}

// end closes the bulk redelivery, showing for good how it went.
func (b *bulk) end(err error) (operation.BulkRedeliveryProgress, error) {
	b.ended = operation.BulkRedeliveryDone
	if err != nil {
		b.ended = operation.BulkRedeliveryEnded
	}
	b.show()
	return b.place.Progress, err
}

// show keeps the progress where it is read without a worker, and gives the UI
// what is known.
func (b *bulk) show() {
	r, memo := b.in.Job, b.memo()
	r.Phase, r.BulkRedeliveryProgress = memo.Phase, memo.BulkRedeliveryProgress
	workflow.SetCurrentDetails(b.ctx, ui.BulkRedelivery(r))
	if memo.same(b.kept) {
		return
	}
	if err := workflow.UpsertMemo(b.ctx, map[string]any{MemoProgress: memo}); err != nil {
		workflow.GetLogger(b.ctx).Warn("the memo of the bulk redelivery stays as it was", "error", err)
	}
	b.kept = memo
}
