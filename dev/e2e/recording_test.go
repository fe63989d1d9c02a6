package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// reply is one answer of a core to a poll, or of a receiver to a request.
type reply struct {
	// httpStatus of 0 is 200.
	httpStatus int
	// status is the operation's, in a core's answer.
	status string
	// delay is before the answer.
	delay time.Duration
	// broken closes the connection: a core's in the middle of the answer, a
	// receiver's instead of it.
	broken bool
}

// answers gives the reply to call number n, counted from 0.
type answers func(n int) reply

// steady replies the same to every call.
func steady(r reply) answers { return func(int) reply { return r } }

// inTurn replies in this order; the last repeats.
func inTurn(replies ...reply) answers {
	return func(n int) reply { return replies[min(n, len(replies)-1)] }
}

// setting is a reply that a test changes while it is in use.
type setting struct {
	mu  sync.Mutex
	now reply
}

func (s *setting) set(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = r
}

func (s *setting) answer(int) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// recordedCall is one poll or one request as its server saw it.
type recordedCall struct {
	// ended is zero while the call is in flight.
	began, ended time.Time
	// abandoned says that the caller left before the answer.
	abandoned bool
	reply     reply
	// What follows is a request's: status, final and observedAt are its body's.
	callbackID, body, status string
	final                    bool
	observedAt               time.Time
}

// inFlight says that the call was not over when the other began. A caller that
// left may begin the next call before its server notices.
func (c recordedCall) inFlight(when time.Time) bool {
	const noticed = 2 * time.Second
	if c.abandoned {
		return c.ended.Sub(when) > noticed
	}
	return c.ended.IsZero() || c.ended.After(when)
}

// succeeded says that the caller had a 2xx.
func (c recordedCall) succeeded() bool {
	return !c.ended.IsZero() && !c.abandoned && !c.reply.broken && max(c.reply.httpStatus, http.StatusOK)/100 == 2
}

// recorder is a core and a receiver that remember every call.
type recorder struct {
	url string

	mu         sync.Mutex
	operations map[string]*recorded
}

