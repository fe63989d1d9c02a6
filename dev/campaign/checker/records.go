package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

const (
	// millisecond is how exactly the API shows times.
	millisecond = time.Millisecond
	// arrives is how much later than an attempt's end its request may be seen to
	// have come, by another process of the same machine.
	arrives = 5 * time.Millisecond
)

// match finds the recorded attempt that each request is. What is left over on
// either side needs a fault.
func (c *check) match(o *evidence) {
	for _, d := range o.state().Deliveries {
		c.list(o, d)
	}
	for _, r := range o.requests {
		if d := o.deliveryOf(r.CallbackID); d != nil {
			d.requests = append(d.requests, r)
		}
	}
	for _, d := range o.deliveries {
		// One that was held on its way may come during a later attempt: what is
		// recorded tells which is which.
		d.pair(func(a *attempt, r *request) bool {
			return !r.Began.After(a.end().Add(arrives)) && r.HTTPStatus == a.HTTPStatus && r.Took == (a.Verdict == operation.Acknowledged)
		})
		d.pair(func(a *attempt, r *request) bool { return !r.Began.After(a.end().Add(arrives)) })
		// Those that came after their attempt's end.
		d.pair(func(*attempt, *request) bool { return true })
	}
	c.checkUnrecorded(o)
	for _, d := range o.deliveries {
		for _, a := range d.attempts {
			c.checkAttempt(o, d, a)
		}
	}
}

