// Package service starts, reads, changes and redelivers operations. It is the only
// user of the Temporal client besides the workers. What a caller can act on is an
// operation.Error.
package service

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/codec"
	"ringback/internal/operation"
)

// Service handles the operations of one Temporal namespace.
type Service struct {
	// Client is connected to Namespace with ClientOptions: without them several
	// redeliveries at once may each begin a run.
	Client    client.Client
	Namespace string
	// Identity is the worker's, as the UI shows it.
	Identity string
	// Converter and Failures are the client's.
	Converter converter.DataConverter
	Failures  converter.FailureConverter
	// Endpoint finds an endpoint in the configuration in force, and EndpointNames
	// lists them, for errors that say what is allowed.
	Endpoint      func(name string) (operation.Endpoint, bool)
	EndpointNames func() []string
	// Vocabulary are the statuses of all kinds of source: what may be pushed to an
	// operation whose endpoint is not registered any more.
	Vocabulary []string
	// CheckURL refuses an address to which nothing may be sent.
	CheckURL func(ctx context.Context, address string) error
	// CardNumberRefused, if set, is called for each start that is refused for what
	// looks like a card number: that payment gets no callback.
	CardNumberRefused func(endpoint string)
	// UIURL is the base address of the Temporal UI; empty: no links.
	UIURL string
	// Build is that of this program; zero: it is not versioned.
	Build Build

	routing atomic.Pointer[Routing]
}

// queryTimeout bounds a Query for what Describe does not know.
const queryTimeout = time.Second

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
	case isSealed:
		return unavailable(cause, "What is kept of this is sealed with the key %q, and this program can't open it: "+
			"its configuration's codec.keys lacks that key, or has another one of that name.", sealed.KeyID)
	case !isUnavailable(err):
		return cause
	case isTimeout(err):
		// For callers that know the standard library's error alone.
		cause = fmt.Errorf("%w: %w", context.DeadlineExceeded, cause)
	}
	return unavailable(cause, "Temporal did not answer while %s; try again.", doing)
}

// operationError is engineError for what was tried on one operation.
func operationError(doing string, key operation.Key, err error) error {
	return engineError(doing+" "+key.WorkflowID(), err, notFoundError(key))
}

func notFoundError(key operation.Key) error {
	return operation.Refuse(operation.ProblemNotFound,
		"There is no operation %s, or its namespace's retention has ended.", key.WorkflowID())
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

// uiURL is where an operator sees the run.
func (s *Service) uiURL(workflowID, runID string) string {
	if s.UIURL == "" {
		return ""
	}
	address := strings.TrimSuffix(s.UIURL, "/") + "/namespaces/" + url.PathEscape(s.Namespace) +
		"/workflows/" + url.PathEscape(workflowID)
	if runID != "" {
		address += "/" + url.PathEscape(runID) + "/history"
	}
	return address
}
