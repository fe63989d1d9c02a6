package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

// arrivalTolerance is how much after an attempt's recorded end its request may be
// seen to arrive, by another process of the same machine.
const arrivalTolerance = 5 * time.Millisecond

// matchRequests finds the recorded attempt of each request. A request or attempt
// without the other needs a fault.
func (c *check) matchRequests(o *evidence) {
	for _, d := range o.state().Deliveries {
		c.addDelivery(o, d)
	}
	for _, r := range o.requests {
		if d := o.deliveryOf(r.CallbackID); d != nil {
			d.requests = append(d.requests, r)
		}
	}
	inTime := func(a *attempt, r *request) bool { return !r.Began.After(a.end().Add(arrivalTolerance)) }
	for _, d := range o.deliveries {
		// A request that was delayed may arrive during a later attempt: prefer the
		// attempt with the same answer.
		d.pair(func(a *attempt, r *request) bool {
			return inTime(a, r) && r.HTTPStatus == a.HTTPStatus && r.Accepted == (a.Verdict == operation.Acknowledged)
		})
		d.pair(inTime)
		d.pair(func(*attempt, *request) bool { return true })
		d.pairLost(o.timeout())
	}
	c.checkUnrecorded(o)
	for _, d := range o.deliveries {
		for _, a := range d.attempts {
			c.checkAttempt(o, d, a)
		}
	}
}

// addDelivery adds a delivery of the state. One whose status returned may be listed
// several times, and is one here.
func (c *check) addDelivery(o *evidence, d operation.Delivery) {
	found := o.deliveryOf(d.CallbackID)
	switch {
	case found == nil:
		found = &delivery{}
		o.deliveries = append(o.deliveries, found)
	case !c.mayReturn(o, d.Status):
		c.unexplained(o, 11, "the callback %s has two deliveries", d.CallbackID)
	}
	found.Delivery = d
	for _, a := range d.Attempts {
		found.attempts = append(found.attempts, &attempt{Attempt: a})
	}
}

// pair pairs requests and attempts that have no partner yet, in order, where the
// attempt began before the request and fits says so.
func (d *delivery) pair(fits func(*attempt, *request) bool) {
	for _, r := range d.requests {
		if r.attempt != nil {
			continue
		}
		for _, a := range d.attempts {
			if a.request == nil && !r.Began.Before(a.began().Add(-millisecond)) && fits(a, r) {
				a.request, r.attempt = r, a
				break
			}
		}
	}
}

// pairLost pairs requests that have no partner yet with later attempts of lost workers: of
// these the state has the latest time at which they may have been made (docs/adr/0003).
func (d *delivery) pairLost(timeout time.Duration) {
	for i, a := range d.attempts {
		if a.request != nil || !a.interrupted(timeout) {
			continue
		}
		at := slices.IndexFunc(d.requests, func(r *request) bool {
			return r.attempt == nil && r.Began.Before(a.began()) && (i == 0 || !r.Began.Before(d.attempts[i-1].end()))
		})
		if at >= 0 {
			a.request, d.requests[at].attempt = d.requests[at], a
		}
	}
}

// checkUnrecorded checks promise 5: each request is a recorded attempt, except where
// a lost workflow task repeats it.
func (c *check) checkUnrecorded(o *evidence) {
	type loss struct {
		by         *fault
		callbackID string
	}
	losses := map[loss]int{}
	for _, r := range o.requests {
		if r.attempt != nil {
			continue
		}
		f := c.explain(unrecorded, span{r.Began, r.end().Add(settleTime)})
		l := loss{f, r.CallbackID}
		losses[l]++
		if f != nil && (f.place == programs && losses[l] > f.lostTasks() || f.place == load && o.repeatedBeforeTimeout(r)) {
			f = nil
		}
		r.excused = f
		c.unrecordedRequests++
		recorded := 0
		if d := o.deliveryOf(r.CallbackID); d != nil {
			recorded = len(d.attempts)
		}
		c.unlessExplained(o, f, unrecorded, 5, "the request at %s about %q is none of the %d recorded attempts", timeOfDay(r.Began), r.Status, recorded)
	}
}

