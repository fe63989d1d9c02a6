package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// receiveSignals records Signals and the run's cancellation for as long as the run
// lasts. It does nothing else: the run's other coroutines wait for the change in op.
func (r *run) receiveSignals(ctx workflow.Context) {
	for {
		r.await(ctx, r.unread)
		r.drainSignals()
		r.showDetails()
	}
}

// unread reports whether a Signal or a cancellation waits.
func (r *run) unread() bool {
	waiting := func(name string) bool { return workflow.GetSignalChannel(r.ctx, name).Len() > 0 }
	return waiting(SignalStatus) || waiting(SignalRevoke) || waiting(SignalUnacknowledged) ||
		r.root.Err() != nil && !r.op.Withdrawn()
}

// drainSignals records everything that waits. A Signal can't be refused: one that is
// not allowed is logged and dropped.
func (r *run) drainSignals() {
	log := workflow.GetLogger(r.ctx)
	drain(r.ctx, SignalStatus, func(p Push) {
		if err := validatePush(p); err != nil {
			log.Warn("a status by Signal was not taken", "error", err)
			return
		}
		r.push(p)
	})
	drain(r.ctx, SignalRevoke, func(revocation operation.Revocation) {
		if _, err := r.revoke(withValidReason(revocation)); err != nil {
			log.Warn("a revocation by Signal was not allowed", "error", err)
		}
	})
	drain(r.ctx, SignalUnacknowledged, r.recordFirstAttempt)
	if r.root.Err() != nil {
		r.op.Withdraw()
	}
}

// drain takes the Signals of that name that wait.
func drain[T any](ctx workflow.Context, name string, take func(T)) {
	signals := workflow.GetSignalChannel(ctx, name)
	for arg := new(T); signals.ReceiveAsync(arg); arg = new(T) {
		take(*arg)
	}
}

func (r *run) push(p Push) {
	if p.Status == "" {
		r.pollNow = r.op.Watching()
		return
	}
	switch r.op.Push(p.Status, r.now()) {
	case operation.ObservedChange, operation.ObservedRepeat:
		r.statusPushed = true
	case operation.ObservedSame, operation.ObservedContradiction, operation.ObservedStale:
	}
}

func (r *run) revoke(revocation operation.Revocation) (operation.State, error) {
	revocation.At = r.now()
	if err := r.op.Revoke(revocation); err != nil {
		return operation.State{}, err
	}
	return r.record().State, nil
}

// recordFirstAttempt records the first attempt of the delivery in progress, which a
// Deliver activity made, so that AttributePhase can be set.
func (r *run) recordFirstAttempt(first activities.Unacknowledged) {
	record, delivering := r.op.CurrentDelivery()
	if !delivering || first.CallbackID != record.Delivery.CallbackID || record.Made > 0 {
		return
	}
	record.BeginAttempt(first.Attempt.At)
	record.EndAttempt(first.Attempt, "", "", operation.Time{})
	r.recordDelivery(record)
}

// The SDK runs Update handlers before buffered Signals. Each handler drains the
// Signals first, to keep the order of arrival.

func (r *run) pushUpdate(_ workflow.Context, p Push) error {
	r.drainSignals()
	r.push(p)
	r.showDetails()
	return nil
}

func (r *run) revokeUpdate(_ workflow.Context, revocation operation.Revocation) (operation.State, error) {
	r.drainSignals()
	defer r.showDetails()
	return r.revoke(revocation)
}

func (r *run) withdrawUpdate(workflow.Context) (operation.State, error) {
	r.drainSignals()
	r.op.Withdraw()
	r.showDetails()
	return r.record().State, nil
}

// The Temporal UI and CLI reach a run past the API, so that Updates and Signals
// are held to the API's own rules.

func validatePush(p Push) error { return operation.Validate(operation.StatusRule.Check(p.Status)) }

// reasonDropped stands for the reason of a revocation by Signal that breaks the rule.
const reasonDropped = "(the reason given was not kept: too long, or it looks like it holds a card number)"

// withValidReason is a revocation that came by Signal, its reason replaced if it
// breaks the rule: a Signal can't be refused, and the operation was revoked
// whatever the reason.
func withValidReason(r operation.Revocation) operation.Revocation {
	if operation.ReasonRule.Check(r.Reason) != nil {
		r.Reason = reasonDropped
	}
	return r
}
