package checker

import (
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// checkStatusesAreDelivered checks promise 3: each observed status that has a callback
// has a delivery.
func (c *check) checkStatusesAreDelivered(o *evidence) {
	all := c.observations(o)
	reported := map[string]bool{}
	for _, s := range all {
		missing := s.certain && o.rules.isDelivered(s.status, o.Wanted) && s.status != o.KnownStatus && !o.hasDelivery(s.status)
		if !missing || reported[s.status] || c.needsNoDelivery(o, all, s) {
			continue
		}
		reported[s.status] = true
		c.lost(o, 3, "%q was observed by a %s at %s and never delivered", s.status, s.by, timeOfDay(s.to))
	}
}

// needsNoDelivery reports whether another observation or call means that s need not
// be delivered.
func (c *check) needsNoDelivery(o *evidence, all []observation, s observation) bool {
	withdrawnBefore := slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.Kind == journal.Withdraw && !refused(call) && c.beforeRecord(s, call)
	})
	switch {
	case !o.rules.isFinal(s.status) && c.stale(o, s): // a stale final answer is polled again
		return true
	case withdrawnBefore:
		return true
	case s.status == revoked && o.state().Revocation != nil && o.revokedSilently():
		return true
	}
	// The first final status stands.
	final := o.status()
	return o.rules.isFinal(final) && final != s.status && slices.ContainsFunc(all, func(f observation) bool {
		return f.status == final && !f.from.After(s.to.Add(allowedDelay))
	})
}

// checkReturnedStatusesAreDelivered checks promise 3: the callback of a status that
// returns is sent again, unless it was acknowledged.
func (c *check) checkReturnedStatusesAreDelivered(o *evidence) {
	if o.endpoint.Policy.Supersede == operation.SupersedeEvery {
		return
	}
	for _, d := range o.deliveries {
		if o.rules.isFinal(d.Status) {
			continue
		}
		for _, s := range c.returns(o, d.Status) {
			if !c.finalBefore(o, s) {
				c.checkSentAgain(o, d, s)
			}
		}
	}
}

// returns are the certain observations of a status after another one.
func (c *check) returns(o *evidence, status string) []observation {
	var found []observation
	var before string
	known := false
	for _, s := range c.observations(o) {
		if !s.certain || c.stale(o, s) {
			continue
		}
		if s.status == status && known && before != status {
			found = append(found, s)
		}
		before, known = s.status, known || s.status == status
	}
	return found
}

// finalBefore reports whether a final status may have been recorded before s, after
// which s is only counted.
func (c *check) finalBefore(o *evidence, s observation) bool {
	return slices.ContainsFunc(c.observations(o), func(f observation) bool {
		return o.rules.isFinal(f.status) && !f.from.After(s.to)
	})
}

// checkSentAgain checks that the callback was sent again, or already accepted, after
// its status returned, unless something superseded it before.
func (c *check) checkSentAgain(o *evidence, d *delivery, returned observation) {
	due := o.freeAfter(d, returned.to)
	deadline := due.Add(allowedDelay)
	superseded := c.supersededAt(o, returned)
	sent := slices.ContainsFunc(d.requests, func(r *request) bool {
		return r.Accepted && r.Began.Before(deadline) || !r.Began.Before(returned.from)
	})
	if sent || superseded.Before(deadline) {
		return
	}
	f := c.delaying(superseded)
	if superseded.Equal(farFuture) || f == nil {
		c.lost(o, 3, "%q returned at %s, and its callback, which was not acknowledged, was not sent again", d.Status, timeOfDay(returned.to))
		return
	}
	f.explained[late]++
}

// freeAfter is when d may be sent after a time: once no other request is in flight,
// and h after its own last one.
func (o *evidence) freeAfter(d *delivery, from time.Time) time.Time {
	free := from
	for _, r := range o.requests {
		if !r.Began.After(from) {
			free = latest(free, r.end())
		}
	}
	for _, r := range d.requests {
		if !r.Began.After(from) {
			free = latest(free, r.end().Add(o.interval()))
		}
	}
	return free
}

// supersededAt is the first time after s at which another status or call may have
// superseded it.
func (c *check) supersededAt(o *evidence, s observation) time.Time {
	first := farFuture
	for _, other := range c.observations(o) {
		if other.from.After(s.from) && other.status != s.status && other.from.Before(first) {
			first = other.from
		}
	}
	for _, call := range o.calls {
		if o.endsWatch(call) && call.Began.After(s.from) && call.Began.Before(first) {
			first = call.Began
		}
	}
	return first
}

// checkDeliveredStatuses checks promise 3: each delivery is about an observed status
// that has a callback and that the client did not know.
func (c *check) checkDeliveredStatuses(o *evidence) {
	all := c.observations(o)
	if v := o.status(); v != "" && !observedBy(all, v, time.Time{}) {
		c.unexplained(o, 2, "its state shows the status %q, which was never observed", v)
	}
	for _, d := range o.deliveries {
		var first time.Time
		if len(d.attempts) > 0 {
			first = d.attempts[0].began()
		}
		switch {
		case d.endsWatch():
			c.checkLastAnswer(o, d)
		case !o.rules.isDelivered(d.Status, o.Wanted):
			c.unexplained(o, 3, "there is a delivery about %q, which has no callback", d.Status)
		case d.Status == o.KnownStatus:
			c.unexplained(o, 3, "there is a delivery about %q, which the client knew", d.Status)
		case !observedBy(all, d.Status, first):
			c.unexplained(o, 3, "there is a delivery about %q, which had not been observed", d.Status)
		}
	}
}

// checkLastAnswer checks promise 3: the callback about a watch without a final status
// has the last answer read, or none if none was read.
func (c *check) checkLastAnswer(o *evidence, d *delivery) {
	if !o.rules.deliversTimeouts {
		c.unexplained(o, 3, "the delivery about %q has the reason %s, which this source does not deliver", d.Status, d.Reason)
		return
	}
	possible := []string{""}
	for _, s := range c.observations(o) {
		if s.certain && !c.stale(o, s) {
			possible = nil
		}
		possible = append(possible, s.status)
	}
	// The last answer read may be one without a status.
	withoutStatus := slices.ContainsFunc(o.polls, func(p journal.Poll) bool { return p.Status == "" })
	if !slices.Contains(possible, d.Status) && !(d.Status == "" && withoutStatus) {
		c.unexplained(o, 3, "the callback about %s has %q, and the last answer read was %s", d.Reason, d.Status, possible)
	}
}

// checkSuperseded checks promise 4: a delivery is superseded for a reason.
func (c *check) checkSuperseded(o *evidence) {
	for i, d := range o.deliveries {
		if d.Outcome != operation.DeliverySuperseded {
			continue
		}
		if wrong := o.wrongSupersede(i, d); wrong != "" {
			c.lost(o, 4, "the delivery about %q is superseded (%s) %s", d.Status, d.Reason, wrong)
		}
	}
}

// wrongSupersede says why a delivery must not be superseded; empty if it may.
func (o *evidence) wrongSupersede(i int, d *delivery) string {
	switch {
	case d.Reason == operation.ReasonWithdrawn:
		if !o.withdrawalRequested(farFuture) {
			return "without a withdrawal"
		}
	case d.Reason == operation.ReasonRevoked:
		if o.state().Revocation == nil {
			return "without a revocation"
		}
	case o.rules.isFinal(d.Status):
		return "although it is final"
	case i == len(o.deliveries)-1:
		return "by no other delivery"
	case o.endpoint.Policy.Supersede == operation.SupersedeEvery:
		return "at an endpoint that queues every callback"
	}
	return ""
}
