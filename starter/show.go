package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"ringback/internal/operation"
)

// none stands for what is not there, in tables.
const none = "-"

// showState writes an operation's state, for people after a line that says what was done.
func (t *tool) showState(r reply, done string) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var s operation.State
	if err := r.into(&s); err != nil {
		return err
	}
	var b bytes.Buffer
	if done != "" {
		fmt.Fprintf(&b, "%s\n\n", done)
	}
	writeState(&b, s)
	_, err := t.out.Write(b.Bytes())
	return err
}

func writeState(w *bytes.Buffer, s operation.State) {
	table := newTable(w)
	table.row("Operation", s.WorkflowID())
	table.row("Phase", string(s.Phase))
	table.row("Outcome", orNone(string(s.Outcome)))
	table.row("Status", status(s.Status))
	table.row("Polls", fmt.Sprint(s.Polls))
	if s.NextPollAt != nil {
		table.row("Next poll", s.NextPollAt.String())
	}
	if s.Revocation != nil {
		table.row("Revocation", revocation(*s.Revocation))
	}
	if s.Redelivery != nil {
		table.row("Redelivery", redelivery(*s.Redelivery))
	}
	table.row("Run", orNone(s.RunID))
	table.row("UI", orNone(s.UIURL))
	table.flush()
	for _, d := range s.Deliveries {
		fmt.Fprintf(w, "\n%s\n", printable(delivery(d)))
		writeAttempts(w, d.Attempts)
	}
}

func status(s *operation.Status) string {
	if s == nil {
		return "none observed yet"
	}
	parts := []string{orNone(s.Value)}
	if s.Final {
		parts = append(parts, "final")
	}
	parts = append(parts, "observed "+s.ObservedAt.String())
	for _, name := range slices.Sorted(maps.Keys(s.Raw)) {
		parts = append(parts, name+"="+s.Raw[name])
	}
	return strings.Join(parts, ", ")
}

