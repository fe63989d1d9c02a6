// Package dialect writes callbacks and judges the answers to them. A new dialect is
// one file that adds itself to [All], and its testdata.
package dialect

import (
	"fmt"
	"net/http"
	"time"

	"ringback/internal/operation"
)

// Dialect writes callbacks and judges answers. It is a value without state.
type Dialect interface {
	// Name is the dialect's name in the configuration.
	Name() string
	// Write is the message for a callback: the same in every attempt. secrets are the
	// endpoint's, by name; the built-in dialects use none.
	Write(c operation.Callback, secrets map[string]string) (Message, error)
	// Ping is the message of a test callback: of the callback only the key and
	// the observation's time are used. It claims nothing that a receiver could
	// take for money moved.
	Ping(c operation.Callback, secrets map[string]string) (Message, error)
	// Knows reports whether the dialect can write a status.
	Knows(status string) bool
	// Judge is the verdict on an answer to that callback. It never panics,
	// whatever the body holds.
	Judge(operation.Callback, Answer) Judgement
	// Signer signs callbacks with an endpoint's secrets. Its errors say which of them is
	// wrong, by its place, and hold none.
	Signer(secrets []string) (*Signer, error)
}

// Message is a callback as it is sent.
type Message struct {
	// Method is the request's; empty: POST.
	Method      string
	ContentType string
	// Accept is the Accept header; empty: none.
	Accept string
	// Header are the dialect's own further headers, secrets included.
	Header http.Header
	Body   []byte
}

// Answer is a receiver's answer, read to a cap.
type Answer struct {
	HTTPStatus int
	Header     http.Header
	Body       []byte
	// Truncated says that the body was longer than the cap.
	Truncated bool
}

// Judgement is a verdict with its reason. Gone (HTTP 410) ends the delivery.
type Judgement struct {
	Verdict operation.Verdict
	// Reason says in a few words why it is unacknowledged; empty where acknowledged.
	Reason string
	Gone   bool
	// RetryAfter is how long the receiver asks to wait; nil: as its header Retry-After says.
	RetryAfter *time.Duration
}

// All are the dialects, each added by its own file.
var All []Dialect

// ByName is the dialect of that name.
func ByName(name string) (Dialect, bool) {
	for _, d := range All {
		if d.Name() == name {
			return d, true
		}
	}
	return nil, false
}

// Names are the dialects' names.
func Names() []string {
	names := make([]string, 0, len(All))
	for _, d := range All {
		names = append(names, d.Name())
	}
	return names
}

// judgeByStatus is the verdict of every dialect on these statuses: 410 ends the
// delivery and a redirect is never an acknowledgement. decided is false where
// the dialect's own rule decides.
func judgeByStatus(a Answer) (j Judgement, decided bool) {
	switch {
	case a.HTTPStatus == http.StatusGone:
		return Judgement{Verdict: operation.Unacknowledged, Reason: "410 Gone: the receiver wants no more of it", Gone: true}, true
	case a.HTTPStatus >= 300 && a.HTTPStatus <= 399:
		return unacknowledged("HTTP %d: a redirect is not followed", a.HTTPStatus), true
	}
	return Judgement{}, false
}

// anySuccess is the rule of the dialects that write every status and acknowledge
// by any 2xx, whatever the body holds.
type anySuccess struct{ standardWebhooks }

// Knows is true of every status.
func (anySuccess) Knows(status string) bool { return status != "" }

// Judge is by the HTTP status alone.
func (anySuccess) Judge(_ operation.Callback, a Answer) Judgement {
	if j, decided := judgeByStatus(a); decided {
		return j
	}
	if a.HTTPStatus < 200 || a.HTTPStatus > 299 {
		return unacknowledged("HTTP %d is not 2xx", a.HTTPStatus)
	}
	return Judgement{Verdict: operation.Acknowledged}
}

func unacknowledged(format string, args ...any) Judgement {
	return Judgement{Verdict: operation.Unacknowledged, Reason: fmt.Sprintf(format, args...)}
}
