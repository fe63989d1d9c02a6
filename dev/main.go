// The program dev runs everything that Ringback needs in one process on one
// machine, and shows what it does.
package main

import (
	"os"

	"ringback/dev/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
