package checker

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Verdict is the result of a check.
type Verdict struct {
	plan.Options
	// Accepted counts accepted operations, Outcomes how they ended.
	Accepted int
	Outcomes map[operation.Outcome]int
	// Callbacks, Attempts and CountedPolls are from the states. Requests came to
	// receivers, Polls to cores, Calls to the APIs.
	Callbacks, Attempts, CountedPolls int
	Requests, Polls, Calls            int
	// Deferred calls were answered with 429 or 503.
	Deferred int
	// Duplicates came after the receiver had accepted the callback and answered,
	// ReceiverDuplicates after it had dropped its answer.
	Duplicates, ReceiverDuplicates int
	// Unrecorded requests are beyond the recorded attempts; NotReached attempts were
	// seen by no receiver.
	Unrecorded, NotReached int
	// Lateness is how late things were while no fault lasted: median, 99th percentile
	// and maximum.
	Lateness [3]time.Duration
	Faults   []FaultRow
	Findings []Finding
}

// FaultRow sums up one kind of fault at one place.
type FaultRow struct {
	Kind, On string
	Times    int
	// Lasted is the longest duration, Recovery the longest recovery after it.
	Lasted, Recovery time.Duration
	// Explained counts what it explains.
	Explained map[string]int
}

// Finding is a breach of a promise that nothing explains.
type Finding struct {
	// Lost means that something promised did not happen; else something happened that
	// must not.
	Lost bool
	// Promise is its number in docs/promises.md; 0: the API's contract.
	Promise int
	Key     operation.Key
	Text    string
	// Rule is Text without its values: the same for all findings of one rule.
	Rule string
	// Timeline is everything that was seen of the operation, with the faults.
	Timeline []string
}

// weight sorts lost ones first.
func (f Finding) weight() int {
	if f.Lost {
		return 1
	}
	return 0
}

// Lost counts what was promised and did not happen. It must be 0.
func (v Verdict) Lost() (lost int) {
	for _, f := range v.Findings {
		lost += f.weight()
	}
	return lost
}

// Unexplained counts what happened and must not. It must be 0.
func (v Verdict) Unexplained() int { return len(v.Findings) - v.Lost() }

// Holds reports whether every promise was kept.
func (v Verdict) Holds() bool { return len(v.Findings) == 0 }

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
			v.CountedPolls += o.state().Polls
		}
	}
	slices.Sort(c.lateness)
	if n := len(c.lateness); n > 0 {
		v.Lateness = [3]time.Duration{c.lateness[n/2], c.lateness[n*99/100], c.lateness[n-1]}
	}
	c.summariseFaults()
}

