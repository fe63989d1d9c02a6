package workflows

import (
	"errors"
	"fmt"
	"regexp"

	"ringback/internal/operation"
)

// The bounds of what a Signal or an Update brings, in bytes: the API's own.
const (
	statusMax = 64
	reasonMax = 256
)

// reasonRefused stands for the reason of a revocation by Signal that can't be kept.
const reasonRefused = "(the reason given was not kept: too long, or it looks like it holds a card number)"

// screen refuses what the API refuses and the Temporal UI and CLI would send all
// the same: a Signal can't be refused, but what it brings goes no further. The
// error repeats nothing of it.
func screen(field, value string, most int) error {
	switch {
	case len(value) > most:
		return fmt.Errorf("%s is longer than %d bytes", field, most)
	case operation.LooksLikeCardNumber(value):
		return fmt.Errorf("%s looks like it holds a card number; Ringback takes none", field)
	}
	return nil
}

// statusWord is what a status of any source looks like; the empty one means
// poll now.
var statusWord = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// screenStatus refuses also what is no status of any source: the run would show
// it as one.
func screenStatus(status string) error {
	if !statusWord.MatchString(status) {
		return errors.New("status holds something else than letters, digits, _, . and -")
	}
	return screen("status", status, statusMax)
}

// screened is a revocation that came by Signal, without what can't be kept: what
// was revoked was revoked, however it was said.
func screened(r operation.Revocation) operation.Revocation {
	if screen("reason", r.Reason, reasonMax) != nil {
		r.Reason = reasonRefused
	}
	return r
}
