package checker

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/internal/operation"
)

const (
	problemClosed       = "closed"
	problemNotRevocable = "not-revocable"
	problemConflict     = "conflict"
	problemUnavailable  = "unavailable"
	problemOverloaded   = "overloaded"
)

// answers are the API's possible final answers to each kind of call, and the problems
// of a 409. Besides, 429 and 503 with Retry-After ask the caller to come back.
var answers = map[string]struct {
	statuses []int
	problems []string
}{
	journal.Start:    {[]int{http.StatusCreated, http.StatusOK}, nil},
	journal.Push:     {[]int{http.StatusAccepted, http.StatusConflict}, []string{problemClosed}},
	journal.Revoke:   {[]int{http.StatusOK, http.StatusConflict}, []string{problemClosed, problemNotRevocable}},
	journal.Withdraw: {[]int{http.StatusOK, http.StatusConflict}, []string{problemClosed}},
	journal.Clash:    {[]int{http.StatusConflict}, []string{problemConflict}},
}

// checkStarts checks promise 1: one start is answered with 201, the others with 200.
func (c *check) checkStarts(o *evidence) {
	var created, known, unsettled, called int
	for _, call := range o.calls {
		if call.Kind != journal.Start {
			continue
		}
		called++
		switch call.HTTPStatus {
		case http.StatusCreated:
			created++
		case http.StatusOK:
			known++
		default:
			unsettled++
		}
	}
	switch {
	case called == 0:
		c.unexplained(o, 0, "no core started it, although it was planned")
	case created+known == 0:
		c.unexplained(o, 1, "no API accepted it in %d starts", called)
	case created > 1:
		c.unexplained(o, 1, "%d starts were answered with 201", created)
	case created == 0 && unsettled == 0:
		c.unexplained(o, 1, "every start was answered with 200, and none with 201")
	}
}

// notSent is net/http's error if a kept connection was closed before it was used.
const notSent = "server closed idle connection"

// callTimeout is how long a caller waits for an answer, and an API for Temporal.
const callTimeout = 10 * time.Second

// checkAnswers checks that each call got an answer that the API documents.
func (c *check) checkAnswers(o *evidence) {
	for _, call := range o.calls {
		switch call.HTTPStatus {
		case 0:
			c.checkUnanswered(o, call)
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			c.deferred++
			if call.RetryAfter == "" {
				c.unexplained(o, 0, "a %s was answered with %d without Retry-After", call.Kind, call.HTTPStatus)
			}
		default:
			c.checkAnswer(o, call)
		}
	}
}

func (c *check) checkUnanswered(o *evidence, call journal.Call) {
	if strings.Contains(call.Error, notSent) {
		return
	}
	during := span{call.Began, latest(call.Began, call.Ended)}
	f := c.latestFault(unanswered, func(f *fault, in span) bool {
		return (f.On == call.API || strings.HasSuffix(f.On, ">"+call.API)) && in.overlaps(during)
	})
	if f == nil && call.Ended.Sub(call.Began) >= callTimeout {
		f = c.explain(timedOut, during)
	}
	c.unlessExplained(o, f, unanswered, 0, "a %s at %s got no answer: %s", call.Kind, call.API, call.Error)
}

func (c *check) checkAnswer(o *evidence, call journal.Call) {
	expected := answers[call.Kind]
	switch {
	case !slices.Contains(expected.statuses, call.HTTPStatus):
		c.unexplained(o, 0, "a %s was answered with %d %s", call.Kind, call.HTTPStatus, call.Problem)
	case call.HTTPStatus == http.StatusConflict && !slices.Contains(expected.problems, call.Problem):
		c.unexplained(o, 0, "a %s was refused with the problem %q", call.Kind, call.Problem)
	}
}

// checkNothingSentAfterClosed checks that no callback follows the answer that the
// operation is closed.
func (c *check) checkNothingSentAfterClosed(o *evidence) {
	for _, call := range o.calls {
		if call.HTTPStatus != http.StatusConflict || call.Problem != problemClosed {
			continue
		}
		for _, r := range o.requests {
			if r.Began.After(call.Ended) && r.excused == nil {
				c.unexplained(o, 0, "a %s was refused as closed at %s, and %q was sent after that, at %s",
					call.Kind, timeOfDay(call.Ended), r.Status, timeOfDay(r.Began))
				return
			}
		}
	}
}

// checkFormats checks that polls and callbacks follow their documents.
func (c *check) checkFormats(o *evidence) {
	for _, p := range slices.Concat(o.polls, o.pages) {
		if p.Refused != "" {
			c.unexplained(o, 2, "a poll does not follow the core's documents: %s", p.Refused)
		}
	}
	for _, r := range o.requests {
		if r.Refused != "" {
			c.unexplained(o, 6, "a callback does not follow its dialect's documents: %s", r.Refused)
		}
	}
}

// checkClosed checks promise 1: an accepted operation is known and closed in the end.
func (c *check) checkClosed(o *evidence) bool {
	_, accepted := o.accepted()
	switch {
	case o.read == nil:
		c.unexplained(o, 0, "its state was not read in the end")
	case o.read.HTTPStatus == http.StatusNotFound && !accepted:
	case o.read.HTTPStatus == http.StatusNotFound:
		c.lost(o, 1, "it was accepted, and the API does not know it")
	case o.read.HTTPStatus != http.StatusOK:
		c.unexplained(o, 0, "its state can't be read: HTTP %d", o.read.HTTPStatus)
	case o.state().Key != o.key:
		c.unexplained(o, 1, "its state is that of %s", o.state().WorkflowID())
	case o.state().Phase != operation.Closed:
		c.lost(o, 1, "it has not ended: %s", o.state().Phase)
	default:
		return true
	}
	return false
}
