package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ringback/internal/operation"
)

// Exit codes, as exitCodes documents them.
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
	exitGoesOn         = 9
	exitInterrupted    = 130
)

// exitOutcome are watch's exit codes: how the operation ended.
var exitOutcome = map[operation.Outcome]int{
	operation.OutcomeAcknowledged: exitOK,
	operation.OutcomeExhausted:    10,
	operation.OutcomeGone:         11,
	operation.OutcomeRevoked:      12,
	operation.OutcomeWithdrawn:    13,
	operation.OutcomeExpired:      14,
	operation.OutcomeTerminated:   15,
}

// exitCode is one line of the table of exit codes.
type exitCode struct {
	code    int
	meaning string
}

// exitCodes are all that starter exits with.
var exitCodes = []exitCode{
	{exitOK, "done; watch: acknowledged; ping: acknowledged; verify: valid; config check: good"},
	{exitFailed, "refused or failed; verify: not valid; config: the file is refused"},
	{exitUsage, "the command line is wrong"},
	{exitNotFound, "no such operation, or no such bulk redelivery"},
	{exitConflict, "conflict: other content, closed, not revocable, not redeliverable"},
	{exitUnavailable, "not available now: no answer, overloaded, or not ready"},
	{exitUnacknowledged, "ping: the receiver did not acknowledge"},
	{exitPartly, "redeliver: some operations could not be redelivered"},
	{exitCutShort, "redeliver: stopped, or ended by an operator, before its end"},
	{exitGoesOn, "watch and follow: --for is over, what was followed goes on"},
	{exitOutcome[operation.OutcomeExhausted], "watch: exhausted"},
	{exitOutcome[operation.OutcomeGone], "watch: gone"},
	{exitOutcome[operation.OutcomeRevoked], "watch: revoked"},
	{exitOutcome[operation.OutcomeWithdrawn], "watch: withdrawn"},
	{exitOutcome[operation.OutcomeExpired], "watch: expired"},
	{exitOutcome[operation.OutcomeTerminated], "watch: terminated"},
	{exitInterrupted, "interrupted (Ctrl-C, SIGTERM); what was followed goes on"},
}

// exitCodeHelp is the help topic "exit-codes": a command that can't be run.
func exitCodeHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long:  "Exit codes:\n" + exitCodeTable(),
	}
}

func exitCodeTable() string {
	var b bytes.Buffer
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", c.code, c.meaning)
	}
	return b.String()
}

// endError is an end that has an exit code of its own and is no failure of the
// tool's.
type endError struct {
	code int
	says string
}

func (e *endError) Error() string { return e.says }

func end(code int, format string, args ...any) error {
	return &endError{code, fmt.Sprintf(format, args...)}
}

func (t *tool) exitCode(ctx context.Context, err error) int {
	var ended *endError
	if errors.As(err, &ended) {
		return ended.code
	}
	var wrong usageError
	if !t.begun || errors.As(err, &wrong) {
		return exitUsage
	}
	if ctx.Err() != nil {
		return exitInterrupted
	}
	var refused *apiError
	if errors.As(err, &refused) {
		return refused.exitCode()
	}
	var unreachable *unreachableError
	var unready *unreadyError
	if errors.As(err, &unreachable) || errors.As(err, &unready) {
		return exitUnavailable
	}
	return exitFailed
}