// repeatedBeforeTimeout reports whether a request was repeated before its workflow
// task can have timed out, and no Signal had the server refuse that task.
func (o *evidence) repeatedBeforeTimeout(r *request) bool {
	return slices.ContainsFunc(o.requests, func(other *request) bool {
		return other != r && other.CallbackID == r.CallbackID && other.Began.Sub(r.Began).Abs() < taskTimeout-allowedDelay &&
			!o.signalled(span{r.Began, other.Began})
	})
}

// signalled reports whether a call became a Signal or a cancellation within s, since
// no worker took its Update in time (docs/adr/0008).
func (o *evidence) signalled(s span) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		byUpdate := call.Kind == journal.Push || call.Kind == journal.Withdraw
		return byUpdate && !refused(call) && s.contains(call.Ended) && call.Ended.Sub(call.Began) >= updateTimeout
	})
}

// checkAttempt checks promises 5 and 6: an attempt's record is what the receiver saw.
func (c *check) checkAttempt(o *evidence, d *delivery, a *attempt) {
	r := a.request
	if r == nil {
		c.checkNotReached(o, d, a)
		return
	}
	c.checkArrival(o, d, a)
	acknowledged, unknownEnd := a.Verdict == operation.Acknowledged, a.interrupted(o.timeout())
	switch {
	case a.timedOutDuringAnswer(o.timeout()):
	case acknowledged && !r.Accepted:
		c.lost(o, 6, "attempt %d about %q is recorded as acknowledged, and the receiver did not accept it", a.Number, d.Status)
	case unknownEnd:
		c.unlessExplained(o, c.explainLostAnswer(o, a), interrupted, 5, "attempt %d about %q is recorded as interrupted", a.Number, d.Status)
	case r.Answered && (r.Accepted != acknowledged || r.HTTPStatus != a.HTTPStatus):
		c.unlessExplained(o, c.explainLostAnswer(o, a), answerLost, 6, "attempt %d about %q was answered with %d and is recorded as %s with %d",
			a.Number, d.Status, r.HTTPStatus, a.Verdict, a.HTTPStatus)
	case r.Ended.After(a.end().Add(arrivalTolerance)) && a.TookMS < o.timeout().Milliseconds():
		c.unlessExplained(o, c.explainLostAnswer(o, a), answerLost, 5, "attempt %d about %q is recorded as ended at %s, and the receiver answered at %s",
			a.Number, d.Status, timeOfDay(a.end()), timeOfDay(r.Ended))
	}
}

// checkArrival checks that an attempt's request arrived soon after it began.
func (c *check) checkArrival(o *evidence, d *delivery, a *attempt) {
	r, delay := a.request, a.request.Began.Sub(a.began())
	if delay <= allowedDelay && !r.Began.After(a.end().Add(arrivalTolerance)) {
		return
	}
	r.excused = c.explain(delayed, span{a.began(), r.Began})
	if r.excused == nil && a.interrupted(o.timeout()) && delay <= recordTimeout+allowedDelay {
		r.excused = c.explain(recordDelayed, span{a.began(), r.Began})
	}
	c.unlessExplained(o, r.excused, delayed, 5, "attempt %d about %q began at %s and reached the receiver %s later",
		a.Number, d.Status, timeOfDay(a.began()), delay.Round(millisecond))
}

// explainLostAnswer is the fault that kept the receiver's answer from being recorded.
func (c *check) explainLostAnswer(o *evidence, a *attempt) *fault {
	sent, settled := a.began(), a.request.end().Add(settleTime)
	if a.request.Began.Before(sent) {
		sent = a.request.Began
	}
	if a.interrupted(o.timeout()) {
		recorded := settled
		if !a.request.Accepted {
			recorded = recorded.Add(verdictDelay)
		}
		if f := c.explain(interrupted, span{sent, recorded}); f != nil {
			return f
		}
	}
	return c.explain(answerLost, span{sent, settled})
}

