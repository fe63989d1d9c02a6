// Package receiver sends callbacks to registered receivers: one request, its
// verdict, and the isolation of one receiver from the others. It knows no
// Temporal and keeps no record.
package receiver

import (
	"net/http"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/operation"
)

// Endpoint is a registered receiver as the worker knows it, secrets included.
// It is looked up by name at each attempt (promise 14).
type Endpoint struct {
	Name    string
	Dialect dialect.Dialect
	// URL is empty where each operation brings its own.
	URL    string
	Client *http.Client
	// Signer may be nil: then no signature is sent.
	Signer *dialect.Signer
	// Header is sent with each attempt: authorization and configured headers.
	Header http.Header
	// HonorRetryAfter lets the receiver lengthen h (promise 5's one exception).
	HonorRetryAfter bool
	// MaxConcurrent bounds the attempts in flight in this worker; 0: the default.
	MaxConcurrent int
}

// address is where the requests of an operation that brought url go.
func (e Endpoint) address(url string) string {
	if url != "" {
		return url
	}
	return e.URL
}

// Request is one attempt to be made.
type Request struct {
	Callback operation.Callback
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL string
	// Timeout bounds the whole call, the answer's body included.
	Timeout time.Duration
	// Number is the attempt's, counted from 1 over the callback's life.
	Number int
}

// Result is one attempt that was made.
type Result struct {
	Attempt operation.Attempt `json:"attempt"`
	// Ended is operation.DeliveryGone where the delivery is over without an
	// acknowledgement; Reason says why.
	Ended  operation.DeliveryOutcome `json:"ended,omitempty"`
	Reason string                    `json:"reason,omitempty"`
	// NotBefore is the receiver's Retry-After, where it is honoured.
	NotBefore operation.Time `json:"not_before,omitzero"`
	// Took is how long the attempt took, by the monotonic clock.
	Took time.Duration `json:"-"`
}
