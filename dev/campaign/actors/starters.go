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
// revoke and withdraw by the plan, and try again at the other API until they are
// answered. They return nil once everything in the plan is said and answered, or
// an error where ctx ends before. Started again, they go on where their journal
// ends.
func Starters(ctx context.Context, o Options) error {
	return play(ctx, o, 0, func(ctx context.Context, r *role) error {
		if len(o.APIs) == 0 {
			return errors.New("play the starters: they know no API")
		}
		before, err := journal.ReadFile(o.Journal)
		if err != nil {
			return err
		}
		s := newStarters(r)
		for _, e := range before {
			if e.Call != nil && e.Call.Settled() {
				s.settled[callOf(*e.Call)] = e.Call.HTTPStatus
			}
		}
		return s.run(ctx)
	})
}

// callPatience is how long a core waits for one answer.
const callPatience = 10 * time.Second

func client(api API) *apiclient.Client {
	return &apiclient.Client{MaxAttempts: 1, Base: api.URL, Key: Key, HTTP: http.Client{
		Timeout:   callPatience,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
	}}
}

type starters struct {
	*role
	clients []*apiclient.Client
	// settled are the calls that were answered before these starters began, with
	// their HTTP statuses.
	settled map[call]int
}

// call names one call of the plan.
type call struct {
	operation.Key
	what   string
	number int
}

func callOf(c journal.Call) call { return call{Key: c.Key, what: c.What, number: c.Number} }

func newStarters(r *role) *starters {
	s := &starters{role: r, settled: map[call]int{}}
	for _, api := range r.APIs {
		s.clients = append(s.clients, client(api))
	}
	return s
}

func (s *starters) run(ctx context.Context) error {
	defer s.hangUp()
	var living sync.WaitGroup
	for i, operation := range s.plan.Operations {
		if !s.wait(ctx, operation.StartAt) {
			break
		}
		living.Go(func() { s.live(ctx, i, operation) })
	}
	living.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("say everything that is planned: %w", context.Cause(ctx))
	}
	return nil
}

func (s *starters) hangUp() {
	for _, c := range s.clients {
		c.HTTP.CloseIdleConnections()
	}
}

// live says everything that the plan has about one operation; i spreads the
// calls over the APIs.
func (s *starters) live(ctx context.Context, i int, o plan.Operation) {
	if !s.start(ctx, i, o) {
		return
	}
	var saying sync.WaitGroup
	defer saying.Wait()
	if o.Clashes {
		saying.Go(func() { s.clash(ctx, i, o) })
	}
	saying.Go(func() { s.push(ctx, i, o) })
	if o.Revocation != nil {
		saying.Go(func() { s.revoke(ctx, i, o) })
	}
	if o.Withdrawal != nil {
		saying.Go(func() { s.withdraw(ctx, i, o) })
	}
}

// start starts the operation, as often at once as the core is impatient, and
// reports whether it was accepted.
func (s *starters) start(ctx context.Context, i int, o plan.Operation) bool {
	statuses := make([]int, o.Starts)
	var starting sync.WaitGroup
	for n := range o.Starts {
		starting.Go(func() { statuses[n] = s.sayStart(ctx, i+n, o, n, nil) })
	}
	starting.Wait()
	for _, status := range statuses {
		if status == http.StatusCreated || status == http.StatusOK {
			return true
		}
	}
	return false
}

// sayStart says the start number n.
func (s *starters) sayStart(ctx context.Context, first int, o plan.Operation, n int, stale func() bool) (status int) {
	return s.say(ctx, first, call{o.Key(), journal.Start, n}, "", stale, func(ctx context.Context, c *apiclient.Client) (int, error) {
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
		request.Callback.URL = address(endpoint, s.World) + "/" + o.ID
	}
	return request
}

// clash starts the operation with another method, or another status that the
// client knows.
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
	s.say(ctx, i, call{o.Key(), journal.Clash, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		return c.Call(ctx, http.MethodPost, "/v1/operations", other, nil)
	})
}

// push tells what the core has to tell by itself, one after the other. A status is
// not told any more once the next push is due: a core tells what holds. A request to
// poll is never given up.
func (s *starters) push(ctx context.Context, i int, o plan.Operation) {
	for n, p := range o.Pushes {
		if !s.wait(ctx, o.StartAt+p.After) {
			return
		}
		stale := func() bool {
			return p.Status != "" && n+1 < len(o.Pushes) && s.since() >= o.StartAt+o.Pushes[n+1].After
		}
		s.say(ctx, i, call{o.Key(), journal.Push, n}, p.Status, stale, func(ctx context.Context, c *apiclient.Client) (int, error) {
			return c.Call(ctx, http.MethodPost, apiclient.Path(o.Key())+"/status", map[string]string{"status": p.Status}, nil)
		})
	}
}

func (s *starters) revoke(ctx context.Context, i int, o plan.Operation) {
	if !s.wait(ctx, o.StartAt+o.Revocation.After) {
		return
	}
	s.say(ctx, i, call{o.Key(), journal.Revoke, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		said := map[string]string{"initiated_by": o.Revocation.InitiatedBy, "reason": "planned"}
		return c.Call(ctx, http.MethodPost, apiclient.Path(o.Key())+"/revocation", said, nil)
	})
}

func (s *starters) withdraw(ctx context.Context, i int, o plan.Operation) {
	if !s.wait(ctx, o.StartAt+*o.Withdrawal) {
		return
	}
	s.say(ctx, i, call{o.Key(), journal.Withdraw, 0}, "", nil, func(ctx context.Context, c *apiclient.Client) (int, error) {
		return c.Call(ctx, http.MethodDelete, apiclient.Path(o.Key()), nil, nil)
	})
}

// The waits between two tries of one call, where the answer names none.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 2 * time.Second
)

// say makes one call, from the API number first on at one after the other, until
// it is settled, and returns its HTTP status; 0 where it was given up: ctx ended,
// or there is no use in it any more.
func (s *starters) say(ctx context.Context, first int, what call, status string, stale func() bool, do func(context.Context, *apiclient.Client) (int, error)) int {
	if before, settled := s.settled[what]; settled {
		return before
	}
	wait := shortestWait
	for try := 0; ctx.Err() == nil && (stale == nil || !stale()); try++ {
		api := (first + try) % len(s.clients)
		said := journal.Call{
			Span: journal.Span{Began: time.Now()}, Key: what.Key,
			What: what.what, Number: what.number, Status: status, API: s.APIs[api].Name,
		}
		code, err := do(ctx, s.clients[api])
		said.Ended = time.Now()
		answered(&said, code, err)
		s.write(journal.Entry{Call: &said})
		if said.Settled() {
			return said.HTTPStatus
		}
		if !sleep(ctx, later(said.RetryAfter, wait)) {
			return 0
		}
		wait = min(2*wait, longestWait)
	}
	return 0
}

// answered adds what came of a call. What did not come whole is no answer.
func answered(c *journal.Call, code int, err error) {
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

// later is the longer wait of the two, within what a core has patience for.
func later(retryAfter string, wait time.Duration) time.Duration {
	seconds, err := strconv.Atoi(retryAfter)
	if err != nil {
		return wait
	}
	return min(max(time.Duration(seconds)*time.Second, wait), callPatience)
}