// checkNotReached checks an attempt whose request no receiver saw.
func (c *check) checkNotReached(o *evidence, d *delivery, a *attempt) {
	if a.Verdict == operation.Acknowledged {
		c.lost(o, 6, "attempt %d about %q is recorded as acknowledged, and no receiver saw it", a.Number, d.Status)
		return
	}
	c.notReachedAttempts++
	var f *fault
	if a.interrupted(o.timeout()) {
		// It is sent right after it is recorded, or never.
		f = c.explain(attemptNotSent, span{a.began().Add(-lostRunFound - o.interval()), a.began().Add(settleTime)})
	}
	if f == nil {
		f = c.explain(notReached, span{a.began(), a.end()})
	}
	c.unlessExplained(o, f, notReached, 5, "attempt %d about %q at %s reached no receiver", a.Number, d.Status, timeOfDay(a.began()))
}

// checkDeliveries checks promises 5 and 6 in the state: attempts are numbered, at
// most k, and their verdicts agree with the delivery's outcome.
func (c *check) checkDeliveries(o *evidence) {
	k := o.endpoint.Policy.Delivery.Attempts
	for _, d := range o.deliveries {
		n := len(d.attempts)
		if n > k*c.timesPending(o, d) {
			c.unexplained(o, 5, "the delivery about %q has %d recorded attempts, k is %d", d.Status, n, k)
		}
		for i, a := range d.attempts {
			switch {
			case a.Number != i+1:
				c.unexplained(o, 5, "attempt %d about %q has the number %d", i+1, d.Status, a.Number)
			case a.Verdict == "":
				c.unexplained(o, 5, "attempt %d about %q has no verdict", a.Number, d.Status)
			case a.Verdict == operation.Acknowledged && i < n-1:
				c.unexplained(o, 6, "attempt %d about %q was acknowledged, and another one followed", a.Number, d.Status)
			}
		}
		c.checkDeliveryOutcome(o, d, k)
	}
}

// timesPending is how often a callback may have become pending: once, and each time
// that its status returned.
func (c *check) timesPending(o *evidence, d *delivery) int {
	if !c.mayReturn(o, d.Status) {
		return 1
	}
	n := 0
	before := ""
	for _, s := range c.observations(o) {
		if s.status == d.Status && before != d.Status {
			n++
		}
		before = s.status
	}
	return n
}

func (c *check) checkDeliveryOutcome(o *evidence, d *delivery, k int) {
	n := len(d.attempts)
	acknowledged := n > 0 && d.attempts[n-1].Verdict == operation.Acknowledged
	if acknowledged != (d.Outcome == operation.DeliveryAcknowledged) {
		c.lost(o, 6, "the delivery about %q is %s, and its last attempt's verdict differs", d.Status, d.Outcome)
		return
	}
	switch d.Outcome {
	case operation.DeliveryPending:
		c.lost(o, 3, "the operation is closed, and its delivery about %q is pending", d.Status)
	case operation.DeliveryExhausted:
		if n < k || n > k*c.timesPending(o, d) {
			c.lost(o, 5, "the delivery about %q is exhausted after %d recorded attempts, k is %d", d.Status, n, k)
		}
	case operation.DeliveryGone:
		if n == 0 || d.attempts[n-1].HTTPStatus != http.StatusGone {
			c.lost(o, 6, "the delivery about %q is gone, and no receiver answered with 410", d.Status)
		}
	case operation.DeliveryAcknowledged, operation.DeliverySuperseded:
	}
}

