// Package checker compares what was seen outside Ringback in a campaign with what
// Ringback promises (docs/promises.md). It reads only the plan and the journals.
//
// A breach of a promise is a finding, unless a fault explains it. What explains
// what, for how long and why, is one table: explanations. Nothing explains what is
// lost. The rules of the cores and dialects are repeated here from their documents,
// and not taken from the code under test.
package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Check compares the journals with the plan and the promises.
func Check(p plan.Plan, entries []journal.Entry) Verdict {
	c := &check{plan: p, operations: map[operation.Key]*evidence{}}
	c.collect(entries)
	c.checkFaults()
	for _, key := range slices.SortedFunc(maps.Keys(c.operations), byWorkflowID) {
		c.checkOperation(c.operations[key])
	}
	return c.result()
}

func byWorkflowID(a, b operation.Key) int { return cmp.Compare(a.WorkflowID(), b.WorkflowID()) }

// check is a check in progress.
type check struct {
	plan       plan.Plan
	operations map[operation.Key]*evidence
	faults     []*fault
	findings   []Finding
	// deferred calls were answered with 429 or 503.
	deferred int
	// receiverDuplicates came after the receiver had dropped its answer.
	receiverDuplicates int
	// unrecordedRequests are beyond the recorded attempts, notReachedAttempts were seen
	// by no receiver.
	unrecordedRequests, notReachedAttempts int
}

func (c *check) collect(entries []journal.Entry) {
	for _, planned := range c.plan.Operations {
		o := c.at(planned.Key())
		o.Operation, o.planned = planned, true
	}
	for _, e := range entries {
		c.add(e)
	}
	c.addLoadFaults()
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

func (c *check) add(e journal.Entry) {
	switch {
	case e.Call != nil:
		o := c.at(e.Call.Key)
		o.calls = append(o.calls, *e.Call)
	case e.Poll != nil && e.Poll.Page != "":
		o := c.at(e.Poll.Key)
		o.pages = append(o.pages, *e.Poll)
	case e.Poll != nil:
		o := c.at(e.Poll.Key)
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

// checkOperation checks each promise for one operation.
func (c *check) checkOperation(o *evidence) {
	if !o.planned {
		c.unexplained(o, 1, "the operation is not in the plan")
		return
	}
	c.checkStarts(o)
	c.checkAnswers(o)
	c.checkFormats(o)
	if !c.checkClosed(o) {
		return
	}
	c.matchRequests(o)
	for _, rule := range []func(*evidence){
		c.checkNothingSentAfterClosed, c.checkDeliveries, c.checkCallbackIDs, c.checkPolls,
		c.checkStatusesAreDelivered, c.checkReturnedStatusesAreDelivered, c.checkDeliveredStatuses, c.checkSuperseded,
		c.checkIntervals, c.checkTiming, c.checkOrder, c.checkDuplicates,
		c.checkOutcome, c.checkRevocation, c.checkWithdrawal,
	} {
		rule(o)
	}
}

// lost records something that was promised and did not happen. Nothing explains it.
func (c *check) lost(o *evidence, promise int, format string, args ...any) {
	c.find(o, true, promise, format, args...)
}

// unexplained records something that must not happen, and that no fault explains.
func (c *check) unexplained(o *evidence, promise int, format string, args ...any) {
	c.find(o, false, promise, format, args...)
}

// unlessExplained counts an anomaly that f explains, and records a finding if f is nil.
func (c *check) unlessExplained(o *evidence, f *fault, of anomaly, promise int, format string, args ...any) {
	if f == nil {
		c.unexplained(o, promise, format, args...)
		return
	}
	f.explained[of]++
}

func (c *check) find(o *evidence, lost bool, promise int, format string, args ...any) {
	c.findings = append(c.findings, Finding{Lost: lost, Promise: promise, Key: o.key, Text: fmt.Sprintf(format, args...), Timeline: c.timeline(o)})
}

// checkFaults checks that each kind of planned fault was injected.
func (c *check) checkFaults() {
	for _, planned := range c.plan.Faults {
		if !slices.ContainsFunc(c.faults, func(f *fault) bool { return f.Kind == string(planned.Kind) }) {
			c.findings = append(c.findings, Finding{Text: fmt.Sprintf("the fault %q was planned and not injected", planned.Kind)})
		}
	}
}
