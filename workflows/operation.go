package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// acts names the activities for the SDK; it is never called.
var acts *activities.Activities

// Operation is the life of one payment operation: it polls the status until it is
// final, and meanwhile delivers a callback for each status that is owed. The
// operation.Record that it hands on rides on its result, failure or cancellation.
func Operation(ctx workflow.Context, in Input) (operation.Record, error) {
	r, err := newRun(ctx, in)
	if err != nil {
		return operation.Record{}, err
	}
	r.receiveSignals()
	workflow.Go(r.ctx, r.watch)
	for r.nextOwed() {
		r.deliverNext()
	}
	return r.finish()
}

// run is one run of an operation. What it knows is in the ledger; the rest says
// what is pending.
type run struct {
	in Input
	// ctx is disconnected from the run's cancellation, which is a withdrawal:
	// nothing that is on its way is cut off. root is not.
	ctx, root workflow.Context
	ledger    *operation.Ledger
	signals   signals

	// pollNow says that a poll was asked for. statusPushed says that the watch waits for a change from a status
	// that is outdated.
	pollNow      bool
	statusPushed bool
	// watchBegan is the workflow task, by its history length, in which the pending
	// watch began; 0: none is pending. watchOver says that there will be none.
	watchBegan int
	watchOver  bool
	// attempted is the workflow task of the latest attempt made inside one.
	attempted int
	// phase is the phase that operators find the run by, as it was written last.
	phase operation.Phase
	// notices are the runs of the notices that were given; each is ready once its
	// run began.
	notices []workflow.Future
}

// signals are the Signals that a run takes.
type signals struct {
	pushes, revocations, unacknowledged workflow.ReceiveChannel
}

// newRun registers the run's handlers before anything can fail.
func newRun(root workflow.Context, in Input) (*run, error) {
	ctx, _ := workflow.NewDisconnectedContext(root)
	r := &run{
		in: in, ctx: ctx, root: root, ledger: operation.OpenLedger(opening(in)), phase: in.Phase,
		signals: signals{
			pushes:         workflow.GetSignalChannel(ctx, SignalStatus),
			revocations:    workflow.GetSignalChannel(ctx, SignalRevoke),
			unacknowledged: workflow.GetSignalChannel(ctx, SignalUnacknowledged),
		},
	}
	if in.AcceptedAt.IsZero() {
		r.in.AcceptedAt = operation.At(workflow.GetInfo(ctx).WorkflowStartTime)
	}
	if again := in.Redelivery; again != nil && !again.Repoll && in.Carried == nil {
		r.redeliver()
	}
	if err := r.registerHandlers(); err != nil {
		return nil, fmt.Errorf("setting the run's handlers: %w", err)
	}
	return r, nil
}

func opening(in Input) operation.Opening {
	opening := operation.Opening{
		Key: in.Start.Key(), Reference: in.Start.Reference, Dialect: in.Dialect, Rules: in.Rules, Wanted: in.Wanted,
		Supersede: in.Policy.Supersede, KnownStatus: in.Start.KnownStatus, Carried: in.Carried,
	}
	if again := in.Redelivery; again != nil {
		opening.Previous, opening.Repoll, opening.Force = &again.Previous, again.Repoll, again.Force
	}
	return opening
}

// registerHandlers sets the handlers of Updates and Queries.
func (r *run) registerHandlers() error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateRevoke, r.revokeUpdate, workflow.UpdateHandlerOptions{
			Validator: func(revocation operation.Revocation) error {
				if err := operation.Validate(operation.ReasonRule.Check(revocation.Reason)); err != nil {
					return err
				}
				return r.ledger.CheckRevocation(revocation)
			},
			Description: "Record that the operation itself was revoked.",
		}),
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateStatus, r.pushUpdate, workflow.UpdateHandlerOptions{
			Validator:   validatePush,
			Description: "Take a status that the core says by itself; without one, poll now.",
		}),
		workflow.SetUpdateHandlerWithOptions(r.ctx, UpdateWithdraw, r.withdrawUpdate, workflow.UpdateHandlerOptions{
			Description: "End the operation without a callback.",
		}),
		workflow.SetQueryHandler(r.ctx, QueryState, func() (operation.State, error) { return r.record().State, nil }),
		workflow.SetQueryHandler(r.ctx, QueryRecord, func() (operation.Record, error) { return r.record(), nil }),
	)
}

// nextOwed waits until a callback is owed. It is false once nothing is pending any
// more and nothing is left to do, or the rest is left to a run that continues it.
func (r *run) nextOwed() bool {
	owes := func() bool { return r.ledger.Owes() && !r.leaving() }
	r.await(r.ctx, func() bool { return !r.unread() && (owes() || r.idle() && (r.ledger.Over() || r.leaving())) })
	return owes()
}

// leaving reports whether the run is to end early and continue as new, since its
// history has grown or holds most of the Updates that the server allows.
func (r *run) leaving() bool { return workflow.GetInfo(r.ctx).GetContinueAsNewSuggested() }

// idle reports whether nothing is pending: what is would be lost with the run, or
// would reach the workflow task that closes it and have the server refuse that.
func (r *run) idle() bool {
	for _, began := range r.notices {
		if !began.IsReady() {
			return false
		}
	}
	return r.watchOver && workflow.AllHandlersFinished(r.ctx)
}

// await waits for a condition on the coroutine of ctx.
func (r *run) await(ctx workflow.Context, condition func() bool) {
	r.showDetails()
	await(ctx, condition)
}

// record is what the run would hand on now.
func (r *run) record() operation.Record {
	record := r.ledger.Record()
	record.State.RunID = workflow.GetInfo(r.ctx).WorkflowExecution.RunID
	return record
}

func (r *run) now() operation.Time { return operation.At(workflow.Now(r.ctx)) }