func (c *check) summariseFaults() {
	rows := map[[2]string]*FaultRow{}
	for _, f := range c.faults {
		key := [2]string{f.Kind, withoutNumbers(f.On)}
		if rows[key] == nil {
			rows[key] = &FaultRow{Kind: f.Kind, On: key[1], Explained: map[string]int{}}
		}
		row := rows[key]
		row.Times++
		row.Lasted = max(row.Lasted, f.Ended.Sub(f.Began))
		row.Recovery = max(row.Recovery, f.recovery)
		for of, n := range f.explained {
			row.Explained[string(of)] += n
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(rows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		c.verdict.Faults = append(c.verdict.Faults, *rows[key])
	}
}

// withoutNumbers turns "worker-1>temporal" into "worker>temporal".
func withoutNumbers(on string) string {
	ends := strings.Split(on, ">")
	for i, end := range ends {
		ends[i], _, _ = strings.Cut(end, "-")
	}
	return strings.Join(ends, ">")
}

// maxTimelines is for how many operations the timeline is written.
const maxTimelines = 20

// Write writes the verdict as Markdown tables, and each finding with its operation's
// timeline.
func (v Verdict) Write(w io.Writer) error {
	var b strings.Builder
	v.writeCounts(&b)
	v.writeFaults(&b)
	v.writeRules(&b)
	v.writeFindings(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the verdict of seed %d: %w", v.Seed, err)
	}
	return nil
}

func (v Verdict) writeCounts(b *strings.Builder) {
	explained := 0
	for _, f := range v.Faults {
		explained += f.Explained[string(duplicate)]
	}
	fmt.Fprintf(b, "| seed %d, %s | |\n|---|--:|\n", v.Seed, v.Length)
	for _, row := range []struct {
		what  string
		value any
	}{
		{"operations", v.Operations},
		{"accepted", v.Accepted},
		{"callbacks", v.Callbacks},
		{"attempts recorded", v.Attempts},
		{"requests to receivers", v.Requests},
		{"polls of cores", v.Polls},
		{"polls recorded", v.CountedPolls},
		{"calls of the API", v.Calls},
		{"calls answered with 429 or 503", v.Deferred},
		{"duplicates explained by a fault", explained},
		{"duplicates after the receiver dropped its answer", v.ReceiverDuplicates},
		{"requests beyond the recorded attempts", v.Unrecorded},
		{"recorded attempts that reached no receiver", v.NotReached},
		{"lateness without a fault, median", rounded(v.Lateness[0])},
		{"lateness without a fault, p99", rounded(v.Lateness[1])},
		{"lateness without a fault, maximum", rounded(v.Lateness[2])},
	} {
		fmt.Fprintf(b, "| %s | %v |\n", row.what, row.value)
	}
	for _, outcome := range slices.Sorted(maps.Keys(v.Outcomes)) {
		fmt.Fprintf(b, "| ended as %s | %d |\n", outcome, v.Outcomes[outcome])
	}
	fmt.Fprintf(b, "| **lost** | **%d** |\n| **unexplained** | **%d** |\n", v.Lost(), v.Unexplained())
}

func (v Verdict) writeFaults(b *strings.Builder) {
	b.WriteString("\n| fault | of | times | longest | longest recovery | explains |\n|---|---|--:|--:|--:|---|\n")
	for _, f := range v.Faults {
		var explains []string
		for _, of := range slices.Sorted(maps.Keys(f.Explained)) {
			explains = append(explains, fmt.Sprintf("%s: %d", of, f.Explained[of]))
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s |\n", f.Kind, f.On, f.Times, rounded(f.Lasted), rounded(f.Recovery), strings.Join(explains, ", "))
	}
}

// writeRules counts the findings of each rule.
func (v Verdict) writeRules(b *strings.Builder) {
	type rule struct {
		lost    bool
		promise int
		text    string
	}
	times := map[rule]int{}
	var order []rule
	for _, f := range v.Findings {
		r := rule{f.Lost, f.Promise, f.Rule}
		if times[r]++; times[r] == 1 {
			order = append(order, r)
		}
	}
	if len(order) == 0 {
		return
	}
	slices.SortStableFunc(order, func(a, b rule) int { return times[b] - times[a] })
	b.WriteString("\n| finding | promise | lost | times |\n|---|--:|---|--:|\n")
	for _, r := range order {
		lost := ""
		if r.lost {
			lost = "lost"
		}
		fmt.Fprintf(b, "| %s | %d | %s | %d |\n", r.text, r.promise, lost, times[r])
	}
}

func (v Verdict) writeFindings(b *strings.Builder) {
	written := map[operation.Key]bool{}
	for _, f := range v.Findings {
		kind := "UNEXPLAINED"
		if f.Lost {
			kind = "LOST"
		}
		fmt.Fprintf(b, "\n%s", kind)
		if f.Promise != 0 {
			fmt.Fprintf(b, " (promise %d)", f.Promise)
		}
		fmt.Fprintf(b, ": %s: %s\n", f.Key.WorkflowID(), f.Text)
		if written[f.Key] || len(written) >= maxTimelines {
			continue
		}
		written[f.Key] = true
		for _, line := range f.Timeline {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}

func rounded(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// timeline is everything that was seen of an operation, in order.
func (c *check) timeline(o *evidence) []string {
	type event struct {
		at   time.Time
		text string
	}
	var all []event
	add := func(at time.Time, format string, args ...any) {
		all = append(all, event{at, fmt.Sprintf(format, args...)})
	}
	for _, call := range o.calls {
		add(call.Began, "%s %s at %s: %d %s %s(took %s)", call.Kind, call.Status, call.API, call.HTTPStatus, call.Problem, call.Error, took(call.Span))
	}
	for _, p := range o.polls {
		add(p.Began, "poll: %q, forbidden=%t, repeated=%t (took %s)", p.Status, p.Forbidden, p.Repeated, took(p.Span))
	}
	for _, p := range o.pages {
		add(p.Began, "poll: the gateway answers %q", p.Page)
	}
	for _, r := range o.requests {
		add(r.Began, "request %d about %q: accepted=%t answered=%t %d (took %s) %s", r.Number, r.Status, r.Accepted, r.Answered, r.HTTPStatus, took(r.Span), r.CallbackID)
	}
	life := o.life()
	for _, f := range c.faults {
		if (span{f.Began, f.Ended.Add(recoveryTime)}).overlaps(life) {
			add(f.Began, "FAULT %s of %s begins", f.Kind, f.On)
			add(f.Ended, "FAULT %s of %s ends", f.Kind, f.On)
		}
	}
	if o.read != nil {
		for _, d := range o.state().Deliveries {
			for _, a := range d.Attempts {
				add(a.At.Time, "  recorded: attempt %d about %q: %s %d in %d ms %s", a.Number, d.Status, a.Verdict, a.HTTPStatus, a.TookMS, a.Reason)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	lines := []string{fmt.Sprintf("%s: %s, receiver %s (first %d, delay %s), known %q, wanted %v",
		o.key.WorkflowID(), o.History, o.Receiver.Behaviour, o.Receiver.First, o.Receiver.Delay, o.KnownStatus, o.Wanted)}
	for _, e := range all {
		lines = append(lines, timeOfDay(e.at)+" "+e.text)
	}
	return append(lines, o.stateLine())
}

func took(s journal.Span) string {
	if s.Ended.IsZero() {
		return "?"
	}
	return s.Ended.Sub(s.Began).Round(millisecond).String()
}

// stateLine is the state in one line.
func (o *evidence) stateLine() string {
	if o.read == nil {
		return "state: not read"
	}
	s := o.state()
	line := fmt.Sprintf("state: HTTP %d, %s, outcome %q, status %q, %d polls", o.read.HTTPStatus, s.Phase, s.Outcome, o.status(), s.Polls)
	if s.Revocation != nil {
		line += ", revoked by " + s.Revocation.InitiatedBy
	}
	for _, d := range s.Deliveries {
		line += fmt.Sprintf("; %q %s %s after %d", d.Status, d.Outcome, d.Reason, len(d.Attempts))
	}
	return line
}
