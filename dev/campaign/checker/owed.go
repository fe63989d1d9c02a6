package checker

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// saying is a status that Ringback was told, by an answer or a call.
type saying struct {
	span
	status string
	// how is journal.Push, journal.Revoke or "poll".
	how string
	// sure says that no fault can have kept it from being heard.
	sure bool
}

const poll = "poll"

// sayings are all that Ringback may have heard of an operation's status, in the
// order in which it was said.
func (c *check) sayings(o *evidence) []saying {
	var all []saying
	// The first poll may have been made in a workflow task, and so may the one that
	// repeats it.
	inTask := true
	for _, p := range o.polls {
		s := span{p.Began, latest(p.Began, p.Ended)}
		recorded := s.to
		if inTask {
			recorded = o.taskOf(s.to)
		}
		heard := !p.Ended.IsZero() && c.explain(unread, span{s.from, recorded.Add(settles)}, "") == nil
		inTask = inTask && !heard
		if p.Status != "" {
			all = append(all, saying{s, p.Status, poll, heard})
		}
	}
	for _, call := range o.calls {
		s := span{call.Began, latest(call.Began, call.Ended)}
		switch {
		case refused(call):
		case call.What == journal.Push && call.Status != "":
			all = append(all, saying{s, call.Status, journal.Push, call.HTTPStatus == http.StatusAccepted})
		case call.What == journal.Revoke:
			all = append(all, saying{s, revoked, journal.Revoke, call.HTTPStatus == http.StatusOK})
		}
	}
	slices.SortStableFunc(all, func(a, b saying) int { return a.from.Compare(b.from) })
	return all
}

// taskOf is when the workflow task ended in which a poll ended: with the first
// attempt that follows at once.
func (o *evidence) taskOf(polled time.Time) time.Time {
	for _, r := range o.requests {
		if (span{polled, polled.Add(settles)}).meets(span{r.Began, r.Began}) {
			return r.end()
		}
	}
	return polled
}

// refused says that a call was answered, and changed nothing.
func refused(call journal.Call) bool {
	return call.HTTPStatus >= 400 && call.HTTPStatus < 500
}

// checkOwed holds promise 3: each status that is owed has its delivery.
func (c *check) checkOwed(o *evidence) {
	said := c.sayings(o)
	reported := map[string]bool{}
	for _, s := range said {
		owed := s.sure && o.rules.owes(s.status, o.Wanted) && s.status != o.KnownStatus && !o.delivers(s.status)
		if !owed || reported[s.status] || c.notOwed(o, said, s) {
			continue
		}
		reported[s.status] = true
		c.lost(o, 3, "Ringback was told %q by a %s at %s, and never delivered it", s.status, s.how, clock(s.to))
	}
}

func (o *evidence) delivers(status string) bool {
	return slices.ContainsFunc(o.deliveries, func(d *delivery) bool { return d.Status == status })
}

// notOwed reports whether something else that was said makes it right that s
// has no delivery.
func (c *check) notOwed(o *evidence, said []saying, s saying) bool {
	switch {
	case c.dropped(o, s):
		return true
	case c.withdrawnBefore(o, s):
		return true
	case s.status == revoked && o.state().Revocation != nil && o.silentlyRevoked():
		return true
	}
	// The first final status stands: what was said after it is counted.
	final := o.value()
	return o.rules.isFinal(final) && final != s.status && slices.ContainsFunc(said, func(f saying) bool {
		return f.status == final && !f.from.After(s.to.Add(prompt))
	})
}

// value is the status that the state shows.
func (o *evidence) value() string {
	if s := o.state().Status; s != nil {
		return s.Value
	}
	return ""
}

// silentlyRevoked reports whether the planned revocation is delivered to nobody: the client
// made it itself, or does not want to hear of any.
func (o *evidence) silentlyRevoked() bool {
	return o.Revocation != nil && o.Revocation.InitiatedBy == operation.InitiatedByClient ||
		!o.rules.owes(revoked, o.Wanted)
}

// dropped reports whether an answer may be dropped for good: a final one is asked
// for again.
func (c *check) dropped(o *evidence, s saying) bool {
	return !o.rules.isFinal(s.status) && c.stale(o, s)
}

// stale reports whether an answer may be too old: before it was recorded, or its
// question asked, the core told a status itself.
func (c *check) stale(o *evidence, s saying) bool {
	return s.how == poll && slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return observes(call) && !latest(call.Began, call.Ended).Before(s.from) && c.beforeHeard(s, call)
	})
}

// observes reports whether a call may have told a status.
func observes(call journal.Call) bool {
	return !refused(call) && (call.What == journal.Revoke || call.What == journal.Push && call.Status != "")
}

// withdrawnBefore reports whether a withdrawal was asked for before s was recorded.
func (c *check) withdrawnBefore(o *evidence, s saying) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.What == journal.Withdraw && !refused(call) && c.beforeHeard(s, call)
	})
}

// beforeHeard reports whether a call began before what was said is recorded for
// sure: as late as anything may be, with what a fault adds to that.
func (c *check) beforeHeard(s saying, call journal.Call) bool {
	return !call.Began.After(s.to.Add(prompt)) || c.delaying(s.to, call.Began) != nil
}

