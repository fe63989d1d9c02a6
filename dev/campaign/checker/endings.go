package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// checkOutcome holds promise 12: the outcome is that of the last callback owed,
// or how the watch ended where none was.
func (c *check) checkOutcome(o *evidence) {
	s := o.state()
	if s.Outcome == operation.OutcomeWithdrawn {
		if !o.withdrawing(farFuture) {
			c.lost(o, 8, "it is withdrawn, and nobody asked for that")
		}
		return
	}
	if want := o.derived(); s.Outcome != want {
		c.unexplained(o, 12, "its outcome is %s, and its deliveries and status say %s", s.Outcome, want)
	}
	if o.withdrawing(farFuture) || s.Revocation != nil {
		return
	}
	c.checkWatchEnded(o)
}

var outcomes = map[operation.DeliveryOutcome]operation.Outcome{
	operation.DeliveryAcknowledged: operation.OutcomeAcknowledged,
	operation.DeliveryExhausted:    operation.OutcomeExhausted,
	operation.DeliveryGone:         operation.OutcomeGone,
}

func (o *evidence) derived() operation.Outcome {
	for _, d := range slices.Backward(o.deliveries) {
		if d.Outcome != operation.DeliverySuperseded {
			return outcomes[d.Outcome]
		}
	}
	switch {
	case !o.rules.isFinal(o.value()):
		return operation.OutcomeExpired
	case o.value() == revoked:
		return operation.OutcomeRevoked
	}
	return operation.OutcomeAcknowledged
}

// checkWatchEnded holds promise 2: without a final status it ends once its polls
// are used up or its lifetime is over.
func (c *check) checkWatchEnded(o *evidence) {
	if o.rules.isFinal(o.value()) {
		return
	}
	p := o.endpoint.Policy.Poll
	if p.Limit() > 0 && o.state().Polls >= p.Limit() {
		return
	}
	accepted, ok := o.accepted()
	if !ok {
		return
	}
	over := accepted.from.Add(p.Lifetime())
	last := slices.ContainsFunc(slices.Concat(o.polls, o.pages), func(p journal.Poll) bool { return !p.Began.Before(over.Add(-millisecond)) })
	if last {
		return
	}
	f := c.lastUnarrived(over, accepted.to.Add(p.Lifetime()))
	if f == nil {
		c.lost(o, 2, "its watch ended without a final status, after %d polls and before its lifetime was over", o.state().Polls)
		return
	}
	f.explained[unarrived]++
}

// lastUnarrived is the fault for which the poll at the end of a lifetime, between
// from and to, did not reach the core; it may have been one that came after it, if
// another one made the poll late.
func (c *check) lastUnarrived(from, to time.Time) *fault {
	if f := c.explain(unarrived, span{from, to.Add(prompt)}, ""); f != nil {
		return f
	}
	for _, f := range c.faults {
		after := f.Began.After(to) && c.delaying(to, f.Began.Add(-millisecond)) != nil
		if after && c.explain(unarrived, span{f.Began, f.Began}, "") == f {
			return f
		}
	}
	return nil
}

// checkRevoked holds promise 7: what was answered with 200 is the final status.
func (c *check) checkRevoked(o *evidence) {
	s := o.state()
	var asked, done bool
	for _, call := range o.calls {
		if call.What != journal.Revoke {
			continue
		}
		asked = asked || !refused(call)
		done = done || call.HTTPStatus == http.StatusOK
		if call.HTTPStatus == http.StatusConflict && call.Problem == problemNotRevocable && !o.mayRefuse(call, c.sayings(o)) {
			c.unexplained(o, 7, "its revocation was refused at %s, although nothing that the core had said forbids it", clock(call.Ended))
		}
		if call.HTTPStatus == http.StatusOK {
			c.checkSilenceAfter(o, call, revoked)
		}
	}
	switch {
	case done && (o.value() != revoked || !s.Status.Final):
		c.lost(o, 7, "its revocation was answered with 200, and its status is %q", o.value())
	case s.Revocation != nil && !asked:
		c.unexplained(o, 7, "its state shows a revocation, and nobody asked for one that was not refused")
	case s.Revocation != nil && o.Revocation != nil && s.Revocation.InitiatedBy != o.Revocation.InitiatedBy:
		c.unexplained(o, 7, "its revocation is shown as initiated by %s", s.Revocation.InitiatedBy)
	case s.Revocation != nil && o.silentlyRevoked() && o.delivers(revoked):
		c.unexplained(o, 7, "its revocation is delivered, although nobody was to be told")
	}
}

// mayRefuse reports whether a status that may not be revoked, or an end, may
// have been known when a revocation was refused.
func (o *evidence) mayRefuse(call journal.Call, said []saying) bool {
	if o.withdrawing(call.Ended) {
		return true
	}
	return slices.ContainsFunc(said, func(s saying) bool {
		return s.how != journal.Revoke && !o.rules.isRevocable(s.status) && !s.from.After(call.Ended)
	})
}

// checkWithdrawn holds promise 8: what was answered with 200 is sent no more,
// unless the attempt in flight is acknowledged.
func (c *check) checkWithdrawn(o *evidence) {
	for _, call := range o.calls {
		if call.What != journal.Withdraw || call.HTTPStatus != http.StatusOK {
			continue
		}
		c.checkSilenceAfter(o, call, nothing)
		if o.state().Outcome == operation.OutcomeWithdrawn || o.decidedBy(call) {
			return
		}
		f := c.explainLate(call.Ended, o.life().to)
		c.excuse(o, f, late, 8, "its withdrawal was answered with 200 at %s, and its outcome is %s", clock(call.Ended), o.state().Outcome)
		return
	}
}

// decidedBy reports whether the last callback owed was acknowledged by an
// attempt that was in flight at the withdrawal, or everything was over then.
func (o *evidence) decidedBy(call journal.Call) bool {
	return !slices.ContainsFunc(o.deliveries, func(d *delivery) bool {
		return slices.ContainsFunc(d.attempts, func(a *attempt) bool {
			over := !a.end().After(call.Ended)
			heard := call.Ended.Add(hears + prompt)
			return !over && (a.Verdict != operation.Acknowledged || a.began().After(heard))
		})
	})
}

// nothing is no status.
const nothing = "-"

// checkSilenceAfter holds that after a call only the status that it allows is
// sent.
func (c *check) checkSilenceAfter(o *evidence, call journal.Call, but string) {
	for _, d := range o.deliveries {
		if d.Status == but {
			continue
		}
		for _, a := range d.attempts {
			at := a.began()
			if !at.After(call.Ended.Add(hears + prompt)) {
				continue
			}
			f := c.explainLate(call.Ended.Add(hears), at)
			if f == nil {
				c.unexplained(o, 8, "%s was answered with 200 at %s, and %q was sent %s later", call.What, clock(call.Ended), d.Status, at.Sub(call.Ended).Round(time.Millisecond))
				return
			}
			f.explained[late]++
		}
	}
}
