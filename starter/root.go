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

// Exit codes, as the help documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
)

const rootHelp = `starter speaks to Ringback's HTTP API: it starts, shows, lists, revokes,
withdraws and redelivers operations.

An operation is named by its endpoint and its id, as two arguments
(ECOM_GOLD_BANK ORDER-1) or as the one that the Temporal UI shows
(ECOM_GOLD_BANK/ORDER-1). An id that begins with - goes after --.

Where the API is: --api, else the address in --config FILE, else RINGBACK_API,
else http://127.0.0.1:8080. The API key is read from --key-file, else from
RINGBACK_API_KEY; it is never an argument, which others could see.

Exit codes:
  0  done
  1  refused or failed
  2  the command line is wrong
  3  no such operation
  4  conflict: other content, closed, not revocable, not redeliverable
  5  not available now: no answer, overloaded, or not ready`

// surroundings are what a run takes from its process.
type surroundings struct {
	getenv   func(string) string
	out, err io.Writer
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
	code := t.exitCode(err)
	_, _ = fmt.Fprintf(s.err, "starter: %s\n", err)
	if code == exitUsage {
		_, _ = fmt.Fprintf(s.err, "%q shows how to use it.\n", command.CommandPath()+" --help")
	}
	return code
}

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
	output                       string
	timeout                      time.Duration
	// begun says that the command line was understood: what fails later is no
	// matter of usage.
	begun bool
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
	flags.StringVar(&t.caFile, "ca", "", "trust the certificate authorities in this PEM `FILE`, and no others")
	flags.StringVarP(&t.output, "output", "o", outputTable, "`FORMAT` of the output: table, or json for scripts")
	flags.DurationVar(&t.timeout, "timeout", 30*time.Second, "give up after this `TIME`")
	completeWith(root, "output", outputTable, outputJSON)
	root.AddCommand(t.start(), t.state(), t.list(), t.details(), t.push(), t.revoke(), t.withdraw(), t.redeliver(), t.ready())
	return root
}

// begin marks the end of reading the command line, and bounds what follows.
func (t *tool) begin(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if t.output != outputTable && t.output != outputJSON {
			return fmt.Errorf("--output %q is neither table nor json", t.output)
		}
		t.begun = true
		ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
		defer cancel()
		cmd.SetContext(ctx)
		return do(cmd, args)
	}
}

// usageError is a command line that proved wrong after it was read.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (t *tool) exitCode(err error) int {
	var wrong usageError
	if !t.begun || errors.As(err, &wrong) {
		return exitUsage
	}
	var refused *apiError
	if errors.As(err, &refused) {
		return refused.exitCode()
	}
	var unreachable *unreachableError
	var unready *unreadyError
	if errors.As(err, &unreachable) || errors.As(err, &unready) {
		return exitUnavailable
	}
	return exitFailed
}

func completeWith(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // a flag that does not exist: every run would show it
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
