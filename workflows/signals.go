package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// receiveSignals records Signals and the run's cancellation for as long as the run lasts.
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

// drainSignals records everything that waits. A Signal that is not allowed is logged.
func (r *run) drainSignals() {
	log := workflow.GetLogger(r.ctx)
	drain(r.ctx, SignalStatus, func(p Push) {
		if err := r.validatePush(p); err != nil {
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
	if p.Status == "" || p.ByAPI && r.in.Policy.Push != operation.PushTrust {
		r.pollNow = r.op.Watching()
		return
	}
	result := r.op.Push(p.Status, r.now())
	r.statusPushed = r.statusPushed || result == operation.ObservedChange || result == operation.ObservedRepeat
}

func (r *run) revoke(revocation operation.Revocation) (operation.State, error) {
	revocation.At = r.now()
	if err := r.op.Revoke(revocation); err != nil {
		return operation.State{}, err
	}
	return r.record().State, nil
}

// recordFirstAttempt records the first attempt of a Deliver activity, for AttributePhase.
func (r *run) recordFirstAttempt(first activities.Unacknowledged) {
	record, delivering := r.op.CurrentDelivery()
	if !delivering || first.CallbackID != record.Delivery.CallbackID || record.Made > 0 {
		return
	}
	record.BeginAttempt(first.Attempt.At)
	record.EndAttempt(first.Attempt, "", "", operation.Time{})
	r.recordDelivery(record)
}

// The SDK runs Update handlers before buffered Signals. Each drains the Signals first,
// to keep the order of arrival.

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

// The Temporal UI and CLI bypass the API, so the API's rules hold here, too.

func (r *run) validatePush(p Push) error {
	if p.Status != "" && p.ByAPI && r.in.Policy.Push == operation.PushOff {
		return temporal.NewApplicationError("the endpoint takes no pushed status (push: off)", TypePushRefused)
	}
	return operation.Validate(operation.StatusRule.Check(p.Status))
}

// reasonDropped stands for the reason of a revocation by Signal that breaks the rule.
const reasonDropped = "(the reason given was not kept: too long, or it looks like it holds a card number)"

// withValidReason replaces a reason that breaks the rule: a Signal can't be refused,
// and the operation was revoked whatever the reason.
func withValidReason(r operation.Revocation) operation.Revocation {
	if operation.ReasonRule.Check(r.Reason) != nil {
		r.Reason = reasonDropped
	}
	return r
}