func revocation(r operation.Revocation) string {
	text := "by " + r.InitiatedBy
	if !r.At.IsZero() {
		text += " at " + r.At.String()
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// redelivery is who began this run, and why.
func redelivery(n operation.RedeliveryNote) string {
	text := "by " + orNone(n.By)
	if n.Reason != "" {
		text += ": " + n.Reason
	}
	text += ", of run " + n.PreviousRunID
	if n.BulkRedeliveryID != "" {
		text += ", as part of " + n.BulkRedeliveryID
	}
	return text
}

func delivery(d operation.Delivery) string {
	text := fmt.Sprintf("Delivery %s of status %s: %s", d.CallbackID, orNone(d.Status), d.Outcome)
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	if d.NextAttemptAt != nil {
		text += ", next attempt at " + d.NextAttemptAt.String()
	}
	return text
}

func writeAttempts(w *bytes.Buffer, attempts []operation.Attempt) {
	if len(attempts) == 0 {
		fmt.Fprintln(w, "  no attempt")
		return
	}
	table := newTable(w)
	table.row("  NUMBER", "TIME", "TOOK", "HTTP STATUS", "VERDICT", "REASON")
	for _, a := range attempts {
		verdict, took := string(a.Verdict), fmt.Sprintf("%d ms", a.TookMS)
		if verdict == "" {
			verdict, took = "on its way", none
		}
		httpStatus := none
		if a.HTTPStatus != 0 {
			httpStatus = fmt.Sprint(a.HTTPStatus)
		}
		table.row(fmt.Sprintf("  %d", a.Number), a.At.String(), took, httpStatus, verdict, orNone(a.Reason))
	}
	table.flush()
}

// showPage writes a list, and says beside it whether more would match.
func (t *tool) showPage(page operation.Page, more bool) error {
	if more {
		_, _ = fmt.Fprintln(t.err, "starter: more operations match; raise --limit, or narrow --since and --until")
	}
	if t.output == outputJSON {
		data, err := json.Marshal(page)
		if err != nil {
			return fmt.Errorf("writing the list: %w", err)
		}
		return t.showJSON(reply{body: data})
	}
	if len(page.Operations) == 0 {
		_, err := fmt.Fprintln(t.out, "No operation matches.")
		return err
	}
	var b bytes.Buffer
	writeSummaries(&b, page.Operations)
	_, err := t.out.Write(b.Bytes())
	return err
}

func writeSummaries(b *bytes.Buffer, all []operation.Summary) {
	table := newTable(b)
	table.row("STARTED", "CLOSED", "OPERATION", "STATUS", "PHASE", "OUTCOME")
	for _, s := range all {
		closed := none
		if s.ClosedAt != nil {
			closed = s.ClosedAt.String()
		}
		table.row(s.StartedAt.String(), closed, s.WorkflowID(), orNone(s.Status), string(s.Phase), orNone(string(s.Outcome)))
	}
	table.flush()
}

// showCount writes a count, and says beside it where it counts too many.
func (t *tool) showCount(count operation.OperationsCount, by string) error {
	if !count.Exact {
		t.note("more than 10,000 match: runs were counted, and a redelivered operation has several")
	}
	if t.output == outputJSON {
		data, err := json.Marshal(count)
		if err != nil {
			return fmt.Errorf("writing the count: %w", err)
		}
		return t.showJSON(reply{body: data})
	}
	var b bytes.Buffer
	if by == "" {
		fmt.Fprintln(&b, count.Count)
	} else {
		table := newTable(&b)
		table.row("COUNT", strings.ToUpper(by))
		for _, g := range count.Groups {
			table.row(fmt.Sprint(g.Count), cmp.Or(g.Endpoint, string(g.Outcome), "(open)"))
		}
		table.row(fmt.Sprint(count.Count), "(all)")
		table.flush()
	}
	_, err := t.out.Write(b.Bytes())
	return err
}

// showDetails writes a source's extended answer.
func (t *tool) showDetails(r reply) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var details map[string]json.RawMessage
	if err := r.into(&details); err != nil {
		return err
	}
	var b bytes.Buffer
	table := newTable(&b)
	for _, name := range slices.Sorted(maps.Keys(details)) {
		var text string
		if json.Unmarshal(details[name], &text) != nil {
			text = string(details[name])
		}
		table.row(name, text)
	}
	table.flush()
	_, err := t.out.Write(b.Bytes())
	return err
}

func (t *tool) showPushed(status string) error {
	if t.output == outputJSON {
		return t.showJSON(reply{body: []byte(`{"accepted":true}`)})
	}
	text := "Accepted: the source is polled now."
	if status != "" {
		text = "Accepted: the status is taken as an observation."
	}
	_, err := fmt.Fprintln(t.out, text)
	return err
}

func (t *tool) showReady(r reply) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var health struct {
		Status     string `json:"status"`
		Detail     string `json:"detail"`
		ConfigHash string `json:"config_hash"`
	}
	if err := r.into(&health); err != nil {
		return err
	}
	var b bytes.Buffer
	table := newTable(&b)
	table.row("Status", health.Status)
	if r.status != http.StatusOK {
		table.row("Detail", orNone(health.Detail))
	}
	table.row("Configuration", orNone(health.ConfigHash))
	table.flush()
	_, err := t.out.Write(b.Bytes())
	return err
}

// showJSON writes the API's own JSON, indented.
func (t *tool) showJSON(r reply) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(r.body), "", "  "); err != nil {
		return fmt.Errorf("the API's answer can't be read: %w", err)
	}
	b.WriteByte('\n')
	_, err := t.out.Write(b.Bytes())
	return err
}

// table is a table for people; what others wrote can't steer their terminal.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // into memory: can't fail
}

func (t table) flush() { _ = t.w.Flush() }

// printable is text with what a terminal would obey replaced.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}
