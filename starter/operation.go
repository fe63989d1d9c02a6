package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// operationCommand completes a command about one operation.
func (t *tool) operationCommand(cmd *cobra.Command, run func(context.Context, *client.Client, client.Key) error) *cobra.Command {
	cmd.Use += " ENDPOINT OPERATION_ID"
	cmd.Args = operationArgs
	cmd.RunE = t.withOperation(run)
	return cmd
}

func (t *tool) withOperation(run func(context.Context, *client.Client, client.Key) error) func(*cobra.Command, []string) error {
	return t.withAPI(func(ctx context.Context, api *client.Client, args []string) error {
		key, err := parseOperation(args)
		if err != nil {
			return err
		}
		return run(ctx, api, key)
	})
}

func operationArgs(_ *cobra.Command, args []string) error {
	_, err := parseOperation(args)
	return err
}

// parseOperation reads the operation's name: one argument or two.
func parseOperation(args []string) (client.Key, error) {
	switch {
	case len(args) == 2 && args[0] != "" && args[1] != "":
		return client.Key{Endpoint: args[0], OperationID: args[1]}, nil
	case len(args) == 1:
		if key, ok := client.ParseKey(args[0]); ok && key.Endpoint != "" && key.OperationID != "" {
			return key, nil
		}
	}
	return client.Key{}, usage("name an operation: ENDPOINT OPERATION_ID, or ENDPOINT/OPERATION_ID")
}

func (t *tool) start() *cobra.Command {
	var request client.StartRequest
	var registeredAt string
	cmd := t.operationCommand(&cobra.Command{
		Use:   "start",
		Short: "Start watching an operation",
		Long: `Start watching an operation. The same start twice is one operation: the second
shows how it stands. The same operation with other content is a conflict.

Ukrcard needs --method and --registered-at; Paysera needs --callback-url where
the endpoint's URL is per operation.`,
		Example: `  starter start ECOM_GOLD_BANK ORDER-1 --method p2p_a2c --registered-at 2026-11-21T09:30:00+02:00
  starter start WALLET_SHOP 239441503 --callback-url https://shop.example/callbacks --status reserved,done --known-status waiting_funds`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		request.Endpoint, request.OperationID = key.Endpoint, key.OperationID
		if registeredAt != "" {
			request.Reference.RegisteredAt = new(client.Time)
			if err := request.Reference.RegisteredAt.UnmarshalText([]byte(registeredAt)); err != nil {
				return usage("--registered-at: %w", err)
			}
		}
		state, created, err := api.Start(ctx, request)
		if err != nil {
			return err
		}
		if created {
			return t.showState(state, "Started.")
		}
		return t.showState(state, "Started before; this is how it stands.")
	})
	flags := cmd.Flags()
	flags.StringVar(&request.Method, "method", "", "Ukrcard's `METHOD`: payment, p2p_transfer, p2p_a2c or p2p_c2a")
	flags.StringVar(&registeredAt, "registered-at", "", "`TIME` when the order was registered, RFC 3339")
	flags.StringVar(&request.Reference.OrderID, "order-id", "", "wsGate's own `ID` of the order")
	flags.StringVar(&request.KnownStatus, "known-status", "", "`STATUS` that the client already has: it is not delivered")
	flags.StringVar(&request.Callback.URL, "callback-url", "", "`URL` to call back, where it is per operation")
	flags.StringSliceVar(&request.Callback.Statuses, "status", nil, "deliver only this `STATUS`; may be repeated")
	completeWith(cmd, "method", "payment", "p2p_transfer", "p2p_a2c", "p2p_c2a")
	return cmd
}

func (t *tool) state() *cobra.Command {
	return t.operationCommand(&cobra.Command{
		Use:   "state",
		Short: "Show how an operation stands, with every attempt",
		Long:  "Show how an operation stands: its status, its deliveries and every recorded attempt, also once it is closed.",
		Example: `  starter state ECOM_GOLD_BANK ORDER-1
  starter state ECOM_GOLD_BANK/ORDER-1 -o json`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		state, err := api.State(ctx, key)
		if err != nil {
			return err
		}
		return t.showState(state, "")
	})
}

