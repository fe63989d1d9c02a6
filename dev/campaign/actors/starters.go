package actors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Starters are the payment cores as callers of Ringback's API: they start, push,
// revoke and withdraw by the plan, and repeat each call at the other API until it is
// answered.
type Starters struct {
	*actor
	clients []*apiclient.Client
}

// callTimeout is how long a core waits for one answer.
const callTimeout = 10 * time.Second

// NewStarters makes the callers, which write their calls to the journal. Close closes
// their connections.
func NewStarters(o Options, written *journal.Writer) *Starters {
	s := &Starters{actor: &actor{Options: o, plan: plan.Make(o.Plan), journal: written}}
	for _, api := range o.APIs {
		s.clients = append(s.clients, &apiclient.Client{MaxAttempts: 1, Base: api.URL, Key: Key, HTTP: http.Client{
			Timeout:   callTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
		}})
	}
	return s
}

// Close closes idle connections.
func (s *Starters) Close() {
	for _, c := range s.clients {
		c.HTTP.CloseIdleConnections()
	}
}

// Run makes every call of the plan. It fails if ctx ends before all are answered.
func (s *Starters) Run(ctx context.Context) error {
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	var running sync.WaitGroup
	for i, operation := range s.plan.Operations {
		if !s.wait(ctx, operation.StartAt) {
			break
		}
		running.Go(func() { s.callsOf(ctx, i, operation) })
	}
	running.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("make every planned call: %w", context.Cause(ctx))
	}
	return nil
}

// repeatPause is between two repeated starts.
const repeatPause = 250 * time.Millisecond

// Repeat makes the plan's starts once more, one after another, until repeating, a child
// of ctx, ends and the call in flight is over. It fails if ctx ends, which ends that
// call. How long they take shows how slow Temporal is.
func (s *Starters) Repeat(ctx, repeating context.Context) error {
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	over := func() bool { return repeating.Err() != nil }
	for n := 0; sleep(repeating, repeatPause) && ctx.Err() == nil; n++ {
		operation := s.plan.Operations[n%len(s.plan.Operations)]
		s.call(ctx, n, s.startOf(operation, operation.Starts+n/len(s.plan.Operations)), over)
	}
	return context.Cause(ctx)
}

