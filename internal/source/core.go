package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"ringback/internal/cardnumber"
	"ringback/internal/expression"
	"ringback/internal/httpanswer"
	"ringback/internal/operation"
)

const (
	// maxAnswer is how much of an answer is read; a longer one is not read at all.
	maxAnswer = 64 << 10
	userAgent = "Ringback"
)

func now() operation.Time { return operation.At(time.Now()) }

// protocol is what differs between kinds of cores. Its errors hold nothing of a body.
type protocol struct {
	// poll and details build the requests of [Source].
	poll, details build
	// prepare decodes an answer once for all that reads it, and says what is wrong with
	// it whatever it is about; nil: [answer.notJSON].
	prepare func(ctx context.Context, got *answer, q operation.Query) (fault string)
	// wrote reports whether the core itself wrote an answer, rather than what
	// stands in front of it (load balancer, proxy, maintenance page).
	wrote func(answer) bool
	// refused reports whether our credentials are refused; nil: by HTTP 401 and 403.
	refused func(answer) bool
	// retryAfter is when to come back after HTTP 429; nil: by the header Retry-After.
	retryAfter func(answer) time.Duration
	// observation and extended read the answers to them, about the operation asked for.
	observation func(got answer, q operation.Query) (operation.Observation, error)
	extended    func(got answer, q operation.Query) (map[string]any, error)
}

// core is a configured core over HTTP. The base URL that answered last is called
// first.
type core struct {
	Config
	protocol
	// lastGood is the index of the base URL that answered last.
	lastGood atomic.Int32
	// speaksHTTP1 says which base URLs answered by HTTP/1 last.
	speaksHTTP1 []atomic.Bool
}

func newCore(c Config, p protocol) *core {
	if p.prepare == nil {
		p.prepare = func(_ context.Context, got *answer, _ operation.Query) string { return got.notJSON() }
	}
	if p.refused == nil {
		p.refused = func(got answer) bool {
			return got.httpStatus == http.StatusUnauthorized || got.httpStatus == http.StatusForbidden
		}
	}
	if p.retryAfter == nil {
		p.retryAfter = func(got answer) time.Duration { return httpanswer.RetryAfter(got.header, time.Now()) }
	}
	return &core{Config: c, protocol: p, speaksHTTP1: make([]atomic.Bool, len(c.Bases))}
}

// Poll asks for the operation's status.
func (c *core) Poll(ctx context.Context, q operation.Query) (operation.Observation, error) {
	startedAt := now()
	observed, err := request(ctx, c, q, c.poll, c.screened)
	if err != nil {
		return operation.Observation{}, err
	}
	observed.BegunAt, observed.ObservedAt = startedAt, now()
	return observed, nil
}

// screened is an observation without what looks like a card number, unless it is the
// order id that we asked for: a code is left out, a status makes the answer unreadable.
func (c *core) screened(got answer, q operation.Query) (operation.Observation, error) {
	observed, err := c.observation(got, q)
	if err == nil && cardnumber.In(observed.Status) {
		return operation.Observation{}, errors.New("the answer's status looks like a card number")
	}
	maps.DeleteFunc(observed.Raw, func(_, value string) bool { return value != q.Reference.OrderID && cardnumber.In(value) })
	return observed, err
}

// Details asks for the extended answer.
func (c *core) Details(ctx context.Context, q operation.Query) (map[string]any, error) {
	return request(ctx, c, q, c.details, c.extended)
}

// answer is what one base URL answered.
type answer struct {
	// tried is which base URL, for errors.
	tried      string
	httpStatus int
	header     http.Header
	// body is without a byte order mark.
	body      []byte
	truncated bool
	// fault is what is wrong with it whatever it is about, and eval evaluates an
	// expression about it, both by [protocol.prepare].
	fault string
	eval  func(*expression.Expression) (any, error)
}

// build makes the request to one base URL, each time with a nonce of its own.
type build func(ctx context.Context, base Base, q operation.Query) (*http.Request, error)

