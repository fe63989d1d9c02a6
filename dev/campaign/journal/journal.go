// Package journal records what was seen outside Ringback in a campaign: the calls
// of the API, the polls that cores got, the requests that receivers got, the faults
// that were really injected, and every operation's state in the end. The checker
// reads nothing else. Each process appends lines of JSON to a file of its own.
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

// name is that of the poll or request, of which later entries replace earlier ones;
// false if the entry is written once.
func (e Entry) name() (string, bool) {
	switch {
	case e.Request != nil:
		return "request " + e.Request.Name, true
	case e.Poll != nil:
		return "poll " + e.Poll.Name, e.Poll.Name != ""
	}
	return "", false
}

// Span is when something began and ended, by the machine's one clock. Ended is zero
// if the process that recorded it died before.
type Span struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
}

// Call is one call of the API.
type Call struct {
	Span
	operation.Key
	// Kind is one of the constants below.
	Kind string `json:"kind"`
	// Number counts the calls of one kind about one operation from 0. A call that
	// is repeated, since no answer came or 429 or 5xx did, keeps its number.
	Number int `json:"number"`
	// Status is a push's.
	Status string `json:"status,omitempty"`
	// HTTPStatus is 0 if no whole answer came. Error says why, or what an answer
	// other than 2xx says.
	HTTPStatus int    `json:"http_status"`
	Error      string `json:"error,omitempty"`
	// RetryAfter is the header's value, Problem the last part of the problem's
	// type, such as "closed"; both empty if there is none.
	RetryAfter string `json:"retry_after,omitempty"`
	Problem    string `json:"problem,omitempty"`
	// API is the name of the API that was called.
	API string `json:"api"`
}

// Settled reports whether the answer is final. A call without an answer may have
// been accepted all the same.
func (c Call) Settled() bool {
	return c.HTTPStatus != 0 && c.HTTPStatus != http.StatusTooManyRequests && c.HTTPStatus < 500
}

// The kinds of calls.
const (
	Start    = "start"
	Push     = "push"
	Revoke   = "revoke"
	Withdraw = "withdraw"
	// Clash is a start of an accepted operation with other content: only 409 is
	// right.
	Clash = "clash"
)

// Poll is one poll that a core, or a gateway before it, got. It is written when it
// comes and again before its answer is sent; Read returns the later entry.
type Poll struct {
	Span
	operation.Key
	// Name is unique in a campaign.
	Name string `json:"name,omitempty"`
	// Status is the answer; empty: an error.
	Status string `json:"status,omitempty"`
	// Refused says what is wrong with the poll by the core's documents; empty if
	// nothing is.
	Refused string `json:"refused,omitempty"`
	// Repeated says that the core had already got this very request, nonce included,
	// and refused it. net/http repeats a request whose kept connection broke
	// (RFC 9110, section 9.2.2).
	Repeated bool `json:"repeated,omitempty"`
	// Forbidden says that the core answered with 403.
	Forbidden bool `json:"forbidden,omitempty"`
	// Page is what a gateway answered; empty: the core got the poll.
	Page string `json:"page,omitempty"`
}

// Request is one request that a receiver got. It is written when it comes, before
// it is answered and once more after that; Read returns the latest entry. It ends
// right before its answer's last byte is sent, or when the receiver saw that the
// caller had hung up.
type Request struct {
	Span
	operation.Key
	// Name is unique in a campaign.
	Name       string `json:"name"`
	CallbackID string `json:"callback_id"`
	// Number counts the requests about one callback from 1.
	Number int    `json:"number"`
	Status string `json:"status"`
	// Body is a digest of the request's body.
	Body string `json:"body"`
	// Accepted says that the receiver meant to acknowledge, Answered that it wrote
	// its whole answer. Whether that arrived is another matter.
	Accepted bool `json:"accepted"`
	Answered bool `json:"answered"`
	// HTTPStatus is the answer; 0: the receiver hung up.
	HTTPStatus int `json:"http_status"`
	// Refused says what is wrong with the request by its dialect's documents, its
	// signature included; empty if nothing is.
	Refused string `json:"refused,omitempty"`
}

// Fault is one injected fault. It ended when everything worked again.
type Fault struct {
	Span
	Kind string `json:"kind"`
	On   string `json:"on"`
}

// State is what the API said of an operation at the end of the campaign.
type State struct {
	operation.Key
	// HTTPStatus other than 200: there is no state.
	HTTPStatus int             `json:"http_status"`
	State      operation.State `json:"state"`
}
