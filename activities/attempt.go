package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"ringback/internal/callback"
	"ringback/internal/dialect"
	"ringback/internal/egress"
)

const (
	// answerCap is how much of an answer's body is read: acknowledgements are short.
	answerCap = 64 << 10
	// reasonCap bounds an attempt's reason, in bytes.
	reasonCap = 200
)

// AttemptInput asks for one attempt.
type AttemptInput struct {
	Callback callback.Callback `json:"callback"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL       string `json:"url,omitempty"`
	TimeoutMS int64  `json:"timeout_ms"`
	// Number is the attempt's, counted from 1 over the callback's life.
	Number int `json:"number"`
}

// AttemptResult is one attempt, or why none was made.
type AttemptResult struct {
	// HeldBack says that no attempt was made, and why.
	HeldBack string           `json:"held_back,omitempty"`
	Attempt  callback.Attempt `json:"attempt,omitzero"`
	// Ended is callback.DeliveryGone where the delivery is over without an
	// acknowledgement; Reason says why.
	Ended  callback.DeliveryOutcome `json:"ended,omitempty"`
	Reason string                   `json:"reason,omitempty"`
	// NotBefore is the receiver's Retry-After, where it is honoured.
	NotBefore callback.Time `json:"not_before,omitzero"`
}

// Attempt rings an endpoint once, inside a workflow task, if it answered fast
// lately. It never fails: what went wrong is in the result. Losing the workflow
// task may repeat it (promise 5's exception).
func (a *Activities) Attempt(ctx context.Context, in AttemptInput) (AttemptResult, error) {
	endpoint, missing := a.endpointFor(in.Callback.Key.Endpoint, in.URL)
	if missing != "" {
		return AttemptResult{HeldBack: missing}, nil
	}
	pass, held := a.endpointLane(endpoint).admitLocal()
	if held != "" {
		return AttemptResult{HeldBack: held}, nil
	}
	return a.ring(context.WithoutCancel(ctx), endpoint, in, pass), nil
}

func (a *Activities) endpointLane(e Endpoint) *lane {
	return a.endpointLanes.of(e.Name, e.MaxConcurrent, breakerTrips, breakerOpens)
}

// endpointFor is the endpoint of an operation that brought this URL, or none; or
// why its deliveries wait: what they need is not in this program's file.
func (a *Activities) endpointFor(name, url string) (e Endpoint, missing string) {
	e, ok := a.Endpoint(name)
	switch {
	case !ok:
		a.Log.Error("an endpoint is not in this program's configuration; its deliveries wait", zap.String("endpoint", name))
		missing = "the endpoint " + name + " is not in this worker's configuration"
	case e.URL == "" && url == "":
		a.Log.Error("the url of an endpoint is not in this program's configuration; operations that brought none wait", zap.String("endpoint", name))
		missing = "the url of the endpoint " + name + " is not in this worker's configuration, and the operation brought none"
	default:
		return e, ""
	}
	a.Metrics.missing.WithLabelValues("endpoint").Inc()
	return e, missing
}

// ring makes one attempt and judges it. Nothing cuts it off but its timeout.
func (a *Activities) ring(ctx context.Context, e Endpoint, in AttemptInput, pass leave) AttemptResult {
	defer a.Metrics.underWay("endpoint", e.Name)()
	begun := time.Now()
	result := a.exchange(ctx, e, in)
	ended := time.Now()
	// By the clock as it is at the end, from which h counts, also where it was
	// set meanwhile.
	result.Attempt.Number, result.Attempt.At = in.Number, callback.At(ended.Add(-ended.Sub(begun)))
	result.Attempt = result.Attempt.EndedBy(ended)
	result.Attempt.Reason = tidy(result.Attempt.Reason)
	pass(ended.Sub(begun), endpointBreakerError(result, ended.Sub(begun)))
	a.Metrics.attempted(e.Name, in, begun, result.Attempt.Verdict)
	a.judged(ctx, e.Name, result.Attempt)
	a.Log.Info("attempt",
		zap.String("endpoint", e.Name), zap.String("operation_id", in.Callback.Key.OperationID),
		zap.String("callback_id", in.Callback.ID), zap.String("status", in.Callback.Observation.Status),
		zap.Int("number", in.Number), zap.Int("http_status", result.Attempt.HTTPStatus),
		zap.String("verdict", string(result.Attempt.Verdict)), zap.String("reason", result.Attempt.Reason),
		zap.Int64("took_ms", result.Attempt.TookMS), runID(ctx), traceID(ctx))
	return result
}

// endpointBreakerError counts against an endpoint's breaker what held a slot and
// brought nothing. A connection refused at once costs nobody anything, and h is
// kept there.
func endpointBreakerError(r AttemptResult, took time.Duration) error {
	if r.Attempt.HTTPStatus == 0 && r.Ended == "" && took > fastWithin {
		return errNoAnswer
	}
	return nil
}

func (a *Activities) exchange(ctx context.Context, e Endpoint, in AttemptInput) AttemptResult {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutMS)*time.Millisecond)
	defer cancel()
	request, err := newRequest(ctx, e, in)
	if err != nil {
		return unanswered("the callback could not be written: " + err.Error())
	}
	response, err := e.Client.Do(request)
	if err != nil {
		return failed(err, "no answer", in.TimeoutMS)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerCap+1))
	result := judge(e, in.Callback, response, body, err != nil)
	if err != nil && result.Attempt.Verdict != callback.Acknowledged && result.Ended == "" {
		result.Attempt.Reason = failed(err, "no whole answer", in.TimeoutMS).Attempt.Reason
	}
	return result
}

func newRequest(ctx context.Context, e Endpoint, in AttemptInput) (*http.Request, error) {
	message, err := e.Dialect.Write(in.Callback)
	if err != nil {
		return nil, err
	}
	address := in.URL
	if address == "" {
		address = e.URL
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(message.Body))
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	for name, values := range e.Header {
		request.Header[name] = values
	}
	for name, values := range e.Signer.Headers(in.Callback.ID, time.Now(), message.Body) {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", message.ContentType)
	request.Header.Set("User-Agent", "Ringback")
	if message.Accept != "" {
		request.Header.Set("Accept", message.Accept)
	}
	return request, nil
}

// judge leaves the verdict to the dialect, also where the body broke off: to a
// dialect that asks for a 2xx alone, the status has said everything.
func judge(e Endpoint, c callback.Callback, response *http.Response, body []byte, broken bool) AttemptResult {
	answer := dialect.Answer{
		HTTPStatus: response.StatusCode, Body: body[:min(len(body), answerCap)],
		Truncated: broken || len(body) > answerCap,
	}
	judgement := e.Dialect.Judge(c, answer)
	result := AttemptResult{Attempt: callback.Attempt{
		HTTPStatus: response.StatusCode, Verdict: judgement.Verdict, Reason: judgement.Reason,
	}}
	if judgement.Gone {
		result.Ended, result.Reason = callback.DeliveryGone, judgement.Reason
	}
	if e.HonorRetryAfter {
		result.NotBefore = retryAfter(response.Header, time.Now())
	}
	return result
}

// retryAfterCap bounds how long a receiver may put the next attempt off.
const retryAfterCap = 24 * time.Hour

func retryAfter(h http.Header, now time.Time) callback.Time {
	value := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(max(seconds, 0), int(retryAfterCap/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = min(at.Sub(now), retryAfterCap)
	}
	if wait <= 0 {
		return callback.Time{}
	}
	return callback.At(now.Add(wait))
}

func unanswered(reason string) AttemptResult {
	return AttemptResult{Attempt: callback.Attempt{Verdict: callback.Unacknowledged, Reason: reason}}
}

// failed is the verdict on an attempt that lacked an answer, or its end.
// Addresses are left out of the reason: they may hold what only the receiver
// should see.
func failed(err error, lacked string, timeoutMS int64) AttemptResult {
	var refused *egress.RefusedError
	var address *url.Error
	switch {
	case errors.As(err, &refused):
		result := unanswered("the egress guard refused the address: " + refused.Reason)
		result.Ended, result.Reason = callback.DeliveryGone, callback.ReasonEgress
		return result
	case errors.Is(err, context.DeadlineExceeded):
		return unanswered(fmt.Sprintf("%s within %d ms", lacked, timeoutMS))
	case errors.As(err, &address):
		err = address.Err
	}
	return unanswered(lacked + ": " + quoted.ReplaceAllString(err.Error(), "…"))
}

// quoted is how net/http's errors repeat what a receiver sent: it may hold
// anything, also a redirect's secrets.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// tidy keeps a reason short, text, and free of card numbers.
func tidy(reason string) string {
	reason = strings.ToValidUTF8(callback.MaskCardNumbers(reason), "\uFFFD")
	if len(reason) > reasonCap {
		reason = strings.ToValidUTF8(reason[:reasonCap], "") + "…"
	}
	return reason
}
