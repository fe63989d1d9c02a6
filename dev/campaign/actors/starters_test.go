package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/actors"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// api answers starts by promise 1, after it has refused each call with 503 or hung up
// several times, and keeps the requests that it answered.
type api struct {
	*httptest.Server
	// fails is how often each call is refused or hung up on, in turns.
	fails int

	mu      sync.Mutex
	tries   map[string]int
	started map[operation.Key]operation.StartRequest
	bodies  map[string][]string
}

func newAPI(t *testing.T, fails int) *api {
	t.Helper()
	a := &api{fails: fails, tries: map[string]int{}, started: map[operation.Key]operation.StartRequest{}, bodies: map[string][]string{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body)
	name := r.Method + " " + r.URL.EscapedPath()
	if r.Header.Get("Authorization") != "Bearer "+actors.Key {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch try := a.tries[name+string(body)]; {
	case try < a.fails && try%2 == 0:
		a.tries[name+string(body)]++
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case try < a.fails:
		a.tries[name+string(body)]++
		panic(http.ErrAbortHandler)
	}
	a.bodies[name] = append(a.bodies[name], string(body))
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost && r.URL.Path == "/v1/operations" {
		w.WriteHeader(a.start(body))
		_, _ = w.Write([]byte("{}"))
		return
	}
	_, _ = w.Write([]byte("{}"))
}

func (a *api) start(body json.RawMessage) int {
	var request operation.StartRequest
	_ = json.Unmarshal(body, &request)
	before, known := a.started[request.Key()]
	switch {
	case !known:
		a.started[request.Key()] = request
		return http.StatusCreated
	case !equal(before, request):
		return http.StatusConflict
	}
	return http.StatusOK
}

func equal(a, b operation.StartRequest) bool {
	one, _ := json.Marshal(a)
	other, _ := json.Marshal(b)
	return string(one) == string(other)
}

// starters have a plan whose calls are all due at once.
func starters(t *testing.T, apis ...*api) (actors.Options, plan.Plan) {
	t.Helper()
	o, _ := campaign(t)
	o.Plan.Operations = plan.Enough
	o.URLs = urls
	for i, a := range apis {
		o.APIs = append(o.APIs, actors.API{Name: []string{"api-0", "api-1"}[i], URL: a.URL})
	}
	return o, plan.Make(o.Plan)
}

// runStarters makes the plan's calls.
func runStarters(ctx context.Context, o actors.Options) error {
	written, err := journal.Open(o.Journal)
	if err != nil {
		return err
	}
	s := actors.NewStarters(o, written)
	defer s.Close()
	return errors.Join(s.Run(ctx), written.Close())
}

// settled counts the settled calls.
func settled(t *testing.T, o actors.Options) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, e := range read(t, o) {
		if e.Call.Settled() {
			found[e.Call.Kind+" "+e.Call.OperationID]++
		}
	}
	return found
}

// planned counts the plan's calls if all are due at once: of several pushes only the
// last one and the requests to poll are made.
func planned(p plan.Plan) map[string]int {
	calls := map[string]int{}
	for _, o := range p.Operations {
		calls["start "+o.ID] = o.Starts
		if o.Clashes {
			calls["clash "+o.ID]++
		}
		for i, push := range o.Pushes {
			if push.Status == "" || i == len(o.Pushes)-1 {
				calls["push "+o.ID]++
			}
		}
		if o.Revocation != nil {
			calls["revoke "+o.ID]++
		}
		if o.Withdrawal != nil {
			calls["withdraw "+o.ID]++
		}
	}
	return calls
}

func TestStartersMakeThePlannedCalls(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 0)
	o, p := starters(t, a)
	require.NoError(t, runStarters(t.Context(), o))
	require.Equal(t, planned(p), settled(t, o))
	require.Len(t, a.started, len(p.Operations))
	created := map[string]int{}
	for _, e := range read(t, o) {
		c := e.Call
		require.Equal(t, "api-0", c.API)
		require.False(t, c.Ended.Before(c.Began))
		switch {
		case c.Kind == journal.Clash:
			require.Equal(t, http.StatusConflict, c.HTTPStatus)
			require.NotEmpty(t, c.Error)
		case c.Kind == journal.Start && c.HTTPStatus == http.StatusCreated:
			created[c.OperationID]++
		default:
			require.Equal(t, http.StatusOK, c.HTTPStatus)
		}
	}
	require.Len(t, created, len(p.Operations))
	for id, n := range created {
		require.Equal(t, 1, n, id)
	}
	for _, op := range p.Operations {
		e, _ := plan.EndpointByName(op.Endpoint)
		r := a.started[op.Key()]
		require.Equal(t, e.PerOperationURL, r.Callback.URL == urls.Receivers+"/"+e.Dialect+"/"+e.Name+"/"+op.ID)
		require.Equal(t, e.SourceKind == "ukrcard", r.Reference.RegisteredAt != nil)
		require.Equal(t, op.KnownStatus, r.KnownStatus)
		require.Equal(t, op.Method, r.Method)
	}
}