// checkCallbackIDs checks promise 11: a callback keeps its id, status and body. A
// request of a repeated workflow task may have another body, since its poll was
// answered at another time.
func (c *check) checkCallbackIDs(o *evidence) {
	byID, byStatus := map[string]*request{}, map[string]*request{}
	for _, r := range o.requests {
		first, known := byID[r.CallbackID]
		sameStatus, sent := byStatus[r.Status]
		switch {
		case r.CallbackID == "":
			c.unexplained(o, 11, "the request at %s has no webhook-id", timeOfDay(r.Began))
		case known && first.Status != r.Status:
			c.unexplained(o, 11, "the callback id %s is used for %q and %q", r.CallbackID, first.Status, r.Status)
		case sent && sameStatus.CallbackID != r.CallbackID:
			c.unexplained(o, 11, "status %q has the callback ids %s and %s", r.Status, sameStatus.CallbackID, r.CallbackID)
		case known && first.Body != r.Body && first.excused == nil && r.excused == nil:
			c.unexplained(o, 11, "the callback about %q has two bodies", r.Status)
		}
		if !sent {
			byStatus[r.Status] = r
		}
		if !known || first.attempt == nil {
			byID[r.CallbackID] = r
		}
		if d := o.deliveryOf(r.CallbackID); d != nil && d.Status != r.Status {
			c.unexplained(o, 11, "the callback %s is about %q, and its delivery about %q", r.CallbackID, r.Status, d.Status)
		}
	}
}

// checkDuplicates checks promise 11: a callback that was accepted, with the whole
// answer written in time, is sent again only if a fault kept Ringback from knowing.
func (c *check) checkDuplicates(o *evidence) {
	accepted := map[string]*request{}
	for _, r := range o.requests {
		before, again := accepted[r.CallbackID]
		if again {
			c.checkDuplicate(o, before, r)
		}
		if r.Accepted && (!again || !before.Answered) {
			accepted[r.CallbackID] = r
		}
	}
}

func (c *check) checkDuplicate(o *evidence, before, again *request) {
	if !before.Answered || before.attempt != nil && before.attempt.timedOutDuringAnswer(o.timeout()) {
		c.receiverDuplicates++
		return
	}
	f := again.excused
	switch {
	case f != nil:
	case before.attempt == nil:
		f = before.excused
	case before.attempt.Verdict != operation.Acknowledged:
		f = c.explainLostAnswer(o, before.attempt)
	}
	c.unlessExplained(o, f, duplicate, 11, "the receiver accepted %q at %s and answered, and got it again at %s",
		again.Status, timeOfDay(before.Began), timeOfDay(again.Began))
}

// calledAboutAnother reports whether the receiver was called about another status between
// two attempts. Deliveries do not overlap, so the first of the two had ended.
func (o *evidence) calledAboutAnother(status string, before, after *attempt) bool {
	return slices.ContainsFunc(o.requests, func(r *request) bool {
		return r.Status != status && r.Began.After(before.began()) && r.Began.Before(after.began())
	})
}

// checkIntervals checks promise 5: attempts are at least h apart, by the record and
// as the receiver saw them.
func (c *check) checkIntervals(o *evidence) {
	h := o.interval()
	for _, d := range o.deliveries {
		for i := 1; i < len(d.attempts); i++ {
			before, after := d.attempts[i-1], d.attempts[i]
			if o.calledAboutAnother(d.Status, before, after) {
				continue // its status returned, which begins a delivery
			}
			if gap := after.began().Sub(before.end()); gap < h-clockTolerance {
				c.unexplained(o, 5, "attempts %d and %d about %q are recorded %s apart, h is %s", before.Number, after.Number, d.Status, gap, h)
			}
			if before.request == nil || after.request == nil || before.request.Ended.IsZero() {
				continue
			}
			// A receiver may take longer than Ringback waited.
			end := slices.MinFunc([]time.Time{before.request.Ended, before.end()}, time.Time.Compare)
			if gap := after.request.Began.Sub(end); gap < h-millisecond {
				c.unexplained(o, 5, "attempts %d and %d about %q reached the receiver %s apart, h is %s", before.Number, after.Number, d.Status, gap, h)
			}
		}
	}
}
