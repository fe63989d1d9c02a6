package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// redeliveries are the commands about bulk redeliveries that were begun.
func (t *tool) redeliveries() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redeliveries",
		Short: "List, see, follow, stop and resume bulk redeliveries",
		Long: `List the recent bulk redeliveries, newest first; see, follow, stop or resume one.
"starter redeliver" with a filter begins one.`,
		Example: `  starter redeliveries
  starter redeliveries follow rd_mfrggzdfmztwq2lknnwg23tpob`,
		Args: cobra.NoArgs,
		RunE: t.begin(func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			r, err := c.call(cmd.Context(), http.MethodGet, "/v1/redeliveries", nil)
			if err != nil {
				return err
			}
			return t.showRedeliveriesPage(r)
		}),
	}
	cmd.AddCommand(
		t.onRedeliveries("show", "See how far a bulk redelivery has come", "See how far a bulk redelivery has come, and what could not be redelivered.",
			http.MethodGet, ""),
		t.onRedeliveries("stop", "Stop a bulk redelivery", "Stop a bulk redelivery: no further operation is begun; those that were go on by themselves.",
			http.MethodPost, "/stop"),
		t.onRedeliveries("resume", "Resume a bulk redelivery that was stopped", "Resume a bulk redelivery that was stopped: it goes on where it stopped.",
			http.MethodPost, "/resume"),
		t.followCommand())
	return cmd
}

// onRedeliveries is a command that makes one call about a bulk redelivery.
func (t *tool) onRedeliveries(name, short, long, method, rest string) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Long: long,
		Example:           "  starter redeliveries " + name + " rd_mfrggzdfmztwq2lknnwg23tpob",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeRedeliveries,
		RunE: t.begin(func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			r, err := c.call(cmd.Context(), method, redeliveriesPath(args[0])+rest, nil)
			if err != nil {
				return err
			}
			return t.showRedeliveries(r)
		}),
	}
}

func (t *tool) followCommand() *cobra.Command {
	var f following
	cmd := &cobra.Command{
		Use:   "follow ID",
		Short: "Follow a bulk redelivery until it ends or is stopped",
		Long: `Follow a bulk redelivery until it ends or is stopped. Ctrl-C leaves it running.
Exits with 7 where some could not be redelivered, with 8 if it was stopped.`,
		Example:           "  starter redeliveries follow rd_mfrggzdfmztwq2lknnwg23tpob",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeRedeliveries,
	}
	f.flags(cmd)
	cmd.RunE = t.beginUnbounded(func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		c, err := t.client()
		if err != nil {
			return err
		}
		return t.followRedeliveries(cmd.Context(), c, args[0], f)
	})
	return cmd
}

func redeliveriesPath(id string) string { return "/v1/redeliveries/" + url.PathEscape(id) }

// once is one call of a command that is not bounded as a whole.
func (t *tool) once(ctx context.Context, c *client, method, path string, in any) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return c.call(ctx, method, path, in)
}

// followRedeliveries shows the progress of a bulk redelivery until it ends.
func (t *tool) followRedeliveries(ctx context.Context, c *client, id string, f following) error {
	p := t.progress()
	var last operation.BulkRedelivery
	err := t.follow(ctx, f, func(ctx context.Context) (bool, error) {
		r, err := c.call(ctx, http.MethodGet, redeliveriesPath(id), nil)
		if err != nil {
			return false, err
		}
		if err := r.into(&last); err != nil {
			return true, err
		}
		return last.Phase != operation.BulkRedeliveryRunning, p.see(r, last)
	})
	p.close()
	if err != nil && last.ID != "" {
		t.sayHowToGoOn(id)
	}
	if err != nil {
		return err
	}
	if t.output != outputJSON {
		if err := t.writeRedeliveries(last); err != nil {
			return err
		}
	}
	return redeliveriesEnd(last)
}

// sayHowToGoOn is for a person who leaves a bulk redelivery alone.
func (t *tool) sayHowToGoOn(id string) {
	t.note("the bulk redelivery %s goes on without this command\n"+
		"  follow  starter redeliveries follow %[1]s\n"+
		"  stop    starter redeliveries stop %[1]s", printable(id))
}

func redeliveriesEnd(r operation.BulkRedelivery) error {
	switch {
	case r.Phase == operation.BulkRedeliveryStopped:
		return end(exitCutShort, "%s is stopped at %s; resume it with: starter redeliveries resume %s", r.ID, counted(r), r.ID)
	case r.Phase == operation.BulkRedeliveryEnded:
		return end(exitCutShort, "%s was ended by an operator at %s", r.ID, counted(r))
	case r.Failed > 0:
		return end(exitPartly, "%d of %d could not be redelivered", r.Failed, r.Matched)
	}
	return nil
}

func counted(r operation.BulkRedelivery) string {
	return fmt.Sprintf("%d of %d", r.Done+r.Failed+r.Skipped, r.Matched)
}

// progress shows how far a bulk redelivery has come: a bar on a terminal, else
// a line for each change.
type progress struct {
	t    *tool
	bar  *progressbar.ProgressBar
	last operation.BulkRedeliveryProgress
	seen bool
}

func (t *tool) progress() *progress { return &progress{t: t} }

