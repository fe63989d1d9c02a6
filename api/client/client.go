// Package client calls Ringback's HTTP API from Go: a payment core starts
// operations with it, pushes statuses, revokes and withdraws. It needs the standard
// library alone.
//
// A [Client] repeats idempotent calls until its context ends, so give each call one
// that does. [Client.Start] is idempotent: a start that is repeated, or whose response
// was lost, is the same operation, and a success. What the API refuses is a [*Problem];
// [Problem.Kind] is for programs. [IsTemporary] tells what may succeed later.
//
// The module is not published. To import it, check it out beside yours, then:
//
//	go mod edit -require=ringback@v0.0.0 -replace=ringback=../ringback
//
// The types are those of the API itself: StartRequest, say, is
// operation.StartRequest, whose fields are shown by
//
//	go doc ringback/internal/operation.StartRequest
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ringback/internal/loopback"
)

// Client calls one API. It is safe for concurrent use.
type Client struct {
	// Base is the API's base URL, without a slash at the end.
	Base string
	// Key is the API key, sent as a bearer token; empty: none.
	Key string
	// HTTP makes the requests. The zero value will do, and waits for a response as long
	// as the call's context allows; see [TLSFiles] for a private authority or a client
	// certificate. Redirects are never followed.
	HTTP http.Client
	// MaxAttempts is how often a call is made that fails for a moment, see
	// [IsTemporary]; 0: until its context ends. Between two attempts it waits as
	// Retry-After says. Only idempotent calls are repeated: not Redeliver,
	// StartBulkRedelivery and Ping.
	MaxAttempts int
	// Insecure sends Key also by plain http beyond this machine, for a network that
	// encrypts by itself.
	Insecure bool
}

// Check is an error where calls would show Key to the network. No call is made then.
func (c *Client) Check() error {
	base, err := url.Parse(c.Base)
	if err != nil {
		return fmt.Errorf("the API's address %q is not a URL: %w", c.Base, err)
	}
	if c.Key == "" || c.Insecure || base.Scheme != "http" || loopback.IsHost(base.Hostname()) {
		return nil
	}
	return fmt.Errorf("the API key would travel to %s unencrypted", base.Host)
}

// Start starts an operation. The same start twice is one operation: created is
// false for the second, also where the response to the first was lost, and state is how
// the operation stands. With other content it is a [ProblemConflict] that names the
// fields that differ.
func (c *Client) Start(ctx context.Context, r StartRequest) (state State, created bool, err error) {
	status, err := c.repeat(ctx, http.MethodPost, "/v1/operations", r, &state)
	return state, status == http.StatusCreated, err
}

// State reads an operation, also once it is closed.
func (c *Client) State(ctx context.Context, key Key) (state State, err error) {
	_, err = c.repeat(ctx, http.MethodGet, Path(key), nil, &state)
	return state, err
}

// List reads one page of operations, newest first.
func (c *Client) List(ctx context.Context, q ListQuery) (page Page, err error) {
	query := values(q)
	if q.Reasons {
		query.Set("reasons", "true")
	}
	_, err = c.repeat(ctx, http.MethodGet, "/v1/operations?"+query.Encode(), nil, &page)
	return page, err
}

// Count counts operations.
func (c *Client) Count(ctx context.Context, q CountQuery) (count Count, err error) {
	query := values(q.ListQuery)
	set(query, "group_by", q.GroupBy)
	_, err = c.repeat(ctx, http.MethodGet, "/v1/operations/count?"+query.Encode(), nil, &count)
	return count, err
}

// Details asks the operation's source for its extended result. Numbers are kept
// as they are written, as [json.Number].
func (c *Client) Details(ctx context.Context, key Key) (details map[string]any, err error) {
	_, err = c.repeat(ctx, http.MethodGet, Path(key)+"/details", nil, &details)
	return details, err
}

// Push hands over a status of the core; with an empty one the source is polled
// now.
func (c *Client) Push(ctx context.Context, key Key, status string) error {
	body := map[string]string{}
	if status != "" {
		body["status"] = status
	}
	_, err := c.repeat(ctx, http.MethodPost, Path(key)+"/status", body, nil)
	return err
}

