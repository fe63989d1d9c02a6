// Command starter is the engineers' tool: it starts, shows, lists, revokes,
// withdraws and redelivers operations over Ringback's HTTP API.
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
	code := run(ctx, os.Args[1:], surroundings{getenv: os.Getenv, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