// recorded is one operation at the recorder.
type recorded struct {
	core, receiver  answers
	polls, requests []*recordedCall
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{operations: map[string]*recorded{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /transfer/rest/v1/transfers/{id}", r.poll)
	mux.HandleFunc("POST /hooks/", r.request)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// put sets how an operation's calls are answered; what was recorded stays.
func (r *recorder) put(id string, core, receiver answers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.of(id)
	o.core, o.receiver = core, receiver
}

// of is the operation's record. The caller holds the lock.
func (r *recorder) of(id string) *recorded {
	if r.operations[id] == nil {
		r.operations[id] = &recorded{core: steady(reply{status: "waiting"}), receiver: steady(reply{})}
	}
	return r.operations[id]
}

// polls are the calls at the core so far, oldest first.
func (r *recorder) polls(id string) []recordedCall {
	return r.calls(id, func(o *recorded) []*recordedCall { return o.polls })
}

// requests are the calls at the receiver so far, oldest first.
func (r *recorder) requests(id string) []recordedCall {
	return r.calls(id, func(o *recorded) []*recordedCall { return o.requests })
}

func (r *recorder) calls(id string, of func(*recorded) []*recordedCall) []recordedCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []recordedCall
	for _, c := range of(r.of(id)) {
		found = append(found, *c)
	}
	return found
}

func (r *recorder) poll(w http.ResponseWriter, request *http.Request) {
	id := request.PathValue("id")
	c := &recordedCall{began: time.Now()}
	r.mu.Lock()
	o := r.of(id)
	n := len(o.polls)
	o.polls = append(o.polls, c)
	core := o.core
	r.mu.Unlock()
	r.answer(w, request, c, core(n), fmt.Sprintf(`{"id":%q,"status":"%%s"}`, id))
}

func (r *recorder) request(w http.ResponseWriter, request *http.Request) {
	c := &recordedCall{began: time.Now(), callbackID: request.Header.Get("webhook-id")}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	var message struct {
		Data struct {
			OperationID string    `json:"operation_id"`
			Status      string    `json:"status"`
			Final       bool      `json:"final"`
			ObservedAt  time.Time `json:"observed_at"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.body, c.status, c.final, c.observedAt = string(body), message.Data.Status, message.Data.Final, message.Data.ObservedAt
	r.mu.Lock()
	o := r.of(message.Data.OperationID)
	n := len(o.requests)
	o.requests = append(o.requests, c)
	receiver := o.receiver
	r.mu.Unlock()
	r.answer(w, request, c, receiver(n), "")
}

// answer replies after its delay. The call's end is taken before the answer
// leaves, so that no caller can begin the next one earlier.
func (r *recorder) answer(w http.ResponseWriter, request *http.Request, c *recordedCall, a reply, form string) {
	delay := time.NewTimer(a.delay)
	defer delay.Stop()
	abandoned := false
	select {
	case <-delay.C:
	case <-request.Context().Done():
		abandoned = true
	}
	r.mu.Lock()
	c.ended, c.abandoned, c.reply = time.Now(), abandoned, a
	r.mu.Unlock()
	switch {
	case abandoned:
	case a.broken:
		// A core's answer begins, or net/http would repeat the poll by itself;
		// a receiver's does not, since a 2xx acknowledges whatever follows.
		if form != "" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	case form == "" || max(a.httpStatus, http.StatusOK) != http.StatusOK:
		w.WriteHeader(max(a.httpStatus, http.StatusOK))
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, form, a.status)
	}
}

// recording is Ringback between a recorder's core and receiver. Each endpoint has a
// source of its own, so that no test's core rests another's.
type recording struct {
	environment
	*ringback
	*recorder

	mu        sync.Mutex
	endpoints map[string]string
}

// newRecording runs Ringback in this process; endpoints are their names and what
// their configuration holds beside dialect, source and url.
func newRecording(t *testing.T, endpoints map[string]string) *recording {
	t.Helper()
	s := newIdleRecording(t, endpoints)
	s.ringback = s.run(t)
	return s
}

// newIdleRecording is a stage on which Ringback does not run yet.
func newIdleRecording(t *testing.T, endpoints map[string]string) *recording {
	t.Helper()
	s := &recording{recorder: newRecorder(t), endpoints: endpoints}
	s.temporal = sharedServer(t)
	s.config = filepath.Join(t.TempDir(), "ringback.yml")
	s.write(t)
	return s
}

func (s *recording) write(t *testing.T) {
	t.Helper()
	var sources, endpoints strings.Builder
	for name, policy := range s.endpoints {
		fmt.Fprintf(&sources, "  core_%s: {kind: paysera, base_urls: [%q]}\n", name, s.recorder.url)
		fmt.Fprintf(&endpoints, "  %s: {dialect: standard, source: core_%s, url: %q, push: trust, %s}\n", name, name, s.recorder.url+"/hooks/"+name, policy)
	}
	const head = `
api: {listen: 127.0.0.1:0, rate_limit: {per_second: 5000, burst: 5000, changes_per_second: 5000, changes_burst: 5000}}
telemetry: {listen: 127.0.0.1:0}
egress: {allow: [127.0.0.0/8]}
`
	text := head + "sources:\n" + sources.String() + "endpoints:\n" + endpoints.String()
	require.NoError(t, os.WriteFile(s.config, []byte(text), 0o600))
}

// reconfigure changes the endpoints and returns when this process has them.
func (s *recording) reconfigure(t *testing.T, change func(endpoints map[string]string)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	before := configHash(t, s.Client)
	change(s.endpoints)
	s.write(t)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool { return configHash(t, s.Client) != before }, patience, 10*time.Millisecond)
}

// open starts an operation whose calls are answered so.
func (s *recording) open(t *testing.T, endpoint, id string, core, receiver answers) operation.Key {
	t.Helper()
	s.put(id, core, receiver)
	return start(t, s.Client, operation.StartRequest{Endpoint: endpoint, OperationID: id})
}

// push pushes a status, or an empty one; the operation may have closed.
func (s *recording) push(t *testing.T, key operation.Key, status string) {
	t.Helper()
	if err := s.Push(t.Context(), key, status); apiclient.Status(err) != http.StatusConflict {
		require.NoError(t, err)
	}
}

// mustPush is push to an operation that is open.
func (s *recording) mustPush(t *testing.T, key operation.Key, status string) {
	t.Helper()
	require.NoError(t, s.Push(t.Context(), key, status))
}

func (s *recording) revoke(t *testing.T, key operation.Key) {
	t.Helper()
	_, err := s.Revoke(t.Context(), key, "user", "")
	require.NoError(t, err)
}

func (s *recording) withdraw(t *testing.T, key operation.Key) {
	t.Helper()
	withdraw(t, s.Client, key)
}

func (s *recording) redeliver(t *testing.T, key operation.Key, request operation.RedeliveryRequest) error {
	t.Helper()
	_, err := s.Redeliver(t.Context(), key, request)
	return err
}

// close waits until an operation has ended. It looks seldom, since each look at
// many operations costs them time.
func (s *recording) close(t *testing.T, key operation.Key) (state operation.State) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		state, err = s.State(t.Context(), key)
		return err == nil && state.Phase == operation.Closed
	}, patience, 300*time.Millisecond, "%s is to end", key.WorkflowID())
	return state
}

// awaitRequest waits until request number n, counted from 1, has come; answered:
// until it is over as well.
func (s *recording) awaitRequest(t *testing.T, id string, n int, answered bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		requests := s.requests(id)
		return len(requests) >= n && (!answered || !requests[n-1].ended.IsZero())
	}, patience, 2*time.Millisecond, "request %d about %s", n, id)
}

// awaitPoll is awaitRequest for polls.
func (s *recording) awaitPoll(t *testing.T, id string, n int, answered bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		polls := s.polls(id)
		return len(polls) >= n && (!answered || !polls[n-1].ended.IsZero())
	}, patience, 2*time.Millisecond, "poll %d about %s", n, id)
}

// runTogether runs rows at the same time, however many -parallel allows: they
// wait more than they work.
func runTogether(t *testing.T, rows map[string]func(t *testing.T)) {
	t.Helper()
	runAtOnce(t, len(rows), rows)
}

// runFew runs rows at the same time, but no more than two processors bear.
func runFew(t *testing.T, rows map[string]func(t *testing.T)) {
	t.Helper()
	const most = 5
	runAtOnce(t, most, rows)
}

func runAtOnce(t *testing.T, most int, rows map[string]func(t *testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	slots := make(chan struct{}, most)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(name, rows[name])
		})
	}
	running.Wait()
}

// statusesOf are those of the requests, one a request.
func statusesOf(requests []recordedCall) []string {
	found := make([]string, len(requests))
	for i, r := range requests {
		found[i] = r.status
	}
	return found
}

// bodies counts the different bodies of each callback id.
func bodies(requests []recordedCall) map[string]int {
	different := map[[2]string]bool{}
	count := map[string]int{}
	for _, r := range requests {
		if pair := [2]string{r.callbackID, r.body}; !different[pair] {
			different[pair] = true
			count[r.callbackID]++
		}
	}
	return count
}

// mostAtOnce is how many of the calls were in flight at one time.
func mostAtOnce(calls []recordedCall) int {
	slices.SortFunc(calls, func(a, b recordedCall) int { return a.began.Compare(b.began) })
	most := 0
	for i, c := range calls {
		at := 1
		for _, before := range calls[:i] {
			if before.inFlight(c.began) {
				at++
			}
		}
		most = max(most, at)
	}
	return most
}

// attempts counts the attempts that the state has.
func attempts(state operation.State) int {
	n := 0
	for _, d := range state.Deliveries {
		n += len(d.Attempts)
	}
	return n
}
