package checker

import (
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

const (
	// leastPollGap is the time between the beginnings of two polls of one operation,
	// however often a core requests polls.
	leastPollGap = time.Second
	// pollJitter is how much closer two polls may arrive than they were sent.
	pollJitter = 300 * time.Millisecond
	// watchEndDelay is how long after the end of a watch a poll may still arrive.
	watchEndDelay = time.Second
	// forbiddenRest is the longest pause after a poll that was answered with 403.
	forbiddenRest = time.Minute
)

// checkPolls checks promise 2 as the core sees it.
func (c *check) checkPolls(o *evidence) {
	c.checkPollCount(o)
	c.checkOnePollAtATime(o)
	c.checkPollGaps(o)
	c.checkNoPollAfterEnd(o)
	c.checkBreaches(o, pageAccepted, o.acceptedPages(), "%d pages of a gateway were taken for an answer: no poll at the next base URL, first from %s to %s")
	c.checkBreaches(o, nonceReused, o.reusedNonces(), "%d polls came with a used nonce, first from %s to %s")
}

// checkBreaches lets each fault explain as many breaches as it makes polls uncertain,
// and records one finding for the others. format takes their number and the first
// one's span.
func (c *check) checkBreaches(o *evidence, of anomaly, breaches []span, format string) {
	explained := map[*fault]int{}
	left := slices.DeleteFunc(breaches, func(b span) bool {
		at := slices.IndexFunc(c.faults, func(f *fault) bool { return f.explains(of, b) && explained[f] < f.uncertainPolls(o) })
		if at < 0 {
			return false
		}
		explained[c.faults[at]]++
		c.faults[at].explained[of]++
		return true
	})
	if len(left) > 0 {
		c.unexplained(o, 2, format, len(left), timeOfDay(left[0].from), timeOfDay(left[0].to))
	}
}

func (o *evidence) reusedNonces() []span {
	var reused []span
	for _, p := range o.polls {
		if p.Repeated {
			reused = append(reused, span{p.Began, p.Ended})
		}
	}
	return reused
}

// acceptedPages are the pages after which no poll reached the core, each until then.
func (o *evidence) acceptedPages() []span {
	var found []span
	for _, page := range o.pages {
		next := span{page.Began, page.Began.Add(allowedDelay)}
		if !slices.ContainsFunc(o.polls, func(p journal.Poll) bool { return next.contains(p.Began) }) {
			found = append(found, next)
		}
	}
	return found
}

// distinctPolls reached the core, each with a nonce of its own.
func (o *evidence) distinctPolls() []journal.Poll {
	return slices.DeleteFunc(slices.Clone(o.polls), func(p journal.Poll) bool { return p.Repeated })
}

// freePolls counts the polls that may use up none of max_polls: those answered with
// 403, and those whose answer was stale.
func (c *check) freePolls(o *evidence) int {
	n := 0
	for _, p := range o.polls {
		if p.Forbidden {
			n++
		}
	}
	for _, s := range c.observations(o) {
		if c.stale(o, s) {
			n++
		}
	}
	return n
}

// checkPollCount compares the polls that reached the core with the state's count
// and with max_polls.
func (c *check) checkPollCount(o *evidence) {
	limit, counted, seen, free := o.endpoint.Policy.Poll.Limit(), o.state().Polls, len(o.distinctPolls()), c.freePolls(o)
	arrived := seen + len(o.acceptedPages())
	// The end of a watch may cancel a poll that is counted and not sent.
	cancelled := arrived+1 == counted && slices.ContainsFunc(o.calls, o.endsWatch)
	if arrived < counted && !cancelled {
		c.unlessExplained(o, c.explainNotArrived(o, counted-arrived), pollNotArrived, 2, "%d polls reached the core, and the state counts %d", seen, counted)
	}
	if beyond := seen - free - counted; beyond > 0 {
		c.unlessExplained(o, c.explainPolls(o, pollUncounted, o.watched(), beyond), pollUncounted, 2, "%d polls reached the core, and the state counts %d", seen, counted)
	}
	if beyond := max(seen, counted) - free - limit; limit > 0 && beyond > 0 {
		c.unlessExplained(o, c.explainPolls(o, pollUncounted, o.watched(), beyond), pollUncounted, 2,
			"%d polls reached the core, and the state counts %d; max_polls is %d", seen, counted, limit)
	}
}

// explainNotArrived is the fault because of which n counted polls did not reach the
// core, or were not sent.
func (c *check) explainNotArrived(o *evidence, n int) *fault {
	life, lifetime := o.life(), o.endpoint.Policy.Poll.Lifetime()
	accepted, ok := o.accepted()
	withoutFinal := ok && !o.rules.isFinal(o.status())
	if withoutFinal {
		life.to = latest(life.to, accepted.to.Add(lifetime))
	}
	if f := c.explain(pollNotArrived, life); f != nil {
		return f
	}
	if withoutFinal && n == 1 {
		if f := c.explainLastPoll(accepted.from.Add(lifetime), accepted.to.Add(lifetime)); f != nil {
			return f
		}
	}
	return c.explainPolls(o, pollNotSent, o.life(), n)
}

// explainLastPoll is the fault because of which the poll at the end of a lifetime,
// between from and to, did not reach the core. If another fault delayed the poll,
// it may be one that began later.
func (c *check) explainLastPoll(from, to time.Time) *fault {
	if f := c.explain(pollNotArrived, span{from, to.Add(allowedDelay)}); f != nil {
		return f
	}
	for _, f := range c.faults {
		delayed := f.Began.After(to) && c.delaying(f.Began.Add(-millisecond)) != nil
		if delayed && c.explain(pollNotArrived, span{f.Began, f.Began}) == f {
			return f
		}
	}
	return nil
}

// watched is from the first poll to when the last one was recorded at the latest.
func (o *evidence) watched() span {
	if len(o.polls) == 0 {
		return o.life()
	}
	last := o.polls[len(o.polls)-1]
	return span{o.polls[0].Began, o.taskEnd(latest(last.Began, last.Ended)).Add(settleTime)}
}

// explainPolls is a fault within s that, together with others if needed, explains a
// difference of n polls.
func (c *check) explainPolls(o *evidence, of anomaly, s span, n int) *fault {
	for _, f := range c.faults {
		if !f.explains(of, s) {
			continue
		}
		if n -= f.uncertainPolls(o); n <= 0 {
			return f
		}
	}
	return nil
}

// uncertainPolls is how many polls of an operation a fault makes uncertain: a crash
// the one in flight; a freeze or a stalled Temporal the one of each workflow task that
// times out; a fault of the cores those that it met, at most one a second.
func (f *fault) uncertainPolls(o *evidence) int {
	switch f.place {
	case programs:
		return f.lostTasks()
	case cores:
		n := 0
		for _, p := range slices.Concat(o.polls, o.pages) {
			if (span{f.Began, f.Ended.Add(settleTime)}).overlaps(span{p.Began, latest(p.Began, p.Ended).Add(allowedDelay)}) {
				n++
			}
		}
		return min(n, 2+int(f.Ended.Sub(f.Began)/leastPollGap))
	case temporal, receivers, callers, load:
	}
	return 2 + int(f.Ended.Sub(f.Began)/taskTimeout)
}

// lostTasks is how many workflow tasks of one operation a fault of a program may
// lose: a crash one; a frozen program gets another one after each timeout, and works
// on all of them when it goes on.
func (f *fault) lostTasks() int {
	if plan.FaultKind(f.Kind) != plan.Freeze {
		return 1
	}
	return 1 + int(f.Ended.Sub(f.Began)/taskTimeout)
}

// checkOnePollAtATime checks that at most one poll of an operation is in flight.
func (c *check) checkOnePollAtATime(o *evidence) {
	var before journal.Poll
	var breaches []span
	for _, p := range o.distinctPolls() {
		if before.Ended.After(p.Began) {
			breaches = append(breaches, span{before.Began, p.Began})
		}
		if p.Ended.After(before.Ended) {
			before = p
		}
	}
	c.checkBreaches(o, pollsOverlap, breaches, "%d polls came while another was being answered, first after that of %s at %s")
}

// checkPollGaps checks that polls are as far apart as the policy says, and at least a
// second. A stale answer may be polled again at once; the last poll comes at the end
// of the lifetime.
func (c *check) checkPollGaps(o *evidence) {
	accepted, ok := o.accepted()
	if !ok {
		return
	}
	lifetimeEnd := accepted.from.Add(o.endpoint.Policy.Poll.Lifetime() - millisecond)
	least := min(leastPollGap, slices.Min(o.pollGaps())) - pollJitter
	polls := o.distinctPolls()
	var breaches []span
	for i := 1; i < len(polls); i++ {
		s := span{polls[i-1].Began, polls[i].Began}
		if s.to.Sub(s.from) < least && s.to.Before(lifetimeEnd) && !o.statusCalledWithin(s) {
			breaches = append(breaches, s)
		}
	}
	c.checkBreaches(o, pollTooSoon, breaches, "%d polls came too soon, first after that of %s at %s")
}

// statusCalledWithin reports whether a call may have brought a status within s.
func (o *evidence) statusCalledWithin(s span) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return bringsStatus(call) && s.overlaps(span{call.Began, latest(call.Began, call.Ended)})
	})
}

