// The program campaign plays a fault campaign against Ringback: real processes, a
// real PostgreSQL, faults of every kind, and a checker that sees only what cores,
// receivers and callers of the API saw. See docs/fault-campaign.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ringback/dev/campaign/checker"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/dev/campaign/runner"
)

const usage = `campaign starts PostgreSQL, a Temporal server, two api, two worker, both simulated
cores, receivers and callers of the API, each in a process of its own. While
operations run, it kills, stops and freezes programs, delays, resets and swallows
connections, takes the cores and the database away, and sets a clock wrong. A checker
then compares what cores, receivers and callers saw with what Ringback promises.

Needs go, and PostgreSQL's initdb and postgres on PATH. Uses loopback addresses
only. Everything that it starts ends with it, also at Ctrl-C.

Usage:
  go -C dev run ./campaign [flags]       (or: make campaign, campaign-short)

Flags:
`

const examples = `
Exit status: 0 nothing is lost or unexplained; 1 something is, or the campaign
could not be played; 2 wrong usage.

Examples:
  go -C dev run ./campaign                            5,000 operations in 5 minutes
  go -C dev run ./campaign -seed 7 -keep ../bin/seven another campaign; its journals and logs are kept
  go -C dev run ./campaign -check ../bin/seven        check the kept journals again
  go -C dev run ./campaign -n 400 -minutes 2          a short one
  go -C dev run ./campaign -n 300 -minutes 1 -faults=false    no faults
`

func main() {
	if runner.InRole() {
		os.Exit(runner.ServeRole(os.Stdout, os.Stderr))
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	plan        plan.Options
	keep, check string
}

// command plays and checks a campaign, and returns the exit status.
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
	var f flags
	set := flag.NewFlagSet("campaign", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&f.plan.Operations, "n", 5000, "`number` of operations to start")
	set.Uint64Var(&f.plan.Seed, "seed", 1, "`seed` of the operations, their histories and the faults, for example 7")
	minutes := set.Float64("minutes", 5, "`minutes` during which operations are started and faults injected, for example 0.5")
	faults := set.Bool("faults", true, "inject faults")
	set.StringVar(&f.keep, "keep", "", "keep journals, logs and the configuration in this new or empty `directory`")
	set.StringVar(&f.check, "check", "", "play nothing; check the journals that -keep left in this `directory`")
	err := set.Parse(arguments)
	f.plan.Length, f.plan.Calm = time.Duration(*minutes*float64(time.Minute)), !*faults
	switch {
	case errors.Is(err, flag.ErrHelp):
		set.SetOutput(stdout)
		_, _ = fmt.Fprint(stdout, usage)
		set.PrintDefaults()
		_, _ = fmt.Fprint(stdout, examples)
		return f, err
	case err != nil:
		return f, err
	case set.NArg() > 0:
		return f, fmt.Errorf("unexpected argument %q", set.Arg(0))
	case f.plan.Operations < 1:
		return f, errors.New("-n must be at least 1")
	case f.plan.Length <= 0:
		return f, errors.New("-minutes must be above 0")
	}
	return f, nil
}

func (f flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.check != "" {
		return check(f.check, stdout)
	}
	begun := time.Now()
	log := func(format string, a ...any) {
		_, _ = fmt.Fprintf(stderr, "%6.1fs  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, a...))
	}
	dir, remove, err := f.directory()
	if err != nil {
		return err
	}
	if err := play(ctx, runner.Options{Plan: f.plan, Dir: dir, Log: log}, stdout); err != nil {
		log("journals and logs are kept in %s", dir)
		return err
	}
	return remove()
}

// directory is where the campaign is kept. remove deletes it unless -keep named it.
func (f flags) directory() (dir string, remove func() error, err error) {
	if f.keep == "" {
		dir, err = os.MkdirTemp("", "ringback-campaign")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(f.keep, 0o750); err != nil {
		return "", nil, fmt.Errorf("make the directory for the campaign: %w", err)
	}
	kept, err := filepath.Glob(filepath.Join(f.keep, "*"+journal.Extension))
	if err != nil {
		return "", nil, fmt.Errorf("list the journals in %s: %w", f.keep, err)
	}
	if len(kept) > 0 {
		return "", nil, fmt.Errorf("%s holds the journals of another campaign", f.keep)
	}
	return f.keep, func() error { return nil }, nil
}

// planFile holds, in a campaign's directory, the options that its plan is made from.
const planFile = "plan.json"

func play(ctx context.Context, o runner.Options, stdout io.Writer) error {
	written, err := json.Marshal(o.Plan)
	if err != nil {
		return fmt.Errorf("write the plan's options: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, planFile), append(written, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the plan's options: %w", err)
	}
	if err := runner.Play(ctx, o); err != nil {
		return err
	}
	return check(o.Dir, stdout)
}

// check checks the journals in dir and prints the verdict.
func check(dir string, stdout io.Writer) error {
	written, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		return fmt.Errorf("read the plan's options: %w", err)
	}
	var o plan.Options
	if err := json.Unmarshal(written, &o); err != nil {
		return fmt.Errorf("read the plan's options from %s: %w", filepath.Join(dir, planFile), err)
	}
	entries, err := journal.Read(dir)
	if err != nil {
		return err
	}
	verdict := checker.Check(plan.Make(o), entries)
	if err := verdict.Write(stdout); err != nil {
		return err
	}
	if len(verdict.Findings) > 0 {
		// Of a long output the end is read, or kept, first.
		return fmt.Errorf("%d things are lost and %d unexplained, the first is %s", verdict.Lost(), verdict.Unexplained(), verdict.Findings[0])
	}
	return nil
}
