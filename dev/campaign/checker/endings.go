package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// checkOutcome checks promise 12: the outcome is that of the last delivery that was
// not superseded, or of the watch if there is none.
func (c *check) checkOutcome(o *evidence) {
	s := o.state()
	if s.Outcome == operation.OutcomeWithdrawn {
		if !o.withdrawalRequested(farFuture) {
			c.lost(o, 8, "it is withdrawn without a withdrawal")
		}
		return
	}
	if want := o.expectedOutcome(); s.Outcome != want {
		c.unexplained(o, 12, "its outcome is %s, and its deliveries and status mean %s", s.Outcome, want)
	}
	if !o.withdrawalRequested(farFuture) && s.Revocation == nil {
		c.checkWatchEnd(o)
	}
}

var outcomes = map[operation.DeliveryOutcome]operation.Outcome{
	operation.DeliveryAcknowledged: operation.OutcomeAcknowledged,
	operation.DeliveryExhausted:    operation.OutcomeExhausted,
	operation.DeliveryGone:         operation.OutcomeGone,
}

func (o *evidence) expectedOutcome() operation.Outcome {
	for _, d := range slices.Backward(o.deliveries) {
		if d.Outcome != operation.DeliverySuperseded {
			return outcomes[d.Outcome]
		}
	}
	switch {
	case !o.rules.isFinal(o.status()):
		return operation.OutcomeExpired
	case o.status() == revoked:
		return operation.OutcomeRevoked
	}
	return operation.OutcomeAcknowledged
}

// checkWatchEnd checks promise 2: without a final status a watch ends once max_polls
// are used up or its lifetime is over.
func (c *check) checkWatchEnd(o *evidence) {
	p := o.endpoint.Policy.Poll
	accepted, ok := o.accepted()
	usedUp := p.Limit() > 0 && o.state().Polls >= p.Limit()
	if o.rules.isFinal(o.status()) || usedUp || !ok {
		return
	}
	end := accepted.from.Add(p.Lifetime())
	polledAtEnd := slices.ContainsFunc(slices.Concat(o.polls, o.pages), func(p journal.Poll) bool { return !p.Began.Before(end.Add(-millisecond)) })
	if polledAtEnd {
		return
	}
	f := c.explainLastPoll(end, accepted.to.Add(p.Lifetime()))
	if f == nil {
		c.lost(o, 2, "its watch ended without a final status, after %d polls and before its lifetime was over", o.state().Polls)
		return
	}
	f.explained[pollNotArrived]++
}

// checkRevocation checks promise 7: a revocation that was answered with 200 is the
// final status, and is delivered unless the client made it.
func (c *check) checkRevocation(o *evidence) {
	s := o.state()
	var requested, accepted bool
	for _, call := range o.calls {
		if call.Kind != journal.Revoke {
			continue
		}
		requested = requested || !refused(call)
		accepted = accepted || call.HTTPStatus == http.StatusOK
		if call.HTTPStatus == http.StatusConflict && call.Problem == problemNotRevocable && !c.mayRefuse(o, call) {
			c.unexplained(o, 7, "its revocation was refused at %s, although no observed status forbids it", timeOfDay(call.Ended))
		}
		if call.HTTPStatus == http.StatusOK {
			c.checkNothingSentAfter(o, call, func(d *delivery) bool { return d.Status == revoked })
		}
	}
	switch {
	case accepted && (o.status() != revoked || !s.Status.Final):
		c.lost(o, 7, "its revocation was answered with 200, and its status is %q", o.status())
	case s.Revocation != nil && !requested:
		c.unexplained(o, 7, "its state shows a revocation, and every request for one was refused")
	case s.Revocation != nil && o.Revocation != nil && s.Revocation.InitiatedBy != o.Revocation.InitiatedBy:
		c.unexplained(o, 7, "its revocation is shown as initiated by %s", s.Revocation.InitiatedBy)
	case s.Revocation != nil && o.revokedSilently() && o.hasDelivery(revoked):
		c.unexplained(o, 7, "its revocation is delivered, although it has no callback")
	}
}

// mayRefuse reports whether a status that is not revocable, or a withdrawal, may have
// been known when a revocation was refused.
func (c *check) mayRefuse(o *evidence, call journal.Call) bool {
	return o.withdrawalRequested(call.Ended) || slices.ContainsFunc(c.observations(o), func(s observation) bool {
		return s.by != journal.Revoke && !o.rules.isRevocable(s.status) && !s.from.After(call.Ended)
	})
}

// checkWithdrawal checks promise 8: after 200 nothing is sent, and the outcome is
// withdrawn unless an attempt in flight was acknowledged.
func (c *check) checkWithdrawal(o *evidence) {
	for _, call := range o.calls {
		if call.Kind != journal.Withdraw || call.HTTPStatus != http.StatusOK {
			continue
		}
		c.checkNothingSentAfter(o, call, func(*delivery) bool { return false })
		if o.state().Outcome == operation.OutcomeWithdrawn || o.decidedBefore(call) {
			return
		}
		c.unlessExplained(o, c.explainLate(call.Ended, o.life().to), late, 8,
			"its withdrawal was answered with 200 at %s, and its outcome is %s", timeOfDay(call.Ended), o.state().Outcome)
		return
	}
}

// decidedBefore reports whether every attempt had ended at the withdrawal, or was in
// flight then and acknowledged.
func (o *evidence) decidedBefore(call journal.Call) bool {
	return !slices.ContainsFunc(o.deliveries, func(d *delivery) bool {
		return slices.ContainsFunc(d.attempts, func(a *attempt) bool {
			ended := !a.end().After(call.Ended)
			inFlight := !a.began().After(call.Ended.Add(cancelDelay + allowedDelay))
			return !ended && (a.Verdict != operation.Acknowledged || !inFlight)
		})
	})
}

// checkNothingSentAfter checks that after a call only allowed deliveries are sent.
func (c *check) checkNothingSentAfter(o *evidence, call journal.Call, allowed func(*delivery) bool) {
	for _, d := range o.deliveries {
		if allowed(d) {
			continue
		}
		for _, a := range d.attempts {
			began := a.began()
			if !began.After(call.Ended.Add(cancelDelay + allowedDelay)) {
				continue
			}
			f := c.explainLate(call.Ended.Add(cancelDelay), began)
			if f == nil {
				c.unexplained(o, 8, "a %s was answered with 200 at %s, and %q was sent %s later", call.Kind, timeOfDay(call.Ended), d.Status, began.Sub(call.Ended).Round(time.Millisecond))
				return
			}
			f.explained[late]++
		}
	}
}
