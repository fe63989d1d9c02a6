package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// redelivering is what the redeliver command was asked for.
type redelivering struct {
	// one is the body for one operation.
	one struct {
		Repoll   bool              `json:"repoll,omitempty"`
		Force    bool              `json:"force,omitempty"`
		Reason   string            `json:"reason,omitempty"`
		Callback *operation.Target `json:"callback,omitempty"`
	}
	callbackURL string
	// many are the flags of a bulk redelivery.
	many struct {
		endpoint, status, outcome, since, until string
		rate                                    float64
		dryRun, detach                          bool
	}
	following following
}

// filterFlags say by themselves that many operations are meant.
var filterFlags = []string{"endpoint", "status", "outcome", "since", "until"}

// oneFlags and manyFlags go with one operation, or with many.
var (
	oneFlags  = []string{"repoll", "callback-url"}
	manyFlags = []string{"dry-run", "rate", "detach", "every", "for"}
)

func (t *tool) redeliver() *cobra.Command {
	var r redelivering
	cmd := &cobra.Command{
		Use:   "redeliver [ENDPOINT OPERATION_ID]",
		Short: "Redeliver what ended without acknowledgement: one operation, or many by filter",
		Long: `Redeliver what ended without acknowledgement: a new run with the same callback
id and body, whose attempt numbers go on.

One operation is named. With --repoll the source is asked first; another status
is a new callback with a new id.

Many are found by --endpoint, --status, --outcome, --since and --until, which
bound when the operation closed; --dry-run counts them and shows a sample. A
bulk redelivery goes on by itself, at --rate operations a second, whatever
happens to this command: Ctrl-C, or --detach, leaves it running and says how to
follow, stop and resume it. Its progress is a bar on a terminal, else a line for
each change. Exits with 7 where some could not be redelivered, with 8 if it was
stopped.`,
		Example: `  starter redeliver ECOM_GOLD_BANK ORDER-1 --reason "receiver repaired"
  starter redeliver WALLET_SHOP/239441503 --repoll --callback-url https://shop.example/callbacks-2
  starter redeliver --endpoint ECOM_GOLD_BANK --since 24h --dry-run
  starter redeliver --endpoint ECOM_GOLD_BANK --since 24h --rate 20 --reason "receiver repaired"`,
		Args:              func(cmd *cobra.Command, args []string) error { return checkRedeliver(cmd, args) },
		ValidArgsFunction: t.completeOperation,
	}
	r.flags(cmd)
	t.completeEndpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
				return t.redeliverOne(cmd, c, key, r)
			})(cmd, args)
		}
		return t.beginUnbounded(func(cmd *cobra.Command, _ []string) error { return t.redeliverMany(cmd, r) })(cmd, args)
	}
	return cmd
}

func (r *redelivering) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&r.one.Repoll, "repoll", false, "one: ask the source again first")
	flags.StringVar(&r.callbackURL, "callback-url", "", "one: ring this `URL` instead, where it is per operation")
	flags.BoolVar(&r.one.Force, "force", false, "ring also what was acknowledged; needs the scope force")
	flags.StringVar(&r.one.Reason, "reason", "", fmt.Sprintf("why, for people, at most %d characters (`TEXT`)", operation.ReasonRule.MaxLength))
	flags.StringVar(&r.many.endpoint, "endpoint", "", "many: of this `ENDPOINT`")
	flags.StringVar(&r.many.status, "status", "", "many: whose last status is this `STATUS`")
	flags.StringVar(&r.many.outcome, "outcome", "", "many: that ended with this `OUTCOME`; else exhausted, gone, expired and terminated ones")
	flags.StringVar(&r.many.since, "since", "", "many: closed at or after this `TIME`: RFC 3339, or ago such as 24h or 7d")
	flags.StringVar(&r.many.until, "until", "", "many: closed before this `TIME`, written likewise")
	flags.Float64Var(&r.many.rate, "rate", operation.DefaultRatePerSecond, "many: begin at most this `NUMBER` a second")
	flags.BoolVar(&r.many.dryRun, "dry-run", false, "many: count and show a sample, redeliver nothing")
	flags.BoolVar(&r.many.detach, "detach", false, "many: begin it and don't follow it")
	r.following.flags(cmd)
	completeWith(cmd, "outcome", outcomeNames(append(slices.Clone(operation.Redeliverable), operation.OutcomeAcknowledged))...)
}

// checkRedeliver accepts one operation, or a filter.
func checkRedeliver(cmd *cobra.Command, args []string) error {
	given := func(names []string) string {
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				return name
			}
		}
		return ""
	}
	if len(args) == 0 {
		switch name := given(oneFlags); {
		case given(filterFlags) == "":
			return usage("name an operation: ENDPOINT OPERATION_ID; or many by --endpoint, --status, --outcome, --since, --until")
		case name != "":
			return usage("--%s goes with one operation, not with a filter", name)
		}
		return nil
	}
	if name := given(append(slices.Clone(filterFlags), manyFlags...)); name != "" {
		return usage("--%s goes with a filter, not with one operation", name)
	}
	return operationArgs(cmd, args)
}

func (t *tool) redeliverOne(cmd *cobra.Command, c *client, key operation.Key, r redelivering) error {
	if r.callbackURL != "" {
		r.one.Callback = &operation.Target{URL: r.callbackURL}
	}
	answer, err := c.call(cmd.Context(), http.MethodPost, path(key, "/redelivery"), r.one)
	if err != nil {
		return err
	}
	return t.showState(answer, "Redelivery begun.")
}

// redeliveriesBody is operation.BulkRedeliveryRequest as it is written: a rate
// that was not given is left to the API.
type redeliveriesBody struct {
	Filter        operation.Filter `json:"filter"`
	DryRun        bool             `json:"dry_run,omitempty"`
	RatePerSecond *float64         `json:"rate_per_second,omitempty"`
	Force         bool             `json:"force,omitempty"`
	Reason        string           `json:"reason,omitempty"`
}

func (r redelivering) body(cmd *cobra.Command, now time.Time) (redeliveriesBody, error) {
	body := redeliveriesBody{
		Filter: operation.Filter{
			Endpoint: r.many.endpoint, Status: r.many.status, Outcome: operation.Outcome(r.many.outcome),
		},
		DryRun: r.many.dryRun, Force: r.one.Force, Reason: r.one.Reason,
	}
	if cmd.Flags().Changed("rate") {
		body.RatePerSecond = &r.many.rate
	}
	var err error
	if body.Filter.Since, err = bound("since", r.many.since, now); err != nil {
		return body, err
	}
	body.Filter.Until, err = bound("until", r.many.until, now)
	return body, err
}

func (t *tool) redeliverMany(cmd *cobra.Command, r redelivering) error {
	if err := r.following.check(); err != nil {
		return err
	}
	body, err := r.body(cmd, time.Now())
	if err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	answer, err := t.once(cmd.Context(), c, http.MethodPost, "/v1/redeliveries", body)
	switch {
	case err != nil:
		return err
	case body.DryRun:
		return t.showDryRun(answer)
	case r.many.detach:
		return t.showBegun(answer)
	}
	var begun operation.BulkRedelivery
	if err := answer.into(&begun); err != nil {
		return err
	}
	return t.followRedeliveries(cmd.Context(), c, begun.ID, r.following)
}
