package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// listing is what the list command was asked for.
type listing struct {
	endpoint, outcome, since, until, time, countBy string
	failed, undelivered, count                     bool
	limit                                          int
}

func (t *tool) list() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List operations, newest first, or count them",
		Long: `List operations, newest first, or count them. Each shows once, by its latest run.

--failed are those whose last callback was not acknowledged: exhausted, and gone.
--undelivered is what never arrived: these, expired and terminated ones, and
acknowledged ones with an older callback that was superseded unacknowledged.

--count counts instead, --count-by endpoint or outcome each by itself. Beyond
10,000 runs of redelivered operations are counted too, which it says.`,
		Example: `  starter list --failed --since 24h --endpoint ECOM_GOLD_BANK
  starter list --undelivered --time closed --since 7d --count-by endpoint
  starter list --outcome expired --since 7d
  starter list --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&l.endpoint, "endpoint", "", "only of this `ENDPOINT`")
	flags.StringVar(&l.outcome, "outcome", "", "only those that ended with this `OUTCOME`")
	flags.BoolVar(&l.failed, "failed", false, "only those whose last callback was not acknowledged")
	flags.BoolVar(&l.undelivered, "undelivered", false, "only what never arrived")
	flags.StringVar(&l.since, "since", "", "only those started at or after this `TIME`: RFC 3339, or ago such as 24h or 7d")
	flags.StringVar(&l.until, "until", "", "only those started before this `TIME`, written likewise")
	flags.StringVar(&l.time, "time", "", "`WHICH` time --since and --until bound: started (as without it) or closed")
	flags.IntVar(&l.limit, "limit", 100, "at most this `NUMBER`; 0: all")
	flags.BoolVar(&l.count, "count", false, "count instead")
	flags.StringVar(&l.countBy, "count-by", "", "count each `GROUP` by itself: endpoint or outcome")
	cmd.MarkFlagsMutuallyExclusive("failed", "outcome", "undelivered")
	cmd.MarkFlagsMutuallyExclusive("limit", "count")
	cmd.MarkFlagsMutuallyExclusive("limit", "count-by")
	completeWith(cmd, "outcome", outcomeNames(operation.Outcomes)...)
	completeWith(cmd, "time", "started", "closed")
	completeWith(cmd, "count-by", operation.GroupByEndpoint, operation.GroupByOutcome)
	t.completeEndpointFlag(cmd)
	cmd.RunE = t.begin(func(cmd *cobra.Command, _ []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		if l.count || l.countBy != "" {
			count, err := l.counted(cmd.Context(), c)
			if err != nil {
				return err
			}
			return t.showCount(count, l.countBy)
		}
		page, more, err := l.fetch(cmd.Context(), c)
		if err != nil {
			return err
		}
		return t.showPage(page, more)
	})
	return cmd
}

func outcomeNames(outcomes []operation.Outcome) []string {
	names := make([]string, 0, len(outcomes))
	for _, o := range outcomes {
		names = append(names, string(o))
	}
	return names
}

// fetch is the list, and whether more would match.
func (l listing) fetch(ctx context.Context, c *client) (operation.Page, bool, error) {
	filter, err := l.filter(time.Now())
	if err != nil {
		return operation.Page{}, false, err
	}
	page, more := operation.Page{Operations: []operation.Summary{}}, false
	for _, outcome := range l.outcomes() {
		found, left, err := l.pages(ctx, c, filter, outcome)
		if err != nil {
			return operation.Page{}, false, err
		}
		page.Operations = append(page.Operations, found...)
		more = more || left
	}
	slices.SortStableFunc(page.Operations, func(a, b operation.Summary) int { return b.StartedAt.Compare(a.StartedAt.Time) })
	if l.full(page.Operations) {
		more = more || len(page.Operations) > l.limit
		page.Operations = page.Operations[:l.limit]
	}
	return page, more, nil
}

// undelivered is the API's word for what never arrived.
const undelivered operation.Outcome = "undelivered"

// outcomes are those to ask for, one by one; the empty one asks for all.
func (l listing) outcomes() []operation.Outcome {
	switch {
	case l.failed:
		return []operation.Outcome{operation.OutcomeExhausted, operation.OutcomeGone}
	case l.undelivered:
		return []operation.Outcome{undelivered}
	}
	return []operation.Outcome{operation.Outcome(l.outcome)}
}

// counted is the count, summed over the outcomes that are asked for one by one.
func (l listing) counted(ctx context.Context, c *client) (operation.OperationsCount, error) {
	filter, err := l.filter(time.Now())
	if err != nil {
		return operation.OperationsCount{}, err
	}
	if l.countBy != "" {
		filter.Set("group_by", l.countBy)
	}
	sum := operation.OperationsCount{Exact: true}
	for _, outcome := range l.outcomes() {
		if outcome != operation.OutcomeNone {
			filter.Set("outcome", string(outcome))
		}
		var count operation.OperationsCount
		r, err := c.call(ctx, http.MethodGet, "/v1/operations/count?"+filter.Encode(), nil)
		if err != nil {
			return operation.OperationsCount{}, err
		}
		if err := r.into(&count); err != nil {
			return operation.OperationsCount{}, err
		}
		sum.Count += count.Count
		sum.Exact = sum.Exact && count.Exact
		sum.Groups = addGroups(sum.Groups, count.Groups)
	}
	return sum, nil
}

// addGroups adds more to all, largest first.
func addGroups(all, more []operation.CountGroup) []operation.CountGroup {
	for _, g := range more {
		i := slices.IndexFunc(all, func(known operation.CountGroup) bool {
			return known.Endpoint == g.Endpoint && known.Outcome == g.Outcome
		})
		if i < 0 {
			all = append(all, g)
			continue
		}
		all[i].Count += g.Count
	}
	slices.SortStableFunc(all, func(a, b operation.CountGroup) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

func (l listing) full(found []operation.Summary) bool { return l.limit > 0 && len(found) >= l.limit }

// pages reads page after page until there are enough.
func (l listing) pages(ctx context.Context, c *client, filter url.Values, outcome operation.Outcome) (found []operation.Summary, left bool, err error) {
	filter.Del("page_token")
	if outcome != operation.OutcomeNone {
		filter.Set("outcome", string(outcome))
	}
	for {
		var page operation.Page
		r, err := c.call(ctx, http.MethodGet, "/v1/operations?"+filter.Encode(), nil)
		if err != nil {
			return nil, false, err
		}
		if err := r.into(&page); err != nil {
			return nil, false, err
		}
		found = append(found, page.Operations...)
		if page.NextPageToken == "" || l.full(found) {
			return found, page.NextPageToken != "", nil
		}
		filter.Set("page_token", page.NextPageToken)
	}
}

func (l listing) filter(now time.Time) (url.Values, error) {
	values := url.Values{}
	if l.endpoint != "" {
		values.Set("endpoint", l.endpoint)
	}
	if l.limit < 0 {
		return nil, usage("--limit %d is negative", l.limit)
	}
	if l.time != "" {
		values.Set("time", l.time)
	}
	for _, flag := range []struct{ name, text string }{{"since", l.since}, {"until", l.until}} {
		at, err := bound(flag.name, flag.text, now)
		if err != nil {
			return nil, err
		}
		if !at.IsZero() {
			values.Set(flag.name, at.String())
		}
	}
	return values, nil
}

// bound is the time that a flag says; the zero time where it is not given.
func bound(flag, text string, now time.Time) (operation.Time, error) {
	if text == "" {
		return operation.Time{}, nil
	}
	at, err := when(text, now)
	if err != nil {
		return at, usage("--%s %q is neither an RFC 3339 time nor a time ago such as 90m, 24h or 7d", flag, text)
	}
	return at, nil
}

// when is an RFC 3339 time, or one that long before now.
func when(text string, now time.Time) (operation.Time, error) {
	if ago, err := timeAgo(text); err == nil && ago >= 0 {
		return operation.At(now.Add(-ago)), nil
	}
	var at operation.Time
	err := at.UnmarshalText([]byte(text))
	return at, err
}

// timeAgo is a Go duration, or a number of days.
func timeAgo(text string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(text, "d")
	if !isDays {
		return time.ParseDuration(text)
	}
	const most = 100 * 365
	n, err := strconv.Atoi(days)
	if err != nil || n > most {
		return 0, strconv.ErrRange
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
