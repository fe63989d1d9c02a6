package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/torture/journal"
)

const (
	// atMostOne is how far apart two questions about one operation begin at least,
	// however often a core asks for a poll.
	atMostOne = time.Second
	// jitter is how much closer they may be seen to begin: the first may have been
	// on its way for longer than the second.
	jitter = 300 * time.Millisecond
	// ends is how long after the end of a watch its core may still be asked.
	ends = time.Second
	// rests is how long Ringback may leave an operation alone whose question was
	// answered with 403.
	rests = time.Minute
)

// checkQuestions holds promise 2 as the core sees it: what it is asked about one
// operation, how often, how soon and until when.
func (c *check) checkQuestions(o *operation) {
	c.checkCount(o)
	c.checkOneInFlight(o)
	c.checkSoon(o)
	c.checkNoneAfterEnd(o)
	c.checkPages(o)
	for _, p := range o.polls {
		if p.Repeated {
			c.unexplained(o, 2, "the signed question at %s was sent twice with one nonce", clock(p.Began))
		}
	}
}

// asked are the questions that reached the core, each with a nonce of its own.
func (o *operation) asked() []journal.Poll {
	return slices.DeleteFunc(slices.Clone(o.polls), func(p journal.Poll) bool { return p.Repeated })
}

// costless counts the questions that may cost no poll: those that were answered
// with 403, and those whose answer was too old when it came.
func (c *check) costless(o *operation) int {
	n := 0
	for _, p := range o.polls {
		if p.Forbidden {
			n++
		}
	}
	for _, s := range c.sayings(o) {
		if c.stale(o, s) {
			n++
		}
	}
	return n
}

// checkCount holds that the state counts every question that the core was asked,
// and that there are no more than max_polls.
func (c *check) checkCount(o *operation) {
	limit, counted, asked, costless := o.endpoint.Policy.Poll.Limit(), o.state().Polls, len(o.asked()), c.costless(o)
	if arrived := max(asked, len(o.pages)); arrived < counted {
		f := c.unarrivedPolls(o, o.life(), counted-arrived)
		if f == nil {
			f = c.excusing(o, unasked, counted-arrived)
		}
		if f == nil && counted-arrived == 1 && o.endedByCall() {
			// The one that was about to be asked is counted, and the end cancelled it.
			return
		}
		c.excuse(o, f, unarrived, 2, "the core was asked %d times, and the state says %d", asked, counted)
	}
	if beyond := asked - costless - counted; beyond > 0 {
		c.excuse(o, c.excusing(o, uncounted, beyond), uncounted, 2, "the core was asked %d times, and the state says %d", asked, counted)
	}
	if beyond := max(asked, counted) - costless - limit; limit > 0 && beyond > 0 {
		c.excuse(o, c.excusing(o, uncounted, beyond), uncounted, 2,
			"the core was asked %d times, and the state says %d; at most %d were allowed", asked, counted, limit)
	}
}

// excusing is a fault for which there may be n questions more, or fewer, than are
// counted: together with others that befell the operation, if one is not enough.
func (c *check) excusing(o *operation, of anomaly, n int) *fault {
	life := o.life()
	life.to = life.to.Add(settles)
	var found *fault
	for _, f := range c.faults {
		if !f.explains(of, life) {
			continue
		}
		found = f
		if n -= f.questions(o); n <= 0 {
			return found
		}
	}
	return nil
}

// questions is how many questions about an operation a fault makes uncertain: a
// crash the one in flight; a program that is stopped, or an engine that completes
// nothing, the one of each workflow task that times out; a cut each that it met.
func (f *fault) questions(o *operation) int {
	switch f.place {
	case programs:
		return f.losesTasks()
	case cores:
		n := 0
		for _, p := range o.polls {
			if (span{f.Began, f.Ended.Add(settles)}).meets(span{p.Began, latest(p.Began, p.Ended)}) {
				n++
			}
		}
		return n
	case engine, receivers, callers, itself:
	}
	return 2 + int(f.Ended.Sub(f.Began)/task)
}

// endedByCall reports whether something that the core or client called ended the
// watch.
func (o *operation) endedByCall() bool {
	return slices.ContainsFunc(o.calls, o.endsWatch)
}

