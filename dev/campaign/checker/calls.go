package checker

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
)

// answers are what the API may answer for good to each call. Beside them, 429
// and 503 with Retry-After mean: not now, the same again later.
var answers = map[string][]int{
	journal.Start:    {http.StatusCreated, http.StatusOK},
	journal.Push:     {http.StatusAccepted, http.StatusConflict},
	journal.Revoke:   {http.StatusOK, http.StatusConflict},
	journal.Withdraw: {http.StatusOK, http.StatusConflict},
	journal.Clash:    {http.StatusConflict},
}

const (
	problemClosed       = "closed"
	problemNotRevocable = "not-revocable"
	problemConflict     = "conflict"
	problemUnavailable  = "unavailable"
	problemOverloaded   = "overloaded"
)

var problems = map[string][]string{
	journal.Push:     {problemClosed},
	journal.Revoke:   {problemClosed, problemNotRevocable},
	journal.Withdraw: {problemClosed},
	journal.Clash:    {problemConflict},
}

func (c *check) checkCalls(o *evidence) {
	c.checkStarts(o)
	for _, call := range o.calls {
		c.checkAnswer(o, call)
	}
}

// checkStarts holds promise 1: one 201, then 200s.
func (c *check) checkStarts(o *evidence) {
	var created, again, doubtful, called int
	for _, call := range o.calls {
		if call.What != journal.Start {
			continue
		}
		called++
		switch call.HTTPStatus {
		case http.StatusCreated:
			created++
		case http.StatusOK:
			again++
		default:
			doubtful++
		}
	}
	switch {
	case called == 0:
		c.unexplained(o, 0, "no core started it, although it was planned")
	case created+again == 0:
		c.unexplained(o, 1, "no API accepted it, however often it was asked (%d times)", called)
	case created > 1:
		c.unexplained(o, 1, "it was answered with 201 %d times", created)
	case created == 0 && doubtful == 0:
		c.unexplained(o, 1, "it was answered with 200, and nobody was answered with 201 or got no answer")
	}
}

// notSent is how net/http says that a connection which it had kept was closed
// before it could ask anything.
const notSent = "server closed idle connection"

// patience is how long a core waits for an answer, and an API for the engine.
const patience = 10 * time.Second

func (c *check) checkAnswer(o *evidence, call journal.Call) {
	switch call.HTTPStatus {
	case 0:
		if strings.Contains(call.Error, notSent) {
			return
		}
		f := c.explain(unanswered, span{call.Began, latest(call.Began, call.Ended)}, call.API)
		if f == nil && call.Ended.Sub(call.Began) >= patience {
			f = c.explain(awaited, span{call.Began, call.Ended}, "")
		}
		c.excuse(o, f, unanswered, 0, "%s at %s got no answer: %s", call.What, call.API, call.Error)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		c.verdict.Deferred++
		if call.RetryAfter == "" {
			c.unexplained(o, 0, "%s was answered with %d without Retry-After", call.What, call.HTTPStatus)
		}
	default:
		if !slices.Contains(answers[call.What], call.HTTPStatus) {
			c.unexplained(o, 0, "%s was answered with %d %s", call.What, call.HTTPStatus, call.Problem)
			return
		}
		if call.HTTPStatus == http.StatusConflict {
			c.checkConflict(o, call)
		}
	}
}

func (c *check) checkConflict(o *evidence, call journal.Call) {
	if !slices.Contains(problems[call.What], call.Problem) {
		c.unexplained(o, 0, "%s was refused as %q", call.What, call.Problem)
		return
	}
}

// checkClosedCalls holds that what was refused as closed was sent no more.
func (c *check) checkClosedCalls(o *evidence) {
	for _, call := range o.calls {
		if call.HTTPStatus != http.StatusConflict || call.Problem != problemClosed {
			continue
		}
		for _, r := range o.requests {
			if r.Began.After(call.Ended) && r.excused == nil {
				c.unexplained(o, 0, "%s was refused as closed at %s, and %q was sent after that, at %s",
					call.What, clock(call.Ended), r.Status, clock(r.Began))
				return
			}
		}
	}
}

// checkRequests holds that what the cores and receivers were sent was written as
// their documents say.
func (c *check) checkRequests(o *evidence) {
	for _, p := range slices.Concat(o.polls, o.pages) {
		if p.Refused != "" {
			c.unexplained(o, 2, "a poll was not as the core's documents have it: %s", p.Refused)
		}
	}
	for _, r := range o.requests {
		if r.Refused != "" {
			c.unexplained(o, 6, "a callback was not as its dialect's documents have it: %s", r.Refused)
		}
	}
}

// checkEnded holds that what was accepted is known and closed.
func (c *check) checkEnded(o *evidence) bool {
	_, accepted := o.accepted()
	switch {
	case o.read == nil:
		c.unexplained(o, 0, "nobody read its state in the end")
		return false
	case o.read.HTTPStatus == http.StatusNotFound && !accepted:
		return false
	case o.read.HTTPStatus == http.StatusNotFound:
		c.lost(o, 1, "it was accepted, and the API knows nothing of it")
		return false
	case o.read.HTTPStatus != http.StatusOK:
		c.unexplained(o, 0, "its state can't be read: HTTP %d", o.read.HTTPStatus)
		return false
	case o.state().Key != o.key:
		c.unexplained(o, 1, "its state is that of %s", o.state().WorkflowID())
		return false
	case o.state().Phase != "closed":
		c.lost(o, 1, "it has not ended: %s", o.state().Phase)
		return false
	}
	return true
}
