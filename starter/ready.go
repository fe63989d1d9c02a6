package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

func (t *tool) ready() *cobra.Command {
	return &cobra.Command{
		Use:     "ready",
		Short:   "Say whether the API can do its work now",
		Long:    "Say whether the API can do its work now, and the hash of its configuration. Exits with 5 if it can't.",
		Example: `  starter ready --api http://127.0.0.1:8080`,
		Args:    cobra.NoArgs,
		RunE: t.withAPI(func(ctx context.Context, api *client.Client, _ []string) error {
			ready, err := api.Ready(ctx)
			if err != nil {
				return err
			}
			err = t.show(ready, func(w io.Writer) {
				table := rows{{"Status", ready.Status}}
				if ready.Detail != "" {
					table.add("Detail", ready.Detail)
				}
				table.add("Configuration", orNone(ready.ConfigHash))
				table.write(w)
			})
			if err == nil && ready.Status != "ready" {
				return exit(exitUnavailable, "the API at %s is not ready", api.Base)
			}
			return err
		}),
	}
}
