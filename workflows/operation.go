package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/callback"
)

// acts names the activities for the SDK; it is never called.
var acts *activities.Activities

// Operation is the life of one payment operation: it watches the status until
// it is final and rings the client for each status that is owed. Its result,
// failure or cancellation carries a callback.Ending.
func Operation(ctx workflow.Context, in Input) (callback.Ending, error) {
	o, err := open(ctx, in)
	if err != nil {
		return callback.Ending{}, err
	}
	o.begin()
	for {
		o.hear()
		o.lookAgain()
		o.ring()
		o.dropUnwanted()
		o.look()
		o.showPhase()
		if o.ledger.Over() && !o.busy() && o.delivery == nil && o.noticed() {
			break
		}
		o.showDetails(o.ending().State)
		o.sleep()
		o.gather()
	}
	if err := workflow.Await(o.ctx, func() bool { return workflow.AllHandlersFinished(o.ctx) }); err != nil {
		return callback.Ending{}, err
	}
	return o.close()
}

// operation is one run's moving parts. Facts are in the ledger.
type operation struct {
	in Input
	// ctx is disconnected from the run's cancellation: nothing that is on its
	// way is cut off. root is not.
	ctx, root workflow.Context
	ledger    *callback.Ledger

	watch *task
	// leaving is the latest watch that was told to end.
	leaving    *task
	watchPolls int
	// lastPoll is when the latest poll was made.
	lastPoll callback.WatchProgress
	delivery *task
	// delivering is how far the delivery in hand is known to have come.
	delivering callback.DeliveryProgress
	ringing    callback.Callback
	// shown is the phase that was last written.
	shown callback.Phase
	// notices are the notices that were given; each is ready once its run began.
	notices []workflow.Future

	pushes  workflow.ReceiveChannel
	revokes workflow.ReceiveChannel
	misses  workflow.ReceiveChannel
	pollNow bool
	// early says that a poll was asked for before the initial delay was over.
	early bool
	// rewatch makes the watch begin anew from a status that was pushed.
	rewatch bool
	// asking says that a redelivery waits for the answer to its one poll.
	asking bool
	// roused wakes the main loop after an Update.
	roused bool
	// localAt is the workflow task (by its history length) of the latest local
	// attempt: there is at most one in each.
	localAt int
}

// task is a regular activity on its way.
type task struct {
	future workflow.Future
	cancel workflow.CancelFunc
	// unwanted says that it was cancelled.
	unwanted bool
}

func (t *task) ready() bool { return t != nil && t.future.IsReady() }

// open builds the run and registers its handlers before anything can fail.
func open(root workflow.Context, in Input) (*operation, error) {
	ctx, _ := workflow.NewDisconnectedContext(root)
	o := &operation{
		in: in, ctx: ctx, root: root, ledger: callback.OpenLedger(opening(in)),
		pushes:  workflow.GetSignalChannel(ctx, SignalStatus),
		revokes: workflow.GetSignalChannel(ctx, SignalRevoke),
		misses:  workflow.GetSignalChannel(ctx, SignalUnacknowledged),
	}
	if err := o.answer(); err != nil {
		return nil, fmt.Errorf("setting the run's handlers: %w", err)
	}
	return o, nil
}

// answer sets the handlers of Updates and Queries.
func (o *operation) answer() error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(o.ctx, UpdateRevoke, o.revokeUpdate, workflow.UpdateHandlerOptions{
			Validator: func(r callback.Revocation) error {
				if err := screen("reason", r.Reason, reasonMax); err != nil {
					return err
				}
				return o.ledger.CheckRevocation(r)
			},
			Description: "Record that the operation itself was revoked.",
		}),
		workflow.SetUpdateHandlerWithOptions(o.ctx, UpdateStatus, o.takePush, workflow.UpdateHandlerOptions{
			Validator:   func(p Push) error { return screenStatus(p.Status) },
			Description: "Take a status that the core says by itself; without one, poll now.",
		}),
		workflow.SetUpdateHandlerWithOptions(o.ctx, UpdateWithdraw, o.withdraw, workflow.UpdateHandlerOptions{
			Description: "End the operation without a callback.",
		}),
		workflow.SetQueryHandler(o.ctx, QueryState, func() (callback.State, error) { return o.ending().State, nil }),
		workflow.SetQueryHandler(o.ctx, QueryEnding, func() (callback.Ending, error) { return o.ending(), nil }),
	)
}

func opening(in Input) callback.Opening {
	opening := callback.Opening{
		Key: in.Start.Key(), Reference: in.Start.Reference, Rules: in.Rules, Wanted: in.Wanted,
		Supersede: in.Policy.Supersede, KnownStatus: in.Start.KnownStatus,
	}
	if r := in.Redelivery; r != nil {
		opening.Previous, opening.Repoll, opening.Force = &r.Previous, r.Repoll, r.Force
	}
	return opening
}

