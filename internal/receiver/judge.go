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

	"ringback/internal/cardnumber"
	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// reasonCap bounds an attempt's reason, in bytes.
const reasonCap = 200

// judge leaves the verdict to the dialect, also where the body broke off: for a
// dialect that asks for a 2xx alone the status is enough.
func (c *call) judge(e Endpoint, callback operation.Callback, broken bool) Result {
	judgement := e.Dialect.Judge(callback, dialect.Answer{
		HTTPStatus: c.response.StatusCode, Body: c.body[:min(len(c.body), answerCap)],
		Truncated:       broken || len(c.body) > answerCap,
		ContentEncoding: strings.Join(c.response.Header.Values("Content-Encoding"), ","),
	})
	result := Result{Attempt: operation.Attempt{
		HTTPStatus: c.response.StatusCode, Verdict: judgement.Verdict, Reason: judgement.Reason,
	}}
	if judgement.Gone {
		result.Ended, result.Reason = operation.DeliveryGone, judgement.Reason
	}
	now := time.Now()
	if wait := httpanswer.RetryAfter(c.response.Header, now); wait > 0 && e.HonorRetryAfter {
		result.NotBefore = operation.At(now.Add(wait))
	}
	return result
}

func unacknowledged(reason string) Result {
	return Result{Attempt: operation.Attempt{Verdict: operation.Unacknowledged, Reason: reason}}
}

// failed is the verdict on an attempt without an answer, or without a whole one,
// as missing says. The reason leaves addresses out: they may hold secrets.
func failed(err error, missing string, timeout time.Duration) Result {
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &refused):
		result := unacknowledged("the egress guard refused the address: " + refused.Reason)
		result.Ended, result.Reason = operation.DeliveryGone, operation.ReasonEgress
		return result
	case errors.Is(err, context.DeadlineExceeded):
		return unacknowledged(fmt.Sprintf("%s within %d ms", missing, timeout.Milliseconds()))
	}
	return unacknowledged(missing + ": " + explain(err))
}

func explain(err error) string {
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

// streamError matches net/http's error on an HTTP/2 stream that was reset, with the
// code's name (RFC 9113, 7).
var streamError = regexp.MustCompile(`stream error: stream ID \d+; ([A-Z0-9_]+)`)

// tidy keeps a reason short, text, and free of card numbers.
func tidy(reason string) string {
	reason = strings.ToValidUTF8(cardnumber.Mask(reason), "\uFFFD")
	if len(reason) > reasonCap {
		reason = strings.ToValidUTF8(reason[:reasonCap], "") + "…"
	}
	return reason
}
