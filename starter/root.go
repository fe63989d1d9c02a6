package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ringback/api/client"
	"ringback/internal/nearest"
	"ringback/internal/version"
)

const rootHelp = `starter calls Ringback's HTTP API: it starts, shows, lists, revokes, withdraws
and redelivers operations, and tries out endpoints.

An operation is named by its endpoint and its id, as two arguments
(ECOM_GOLD_BANK ORDER-1) or as the one that the Temporal UI shows
(ECOM_GOLD_BANK/ORDER-1). An id that begins with - goes after --.

Where the API is: --api, else the address in --config FILE, else RINGBACK_API,
else http://127.0.0.1:8080. The API key is read from --key-file, else from
RINGBACK_API_KEY; it is never an argument, which others could see.

With -o json every command writes the API's own JSON: one indented document, or
where it follows something (watch, redeliver, redeliveries follow), one document
a line for each change. "starter help exit-codes" lists the exit codes.`

// environment is what a run takes from its process.
type environment struct {
	getenv   func(string) string
	in       io.Reader
	out, err io.Writer
	// columns is how wide the terminal is that a reader or writer is of; 0: of none.
	columns func(file any) int
	// browse opens a page in the user's browser.
	browse func(ctx context.Context, address string) error
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, env environment) int {
	t := &tool{environment: env}
	root := t.root() //nolint:contextcheck // cobra hands each command its context
	root.SetArgs(withTwoDashes(args))
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := t.exitCode(ctx, err)
	t.note("%s", message(code, err, t.listener()))
	if code == exitUsage {
		_, _ = fmt.Fprintf(env.err, "%q shows how to use it.\n", command.CommandPath()+" --help")
	}
	return code
}

// message is what a person is told of an error.
func message(code int, err error, l listener) string {
	if code == exitInterrupted {
		return "interrupted"
	}
	if _, none := errors.AsType[*client.NoResponseError](err); none {
		return fmt.Sprintf("%s (%s, --config or %s say where it is)", err, l.flag, l.variable)
	}
	if problem, refused := errors.AsType[*client.Problem](err); refused {
		text := printable(err.Error())
		if problem.Status == http.StatusUnauthorized {
			text += " (--key-file or " + keyVariable + " gives the key)"
		}
		return text
	}
	return err.Error()
}

// withTwoDashes accepts -config and -version too, as api and worker are called.
func withTwoDashes(args []string) []string {
	args = append([]string{}, args...) // not nil, which cobra takes for os.Args
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "-config" || arg == "-version" || strings.HasPrefix(arg, "-config=") {
			args[i] = "-" + arg
		}
	}
	return args
}

// tool is one run of the program: its environment and its global flags.
type tool struct {
	environment
	api, telemetry, config, keyFile, output string
	// probes: the command calls telemetry, not api.
	probes   bool
	tls      client.TLSFiles
	timeout  time.Duration
	insecure bool
	// parsed says that the command line is valid: a later error is no usage error.
	parsed bool
	// lines is the input, where a question was asked; it reads ahead.
	lines *bufio.Reader
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
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommandsOnly,
		RunE:          t.run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(withHint)
	flags := root.PersistentFlags()
	flags.StringVar(&t.api, "api", "", "the API's `URL` (default "+defaultAPI+"; environment "+apiVariable+")")
	flags.StringVar(&t.config, "config", "", "take the API's address from this configuration `FILE`")
	flags.StringVar(&t.keyFile, "key-file", "", "read the API key from this `FILE` (else from the environment: "+keyVariable+")")
	flags.BoolVar(&t.insecure, "insecure", false, "send the API key also by plain http to another machine")
	flags.StringVar(&t.tls.CA, "ca", "", "trust the certificate authorities in this PEM `FILE`, and no others (environment "+caVariable+")")
	flags.StringVar(&t.tls.Cert, "cert", "", "show the API the client certificate in this PEM `FILE` (environment "+certVariable+")")
	flags.StringVar(&t.tls.Key, "cert-key", "", "that certificate's key, in this PEM `FILE` (environment "+certKeyVariable+"; default: in the same file)")
	flags.StringVarP(&t.output, "output", "o", outputTable, "`FORMAT` of the output: table, or json for scripts")
	flags.DurationVar(&t.timeout, "timeout", 30*time.Second, "give up a call to the API after this `TIME`")
	completeWith(root, "output", outputTable, outputJSON)
	root.AddCommand(t.start(), t.state(), t.attempts(), t.watch(), t.open(), t.list(), t.details(), t.push(), t.revoke(),
		t.withdraw(), t.redeliver(), t.bulkRedeliveries(), t.ping(), t.verify(), t.ready(), t.configuration(), t.try(), t.initialize(), t.keygen(), exitCodeHelp())
	return root
}

// refuseEmpty refuses an option without a value, as a script's unset variable makes it:
// left out, most mean "all".
func refuseEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" {
			err = fmt.Errorf("--%s is empty: give a value, or leave it out", f.Name)
		}
	})
	return err
}

// run marks the end of reading the command line, then runs the command.
func (t *tool) run(command func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if t.output != outputTable && t.output != outputJSON {
			return fmt.Errorf("--output %q is neither table nor json", t.output)
		}
		if err := refuseEmpty(cmd.Flags()); err != nil {
			return err
		}
		t.parsed = true
		return command(cmd, args)
	}
}

// withAPI is run for a command that calls the API.
func (t *tool) withAPI(command func(ctx context.Context, api *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return t.run(func(cmd *cobra.Command, args []string) error {
		api, err := t.connect()
		if err != nil {
			return err
		}
		return command(cmd.Context(), api, args)
	})
}

// subcommandsOnly refuses arguments, which are commands that there are not.
func subcommandsOnly(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("%w%s", err, nearest.Hint(args[0], names))
}

// withHint is err with the flag that may have been meant.
func withHint(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return fmt.Errorf("%w%s", err, nearest.Hint("--"+unknown.GetSpecifiedName(), names))
}

// usageError is a command line that proved wrong after it was parsed.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
