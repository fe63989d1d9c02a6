// The program overload asks Ringback for three times what it can do, on
// PostgreSQL, and tells what became of it: what was shed, that all that was
// accepted completes, how late callbacks and polls were, what memory it took and
// how long it took to recover. It exits with 1 where a target is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(run(os.Args[1:]))
}

// extent is how much is asked, and for how long.
type extent struct {
	times                                    float64
	calm, capacity, overload, recovery, done time.Duration
}

func run(arguments []string) int {
	e := extent{calm: 10 * time.Second, capacity: 15 * time.Second, recovery: time.Minute, done: 2 * time.Minute}
	flags := flag.NewFlagSet("overload", flag.ContinueOnError)
	flags.Float64Var(&e.times, "times", 3, "how many times the measured capacity is asked for")
	flags.DurationVar(&e.overload, "for", 45*time.Second, "for how long")
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	met, err := measure(ctx, e)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(os.Stderr, "overload: %v\n", err)
		return 1
	case !met:
		return 1
	}
	return 0
}

// say tells how far it is.
func say(format string, arguments ...any) {
	_, _ = fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", arguments...)
}