// endsWatch reports whether a call was answered in a way that ends the watch.
func (o *operation) endsWatch(call journal.Call) bool {
	switch call.What {
	case journal.Revoke, journal.Withdraw:
		return call.HTTPStatus == http.StatusOK
	case journal.Push:
		final := call.HTTPStatus == http.StatusAccepted && o.rules.isFinal(call.Status)
		return final || call.HTTPStatus == http.StatusConflict && call.Problem == problemClosed
	}
	return false
}

// checkOneInFlight holds that the core is asked one question at a time.
func (c *check) checkOneInFlight(o *operation) {
	var before journal.Poll
	for _, p := range o.asked() {
		if before.Ended.After(p.Began) {
			f := c.explain(simultaneous, span{before.Began, p.Began}, "")
			c.excuse(o, f, simultaneous, 2, "the core was asked at %s while the question of %s was being answered", clock(p.Began), clock(before.Began))
		}
		if p.Ended.After(before.Ended) {
			before = p
		}
	}
}

// checkSoon holds that questions are no closer to each other than the policy has
// it, and a second where the core asks for polls. An answer that was too old may
// be asked for again at once, and the last question comes as the lifetime ends.
func (c *check) checkSoon(o *operation) {
	accepted, ok := o.accepted()
	if !ok {
		return
	}
	over := accepted.from.Add(o.endpoint.Policy.Poll.Lifetime() - millisecond)
	floor := min(atMostOne, o.shortestGap()) - jitter
	asked := o.asked()
	for i := 1; i < len(asked); i++ {
		before, p := asked[i-1], asked[i]
		s := span{before.Began, p.Began}
		if gap := p.Began.Sub(before.Began); gap < floor && p.Began.Before(over) && !o.observedIn(s) {
			c.excuse(o, c.explain(soon, s, ""), soon, 2, "the core was asked at %s, %s after the question before",
				clock(p.Began), gap.Round(millisecond))
		}
	}
}

// observedIn reports whether the core told a status itself within s.
func (o *operation) observedIn(s span) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return observes(call) && s.meets(span{call.Began, latest(call.Began, call.Ended)})
	})
}

// checkNoneAfterEnd holds that the core is asked nothing more once the watch is
// over.
func (c *check) checkNoneAfterEnd(o *operation) {
	for _, s := range c.sayings(o) {
		if s.how == poll && s.sure && o.rules.isFinal(s.status) && !c.stale(o, s) {
			c.checkNoneAfter(o, "a final answer", s.to)
		}
	}
	for _, call := range o.calls {
		if o.endsWatch(call) {
			c.checkNoneAfter(o, "the answer to a "+call.What, call.Ended)
		}
	}
}

func (c *check) checkNoneAfter(o *operation, what string, end time.Time) {
	for _, p := range o.asked() {
		if !p.Began.After(end.Add(ends)) {
			continue
		}
		if f := c.explainLate(end, p.Began); f != nil {
			f.explained[late]++
			continue
		}
		c.unexplained(o, 2, "%s at %s ended the watch, and the core was asked again %s later", what, clock(end), p.Began.Sub(end).Round(millisecond))
		return
	}
}

// checkPages holds that a page is nobody's answer: the core behind it is asked at
// the next base URL.
func (c *check) checkPages(o *operation) {
	for _, page := range o.pages {
		round := span{page.Began, page.Began.Add(prompt)}
		if slices.ContainsFunc(o.polls, func(p journal.Poll) bool { return round.meets(span{p.Began, p.Began}) }) {
			continue
		}
		f := c.explain(unfollowed, round, "")
		c.excuse(o, f, unfollowed, 2, "a front answered %q at %s, and the core was not asked at the next base URL", page.Page, clock(page.Began))
	}
}

// shortestGap is the shortest one of the poll policy.
func (o *operation) shortestGap() time.Duration { return slices.Min(o.gaps()) }

func (o *operation) longestGap() time.Duration { return slices.Max(o.gaps()) }

// gaps are the poll policy's.
func (o *operation) gaps() []time.Duration {
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