// list takes a delivery from the state. One whose status came back may be listed
// each time that it was owed, and is one here.
func (c *check) list(o *evidence, d operation.Delivery) {
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

func (o *evidence) deliveryOf(id string) *delivery {
	for _, d := range o.deliveries {
		if d.CallbackID == id {
			return d
		}
	}
	return nil
}

// pair gives requests to attempts that have none, the earliest to the earliest,
// where the attempt began before and fits says so.
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

// checkUnrecorded holds that there are no more requests than recorded attempts,
// but for those that a lost workflow task repeats (promise 5).
func (c *check) checkUnrecorded(o *evidence) {
	type loss struct {
		by         *fault
		callbackID string
	}
	lost := map[loss]int{}
	for _, r := range o.requests {
		if r.attempt != nil {
			continue
		}
		f := c.explain(unrecorded, span{r.Began, r.end().Add(settles)}, "")
		l := loss{f, r.CallbackID}
		if lost[l]++; f != nil && f.place == programs && lost[l] > f.losesTasks() {
			f = nil
		}
		if f != nil && f.place == itself && o.repeatedSoon(r) {
			f = nil
		}
		r.excused = f
		c.verdict.Unrecorded++
		c.excuse(o, f, unrecorded, 5, "the request at %s about %q is in no record of the %d attempts", clock(r.Began), r.Status, recorded(o, r))
	}
}

// repeatedSoon reports whether a request was repeated sooner than a workflow task
// can time out: then it was not lost for an engine that is slow, but refused.
func (o *evidence) repeatedSoon(r *request) bool {
	return slices.ContainsFunc(o.requests, func(again *request) bool {
		after := again.Began.Sub(r.Began)
		return again != r && again.CallbackID == r.CallbackID && after.Abs() < task-prompt
	})
}

// losesTasks is how many workflow tasks of an operation a fault of a program may
// lose, and with each one attempt: a crash the one at hand; a program that is
// stopped is given another each time that one times out, as long as its polls are
// open, and works on all of them when it goes on.
func (f *fault) losesTasks() int {
	if plan.FaultKind(f.Kind) != plan.Freeze {
		return 1
	}
	return 1 + int(f.Ended.Sub(f.Began)/task)
}

func recorded(o *evidence, r *request) int {
	if d := o.deliveryOf(r.CallbackID); d != nil {
		return len(d.attempts)
	}
	return 0
}

// checkAttempt holds that an attempt's record is what the receiver saw.
func (c *check) checkAttempt(o *evidence, d *delivery, a *attempt) {
	if a.request == nil {
		c.checkUnreached(o, d, a)
		return
	}
	r := a.request
	if came := r.Began.Sub(a.began()); came > prompt || r.Began.After(a.end().Add(arrives)) {
		r.excused = c.explain(delayed, span{a.began(), r.Began}, "")
		if r.excused == nil && a.interrupted(o.timeout()) && came <= records+prompt {
			r.excused = c.explain(longRecorded, span{a.began(), r.Began}, "")
		}
		c.excuse(o, r.excused, delayed, 5, "attempt %d about %q began at %s and reached the receiver %s later",
			a.Number, d.Status, clock(a.began()), came.Round(millisecond))
	}
	switch {
	case a.crossed(o.timeout()):
		// Its answer and its time-out met on the way.
	case a.Verdict == operation.Acknowledged && !r.Took:
		c.lost(o, 6, "attempt %d about %q is recorded as acknowledged, and the receiver had not taken it", a.Number, d.Status)
	case a.interrupted(o.timeout()):
		c.excuse(o, c.whyUnseen(o, a), interrupted, 5, "attempt %d about %q is recorded as one whose end nobody saw", a.Number, d.Status)
	case r.Answered && (r.Took != (a.Verdict == operation.Acknowledged) || r.HTTPStatus != a.HTTPStatus):
		c.excuse(o, c.whyUnseen(o, a), unseen, 6, "attempt %d about %q was answered with %d and is recorded as %s with %d",
			a.Number, d.Status, r.HTTPStatus, a.Verdict, a.HTTPStatus)
	case r.Ended.After(a.end().Add(arrives)) && a.TookMS < o.timeout().Milliseconds():
		c.excuse(o, c.whyUnseen(o, a), unseen, 5, "attempt %d about %q is recorded as over at %s, and the receiver answered at %s",
			a.Number, d.Status, clock(a.end()), clock(r.Ended))
	}
}

// crossed reports whether the attempt's time-out was over as its answer left.
func (a *attempt) crossed(timeout time.Duration) bool {
	return a.Verdict == operation.Unacknowledged && a.HTTPStatus == 0 && a.TookMS >= timeout.Milliseconds() &&
		a.request != nil && a.request.Ended.After(a.began().Add(timeout-crosses))
}

// whyUnseen is the fault that kept what the receiver answered from being
// recorded.
func (c *check) whyUnseen(o *evidence, a *attempt) *fault {
	recorded := a.request.end().Add(settles)
	if a.interrupted(o.timeout()) {
		if !a.request.Took {
			// The verdict is recorded with the next attempt, or with the next beat.
			recorded = recorded.Add(beats)
		}
		if f := c.explain(interrupted, span{a.began(), recorded}, ""); f != nil {
			return f
		}
	}
	return c.explain(unseen, span{a.began(), a.request.end().Add(settles)}, "")
}

func (c *check) checkUnreached(o *evidence, d *delivery, a *attempt) {
	if a.Verdict == operation.Acknowledged {
		c.lost(o, 6, "attempt %d about %q is recorded as acknowledged, and no receiver saw it", a.Number, d.Status)
		return
	}
	c.verdict.Unreached++
	f := c.explain(unreached, a.span(), "")
	if a.interrupted(o.timeout()) {
		// It is sent at once after it is recorded, or never.
		if f = c.explain(unsent, span{a.began().Add(-task), a.began().Add(settles)}, ""); f == nil {
			f = c.explain(unreached, a.span(), "")
		}
	}
	c.excuse(o, f, unreached, 5, "attempt %d about %q at %s reached no receiver", a.Number, d.Status, clock(a.began()))
}

// checkRecords holds promise 5 and 6 in the state itself: attempts are numbered,
// there are at most k, and the outcome is what they say.
func (c *check) checkRecords(o *evidence) {
	k := o.endpoint.Policy.Delivery.Attempts
	for _, d := range o.deliveries {
		n := len(d.attempts)
		if n > k*c.timesOwed(o, d) {
			c.unexplained(o, 5, "the delivery about %q has %d recorded attempts, k is %d", d.Status, n, k)
		}
		for i, a := range d.attempts {
			switch {
			case a.Number != i+1:
				c.unexplained(o, 5, "attempt %d about %q has the number %d", i+1, d.Status, a.Number)
			case a.Verdict == "":
				c.unexplained(o, 5, "attempt %d about %q has no verdict", a.Number, d.Status)
			case a.Verdict == operation.Acknowledged && i < n-1:
				c.unexplained(o, 6, "attempt %d about %q was acknowledged, and another one made", a.Number, d.Status)
			}
		}
		c.checkOutcomeOf(o, d, k)
	}
}

// timesOwed is how often a callback may have been owed: once, and each time that its
// status came back.
func (c *check) timesOwed(o *evidence, d *delivery) int {
	if !c.mayReturn(o, d.Status) {
		return 1
	}
	n := 0
	before := ""
	for _, s := range c.sayings(o) {
		if s.status == d.Status && before != d.Status {
			n++
		}
		before = s.status
	}
	return n
}

func (c *check) checkOutcomeOf(o *evidence, d *delivery, k int) {
	n := len(d.attempts)
	acknowledged := n > 0 && d.attempts[n-1].Verdict == operation.Acknowledged
	if acknowledged != (d.Outcome == operation.DeliveryAcknowledged) {
		c.lost(o, 6, "the delivery about %q is %s, and its last attempt was another matter", d.Status, d.Outcome)
		return
	}
	switch d.Outcome {
	case operation.DeliveryPending:
		c.lost(o, 3, "the operation is closed, and its delivery about %q pending", d.Status)
	case operation.DeliveryExhausted:
		if n < k || n > k*c.timesOwed(o, d) {
			c.lost(o, 5, "the delivery about %q is exhausted after %d recorded attempts, k is %d", d.Status, n, k)
		}
	case operation.DeliveryGone:
		if n == 0 || d.attempts[n-1].HTTPStatus != http.StatusGone {
			c.lost(o, 6, "the delivery about %q is gone, and nobody answered 410", d.Status)
		}
	case operation.DeliveryAcknowledged, operation.DeliverySuperseded:
	}
}

// checkIdentity holds that a callback has one id, one status and one body for
// its whole life. A poll that was repeated with its workflow task was answered
// at another moment, which the body may tell.
func (c *check) checkIdentity(o *evidence) {
	byID, byStatus := map[string]*request{}, map[string]*request{}
	for _, r := range o.requests {
		first, known := byID[r.CallbackID]
		named, sent := byStatus[r.Status]
		switch {
		case r.CallbackID == "":
			c.unexplained(o, 11, "the request at %s has no webhook-id", clock(r.Began))
		case known && first.Status != r.Status:
			c.unexplained(o, 11, "the callback id %s stands for %q and %q", r.CallbackID, first.Status, r.Status)
		case sent && named.CallbackID != r.CallbackID:
			c.unexplained(o, 11, "status %q has the callback ids %s and %s", r.Status, named.CallbackID, r.CallbackID)
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
			c.unexplained(o, 11, "the callback %s is about %q, and its state says %q", r.CallbackID, r.Status, d.Status)
		}
	}
}

// checkDuplicates holds promise 11: what a receiver took, its whole answer
// written in time, comes again only if a fault kept Ringback from knowing that.
func (c *check) checkDuplicates(o *evidence) {
	taken := map[string]*request{}
	for _, r := range o.requests {
		before, again := taken[r.CallbackID]
		if again {
			c.checkDuplicate(o, before, r)
		}
		if r.Took && (!again || !before.Answered) {
			taken[r.CallbackID] = r
		}
	}
}

func (c *check) checkDuplicate(o *evidence, before, again *request) {
	if !before.Answered || before.attempt != nil && before.attempt.crossed(o.timeout()) {
		c.verdict.OwnDuplicates++
		return
	}
	c.verdict.Duplicates++
	f := again.excused
	switch {
	case f != nil:
	case before.attempt == nil:
		f = before.excused
	case before.attempt.Verdict == operation.Acknowledged:
		// Ringback knew.
	default:
		f = c.whyUnseen(o, before.attempt)
	}
	c.excuse(o, f, duplicate, 11, "the receiver took %q at %s and answered, and was sent again at %s",
		again.Status, clock(before.Began), clock(again.Began))
}

// checkGaps holds h from below: by the record, and as the receiver saw it.
func (c *check) checkGaps(o *evidence) {
	h := o.endpoint.Policy.Delivery.Interval()
	for _, d := range o.deliveries {
		for i := 1; i < len(d.attempts); i++ {
			before, after := d.attempts[i-1], d.attempts[i]
			if gap := after.began().Sub(before.end()); gap < h-readApart {
				c.unexplained(o, 5, "attempts %d and %d about %q are %s apart by the record, h is %s", before.Number, after.Number, d.Status, gap, h)
			}
			if before.request == nil || after.request == nil || before.request.Ended.IsZero() {
				continue
			}
			// A receiver that nobody waits for any more may go on for a while.
			end := slices.MinFunc([]time.Time{before.request.Ended, before.end()}, time.Time.Compare)
			if gap := after.request.Began.Sub(end); gap < h-millisecond {
				c.unexplained(o, 5, "attempts %d and %d about %q reached the receiver %s apart, h is %s", before.Number, after.Number, d.Status, gap, h)
			}
		}
	}
}
