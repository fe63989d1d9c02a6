package checker

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Check holds what the journals say against what was planned and promised.
func Check(p plan.Plan, entries []journal.Entry) Verdict {
	c := &check{plan: p, operations: map[operation.Key]*evidence{}, verdict: Verdict{Options: p.Options}}
	c.gather(entries)
	c.checkFaults()
	for _, key := range slices.SortedFunc(maps.Keys(c.operations), byWorkflowID) {
		c.one(c.operations[key])
	}
	slices.SortStableFunc(c.verdict.Cries, func(a, b Cry) int { return cmp.Compare(b.weight(), a.weight()) })
	c.summarise()
	return c.verdict
}

func byWorkflowID(a, b operation.Key) int { return cmp.Compare(a.WorkflowID(), b.WorkflowID()) }

// check is one verdict in the making.
type check struct {
	plan       plan.Plan
	operations map[operation.Key]*evidence
	faults     []*fault
	verdict    Verdict
	// overdue are how late things were that no fault touched.
	overdue []time.Duration
}

// operation is all that the outside saw of one.
type evidence struct {
	plan.Operation
	key      operation.Key
	planned  bool
	endpoint plan.Endpoint
	rules    rules

	calls []journal.Call
	// polls are the questions to the core, pages those that a front answered
	// instead of it.
	polls, pages []journal.Poll
	requests     []*request
	read         *journal.State

	deliveries []*delivery
}

// request is one to a receiver, and the recorded attempt that it is.
type request struct {
	journal.Request
	attempt *attempt
	// excused is the fault for which it is in no record, or came late to it.
	excused *fault
}

// end is when its answer was written, or when it began where nobody saw that.
func (r *request) end() time.Time { return latest(r.Began, r.Ended) }

// attempt is one that the API's state shows, and the request that it made.
type attempt struct {
	operation.Attempt
	request *request
}

func (a *attempt) began() time.Time { return a.At.Time }

func (a *attempt) end() time.Time { return a.End().Time }

func (a *attempt) span() span { return span{a.began(), a.end()} }

// interrupted says that nobody saw its end: it is taken to have lasted for its
// time-out (docs/adr/0011).
func (a *attempt) interrupted(timeout time.Duration) bool {
	return a.HTTPStatus == 0 && a.Verdict == operation.Unacknowledged && a.TookMS == timeout.Milliseconds()
}

// delivery is one that the API's state shows.
type delivery struct {
	operation.Delivery
	attempts []*attempt
	requests []*request
}

func (c *check) gather(entries []journal.Entry) {
	for _, planned := range c.plan.Operations {
		o := c.at(operation.Key{Endpoint: planned.Endpoint, OperationID: planned.ID})
		o.Operation, o.planned = planned, true
	}
	for _, e := range entries {
		c.sort(e)
	}
	c.gatherShedding()
	slices.SortFunc(c.faults, func(a, b *fault) int { return a.Began.Compare(b.Began) })
	for _, o := range c.operations {
		slices.SortFunc(o.calls, func(a, b journal.Call) int { return a.Began.Compare(b.Began) })
		slices.SortFunc(o.polls, func(a, b journal.Poll) int { return a.Began.Compare(b.Began) })
		slices.SortFunc(o.requests, func(a, b *request) int { return a.Began.Compare(b.Began) })
	}
}

func (c *check) at(key operation.Key) *evidence {
	if o, known := c.operations[key]; known {
		return o
	}
	o := &evidence{key: key}
	o.endpoint, _ = plan.EndpointByName(key.Endpoint)
	o.rules = rulesFor(o.endpoint.Dialect, o.endpoint.SourceKind)
	c.operations[key] = o
	return o
}

func (c *check) sort(e journal.Entry) {
	switch {
	case e.Call != nil:
		o := c.at(e.Call.Key)
		o.calls = append(o.calls, *e.Call)
	case e.Poll != nil:
		o := c.at(e.Poll.Key)
		if e.Poll.Page != "" {
			o.pages = append(o.pages, *e.Poll)
			return
		}
		o.polls = append(o.polls, *e.Poll)
	case e.Request != nil:
		o := c.at(e.Request.Key)
		o.requests = append(o.requests, &request{Request: *e.Request})
	case e.Fault != nil:
		f := &fault{Fault: *e.Fault, place: placeOf(e.Fault.On), explained: map[anomaly]int{}}
		f.Ended = latest(f.Began, f.Ended)
		c.faults = append(c.faults, f)
	case e.State != nil:
		c.at(e.State.Key).read = e.State
	}
}

// one checks one operation, each promise on its own.
func (c *check) one(o *evidence) {
	if !o.planned {
		c.unexplained(o, 1, "nobody planned this operation")
		return
	}
	c.checkCalls(o)
	c.checkRequests(o)
	if !c.checkEnded(o) {
		return
	}
	c.match(o)
	c.checkClosedCalls(o)
	c.checkRecords(o)
	c.checkIdentity(o)
	c.checkQuestions(o)
	c.checkOwed(o)
	c.checkOwedAgain(o)
	c.checkSaid(o)
	c.checkSuperseded(o)
	c.checkGaps(o)
	c.checkPunctual(o)
	c.checkOrder(o)
	c.checkDuplicates(o)
	c.checkOutcome(o)
	c.checkRevoked(o)
	c.checkWithdrawn(o)
}

func (o *evidence) timeout() time.Duration { return o.endpoint.Policy.Delivery.Timeout() }

func (o *evidence) state() operation.State { return o.read.State }

// lost is for what was promised and did not happen; nothing explains it.
func (c *check) lost(o *evidence, promise int, format string, args ...any) {
	c.cry(o, true, promise, format, args...)
}

func (c *check) unexplained(o *evidence, promise int, format string, args ...any) {
	c.cry(o, false, promise, format, args...)
}

// particulars are the verbs of a format.
var particulars = regexp.MustCompile(`%[a-z]`)

func (c *check) cry(o *evidence, lost bool, promise int, format string, args ...any) {
	c.verdict.Cries = append(c.verdict.Cries, Cry{
		Lost: lost, Promise: promise, Key: o.key, What: fmt.Sprintf(format, args...),
		Rule: particulars.ReplaceAllString(format, "…"), Timeline: c.timeline(o),
	})
}

// excuse counts what a fault explains; without one it cries.
func (c *check) excuse(o *evidence, f *fault, of anomaly, promise int, format string, args ...any) {
	if f == nil {
		c.unexplained(o, promise, format, args...)
		return
	}
	f.explained[of]++
}

// accepted is the span in which the operation was accepted; false if no start
// was answered with yes.
func (o *evidence) accepted() (span, bool) {
	var s span
	for _, call := range o.calls {
		if call.What != journal.Start {
			continue
		}
		switch {
		case call.HTTPStatus == 201:
			return span{call.Began, call.Ended}, true
		case s.from.IsZero():
			s.from = call.Began
		}
		if call.HTTPStatus == 200 && s.to.IsZero() {
			s.to = call.Ended
		}
	}
	return s, !s.to.IsZero()
}

// checkFaults holds that what was planned to break did break.
func (c *check) checkFaults() {
	injected := map[plan.FaultKind]bool{}
	for _, f := range c.faults {
		injected[plan.FaultKind(f.Kind)] = true
	}
	for _, planned := range c.plan.Faults {
		if !injected[planned.Kind] {
			injected[planned.Kind] = true
			c.verdict.Cries = append(c.verdict.Cries, Cry{
				What: fmt.Sprintf("the fault %q was planned and never injected", planned.Kind), Rule: "a fault was planned and never injected",
			})
		}
	}
}
