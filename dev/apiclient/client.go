// Package apiclient calls Ringback's HTTP API as a payment core would: for the
// story and for tests, which know Ringback through it alone.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ringback/api/rest"
	"ringback/internal/operation"
)

// Client calls one API. The zero HTTP client is ready to use.
type Client struct {
	// Base is the API's base URL, without a slash at the end.
	Base string
	// Key is sent as a bearer key; empty: none.
	Key  string
	HTTP http.Client
}

// Problem is an answer of the API that is not 2xx.
type Problem struct {
	rest.Problem
	// RetryAfter is the header's value; empty: none.
	RetryAfter string
}

// Error is the answer in one line.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s (%s): %s", p.Status, p.Title, p.Type, p.Detail)
	for _, field := range p.Errors {
		text += "; " + field.Field + ": " + field.Detail
	}
	return text
}

// Status is the HTTP status of an error of this package, 0 where no answer came.
func Status(err error) int {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Status
	}
	return 0
}

// Start starts an operation; created says that it is new: 201, not 200.
func (c *Client) Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error) {
	status, err := c.Call(ctx, http.MethodPost, "/v1/operations", r, &state)
	return state, status == http.StatusCreated, err
}

// State reads an operation.
func (c *Client) State(ctx context.Context, key operation.Key) (state operation.State, err error) {
	_, err = c.Call(ctx, http.MethodGet, Path(key), nil, &state)
	return state, err
}

// List reads one page of operations; query holds the call's parameters.
func (c *Client) List(ctx context.Context, query url.Values) (page operation.Page, err error) {
	_, err = c.Call(ctx, http.MethodGet, "/v1/operations?"+query.Encode(), nil, &page)
	return page, err
}

// Details asks the source for its extended answer.
func (c *Client) Details(ctx context.Context, key operation.Key) (details map[string]any, err error) {
	_, err = c.Call(ctx, http.MethodGet, Path(key)+"/details", nil, &details)
	return details, err
}

// Push tells a status, or with an empty one that it is time to poll.
func (c *Client) Push(ctx context.Context, key operation.Key, status string) error {
	_, err := c.Call(ctx, http.MethodPost, Path(key)+"/status", map[string]string{"status": status}, nil)
	return err
}

// Revoke says that the operation was revoked.
func (c *Client) Revoke(ctx context.Context, key operation.Key, initiatedBy, reason string) (state operation.State, err error) {
	_, err = c.Call(ctx, http.MethodPost, Path(key)+"/revocation", map[string]string{"initiated_by": initiatedBy, "reason": reason}, &state)
	return state, err
}

// Withdraw says that the callback is no longer wanted.
func (c *Client) Withdraw(ctx context.Context, key operation.Key) error {
	_, err := c.Call(ctx, http.MethodDelete, Path(key), nil, nil)
	return err
}

// Redeliver starts a new run for what ended unacknowledged.
func (c *Client) Redeliver(ctx context.Context, key operation.Key, r operation.RedeliveryRequest) (state operation.State, err error) {
	_, err = c.Call(ctx, http.MethodPost, Path(key)+"/redelivery", r, &state)
	return state, err
}

// Count counts operations; query holds the call's parameters.
func (c *Client) Count(ctx context.Context, query url.Values) (count operation.OperationsCount, err error) {
	_, err = c.Call(ctx, http.MethodGet, "/v1/operations/count?"+query.Encode(), nil, &count)
	return count, err
}

// DryRun asks what a bulk redelivery would be about.
func (c *Client) DryRun(ctx context.Context, r operation.BulkRedeliveryRequest) (found operation.DryRun, err error) {
	r.DryRun = true
	_, err = c.Call(ctx, http.MethodPost, "/v1/redeliveries", r, &found)
	return found, err
}

// RedeliverMany begins a bulk redelivery.
func (c *Client) RedeliverMany(ctx context.Context, r operation.BulkRedeliveryRequest) (begun operation.BulkRedelivery, err error) {
	_, err = c.Call(ctx, http.MethodPost, "/v1/redeliveries", r, &begun)
	return begun, err
}

// Redeliveries reads a bulk redelivery.
func (c *Client) Redeliveries(ctx context.Context, id string) (found operation.BulkRedelivery, err error) {
	_, err = c.Call(ctx, http.MethodGet, "/v1/redeliveries/"+id, nil, &found)
	return found, err
}

// RecentRedeliveries lists the latest bulk redeliveries.
func (c *Client) RecentRedeliveries(ctx context.Context) (page operation.BulkRedeliveryPage, err error) {
	_, err = c.Call(ctx, http.MethodGet, "/v1/redeliveries", nil, &page)
	return page, err
}

// TellRedeliveries stops or resumes a bulk redelivery; what is "stop" or "resume".
func (c *Client) TellRedeliveries(ctx context.Context, id, what string) (found operation.BulkRedelivery, err error) {
	_, err = c.Call(ctx, http.MethodPost, "/v1/redeliveries/"+id+"/"+what, nil, &found)
	return found, err
}

// Path is the path of an operation.
func Path(key operation.Key) string {
	return "/v1/operations/" + url.PathEscape(key.Endpoint) + "/" + url.PathEscape(key.OperationID)
}

// AwaitGap is how long Await waits between two looks.
const AwaitGap = 50 * time.Millisecond

// Await reads an operation until done says so. Answers that say to come back
// later, and none at all, are waited out as well.
func (c *Client) Await(ctx context.Context, key operation.Key, done func(operation.State) bool) (operation.State, error) {
	for {
		state, err := c.State(ctx, key)
		switch {
		case err == nil && done(state):
			return state, nil
		case err != nil && !passing(err):
			return state, err
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("wait for %s, last seen %s with status %+v and outcome %q (%w): %w",
				key.WorkflowID(), state.Phase, state.Status, state.Outcome, errors.Join(err), ctx.Err())
		case <-time.After(AwaitGap):
		}
	}
}

func passing(err error) bool {
	switch Status(err) {
	case 0, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// Closed is for Await: the operation has ended.
func Closed(s operation.State) bool { return s.Phase == operation.Closed }

// Call sends body as JSON and reads a 2xx answer into answer; both may be nil.
// Any other answer is a *Problem.
func (c *Client) Call(ctx context.Context, method, path string, body, answer any) (status int, err error) {
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return response.StatusCode, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return response.StatusCode, ReadProblem(response, text)
	}
	if answer == nil {
		return response.StatusCode, nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return response.StatusCode, fmt.Errorf("read the answer to %s %s: %w: %s", method, path, err, text)
	}
	return response.StatusCode, nil
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, fmt.Errorf("write the body of %s %s: %w", method, path, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, &content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	return request, nil
}

// ReadProblem is an answer other than 2xx with its body; one that is not
// problem+json is told by its status and the beginning of its body.
func ReadProblem(response *http.Response, text []byte) *Problem {
	p := &Problem{RetryAfter: response.Header.Get("Retry-After")}
	if err := json.Unmarshal(text, &p.Problem); err != nil || p.Status == 0 {
		p.Problem = rest.Problem{Title: response.Status, Status: response.StatusCode, Detail: string(text[:min(len(text), 200)])}
	}
	return p
}
