package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"ringback/api/client"
)

// The exit codes; exitCodes says what they mean.
const (
	exitOK             = 0
	exitFailed         = 1
	exitUsage          = 2
	exitNotFound       = 3
	exitConflict       = 4
	exitUnavailable    = 5
	exitUnacknowledged = 6
	exitPartly         = 7
	exitCutShort       = 8
	exitStillRunning   = 9
	exitInterrupted    = 130
)

// exitOutcome is watch's exit code by the operation's outcome.
var exitOutcome = map[client.Outcome]int{
	client.OutcomeAcknowledged: exitOK,
	client.OutcomeExhausted:    10,
	client.OutcomeGone:         11,
	client.OutcomeRevoked:      12,
	client.OutcomeWithdrawn:    13,
	client.OutcomeExpired:      14,
	client.OutcomeTerminated:   15,
}

// exitCodes are all exit codes, as the help topic and docs/starter.md list them.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; watch: acknowledged; ping: acknowledged; verify: valid; config check: good"},
	{exitFailed, "refused or failed; verify: not valid; config: the file is refused; try source: nothing was observed"},
	{exitUsage, "the command line is wrong"},
	{exitNotFound, "no such operation, bulk redelivery or details"},
	{exitConflict, "conflict: other content, closed, not revocable, not redeliverable"},
	{exitUnavailable, "not available now: no answer, overloaded, or not ready"},
	{exitUnacknowledged, "ping, try dialect: the receiver did not acknowledge"},
	{exitPartly, "redeliver: some operations could not be redelivered"},
	{exitCutShort, "redeliver: stopped, or ended by an operator, before its end"},
	{exitStillRunning, "watch and follow: --for is over, what was followed goes on"},
	{exitOutcome[client.OutcomeExhausted], "watch: exhausted"},
	{exitOutcome[client.OutcomeGone], "watch: gone"},
	{exitOutcome[client.OutcomeRevoked], "watch: revoked"},
	{exitOutcome[client.OutcomeWithdrawn], "watch: withdrawn"},
	{exitOutcome[client.OutcomeExpired], "watch: expired"},
	{exitOutcome[client.OutcomeTerminated], "watch: terminated"},
	{exitInterrupted, "interrupted (Ctrl-C, SIGTERM); what was followed goes on"},
}

// exitCodeHelp is the help topic "exit-codes": a command that can't be run.
func exitCodeHelp() *cobra.Command {
	text := strings.Builder{}
	text.WriteString("Exit codes:\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&text, "  %3d  %s\n", c.code, c.meaning)
	}
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  text.String(),
	}
}

// exitError ends the program with an exit code of its own.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Sprintf(format, args...)}
}

func (t *tool) exitCode(ctx context.Context, err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	if _, wrong := errors.AsType[usageError](err); wrong || !t.parsed {
		return exitUsage
	}
	problem, _ := errors.AsType[*client.Problem](err)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case problem != nil && problem.Kind() == client.ProblemNotFound:
		return exitNotFound
	case client.Status(err) == http.StatusConflict:
		return exitConflict
	case client.IsTemporary(err):
		return exitUnavailable
	}
	return exitFailed
}
