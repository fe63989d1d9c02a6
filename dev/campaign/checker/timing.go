package checker

import (
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// checkTiming checks that polls, first attempts and further attempts are not late.
func (c *check) checkTiming(o *evidence) {
	c.checkPollTiming(o)
	for i, d := range o.deliveries {
		c.checkFirstAttempt(o, i, d)
		if c.mayReturn(o, d.Status) {
			continue // it can't be seen for how long it was superseded
		}
		for j := 1; j < len(d.attempts); j++ {
			due := d.attempts[j-1].end().Add(o.interval())
			c.checkLate(o, 5, due, d.attempts[j].came(), "attempt %d about %q", d.attempts[j].Number, d.Status)
		}
	}
}

// came is when the receiver saw the attempt, or when it was recorded if the receiver
// did not see it or it is excused.
func (a *attempt) came() time.Time {
	if a.request == nil || a.request.excused != nil {
		return a.began()
	}
	return a.request.Began
}

// checkLate records a finding if something came late and no fault explains it.
func (c *check) checkLate(o *evidence, promise int, due, came time.Time, format string, args ...any) {
	by := came.Sub(due)
	if by <= allowedDelay {
		return
	}
	if f := c.explainLate(due, came); f != nil {
		f.explained[late]++
		return
	}
	c.unexplained(o, promise, format+" came at %s, %s late", append(args, timeOfDay(came), by.Round(millisecond))...)
}

// checkFirstAttempt checks that a delivery begins when its status was observed, or
// when the delivery before it is over.
func (c *check) checkFirstAttempt(o *evidence, i int, d *delivery) {
	if len(d.attempts) == 0 || d.endsWatch() {
		return
	}
	due, known := c.firstObserved(o, d)
	if !known {
		return
	}
	for _, before := range o.deliveries[:i] {
		if n := len(before.attempts); n > 0 {
			free := before.attempts[n-1].end()
			if before.Outcome == operation.DeliverySuperseded {
				free = latest(free, due.Add(cancelDelay))
			}
			due = latest(due, free)
		}
	}
	c.checkLate(o, 3, due, d.attempts[0].came(), "the first attempt about %q", d.Status)
}

// checkPollTiming checks promise 2: the first poll comes at once, the others by the
// policy. A call right after the start may make the first poll needless.
func (c *check) checkPollTiming(o *evidence) {
	accepted, ok := o.accepted()
	calledAtOnce := slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.Kind != journal.Start && call.Kind != journal.Clash && call.Began.Before(accepted.to.Add(allowedDelay))
	})
	if !ok || len(o.polls) == 0 || calledAtOnce {
		return
	}
	c.checkLate(o, 2, accepted.to, o.polls[0].Began, "the first poll")
	longest := slices.Max(o.pollGaps())
	for i := 1; i < len(o.polls); i++ {
		due := latest(o.polls[i-1].Began, o.polls[i-1].Ended).Add(longest)
		if o.polls[i-1].Forbidden {
			due = due.Add(forbiddenRest)
		}
		c.checkLate(o, 2, due, o.polls[i].Began, "poll %d", i+1)
	}
}
