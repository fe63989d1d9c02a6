// Package dialect writes callbacks and judges the answers to them. A new dialect is
// one file that adds itself to [All], and its testdata.
package dialect

import (
	"ringback/internal/operation"
)

// Dialect writes callbacks and judges answers. It is a value without state.
type Dialect interface {
	// Name is the dialect's name in the configuration.
	Name() string
	// Write is the message for a callback: the same bytes in every attempt.
	Write(operation.Callback) (Message, error)
	// Ping is the message of a test callback: of the callback only the key and
	// the observation's time are used. It claims nothing that a receiver could
	// take for money moved.
	Ping(operation.Callback) (Message, error)
	// Knows reports whether the dialect can write a status.
	Knows(status string) bool
	// Judge is the verdict on an answer to that callback. It never panics,
	// whatever the body holds.
	Judge(operation.Callback, Answer) Judgement
}

// Message is a callback as it is sent.
type Message struct {
	ContentType string
	// Accept is the Accept header; empty: none.
	Accept string
	Body   []byte
}

// Answer is a receiver's answer, read to a cap.
type Answer struct {
	HTTPStatus int
	Body       []byte
	// Truncated says that the body was longer than the cap.
	Truncated bool
	// ContentEncoding is the answer's header; the request asks for none.
	ContentEncoding string
}

// Judgement is a verdict with its reason. Gone (HTTP 410) ends the delivery.
type Judgement struct {
	Verdict operation.Verdict
	// Reason says in a few words why it is unacknowledged; empty where acknowledged.
	Reason string
	Gone   bool
}
