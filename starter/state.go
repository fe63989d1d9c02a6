package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) state() *cobra.Command {
	return &cobra.Command{
		Use:   "state" + operationUse,
		Short: "Show how an operation stands, with every attempt",
		Long:  "Show how an operation stands: its status, its deliveries and every recorded attempt, also once it is closed.",
		Example: `  starter state ECOM_GOLD_BANK ORDER-1
  starter state ECOM_GOLD_BANK/ORDER-1 -o json`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
		RunE: t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
			r, err := c.call(cmd.Context(), http.MethodGet, path(key, ""), nil)
			if err != nil {
				return err
			}
			return t.showState(r, "")
		}),
	}
}

func (t *tool) details() *cobra.Command {
	return &cobra.Command{
		Use:   "details" + operationUse,
		Short: "Ask the source for its extended answer, now",
		Long:  "Ask the source for its extended answer, now (Ukrcard /ConfirmExt, Paysera GET). Nothing of it is stored.",
		Example: `  starter details ECOM_GOLD_BANK ORDER-1
  starter details WALLET_SHOP/239441503 -o json`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
		RunE: t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
			r, err := c.call(cmd.Context(), http.MethodGet, path(key, "/details"), nil)
			if err != nil {
				return err
			}
			return t.showDetails(r)
		}),
	}
}
