package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

func (t *tool) attempts() *cobra.Command {
	return &cobra.Command{
		Use:   "attempts" + operationUse,
		Short: "Show every attempt of each callback of an operation",
		Long: `Show every attempt of each callback of an operation: number, time, how long it
took, HTTP status, verdict and reason. Numbers count over a callback's whole
life, redeliveries included; of more than 50 the newest 50 are kept.
With -o json: the state's deliveries.`,
		Example: `  starter attempts ECOM_GOLD_BANK ORDER-1
  starter attempts WALLET_SHOP/239441503 -o json`,
		Args:              operationArgs,
		ValidArgsFunction: t.completeOperation,
		RunE: t.onOperation(func(cmd *cobra.Command, c *client, key operation.Key) error {
			r, err := c.call(cmd.Context(), http.MethodGet, path(key, ""), nil)
			if err != nil {
				return err
			}
			return t.showAttempts(r)
		}),
	}
}

func (t *tool) showAttempts(r reply) error {
	if t.output == outputJSON {
		var s struct {
			Deliveries json.RawMessage `json:"deliveries"`
		}
		if err := r.into(&s); err != nil {
			return err
		}
		return t.showJSON(reply{body: s.Deliveries})
	}
	var s operation.State
	if err := r.into(&s); err != nil {
		return err
	}
	var b bytes.Buffer
	if len(s.Deliveries) == 0 {
		fmt.Fprintf(&b, "No callback yet: %s, status %s.\n", s.Phase, printable(status(s.Status)))
	}
	for i, d := range s.Deliveries {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, printable(delivery(d)))
		writeAttempts(&b, d.Attempts)
	}
	_, err := t.out.Write(b.Bytes())
	return err
}