// checkNoPollAfterEnd checks that no poll follows the end of the watch.
func (c *check) checkNoPollAfterEnd(o *evidence) {
	end, what := farFuture, ""
	earliest := func(at time.Time, by string) {
		if at.Before(end) {
			end, what = at, by
		}
	}
	for _, s := range c.observations(o) {
		if s.by == byPoll && s.certain && o.rules.isFinal(s.status) && !c.stale(o, s) {
			earliest(s.to, "a final status")
		}
	}
	for _, call := range o.calls {
		if o.endsWatch(call) {
			earliest(call.Ended, "the answer to a "+call.Kind)
		}
	}
	for _, p := range o.distinctPolls() {
		if !p.Began.After(end.Add(watchEndDelay)) {
			continue
		}
		if f := c.explainLate(end, p.Began); f != nil {
			f.explained[late]++
			continue
		}
		c.unexplained(o, 2, "%s at %s ended the watch, and a poll came %s later", what, timeOfDay(end), p.Began.Sub(end).Round(millisecond))
		return
	}
}

// pollGaps are the policy's.
func (o *evidence) pollGaps() []time.Duration {
	p := o.endpoint.Policy.Poll
	if len(p.ScheduleMS) == 0 {
		return []time.Duration{time.Duration(p.IntervalMS) * time.Millisecond}
	}
	var gaps []time.Duration
	for _, gap := range p.ScheduleMS {
		gaps = append(gaps, time.Duration(gap)*time.Millisecond)
	}
	return gaps
}
