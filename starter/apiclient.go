package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"ringback/internal/operation"
)

// client calls one Ringback API.
type client struct {
	base *url.URL
	key  string
	http *http.Client
}

// maxAnswer bounds an answer in bytes: a page of a list is far below.
const maxAnswer = 16 << 20

// reply is an answer that is no problem.
type reply struct {
	status int
	body   []byte
}

// into reads the reply's body.
func (r reply) into(v any) error {
	if err := json.Unmarshal(r.body, v); err != nil {
		return fmt.Errorf("the API's answer can't be read: %w", err)
	}
	return nil
}

// call makes one request; in, unless nil, is its JSON body. A problem is an
// *apiError, no answer an *unreachableError.
func (c *client) call(ctx context.Context, method, path string, in any) (reply, error) {
	status, header, body, err := c.exchange(ctx, method, path, in)
	if err != nil {
		return reply{}, err
	}
	if status >= 300 {
		return reply{}, problemIn(status, header, body)
	}
	return reply{status, body}, nil
}

func (c *client) exchange(ctx context.Context, method, path string, in any) (int, http.Header, []byte, error) {
	var content io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("writing the request: %w", err)
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, content)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("writing the request: %w", err)
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, &unreachableError{c.base, err}
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, &unreachableError{c.base, err}
	}
	return answer.StatusCode, answer.Header, body, nil
}

// unreachableError is a request that got no answer.
type unreachableError struct {
	base *url.URL
	err  error
}

func (e *unreachableError) Error() string {
	cause := e.err
	// The outer error would repeat the whole URL, operation id included.
	var outer *url.Error
	if errors.As(cause, &outer) {
		cause = outer.Err
	}
	return fmt.Sprintf("no answer from the API at %s: %s (--api, --config or %s say where it is)", e.base, cause, apiVariable)
}

func (e *unreachableError) Unwrap() error { return e.err }

// apiError is a refusal, as problem+json says it.
type apiError struct {
	Type   string                 `json:"type"`
	Detail string                 `json:"detail"`
	Errors []operation.FieldError `json:"errors"`

	status     int
	retryAfter string
	requestID  string
}

func problemIn(status int, header http.Header, body []byte) *apiError {
	e := &apiError{status: status, retryAfter: header.Get("Retry-After"), requestID: header.Get("X-Request-Id")}
	isProblem := strings.HasPrefix(header.Get("Content-Type"), "application/problem+json")
	if !isProblem || json.Unmarshal(body, e) != nil {
		e.Detail = "The answer is not Ringback's; is the address right?"
	}
	return e
}

// kind is the last part of the problem's type.
func (e *apiError) kind() string { return e.Type[strings.LastIndex(e.Type, "/")+1:] }

// Error is the whole problem in one line.
func (e *apiError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d", e.status)
	if e.Type != "" {
		fmt.Fprintf(&b, " %s", e.kind())
	}
	fmt.Fprintf(&b, ": %s", e.Detail)
	faults := make([]string, 0, len(e.Errors))
	for _, fault := range e.Errors {
		faults = append(faults, fault.Field+": "+fault.Detail)
	}
	if len(faults) > 0 {
		fmt.Fprintf(&b, " %s.", strings.Join(faults, "; "))
	}
	if e.retryAfter != "" {
		fmt.Fprintf(&b, " Try again in %s s.", e.retryAfter)
	}
	if e.status >= 500 && e.requestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.requestID)
	}
	return printable(b.String())
}

func (e *apiError) exitCode() int {
	switch {
	case e.kind() == "not-found":
		return exitNotFound
	case e.status == http.StatusConflict:
		return exitConflict
	case e.status == http.StatusServiceUnavailable || e.status == http.StatusTooManyRequests:
		return exitUnavailable
	}
	return exitFailed
}

// path is the operation's path, and what follows it.
func path(k operation.Key, rest string) string {
	return "/v1/operations/" + url.PathEscape(k.Endpoint) + "/" + url.PathEscape(k.OperationID) + rest
}
