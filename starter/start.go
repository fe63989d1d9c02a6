package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) start() *cobra.Command {
	var request operation.StartRequest
	var registeredAt string
	cmd := &cobra.Command{
		Use:   "start" + operationUse,
		Short: "Start watching an operation",
		Long: `Start watching an operation. The same start twice is one operation: the second
shows how it stands. The same operation with other content is a conflict.

Ukrcard needs --method and --registered-at; Paysera needs --callback-url where
the endpoint's URL is per operation.`,
		Example: `  starter start ECOM_GOLD_BANK ORDER-1 --method p2p_a2c --registered-at 2026-11-21T09:30:00+02:00
  starter start WALLET_SHOP 239441503 --callback-url https://shop.example/callbacks --status reserved,done --known-status waiting_funds`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Method, "method", "", "Ukrcard's `METHOD`: payment, p2p_transfer, p2p_a2c or p2p_c2a")
	flags.StringVar(&registeredAt, "registered-at", "", "`TIME` when the order was registered, RFC 3339")
	flags.StringVar(&request.Reference.OrderID, "order-id", "", "wsGate's own `ID` of the order")
	flags.StringVar(&request.KnownStatus, "known-status", "", "`STATUS` that the client already has: it does not ring")
	flags.StringVar(&request.Callback.URL, "callback-url", "", "`URL` to ring, where it is per operation")
	flags.StringSliceVar(&request.Callback.Statuses, "status", nil, "ring only for this `STATUS`; may be repeated")
	completeWith(cmd, "method", "payment", "p2p_transfer", "p2p_a2c", "p2p_c2a")
	cmd.RunE = t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
		request.Endpoint, request.OperationID = key.Endpoint, key.OperationID
		if registeredAt != "" {
			request.Reference.RegisteredAt = new(operation.Time)
			if err := request.Reference.RegisteredAt.UnmarshalText([]byte(registeredAt)); err != nil {
				return usage("--registered-at: %w", err)
			}
		}
		r, err := c.call(cmd.Context(), http.MethodPost, "/v1/operations", request)
		if err != nil {
			return err
		}
		if r.status == http.StatusCreated {
			return t.showState(r, "Started.")
		}
		return t.showState(r, "Started before; this is how it stands.")
	})
	return cmd
}
