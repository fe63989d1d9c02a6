package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
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
func (c *check) checkQuestions(o *evidence) {
	c.checkCount(o)
	c.checkOneInFlight(o)
	c.checkSoon(o)
	c.checkNoneAfterEnd(o)
	c.checkPages(o)
	c.checkNonces(o)
}

// breach is when a rule was broken.
type breach = span

// checkBreaches lets each fault explain as many breaches as it may ask questions,
// and cries once about all others: format takes how many, and the first one's span.
func (c *check) checkBreaches(o *evidence, of anomaly, breaches []breach, format string) {
	explained := map[*fault]int{}
	left := slices.DeleteFunc(breaches, func(b breach) bool {
		at := slices.IndexFunc(c.faults, func(f *fault) bool { return f.explains(of, b) && explained[f] < f.questions(o) })
		if at < 0 {
			return false
		}
		explained[c.faults[at]]++
		c.faults[at].explained[of]++
		return true
	})
	if len(left) > 0 {
		c.unexplained(o, 2, format, len(left), clock(left[0].from), clock(left[0].to))
	}
}

// checkNonces holds that no signed question is sent twice.
func (c *check) checkNonces(o *evidence) {
	var repeated []breach
	for _, p := range o.polls {
		if p.Repeated {
			repeated = append(repeated, breach{p.Began, p.Ended})
		}
	}
	c.checkBreaches(o, nonce, repeated, "the core was asked %d times with a nonce that it knew, first from %s to %s")
}

// asked are the questions that reached the core, each with a nonce of its own.
func (o *evidence) asked() []journal.Poll {
	return slices.DeleteFunc(slices.Clone(o.polls), func(p journal.Poll) bool { return p.Repeated })
}

