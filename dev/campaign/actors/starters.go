package actors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"

	apiclient "ringback/api/client"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// Starters are the payment cores as callers of Ringback's API: they start, push,
// revoke and withdraw by the plan, and repeat each call at the other API until it
// is answered. They return nil once every call of the plan is answered, and an
// error if ctx ends before.
func Starters(ctx context.Context, o Options) error {
	return run(ctx, o, 0, func(ctx context.Context, a *actor) error {
		if len(o.APIs) == 0 {
			return errors.New("run the starters: no API is given")
		}
		return newStarters(a).run(ctx)
	})
}

// repeatPause is between two repeated starts.
const repeatPause = 250 * time.Millisecond

// RepeatStarts makes the plan's starts once more, one after another, until ctx ends
// and the call in flight is over. Each is answered with its operation, open or
// closed, and how long that takes shows how slow Temporal is. It fails if the
// journal can't be written.
func RepeatStarts(ctx context.Context, o Options, written *journal.Writer) error {
	calling, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	s := newStarters(&actor{Options: o, plan: plan.Make(o.Plan), journal: written, fail: fail})
	defer s.closeConnections()
	over := func() bool { return ctx.Err() != nil }
	for n := 0; sleep(ctx, repeatPause) && calling.Err() == nil; n++ {
		operation := s.plan.Operations[n%len(s.plan.Operations)]
		s.startOnce(calling, n, operation, operation.Starts+n/len(s.plan.Operations), over)
	}
	return context.Cause(calling)
}

// callTimeout is how long a core waits for one answer.
const callTimeout = 10 * time.Second

type starters struct {
	*actor
	clients []*apiclient.Client
}

// call identifies one call of the plan.
type call struct {
	operation.Key
	kind   string
	number int
}

func newStarters(a *actor) *starters {
	s := &starters{actor: a}
	for _, api := range a.APIs {
		s.clients = append(s.clients, &apiclient.Client{MaxAttempts: 1, Base: api.URL, Key: Key, HTTP: http.Client{
			Timeout:   callTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
		}})
	}
	return s
}

func (s *starters) run(ctx context.Context) error {
	defer s.closeConnections()
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

func (s *starters) closeConnections() {
	for _, c := range s.clients {
		c.HTTP.CloseIdleConnections()
	}
}

// callsOf makes all planned calls about one operation; i spreads them over the APIs.
func (s *starters) callsOf(ctx context.Context, i int, o plan.Operation) {
	if !s.start(ctx, i, o) {
		return
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	if o.Clashes {
		calls.Go(func() { s.clash(ctx, i, o) })
	}
	calls.Go(func() { s.push(ctx, i, o) })
	if o.Revocation != nil {
		calls.Go(func() { s.revoke(ctx, i, o) })
	}
	if o.Withdrawal != nil {
		calls.Go(func() { s.withdraw(ctx, i, o) })
	}
}

// start makes the operation's starts at once and reports whether one was accepted.
func (s *starters) start(ctx context.Context, i int, o plan.Operation) bool {
	statuses := make([]int, o.Starts)
	var starting sync.WaitGroup
	for n := range o.Starts {
		starting.Go(func() { statuses[n] = s.startOnce(ctx, i+n, o, n, nil) })
	}
	starting.Wait()
	for _, status := range statuses {
		if status == http.StatusCreated || status == http.StatusOK {
			return true
		}
	}
	return false
}

// startOnce makes the start with the given number.
func (s *starters) startOnce(ctx context.Context, first int, o plan.Operation, number int, obsolete func() bool) (status int) {
	return s.call(ctx, first, call{o.Key(), journal.Start, number}, "", obsolete, func(ctx context.Context, c *apiclient.Client) (int, error) {
		return c.Call(ctx, http.MethodPost, "/v1/operations", s.request(o), nil)
	})
}

// request is the start request, the same one each time.
func (s *starters) request(o plan.Operation) operation.StartRequest {
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

// clash starts the operation with another method or known status.
func (s *starters) clash(ctx context.Context, i int, o plan.Operation) {
	other := s.request(o)
	switch other.Method {
	case "":
		other.KnownStatus = "registered"
	case "payment":
		other.Method = "p2p_transfer"
	default:
		other.Method = "payment"
	}
	s.call(ctx, i, call{o.Key(), journal.Clash, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		return c.Call(ctx, http.MethodPost, "/v1/operations", other, nil)
	})
}

// push makes the pushes one after another. A status is obsolete once the next push
// is due; a request to poll never is.
func (s *starters) push(ctx context.Context, i int, o plan.Operation) {
	for n, p := range o.Pushes {
		if !s.wait(ctx, o.StartAt+p.After) {
			return
		}
		obsolete := func() bool {
			return p.Status != "" && n+1 < len(o.Pushes) && s.sinceBegin() >= o.StartAt+o.Pushes[n+1].After
		}
		s.call(ctx, i, call{o.Key(), journal.Push, n}, p.Status, obsolete, func(ctx context.Context, c *apiclient.Client) (int, error) {
			return c.Call(ctx, http.MethodPost, apiclient.Path(o.Key())+"/status", map[string]string{"status": p.Status}, nil)
		})
	}
}

func (s *starters) revoke(ctx context.Context, i int, o plan.Operation) {
	if !s.wait(ctx, o.StartAt+o.Revocation.After) {
		return
	}
	s.call(ctx, i, call{o.Key(), journal.Revoke, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		body := map[string]string{"initiated_by": o.Revocation.InitiatedBy, "reason": "planned"}
		return c.Call(ctx, http.MethodPost, apiclient.Path(o.Key())+"/revocation", body, nil)
	})
}

func (s *starters) withdraw(ctx context.Context, i int, o plan.Operation) {
	if !s.wait(ctx, o.StartAt+*o.Withdrawal) {
		return
	}
	s.call(ctx, i, call{o.Key(), journal.Withdraw, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		return c.Call(ctx, http.MethodDelete, apiclient.Path(o.Key()), nil, nil)
	})
}

// The waits between two tries of one call without Retry-After.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 2 * time.Second
)

// call makes one call, beginning at the API with the given number and going round,
// until it is settled, and returns its HTTP status: 0 if ctx ended before or the
// call became obsolete.
func (s *starters) call(ctx context.Context, first int, c call, status string, obsolete func() bool, do func(context.Context, *apiclient.Client) (int, error)) int {
	wait := shortestWait
	for try := 0; ctx.Err() == nil && (obsolete == nil || !obsolete()); try++ {
		api := (first + try) % len(s.clients)
		made := journal.Call{
			Span: journal.Span{Began: time.Now()}, Key: c.Key,
			Kind: c.kind, Number: c.number, Status: status, API: s.APIs[api].Name,
		}
		code, err := do(ctx, s.clients[api])
		made.Ended = time.Now()
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
