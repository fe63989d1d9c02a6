// Command starter is the engineers' tool: it starts, shows, lists, revokes,
// withdraws and redelivers operations over Ringback's HTTP API, and tries out
// endpoints.
//
// Run it with --help; every command shows an example.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], environment{
		getenv: os.Getenv, in: os.Stdin, out: os.Stdout, err: os.Stderr, columns: columns, browse: browse,
	})
	stop()
	os.Exit(code)
}
