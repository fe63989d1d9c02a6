// Package service starts, reads and changes operations. It is the only user
// of the Temporal client besides the workers, and turns the engine's errors
// into operation.Error.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/internal/operation"
)

// Service handles operations in one Temporal namespace.
type Service struct {
	// Client is connected to the namespace of the operations, with ClientOptions:
	// without them several redeliveries at once may each begin a run.
	Client client.Client
	// Namespace is the client's.
	Namespace string
	// Identity is the worker's, as the UI shows it.
	Identity string
	// Converter and Failures are the client's.
	Converter converter.DataConverter
	Failures  converter.FailureConverter
	// Endpoint finds an endpoint in the configuration in force.
	Endpoint func(name string) (operation.Endpoint, bool)
	// EndpointNames lists them, for errors that say what is allowed.
	EndpointNames func() []string
	// Vocabulary are the statuses of all kinds of source: what may be pushed to an
	// operation whose endpoint is not registered any more.
	Vocabulary []string
	// CheckURL refuses an address that could not be rung.
	CheckURL func(ctx context.Context, address string) error
	// CardNumber, if set, hears of a start that was refused since it holds what
	// looks like a card number: that payment gets no callback.
	CardNumber func(endpoint string)
	// UIURL is the base address of the Temporal UI; empty: none is linked.
	UIURL string
	// Versioned says that the workers are builds of a worker deployment.
	Versioned bool
	// Eager, if set, reports whether a run may begin in this process at once.
	// Else the server decides where it begins.
	Eager func() bool
}

// stateDeadline bounds a Query for what Describe does not know.
const stateDeadline = time.Second

// updateDeadline is how long an Update may wait for a worker: longer than an
// attempt inside a workflow task usually takes.
const updateDeadline = 3 * time.Second

// updateAtWork is after how long one is given no further updateDeadline although
// a worker is at the run: an attempt inside a workflow task takes its time-out at
// most, and a call of the API is answered within 15 s.
const updateAtWork = 8 * time.Second

// updateAgain is how soon an Update is sent again whose workflow task failed.
const updateAgain = 50 * time.Millisecond

// unavailableRetry is the Retry-After while Temporal does not answer.
const unavailableRetry = 2 * time.Second

// engineError turns an error of the Temporal client into one for the caller.
func engineError(doing string, key operation.Key, err error) error {
	cause := fmt.Errorf("%s %s: %w", doing, key.WorkflowID(), err)
	switch {
	case isNotFound(err):
		return notFoundError(key)
	case !away(err):
		return cause
	case outOfTime(err):
		cause = timeout{cause}
	}
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: unavailableRetry,
		Detail: fmt.Sprintf("Temporal did not answer while %s %s; try again.", doing, key.WorkflowID()),
		Err:    cause,
	}
}

// isNotFound reports whether err says that there is no such run, or none that is
// open: to the engine both are the same.
func isNotFound(err error) bool {
	_, ok := errors.AsType[*serviceerror.NotFound](err)
	return ok
}

// away reports whether err says that Temporal can't answer now, rather than
// that it was asked something wrong.
func away(err error) bool {
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	var canceled *serviceerror.Canceled
	return errors.Is(err, errUnheard) || errors.As(err, &unavailable) || errors.As(err, &exhausted) || outOfTime(err) ||
		errors.As(err, &canceled) || errors.Is(err, context.Canceled)
}

// ranOut reports whether err is there since bounded, a part of ctx, ran out of
// time: the server counts along, and may say so before bounded itself does.
func ranOut(ctx, bounded context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && (bounded.Err() != nil || outOfTime(err))
}

// timeout is one of the standard library's to those who know no Temporal.
type timeout struct{ error }

// Is reports whether target is the standard library's.
func (timeout) Is(target error) bool { return target == context.DeadlineExceeded }

// Unwrap is the error itself.
func (t timeout) Unwrap() error { return t.error }

func outOfTime(err error) bool {
	_, ok := errors.AsType[*serviceerror.DeadlineExceeded](err)
	return ok || errors.Is(err, context.DeadlineExceeded)
}

func notFoundError(key operation.Key) error {
	return operation.Refuse(operation.ProblemNotFound,
		"There is no operation %s, or its namespace's retention has ended.", key.WorkflowID())
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

// canonical is a request as it is compared: the same content, the same bytes.
func canonical(r operation.StartRequest) string {
	data, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	return string(data)
}
