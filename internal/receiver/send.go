package receiver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"ringback/internal/dialect"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

// answerCap is how much of an answer's body is read: acknowledgements are short.
const answerCap = 64 << 10

// Send makes one attempt and judges it. It never fails: what went wrong is in
// the result. Nothing but the request's timeout and ctx cuts it off.
func Send(ctx context.Context, e Endpoint, in Request) Result {
	started := time.Now()
	result := call(ctx, e, in)
	ended := time.Now()
	result.Took = ended.Sub(started)
	// h counts from the end, so the times are those of the clock as it is then,
	// also where it was set meanwhile.
	result.Attempt.Number, result.Attempt.At = in.Number, operation.At(ended.Add(-result.Took))
	result.Attempt = result.Attempt.EndedBy(ended)
	result.Attempt.Reason = tidy(result.Attempt.Reason)
	return result
}

func call(ctx context.Context, e Endpoint, in Request) Result {
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	request, err := newRequest(ctx, e, in)
	if err != nil {
		return unanswered("the callback could not be written: " + err.Error())
	}
	response, err := exchange(e.Client.Transport, request)
	if err != nil {
		return failed(err, "no answer", in.Timeout)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerCap+1))
	result := judge(e, in.Callback, response, body, err != nil)
	if err != nil && result.Attempt.Verdict != operation.Acknowledged && result.Ended == "" {
		result.Attempt.Reason = failed(err, "no whole answer", in.Timeout).Attempt.Reason
	}
	return result
}

func newRequest(ctx context.Context, e Endpoint, in Request) (*http.Request, error) {
	message, err := e.Dialect.Write(in.Callback)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.address(in.URL), bytes.NewReader(message.Body))
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	for name, values := range e.Header {
		request.Header[name] = values
	}
	for name, values := range e.Signer.Headers(in.Callback.ID, time.Now(), message.Body) {
		// Verifiers of Standard Webhooks look for these names as the standard
		// writes them, some of them case by case.
		request.Header.Del(name)
		request.Header[strings.ToLower(name)] = values
	}
	request.Header.Set("Content-Type", message.ContentType)
	request.Header.Set("User-Agent", "Ringback")
	// Answers are judged as they come: nothing here unpacks them.
	request.Header.Set("Accept-Encoding", "identity")
	if message.Accept != "" {
		request.Header.Set("Accept", message.Accept)
	}
	return request, nil
}

// exchange sends request once. A kept connection that its other end closed
// before anything was written reached nobody, so the same attempt goes over the
// next connection. Each such round uses up a kept connection, and a fresh one
// that fails is not followed by another. The transport alone follows no redirect.
func exchange(transport http.RoundTripper, request *http.Request) (*http.Response, error) {
	for {
		w := &writing{}
		try := request.WithContext(httptrace.WithClientTrace(request.Context(), w.trace()))
		try.Body, _ = request.GetBody() // from memory: can't fail
		// With it, net/http would repeat on its own what may have been received:
		// after a reset where an Idempotency-Key is among the headers, and over
		// HTTP/2 after a stream error (net/http, Request.isReplayable and
		// http2shouldRetryRequest).
		try.GetBody = nil
		response, err := transport.RoundTrip(try)
		if err == nil || !w.reachedNobody(err) {
			return response, err
		}
	}
}

// judge leaves the verdict to the dialect, also where the body broke off: to a
// dialect that asks for a 2xx alone, the status has said everything.
func judge(e Endpoint, c operation.Callback, response *http.Response, body []byte, broken bool) Result {
	judgement := e.Dialect.Judge(c, dialect.Answer{
		HTTPStatus: response.StatusCode, Body: body[:min(len(body), answerCap)],
		Truncated:       broken || len(body) > answerCap,
		ContentEncoding: strings.Join(response.Header.Values("Content-Encoding"), ","),
	})
	result := Result{Attempt: operation.Attempt{
		HTTPStatus: response.StatusCode, Verdict: judgement.Verdict, Reason: judgement.Reason,
	}}
	if judgement.Gone {
		result.Ended, result.Reason = operation.DeliveryGone, judgement.Reason
	}
	if e.HonorRetryAfter {
		now := time.Now()
		if wait := httpanswer.RetryAfter(response.Header, now); wait > 0 {
			result.NotBefore = operation.At(now.Add(wait))
		}
	}
	return result
}
