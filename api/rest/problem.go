package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"ringback/internal/operation"
)

// The problems that the API adds to those of package operation; kinds says what each
// means. They are stable: the last part of problem+json's type.
const (
	ProblemMalformed            operation.Problem = "malformed"
	ProblemUnauthenticated      operation.Problem = "unauthenticated"
	ProblemForbidden            operation.Problem = "forbidden"
	ProblemNoSuchRoute          operation.Problem = "no-such-route"
	ProblemMethodNotAllowed     operation.Problem = "method-not-allowed"
	ProblemTooLarge             operation.Problem = "too-large"
	ProblemUnsupportedMediaType operation.Problem = "unsupported-media-type"
	ProblemTooManyRequests      operation.Problem = "too-many-requests"
	ProblemInternal             operation.Problem = "internal"
)

// kinds is the one table from problems to HTTP.
var kinds = map[operation.Problem]struct {
	status int
	title  string
}{
	operation.ProblemInvalid:          {http.StatusUnprocessableEntity, "The request is not valid"},
	operation.ProblemNotFound:         {http.StatusNotFound, "Not found"},
	operation.ProblemConflict:         {http.StatusConflict, "The operation was started with other content"},
	operation.ProblemClosed:           {http.StatusConflict, "The operation has ended"},
	operation.ProblemNotRevocable:     {http.StatusConflict, "The operation can't be revoked now"},
	operation.ProblemNotRedeliverable: {http.StatusConflict, "The operation can't be redelivered so"},
	operation.ProblemUnavailable:      {http.StatusServiceUnavailable, "Not available now"},
	operation.ProblemOverloaded:       {http.StatusServiceUnavailable, "Too much to do now"},
	ProblemMalformed:                  {http.StatusBadRequest, "The body is not JSON"},
	ProblemUnauthenticated:            {http.StatusUnauthorized, "An API key is needed"},
	ProblemForbidden:                  {http.StatusForbidden, "The caller may not do this"},
	ProblemNoSuchRoute:                {http.StatusNotFound, "No such path"},
	ProblemMethodNotAllowed:           {http.StatusMethodNotAllowed, "The path does not take this method"},
	ProblemTooLarge:                   {http.StatusRequestEntityTooLarge, "The body is too large"},
	ProblemUnsupportedMediaType:       {http.StatusUnsupportedMediaType, "The body is not application/json"},
	ProblemTooManyRequests:            {http.StatusTooManyRequests, "Too many requests"},
	ProblemInternal:                   {http.StatusInternalServerError, "Ringback failed"},
}

// Problem is an error as the API writes it (RFC 9457, application/problem+json).
type Problem struct {
	// Type is stable, such as "/problems/invalid".
	Type   string                 `json:"type"`
	Title  string                 `json:"title"`
	Status int                    `json:"status"`
	Detail string                 `json:"detail"`
	Errors []operation.FieldError `json:"errors,omitempty"`
}

// defaultRetryAfter is for a 503 that does not know better.
const defaultRetryAfter = 5 * time.Second

// refusal is err as a *operation.Error of a known problem. What the caller
// can't act on becomes ProblemInternal, its cause kept for the log.
func refusal(err error) *operation.Error {
	if refused, ok := errors.AsType[*operation.Error](err); ok && kinds[refused.Problem].status != 0 {
		return refused
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &operation.Error{
			Problem: operation.ProblemUnavailable,
			Detail:  "Ringback did not finish in time. The request may have been carried out; sending the same request again is safe.",
			Err:     err,
		}
	}
	return &operation.Error{Problem: ProblemInternal, Err: err}
}

// writeProblem writes refused, without its cause, and returns the HTTP status.
func writeProblem(w http.ResponseWriter, r *http.Request, refused *operation.Error) int {
	k := kinds[refused.Problem]
	p := Problem{
		Type:   "/problems/" + string(refused.Problem),
		Title:  k.title,
		Status: k.status,
		Detail: refused.Detail,
		Errors: refused.Fields,
	}
	if refused.Problem == ProblemInternal {
		p.Detail = fmt.Sprintf("It is Ringback's own fault. Its log has the cause under request id %s.", requestIDOf(r.Context()))
	}
	if k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", retryAfter(refused.RetryAfter))
	}
	writeJSON(w, "application/problem+json", k.status, p)
	return k.status
}

// writeJSON writes a body that can't fail to be encoded; nil is none.
func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if body != nil {
		if err := encoder.Encode(body); err != nil {
			panic(err)
		}
	}
	write(w, contentType, status, buffer.Bytes())
}

// retryAfter is d in whole seconds, rounded up, at least one.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = defaultRetryAfter
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

func write(w http.ResponseWriter, contentType string, status int, data []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client may have gone
}

func noSuchRoute(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, operation.Refuse(ProblemNoSuchRoute,
		"The API has no such path; /openapi.yaml lists them all. A slash within an operation id is written %%2F."))
}

func methodNotAllowed(router *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := strings.Join(allowedMethods(router, r), ", ")
		w.Header().Set("Allow", allowed)
		writeProblem(w, r, operation.Refuse(ProblemMethodNotAllowed, "This path takes %s.", allowed))
	})
}

// allowedMethods are those that r's path takes; mux keeps them to itself.
func allowedMethods(router *mux.Router, r *http.Request) []string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		other := *r
		other.Method = method
		var match mux.RouteMatch
		if router.Match(&other, &match) && match.MatchErr == nil {
			allowed = append(allowed, method)
		}
	}
	return allowed
}
