package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/callback"
)

// listing is what the list command was asked for.
type listing struct {
	endpoint, outcome, since, until string
	failed                          bool
	limit                           int
}

func (t *tool) list() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List operations, newest first",
		Long: `List operations, newest first. --failed lists those whose last callback was not
acknowledged: exhausted, and gone. An operation that was redelivered shows once
for each of its runs; "starter state" shows how it stands now.`,
		Example: `  starter list --failed --since 24h --endpoint ECOM_GOLD_BANK
  starter list --outcome expired --since 7d
  starter list --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&l.endpoint, "endpoint", "", "only of this `ENDPOINT`")
	flags.StringVar(&l.outcome, "outcome", "", "only those that ended with this `OUTCOME`")
	flags.BoolVar(&l.failed, "failed", false, "only those whose last callback was not acknowledged")
	flags.StringVar(&l.since, "since", "", "only those started after this `TIME`: RFC 3339, or ago such as 24h or 7d")
	flags.StringVar(&l.until, "until", "", "only those started before this `TIME`, written likewise")
	flags.IntVar(&l.limit, "limit", 100, "at most this `NUMBER`; 0: all")
	cmd.MarkFlagsMutuallyExclusive("failed", "outcome")
	completeWith(cmd, "outcome", outcomeNames()...)
	cmd.RunE = t.begin(func(cmd *cobra.Command, _ []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		page, more, err := l.fetch(cmd.Context(), c)
		if err != nil {
			return err
		}
		return t.showPage(page, more)
	})
	return cmd
}

func outcomeNames() []string {
	names := make([]string, 0, len(callback.Outcomes))
	for _, o := range callback.Outcomes {
		names = append(names, string(o))
	}
	return names
}

// fetch is the list, and whether more would match.
func (l listing) fetch(ctx context.Context, c *client) (callback.Page, bool, error) {
	filter, err := l.filter(time.Now())
	if err != nil {
		return callback.Page{}, false, err
	}
	page, more := callback.Page{Operations: []callback.Summary{}}, false
	for _, outcome := range l.outcomes() {
		found, left, err := l.pages(ctx, c, filter, outcome)
		if err != nil {
			return callback.Page{}, false, err
		}
		page.Operations = append(page.Operations, found...)
		more = more || left
	}
	slices.SortStableFunc(page.Operations, func(a, b callback.Summary) int { return b.StartedAt.Compare(a.StartedAt.Time) })
	if l.full(page.Operations) {
		more = more || len(page.Operations) > l.limit
		page.Operations = page.Operations[:l.limit]
	}
	return page, more, nil
}

// outcomes are those to ask for, one by one; the empty one asks for all.
func (l listing) outcomes() []callback.Outcome {
	if l.failed {
		return []callback.Outcome{callback.OutcomeExhausted, callback.OutcomeGone}
	}
	return []callback.Outcome{callback.Outcome(l.outcome)}
}

func (l listing) full(found []callback.Summary) bool { return l.limit > 0 && len(found) >= l.limit }

// pages reads page after page until there are enough.
func (l listing) pages(ctx context.Context, c *client, filter url.Values, outcome callback.Outcome) (found []callback.Summary, left bool, err error) {
	filter.Del("page_token")
	if outcome != callback.OutcomeNone {
		filter.Set("outcome", string(outcome))
	}
	for {
		var page callback.Page
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
	for _, bound := range []struct{ name, text string }{{"since", l.since}, {"until", l.until}} {
		if bound.text == "" {
			continue
		}
		at, err := when(bound.text, now)
		if err != nil {
			return nil, usage("--%s %q is neither an RFC 3339 time nor a time ago such as 90m, 24h or 7d", bound.name, bound.text)
		}
		values.Set(bound.name, at.String())
	}
	return values, nil
}

// when is an RFC 3339 time, or one that long before now.
func when(text string, now time.Time) (callback.Time, error) {
	if ago, err := timeAgo(text); err == nil && ago >= 0 {
		return callback.At(now.Add(-ago)), nil
	}
	var at callback.Time
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
