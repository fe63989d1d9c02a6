package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// redeliverFlags are the redeliver command's flags: those of one operation, and
// those of a bulk redelivery, which also uses force and reason of the first.
type redeliverFlags struct {
	one            client.RedeliveryRequest
	bulk           client.BulkRedeliveryRequest
	outcome        string
	period         period
	dryRun, detach bool
	// allEndpoints stands for leaving the endpoint out on purpose; yes begins unasked.
	allEndpoints, yes bool
	following         following
}

// filterFlags say by themselves that many operations are meant. oneFlags and
// bulkFlags go with one operation, or with many.
var (
	endpointFlags = []string{"endpoint", "all-endpoints"}
	boundFlags    = []string{"status", "http-status", "outcome", "since", "until"}
	filterFlags   = slices.Concat(endpointFlags, boundFlags)
	oneFlags      = []string{"repoll", "callback-url"}
	bulkFlags     = []string{"dry-run", "rate", "detach", "every", "for", "yes"}
)

func (t *tool) redeliver() *cobra.Command {
	var f redeliverFlags
	cmd := &cobra.Command{
		Use:   "redeliver [ENDPOINT OPERATION_ID]",
		Short: "Redeliver what ended without acknowledgement: one operation, or many by filter",
		Long: `Redeliver what ended without acknowledgement: a new run with the same callback
id and body, whose attempt numbers go on.

One operation is named. With --repoll the source is polled first; another status
is a new callback with a new id.

Many are found by --endpoint, or --all-endpoints, and --status, --outcome, --since
and --until, which bound when the operation closed; --dry-run counts them and
shows a sample. On a terminal it says how many and asks before it begins; a
script gives --yes. A bulk redelivery goes on by itself, at --rate operations a
second, whatever happens to this command: Ctrl-C, or --detach, leaves it running
and says how to follow, stop and resume it. Its progress is a bar on a terminal,
else a line for each change. Exits with 7 where some could not be redelivered,
with 8 if it was stopped.`,
		Example: `  starter redeliver ECOM_GOLD_BANK ORDER-1 --reason "receiver repaired"
  starter redeliver WALLET_SHOP/239441503 --repoll --callback-url https://shop.example/callbacks-2
  starter redeliver --endpoint ECOM_GOLD_BANK --since 24h --dry-run
  starter redeliver --endpoint ECOM_GOLD_BANK --since 24h --rate 20 --reason "receiver repaired" --yes`,
		Args: t.checkRedeliver,
	}
	f.add(cmd)
	one := t.withOperation(func(ctx context.Context, api *client.Client, key client.Key) error {
		state, err := api.Redeliver(ctx, key, f.one)
		if err != nil {
			return err
		}
		return t.showState(state, "Redelivery begun.")
	})
	bulk := t.withAPI(func(ctx context.Context, api *client.Client, _ []string) error { return t.redeliverMany(ctx, api, f) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return one(cmd, args)
		}
		return bulk(cmd, args)
	}
	return cmd
}

func (f *redeliverFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.one.Repoll, "repoll", false, "one: poll the source again first")
	flags.StringVar(&f.one.Callback.URL, "callback-url", "", "one: call back this `URL` instead, where it is per operation")
	flags.BoolVar(&f.one.Force, "force", false, "deliver again also what was acknowledged; needs the scope force")
	flags.StringVar(&f.one.Reason, "reason", "", fmt.Sprintf("why, for people, at most %d characters (`TEXT`)", client.MaxReason))
	flags.StringVar(&f.bulk.Filter.Endpoint, "endpoint", "", "many: of this `ENDPOINT`")
	flags.BoolVar(&f.allEndpoints, "all-endpoints", false, "many: of every endpoint")
	flags.StringVar(&f.bulk.Filter.Status, "status", "", "many: whose last status is this `STATUS`")
	flags.StringVar(&f.bulk.Filter.HTTPStatus, "http-status", "", "many: whose last attempt had this HTTP `STATUS`: 503, 5xx, or none")
	flags.StringVar(&f.outcome, "outcome", "", "many: that ended with this `OUTCOME`; else exhausted, gone, expired and terminated ones")
	flags.StringVar(&f.period.since, "since", "", "many: closed at or after this `TIME`: RFC 3339, or ago such as 24h or 7d")
	flags.StringVar(&f.period.until, "until", "", "many: closed before this `TIME`, written likewise")
	flags.Float64Var(&f.bulk.RatePerSecond, "rate", client.DefaultRatePerSecond, "many: begin at most this `NUMBER` a second")
	flags.BoolVar(&f.dryRun, "dry-run", false, "many: count and show a sample, redeliver nothing")
	flags.BoolVar(&f.yes, "yes", false, "many: begin without asking")
	flags.BoolVar(&f.detach, "detach", false, "many: begin it and don't follow it")
	f.following.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive(endpointFlags...)
	completeWith(cmd, "outcome", names(append(slices.Clone(client.Redeliverable), client.OutcomeAcknowledged))...)
}

