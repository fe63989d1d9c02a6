// Package ui writes what the Temporal UI shows of a run, as Markdown. It is called
// by workflow code and is deterministic.
package ui

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/internal/pasted"
)

// What is shown at most, the newest first, so that Details.Markdown stays below
// 64 kB whatever k and a receiver's answers are.
const (
	attemptsShown   = operation.AttemptsKept
	deliveriesShown = 12
	codesShown      = 12  // raw codes of an observation
	textShown       = 200 // runes of each piece of text that comes from outside
)

// SignalsShown is how many Signals that were not taken are shown.
const SignalsShown = 5

// Refused is a Signal that was not taken.
type Refused struct {
	At        operation.Time
	Name, Why string
}

// Details is what the Temporal UI shows as a run's current details. A run learns of
// polls and attempts when an activity ends; until then the UI has their record itself.
type Details struct {
	State  operation.State
	Policy operation.Policy
	// Source is the name of the source that is polled.
	Source string
	// PushOnly is as in operation.Rules.
	PushOnly bool
	// AcceptedAt is when the lifetime began.
	AcceptedAt operation.Time
	// PolledAt is when the latest poll began that the run knows of, while it is watched.
	PolledAt operation.Time
	// Refused are the latest Signals that were not taken, oldest first.
	Refused []Refused
	// Namespace is the run's; EarlierRunID the run that this one redelivers, or empty.
	Namespace    string
	EarlierRunID string
	// By is the API key of the redelivery, Reason its reason; BulkRedeliveryWorkflow is
	// the workflow id of the bulk redelivery that it is a part of, or empty.
	By, Reason             string
	BulkRedeliveryWorkflow string
	// Host is that of the redelivery's URL, where it is not the start's.
	Host string
	// ResetFrom is the run that this one is a workflow reset of, or empty.
	ResetFrom string
}

// Markdown is the details as the UI renders them. Text from outside stands in
// code spans, so that a receiver's answer can forge neither table nor link.
func (d Details) Markdown() string {
	var b markdown
	d.headline(&b)
	d.effort(&b)
	d.circumstances(&b)
	deliveries := d.State.Deliveries
	if hidden := len(deliveries) - deliveriesShown; hidden > 0 {
		b.put("\n%d older callbacks are not shown.\n", hidden)
		deliveries = deliveries[hidden:]
	}
	for i, rows := range share(deliveries) {
		writeDelivery(&b, deliveries[i], rows)
	}
	d.advice(&b)
	return string(b)
}

// markdown is what is written so far.
type markdown []byte

// put appends formatted text. Of the fmt functions workflowcheck knows only Sprintf to
// be deterministic.
func (m *markdown) put(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)...) }

func (d Details) headline(b *markdown) {
	s := d.State
	headline := word(s.Outcome)
	if s.Outcome == operation.OutcomeNone {
		headline = word(s.Phase)
	}
	b.put("**%s** · ", headline)
	switch {
	case s.Status == nil:
		b.put("no status observed yet")
	case s.Status.Value == "":
		b.put("an answer without a status, observed %s", s.Status.ObservedAt)
	case s.Status.Final:
		b.put("status %s (final), observed %s", Code(s.Status.Value), s.Status.ObservedAt)
	default:
		b.put("status %s, observed %s", Code(s.Status.Value), s.Status.ObservedAt)
	}
	b.put(" · %s", count(s.Polls, "poll"))
	switch {
	case !d.PolledAt.IsZero():
		b.put(" known, the latest at %s", d.PolledAt)
	case s.Phase == operation.Watching:
		b.put(" known")
	}
	b.put("\n")
}

// circumstances are what has to be known besides.
func (d Details) circumstances(b *markdown) {
	s := d.State
	if s.PollFailure != "" {
		b.put("\nThe latest poll known here brought no status: %s\n", Code(s.PollFailure))
	}
	for _, r := range d.Refused {
		b.put("\nSignal %s at %s was not taken: %s\n", Code(r.Name), r.At, Code(r.Why))
	}
	if s.Status != nil && len(s.Status.Raw) > 0 {
		b.put("\nObserved: %s\n", codes(s.Status.Raw))
	}
	if s.Repeated+s.Contradicted > 0 {
		b.put("\nObserved besides, and not delivered: %s of what the client has, %s against the final status.\n",
			count(s.Repeated, "repeat"), count(s.Contradicted, "contradiction"))
	}
	if r := s.Revocation; r != nil {
		b.put("\nRevoked by %s at %s%s\n", Code(r.InitiatedBy), r.At, because(r.Reason))
	}
	if d.ResetFrom != "" {
		b.put("\nBegun by a workflow reset of [another run](%s): attempts that it made since are not counted here, and have the same callback ids.\n", d.link(d.ResetFrom))
	}
	if d.EarlierRunID != "" {
		b.put("\nA redelivery of [the run before](%s)", d.link(d.EarlierRunID))
		if d.BulkRedeliveryWorkflow != "" {
			b.put(", as a part of [many](%s)", d.workflow(d.BulkRedeliveryWorkflow))
		}
		if d.Host != "" {
			b.put(", to %s instead of the start's URL", Code(d.Host))
		}
		if d.By != "" {
			b.put(", asked for by %s", Code(d.By))
		}
		b.put("%s\n", because(d.Reason))
	}
}

