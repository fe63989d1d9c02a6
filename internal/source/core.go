package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

const (
	// maxAnswer is how much of an answer is read; a longer one is not read at all.
	maxAnswer = 64 << 10
	userAgent = "Ringback"
)

func now() operation.Time { return operation.At(time.Now()) }

// core is a configured core over HTTP: its base URLs, of which the one that
// answered last is asked first.
type core struct {
	Config
	// isOwn reports whether an answer is in the core's own words: what stands in
	// front of a core (load balancer, proxy, maintenance page) answers otherwise.
	isOwn func(answer) bool
	// lastGood is the index of the base URL that answered last.
	lastGood atomic.Int32
	// speaksHTTP1 says which base URLs answered by HTTP/1 last.
	speaksHTTP1 []atomic.Bool
}

func newCore(c Config, isOwn func(answer) bool) *core {
	return &core{Config: c, isOwn: isOwn, speaksHTTP1: make([]atomic.Bool, len(c.Bases))}
}

// answer is what one base URL answered.
type answer struct {
	// tried is the method and the URL, for errors.
	tried      string
	httpStatus int
	header     http.Header
	// body is without a byte order mark.
	body      []byte
	truncated bool
}

// request builds the request to one base URL, each time with a nonce of its own.
type request func(ctx context.Context, base Base) (*http.Request, error)

// read takes what it needs out of an answer; its error holds nothing of the body.
type read func(got answer) error

// ask sends build's request to the base URLs in turn, until one answers so that
// take can read it or says something in the core's own words that is final
// ([Error.ends]): a page, a redirect or a refusal of something in front of the
// core is no reason not to ask by another way. Where the context has a deadline,
// each base URL gets an equal share of what is left of it, so that a silent one
// cannot use up the time of the others.
func (c *core) ask(ctx context.Context, build request, take read) error {
	first := int(c.lastGood.Load())
	var failed []*Error
	for i := range c.Bases {
		at := (first + i) % len(c.Bases)
		failure := c.askOne(ctx, at, len(c.Bases)-i, build, take)
		if failure == nil || failure.inOwnWords && failure.ends() {
			c.lastGood.Store(int32(at))
		}
		if failure == nil {
			return nil
		}
		failed = append(failed, failure)
		if failure.ends() || ctx.Err() != nil {
			break
		}
	}
	return allFailed(c.Name, failed)
}

// ends reports whether the other base URLs are not asked after e: they would
// say the same. That is what the core said in its own words, unless it failed
// (5xx); a 429 that says when to come back, be it from the core or a proxy; and a question that
// could not be built.
func (e *Error) ends() bool {
	return e.Kind != Unavailable && (e.inOwnWords || e.RetryAfter > 0 || e.HTTPStatus == 0)
}

// allFailed is the last failure, told with those before it. A 401 or 403 that is
// not in the core's own words counts only where every base URL answered so:
// beside any other failure it is that of a front.
func allFailed(name string, failed []*Error) error {
	if len(failed) == 0 {
		return &Error{Kind: Unavailable, Source: name, Detail: "it has no base URL to ask"}
	}
	last := *failed[len(failed)-1]
	for _, f := range failed {
		if f.Kind != Unauthorized || f.inOwnWords {
			last = *f
		}
	}
	details := make([]string, 0, len(failed))
	for _, f := range failed {
		details = append(details, f.Detail)
	}
	last.Detail = strings.Join(details, "; then ")
	return &last
}

func (c *core) askOne(ctx context.Context, at, shares int, build request, take read) *Error {
	ctx, cancel := shareOf(ctx, shares)
	defer cancel()
	got, failure, broke := c.put(ctx, at, build)
	if broke {
		// The other kept ones are perhaps broken, too: the next one is new.
		c.Bases[at].Client.CloseIdleConnections()
		got, failure, _ = c.put(ctx, at, build)
	}
	if failure != nil {
		return failure
	}
	return c.judge(got, take)
}

// put puts one question to a base URL. It reports as broken a kept connection
// that failed before anything was answered: a question does no harm when it is
// put again, newly signed.
func (c *core) put(ctx context.Context, at int, build request) (got answer, failure *Error, broke bool) {
	base := c.Bases[at]
	r, err := build(ctx, base)
	if err != nil {
		return answer{}, c.failure(Malformed, 0, err, "cannot be asked: %v", err), false
	}
	r.Header["User-Agent"] = []string{userAgent}
	r.Header["Accept-Encoding"] = []string{"identity"}
	if r.Method == http.MethodGet && c.speaksHTTP1[at].Load() {
		r.Body = unrepeatable{}
	}
	got, proto, broke, err := exchange(base.Client, r)
	if err != nil {
		return answer{}, c.failure(Unavailable, 0, err, "%s: %v", got.tried, withoutURL(err)), broke
	}
	c.speaksHTTP1[at].Store(proto == 1)
	return got, nil, false
}