// request sends the request that build makes to the base URLs in turn, and
// returns what read takes out of the first answer that it can read. It stops at a
// final error ([Error.isFinal]). Each base URL gets an equal share of the time
// left, so that a silent one doesn't use up that of the others.
func request[T any](ctx context.Context, c *core, q operation.Query, build build, read func(answer, operation.Query) (T, error)) (T, error) {
	var failed []*Error
	first := int(c.lastGood.Load())
	for i := range c.Bases {
		at := (first + i) % len(c.Bases)
		result, failure := requestOne(ctx, c, at, len(c.Bases)-i, q, build, read)
		if failure == nil || failure.FromCore && failure.isFinal() {
			c.lastGood.Store(int32(at))
		}
		if failure == nil {
			return result, nil
		}
		failed = append(failed, failure)
		if failure.isFinal() || ctx.Err() != nil {
			break
		}
	}
	var none T
	return none, allFailed(c.Name, failed)
}

// isFinal reports whether the other base URLs would give the same error: one of the
// core itself below 5xx, a 429 with a Retry-After, or a request that can't be built.
func (e *Error) isFinal() bool {
	return e.Kind != Unavailable && (e.FromCore || e.RetryAfter > 0 || e.HTTPStatus == 0)
}

// allFailed is the last failure, with the details of all. A 401 or 403 that is not
// of the core itself counts only where every base URL answered so.
func allFailed(name string, failed []*Error) error {
	if len(failed) == 0 {
		return &Error{Kind: Unavailable, Source: name, Detail: "it has no base URL"}
	}
	last := *failed[len(failed)-1]
	details := make([]string, 0, len(failed))
	for _, f := range failed {
		details = append(details, f.Detail)
		if f.Kind != Unauthorized || f.FromCore {
			last = *f
		}
	}
	last.Detail = strings.Join(details, "; then ")
	return &last
}

func requestOne[T any](ctx context.Context, c *core, at, shares int, q operation.Query, build build, read func(answer, operation.Query) (T, error)) (result T, failure *Error) {
	ctx, cancel := shareOf(ctx, shares)
	defer cancel()
	got, failure, broken := c.send(ctx, at, q, build)
	if broken {
		// Other kept connections may be broken, too: the next one is new.
		c.Bases[at].Client.CloseIdleConnections()
		got, failure, _ = c.send(ctx, at, q, build)
	}
	if failure != nil {
		return result, failure
	}
	return judge(ctx, c, got, q, read)
}

// judge is what read takes out of an answer, or why there is nothing.
func judge[T any](ctx context.Context, c *core, got answer, q operation.Query, read func(answer, operation.Query) (T, error)) (result T, failure *Error) {
	got.fault = c.prepare(ctx, &got, q)
	if failure = c.refusal(got); failure == nil {
		var err error
		if result, err = read(got, q); err == nil {
			return result, nil
		}
		failure = c.failure(unreadable(got.httpStatus), got.httpStatus, err, "%s: HTTP %d: %v", got.tried, got.httpStatus, err)
	}
	failure.FromCore = got.fault == "" && !isRedirect(got.httpStatus) && c.wrote(got)
	if failure.FromCore && failure.Kind == NotFound { // what such an answer lacks is beside the point
		failure = c.failure(NotFound, got.httpStatus, failure.Err, "%s: HTTP %d: the core knows no such operation", got.tried, got.httpStatus)
		failure.FromCore = true
	}
	return result, failure
}