func because(reason string) string {
	if reason == "" {
		return "."
	}
	return ": " + Code(reason)
}

func (d Details) link(runID string) string {
	return d.workflow(d.State.WorkflowID()) + "/" + url.PathEscape(runID) + "/history"
}

func (d Details) workflow(id string) string {
	return "/namespaces/" + url.PathEscape(d.Namespace) + "/workflows/" + url.PathEscape(id)
}

// effort says what an open run is doing, and where to find its newest polls and
// attempts.
func (d Details) effort(b *markdown) {
	switch d.State.Phase {
	case operation.Closed:
		return
	case operation.Watching:
		if d.PushOnly {
			b.put("\nThe source %s is never polled: the core pushes each status, until %s at most.\n",
				Code(d.Source), d.AcceptedAt.Add(d.Policy.Poll.Lifetime()))
			return
		}
		b.put("\nThe polls made by now are in Pending Activities, in the heartbeat details of Watch (`polls`, `next_poll_at`).\n")
		b.put("\nThe source %s is polled %s, until %s at most.\n",
			Code(d.Source), gaps(d.Policy.Poll), d.AcceptedAt.Add(d.Policy.Poll.Lifetime()))
	case operation.OnHold:
		b.put("\nThe endpoint is on hold (`enabled: hold`): no attempt is made until that is changed.\n")
	case operation.Delivering:
		p := d.Policy.Delivery
		b.put("\nThe run knows of no attempt %s. The attempts made by now are in Pending Activities, in the heartbeat details of Deliver (`made`, `next_attempt_at`). The UI's own “Attempt n / %d” counts runs of that activity, not attempts.\n",
			d.unknownSince(), p.Attempts)
		b.put("\nAt most %s, %s apart.\n", count(p.Attempts, "attempt"), p.Interval())
	}
}

// unknownSince says which attempt of the pending delivery is the latest that the run
// knows of.
func (d Details) unknownSince() string {
	for _, pending := range d.State.Deliveries {
		if n := len(pending.Attempts); n > 0 && pending.Outcome == operation.DeliveryPending {
			return fmt.Sprintf("after number %d, of %s", pending.Attempts[n-1].Number, pending.Attempts[n-1].At)
		}
	}
	return "yet"
}

func gaps(p operation.PollPolicy) string {
	if len(p.ScheduleMS) == 0 {
		return "every " + (time.Duration(p.IntervalMS) * time.Millisecond).String()
	}
	return fmt.Sprintf("by its schedule, %s at most", count(p.Limit(), "time"))
}

// share divides the attempts that are shown among the deliveries; the newest
// come first.
func share(deliveries []operation.Delivery) []int {
	rows, left := make([]int, len(deliveries)), attemptsShown
	for i, d := range slices.Backward(deliveries) {
		rows[i] = min(len(d.Attempts), left)
		left -= rows[i]
	}
	return rows
}

func writeDelivery(b *markdown, d operation.Delivery, rows int) {
	about := "without a status"
	if d.Status != "" {
		about = Code(d.Status)
	}
	shown := d.Attempts[len(d.Attempts)-rows:]
	reason := ""
	if d.Reason != "" && (rows == 0 || shown[rows-1].Reason != d.Reason) {
		reason = " (" + Code(d.Reason) + ")"
	}
	host := ""
	if d.Host != "" {
		host = " at " + Code(d.Host)
	}
	b.put("\n#### Callback %s: %s%s\n\n%s%s\n", about, word(d.Outcome), reason, Code(d.CallbackID), host)
	if rows == 0 {
		b.put("\n%s shown.\n", count(0, "attempt"))
		return
	}
	if rows < len(d.Attempts) || shown[0].Number > 1 {
		b.put("\nThe newest %d of %s.\n", rows, count(d.Attempts[len(d.Attempts)-1].Number, "attempt"))
	}
	b.put("\n")
	row(b, "#", "time (UTC)", "HTTP status", "verdict", "first byte", "connection", "reason")
	b.put("|---|---|---|---|---|---|---|\n")
	day := ""
	for _, a := range shown {
		writeAttempt(b, a, &day)
	}
}

