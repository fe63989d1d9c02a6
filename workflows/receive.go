package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

// receiveSignals takes in, for as long as the run lasts, what reaches it by Signal
// and by its cancellation. Nothing else happens there: the run's other coroutines
// wait for what the ledger says then.
func (r *run) receiveSignals() {
	workflow.Go(r.ctx, func(ctx workflow.Context) {
		for {
			r.await(ctx, r.unread)
			r.drainSignals()
			r.showDetails()
		}
	})
}

// unread reports whether something reached the run that it has not taken in.
func (r *run) unread() bool {
	withdrawal := r.root.Err() != nil && !r.ledger.Withdrawn()
	return withdrawal || r.signals.pushes.Len()+r.signals.revocations.Len()+r.signals.unacknowledged.Len() > 0
}

// drainSignals takes in what waits. What a Signal brings can't be refused: what is
// not allowed goes no further.
func (r *run) drainSignals() {
	log := workflow.GetLogger(r.ctx)
	var push Push
	for r.signals.pushes.ReceiveAsync(&push) {
		if err := validatePush(push); err != nil {
			log.Warn("a status by Signal was not taken", "error", err)
		} else {
			r.push(push)
		}
		push = Push{}
	}
	var revocation operation.Revocation
	for r.signals.revocations.ReceiveAsync(&revocation) {
		if _, err := r.revoke(withSoundReason(revocation)); err != nil {
			log.Warn("a revocation by Signal was not allowed", "error", err)
		}
		revocation = operation.Revocation{}
	}
	var missed activities.Unacknowledged
	for r.signals.unacknowledged.ReceiveAsync(&missed) {
		r.unacknowledged(missed)
		missed = activities.Unacknowledged{}
	}
	if r.root.Err() != nil {
		r.ledger.Withdraw()
	}
}

func (r *run) push(p Push) {
	if p.Status == "" {
		r.pollNow = r.ledger.Watching()
		return
	}
	switch r.ledger.Push(p.Status, r.now()) {
	case operation.ObservedChange, operation.ObservedRepeat:
		r.statusPushed = true
	case operation.ObservedSame, operation.ObservedContradiction, operation.ObservedStale:
	}
}

func (r *run) revoke(revocation operation.Revocation) (operation.State, error) {
	revocation.At = r.now()
	if err := r.ledger.Revoke(revocation); err != nil {
		return operation.State{}, err
	}
	return r.record().State, nil
}

// The SDK runs the handlers of Updates before the run takes Signals that came
// earlier. So each handler drains the Signals first, to keep the order of arrival.

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
	r.ledger.Withdraw()
	r.showDetails()
	return r.record().State, nil
}

// unacknowledged takes note of the first attempt that the pending delivery made.
func (r *run) unacknowledged(missed activities.Unacknowledged) {
	record, pending := r.ledger.Delivering()
	if !pending || missed.CallbackID != record.Delivery.CallbackID || record.Made > 0 {
		return
	}
	record.BeginAttempt(missed.Attempt.At)
	record.EndAttempt(missed.Attempt, "", "", operation.Time{})
	r.ledger.TakeDelivery(record)
	r.showPhase()
}
