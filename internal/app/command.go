package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ringback/internal/telemetry"
	"ringback/internal/version"
)

// Command is the command line of one of the two long-running programs.
type Command struct {
	Name, Summary string
	API           bool
}

// Main parses arguments, runs until SIGINT or SIGTERM and returns the exit code:
// 0 stopped cleanly, 1 failed, 2 wrong usage.
func (c Command) Main(arguments []string, stdout, stderr io.Writer) int {
	options := Options{API: c.API, Worker: true}
	flags := c.flags(&options, stderr)
	showVersion := flags.Bool("version", false, "print the version")
	if err := flags.Parse(arguments); err != nil {
		if err == flag.ErrHelp { //nolint:errorlint // documented as returned bare
			return 0
		}
		return 2
	}
	if *showVersion {
		_, _ = fmt.Fprintf(stdout, "%s version %s\n", c.Name, version.String())
		return 0
	}
	if options.ConfigPath == "" {
		_, _ = fmt.Fprintf(stderr, "%s: -config is required; see %s -help\n", c.Name, c.Name)
		return 2
	}
	if err := c.run(options); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
		return 1
	}
	return 0
}

func (c Command) flags(o *Options, output io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.ConfigPath, "config", "", "the YAML configuration `file`; read again when it changes, and at SIGHUP")
	if c.API {
		flags.BoolVar(&o.Worker, "worker", true, "host a worker in this process as well, so that callbacks of starts are sent at once")
		flags.StringVar(&o.Listen, "listen", "", "`address` of the API, instead of the configuration's api.listen")
		flags.StringVar(&o.UIURL, "ui-url", "", "base `URL` of the Temporal UI, for links in answers")
	}
	flags.StringVar(&o.GatePing, "gate-ping", "", "an `endpoint` of your own, with a fixed URL: a new build is promoted by Temporal's worker controller only if it acknowledges a test callback")
	flags.StringVar(&o.TelemetryListen, "telemetry-listen", "", "`address` of /metrics, /healthz and /readyz, instead of the configuration's telemetry.listen")
	flags.Usage = func() {
		_, _ = fmt.Fprintf(output, `%s: %s

Temporal is found by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other TEMPORAL_*
variables, or temporal.toml, as by the temporal command. TEMPORAL_DEPLOYMENT_NAME
and TEMPORAL_WORKER_BUILD_ID, both or neither, make the program a build of a worker
deployment.

Example:
  TEMPORAL_ADDRESS=127.0.0.1:7233 %s -config ringback.yml

Flags:
`, c.Name, c.Summary, c.Name)
		flags.PrintDefaults()
	}
	return flags
}

func (c Command) run(o Options) error {
	var err error
	if o.Temporal, err = temporalOptions(); err != nil {
		return err
	}
	if o.Build, err = buildFrom(os.Getenv); err != nil {
		return err
	}
	o.unscreened = &telemetry.Unscreened{}
	o.Log = o.unscreened.NewLogger(os.Stderr, zapcore.InfoLevel)
	// net/http writes there what a receiver sent unasked.
	defer zap.RedirectStdLog(o.Log.Named("std"))()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return Run(ctx, o)
}
