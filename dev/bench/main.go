// The program bench measures Ringback's speed, isolation and scale beside two others
// on the same machine: an empty workflow (the floor), and the same job as a Temporal
// sample would write it (plain). See docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `bench measures Ringback beside an empty workflow and a plain sample:
  floor     an empty workflow, started eagerly
  plain     the same job as a sample would write it: a regular activity that polls,
            a regular activity that delivers, a normal start
  Ringback  through its HTTP API, with authentication
All use the same Temporal server and database, each in a process of its own. CPU is
that of the measured process, the server and the database; the load generator and the
simulated cores and receivers are not counted. It uses loopback addresses only, and
prints a Markdown table.

Usage:
  go -C dev run ./bench [flags]       (or: make bench, bench-quick, bench-check)

Flags:
`

const examples = `
Examples:
  go -C dev run ./bench -quick                       three minutes: SQLite, and PostgreSQL's CPU / floor
  go -C dev run ./bench -quick -check                exits 1 and names each missed target, within four minutes
  go -C dev run ./bench -json run.json > run.md      the whole run, three quarters of an hour
  go -C dev run ./bench -database sqlite -open 5000  SQLite alone, fewer open operations
  go -C dev run ./bench -database postgres -only overload   three times the capacity
`

func main() {
	roles := map[string]opener{
		"server": openServer, "floor": openFloor, "plain": openPlain,
		"ringback": openRingback, "service": openService, "simulator": openSimulator,
	}
	if open, ok := roles[os.Getenv(roleVariable)]; ok {
		if err := serveRole(open); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	quick, check bool
	json         string
	database     string
	only         string
	profiles     string
	rounds, open int
}

// command runs the bench and returns its exit status: 0 measured, 1 failed or a
// target missed with -check, 2 wrong usage.
func command(arguments []string, stdout, stderr io.Writer) int {
	f, err := parse(arguments, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := f.bench(ctx, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func parse(arguments []string, stderr io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&f.quick, "quick", false, "a short run: fewer rounds, operations and measurements, and little on the second database")
	set.BoolVar(&f.check, "check", false, "compare the medians with the targets: while four minutes last, measure again what is missed, up to twice; exit 1 and name each missed one")
	set.StringVar(&f.json, "json", "", "write the run as JSON to this `file`, for example run.json")
	set.StringVar(&f.database, "database", "all", "`sqlite`, postgres or all")
	set.StringVar(&f.only, "only", "", "measure only what begins with one of these `names`, for example reads,gaps")
	set.StringVar(&f.profiles, "profiles", "", "write a CPU profile of each measured process into this `directory`, for example /tmp")
	set.IntVar(&f.rounds, "rounds", 0, "how often each measurement is repeated; 0: 3 times, once with -quick")
	set.IntVar(&f.open, "open", 0, "how many operations to open; 0: 30000, none with -quick")
	set.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage)
		set.PrintDefaults()
		_, _ = fmt.Fprint(stderr, examples)
	}
	if err := set.Parse(arguments); err != nil {
		return f, err
	}
	switch {
	case set.NArg() > 0:
		return f, fmt.Errorf("unexpected argument %q", set.Arg(0))
	case !slices.Contains([]string{"sqlite", "postgres", "all"}, f.database):
		return f, fmt.Errorf("-database must be sqlite, postgres or all, not %q", f.database)
	case f.rounds < 0 || f.open < 0:
		return f, errors.New("-rounds and -open must not be negative")
	}
	return f, nil
}

func (f flags) extent() extent {
	e := fullExtent
	if f.quick {
		e = quickExtent
	}
	if f.rounds > 0 {
		e.Rounds = f.rounds
	}
	if f.open > 0 {
		e.Open = f.open
	}
	e.Databases = map[string][]string{
		"sqlite": {onSQLite}, "postgres": {onPostgres}, "all": {onSQLite, onPostgres},
	}[f.database]
	e.Profiles = f.profiles
	if f.only != "" {
		e.Only = strings.Split(f.only, ",")
	}
	return e
}

func (f flags) bench(ctx context.Context, stdout, stderr io.Writer) error {
	begun := time.Now()
	b := &bench{extent: f.extent(), table: &table{}, begun: begun}
	if f.check {
		b.checkTime = checkTime
	}
	b.log = func(format string, a ...any) {
		_, _ = fmt.Fprintf(stderr, "%6.0fs  "+format+"\n", append([]any{time.Since(begun).Seconds()}, a...)...)
	}
	r := newReport(begun)
	failed := b.run(ctx)
	r.Took, r.Rows = time.Since(begun).Round(time.Second).String(), mixFirst(b.table.rows)
	if err := r.writeMarkdown(stdout); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("the run is not complete: %w", failed)
	}
	if f.json != "" {
		if err := r.writeJSON(f.json); err != nil {
			return err
		}
	}
	if f.check {
		return b.check(stdout)
	}
	return nil
}
