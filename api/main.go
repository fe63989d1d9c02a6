// The program api serves Ringback's HTTP API, and hosts a worker unless told
// otherwise: an operation that starts where a worker runs is delivered in milliseconds.
package main

import (
	"os"

	"ringback/internal/app"
)

func main() {
	command := app.Command{Name: "api", Summary: "Ringback's HTTP API, with a worker in the same process.", API: true}
	os.Exit(command.Main(os.Args[1:], os.Stderr))
}
