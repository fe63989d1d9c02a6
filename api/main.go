// The program api serves Ringback's HTTP API, and runs a worker unless told
// otherwise: where both are one process, a start is eager and its callback is
// delivered within milliseconds.
package main

import (
	"os"

	"ringback/internal/app"
)

func main() {
	command := app.Command{Name: "api", Summary: "Ringback's HTTP API, with a worker in the same process.", API: true}
	os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr))
}
