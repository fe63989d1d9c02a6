package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/codec"
	"ringback/internal/operation"
)

// unavailableRetry is the Retry-After while Temporal does not answer.
const unavailableRetry = 2 * time.Second

// engineError turns an error of the Temporal client into one for the caller. doing
// says what was tried on what; notFound, if set, is the error where Temporal knows
// no such run, or none that is open.
func engineError(doing string, err, notFound error) error {
	cause := fmt.Errorf("%s: %w", doing, err)
	sealed, isSealed := errors.AsType[*codec.Error](err)
	_, isForCaller := errors.AsType[*operation.Error](err)
	switch {
	case isForCaller:
		return err
	case isNotFound(err) && notFound != nil:
		return notFound
	case isSealed && sealed.Refused:
		return unavailable(cause, "What is kept of this is refused: it is not sealed for it (docs/operations/running.md).")
	case isSealed:
		return unavailable(cause, "What is kept of this is sealed with the key %q, and this program can't open it: "+
			"its configuration's codec.keys lacks that key, or has another one of that name.", sealed.KeyID)
	case isUnread(err):
		return unavailable(cause, "The run could not read this: most often the codec.keys of the programs differ (docs/operations/running.md). Make them the same, and try again.")
	case !isUnavailable(err):
		return cause
	case isTimeout(err):
		// For callers that know the standard library's error alone.
		cause = fmt.Errorf("%w: %w", context.DeadlineExceeded, cause)
	}
	return unavailable(cause, "Temporal did not answer while %s; try again.", doing)
}

// isUnread reports whether the run refused an Update that it could not decode. By the
// type, which is in clear: the SDK wraps these alone by fmt.Errorf, as the test of an API
// with another codec key holds.
func isUnread(err error) bool {
	refused, ok := errors.AsType[*temporal.ApplicationError](err)
	return ok && refused.Type() == "wrapError"
}

// operationError is engineError for what was tried on one operation.
func (s *Service) operationError(doing string, key operation.Key, err error) error {
	return engineError(doing+" "+key.WorkflowID(), err, s.notFoundError(key))
}

func (s *Service) notFoundError(key operation.Key) error {
	detail := "There is no operation " + key.WorkflowID() + ", or its namespace's retention has ended."
	if _, registered := s.Endpoint(key.Endpoint); !registered {
		detail += " The endpoint " + s.NotRegistered("", key.Endpoint).Detail + "."
	}
	return operation.Refuse(operation.ProblemNotFound, "%s", detail)
}

func unavailable(cause error, format string, args ...any) *operation.Error {
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry, Err: cause, Detail: fmt.Sprintf(format, args...),
	}
}

// isNotFound reports whether err says that there is no such run, or none that is
// open: Temporal has one error for both.
func isNotFound(err error) bool {
	_, ok := errors.AsType[*serviceerror.NotFound](err)
	return ok
}

// isUnavailable reports whether err says that Temporal can't answer now, rather
// than that the request was wrong.
func isUnavailable(err error) bool {
	var away *serviceerror.Unavailable
	var busy *serviceerror.ResourceExhausted
	var canceled *serviceerror.Canceled
	return errors.Is(err, errNotTaken) || errors.As(err, &away) || errors.As(err, &busy) || isTimeout(err) ||
		errors.As(err, &canceled) || errors.Is(err, context.Canceled)
}

func isTimeout(err error) bool {
	_, ok := errors.AsType[*serviceerror.DeadlineExceeded](err)
	return ok || errors.Is(err, context.DeadlineExceeded)
}

// timedOut reports whether err is there because bounded, a part of ctx, ran out of
// time. The server keeps the same deadline and may report it first.
func timedOut(ctx, bounded context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && (bounded.Err() != nil || isTimeout(err))
}

// runEnded reports whether err says that the run closed before it took an Update, or
// before it answered one that it had taken.
func runEnded(err error) bool {
	failure, ok := errors.AsType[*temporal.ApplicationError](err)
	return isNotFound(err) || ok && failure.Type() == typeUpdateUnanswered
}

// typeUpdateUnanswered is the server's type of the failure of an Update that its run
// took and did not answer (service/history/workflow/update).
const typeUpdateUnanswered = "AcceptedUpdateCompletedWorkflow"

// takesNoUpdates reports whether err says that the run takes Signals but no Update
// any more: it had as many as the server allows one run (history.maxTotalUpdates,
// 2,000), or an operator paused it.
func takesNoUpdates(err error) bool {
	_, ok := errors.AsType[*serviceerror.FailedPrecondition](err)
	return ok
}

func closedError(key operation.Key) error {
	return operation.Refuse(operation.ProblemClosed, "The operation %s is closed.", key.WorkflowID())
}