// withdrawing reports whether a withdrawal that was not refused was asked for
// until then.
func (o *evidence) withdrawing(until time.Time) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.What == journal.Withdraw && !refused(call) && !call.Began.After(until)
	})
}

// checkSaid holds the other half of promise 3: nothing is delivered that nobody said.
func (c *check) checkSaid(o *evidence) {
	said := c.sayings(o)
	if v := o.value(); v != "" && !saidBefore(said, v, time.Time{}) {
		c.unexplained(o, 2, "its state shows the status %q, which nobody said", v)
	}
	for _, d := range o.deliveries {
		if d.Reason == operation.ReasonPollsUsedUp || d.Reason == operation.ReasonLifetimeOver {
			c.checkUnanswered(o, d)
			continue
		}
		var by time.Time
		if len(d.attempts) > 0 {
			by = d.attempts[0].began()
		}
		switch {
		case !o.rules.owes(d.Status, o.Wanted):
			c.unexplained(o, 3, "there is a delivery about %q, which is not to be delivered", d.Status)
		case d.Status == o.KnownStatus:
			c.unexplained(o, 3, "there is a delivery about %q, which the client knew", d.Status)
		case !saidBefore(said, d.Status, by):
			c.unexplained(o, 3, "there is a delivery about %q, which nobody had said", d.Status)
		}
	}
}

// saidBefore reports whether status was said until by, if by is not zero.
func saidBefore(said []saying, status string, by time.Time) bool {
	return slices.ContainsFunc(said, func(s saying) bool {
		return s.status == status && (by.IsZero() || !s.from.After(by.Add(millisecond)))
	})
}

// checkUnanswered holds that a callback of used-up polls tells the last answer
// read, and none where none was.
func (c *check) checkUnanswered(o *evidence, d *delivery) {
	if !o.rules.deliversUnanswered {
		c.unexplained(o, 3, "the delivery about %q has the reason %s, which delivers nothing here", d.Status, d.Reason)
		return
	}
	may := []string{""}
	for _, s := range c.sayings(o) {
		if s.sure && !c.stale(o, s) {
			may = nil
		}
		may = append(may, s.status)
	}
	// An answer without a status can be the last one read, too.
	empty := slices.ContainsFunc(o.polls, func(p journal.Poll) bool { return p.Status == "" })
	if !slices.Contains(may, d.Status) && !(d.Status == "" && empty) {
		c.unexplained(o, 3, "the callback of %s tells %q, and the last answer read was %s", d.Reason, d.Status, may)
	}
}

// checkSuperseded holds promise 4: what is dropped was dropped for something.
func (c *check) checkSuperseded(o *evidence) {
	for i, d := range o.deliveries {
		if d.Outcome != operation.DeliverySuperseded {
			continue
		}
		if why := o.wrongly(i, d); why != "" {
			c.lost(o, 4, "the delivery about %q is superseded (%s) %s", d.Status, d.Reason, why)
		}
	}
}

// wrongly says why a delivery was not to be superseded, or nothing.
func (o *evidence) wrongly(i int, d *delivery) string {
	switch d.Reason {
	case operation.ReasonWithdrawn:
		if !o.withdrawing(farFuture) {
			return "and nobody withdrew it"
		}
	case operation.ReasonRevoked:
		if o.state().Revocation == nil {
			return "and nobody revoked it"
		}
	default:
		switch {
		case o.rules.isFinal(d.Status):
			return "although it is final"
		case i == len(o.deliveries)-1:
			return "by nothing"
		case o.endpoint.Policy.Supersede == operation.SupersedeEvery:
			return "at an endpoint that queues every one"
		}
	}
	return ""
}

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// unarrivedPolls is the fault for which so many polls did not reach the core. The
// last one of a watch that is over may have come late, and met another.
func (c *check) unarrivedPolls(o *evidence, life span, n int) *fault {
	accepted, ok := o.accepted()
	if !ok || o.rules.isFinal(o.value()) {
		return c.explain(unarrived, life, "")
	}
	lifetime := o.endpoint.Policy.Poll.Lifetime()
	life.to = latest(life.to, accepted.to.Add(lifetime))
	if f := c.explain(unarrived, life, ""); f != nil || n > 1 {
		return f
	}
	return c.lastUnarrived(accepted.from.Add(lifetime), accepted.to.Add(lifetime))
}

// life is from the first call to the last thing that was seen of the operation.
func (o *evidence) life() span {
	s := span{}
	widen := func(from, to time.Time) {
		if s.from.IsZero() || from.Before(s.from) {
			s.from = from
		}
		s.to = latest(s.to, latest(from, to))
	}
	for _, call := range o.calls {
		widen(call.Began, call.Ended)
	}
	for _, p := range o.polls {
		widen(p.Began, p.Ended)
	}
	for _, r := range o.requests {
		widen(r.Began, r.Ended)
	}
	return s
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

func (o *evidence) String() string { return fmt.Sprintf("%s (%s)", o.key.WorkflowID(), o.History) }