// costless counts the questions that may cost no poll: those that were answered
// with 403, and those whose answer was too old when it came.
func (c *check) costless(o *evidence) int {
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
func (c *check) checkCount(o *evidence) {
	limit, counted, asked, costless := o.endpoint.Policy.Poll.Limit(), o.state().Polls, len(o.asked()), c.costless(o)
	arrived := asked + len(o.unfollowed())
	// An end that was called for may cancel a question that is counted and not sent.
	if arrived < counted && !(arrived+1 == counted && o.endedByCall()) {
		c.excuse(o, c.whyUnarrived(o, counted-arrived), unarrived, 2, "the core was asked %d times, and the state says %d", asked, counted)
	}
	if beyond := asked - costless - counted; beyond > 0 {
		c.excuse(o, c.excusing(o, uncounted, o.watched(), beyond), uncounted, 2, "the core was asked %d times, and the state says %d", asked, counted)
	}
	if beyond := max(asked, counted) - costless - limit; limit > 0 && beyond > 0 {
		c.excuse(o, c.excusing(o, uncounted, o.watched(), beyond), uncounted, 2,
			"the core was asked %d times, and the state says %d; at most %d were allowed", asked, counted, limit)
	}
}

// whyUnarrived is the fault for which n questions that the state counts did not
// reach the core, or were recorded and never sent.
func (c *check) whyUnarrived(o *evidence, n int) *fault {
	if f := c.unarrivedPolls(o, o.life(), n); f != nil {
		return f
	}
	return c.excusing(o, unasked, o.life(), n)
}

// watched is from the first question to when the last one was recorded at the
// latest.
func (o *evidence) watched() span {
	if len(o.polls) == 0 {
		return o.life()
	}
	last := o.polls[len(o.polls)-1]
	return span{o.polls[0].Began, o.taskOf(latest(last.Began, last.Ended)).Add(settles)}
}

// excusing is a fault within s for which there may be n questions more, or fewer,
// than are counted: together with others, if one is not enough.
func (c *check) excusing(o *evidence, of anomaly, s span, n int) *fault {
	for _, f := range c.faults {
		if !f.explains(of, s) {
			continue
		}
		if n -= f.questions(o); n <= 0 {
			return f
		}
	}
	return nil
}

// questions is how many questions about an operation a fault makes uncertain: a
// crash the one in flight; a program that is stopped, or an engine that completes
// nothing, the one of each workflow task that times out; one of the cores each that it met,
// up to one a second.
func (f *fault) questions(o *evidence) int {
	switch f.place {
	case programs:
		return f.losesTasks()
	case cores:
		n := 0
		for _, p := range slices.Concat(o.polls, o.pages) {
			if (span{f.Began, f.Ended.Add(settles)}).meets(span{p.Began, latest(p.Began, p.Ended).Add(prompt)}) {
				n++
			}
		}
		return min(n, 2+int(f.Ended.Sub(f.Began)/atMostOne))
	case engine, receivers, callers, itself:
	}
	return 2 + int(f.Ended.Sub(f.Began)/task)
}

// endedByCall reports whether something that the core or client called ended the
// watch.
func (o *evidence) endedByCall() bool {
	return slices.ContainsFunc(o.calls, o.endsWatch)
}

// endsWatch reports whether a call was answered in a way that ends the watch.
func (o *evidence) endsWatch(call journal.Call) bool {
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
func (c *check) checkOneInFlight(o *evidence) {
	var before journal.Poll
	var breaches []breach
	for _, p := range o.asked() {
		if before.Ended.After(p.Began) {
			breaches = append(breaches, breach{before.Began, p.Began})
		}
		if p.Ended.After(before.Ended) {
			before = p
		}
	}
	c.checkBreaches(o, simultaneous, breaches, "the core was asked %d times while it was answering, first the question of %s at %s")
}

// checkSoon holds that questions are no closer to each other than the policy has
// it, and a second where the core asks for polls. An answer that was too old may
// be asked for again at once, and the last question comes as the lifetime ends.
func (c *check) checkSoon(o *evidence) {
	accepted, ok := o.accepted()
	if !ok {
		return
	}
	over := accepted.from.Add(o.endpoint.Policy.Poll.Lifetime() - millisecond)
	floor := min(atMostOne, o.shortestGap()) - jitter
	asked := o.asked()
	var breaches []breach
	for i := 1; i < len(asked); i++ {
		s := span{asked[i-1].Began, asked[i].Began}
		if s.to.Sub(s.from) < floor && s.to.Before(over) && !o.observedIn(s) {
			breaches = append(breaches, s)
		}
	}
	c.checkBreaches(o, soon, breaches, "the core was asked %d times too soon, first after the question of %s at %s")
}

// observedIn reports whether the core told a status itself within s.
func (o *evidence) observedIn(s span) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return observes(call) && s.meets(span{call.Began, latest(call.Began, call.Ended)})
	})
}

// checkNoneAfterEnd holds that the core is asked nothing more once the watch is
// over.
func (c *check) checkNoneAfterEnd(o *evidence) {
	end, what := farFuture, ""
	earliest := func(at time.Time, by string) {
		if at.Before(end) {
			end, what = at, by
		}
	}
	for _, s := range c.sayings(o) {
		if s.how == poll && s.sure && o.rules.isFinal(s.status) && !c.stale(o, s) {
			earliest(s.to, "a final answer")
		}
	}
	for _, call := range o.calls {
		if o.endsWatch(call) {
			earliest(call.Ended, "the answer to a "+call.What)
		}
	}
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
func (c *check) checkPages(o *evidence) {
	c.checkBreaches(o, unfollowed, o.unfollowed(), "a front's page was taken for an answer %d times: the core was not asked at the next base URL, first from %s to %s")
}

// unfollowed are the pages after which nobody asked the core, each until then.
func (o *evidence) unfollowed() []breach {
	var found []breach
	for _, page := range o.pages {
		round := span{page.Began, page.Began.Add(prompt)}
		if !slices.ContainsFunc(o.polls, func(p journal.Poll) bool { return round.meets(span{p.Began, p.Began}) }) {
			found = append(found, round)
		}
	}
	return found
}

// shortestGap is the shortest one of the poll policy.
func (o *evidence) shortestGap() time.Duration { return slices.Min(o.gaps()) }

func (o *evidence) longestGap() time.Duration { return slices.Max(o.gaps()) }

// gaps are the poll policy's.
func (o *evidence) gaps() []time.Duration {
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