// Revoke records that the operation itself was revoked: by "client", "user" or
// "core".
func (c *Client) Revoke(ctx context.Context, key Key, initiatedBy, reason string) (state State, err error) {
	_, err = c.repeat(ctx, http.MethodPost, Path(key)+"/revocation", Revocation{InitiatedBy: initiatedBy, Reason: reason}, &state)
	return state, err
}

// Withdraw ends the operation without a callback.
func (c *Client) Withdraw(ctx context.Context, key Key) (state State, err error) {
	_, err = c.repeat(ctx, http.MethodDelete, Path(key), nil, &state)
	return state, err
}

// Redeliver starts a new run of an operation whose callback was not
// acknowledged. It is not repeated: if its error is no 4xx, the run may have
// begun.
func (c *Client) Redeliver(ctx context.Context, key Key, r RedeliveryRequest) (state State, err error) {
	_, err = c.Call(ctx, http.MethodPost, Path(key)+"/redelivery", r, &state)
	return state, err
}

const bulkRedeliveries = "/v1/redeliveries"

// DryRun counts what a bulk redelivery would redeliver, and shows a sample.
func (c *Client) DryRun(ctx context.Context, r BulkRedeliveryRequest) (found DryRun, err error) {
	r.DryRun = true
	_, err = c.repeat(ctx, http.MethodPost, bulkRedeliveries, r, &found)
	return found, err
}

// StartBulkRedelivery begins the redelivery of every operation that the filter
// matches. It is not repeated: if its error is no 4xx, it may have begun.
func (c *Client) StartBulkRedelivery(ctx context.Context, r BulkRedeliveryRequest) (started BulkRedelivery, err error) {
	_, err = c.Call(ctx, http.MethodPost, bulkRedeliveries, r, &started)
	return started, err
}

// BulkRedelivery reads how far a bulk redelivery has come.
func (c *Client) BulkRedelivery(ctx context.Context, id string) (found BulkRedelivery, err error) {
	_, err = c.repeat(ctx, http.MethodGet, bulkRedeliveries+"/"+url.PathEscape(id), nil, &found)
	return found, err
}

// BulkRedeliveries lists the latest ones, newest first; with a key, its name or its
// id, all that it started.
func (c *Client) BulkRedeliveries(ctx context.Context, key string) (page BulkRedeliveries, err error) {
	path := bulkRedeliveries
	if key != "" {
		path += "?key=" + url.QueryEscape(key)
	}
	_, err = c.repeat(ctx, http.MethodGet, path, nil, &page)
	return page, err
}

// StopBulkRedelivery keeps it from beginning further operations.
func (c *Client) StopBulkRedelivery(ctx context.Context, id string) (found BulkRedelivery, err error) {
	_, err = c.repeat(ctx, http.MethodPost, bulkRedeliveries+"/"+url.PathEscape(id)+"/stop", nil, &found)
	return found, err
}

// ResumeBulkRedelivery continues one that was stopped.
func (c *Client) ResumeBulkRedelivery(ctx context.Context, id string) (found BulkRedelivery, err error) {
	_, err = c.repeat(ctx, http.MethodPost, bulkRedeliveries+"/"+url.PathEscape(id)+"/resume", nil, &found)
	return found, err
}

// Ping sends a test callback to a registered endpoint, or to target where its
// URL is per operation. It is not repeated.
func (c *Client) Ping(ctx context.Context, endpoint, target string) (result Ping, err error) {
	_, err = c.Call(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(endpoint)+"/ping", pingRequest{URL: target}, &result)
	return result, err
}

// Readiness is whether a program can do its work.
type Readiness struct {
	// Status is "ready", "draining" or "unavailable".
	Status string `json:"status"`
	// Detail says why it is not ready.
	Detail     string `json:"detail,omitempty"`
	ConfigHash string `json:"config_hash,omitempty"`
	// Version is the program's build.
	Version string `json:"version,omitempty"`
}

