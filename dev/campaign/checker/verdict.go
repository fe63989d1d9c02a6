package checker

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Verdict is the result of a check.
type Verdict struct {
	Findings []Finding

	options plan.Options
	counts  []count
	faults  map[faultRow][]*fault
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
	// Timeline is everything that was seen of the operation, with the faults.
	Timeline []string
}

func (f Finding) String() string {
	kind := "UNEXPLAINED"
	if f.Lost {
		kind = "LOST"
	}
	return fmt.Sprintf("%s (promise %d): %s: %s", kind, f.Promise, f.Key.WorkflowID(), f.Text)
}

type count struct {
	what  string
	value int
}

// faultRow is a row of the table of faults: one kind at one place.
type faultRow struct{ kind, place string }

// Lost counts what was promised and did not happen. It must be 0.
func (v Verdict) Lost() (lost int) {
	for _, f := range v.Findings {
		if f.Lost {
			lost++
		}
	}
	return lost
}

// Unexplained counts what happened and must not. It must be 0.
func (v Verdict) Unexplained() int { return len(v.Findings) - v.Lost() }

func (c *check) result() Verdict {
	v := Verdict{Findings: c.findings, options: c.plan.Options, counts: c.counts(), faults: map[faultRow][]*fault{}}
	for _, f := range c.faults {
		row := faultRow{f.Kind, string(f.place)}
		v.faults[row] = append(v.faults[row], f)
	}
	return v
}

// counts are what was seen, and of callbacks, attempts and polls what the states say.
func (c *check) counts() []count {
	var accepted, callbacks, attempts, requests, polls, recorded, calls, explained int
	outcomes := map[operation.Outcome]int{}
	for _, o := range c.operations {
		if _, ok := o.accepted(); ok {
			accepted++
		}
		calls += len(o.calls)
		polls += len(o.polls)
		requests += len(o.requests)
		callbacks += len(o.deliveries)
		for _, d := range o.deliveries {
			attempts += len(d.attempts)
		}
		if o.read != nil && o.read.HTTPStatus == http.StatusOK {
			outcomes[o.state().Outcome]++
			recorded += o.state().Polls
		}
	}
	for _, f := range c.faults {
		explained += f.explained[duplicate]
	}
	counts := []count{
		{"operations", len(c.plan.Operations)},
		{"accepted", accepted},
		{"callbacks", callbacks},
		{"attempts recorded", attempts},
		{"requests to receivers", requests},
		{"polls of cores", polls},
		{"polls recorded", recorded},
		{"calls of the API", calls},
		{"calls answered with 429 or 503", c.deferred},
		{"duplicates explained by a fault", explained},
		{"duplicates after the receiver dropped its answer", c.receiverDuplicates},
		{"requests beyond the recorded attempts", c.unrecordedRequests},
		{"recorded attempts that reached no receiver", c.notReachedAttempts},
	}
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		counts = append(counts, count{"ended as " + string(outcome), outcomes[outcome]})
	}
	return counts
}

// maxTimelines is for how many operations the timeline is written.
const maxTimelines = 20

// Write writes the verdict as Markdown tables, and each finding with its operation's
// timeline.
func (v Verdict) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| seed %d, %s | |\n|---|--:|\n", v.options.Seed, v.options.Length)
	for _, row := range v.counts {
		fmt.Fprintf(&b, "| %s | %d |\n", row.what, row.value)
	}
	fmt.Fprintf(&b, "| **lost** | **%d** |\n| **unexplained** | **%d** |\n", v.Lost(), v.Unexplained())
	v.writeFaults(&b)
	v.writeFindings(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the verdict of seed %d: %w", v.options.Seed, err)
	}
	return nil
}

// writeFaults writes for each kind of fault at each place the longest time that it
// lasted, the longest recovery after it, and what it explains.
func (v Verdict) writeFaults(b *strings.Builder) {
	b.WriteString("\n| fault | of | times | longest | longest recovery | explains |\n|---|---|--:|--:|--:|---|\n")
	rows := slices.SortedFunc(maps.Keys(v.faults), func(a, b faultRow) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.place, b.place))
	})
	for _, row := range rows {
		var lasted, recovery time.Duration
		explained := map[anomaly]int{}
		for _, f := range v.faults[row] {
			lasted, recovery = max(lasted, f.Ended.Sub(f.Began)), max(recovery, f.recovery)
			for of, n := range f.explained {
				explained[of] += n
			}
		}
		var explains []string
		for _, of := range slices.Sorted(maps.Keys(explained)) {
			explains = append(explains, fmt.Sprintf("%s: %d", of, explained[of]))
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s |\n", row.kind, row.place, len(v.faults[row]), rounded(lasted), rounded(recovery), strings.Join(explains, ", "))
	}
}

func (v Verdict) writeFindings(b *strings.Builder) {
	written := map[operation.Key]bool{}
	for _, f := range v.Findings {
		fmt.Fprintf(b, "\n%s\n", f)
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
