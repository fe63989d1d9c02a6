package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const rootHelp = `starter speaks to Ringback's HTTP API: it starts, shows, lists, revokes,
withdraws and redelivers operations, and tries out endpoints.

An operation is named by its endpoint and its id, as two arguments
(ECOM_GOLD_BANK ORDER-1) or as the one that the Temporal UI shows
(ECOM_GOLD_BANK/ORDER-1). An id that begins with - goes after --.

Where the API is: --api, else the address in --config FILE, else RINGBACK_API,
else http://127.0.0.1:8080. The API key is read from --key-file, else from
RINGBACK_API_KEY; it is never an argument, which others could see.

With -o json every command writes the API's own JSON: one indented document, or
where it follows something (watch, redeliver, redeliveries follow), one document
a line for each change. "starter help exit-codes" lists the exit codes.`

// surroundings are what a run takes from its process.
type surroundings struct {
	getenv   func(string) string
	in       io.Reader
	out, err io.Writer
	// screen is the terminal that a writer writes to, if it does.
	screen func(io.Writer) screen
	// browse shows a page to the person at this terminal.
	browse func(ctx context.Context, address string) error
}

// run is the program: it returns its exit code.
func run(ctx context.Context, args []string, s surroundings) int {
	t := &tool{surroundings: s}
	root := t.root() //nolint:contextcheck // cobra hands each command its context
	root.SetArgs(asOtherPrograms(args))
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := t.exitCode(ctx, err)
	if code == exitInterrupted {
		err = errInterrupted
	}
	_, _ = fmt.Fprintf(s.err, "starter: %s\n", err)
	if code == exitUsage {
		_, _ = fmt.Fprintf(s.err, "%q shows how to use it.\n", command.CommandPath()+" --help")
	}
	return code
}

var errInterrupted = errors.New("interrupted")

// asOtherPrograms accepts -config too, as api and worker are called.
func asOtherPrograms(args []string) []string {
	args = append([]string{}, args...) // not nil, which cobra takes for os.Args
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "-config" || strings.HasPrefix(arg, "-config=") {
			args[i] = "-" + arg
		}
	}
	return args
}

// tool is one invocation's settings and its client.
type tool struct {
	surroundings
	api, config, keyFile, caFile string
	// certFile and certKeyFile are what the API is shown, if it asks.
	certFile, certKeyFile string
	output                string
	timeout               time.Duration
	// begun says that the command line was understood: what fails later is no
	// matter of usage.
	begun bool
	// canvas is what is being drawn on a terminal, if anything is.
	canvas *canvas
}

const (
	outputTable = "table"
	outputJSON  = "json"
)

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Start, see and redeliver operations over Ringback's API",
		Long:  rootHelp,
		Example: `  starter start ECOM_GOLD_BANK ORDER-1 --method p2p_a2c --registered-at 2026-11-21T09:30:00+02:00
  starter state ECOM_GOLD_BANK ORDER-1
  starter list --failed --since 24h --endpoint ECOM_GOLD_BANK
  starter redeliver ECOM_GOLD_BANK ORDER-1 --reason "receiver repaired"`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          t.begin(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	flags := root.PersistentFlags()
	flags.StringVar(&t.api, "api", "", "the API's `URL` (default "+defaultAPI+"; environment "+apiVariable+")")
	flags.StringVar(&t.config, "config", "", "take the API's address from this configuration `FILE`")
	flags.StringVar(&t.keyFile, "key-file", "", "read the API key from this `FILE` (else from the environment: "+keyVariable+")")
	flags.StringVar(&t.caFile, "ca", "", "trust the certificate authorities in this PEM `FILE`, and no others (environment "+caVariable+")")
	flags.StringVar(&t.certFile, "cert", "", "show the API the client certificate in this PEM `FILE` (environment "+certVariable+")")
	flags.StringVar(&t.certKeyFile, "cert-key", "", "that certificate's key, in this PEM `FILE` (environment "+certKeyVariable+"; default: in the same file)")
	flags.StringVarP(&t.output, "output", "o", outputTable, "`FORMAT` of the output: table, or json for scripts")
	flags.DurationVar(&t.timeout, "timeout", 30*time.Second, "give up after this `TIME`; where something is followed, each of its calls")
	completeWith(root, "output", outputTable, outputJSON)
	root.AddCommand(t.start(), t.state(), t.attempts(), t.watch(), t.open(), t.list(), t.details(), t.push(), t.revoke(),
		t.withdraw(), t.redeliver(), t.redeliveries(), t.ping(), t.verify(), t.ready(), t.configuration(), exitCodeHelp())
	return root
}

// begin marks the end of reading the command line, and bounds what follows.
func (t *tool) begin(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return t.beginUnbounded(func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
		defer cancel()
		cmd.SetContext(ctx)
		return do(cmd, args)
	})
}

// beginUnbounded is begin for what may take any time: each of its calls is
// bounded by itself.
func (t *tool) beginUnbounded(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if t.output != outputTable && t.output != outputJSON {
			return fmt.Errorf("--output %q is neither table nor json", t.output)
		}
		t.begun = true
		return do(cmd, args)
	}
}

// usageError is a command line that proved wrong after it was read.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
