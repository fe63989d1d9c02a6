package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Verdict is what a campaign came to.
type Verdict struct {
	plan.Options
	// Accepted are the operations that an API said yes to, by Outcomes how they
	// ended.
	Accepted int
	Outcomes map[operation.Outcome]int
	// Callbacks are those that the states show, Requests what receivers were
	// sent, Attempts the recorded ones, Polls what cores were asked, Counted what the
	// states count of that, and Calls what the cores asked.
	Callbacks, Requests, Attempts, Polls, Counted, Calls int
	// Deferred are calls that were answered with 429 or 503.
	Deferred int
	// Duplicates came after the receiver's whole answer that it had taken the
	// callback, OwnDuplicates after it had dropped that answer itself.
	Duplicates, OwnDuplicates int
	// Unrecorded are requests beyond the recorded attempts, Unreached recorded
	// attempts that no receiver saw.
	Unrecorded, Unreached int
	// Overdue is how late things were that no fault touched: half of them at most
	// the first, 99 of 100 the second, all of them the third.
	Overdue [3]time.Duration
	Faults  []FaultRow
	// Cries are what is lost or unexplained.
	Cries []Cry
}

// FaultRow is one kind of fault, at one place.
type FaultRow struct {
	Kind, On string
	Times    int
	// Broken is the longest that it lasted, until what was broken was ready again.
	Broken time.Duration
	// Recovery is the longest that something overdue took after that.
	Recovery time.Duration
	// Explained counts what it explains, by what that is.
	Explained map[string]int
}

// Cry is something that is lost, or that nothing explains.
type Cry struct {
	// Lost: it was promised and did not happen. Else it happened and should not.
	Lost bool
	// Promise is its number in the README; 0: none of these.
	Promise int
	Key     operation.Key
	What    string
	// Rule is What without its particulars: the same for all cries of one sort.
	Rule string
	// Timeline is all that the outside saw of the operation, and the faults
	// around it.
	Timeline []string
}

// weight puts what is lost first.
func (c Cry) weight() int {
	if c.Lost {
		return 1
	}
	return 0
}

// Lost counts what was promised and did not happen. It must be 0.
func (v Verdict) Lost() int {
	lost := 0
	for _, cry := range v.Cries {
		if cry.Lost {
			lost++
		}
	}
	return lost
}

// Unexplained counts what happened and should not. It must be 0.
func (v Verdict) Unexplained() int { return len(v.Cries) - v.Lost() }

// Holds reports whether every promise was kept.
func (v Verdict) Holds() bool { return len(v.Cries) == 0 }

func (c *check) summarise() {
	v := &c.verdict
	v.Outcomes = map[operation.Outcome]int{}
	for _, o := range c.operations {
		v.Polls += len(o.polls)
		v.Requests += len(o.requests)
		v.Calls += len(o.calls)
		v.Callbacks += len(o.deliveries)
		for _, d := range o.deliveries {
			v.Attempts += len(d.attempts)
		}
		if _, ok := o.accepted(); ok {
			v.Accepted++
		}
		if o.read != nil && o.read.HTTPStatus == 200 {
			v.Outcomes[o.state().Outcome]++
			v.Counted += o.state().Polls
		}
	}
	slices.Sort(c.overdue)
	if n := len(c.overdue); n > 0 {
		v.Overdue = [3]time.Duration{c.overdue[n/2], c.overdue[n*99/100], c.overdue[n-1]}
	}
	c.summariseFaults()
}

func (c *check) summariseFaults() {
	rows := map[[2]string]*FaultRow{}
	for _, f := range c.faults {
		at := [2]string{f.Kind, unnumbered(f.On)}
		row, known := rows[at]
		if !known {
			row = &FaultRow{Kind: f.Kind, On: at[1], Explained: map[string]int{}}
			rows[at] = row
		}
		row.Times++
		row.Broken = max(row.Broken, f.Ended.Sub(f.Began))
		row.Recovery = max(row.Recovery, f.recovery)
		for of, n := range f.explained {
			row.Explained[string(of)] += n
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(rows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		c.verdict.Faults = append(c.verdict.Faults, *rows[at])
	}
}

// unnumbered is a program or link without which of several it is.
func unnumbered(on string) string {
	from, to, link := strings.Cut(on, ">")
	from, _, _ = strings.Cut(from, "-")
	to, _, _ = strings.Cut(to, "-")
	if link {
		return from + ">" + to
	}
	return from
}

// timeline is all that the outside saw of an operation, in order, with times
// counted from its first entry.
func (c *check) timeline(o *evidence) []string {
	type moment struct {
		at   time.Time
		what string
	}
	var all []moment
	add := func(at time.Time, format string, args ...any) {
		if !at.IsZero() {
			all = append(all, moment{at, fmt.Sprintf(format, args...)})
		}
	}
	for _, call := range o.calls {
		add(call.Began, "%s %s at %s: %d %s %s(took %s)", call.What, call.Status, call.API, call.HTTPStatus, call.Problem, call.Error, lasted(call.Began, call.Ended))
	}
	for _, p := range o.polls {
		add(p.Began, "poll: %q%s (took %s)", p.Status, remarks(p), lasted(p.Began, p.Ended))
	}
	for _, p := range o.pages {
		add(p.Began, "poll: the front answers %q", p.Page)
	}
	for _, r := range o.requests {
		add(r.Began, "request %d about %q: took=%t answered=%t %d (took %s) %s", r.Number, r.Status, r.Took, r.Answered, r.HTTPStatus, lasted(r.Began, r.Ended), r.CallbackID)
	}
	life := o.life()
	for _, f := range c.faults {
		if f.covers(explanation{after: recovers}).meets(life) {
			add(f.Began, "FAULT %s of %s begins", f.Kind, f.On)
			add(f.Ended, "FAULT %s of %s is over", f.Kind, f.On)
		}
	}
	if o.read != nil {
		for _, d := range o.state().Deliveries {
			for _, a := range d.Attempts {
				add(a.At.Time, "  recorded: attempt %d about %q: %s %d in %d ms %s", a.Number, d.Status, a.Verdict, a.HTTPStatus, a.TookMS, a.Reason)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	lines := []string{fmt.Sprintf("%s: %s, receiver %s (first %d, delay %s), known %q, wanted %v",
		o.key.WorkflowID(), o.History, o.Receiver.Manner, o.Receiver.First, o.Receiver.Delay, o.KnownStatus, o.Wanted)}
	for _, m := range all {
		lines = append(lines, clock(m.at)+" "+m.what)
	}
	return append(lines, ended(o))
}

func remarks(p journal.Poll) string {
	switch {
	case p.Repeated:
		return " repeated with its nonce"
	case p.Forbidden:
		return " forbidden"
	}
	return ""
}

func lasted(began, ended time.Time) string {
	if ended.IsZero() {
		return "?"
	}
	return ended.Sub(began).Round(millisecond).String()
}

// ended is the state in one line.
func ended(o *evidence) string {
	if o.read == nil {
		return "state: not read"
	}
	s := o.state()
	line := fmt.Sprintf("state: HTTP %d, %s, outcome %q, status %q, %d polls", o.read.HTTPStatus, s.Phase, s.Outcome, o.value(), s.Polls)
	if s.Revocation != nil {
		line += ", revoked by " + s.Revocation.InitiatedBy
	}
	for _, d := range s.Deliveries {
		line += fmt.Sprintf("; %q %s %s after %d", d.Status, d.Outcome, d.Reason, len(d.Attempts))
	}
	return line
}
