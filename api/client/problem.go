package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Problem is a response that is not 2xx (RFC 9457, application/problem+json).
type Problem struct {
	// Type is stable, such as "/problems/conflict"; see [Problem.Kind].
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors,omitempty"`
	// RetryAfter is the header in seconds; empty: none.
	RetryAfter string `json:"-"`
	// RequestID finds the request in the API's log.
	RequestID string `json:"-"`
}

// Kind is the last part of the type; empty where the response is not the API's.
func (p *Problem) Kind() ProblemKind {
	return ProblemKind(p.Type[strings.LastIndex(p.Type, "/")+1:])
}

// Error is the whole problem in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d", p.Status)
	if p.Type != "" {
		fmt.Fprintf(&b, " %s", p.Kind())
	}
	fmt.Fprintf(&b, ": %s", p.Detail)
	for i, fault := range p.Errors {
		fmt.Fprintf(&b, "%s %s: %s", []string{"", ";"}[min(i, 1)], fault.Field, fault.Detail)
	}
	if len(p.Errors) > 0 {
		b.WriteString(".")
	}
	if p.RetryAfter != "" {
		fmt.Fprintf(&b, " Try again in %s s.", p.RetryAfter)
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", p.RequestID)
	}
	return b.String()
}

// ReadProblem reads a response that is not 2xx, with its body. One that is not
// problem+json has its status alone, and no Type.
func ReadProblem(status int, header http.Header, body []byte) *Problem {
	p := &Problem{}
	isProblem := strings.HasPrefix(header.Get("Content-Type"), "application/problem+json")
	if !isProblem || json.Unmarshal(body, p) != nil {
		p = &Problem{Title: http.StatusText(status), Detail: "The response is not Ringback's; is the address right?"}
	}
	p.Status = status
	p.RetryAfter, p.RequestID = header.Get("Retry-After"), header.Get("X-Request-Id")
	return p
}

// NoResponseError is a request that got no response: it may have been carried out.
type NoResponseError struct {
	Base string
	Err  error
}

func (e *NoResponseError) Error() string {
	cause := e.Err
	// The outer error repeats the whole URL, operation id included.
	if outer, ok := errors.AsType[*url.Error](cause); ok {
		cause = outer.Err
	}
	return fmt.Sprintf("no response from the API at %s: %s", e.Base, cause)
}

// Unwrap is the cause.
func (e *NoResponseError) Unwrap() error { return e.Err }

// Status is the HTTP status of a Problem; 0 for any other error, and for none.
func Status(err error) int {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Status
	}
	return 0
}

// defaultPause is where nothing says when to try again.
const defaultPause = time.Second

// RetryAfter is how long to wait before the call is made again.
func RetryAfter(err error) time.Duration {
	if p, ok := errors.AsType[*Problem](err); ok {
		if seconds, err := strconv.Atoi(p.RetryAfter); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return defaultPause
}

// IsTemporary reports whether the same call may succeed later: the API does not
// respond, is overloaded or unavailable (503), limits the key (429), or a proxy
// before it does not reach it (502, 504).
func IsTemporary(err error) bool {
	if _, none := errors.AsType[*NoResponseError](err); none {
		return true
	}
	switch Status(err) {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
