package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ringback/internal/callback"
)

const (
	// maxAnswer is how much of an answer is read; a longer one is malformed.
	maxAnswer = 64 << 10
	// maxRetryAfter bounds what a core can make us wait.
	maxRetryAfter = 24 * time.Hour
	userAgent     = "Ringback"
)

func now() callback.Time { return callback.At(time.Now()) }

// core is a configured core over HTTP: its base URLs, of which the one that
// answered last is asked first.
type core struct {
	Config
	lastGood atomic.Int32
}

// answer is what one base URL answered.
type answer struct {
	// tried is the method and the URL, for errors.
	tried      string
	httpStatus int
	header     http.Header
	body       []byte
	truncated  bool
	// repeated says that net/http sent the question a second time by itself, since
	// the connection that it had kept broke: with a nonce that the core may know.
	repeated bool
}

// request builds the request to one base URL.
type request func(ctx context.Context, base string) (*http.Request, error)

// read takes what it needs out of an answer; its error holds nothing of the body.
type read func(got answer) error

// ask sends build's request to the base URLs in turn until one answers so that
// take can read it, or says something that the others would say too. Where the
// context has a deadline, each base URL gets an equal share of what is left of
// it, so that a silent one cannot use up the time of the others.
func (c *core) ask(ctx context.Context, build request, take read) error {
	first := int(c.lastGood.Load())
	var failed []*Error
	for i := range c.BaseURLs {
		at := (first + i) % len(c.BaseURLs)
		failure := c.askOne(ctx, c.BaseURLs[at], len(c.BaseURLs)-i, build, take)
		if failure == nil {
			c.lastGood.Store(int32(at))
			return nil
		}
		failed = append(failed, failure)
		if failure.Kind != Unavailable || ctx.Err() != nil {
			break
		}
	}
	return allFailed(c.Name, failed)
}

// allFailed is the last failure, told with those before it.
func allFailed(name string, failed []*Error) error {
	if len(failed) == 0 {
		return &Error{Kind: Unavailable, Source: name, Detail: "it has no base URL to ask"}
	}
	last := *failed[len(failed)-1]
	details := make([]string, 0, len(failed))
	for _, f := range failed {
		details = append(details, f.Detail)
	}
	last.Detail = strings.Join(details, "; then ")
	return &last
}

func (c *core) askOne(ctx context.Context, base string, shares int, build request, take read) *Error {
	ctx, cancel := shareOf(ctx, shares)
	defer cancel()
	got, failure := c.put(ctx, base, build)
	if failure == nil && got.repeated && refuses(got.httpStatus) {
		got, failure = c.put(ctx, base, build)
	}
	if failure != nil {
		return failure
	}
	return c.judge(got, take)
}

// put puts one question to a base URL.
func (c *core) put(ctx context.Context, base string, build request) (answer, *Error) {
	r, err := build(ctx, base)
	if err != nil {
		return answer{}, c.failure(Malformed, 0, err, "cannot be asked: %v", err)
	}
	r.Header["User-Agent"] = []string{userAgent}
	got, err := exchange(c.Client, r)
	if err != nil {
		return answer{}, c.failure(Unavailable, 0, err, "%s: %v", got.tried, withoutURL(err))
	}
	return got, nil
}

// refuses reports whether the core refuses our credentials.
func refuses(httpStatus int) bool {
	return httpStatus == http.StatusUnauthorized || httpStatus == http.StatusForbidden
}

// shareOf bounds ctx to an equal share of the time that is left of it.
func shareOf(ctx context.Context, shares int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || shares < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(shares))
}

func exchange(client *http.Client, r *http.Request) (answer, error) {
	got := answer{tried: r.Method + " " + r.URL.Redacted()}
	var connections atomic.Int32
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections.Add(1) }}
	response, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return got, fmt.Errorf("reading the answer: %w", err)
	}
	got.repeated = connections.Load() > 1
	got.httpStatus = response.StatusCode
	got.header = response.Header
	got.body = body
	got.truncated = len(body) > maxAnswer
	return got, nil
}

// withoutURL is err without the URL that net/http puts before it, since Detail
// has it, and without what it quotes of the answer, which may hold anything.
func withoutURL(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return quoted.ReplaceAllString(err.Error(), "…")
}

// quoted is how net/http's errors repeat what a core sent.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// judge lets the HTTP status decide where it says that the core did not deal
// with the question; else the body does.
func (c *core) judge(got answer, take read) *Error {
	switch {
	case refuses(got.httpStatus):
		return c.failure(Unauthorized, got.httpStatus, nil, "%s: HTTP %d: the core refuses our credentials", got.tried, got.httpStatus)
	case got.httpStatus == http.StatusTooManyRequests:
		throttled := c.failure(Throttled, got.httpStatus, nil, "%s: HTTP 429", got.tried)
		throttled.RetryAfter = retryAfter(got.header.Get("Retry-After"), time.Now())
		return throttled
	}
	if got.httpStatus >= 300 && got.httpStatus <= 399 {
		return c.failure(Malformed, got.httpStatus, nil, "%s: HTTP %d: a redirect is not followed", got.tried, got.httpStatus)
	}
	if got.truncated {
		return c.failure(unreadable(got.httpStatus), got.httpStatus, nil, "%s: HTTP %d: the answer is longer than %d bytes", got.tried, got.httpStatus, maxAnswer)
	}
	if err := take(got); err != nil {
		return c.failure(unreadable(got.httpStatus), got.httpStatus, err, "%s: HTTP %d: %v", got.tried, got.httpStatus, err)
	}
	return nil
}

// unreadable is the kind of an answer whose body says nothing to us.
func unreadable(httpStatus int) ErrorKind {
	switch {
	case httpStatus == http.StatusNotFound:
		return NotFound
	case httpStatus >= 500, httpStatus == http.StatusRequestTimeout:
		return Unavailable
	}
	return Malformed
}

func (c *core) failure(kind ErrorKind, httpStatus int, err error, format string, args ...any) *Error {
	detail := callback.MaskCardNumbers(strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"))
	return &Error{Kind: kind, Source: c.Name, HTTPStatus: httpStatus, Detail: detail, Err: err}
}

// retryAfter reads a Retry-After of seconds or of a date; 0 if it says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
