// Package version is which build of Ringback a program is.
package version

import (
	"cmp"
	"runtime/debug"
)

// stamped is what -ldflags='-X ringback/internal/version.stamped=…' says, for builds
// that see no repository: the image's.
var stamped string

// String is what was stamped, else what the go command took from the repository: the
// commit's tag, or its time and hash, with +dirty for what was not committed.
func String() string {
	var built string
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		built = info.Main.Version
	}
	return cmp.Or(stamped, built, "(unknown)")
}
