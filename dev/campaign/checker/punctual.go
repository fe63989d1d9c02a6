package checker

import (
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// checkPunctual holds that nothing waits longer than it must: h from above, the
// first attempt of each delivery, the first poll and the polls after it.
func (c *check) checkPunctual(o *evidence) {
	c.checkPollsInTime(o)
	for i, d := range o.deliveries {
		c.checkFirstAttempt(o, i, d)
		if c.mayReturn(o, d.Status) {
			continue // how long it was superseded is not to be seen
		}
		for j := 1; j < len(d.attempts); j++ {
			due := d.attempts[j-1].end().Add(o.endpoint.Policy.Delivery.Interval())
			c.punctual(o, 5, due, d.attempts[j].came(), "attempt %d about %q", d.attempts[j].Number, d.Status)
		}
	}
}

// came is when the receiver saw the attempt, or when it was recorded where it
// saw it after its end or not at all: that is told elsewhere.
func (a *attempt) came() time.Time {
	if a.request == nil || a.request.excused != nil {
		return a.began()
	}
	return a.request.Began
}

// punctual cries if something that was due came late and no fault explains it.
func (c *check) punctual(o *evidence, promise int, due, came time.Time, format string, args ...any) {
	by := came.Sub(due)
	if by <= prompt {
		if c.undisturbed(span{due, came}) {
			c.overdue = append(c.overdue, max(by, 0))
		}
		return
	}
	f := c.explainLate(due, came)
	if f != nil {
		f.explained[late]++
		return
	}
	c.unexplained(o, promise, format+" came at %s, %s after it was due", append(args, clock(came), by.Round(millisecond))...)
}

// undisturbed reports whether no fault, nor the recovery from one, meets s.
func (c *check) undisturbed(s span) bool {
	return !slices.ContainsFunc(c.faults, func(f *fault) bool {
		return span{f.Began, f.Ended.Add(recovers)}.meets(s)
	})
}

// checkFirstAttempt holds that a delivery begins when its status was observed, or
// when the one before it is over.
func (c *check) checkFirstAttempt(o *evidence, i int, d *delivery) {
	if len(d.attempts) == 0 || d.Reason == operation.ReasonPollsUsedUp || d.Reason == operation.ReasonLifetimeOver {
		return
	}
	due, known := c.observed(o, d)
	if !known {
		return
	}
	for _, before := range o.deliveries[:i] {
		if n := len(before.attempts); n > 0 {
			free := before.attempts[n-1].end()
			if before.Outcome == operation.DeliverySuperseded {
				free = latest(free, due.Add(hears))
			}
			due = latest(due, free)
		}
	}
	c.punctual(o, 3, due, d.attempts[0].came(), "the first attempt about %q", d.Status)
}

// observed is when the status of a delivery was first heard for good.
func (c *check) observed(o *evidence, d *delivery) (time.Time, bool) {
	said := c.sayings(o)
	at := slices.IndexFunc(said, func(s saying) bool { return s.status == d.Status && s.sure && !c.stale(o, s) })
	if at < 0 {
		// It was received, since it was delivered, and the first saying may have been it.
		at = slices.IndexFunc(said, func(s saying) bool { return s.status == d.Status && s.sure })
	}
	if at < 0 {
		return time.Time{}, false
	}
	return said[at].to, true
}

// checkPollsInTime holds promise 2: the first poll at once, then by the policy.
func (c *check) checkPollsInTime(o *evidence) {
	accepted, ok := o.accepted()
	if !ok || len(o.polls) == 0 || o.told(accepted.to) {
		return
	}
	c.punctual(o, 2, accepted.to, o.polls[0].Began, "the first poll")
	longest := o.longestGap()
	for i := 1; i < len(o.polls); i++ {
		due := latest(o.polls[i-1].Began, o.polls[i-1].Ended).Add(longest)
		if o.polls[i-1].Forbidden {
			due = due.Add(rests)
		}
		c.punctual(o, 2, due, o.polls[i].Began, "poll %d", i+1)
	}
}

// told reports whether the core told something itself before its first poll
// could be made, which may make that one needless.
func (o *evidence) told(accepted time.Time) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.What != journal.Start && call.What != journal.Clash && call.Began.Before(accepted.Add(prompt))
	})
}