// send sends one request to a base URL. broken says that a kept connection
// failed before any answer: a poll does no harm when it is sent again, newly signed.
func (c *core) send(ctx context.Context, at int, q operation.Query, build build) (got answer, failure *Error, broken bool) {
	var kept, answered atomic.Bool
	r, err := build(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { kept.Store(info.Reused) },
		GotFirstResponseByte: func() { answered.Store(true) },
	}), c.Bases[at], q)
	if err != nil {
		return answer{}, c.failure(Malformed, 0, err, "the request can't be built: %v", err), false
	}
	maps.Copy(r.Header, c.Header)
	r.Header["User-Agent"] = []string{userAgent}
	r.Header["Accept-Encoding"] = []string{"identity"}
	if r.Method == http.MethodGet && c.speaksHTTP1[at].Load() {
		r.Body = unrepeatable{}
	}
	// The address is left out: a reader of a state would learn it.
	tried := fmt.Sprintf("base_urls[%d]", at)
	begun := time.Now()
	response, err := c.Bases[at].Client.Do(r)
	if err != nil {
		broken = kept.Load() && !answered.Load() && !httpanswer.IsTimeout(err) && ctx.Err() == nil
		return answer{}, c.failure(Unavailable, 0, err, "%s: %s", tried, httpanswer.Reason(err, "no answer", time.Since(begun))), broken
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, c.failure(Unavailable, 0, err, "%s: %s", tried, httpanswer.Reason(err, "no whole answer", time.Since(begun))), false
	}
	c.speaksHTTP1[at].Store(response.ProtoMajor == 1)
	return answer{
		tried: tried, httpStatus: response.StatusCode, header: response.Header,
		body: bytes.TrimPrefix(body, []byte("\uFEFF")), truncated: len(body) > maxAnswer,
	}, nil, false
}

// unrepeatable is an empty body that keeps net/http from repeating a GET when a kept
// connection breaks: the core would refuse its nonce as a replay. HTTP/2, where it
// would be sent as an empty frame, repeats only what the core did not process.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements [io.Closer].
func (unrepeatable) Close() error { return nil }

// shareOf bounds ctx to an equal share of the time that is left of it.
func shareOf(ctx context.Context, shares int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || shares < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(shares))
}

// refusal is what is wrong with an answer whatever it says of the operation.
func (c *core) refusal(got answer) *Error {
	fail := func(kind ErrorKind, what string) *Error {
		return c.failure(kind, got.httpStatus, nil, "%s: HTTP %d: %s", got.tried, got.httpStatus, what)
	}
	switch {
	case c.refused(got):
		return fail(Unauthorized, "our credentials are refused")
	case got.httpStatus == http.StatusTooManyRequests:
		throttled := fail(Throttled, "too many requests")
		throttled.RetryAfter = c.retryAfter(got)
		return throttled
	case isRedirect(got.httpStatus):
		return fail(Malformed, "a redirect is not followed")
	case got.fault != "":
		return fail(unreadable(got.httpStatus), "the answer is "+got.fault)
	}
	return nil
}

func isRedirect(httpStatus int) bool { return httpStatus >= 300 && httpStatus <= 399 }

// notJSON says what an answer is that is not JSON; empty if it is.
func (a answer) notJSON() string {
	if what := a.unlikeJSON(); what != "" {
		return what
	}
	if !json.Valid(a.body) {
		return "not JSON"
	}
	return ""
}

// unlikeJSON says what an answer is that is not JSON at the first sight.
func (a answer) unlikeJSON() string {
	body := bytes.TrimSpace(a.body)
	switch what := a.notRead(); {
	case what != "":
		return what
	case len(body) == 0:
		return "empty"
	case body[0] == '<':
		return "HTML or XML, not JSON"
	}
	return ""
}

// notRead says why an answer can't be read at all; empty if it can.
func (a answer) notRead() string {
	switch encoding := strings.ToLower(a.header.Get("Content-Encoding")); {
	case encoding != "" && encoding != "identity":
		return "compressed (Content-Encoding), and identity was asked for"
	case a.truncated:
		return fmt.Sprintf("longer than %d bytes", maxAnswer)
	case bytes.HasPrefix(a.body, []byte("\x1f\x8b")):
		return "compressed, and identity was asked for"
	}
	return ""
}

// unreadable is the kind of error of an answer whose body can't be read.
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
	detail := httpanswer.Tidy(fmt.Sprintf(format, args...), maxDetailText)
	return &Error{Kind: kind, Source: c.Name, HTTPStatus: httpStatus, Detail: detail, Err: err}
}
