package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

func (t *tool) ready() *cobra.Command {
	ask := t.withAPI(func(ctx context.Context, program *client.Client, _ []string) error {
		ready, err := program.Ready(ctx)
		if err != nil {
			return err
		}
		err = t.show(ready, func(w io.Writer) {
			table := rows{{"Status", ready.Status}}
			if ready.Detail != "" {
				table.add("Detail", ready.Detail)
			}
			table.add("Configuration", orNone(ready.ConfigHash))
			table.add("Version", orNone(ready.Version))
			table.write(w)
		})
		if err == nil && ready.Status != "ready" {
			return exit(exitUnavailable, "the program at %s is not ready", program.Base)
		}
		return err
	})
	ready := &cobra.Command{
		Use:   "ready",
		Short: "Say whether a program can do its work now",
		Long: `Say whether a program, api or worker, can do its work now, the hash of its
configuration and its version. Exits with 5 if it can't. It asks at telemetry.listen, not at the
API: --telemetry, else the address in --config FILE, else RINGBACK_TELEMETRY,
else ` + defaultTelemetry + `.`,
		Example: `  starter ready --telemetry http://127.0.0.1:9464`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t.probes = true
			return ask(cmd, args)
		},
	}
	ready.Flags().StringVar(&t.telemetry, "telemetry", "", "the `URL` of the program's probes (environment "+telemetryVariable+")")
	return ready
}
