// The program worker watches operations and rings endpoints. It adds capacity
// to the workers that api hosts, and needs no API.
package main

import (
	"os"

	"ringback/internal/app"
)

func main() {
	program := app.Program{Name: "worker", Summary: "watches operations and rings endpoints; it adds capacity."}
	os.Exit(program.Main(os.Args[1:], os.Stderr))
}