// begin makes the first poll, or takes up what a redelivery is about. A repoll
// that is held back in the workflow task is left to a watch of one poll.
func (o *operation) begin() {
	r := o.in.Redelivery
	if r == nil {
		if o.spokenTo() && o.hearsFirst() {
			o.hear()
		}
		if o.in.Policy.Poll.InitialDelayMS == 0 && o.ledger.Watching() {
			o.pollOnce()
		}
		return
	}
	if o.asking = r.Repoll && !o.pollOnce(); !o.asking {
		o.ringAgain()
	}
}

// ringAgain owes the previous run's last callback, unless the source said another.
func (o *operation) ringAgain() {
	o.asking = false
	o.ledger.Ring(o.in.Redelivery.Previous.Owed)
	if !o.in.Redelivery.Watch {
		o.ledger.StopWatch()
	}
}

// hear takes what was said to the run: pushes, revocations, a withdrawal.
func (o *operation) hear() {
	var push Push
	for o.pushes.ReceiveAsync(&push) {
		if err := screenStatus(push.Status); err != nil {
			workflow.GetLogger(o.ctx).Warn("a status by Signal was not taken", "error", err)
		} else {
			o.pushed(push)
		}
		push = Push{}
	}
	var revocation callback.Revocation
	for o.revokes.ReceiveAsync(&revocation) {
		if _, err := o.revoke(o.ctx, screened(revocation)); err != nil {
			workflow.GetLogger(o.ctx).Warn("a revocation by Signal was not allowed", "error", err)
		}
		revocation = callback.Revocation{}
	}
	var missed activities.Unacknowledged
	for o.misses.ReceiveAsync(&missed) {
		o.miss(missed)
		missed = activities.Unacknowledged{}
	}
	if o.root.Err() != nil {
		o.ledger.Withdraw()
	}
	o.roused = false
}

func (o *operation) pushed(p Push) {
	if p.Status == "" {
		o.pollNow = true
		return
	}
	now := o.now()
	said := callback.Observation{Status: p.Status, BegunAt: now, ObservedAt: now}
	recorded := o.ledger.Record(o.following(said, o.ledger.Last()))
	o.rewatch = o.rewatch || recorded == callback.RecordedChange || recorded == callback.RecordedRepeat
}

// hearBefore takes what was said by Signal before the Update at hand. The main
// loop acts on it, also where the Update is refused.
func (o *operation) hearBefore() {
	if o.pushes.Len()+o.revokes.Len() > 0 && o.hearsSignals() {
		o.hear()
		o.roused = true
	}
}

func (o *operation) revokeUpdate(ctx workflow.Context, r callback.Revocation) (callback.State, error) {
	o.hearBefore()
	return o.revoke(ctx, r)
}

func (o *operation) revoke(_ workflow.Context, r callback.Revocation) (callback.State, error) {
	r.At = o.now()
	if err := o.ledger.Revoke(r); err != nil {
		return callback.State{}, err
	}
	o.roused = true
	return o.ending().State, nil
}

func (o *operation) takePush(_ workflow.Context, p Push) error {
	o.hearBefore()
	o.pushed(p)
	o.roused = true
	return nil
}

func (o *operation) withdraw(workflow.Context) (callback.State, error) {
	o.hearBefore()
	o.ledger.Withdraw()
	o.roused = true
	return o.ending().State, nil
}

// ending is how far the run has come.
func (o *operation) ending() callback.Ending {
	ending := o.ledger.Ending()
	ending.State.RunID = workflow.GetInfo(o.ctx).WorkflowExecution.RunID
	return ending
}

func (o *operation) now() callback.Time { return callback.At(workflow.Now(o.ctx)) }

// spokenTo reports whether something was said to the run that it has not heard,
// or not acted on.
func (o *operation) spokenTo() bool {
	withdrawal := o.root.Err() != nil && !o.ledger.Withdrawn()
	return withdrawal || o.roused || o.pollNow || o.rewatch || o.pushes.Len() > 0 || o.revokes.Len() > 0 || o.misses.Len() > 0
}

// busy reports whether there is something to do at once.
func (o *operation) busy() bool {
	return o.spokenTo() || (o.watch != nil && !o.ledger.Watching())
}

// sleep waits until there is something to do or to gather.
func (o *operation) sleep() {
	err := workflow.Await(o.ctx, func() bool {
		return o.busy() || o.watch.ready() || o.delivery.ready() || o.ledger.Over() && o.noticed()
	})
	if err != nil {
		workflow.GetLogger(o.ctx).Error("waiting on a disconnected context failed", "error", err)
	}
}

// gather takes the results of activities that ended.
func (o *operation) gather() {
	if o.watch.ready() {
		o.gatherWatch()
	}
	if o.delivery.ready() {
		o.gatherDelivery()
	}
}