func (t *tool) attempts() *cobra.Command {
	return t.operationCommand(&cobra.Command{
		Use:   "attempts",
		Short: "Show every attempt of each callback of an operation",
		Long: `Show every attempt of each callback of an operation: number, time, how long it
took, HTTP status, verdict and reason. Numbers count over a callback's whole
life, redeliveries included; of more than 50 the newest 50 are kept.
With -o json: the state's deliveries.`,
		Example: `  starter attempts ECOM_GOLD_BANK ORDER-1
  starter attempts WALLET_SHOP/239441503 -o json`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		state, err := api.State(ctx, key)
		if err != nil {
			return err
		}
		return t.show(state.Deliveries, func(w io.Writer) {
			if len(state.Deliveries) == 0 {
				_, _ = fmt.Fprintf(w, "No callback yet: %s, status %s.\n", state.Phase, printable(describeStatus(state.Status)))
			}
			for i, d := range state.Deliveries {
				writeDelivery(w, d, i > 0)
			}
		})
	})
}

func (t *tool) details() *cobra.Command {
	return t.operationCommand(&cobra.Command{
		Use:   "details",
		Short: "Show what the source answers about an operation now",
		Long:  "Show what the source answers about an operation now, in full (Ukrcard /ConfirmExt, Paysera GET). Nothing of it is stored.",
		Example: `  starter details ECOM_GOLD_BANK ORDER-1
  starter details WALLET_SHOP/239441503 -o json`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		details, err := api.Details(ctx, key)
		if err != nil {
			return err
		}
		return t.show(details, func(w io.Writer) {
			var table rows
			for _, name := range slices.Sorted(maps.Keys(details)) {
				text, isText := details[name].(string)
				if !isText {
					data, _ := json.Marshal(details[name]) // it was decoded from JSON: can't fail
					text = string(data)
				}
				table.add(name, text)
			}
			table.write(w)
		})
	})
}

func (t *tool) push() *cobra.Command {
	var status string
	var cmd *cobra.Command
	cmd = t.operationCommand(&cobra.Command{
		Use:   "push",
		Short: "Push a status as the core would, or have the source polled now",
		Long: `Have the source polled now. With --status the endpoint's push says what that is:
an observation (trust), a reason to poll (hint, the default), or refused (off).`,
		Example: `  starter push WALLET_SHOP 239441503 --status reserved
  starter push ECOM_GOLD_BANK ORDER-1`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		if cmd.Flags().Changed("status") && status == "" {
			return usage("--status is empty; leave it out to have the source polled now")
		}
		if err := api.Push(ctx, key, status); err != nil {
			return err
		}
		text := "Accepted: the source is polled now."
		if status != "" {
			text = "Accepted: the status is an observation where the endpoint says push: trust; else the source is polled now."
		}
		return t.show(map[string]bool{"accepted": true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, text) })
	})
	cmd.Flags().StringVar(&status, "status", "", "the `STATUS`, in the source's vocabulary")
	return cmd
}

