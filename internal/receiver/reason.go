package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"syscall"
	"time"

	"ringback/internal/egress"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// reasonCap bounds an attempt's reason, in bytes.
const reasonCap = 200

func unanswered(reason string) Result {
	return Result{Attempt: operation.Attempt{Verdict: operation.Unacknowledged, Reason: reason}}
}

// failed is the verdict on an attempt that lacked an answer, or its end.
// Addresses are left out of the reason: they may hold what only the receiver
// should see.
func failed(err error, lacked string, timeout time.Duration) Result {
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &refused):
		result := unanswered("the egress guard refused the address: " + refused.Reason)
		result.Ended, result.Reason = operation.DeliveryGone, operation.ReasonEgress
		return result
	case errors.Is(err, context.DeadlineExceeded):
		return unanswered(fmt.Sprintf("%s within %d ms", lacked, timeout.Milliseconds()))
	}
	return unanswered(lacked + ": " + inWords(err))
}

func inWords(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case isGoAway(err):
		return "the server closed the HTTP/2 connection"
	}
	if code := streamError.FindStringSubmatch(err.Error()); code != nil {
		return "the server ended the HTTP/2 stream with " + code[1]
	}
	return httpanswer.WithoutQuotes(err)
}

// streamError is how net/http tells of an HTTP/2 stream that was reset, with the
// code's name (RFC 9113, 7).
var streamError = regexp.MustCompile(`stream error: stream ID \d+; ([A-Z0-9_]+)`)

// tidy keeps a reason short, text, and free of card numbers.
func tidy(reason string) string {
	reason = strings.ToValidUTF8(operation.MaskCardNumbers(reason), "\uFFFD")
	if len(reason) > reasonCap {
		reason = strings.ToValidUTF8(reason[:reasonCap], "") + "…"
	}
	return reason
}
