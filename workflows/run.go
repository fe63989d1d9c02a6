package workflows

import (
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

// acts names the activities for the SDK; it is never called.
var acts *activities.Activities

// run is one run of an operation: what it knows is in op, what is pending in the other fields.
type run struct {
	in Input
	// ctx is disconnected from root: a cancellation of the run is a withdrawal.
	ctx, root workflow.Context
	op        *operation.Lifecycle

	// pollNow says that a push requested a poll, statusPushed that one changed the
	// status which the pending watch awaits a change from.
	pollNow      bool
	statusPushed bool
	// watchBegunIn is the workflow task (by its history length) that started the
	// pending watch, or 0. watchOver says that no other will be started.
	watchBegunIn int
	watchOver    bool
	// nextPollAt is when that watch makes its first poll.
	nextPollAt operation.Time
	// attemptedIn is the workflow task in which the latest attempt inside one was made.
	attemptedIn int
	// task is the workflow task at hand (by its history length), taskBegan when the server
	// began it.
	task      int
	taskBegan operation.Time
	// phase is AttributePhase as it was written last.
	phase operation.Phase
	// refused are the latest Signals that were not taken, in this run alone.
	refused []ui.Refused
	// notices are the runs of the notices given; each is ready once its run began.
	notices []workflow.Future
}

// newRun registers the run's handlers before anything can fail.
func newRun(root workflow.Context, in Input) (*run, error) {
	if err := checkID(root, in.Start.Key().WorkflowID()); err != nil {
		return nil, err
	}
	ctx, _ := workflow.NewDisconnectedContext(root)
	r := &run{in: in, ctx: ctx, root: root, op: operation.NewLifecycle(lifecycleOptions(in)), phase: in.Phase}
	if in.AcceptedAt.IsZero() {
		r.in.AcceptedAt = operation.At(workflow.GetInfo(ctx).WorkflowStartTime)
	}
	if again := in.Redelivery; again != nil && !again.Repoll && in.Carried == nil {
		r.redeliver()
	}
	if err := r.registerHandlers(); err != nil {
		return nil, fmt.Errorf("registering the run's handlers: %w", err)
	}
	return r, nil
}

// checkID refuses an input that was made for another workflow: its id decides what may
// be delivered, and to whom.
func checkID(ctx workflow.Context, want string) error {
	if id := workflow.GetInfo(ctx).WorkflowExecution.ID; id != want {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"the input is that of %q, and this is %q; nothing was done. Start operations, redeliveries and notices by Ringback alone", want, id), activities.TypeBadInput, nil)
	}
	return nil
}

func lifecycleOptions(in Input) operation.LifecycleOptions {
	o := operation.LifecycleOptions{
		Key: in.Start.Key(), Reference: in.Start.Reference, Dialect: in.Dialect, Rules: in.Rules, Statuses: in.Wanted,
		Supersede: in.Policy.Supersede, KnownStatus: in.Start.KnownStatus, Carried: in.Carried,
	}
	if again := in.Redelivery; again != nil {
		o.Previous, o.Repoll, o.Force = &again.Previous, again.Repoll, again.Force
	}
	return o
}

// registerHandlers sets the handlers of Updates and Queries.
func (r *run) registerHandlers() error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateRevoke, r.revokeUpdate, workflow.UpdateHandlerOptions{
			Validator: func(revocation operation.Revocation) error {
				if err := operation.Validate(operation.ReasonRule.Check(revocation.Reason)); err != nil {
					return err
				}
				return r.op.CheckRevocation(revocation)
			},
			Description: "Record that the operation itself was revoked.",
		}),
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateStatus, r.pushUpdate, workflow.UpdateHandlerOptions{
			Validator:   r.validatePush,
			Description: "Take a status that the core sends by itself; without one, poll now.",
		}),
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateWithdraw, r.withdrawUpdate, workflow.UpdateHandlerOptions{
			Description: "End the operation without a callback.",
		}),
		workflow.SetQueryHandler(r.ctx, QueryState, func() (operation.State, error) { return r.record().State, nil }),
		workflow.SetQueryHandler(r.ctx, QueryRecord, func() (operation.Record, error) { return r.record(), nil }),
	)
}

// awaitCallback waits for a callback to deliver. It is false once the run is to end.
func (r *run) awaitCallback() bool {
	due := func() bool { return r.op.HasPending() && !r.continuesAsNew() }
	r.await(r.ctx, func() bool { return !r.unread() && (due() || r.idle() && (r.op.Closed() || r.continuesAsNew())) })
	return due()
}

// currentTask is the workflow task at hand, and when the server began it. Each local
// activity moves workflow.Now on, also one of the task before, so unread asks before any.
func (r *run) currentTask() (task int, began operation.Time) {
	task = workflow.GetInfo(r.ctx).GetCurrentHistoryLength()
	if task != r.task {
		r.task, r.taskBegan = task, r.now()
	}
	return task, r.taskBegan
}

// continuesAsNew reports whether the history has grown, or holds most of the Updates allowed.
func (r *run) continuesAsNew() bool { return workflow.GetInfo(r.ctx).GetContinueAsNewSuggested() }

// idle reports whether nothing is pending, which would be lost with the run, or have
// the server refuse the workflow task that closes it.
func (r *run) idle() bool {
	begins := func(notice workflow.Future) bool { return !notice.IsReady() }
	return r.watchOver && !slices.ContainsFunc(r.notices, begins) && workflow.AllHandlersFinished(r.ctx)
}

// await waits for a condition on the coroutine of ctx.
func (r *run) await(ctx workflow.Context, condition func() bool) {
	r.showDetails()
	await(ctx, condition)
}

// await waits for a condition. On an operation's disconnected context no wait fails.
func await(ctx workflow.Context, condition func() bool) {
	if err := workflow.Await(ctx, condition); err != nil {
		workflow.GetLogger(ctx).Error("waiting on a disconnected context failed", "error", err)
	}
}

// record is what the run would hand on now.
func (r *run) record() operation.Record {
	record := r.op.Record()
	record.State.RunID = workflow.GetInfo(r.ctx).WorkflowExecution.RunID
	if r.watchBegunIn != 0 && r.op.Watching() {
		record.State.NextPollAt = &r.nextPollAt
	}
	return record
}

func (r *run) now() operation.Time { return operation.At(workflow.Now(r.ctx)) }