// checkRedeliver accepts one operation, or a filter.
func (t *tool) checkRedeliver(cmd *cobra.Command, args []string) error {
	firstGiven := func(names ...string) string {
		i := slices.IndexFunc(names, cmd.Flags().Changed)
		if i < 0 {
			return ""
		}
		return names[i]
	}
	if len(args) > 0 {
		if name := firstGiven(slices.Concat(filterFlags, bulkFlags)...); name != "" {
			return usage("--%s goes with a filter, not with one operation", name)
		}
		return operationArgs(cmd, args)
	}
	switch name := firstGiven(oneFlags...); {
	case firstGiven(filterFlags...) == "":
		return usage("name an operation: ENDPOINT OPERATION_ID; or many by --endpoint or --all-endpoints, --status, --http-status, --outcome, --since, --until")
	case name != "":
		return usage("--%s goes with one operation, not with a filter", name)
	case firstGiven(endpointFlags...) == "":
		return usage("name the endpoint: --endpoint ENDPOINT; or give --all-endpoints, if those of every endpoint are meant")
	case firstGiven("endpoint") == "" && firstGiven(boundFlags...) == "":
		return usage("--all-endpoints alone is all that ever failed: bound it by --since, --until, --status, --http-status or --outcome")
	case firstGiven("yes", "dry-run") == "" && !t.canAsk():
		return usage("a redelivery of many asks before it begins, and there is no terminal to ask at: give --yes, or --dry-run to count")
	}
	return nil
}

func (t *tool) redeliverMany(ctx context.Context, api *client.Client, f redeliverFlags) (err error) {
	if err := f.following.check(); err != nil {
		return err
	}
	request := f.bulk
	if request.RatePerSecond <= 0 {
		return usage("--rate %g is not above 0", request.RatePerSecond)
	}
	request.Force, request.Reason, request.Filter.Outcome = f.one.Force, f.one.Reason, client.Outcome(f.outcome)
	if request.Filter.Since, request.Filter.Until, err = f.period.parse(time.Now()); err != nil {
		return err
	}
	if f.dryRun {
		found, err := api.DryRun(ctx, request)
		if err != nil {
			return err
		}
		return t.show(found, func(w io.Writer) { t.writeDryRun(w, found) })
	}
	if !f.yes {
		if request.Filter, err = t.confirm(ctx, api, request); err != nil || request.Filter == (client.Filter{}) {
			return err
		}
	}
	started, err := api.StartBulkRedelivery(ctx, request)
	switch {
	case err != nil:
		return err
	case !f.detach:
		return t.followBulkRedelivery(ctx, api, started.ID, f.following)
	case t.output == outputTable:
		t.noteHowToContinue(started.ID)
	}
	return t.showBulkRedelivery(started)
}

// confirm asks whether to redeliver what matches now, and returns the filter of just
// that; an empty one where nothing does.
func (t *tool) confirm(ctx context.Context, api *client.Client, request client.BulkRedeliveryRequest) (client.Filter, error) {
	found, err := api.DryRun(ctx, request)
	if err != nil {
		return client.Filter{}, err
	}
	if found.Matched == 0 {
		t.note("no operation matches, and nothing was begun")
		return client.Filter{}, nil
	}
	_, _ = fmt.Fprintf(t.err, "%s, %g a second: begin? [y/N] ", describeMatched(found), request.RatePerSecond)
	answer, err := t.readLine(ctx)
	if err != nil {
		return client.Filter{}, err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return client.Filter{}, exit(exitFailed, "nothing was begun")
	}
	return found.Filter, nil
}

// describeMatched is "57 operations at 1 endpoint".
func describeMatched(found client.DryRun) string {
	endpoints := len(found.Endpoints)
	where := fmt.Sprintf("%d endpoints", endpoints)
	switch {
	case endpoints == 1 || found.Filter.Endpoint != "":
		where = "1 endpoint"
	case !found.Exact:
		where = "all endpoints"
	}
	return operations(found.Matched, found.Exact) + " at " + where
}

func (t *tool) writeDryRun(w io.Writer, found client.DryRun) {
	rows{{"Matched", describeMatched(found)}, {"Filter", describeFilter(found.Filter)}}.write(w)
	if len(found.Endpoints) > 1 {
		_, _ = fmt.Fprintln(w)
		table := rows{{"COUNT", "ENDPOINT"}}
		for _, g := range found.Endpoints {
			table.add(fmt.Sprint(g.Count), g.Endpoint)
		}
		table.write(w)
	}
	if len(found.Sample) > 0 {
		_, _ = fmt.Fprint(w, "\nA sample, newest first:\n")
		t.writeSummaries(w, found.Sample, true)
	}
}
