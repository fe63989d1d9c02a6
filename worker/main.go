// The program worker watches operations and delivers callbacks. It adds capacity
// to the workers that api hosts, and needs no API.
package main

import (
	"os"

	"ringback/internal/app"
)

func main() {
	command := app.Command{Name: "worker", Summary: "watches operations and delivers callbacks; it adds capacity."}
	os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr))
}
