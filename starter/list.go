package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// listing is the list command's flags.
type listing struct {
	query                      client.CountQuery
	outcome, phase             string
	period                     period
	time                       string
	failed, undelivered, count bool
	limit                      int
}

func (t *tool) list() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List operations, newest first, or count them",
		Long: `List operations, newest first, or count them. Each shows once, by its latest run.
A failed one shows why its latest attempt failed, as far as the line has room; -o
json has all of it.

--failed are those whose last callback was not acknowledged: exhausted, and gone.
--undelivered is what never arrived: these, expired and terminated ones, and
acknowledged ones with an older callback that was superseded unacknowledged.

--count counts instead, --count-by endpoint or outcome each by itself. Beyond
10,000 runs of redelivered operations are counted too, which it says.`,
		Example: `  starter list --failed --since 24h --endpoint ECOM_GOLD_BANK
  starter list --undelivered --time closed --since 7d --count-by endpoint
  starter list --outcome expired --since 7d
  starter list --http-status 5xx --since 24h
  starter list --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&l.query.Endpoint, "endpoint", "", "only of this `ENDPOINT`")
	flags.StringVar(&l.outcome, "outcome", "", "only those that ended with this `OUTCOME`")
	flags.StringVar(&l.phase, "phase", "", "only open ones in this `PHASE`: watching, delivering or on_hold")
	flags.StringVar(&l.query.Status, "status", "", "only those that ended other than acknowledged, with this last `STATUS`")
	flags.StringVar(&l.query.HTTPStatus, "http-status", "", "only exhausted and gone ones whose last attempt had this HTTP `STATUS`: 503, 5xx, or none")
	flags.BoolVar(&l.failed, "failed", false, "only those whose last callback was not acknowledged")
	flags.BoolVar(&l.undelivered, "undelivered", false, "only what never arrived")
	flags.StringVar(&l.period.since, "since", "", "only those started at or after this `TIME`: RFC 3339, or ago such as 24h or 7d")
	flags.StringVar(&l.period.until, "until", "", "only those started before this `TIME`, written likewise")
	flags.StringVar(&l.time, "time", "started", "`WHICH` time --since and --until bound: started or closed")
	flags.IntVar(&l.limit, "limit", 100, "at most this `NUMBER`; 0: all")
	flags.BoolVar(&l.count, "count", false, "count instead")
	flags.StringVar(&l.query.GroupBy, "count-by", "", "count each `GROUP` by itself: endpoint or outcome")
	cmd.MarkFlagsMutuallyExclusive("failed", "outcome", "undelivered")
	cmd.MarkFlagsMutuallyExclusive("limit", "count")
	cmd.MarkFlagsMutuallyExclusive("limit", "count-by")
	completeWith(cmd, "outcome", names(client.Outcomes)...)
	completeWith(cmd, "phase", string(client.PhaseWatching), string(client.PhaseDelivering), string(client.PhaseOnHold))
	completeWith(cmd, "time", "started", "closed")
	completeWith(cmd, "count-by", client.GroupByEndpoint, client.GroupByOutcome)
	cmd.RunE = t.withAPI(func(ctx context.Context, api *client.Client, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		if l.count || l.query.GroupBy != "" {
			return t.countOperations(ctx, api, l)
		}
		return t.listOperations(ctx, api, l)
	})
	return cmd
}

func names(outcomes []client.Outcome) []string {
	all := make([]string, 0, len(outcomes))
	for _, o := range outcomes {
		all = append(all, string(o))
	}
	return all
}

// check completes the query from the flags.
func (l *listing) check() (err error) {
	switch {
	case l.limit < 0:
		return usage("--limit %d is negative", l.limit)
	case l.time != "started" && l.time != "closed":
		return usage("--time %q is neither started nor closed", l.time)
	}
	l.query.ByClose = l.time == "closed"
	l.query.Since, l.query.Until, err = l.period.parse(time.Now())
	return err
}

// queries are what to ask the API for, one after the other: it filters by one
// outcome at a time.
func (l *listing) queries() []client.CountQuery {
	query := l.query
	query.Undelivered = l.undelivered
	query.Outcome, query.Phase = client.Outcome(l.outcome), client.Phase(l.phase)
	if !l.failed {
		return []client.CountQuery{query}
	}
	exhausted, gone := query, query
	exhausted.Outcome, gone.Outcome = client.OutcomeExhausted, client.OutcomeGone
	return []client.CountQuery{exhausted, gone}
}

func (t *tool) listOperations(ctx context.Context, api *client.Client, l listing) error {
	found, more := client.Page{Operations: []client.Summary{}}, false
	for _, query := range l.queries() {
		query.Reasons = true
		operations, left, err := l.pages(ctx, api, query.ListQuery)
		if err != nil {
			return err
		}
		found.Operations = append(found.Operations, operations...)
		more = more || left
	}
	slices.SortStableFunc(found.Operations, func(a, b client.Summary) int {
		return shownTime(b, l.query.ByClose).Compare(shownTime(a, l.query.ByClose).Time)
	})
	if l.isFull(found.Operations) {
		more = more || len(found.Operations) > l.limit
		found.Operations = found.Operations[:l.limit]
	}
	if more {
		t.note("more operations match; raise --limit, or narrow --since and --until")
	}
	return t.show(found, func(w io.Writer) {
		if len(found.Operations) == 0 {
			_, _ = fmt.Fprintln(w, "No operation matches.")
			return
		}
		t.writeSummaries(w, found.Operations, l.query.ByClose)
	})
}

func (l *listing) isFull(found []client.Summary) bool { return l.limit > 0 && len(found) >= l.limit }

// pages reads page after page until there are enough; left says that there are
// more pages.
func (l *listing) pages(ctx context.Context, api *client.Client, query client.ListQuery) (found []client.Summary, left bool, err error) {
	for {
		page, err := api.List(ctx, query)
		if err != nil {
			return nil, false, err
		}
		found = append(found, page.Operations...)
		if page.NextPageToken == "" || l.isFull(found) {
			return found, page.NextPageToken != "", nil
		}
		query.PageToken = page.NextPageToken
	}
}

// writeSummaries writes one line an operation, with the time that it started, or closed.
func (t *tool) writeSummaries(w io.Writer, all []client.Summary, byClose bool) {
	heading := "STARTED"
	if byClose {
		heading = "CLOSED"
	}
	table := rows{{heading, "OPERATION", "STATUS", "OUTCOME", "REASON"}}
	for _, s := range all {
		at := none
		if shown := shownTime(s, byClose); !shown.IsZero() {
			at = shown.Format(time.RFC3339)
		}
		outcome := cmp.Or(string(s.Outcome), "("+string(s.Phase)+")")
		table.add(at, s.WorkflowID(), orNone(s.Status), outcome, orNone(s.Reason))
	}
	table.cutTo(max(t.columns(t.out), tableWidth)).write(w)
}

// shownTime is when an operation started, or closed; zero: it is open.
func shownTime(s client.Summary, byClose bool) (at client.Time) {
	switch {
	case !byClose:
		return s.StartedAt
	case s.ClosedAt != nil:
		return *s.ClosedAt
	}
	return at
}

func (t *tool) countOperations(ctx context.Context, api *client.Client, l listing) error {
	sum := client.Count{Exact: true}
	for _, query := range l.queries() {
		count, err := api.Count(ctx, query)
		if err != nil {
			return err
		}
		sum.Count += count.Count
		sum.Exact = sum.Exact && count.Exact
		sum.Groups = addGroups(sum.Groups, count.Groups)
	}
	if !sum.Exact {
		t.note("more than 10,000 match: runs were counted, and a redelivered operation has several")
	}
	return t.show(sum, func(w io.Writer) {
		if l.query.GroupBy == "" {
			_, _ = fmt.Fprintln(w, sum.Count)
			return
		}
		table := rows{{"COUNT", strings.ToUpper(l.query.GroupBy)}}
		for _, g := range sum.Groups {
			table.add(fmt.Sprint(g.Count), cmp.Or(g.Endpoint, string(g.Outcome), "(open)"))
		}
		table.add(fmt.Sprint(sum.Count), "(all)")
		table.write(w)
	})
}

// addGroups adds more to all, largest first.
func addGroups(all, more []client.CountGroup) []client.CountGroup {
	for _, g := range more {
		i := slices.IndexFunc(all, func(known client.CountGroup) bool {
			return known.Endpoint == g.Endpoint && known.Outcome == g.Outcome
		})
		if i < 0 {
			all = append(all, g)
			continue
		}
		all[i].Count += g.Count
	}
	slices.SortStableFunc(all, func(a, b client.CountGroup) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

// period is the flags --since and --until.
type period struct{ since, until string }

func (p period) parse(now time.Time) (since, until client.Time, err error) {
	if since, err = parseTime("since", p.since, now); err != nil {
		return since, until, err
	}
	until, err = parseTime("until", p.until, now)
	return since, until, err
}

// parseTime is an RFC 3339 time, or one that long before now; the zero time
// where the flag is not given.
func parseTime(flag, text string, now time.Time) (at client.Time, err error) {
	if text == "" {
		return at, nil
	}
	if ago, err := parseAgo(text); err == nil && ago >= 0 {
		return client.At(now.Add(-ago)), nil
	}
	if at.UnmarshalText([]byte(text)) != nil {
		return at, usage("--%s %q is neither an RFC 3339 time nor a time ago such as 90m, 24h or 7d", flag, text)
	}
	return at, nil
}

// parseAgo is a Go duration, or a number of days up to 100 years.
func parseAgo(text string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(text, "d")
	if !isDays {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(days)
	if err != nil || n > 100*365 {
		return 0, strconv.ErrRange
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
