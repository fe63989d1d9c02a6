package checker

import (
	"slices"
	"time"

	"ringback/internal/operation"
)

// returns are when a status was told again after another one, for sure.
func (c *check) returns(o *evidence, status string) []saying {
	var found []saying
	var before string
	known := false
	for _, s := range c.sayings(o) {
		if !s.sure || c.stale(o, s) {
			continue
		}
		if s.status == status && known && before != status {
			found = append(found, s)
		}
		before, known = s.status, known || s.status == status
	}
	return found
}

// mayReturn reports whether status may have been told again after another one,
// also if nobody heard one of them for sure.
func (c *check) mayReturn(o *evidence, status string) bool {
	var told []string
	for _, s := range c.sayings(o) {
		told = append(told, s.status)
	}
	first := slices.Index(told, status)
	if first < 0 {
		return false
	}
	other := slices.IndexFunc(told[first:], func(s string) bool { return s != status })
	return other >= 0 && slices.Contains(told[first+other:], status)
}

// checkOwedAgain holds that a status that comes back is owed again unless the
// client has it: its callback was acknowledged.
func (c *check) checkOwedAgain(o *evidence) {
	if o.endpoint.Policy.Supersede == operation.SupersedeEvery {
		return
	}
	for _, d := range o.deliveries {
		if o.rules.isFinal(d.Status) {
			continue
		}
		for _, back := range c.returns(o, d.Status) {
			if !c.finalBefore(o, back) {
				c.checkTakenUp(o, d, back)
			}
		}
	}
}

// finalBefore reports whether a final status may have been recorded before s: what
// is told after that is counted and not delivered.
func (c *check) finalBefore(o *evidence, s saying) bool {
	return slices.ContainsFunc(c.sayings(o), func(f saying) bool {
		return o.rules.isFinal(f.status) && !f.from.After(s.to)
	})
}

func (c *check) checkTakenUp(o *evidence, d *delivery, back saying) {
	due := o.freeAfter(d, back.to)
	deadline := due.Add(prompt)
	next := c.nextAfter(o, back)
	sent := slices.ContainsFunc(d.requests, func(r *request) bool {
		return r.Took && r.Began.Before(deadline) || !r.Began.Before(back.from)
	})
	if sent || next.Before(deadline) {
		return
	}
	f := c.delaying(due, next)
	if next.Equal(farFuture) || f == nil {
		c.lost(o, 3, "%q was told again at %s, and its callback, which nobody had acknowledged, was not sent again", d.Status, clock(back.to))
		return
	}
	f.explained[late]++
}

// freeAfter is when d may be sent again that is owed from then on: once no other
// request is in flight, and h after its last one.
func (o *evidence) freeAfter(d *delivery, from time.Time) time.Time {
	free := from
	for _, r := range o.requests {
		if !r.Began.After(from) {
			free = latest(free, r.end())
		}
	}
	for _, r := range d.requests {
		if !r.Began.After(from) {
			free = latest(free, r.end().Add(o.endpoint.Policy.Delivery.Interval()))
		}
	}
	return free
}

// nextAfter is when something was told or called that may supersede what was told
// at s.
func (c *check) nextAfter(o *evidence, s saying) time.Time {
	next := farFuture
	for _, later := range c.sayings(o) {
		if later.from.After(s.from) && later.status != s.status && later.from.Before(next) {
			next = later.from
		}
	}
	for _, call := range o.calls {
		if o.endsWatch(call) && call.Began.After(s.from) && call.Began.Before(next) {
			next = call.Began
		}
	}
	return next
}

// wasToldAgain reports whether a callback whose status is d's may be sent again at
// r after a newer one: d's status was told again after what began that newer one.
func (c *check) wasToldAgain(o *evidence, newer *request, r *request) bool {
	said := c.sayings(o)
	var began time.Time
	for _, s := range said {
		if s.status == newer.Status && !s.from.After(newer.Began) {
			began = s.from
		}
	}
	return slices.ContainsFunc(said, func(s saying) bool {
		return s.status == r.Status && s.from.After(began) && !s.from.After(r.Began)
	})
}