func (p *progress) see(r reply, now operation.BulkRedelivery) error {
	changed := !p.seen || p.last.Done != now.Done || p.last.Failed != now.Failed || p.last.Skipped != now.Skipped
	first := !p.seen
	p.last, p.seen = now.BulkRedeliveryProgress, true
	switch screen := p.t.screen(p.t.err); {
	case p.t.output == outputJSON && (changed || now.Phase != operation.BulkRedeliveryRunning):
		return p.t.showLine(r)
	case p.t.output == outputJSON:
		return nil
	case screen.is():
		return p.draw(now)
	case first:
		_, err := fmt.Fprintf(p.t.out, "%s: %d matched, at most %g a second\n", printable(now.ID), now.Matched, now.RatePerSecond)
		return err
	case changed:
		_, err := fmt.Fprintf(p.t.out, "%s  done %d, failed %d, skipped %d\n", counted(now), now.Done, now.Failed, now.Skipped)
		return err
	}
	return nil
}

func (p *progress) draw(now operation.BulkRedelivery) error {
	if now.Matched == 0 {
		return nil // there is no bar of nothing
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(now.Matched, progressbar.OptionSetWriter(p.t.err), progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetRenderBlankState(true), progressbar.OptionSetDescription(beside(now)))
	}
	p.bar.Describe(beside(now))
	return p.bar.Set(min(now.Done+now.Failed+now.Skipped, now.Matched))
}

// beside is what stands beside the bar.
func beside(r operation.BulkRedelivery) string {
	return fmt.Sprintf("failed %d, skipped %d", r.Failed, r.Skipped)
}

// close leaves the terminal as it was.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (t *tool) showBegun(r reply) error {
	var begun operation.BulkRedelivery
	if err := r.into(&begun); err != nil {
		return err
	}
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	t.sayHowToGoOn(begun.ID)
	return t.writeRedeliveries(begun)
}

func (t *tool) showRedeliveries(r reply) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var found operation.BulkRedelivery
	if err := r.into(&found); err != nil {
		return err
	}
	return t.writeRedeliveries(found)
}

func (t *tool) writeRedeliveries(r operation.BulkRedelivery) error {
	var b bytes.Buffer
	table := newTable(&b)
	table.row("Redelivery", r.ID)
	table.row("Phase", string(r.Phase))
	table.row("Filter", filter(r.Filter))
	table.row("Matched", fmt.Sprint(r.Matched))
	table.row("Done", fmt.Sprint(r.Done))
	table.row("Failed", fmt.Sprint(r.Failed))
	table.row("Skipped", fmt.Sprint(r.Skipped))
	table.row("Rate", fmt.Sprintf("%g a second", r.RatePerSecond))
	by := orNone(r.By)
	if r.Reason != "" {
		by += ": " + r.Reason
	}
	table.row("By", by)
	table.row("Started", r.StartedAt.String())
	if r.EndedAt != nil {
		table.row("Ended", r.EndedAt.String())
	}
	table.row("UI", orNone(r.UIURL))
	table.flush()
	writeFailures(&b, r)
	_, err := t.out.Write(b.Bytes())
	return err
}

func writeFailures(b *bytes.Buffer, r operation.BulkRedelivery) {
	if len(r.Failures) == 0 {
		return
	}
	fmt.Fprintf(b, "\nThe latest %d that could not be redelivered:\n", len(r.Failures))
	table := newTable(b)
	for _, f := range r.Failures {
		table.row("  "+f.WorkflowID(), f.Detail)
	}
	table.flush()
}

// filter is a bulk redelivery's filter in one line.
func filter(f operation.Filter) string {
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"endpoint", f.Endpoint}, {"status", f.Status}, {"outcome", string(f.Outcome)},
	} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	if !f.Since.IsZero() {
		parts = append(parts, "since "+f.Since.String())
	}
	if !f.Until.IsZero() {
		parts = append(parts, "until "+f.Until.String())
	}
	return orNone(strings.Join(parts, ", "))
}

func (t *tool) showDryRun(r reply) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var found operation.DryRun
	if err := r.into(&found); err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Matched: %d runs; those with a newer one would be skipped\n", found.Matched)
	fmt.Fprintf(&b, "Filter:  %s\n", printable(filter(found.Filter)))
	if len(found.Sample) > 0 {
		b.WriteString("\nA sample, newest first:\n")
		writeSummaries(&b, found.Sample)
	}
	_, err := t.out.Write(b.Bytes())
	return err
}

func (t *tool) showRedeliveriesPage(r reply) error {
	if t.output == outputJSON {
		return t.showJSON(r)
	}
	var page operation.BulkRedeliveryPage
	if err := r.into(&page); err != nil {
		return err
	}
	if len(page.Redeliveries) == 0 {
		_, err := fmt.Fprintln(t.out, "No bulk redelivery.")
		return err
	}
	var b bytes.Buffer
	table := newTable(&b)
	table.row("STARTED", "REDELIVERY", "PHASE", "MATCHED", "DONE", "FAILED", "SKIPPED", "BY", "FILTER")
	for _, r := range page.Redeliveries {
		table.row(r.StartedAt.String(), r.ID, string(r.Phase), fmt.Sprint(r.Matched), fmt.Sprint(r.Done),
			fmt.Sprint(r.Failed), fmt.Sprint(r.Skipped), orNone(r.By), filter(r.Filter))
	}
	table.flush()
	_, err := t.out.Write(b.Bytes())
	return err
}

// completeRedeliveries completes the id of a recent bulk redelivery.
func (t *tool) completeRedeliveries(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	c, err := t.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var page operation.BulkRedeliveryPage
	r, err := c.call(ctx, http.MethodGet, "/v1/redeliveries", nil)
	if err != nil || r.into(&page) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids := make([]cobra.Completion, 0, len(page.Redeliveries))
	for _, r := range page.Redeliveries {
		ids = append(ids, cobra.CompletionWithDesc(r.ID, string(r.Phase)+" "+filter(r.Filter)))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
