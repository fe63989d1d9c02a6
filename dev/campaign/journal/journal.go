// Package journal holds what the outside saw of a campaign: what cores called
// and were answered, what they were asked, what receivers were sent, which
// faults were really injected, and what the API said of every operation in the
// end. The checker reads nothing else. Each process appends lines of JSON to a
// file of its own.
package journal

import (
	"net/http"
	"time"

	"ringback/internal/operation"
)

// Entry is one line of a journal; exactly one of its members is set.
type Entry struct {
	Call    *Call    `json:"call,omitempty"`
	Poll    *Poll    `json:"poll,omitempty"`
	Request *Request `json:"request,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"`
	State   *State   `json:"state,omitempty"`
}

// request names the question or request that the entry is about; false: it is
// about none that is told of several times.
func (e Entry) request() (string, bool) {
	switch {
	case e.Request != nil:
		return "to a receiver " + e.Request.Name, true
	case e.Poll != nil:
		return "to a core " + e.Poll.Name, e.Poll.Name != ""
	}
	return "", false
}

// Span is when something began and ended, by the clock of the one machine that
// everything runs on. An end that nobody lived to see is zero.
type Span struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
}

// Call is one call of the API by a core.
type Call struct {
	Span
	operation.Key
	// What is one of the constants below.
	What string `json:"what"`
	// Number tells the calls of one sort about one operation apart, from 0: the
	// starts of an impatient core, or pushes in the plan's order. A call that is
	// made again since no answer came, 429 or 5xx, has the same one.
	Number int `json:"number"`
	// Status is what a push said.
	Status string `json:"status,omitempty"`
	// HTTPStatus of 0 means that no whole answer came. Error says why, or what an
	// answer other than 2xx says.
	HTTPStatus int    `json:"http_status"`
	Error      string `json:"error,omitempty"`
	// RetryAfter is the header's value, Problem the last part of the problem's
	// type, such as "closed"; both empty where there is none.
	RetryAfter string `json:"retry_after,omitempty"`
	Problem    string `json:"problem,omitempty"`
	// API is which of the APIs was called.
	API string `json:"api"`
}

// Settled reports whether the call was answered for good. What was not may have
// been taken all the same, where no whole answer came.
func (c Call) Settled() bool {
	return c.HTTPStatus != 0 && c.HTTPStatus != http.StatusTooManyRequests && c.HTTPStatus < 500
}

// What a core calls the API for.
const (
	Start    = "start"
	Push     = "push"
	Revoke   = "revoke"
	Withdraw = "withdraw"
	// Clash is a start of the same operation with other content, made after the
	// first was accepted: 409 is its only right answer.
	Clash = "clash"
)

// Poll is one question to a core, or to a front that answers instead of it. It is
// written when it has come and again before the answer leaves: whether that
// arrived is another matter. Read gives the latest of the two. It has no end where
// the core died over it.
type Poll struct {
	Span
	operation.Key
	// Name: no two questions of a campaign share it.
	Name string `json:"name,omitempty"`
	// Status is what was answered; empty: an error.
	Status string `json:"status,omitempty"`
	// Refused says what is wrong with the question by the core's documents;
	// empty: nothing. It is never right.
	Refused string `json:"refused,omitempty"`
	// Repeated says that the core had been asked this very question, nonce and all,
	// and refused it: net/http repeats one whose kept connection broke, which it
	// may (RFC 9110, section 9.2.2), and nothing else does.
	Repeated bool `json:"repeated,omitempty"`
	// Forbidden says that the core answered with 403.
	Forbidden bool `json:"forbidden,omitempty"`
	// Page is what a front answered; empty: the core was asked.
	Page string `json:"page,omitempty"`
}

// Request is one request to a receiver. It is written when it has come, again
// before it is answered and once more after that; Read gives the latest of them.
// Its span ends right before its answer's last byte leaves, or when the receiver
// saw that nobody waits for one; it has no end where the receiver died over it.
type Request struct {
	Span
	operation.Key
	// Name: no two requests of a campaign share it.
	Name       string `json:"name"`
	CallbackID string `json:"callback_id"`
	// Number counts the requests about one callback from 1, as the receiver has
	// them by its journal.
	Number int    `json:"number"`
	Status string `json:"status"`
	// Body is a digest of the request's body.
	Body string `json:"body"`
	// Took says that the receiver takes the callback as given: it meant to
	// acknowledge. Answered says that its whole answer was written; whether it
	// arrived is another matter.
	Took     bool `json:"took"`
	Answered bool `json:"answered"`
	// HTTPStatus is what it answered; 0: it hung up.
	HTTPStatus int `json:"http_status"`
	// Refused says what is wrong with the request by its dialect's documents, its
	// signature included; empty: nothing. It is never right.
	Refused string `json:"refused,omitempty"`
}

// Fault is one fault as it was injected: Ended is when what was broken was
// whole again, a program ready.
type Fault struct {
	Span
	Kind string `json:"kind"`
	On   string `json:"on"`
}

// State is what the API said of an operation when the campaign was over.
type State struct {
	operation.Key
	// HTTPStatus other than 200: there is no state.
	HTTPStatus int             `json:"http_status"`
	State      operation.State `json:"state"`
}