// unrepeatable is an empty body that keeps net/http from repeating a GET by
// itself when a kept connection breaks ([http.Transport]): the core would refuse
// its nonce as a replay. HTTP/1 sends nothing for it. HTTP/2 would send an empty
// frame, and repeats only what the core did not process.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements [io.Closer].
func (unrepeatable) Close() error { return nil }

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

// exchange sends r; proto is the answer's major version of HTTP.
func exchange(client *http.Client, r *http.Request) (got answer, proto int, broke bool, err error) {
	got = answer{tried: r.Method + " " + r.URL.Redacted()}
	var kept, answered atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { kept.Store(info.Reused) },
		GotFirstResponseByte: func() { answered.Store(true) },
	})
	response, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return got, 0, kept.Load() && !answered.Load() && !isTimeout(err) && ctx.Err() == nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return got, 0, false, fmt.Errorf("reading the answer: %w", err)
	}
	got.httpStatus = response.StatusCode
	got.header = response.Header
	got.body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	got.truncated = len(body) > maxAnswer
	return got, response.ProtoMajor, false, nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// withoutURL is err without the URL that net/http puts before it, since Detail
// has it, and without what it quotes of the answer, which may hold anything.
func withoutURL(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return httpanswer.WithoutQuotes(err)
}

// judge lets the HTTP status decide where it says that the core did not deal
// with the question; else the body does.
func (c *core) judge(got answer, take read) *Error {
	failure := c.judgeStatus(got)
	if failure == nil {
		failure = c.judgeBody(got, take)
	}
	if failure != nil {
		failure.inOwnWords = got.what() == "" && c.isOwn(got) && !isRedirect(got.httpStatus)
	}
	return failure
}

func (c *core) judgeStatus(got answer) *Error {
	switch {
	case refuses(got.httpStatus):
		return c.failure(Unauthorized, got.httpStatus, nil, "%s: HTTP %d: our credentials are refused", got.tried, got.httpStatus)
	case got.httpStatus == http.StatusTooManyRequests:
		throttled := c.failure(Throttled, got.httpStatus, nil, "%s: HTTP 429", got.tried)
		throttled.RetryAfter = httpanswer.RetryAfter(got.header, time.Now())
		return throttled
	case isRedirect(got.httpStatus):
		return c.failure(Malformed, got.httpStatus, nil, "%s: HTTP %d: a redirect is not followed", got.tried, got.httpStatus)
	}
	return nil
}

func isRedirect(httpStatus int) bool { return httpStatus >= 300 && httpStatus <= 399 }

func (c *core) judgeBody(got answer, take read) *Error {
	if what := got.what(); what != "" {
		return c.failure(unreadable(got.httpStatus), got.httpStatus, nil, "%s: HTTP %d: the answer is %s", got.tried, got.httpStatus, what)
	}
	if err := take(got); err != nil {
		return c.failure(unreadable(got.httpStatus), got.httpStatus, err, "%s: HTTP %d: %v", got.tried, got.httpStatus, err)
	}
	return nil
}

// what says what an answer is that cannot be JSON; empty if it can.
func (a answer) what() string {
	encoding := strings.ToLower(a.header.Get("Content-Encoding"))
	body := bytes.TrimSpace(a.body)
	switch {
	case slices.Contains(encodings, encoding):
		return "compressed (Content-Encoding: " + encoding + "), and identity was asked for"
	case encoding != "" && encoding != "identity":
		return "encoded in a way that was not asked for"
	case a.truncated:
		return fmt.Sprintf("longer than %d bytes", maxAnswer)
	case len(body) == 0:
		return "empty"
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return "compressed, and identity was asked for"
	case body[0] == '<':
		return "HTML or XML, not JSON"
	case !json.Valid(body):
		return "not JSON"
	}
	return ""
}

// encodings are those that an error names: any other name is the sender's own text.
var encodings = []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress"}

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
	detail := operation.MaskCardNumbers(strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"))
	return &Error{Kind: kind, Source: c.Name, HTTPStatus: httpStatus, Detail: detail, Err: err}
}