// row writes one row of a table. The UI has no space between columns, so each cell but
// the last ends with a no-break space.
func row(b *markdown, cells ...string) {
	b.put("| %s |\n", strings.Join(cells, "\u00A0 | "))
}

// writeAttempt writes one row, with the date where it differs from the previous row's.
func writeAttempt(b *markdown, a operation.Attempt, day *string) {
	status, firstByte, reason, at := "none", "none", "", a.At.UTC().Format("15:04:05.000")
	if a.FirstByteMS != 0 {
		firstByte = strconv.FormatInt(a.FirstByteMS, 10) + " ms"
	}
	if a.HTTPStatus != 0 {
		status = strconv.Itoa(a.HTTPStatus)
	}
	if a.Reason != "" {
		reason = Code(a.Reason)
	}
	verdict := word(a.Verdict)
	if verdict == "" {
		verdict = "in flight"
	}
	if today := a.At.UTC().Format(time.DateOnly); today != *day {
		*day, at = today, today+" "+at
	}
	row(b, strconv.Itoa(a.Number), at, status, verdict, firstByte, connection(a), reason)
}

// connection is how the receiver was reached.
func connection(a operation.Attempt) string {
	if a.RemoteAddress == "" {
		return "none"
	}
	if a.TLSVersion == "" {
		return Code(a.RemoteAddress)
	}
	return Code(a.RemoteAddress) + " " + Code(a.TLSVersion)
}

// advice is how to redeliver, where a callback was not acknowledged.
func (d Details) advice(b *markdown) {
	o := d.State.Outcome
	if o != operation.OutcomeExhausted && o != operation.OutcomeGone && o != operation.OutcomeExpired {
		return
	}
	options := " --reason REASON"
	if o == operation.OutcomeExpired && !d.PushOnly {
		options = " --repoll" + options
	}
	if command, ok := pasted.Command("starter redeliver", d.State.Endpoint, d.State.OperationID); ok && len(command+options) <= textShown {
		b.put("\nRedeliver once the cause is fixed: %s\n", Code(command+options))
		return
	}
	b.put("\nRedeliver once the cause is fixed. No command is shown, because a shell may change this [operation](%s)'s names. Find it with %s.\n",
		d.workflow(d.State.WorkflowID()), Code("starter list --outcome "+string(o)))
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}

// codes are raw codes in a constant order.
func codes(raw map[string]string) string {
	names := workflow.DeterministicKeys(raw)
	words := make([]string, 0, codesShown+1)
	for i, name := range names {
		if i == codesShown {
			words = append(words, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		words = append(words, Code(name+"="+raw[name]))
	}
	return strings.Join(words, " ")
}

// Started is the summary of an operation's run: what its workflow id does not say.
func Started(method, dialect string, p operation.DeliveryPolicy) string {
	if method != "" {
		method = Code(method) + ", "
	}
	return fmt.Sprintf("%sdialect %s, at most %s, %s apart", method, Code(dialect), count(p.Attempts, "attempt"), p.Interval())
}

// Summary is the summary of a workflow or an activity, which the UI renders as Markdown,
// too. Each of its words comes from outside.
func Summary(format string, words ...string) string {
	spans := make([]any, len(words))
	for i, word := range words {
		spans[i] = Code(word)
	}
	return fmt.Sprintf(format, spans...)
}

// Code is text from outside as a code span. It replaces what could end the span or a
// table's cell, break the line or turn the writing direction.
func Code(text string) string {
	var b strings.Builder
	b.WriteByte('`')
	n := 0
	for _, r := range text {
		if n++; n > textShown {
			b.WriteRune('…')
			break
		}
		b.WriteRune(harmless(r))
	}
	if n == 0 {
		b.WriteByte(' ')
	}
	b.WriteByte('`')
	return b.String()
}

func harmless(r rune) rune {
	switch {
	case r == '`':
		return '\''
	case r == '|':
		return '¦'
	case r == '\\': // at the end of a cell it would escape the bar
		return '⧵'
	case !unicode.IsPrint(r): // control and format characters
		return ' '
	}
	return r
}

// word is a word of ours from a record that came as input: as it is where it can be ours.
func word[T ~string](w T) string {
	if strings.Trim(string(w), "abcdefghijklmnopqrstuvwxyz_") == "" {
		return string(w)
	}
	return Code(string(w))
}