func (t *tool) revoke() *cobra.Command {
	var initiatedBy, reason string
	cmd := t.operationCommand(&cobra.Command{
		Use:   "revoke",
		Short: "Record that the operation itself was revoked",
		Long: `Record that the operation itself was revoked in the core: "revoked" becomes its
final status. Ringback never asks a core to revoke. A callback that is no longer
wanted is withdrawn instead.`,
		Example: `  starter revoke WALLET_SHOP 239441503 --initiated-by user --reason "cancelled in the web bank"`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		state, err := api.Revoke(ctx, key, initiatedBy, reason)
		if err != nil {
			return err
		}
		return t.showState(state, "Revoked.")
	})
	cmd.Flags().StringVar(&initiatedBy, "initiated-by", "", "`WHO` revoked it: client, user or core; a client's own revocation is not delivered")
	cmd.Flags().StringVar(&reason, "reason", "", fmt.Sprintf("why, for people, at most %d characters (`TEXT`)", client.MaxReason))
	completeWith(cmd, "initiated-by", client.Initiators...)
	if err := cmd.MarkFlagRequired("initiated-by"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (t *tool) withdraw() *cobra.Command {
	return t.operationCommand(&cobra.Command{
		Use:   "withdraw",
		Short: "Withdraw a callback that is no longer wanted",
		Long: `Withdraw a callback that is no longer wanted: the operation ends without one.
An attempt in flight is never cut off; if it is acknowledged, that is the outcome.`,
		Example: `  starter withdraw WALLET_SHOP 239441503`,
	}, func(ctx context.Context, api *client.Client, key client.Key) error {
		state, err := api.Withdraw(ctx, key)
		if err != nil {
			return err
		}
		return t.showState(state, "Withdrawal requested.")
	})
}

// showState writes an operation's state, for people after a line that says what
// was done.
func (t *tool) showState(s client.State, done string) error {
	return t.show(s, func(w io.Writer) {
		if done != "" {
			_, _ = fmt.Fprintf(w, "%s\n\n", done)
		}
		writeState(w, s)
	})
}

func writeState(w io.Writer, s client.State) {
	table := rows{
		{"Operation", s.WorkflowID()},
		{"Phase", string(s.Phase)},
		{"Outcome", orNone(string(s.Outcome))},
		{"Status", describeStatus(s.Status)},
		{"Polls", describePolls(s)},
	}
	if s.NextPollAt != nil {
		table.add("Next poll", s.NextPollAt.String())
	}
	if s.Revocation != nil {
		table.add("Revocation", describeRevocation(*s.Revocation))
	}
	if s.Redelivery != nil {
		table.add("Redelivery", describeRedelivery(*s.Redelivery))
	}
	table.add("Run", orNone(s.RunID))
	table.add("UI", orNone(s.UIURL))
	table.write(w)
	for _, d := range s.Deliveries {
		writeDelivery(w, d, true)
	}
}

func describePolls(s client.State) string {
	if s.PollFailure == "" {
		return fmt.Sprint(s.Polls)
	}
	return fmt.Sprintf("%d, the latest without a status: %s", s.Polls, s.PollFailure)
}

func describeStatus(s *client.OperationStatus) string {
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

func describeRevocation(r client.Revocation) string {
	text := "by " + r.InitiatedBy
	if !r.At.IsZero() {
		text += " at " + r.At.String()
	}
	return withReason(text, r.Reason)
}

// describeRedelivery says who began this run, and why.
func describeRedelivery(n client.RedeliveryNote) string {
	text := withReason("by "+orNone(n.By), n.Reason) + ", of run " + n.PreviousRunID
	if n.Host != "" {
		text += ", to " + n.Host + " instead of the start's URL"
	}
	if n.BulkRedeliveryID != "" {
		text += ", as part of " + n.BulkRedeliveryID
	}
	return text
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

func writeDelivery(w io.Writer, d client.Delivery, blankLine bool) {
	text := fmt.Sprintf("Delivery %s of status %s: %s", d.CallbackID, orNone(d.Status), d.Outcome)
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	if d.Host != "" {
		text += ", at " + d.Host
	}
	if d.NextAttemptAt != nil {
		text += ", next attempt at " + d.NextAttemptAt.String()
	}
	if blankLine {
		_, _ = fmt.Fprintln(w)
	}
	_, _ = fmt.Fprintln(w, printable(text))
	if len(d.Attempts) == 0 {
		_, _ = fmt.Fprintln(w, "  no attempt")
		return
	}
	table := rows{{"  NUMBER", "TIME", "TOOK", "FIRST BYTE", "HTTP STATUS", "VERDICT", "CONNECTION", "REASON"}}
	for _, a := range d.Attempts {
		verdict, took, httpStatus, firstByte := string(a.Verdict), fmt.Sprintf("%d ms", a.TookMS), none, none
		if verdict == "" {
			verdict, took = "on its way", none
		}
		if a.HTTPStatus != 0 {
			httpStatus = fmt.Sprint(a.HTTPStatus)
		}
		if a.FirstByteMS != 0 {
			firstByte = fmt.Sprintf("%d ms", a.FirstByteMS)
		}
		connection := orNone(strings.TrimSpace(a.RemoteAddress + " " + a.TLSVersion))
		table.add(fmt.Sprintf("  %d", a.Number), a.At.String(), took, firstByte, httpStatus, verdict, connection, orNone(a.Reason))
	}
	table.write(w)
}