func TestStartersRepeatCallsAtTheOtherAPIUntilTheyAreAnswered(t *testing.T) {
	t.Parallel()
	one, other := newAPI(t, 2), newAPI(t, 2)
	o, p := starters(t, one, other)
	require.NoError(t, runStarters(t.Context(), o))
	require.Equal(t, planned(p), settled(t, o))
	var refused, unanswered int
	apis := map[string][]string{}
	for _, e := range read(t, o) {
		c := e.Call
		if c.Settled() {
			continue
		}
		require.NotEmpty(t, c.Error)
		name := c.Kind + " " + c.OperationID
		apis[name] = append(apis[name], c.API)
		switch c.HTTPStatus {
		case http.StatusServiceUnavailable:
			require.Equal(t, "0", c.RetryAfter)
			refused++
		case 0:
			unanswered++
		}
	}
	require.Positive(t, refused)
	require.Positive(t, unanswered)
	for name, at := range apis {
		require.Contains(t, at, "api-0", name)
		require.Contains(t, at, "api-1", name)
	}
}

func TestPushesAreMadeInOrderWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 0)
	o, p := starters(t, a)
	pushed := operationWhere(t, p, func(o plan.Operation, _ plan.Endpoint) bool { return o.History == "pushed changes" })
	due := pushed.StartAt + pushed.Pushes[0].After
	o.Began = time.Now().Add(-due)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runStarters(ctx, o) }()
	var made []journal.Call
	require.Eventually(t, func() bool {
		made = nil
		for _, e := range read(t, o) {
			if e.Call.Kind == journal.Push && e.Call.OperationID == pushed.ID {
				made = append(made, *e.Call)
			}
		}
		return len(made) == len(pushed.Pushes)
	}, 30*time.Second, 20*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled, "others are not due yet")
	for i, c := range made {
		require.Equal(t, i, c.Number)
		require.Equal(t, pushed.Pushes[i].Status, c.Status)
		require.False(t, c.Began.Before(o.Began.Add(pushed.StartAt+pushed.Pushes[i].After)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var want []string
	for _, p := range pushed.Pushes {
		want = append(want, `{"status":"`+p.Status+`"}`)
	}
	require.Equal(t, want, a.bodies["POST /v1/operations/TILL/"+pushed.ID+"/status"])
}

func TestNoCallsFollowAStartThatWasNotAccepted(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }))
	t.Cleanup(refusing.Close)
	o, p := starters(t)
	o.APIs = []actors.API{{Name: "api-0", URL: refusing.URL}}
	require.NoError(t, runStarters(t.Context(), o))
	calls := 0
	for _, op := range p.Operations {
		calls += op.Starts
	}
	require.Len(t, read(t, o), calls)
}

func TestCallsEndAtOnceWhenTheCampaignFails(t *testing.T) {
	t.Parallel()
	called := make(chan struct{}, 1000)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	failure := errors.New("the campaign's failure")
	for name, run := range map[string]func(context.Context, *actors.Starters) error{
		"planned calls":   func(ctx context.Context, s *actors.Starters) error { return s.Run(ctx) },
		"repeated starts": func(ctx context.Context, s *actors.Starters) error { return s.Repeat(ctx, ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := starters(t)
			o.APIs = []actors.API{{Name: "api-0", URL: hanging.URL}}
			written, err := journal.Open(o.Journal)
			require.NoError(t, err)
			ctx, fail := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, actors.NewStarters(o, written)) }()
			<-called
			fail(failure)
			select {
			case err := <-ended:
				require.ErrorIs(t, err, failure)
			case <-time.After(5 * time.Second):
				t.Fatal("the calls go on")
			}
			require.NoError(t, written.Close())
			for _, e := range read(t, o) {
				require.Equal(t, context.Canceled.Error(), e.Call.Error, "not the campaign's failure")
			}
		})
	}
}
