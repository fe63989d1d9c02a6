// The program campaign tries hard to break what Ringback promises: real processes,
// a real PostgreSQL, faults of every kind, and a checker that reads only what the
// outside saw. See docs/fault-campaign.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ringback/dev/campaign/checker"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/liar"
	"ringback/dev/campaign/plan"
	"ringback/dev/campaign/runner"
)

const usage = `campaign plays a campaign: PostgreSQL, a Temporal server on it, two api, two worker,
both simulated cores, receivers and the payment cores that call the API, each a
process of its own, with links between them that can be made bad. Programs are
killed, stopped and frozen, connections delayed, reset and swallowed, a core and
the database are away, clocks are wrong. Then a checker that knows only what the
outside saw, and what the API says in the end, holds every promise against it.

Needs go, and PostgreSQL's initdb and postgres on PATH. Only loopback addresses are
used. Everything that is started ends with this program, also at Ctrl-C.

Usage:
  go -C dev run ./campaign [flags]       (or: make campaign, campaign-short, overload)

Flags:
`

const examples = `
Exit status: 0 nothing is lost and nothing is unexplained; 1 something is, or the
campaign could not be played; 2 wrong usage.

Examples:
  go -C dev run ./campaign                            5,000 operations in 5 minutes
  go -C dev run ./campaign -seed 7 -keep ../bin/seven another campaign, its journals and logs kept
  go -C dev run ./campaign -check ../bin/seven        the checker alone, on what was kept
  go -C dev run ./campaign -n 1500 -minutes 2         what CI plays
  go -C dev run ./campaign -n 300 -minutes 1 -faults=false    nothing is broken: cores that push are enough
  go -C dev run ./campaign -bug twice                 somebody in between lies: the checker must cry
  go -C dev run ./campaign -scenario backlog          kill -9 of a worker with 2,000 callbacks due
  go -C dev run ./campaign -scenario rolling          every program restarted under 50 starts a second
  go -C dev run ./campaign -scenario overload         three times what this machine can do, for 45 s
`

func main() {
	if runner.InRole() {
		os.Exit(runner.ServeRole(os.Stdout, os.Stderr))
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	operations  int
	seed        uint64
	minutes     float64
	faults      bool
	bug         string
	keep, check string
	scenario    string
	// given are the flags that were set.
	given map[string]bool
}

// command plays and checks, and returns the exit status.
func command(arguments []string, stdout, stderr io.Writer) int {
	f, err := parse(arguments, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "campaign: %v; see -help\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := f.run(ctx, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "campaign:", err)
		return 1
	}
	return 0
}

func parse(arguments []string, stdout io.Writer) (flags, error) {
	f := flags{given: map[string]bool{}}
	set := flag.NewFlagSet("campaign", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&f.operations, "n", 5000, "how many operations are started")
	set.Uint64Var(&f.seed, "seed", 1, "chooses the operations, their histories and the faults")
	set.Float64Var(&f.minutes, "minutes", 5, "how long operations are started and faults injected; what is open then is left to end")
	set.BoolVar(&f.faults, "faults", true, "inject faults; without them (-faults=false) little is left that excuses anything")
	set.StringVar(&f.bug, "bug", "", "put a liar between Ringback and the receivers: `"+bugs()+"`")
	set.StringVar(&f.keep, "keep", "", "leave journals, logs and the configuration in this `directory`, which must not hold a campaign yet")
	set.StringVar(&f.scenario, "scenario", "", "play no campaign, but measure one thing: `"+strings.Join(slices.Sorted(maps.Keys(scenarios)), " or ")+"`")
	set.StringVar(&f.check, "check", "", "play nothing: check what was kept in this `directory`")
	if err := set.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			set.SetOutput(stdout)
			_, _ = fmt.Fprint(stdout, usage)
			set.PrintDefaults()
			_, _ = fmt.Fprint(stdout, examples)
		}
		return f, err
	}
	set.Visit(func(given *flag.Flag) { f.given[given.Name] = true })
	return f, f.valid(set)
}

func (f flags) valid(set *flag.FlagSet) error {
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("it takes no argument, and was given %q", set.Arg(0))
	case f.operations < 1:
		return errors.New("-n must be at least 1")
	case f.minutes <= 0:
		return errors.New("-minutes must be above 0")
	case f.scenario != "" && scenarios[f.scenario] == nil:
		return fmt.Errorf("no scenario is called %q", f.scenario)
	case f.bug != "" && !slices.Contains(liar.Bugs, liar.Bug(f.bug)):
		return fmt.Errorf("-bug is one of %s, and not %q", bugs(), f.bug)
	}
	return nil
}