// Ready reports whether a program can do its work now; Base is where its telemetry.listen
// is, not the API. It is not repeated.
func (c *Client) Ready(ctx context.Context) (ready Readiness, err error) {
	r, err := c.send(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return ready, err
	}
	if r.header.Get("Content-Type") != "application/json" {
		return ready, ReadProblem(r.status, r.header, r.body)
	}
	return ready, decode(r.body, &ready)
}

// Path is the path of an operation.
func Path(key Key) string {
	return "/v1/operations/" + url.PathEscape(key.Endpoint) + "/" + url.PathEscape(key.OperationID)
}

func values(q ListQuery) url.Values {
	query := url.Values{}
	set(query, "endpoint", q.Endpoint)
	set(query, "outcome", string(q.Outcome))
	set(query, "phase", string(q.Phase))
	set(query, "status", q.Status)
	set(query, "http_status", q.HTTPStatus)
	set(query, "page_token", q.PageToken)
	if q.Undelivered {
		query.Set("outcome", "undelivered")
	}
	if q.ByClose {
		query.Set("time", "closed")
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.String())
	}
	if !q.Until.IsZero() {
		query.Set("until", q.Until.String())
	}
	return query
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// AwaitInterval is how long Await waits between two reads.
const AwaitInterval = 50 * time.Millisecond

// Await reads an operation until done reports true. It is for tests and tools;
// a core is called back instead.
func (c *Client) Await(ctx context.Context, key Key, done func(State) bool) (State, error) {
	for {
		state, err := c.State(ctx, key)
		switch {
		case err == nil && done(state):
			return state, nil
		case err != nil && !IsTemporary(err):
			return state, err
		}
		if ctxErr := sleep(ctx, AwaitInterval); ctxErr != nil {
			return state, fmt.Errorf("waiting for %s, last seen %s with status %+v and outcome %q (%w): %w",
				key.WorkflowID(), state.Phase, state.Status, state.Outcome, err, ctxErr)
		}
	}
}

// Closed is for Await: the operation has ended.
func Closed(s State) bool { return s.Phase == PhaseClosed }

// repeat makes an idempotent call until it succeeds, fails for good, or may be
// made no more.
func (c *Client) repeat(ctx context.Context, method, path string, body, result any) (status int, err error) {
	for attempt := 1; ; attempt++ {
		status, err = c.Call(ctx, method, path, body, result)
		if err == nil || !IsTemporary(err) || attempt == c.MaxAttempts {
			return status, err
		}
		pause := RetryAfter(err)
		if deadline, bounded := ctx.Deadline(); bounded && time.Until(deadline) < pause {
			return status, err // it would end before the next attempt
		}
		if sleep(ctx, pause) != nil {
			return status, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// maxResponse bounds a response in bytes; a page of a list is far below.
const maxResponse = 16 << 20

// Call makes one request, never repeated, with body as JSON, and reads the
// JSON of a 2xx response into result; both may be nil. Any other response is a
// [*Problem], none a [*NoResponseError].
func (c *Client) Call(ctx context.Context, method, path string, body, result any) (status int, err error) {
	r, err := c.send(ctx, method, path, body)
	switch {
	case err != nil:
		return 0, err
	case r.status/100 != 2:
		return r.status, ReadProblem(r.status, r.header, r.body)
	case result == nil:
		return r.status, nil
	}
	return r.status, decode(r.body, result)
}

func decode(text []byte, result any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(result); err != nil {
		return fmt.Errorf("the API's response can't be read; is the address right? %w", err)
	}
	return nil
}

// response is a response that was read whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send makes one request.
func (c *Client) send(ctx context.Context, method, path string, body any) (response, error) {
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return response{}, err
	}
	noRedirects := c.HTTP
	noRedirects.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := noRedirects.Do(request)
	if err != nil {
		return response{}, &NoResponseError{Base: c.Base, Err: err}
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		return response{}, &NoResponseError{Base: c.Base, Err: err}
	}
	return response{r.StatusCode, r.Header, text}, nil
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, fmt.Errorf("writing the body of %s %s: %w", method, path, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, &content)
	if err != nil {
		return nil, fmt.Errorf("writing %s %s: %w", method, path, err)
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	if method != http.MethodGet { // also without a body: an API without keys asks for it
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	return request, nil
}
