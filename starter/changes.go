package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) push() *cobra.Command {
	var body struct {
		Status string `json:"status,omitempty"`
	}
	cmd := &cobra.Command{
		Use:   "push" + operationUse,
		Short: "Push a status as the core would, or have the source polled now",
		Long:  "Push a status as the core would: it is taken as an observation. Without --status the source is polled now.",
		Example: `  starter push WALLET_SHOP 239441503 --status reserved
  starter push ECOM_GOLD_BANK ORDER-1`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
	}
	cmd.Flags().StringVar(&body.Status, "status", "", "the `STATUS`, in the source's vocabulary")
	cmd.RunE = t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
		if cmd.Flags().Changed("status") && body.Status == "" {
			return usage("--status is empty; leave it out to have the source polled now")
		}
		if _, err := c.call(cmd.Context(), http.MethodPost, path(key, "/status"), body); err != nil {
			return err
		}
		return t.showPushed(body.Status)
	})
	return cmd
}

func (t *tool) revoke() *cobra.Command {
	var body struct {
		InitiatedBy string `json:"initiated_by"`
		Reason      string `json:"reason,omitempty"`
	}
	cmd := &cobra.Command{
		Use:   "revoke" + operationUse,
		Short: "Record that the operation itself was revoked",
		Long: `Record that the operation itself was revoked in the core: "revoked" becomes its
final status. Ringback never asks a core to revoke. A callback that is no longer
wanted is withdrawn instead.`,
		Example:           `  starter revoke WALLET_SHOP 239441503 --initiated-by user --reason "cancelled in the web bank"`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
	}
	cmd.Flags().StringVar(&body.InitiatedBy, "initiated-by", "", "`WHO` revoked it: client, user or core; a client's own revocation rings nobody")
	cmd.Flags().StringVar(&body.Reason, "reason", "", fmt.Sprintf("why, for people, at most %d characters (`TEXT`)", operation.ReasonRule.MaxLength))
	completeWith(cmd, "initiated-by", operation.Initiators...)
	if err := cmd.MarkFlagRequired("initiated-by"); err != nil {
		panic(err) // a flag that does not exist: every run would show it
	}
	cmd.RunE = t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
		r, err := c.call(cmd.Context(), http.MethodPost, path(key, "/revocation"), body)
		if err != nil {
			return err
		}
		return t.showState(r, "Revoked.")
	})
	return cmd
}

func (t *tool) withdraw() *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw" + operationUse,
		Short: "Withdraw a callback that is no longer wanted",
		Long: `Withdraw a callback that is no longer wanted: the operation ends without one.
An attempt in flight is never cut off; if it is acknowledged, that is the outcome.`,
		Example:           `  starter withdraw WALLET_SHOP 239441503`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
		RunE: t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
			r, err := c.call(cmd.Context(), http.MethodDelete, path(key, ""), nil)
			if err != nil {
				return err
			}
			return t.showState(r, "Withdrawal requested.")
		}),
	}
}

func (t *tool) ready() *cobra.Command {
	return &cobra.Command{
		Use:     "ready",
		Short:   "Say whether the API can do its work now",
		Long:    "Say whether the API can do its work now, and the hash of its configuration. Exits with 5 if it can't.",
		Example: `  starter ready --api http://127.0.0.1:8080`,
		Args:    cobra.NoArgs,
		RunE: t.begin(func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			status, header, body, err := c.exchange(cmd.Context(), http.MethodGet, "/readyz", nil)
			if err != nil {
				return err
			}
			if header.Get("Content-Type") != "application/json" {
				return problemIn(status, header, body)
			}
			if err := t.showReady(reply{status, body}); err != nil {
				return err
			}
			if status != http.StatusOK {
				return &unreadyError{c.base.String()}
			}
			return nil
		}),
	}
}

// unreadyError is an API that answers, but says that it can't work.
type unreadyError struct{ base string }

func (e *unreadyError) Error() string { return fmt.Sprintf("the API at %s is not ready", e.base) }
