package workflows

import (
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/internal/ui"
)

// receiveSignals records Signals and the run's cancellation for as long as the run lasts.
func (r *run) receiveSignals(ctx workflow.Context) {
	for {
		r.await(ctx, r.unread)
		r.drainSignals()
		r.showDetails()
	}
}

// unread reports whether a Signal, of whatever name, or a cancellation waits. Each workflow
// task asks that first, so it notes when the task began.
func (r *run) unread() bool {
	r.currentTask()
	return len(workflow.GetUnhandledSignalNames(r.ctx)) > 0 || r.root.Err() != nil && !r.op.Withdrawn()
}

// drainSignals records everything that waits. A Signal that is not taken is logged and
// shown.
func (r *run) drainSignals() {
	takeSignals(r, SignalStatus, func(p Push) error {
		if err := r.validatePush(p); err != nil {
			return err
		}
		r.push(p)
		return nil
	})
	takeSignals(r, SignalRevoke, func(revocation operation.Revocation) error {
		_, err := r.revoke(withValidReason(revocation))
		return err
	})
	unknown := workflow.GetUnhandledSignalNames(r.ctx)
	slices.Sort(unknown)
	for _, name := range unknown {
		for signals := workflow.GetSignalChannel(r.ctx, name); signals.ReceiveAsync(nil); {
			r.refuse(name, fmt.Sprintf("there is no Signal of that name; an operation takes %s and %s", SignalStatus, SignalRevoke))
		}
	}
	if r.root.Err() != nil {
		r.op.Withdraw()
	}
}

// takeSignals takes the Signals of that name that wait. The SDK drops one that it can't
// read.
func takeSignals[T any](r *run, name string, take func(T) error) {
	unreadable := workflow.GetSignalChannel(r.ctx, name).Len()
	drain(r.ctx, name, func(arg T) {
		unreadable--
		err := take(arg)
		if failed, ok := errors.AsType[*temporal.ApplicationError](err); ok {
			r.refuse(name, failed.Message())
		} else if err != nil {
			r.refuse(name, err.Error())
		}
	})
	for range unreadable {
		r.refuse(name, "its input could not be read: it is a JSON object, sealed where there are codec keys")
	}
}

// refuse logs a Signal that was not taken, and keeps it for the details.
func (r *run) refuse(name, why string) {
	workflow.GetLogger(r.ctx).Warn("a Signal was not taken", "signal", name, "error", why)
	r.refused = append(r.refused, ui.Refused{At: r.now(), Name: name, Why: why})
	r.refused = r.refused[max(len(r.refused)-ui.SignalsShown, 0):]
}

// drain takes the Signals of that name that wait.
func drain[T any](ctx workflow.Context, name string, take func(T)) {
	signals := workflow.GetSignalChannel(ctx, name)
	for arg := new(T); signals.ReceiveAsync(arg); arg = new(T) {
		take(*arg)
	}
}

func (r *run) push(p Push) {
	if p.Status == "" || p.ByAPI && r.in.Policy.Push != operation.PushTrust && !r.in.Rules.PushOnly {
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
	pushOnly := r.in.Rules.PushOnly
	if p.Status == "" && pushOnly {
		return temporal.NewApplicationError("the core is never polled; push a status", TypePushRefused)
	}
	if p.Status != "" && p.ByAPI && r.in.Policy.Push == operation.PushOff && !pushOnly {
		return temporal.NewApplicationError("the endpoint takes no pushed status (push: off)", TypePushRefused)
	}
	return operation.Validate(operation.StatusRule.Check(p.Status))
}

// reasonDropped stands for the reason of a revocation by Signal that breaks the rule.
const reasonDropped = "(the reason given was not kept: it is too long, is more than one line, or looks like it holds a card number)"

// withValidReason replaces a reason that breaks the rule: a Signal can't be refused,
// and the operation was revoked whatever the reason.
func withValidReason(r operation.Revocation) operation.Revocation {
	if operation.ReasonRule.Check(r.Reason) != nil {
		r.Reason = reasonDropped
	}
	return r
}
