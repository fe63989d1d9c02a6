// The program bench measures Ringback's speed, isolation and scale beside the
// engine's floor and beside the same job as a sample would write it: in one
// run, on one machine, into one table. See docs/performance.md.
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

const usage = `bench measures Ringback beside the engine's floor and beside a plain sample.

  floor     an empty workflow, started eagerly
  plain     the same job as a sample would write it: a regular activity that polls,
            a regular activity that delivers, a normal start
  Ringback  through its HTTP API, with authentication

All on the same Temporal server and database, each in a process of its own. CPU is
that of the subject, the server and the database; the load generator and the cores
and receivers are processes that are not counted. Only loopback addresses are used.

Usage:
  go -C dev run ./bench [flags]       (or: make bench, bench-quick, bench-check)

Flags:
`

const examples = `
Examples:
  go -C dev run ./bench -quick                       under three minutes
  go -C dev run ./bench -quick -check                exits 1 and names each missed target
  go -C dev run ./bench -json run.json -svg run.svg  the whole run, for the README
  go -C dev run ./bench -database sqlite -open 5000  SQLite alone, fewer open operations
`

func main() {
	roles := map[string]opener{
		"server": openServer, "floor": openFloor, "plain": openPlain,
		"ringback": openRingback, "desk": openDesk, "world": openWorld,
	}
	if open, ok := roles[os.Getenv(roleVariable)]; ok {
		os.Exit(serveRole(open))
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	quick, check bool
	json, svg    string
	into         string
	database     string
	only         string
	profiles     string
	rounds, open int
}

// command runs the bench and returns its exit status: 0 measured, 1 failed or,
// with -check, a target missed, 2 wrong usage.
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
	set.BoolVar(&f.quick, "quick", false, "a short run: fewer rounds, operations and cases")
	set.BoolVar(&f.check, "check", false, "hold the targets against the medians: exit 1 and name each that is missed")
	set.StringVar(&f.json, "json", "", "write the run as JSON to this `file`")
	set.StringVar(&f.svg, "svg", "", "draw the figures that have a target as SVG into this `file`")
	set.StringVar(&f.into, "into", "", "put the table into this Markdown `file`, between its two marks")
	set.StringVar(&f.database, "database", "all", "`sqlite`, postgres or all")
	set.StringVar(&f.only, "only", "", "leave out the measures whose `names` (comma-separated beginnings) are not given")
	set.StringVar(&f.profiles, "profiles", "", "write a CPU profile of each process into this `directory`; it costs some CPU itself")
	set.IntVar(&f.rounds, "rounds", 0, "how often everything is measured; 0: 3, with -quick once, the floors oftener")
	set.IntVar(&f.open, "open", 0, "how many open operations; 0: 100000, with -quick 1000")
	set.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage)
		set.PrintDefaults()
		_, _ = fmt.Fprint(stderr, examples)
	}
	if err := set.Parse(arguments); err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("takes no argument, and was given %q", set.Args())
	}
	if !slices.Contains([]string{"sqlite", "postgres", "all"}, f.database) {
		return f, fmt.Errorf("-database is sqlite, postgres or all, and not %q", f.database)
	}
	if f.rounds < 0 || f.open < 0 {
		return f, errors.New("-rounds and -open can't be negative")
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
	if f.only != "" {
		e.Only = strings.Split(f.only, ",")
	}
	return e
}

func (f flags) bench(ctx context.Context, stdout, stderr io.Writer) error {
	begun := time.Now()
	b := &bench{extent: f.extent(), table: &table{}, profiles: f.profiles, failed: map[string]int{}}
	b.say = func(format string, a ...any) {
		_, _ = fmt.Fprintf(stderr, "%6.0fs  "+format+"\n", append([]any{time.Since(begun).Seconds()}, a...)...)
	}
	r := newReport(begun)
	failed := b.run(ctx)
	r.Took, r.Rows = time.Since(begun).Round(time.Second).String(), b.table.rows
	if err := r.text(stdout); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("the run is not complete: %w", failed)
	}
	if f.json != "" {
		if err := r.writeJSON(f.json); err != nil {
			return err
		}
	}
	if f.svg != "" {
		if err := r.writeSVG(f.svg); err != nil {
			return err
		}
	}
	if f.into != "" {
		if err := r.writeInto(f.into); err != nil {
			return err
		}
	}
	if f.check {
		return check(b.table, stdout)
	}
	return nil
}

// check names each target that was missed.
func check(t *table, stdout io.Writer) error {
	missed := t.missed()
	if len(missed) == 0 {
		_, err := fmt.Fprintln(stdout, "every target is reached")
		return err
	}
	for _, r := range missed {
		if _, err := fmt.Fprintf(stdout, "MISSED on %s: %s is %.4g %s, wanted %v\n", r.Database, r.Measure, r.median(), r.Unit, r.Target); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d targets are missed", len(missed))
}
