package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"ringback/api/client"
	"ringback/internal/pasted"
)

// bulkRedeliveries are the commands about bulk redeliveries that were begun.
func (t *tool) bulkRedeliveries() *cobra.Command {
	var key string
	var stop bool
	cmd := &cobra.Command{
		Use:   "redeliveries",
		Short: "List, see, follow, stop and resume bulk redeliveries",
		Long: `List the recent bulk redeliveries, newest first; see, follow, stop or resume one.
"starter redeliver" with a filter begins one. With --key, those that an API key
started, all of them; --stop stops them, for a key that was revoked.`,
		Example: `  starter redeliveries
  starter redeliveries --key engineers --stop
  starter redeliveries follow rd_mfrggzdfmztwq2lknnwg23tpob`,
		Args: subcommandsOnly,
		RunE: t.withAPI(func(ctx context.Context, api *client.Client, _ []string) error {
			if stop && key == "" {
				return usage("--stop needs --key: a bulk redelivery alone is stopped by starter redeliveries stop ID")
			}
			page, err := api.BulkRedeliveries(ctx, key)
			if err != nil {
				return err
			}
			if stop {
				err = stopRunning(ctx, api, page)
			}
			return errors.Join(t.show(page, func(w io.Writer) { writeBulkRedeliveries(w, page) }), err)
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", "only those that this API `KEY` started: its name, or its id in the audit")
	cmd.Flags().BoolVar(&stop, "stop", false, "stop those of --key that are running")
	cmd.AddCommand(
		t.bulkCommand("show", "See how far a bulk redelivery has come", "See how far a bulk redelivery has come, and what could not be redelivered.",
			(*client.Client).BulkRedelivery),
		t.bulkCommand("stop", "Stop a bulk redelivery", "Stop a bulk redelivery: no further operation is begun; those that were go on by themselves.",
			(*client.Client).StopBulkRedelivery),
		t.bulkCommand("resume", "Resume a bulk redelivery that was stopped", "Resume a bulk redelivery that was stopped: it goes on where it stopped.",
			(*client.Client).ResumeBulkRedelivery),
		t.followCommand())
	return cmd
}

// stopRunning stops those of page that are running, and puts what they are then into
// page. One that can't be stopped keeps none of the others from it.
func stopRunning(ctx context.Context, api *client.Client, page client.BulkRedeliveries) (failed error) {
	for i, r := range page.Redeliveries {
		if r.Phase != client.BulkRedeliveryRunning {
			continue
		}
		stopped, err := api.StopBulkRedelivery(ctx, r.ID)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("stopping %s: %w", r.ID, err))
			continue
		}
		page.Redeliveries[i] = stopped
	}
	return failed
}

// bulkCommand is a command that makes one call about a bulk redelivery.
func (t *tool) bulkCommand(name, short, long string, call func(api *client.Client, ctx context.Context, id string) (client.BulkRedelivery, error)) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Long: long,
		Example: "  starter redeliveries " + name + " rd_mfrggzdfmztwq2lknnwg23tpob",
		Args:    cobra.ExactArgs(1),
		RunE: t.withAPI(func(ctx context.Context, api *client.Client, args []string) error {
			found, err := call(api, ctx, args[0])
			if err != nil {
				return err
			}
			return t.showBulkRedelivery(found)
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
		Example: "  starter redeliveries follow rd_mfrggzdfmztwq2lknnwg23tpob",
		Args:    cobra.ExactArgs(1),
		RunE: t.withAPI(func(ctx context.Context, api *client.Client, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return t.followBulkRedelivery(ctx, api, args[0], f)
		}),
	}
	f.flags(cmd)
	return cmd
}

// followBulkRedelivery shows the progress of a bulk redelivery until it ends.
func (t *tool) followBulkRedelivery(ctx context.Context, api *client.Client, id string, f following) error {
	p := progress{tool: t}
	err := t.follow(ctx, f, func(ctx context.Context) (bool, error) {
		now, err := api.BulkRedelivery(ctx, id)
		if err != nil {
			return false, err
		}
		err = p.show(now)
		return now.Phase != client.BulkRedeliveryRunning || err != nil, err
	})
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	if err != nil {
		if p.last.ID != "" {
			t.noteHowToContinue(id)
		}
		return err
	}
	if t.output == outputTable {
		if err := t.showBulkRedelivery(p.last); err != nil {
			return err
		}
	}
	return bulkExit(p.last)
}

func (t *tool) noteHowToContinue(id string) {
	t.note("the bulk redelivery %s goes on without this command\n"+
		"  follow  %s\n"+
		"  stop    %s", printable(id), bulkCommand("follow", id), bulkCommand("stop", id))
}

// bulkCommand is the command to paste for one bulk redelivery, or the one that finds it.
func bulkCommand(name, id string) string {
	if command, ok := pasted.Command("starter redeliveries "+name, id); ok {
		return command
	}
	return "starter redeliveries"
}

// bulkExit is nil where every operation was redelivered or skipped.
func bulkExit(r client.BulkRedelivery) error {
	switch {
	case r.Phase == client.BulkRedeliveryStopped:
		return exit(exitCutShort, "%s is stopped at %s; resume it with: %s",
			printable(r.ID), processed(r), bulkCommand("resume", r.ID))
	case r.Phase == client.BulkRedeliveryEnded:
		return exit(exitCutShort, "%s was ended by an operator at %s", printable(r.ID), processed(r))
	case r.Failed > 0:
		return exit(exitPartly, "%d of %d could not be redelivered", r.Failed, r.Matched)
	}
	return nil
}

func processed(r client.BulkRedelivery) string {
	of := fmt.Sprint(r.Matched)
	if !r.Exact {
		of = "at most " + of
	}
	return fmt.Sprintf("%d of %s", r.Done+r.Failed+r.Skipped, of)
}

// progress shows how far a bulk redelivery has come: a bar on a terminal, else a
// line for each change.
type progress struct {
	*tool
	bar  *progressbar.ProgressBar
	last client.BulkRedelivery
}

func (p *progress) show(now client.BulkRedelivery) (err error) {
	first := p.last.ID == ""
	changed := first || p.last.Done != now.Done || p.last.Failed != now.Failed || p.last.Skipped != now.Skipped
	p.last = now
	switch {
	case p.output == outputJSON:
		if changed || now.Phase != client.BulkRedeliveryRunning {
			return p.writeJSON(now, "")
		}
	case p.draws(p.err):
		return p.draw(now)
	case first:
		_, err = fmt.Fprintf(p.out, "%s: %s, at most %g a second\n", printable(now.ID), operations(now.Matched, now.Exact), now.RatePerSecond)
	case changed:
		_, err = fmt.Fprintf(p.out, "%s  done %d, failed %d, skipped %d\n", processed(now), now.Done, now.Failed, now.Skipped)
	}
	return err
}

func (p *progress) draw(now client.BulkRedelivery) error {
	if now.Matched == 0 {
		return nil // a bar needs a length
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(now.Matched, progressbar.OptionSetWriter(p.err), progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetRenderBlankState(true))
	}
	p.bar.Describe(fmt.Sprintf("failed %d, skipped %d", now.Failed, now.Skipped))
	return p.bar.Set(min(now.Done+now.Failed+now.Skipped, now.Matched))
}

func (t *tool) showBulkRedelivery(r client.BulkRedelivery) error {
	return t.show(r, func(w io.Writer) {
		table := rows{
			{"Redelivery", r.ID},
			{"Phase", string(r.Phase)},
			{"Filter", describeFilter(r.Filter)},
			{"Matched", operations(r.Matched, r.Exact)},
			{"Done", fmt.Sprint(r.Done)},
			{"Failed", fmt.Sprint(r.Failed)},
			{"Skipped", fmt.Sprint(r.Skipped)},
			{"Rate", fmt.Sprintf("%g a second", r.RatePerSecond)},
			{"By", withReason(orNone(r.By), r.Reason)},
			{"Started", r.StartedAt.String()},
		}
		if r.EndedAt != nil {
			table.add("Ended", r.EndedAt.String())
		}
		table.add("UI", orNone(r.UIURL))
		table.write(w)
		if len(r.Failures) == 0 {
			return
		}
		_, _ = fmt.Fprintf(w, "\nThe latest %d that could not be redelivered:\n", len(r.Failures))
		var failures rows
		for _, f := range r.Failures {
			failures.add("  "+f.WorkflowID(), f.Detail)
		}
		failures.write(w)
	})
}

func writeBulkRedeliveries(w io.Writer, page client.BulkRedeliveries) {
	if len(page.Redeliveries) == 0 {
		_, _ = fmt.Fprintln(w, "No bulk redelivery.")
		return
	}
	table := rows{{"STARTED", "REDELIVERY", "PHASE", "MATCHED", "DONE", "FAILED", "SKIPPED", "BY", "FILTER"}}
	for _, r := range page.Redeliveries {
		table.add(r.StartedAt.String(), r.ID, string(r.Phase), fmt.Sprint(r.Matched), fmt.Sprint(r.Done),
			fmt.Sprint(r.Failed), fmt.Sprint(r.Skipped), orNone(r.By), describeFilter(r.Filter))
	}
	table.write(w)
}

// operations says how many there are; not exact: that many runs.
func operations(n int, exact bool) string {
	text := fmt.Sprintf("%d operations", n)
	switch {
	case !exact:
		return "at most " + text
	case n == 1:
		return "1 operation"
	}
	return text
}

// describeFilter is a bulk redelivery's filter in one line.
func describeFilter(f client.Filter) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("endpoint", f.Endpoint)
	add("status", f.Status)
	add("HTTP status", f.HTTPStatus)
	add("outcome", string(f.Outcome))
	if !f.Since.IsZero() {
		add("since", f.Since.String())
	}
	if !f.Until.IsZero() {
		add("until", f.Until.String())
	}
	return orNone(strings.Join(parts, ", "))
}
