package checker

import (
	"slices"
	"time"
)

// finalDelay is how long a run may take to get a poll's answer from its watch.
const finalDelay = 2 * time.Second

// checkOrder checks promise 4 as receivers see it.
func (c *check) checkOrder(o *evidence) {
	c.checkOneRequestAtATime(o)
	c.checkNoOvertaking(o)
	c.checkOrderOfObservation(o)
}

// checkOneRequestAtATime checks that at most one attempt is in flight.
func (c *check) checkOneRequestAtATime(o *evidence) {
	var before *request
	for _, r := range o.requests {
		if before != nil && before.Ended.After(r.Began) && !c.mayOverlap(o, before, r) {
			c.unexplained(o, 4, "the request at %s about %q came while that at %s about %q was being answered",
				timeOfDay(r.Began), r.Status, timeOfDay(before.Began), before.Status)
		}
		if before == nil || r.Ended.After(before.Ended) {
			before = r
		}
	}
}

// mayOverlap reports whether one of the requests is explained elsewhere, or Ringback
// no longer waited for the first one's answer.
func (c *check) mayOverlap(o *evidence, first, second *request) bool {
	if first.excused != nil || second.excused != nil {
		return true
	}
	a := first.attempt
	if a == nil || a.end().After(second.Began) {
		return false
	}
	return a.TookMS >= o.timeout().Milliseconds() || c.explainLostAnswer(o, a) != nil
}

// checkNoOvertaking checks that no older callback follows a newer one, unless its
// status returned.
func (c *check) checkNoOvertaking(o *evidence) {
	begun := map[string]bool{}
	var current *request // the first request about the current callback
	for _, r := range o.requests {
		if r.excused != nil {
			continue
		}
		changes := current != nil && r.CallbackID != current.CallbackID
		if changes && begun[r.CallbackID] && !c.returnedBetween(o, current, r) {
			c.unexplained(o, 4, "%q was sent again at %s, after a newer callback", r.Status, timeOfDay(r.Began))
			return
		}
		if current == nil || changes {
			current = r
		}
		begun[r.CallbackID] = true
	}
}

// returnedBetween reports whether r's status was observed after that of the newer
// callback and before r.
func (c *check) returnedBetween(o *evidence, newer, r *request) bool {
	all := c.observations(o)
	var newerObserved time.Time
	for _, s := range all {
		if s.status == newer.Status && !s.from.After(newer.Began) {
			newerObserved = s.from
		}
	}
	return slices.ContainsFunc(all, func(s observation) bool {
		return s.status == r.Status && s.from.After(newerObserved) && !s.from.After(r.Began)
	})
}

// checkOrderOfObservation checks that callbacks begin in the order in which their
// statuses were observed. Statuses that return may be listed at either place.
func (c *check) checkOrderOfObservation(o *evidence) {
	for i, d := range o.deliveries {
		for _, later := range o.deliveries[i+1:] {
			if !c.mayReturn(o, d.Status) && !c.mayReturn(o, later.Status) {
				c.checkPairOrder(o, d, later)
			}
		}
	}
}

func (c *check) checkPairOrder(o *evidence, d, later *delivery) {
	first, firstSent := d.firstRequest()
	second, secondSent := later.firstRequest()
	if firstSent && secondSent && second.Before(first) {
		c.unexplained(o, 4, "%q was sent at %s, before %q, which the state lists first", later.Status, timeOfDay(second), d.Status)
		return
	}
	observed, known := c.firstObserved(o, later)
	if o.rules.isFinal(later.Status) {
		observed = observed.Add(finalDelay)
	}
	if known && !observedBy(c.observations(o), d.Status, observed) && !d.endsWatch() {
		c.unexplained(o, 4, "%q is listed before %q, which had been observed first, at %s", d.Status, later.Status, timeOfDay(observed))
	}
}

// firstRequest is when a delivery's first request came.
func (d *delivery) firstRequest() (time.Time, bool) {
	at := slices.IndexFunc(d.requests, func(r *request) bool { return r.excused == nil })
	if at < 0 {
		return time.Time{}, false
	}
	return d.requests[at].Began, true
}