// bugs are the liar's, as a list for people.
func bugs() string {
	var names []string
	for _, bug := range liar.Bugs {
		names = append(names, string(bug))
	}
	return strings.Join(names, ", ")
}

// scenarios are what is measured beside campaigns.
var scenarios = map[string]func(context.Context, runner.Options, flags) (runner.Figures, error){
	"backlog": func(ctx context.Context, o runner.Options, f flags) (runner.Figures, error) {
		operations := backlogOperations
		if f.given["n"] {
			operations = f.operations
		}
		return runner.Backlog(ctx, o, operations)
	},
	"overload": func(ctx context.Context, o runner.Options, f flags) (runner.Figures, error) {
		length := overloadLength
		if f.given["minutes"] {
			length = o.Plan.Length
		}
		return runner.Overload(ctx, o, length)
	},
	"rolling": func(ctx context.Context, o runner.Options, _ flags) (runner.Figures, error) {
		return runner.Rolling(ctx, o)
	},
}

const (
	// backlogOperations are due in the backlog where -n does not say otherwise.
	backlogOperations = 2000
	// overloadLength is for how long too much is asked where -minutes does not say
	// otherwise.
	overloadLength = 45 * time.Second
)

func (f flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.check != "" {
		return verdictOf(f.check, stdout)
	}
	begun := time.Now()
	say := func(format string, a ...any) {
		_, _ = fmt.Fprintf(stderr, "%6.1fs  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, a...))
	}
	dir, forget, err := f.room()
	if err != nil {
		return err
	}
	if err := f.play(ctx, runner.Options{Plan: f.plan(), Dir: dir, Say: say}, stdout); err != nil {
		say("journals and logs are kept in %s", dir)
		return err
	}
	return forget()
}

// room is the directory that a campaign is kept in, made if it is missing; forget
// removes one that was made for this campaign alone.
func (f flags) room() (dir string, forget func() error, err error) {
	if f.keep == "" {
		dir, err = os.MkdirTemp("", "ringback-campaign")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(f.keep, 0o750); err != nil {
		return "", nil, fmt.Errorf("make the directory for the campaign: %w", err)
	}
	kept, err := filepath.Glob(filepath.Join(f.keep, "*"+journal.Extension))
	if err != nil {
		return "", nil, fmt.Errorf("look for journals in %s: %w", f.keep, err)
	}
	if len(kept) > 0 {
		return "", nil, fmt.Errorf("%s holds the journals of another campaign", f.keep)
	}
	return f.keep, func() error { return nil }, nil
}

func (f flags) plan() plan.Options {
	return plan.Options{Seed: f.seed, Operations: f.operations, Length: time.Duration(f.minutes * float64(time.Minute)), Calm: !f.faults}
}

func (f flags) play(ctx context.Context, o runner.Options, stdout io.Writer) error {
	if scenario, ok := scenarios[f.scenario]; ok {
		figures, err := scenario(ctx, o, f)
		if err != nil {
			return err
		}
		return judge(figures, stdout)
	}
	if err := writePlan(o.Dir, o.Plan); err != nil {
		return err
	}
	if f.bug != "" {
		o.Between = liar.Between(liar.Bug(f.bug))
	}
	if err := runner.Play(ctx, o); err != nil {
		return err
	}
	return verdictOf(o.Dir, stdout)
}

func judge(figures runner.Figures, stdout io.Writer) error {
	if err := figures.Print(stdout); err != nil {
		return err
	}
	if missed := figures.Missed(); missed > 0 {
		return fmt.Errorf("%d targets are missed", missed)
	}
	return nil
}

// planFile says in a campaign's directory what its plan follows from.
const planFile = "plan.json"

func writePlan(dir string, o plan.Options) error {
	written, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write down the campaign's plan: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, planFile), append(written, '\n'), 0o600); err != nil {
		return fmt.Errorf("write down the campaign's plan: %w", err)
	}
	return nil
}

// verdictOf checks the journals in dir.
func verdictOf(dir string, stdout io.Writer) error {
	written, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		return fmt.Errorf("read what the campaign's plan follows from: %w", err)
	}
	var o plan.Options
	if err := json.Unmarshal(written, &o); err != nil {
		return fmt.Errorf("read what the campaign's plan follows from: %w", err)
	}
	entries, err := journal.Read(dir)
	if err != nil {
		return err
	}
	verdict := checker.Check(plan.Make(o), entries)
	if err := verdict.Write(stdout); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if !verdict.Holds() {
		return fmt.Errorf("%d things are lost and %d unexplained", verdict.Lost(), verdict.Unexplained())
	}
	return nil
}