// callsOf makes all planned calls about one operation; i spreads them over the APIs.
func (s *Starters) callsOf(ctx context.Context, i int, o plan.Operation) {
	if !s.start(ctx, i, o) {
		return
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	callAt := func(after time.Duration, c call) {
		calls.Go(func() {
			if s.wait(ctx, o.StartAt+after) {
				s.call(ctx, i, c, nil)
			}
		})
	}
	operationPath := apiclient.Path(o.Key())
	if o.Clashes {
		callAt(0, call{kind: journal.Clash, Key: o.Key(), method: http.MethodPost, path: startPath, body: s.otherContent(o)})
	}
	if o.Revocation != nil {
		body := map[string]string{"initiated_by": o.Revocation.InitiatedBy, "reason": "planned"}
		callAt(o.Revocation.After, call{kind: journal.Revoke, Key: o.Key(), method: http.MethodPost, path: operationPath + "/revocation", body: body})
	}
	if o.Withdrawal != nil {
		callAt(*o.Withdrawal, call{kind: journal.Withdraw, Key: o.Key(), method: http.MethodDelete, path: operationPath})
	}
	calls.Go(func() { s.push(ctx, i, o) })
}

// start makes the operation's starts at once and reports whether one was accepted.
func (s *Starters) start(ctx context.Context, i int, o plan.Operation) bool {
	var accepted atomic.Bool
	var starting sync.WaitGroup
	for n := range o.Starts {
		starting.Go(func() {
			if status := s.call(ctx, i+n, s.startOf(o, n), nil); status == http.StatusCreated || status == http.StatusOK {
				accepted.Store(true)
			}
		})
	}
	starting.Wait()
	return accepted.Load()
}

const startPath = "/v1/operations"

func (s *Starters) startOf(o plan.Operation, number int) call {
	return call{kind: journal.Start, Key: o.Key(), number: number, method: http.MethodPost, path: startPath, body: s.request(o)}
}

// request is the start request, the same one each time.
func (s *Starters) request(o plan.Operation) operation.StartRequest {
	endpoint, _ := plan.EndpointByName(o.Endpoint)
	request := operation.StartRequest{
		Endpoint: o.Endpoint, OperationID: o.ID, Method: o.Method, KnownStatus: o.KnownStatus,
		Callback: operation.Target{Statuses: o.Wanted},
	}
	if endpoint.SourceKind == "ukrcard" {
		registered := operation.At(s.Began.Add(o.StartAt).Truncate(time.Second))
		request.Reference.RegisteredAt = &registered
	}
	if endpoint.PerOperationURL {
		request.Callback.URL = callbackURL(endpoint, s.URLs) + "/" + o.ID
	}
	return request
}

// otherContent is a start with another method or known status.
func (s *Starters) otherContent(o plan.Operation) operation.StartRequest {
	other := s.request(o)
	switch other.Method {
	case "":
		other.KnownStatus = "registered"
	case "payment":
		other.Method = "p2p_transfer"
	default:
		other.Method = "payment"
	}
	return other
}

// push makes the pushes one after another. A status is obsolete once the next push
// is due; a request to poll never is.
func (s *Starters) push(ctx context.Context, i int, o plan.Operation) {
	for n, p := range o.Pushes {
		if !s.wait(ctx, o.StartAt+p.After) {
			return
		}
		obsolete := func() bool {
			return p.Status != "" && n+1 < len(o.Pushes) && s.sinceBegin() >= o.StartAt+o.Pushes[n+1].After
		}
		s.call(ctx, i, call{
			kind: journal.Push, Key: o.Key(), number: n, status: p.Status,
			method: http.MethodPost, path: apiclient.Path(o.Key()) + "/status", body: map[string]string{"status": p.Status},
		}, obsolete)
	}
}

// call is one call of the API. kind, number and status are the journal's.
type call struct {
	operation.Key
	kind         string
	number       int
	status       string
	method, path string
	body         any
}

// The waits between two tries of one call without Retry-After.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 2 * time.Second
)

// call makes one call, beginning at the API with the given number and going round,
// until it is settled, and returns its HTTP status: 0 if ctx ended before or the
// call became obsolete.
func (s *Starters) call(ctx context.Context, first int, c call, obsolete func() bool) int {
	wait := shortestWait
	for try := 0; ctx.Err() == nil && (obsolete == nil || !obsolete()); try++ {
		api := (first + try) % len(s.clients)
		made := journal.Call{
			Span: journal.Span{Began: time.Now()}, Key: c.Key,
			Kind: c.kind, Number: c.number, Status: c.status, API: s.APIs[api].Name,
		}
		code, err := s.clients[api].Call(ctx, c.method, c.path, c.body, nil)
		made.Ended = time.Now()
		if ctx.Err() != nil {
			err = ctx.Err() // without its cause, the campaign's failure
		}
		setAnswer(&made, code, err)
		s.write(journal.Entry{Call: &made})
		if made.Settled() {
			return made.HTTPStatus
		}
		if !sleep(ctx, retryWait(made.RetryAfter, wait)) {
			return 0
		}
		wait = min(2*wait, longestWait)
	}
	return 0
}

// setAnswer sets a call's answer. One that did not come whole is none.
func setAnswer(c *journal.Call, code int, err error) {
	if err == nil {
		c.HTTPStatus = code
		return
	}
	c.Error = err.Error()
	if problem, ok := errors.AsType[*apiclient.Problem](err); ok {
		c.HTTPStatus, c.RetryAfter = code, problem.RetryAfter
		if problem.Type != "" {
			c.Problem = path.Base(problem.Type)
		}
	}
}

// retryWait is the longer of Retry-After and wait, at most callTimeout.
func retryWait(retryAfter string, wait time.Duration) time.Duration {
	seconds, err := strconv.Atoi(retryAfter)
	if err != nil {
		return wait
	}
	return min(max(time.Duration(seconds)*time.Second, wait), callTimeout)
}
