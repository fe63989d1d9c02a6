package checker

import (
	"slices"
	"time"
)

// checkOrder holds promise 4 as receivers see it: one callback at a time, and
// none before an older one.
func (c *check) checkOrder(o *evidence) {
	c.checkOverlaps(o)
	c.checkOvertaking(o)
	c.checkObservedOrder(o)
}

func (c *check) checkOverlaps(o *evidence) {
	var before *request
	for _, r := range o.requests {
		if before != nil && before.Ended.After(r.Began) && !c.mayOverlap(o, before, r) {
			c.unexplained(o, 4, "the request at %s about %q came while the one at %s about %q was being answered",
				clock(r.Began), r.Status, clock(before.Began), before.Status)
		}
		if before == nil || r.Ended.After(before.Ended) {
			before = r
		}
	}
}

// mayOverlap: one of the two is in no record or came late, which is explained
// elsewhere; or Ringback no longer waited for the first: its time-out was over,
// or the way was cut.
func (c *check) mayOverlap(o *evidence, first, second *request) bool {
	if first.excused != nil || second.excused != nil {
		return true
	}
	a := first.attempt
	if a == nil || a.end().After(second.Began) {
		return false
	}
	return a.TookMS >= o.timeout().Milliseconds() || c.whyUnseen(o, a) != nil
}

// checkOvertaking holds that once a newer callback is sent, no older one is, unless
// its status was told again.
func (c *check) checkOvertaking(o *evidence) {
	begun := map[string]bool{}
	var current *request // the first request of those about one callback
	for _, r := range o.requests {
		if r.excused != nil {
			continue
		}
		again := current != nil && r.CallbackID != current.CallbackID
		if again && begun[r.CallbackID] && !c.wasToldAgain(o, current, r) {
			c.unexplained(o, 4, "%q was sent again at %s, after a newer callback had begun", r.Status, clock(r.Began))
			return
		}
		if current == nil || again {
			current = r
		}
		begun[r.CallbackID] = true
	}
}

// checkObservedOrder holds that callbacks begin in the order in which their
// statuses were observed.
func (c *check) checkObservedOrder(o *evidence) {
	for i, d := range o.deliveries {
		for _, later := range o.deliveries[i+1:] {
			if c.mayReturn(o, d.Status) || c.mayReturn(o, later.Status) {
				continue // which of its beginnings is listed is not to be seen
			}
			first, known := o.firstSentAt(d)
			second, sent := o.firstSentAt(later)
			if known && sent && second.Before(first) {
				c.unexplained(o, 4, "%q was sent at %s, before %q, which had been owed first", later.Status, clock(second), d.Status)
				continue
			}
			said, heard := c.observed(o, later)
			if o.rules.isFinal(later.Status) {
				// Its answer may have been on its way to the run when the other was pushed.
				said = said.Add(finalArrives)
			}
			if heard && !saidBefore(c.sayings(o), d.Status, said) && !d.unasked() {
				c.unexplained(o, 4, "%q was owed before %q, which had been told first, at %s", d.Status, later.Status, clock(said))
			}
		}
	}
}

// finalArrives is how long a run may take to learn what a poll of its watch brought.
const finalArrives = 2 * time.Second

// unasked says that a delivery is about no status that anybody told.
func (d *delivery) unasked() bool { return d.Reason == "polls_used_up" || d.Reason == "lifetime_over" }

// firstSentAt is when a delivery's first request came.
func (o *evidence) firstSentAt(d *delivery) (time.Time, bool) {
	at := slices.IndexFunc(d.requests, func(r *request) bool { return r.excused == nil })
	if at < 0 {
		return time.Time{}, false
	}
	return d.requests[at].Began, true
}
