package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ringback/activities"
	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/internal/overload"
	endpoints "ringback/internal/receiver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shop = "WALLET_SHOP"

// fixture is one worker's activities with all that surrounds them at hand: the
// configuration, a receiver, a core, and the server that keeps their records.
type fixture struct {
	*activities.Activities
	metrics  *prometheus.Registry
	endpoint endpoints.Endpoint
	receiver *receiver
	core     *core
	server   *server
	journal  *journal
	// missing takes the endpoint and the source out of the configuration.
	missing bool
}

func newFixture() *fixture {
	j := &journal{}
	b := &fixture{
		metrics:  prometheus.NewRegistry(),
		journal:  j,
		receiver: &receiver{journal: j},
		core:     &core{journal: j},
		server:   &server{journal: j},
	}
	standard, _ := dialect.ByName("standard")
	b.endpoint = endpoints.Endpoint{
		Name: shop, Dialect: standard, URL: "http://receiver.invalid/callback",
		Client: &http.Client{Transport: b.receiver},
	}
	b.Activities = &activities.Activities{
		Pace: overload.NewPace(),
		Endpoint: func(name string) (endpoints.Endpoint, bool) {
			return b.endpoint, name == b.endpoint.Name && !b.missing
		},
		Source: func(name string) (activities.Source, bool) {
			return activities.Source{Source: b.core, Vocabulary: []string{"new", "done"}}, name == "wallet" && !b.missing
		},
		Heartbeat: b.server.heartbeat,
		Yield:     b.server.yield,
		Complete:  b.server.complete,
		Metrics:   activities.NewMetrics(b.metrics),
		Log:       zap.NewNop(),
	}
	return b
}

// inVirtualTime runs a test whose waits take no time and last exactly as long
// as they are meant to.
func inVirtualTime(t *testing.T, test func(t *testing.T, b *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newFixture()
		defer b.receiver.running.Wait()
		test(t, b)
	})
}

// subtest runs a subtest in virtual time.
func subtest(t *testing.T, name string, test func(t *testing.T, b *fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		inVirtualTime(t, test)
	})
}

// run is how the server starts an activity: the zero run is the first.
type run struct {
	// details are what an earlier run recorded last.
	details any
	// workflowID is of the workflow that schedules it; empty: of the input's.
	workflowID string
	policy     *temporal.RetryPolicy
	attempt    int32
	stop       chan struct{}
	ctx        context.Context
	// now says that the server starts it now, so that its start is record enough for a
	// first poll or attempt; else it was some time ago.
	now bool
	// heartbeats is the activity's heartbeat timeout.
	heartbeats time.Duration
}

// deliver returns the record also of a delivery that ended as a failure, since nobody
// acknowledged it.
func (b *fixture) deliver(in activities.DeliverInput, r run) (activities.DeliverResult, error) {
	var result activities.DeliverResult
	err := b.execute(b.Deliver, in, r, &result)
	if ended, ok := errors.AsType[*temporal.ApplicationError](err); ok && slices.Contains([]string{activities.TypeExhausted, activities.TypeGone}, ended.Type()) {
		err = ended.Details(&result.Record)
	}
	return result, err
}

func (b *fixture) watch(in activities.WatchInput, r run) (activities.WatchResult, error) {
	var result activities.WatchResult
	err := b.execute(b.Watch, in, r, &result)
	return result, err
}

// interrupt is what the workflow does before it cancels an activity.
func (b *fixture) interrupt(t *testing.T, activity string) {
	t.Helper()
	found, err := b.Interrupt(context.Background(), activities.InterruptInput{RunID: testRun, Activity: activity})
	assert.True(t, err == nil && found.Here)
}

// testRun is the run that the test environment's activities are of.
const testRun = "default-test-run-id"

func (b *fixture) execute(what, in any, r run, result any) error {
	if r.workflowID == "" {
		r.workflowID = workflowOf(in)
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(b.Activities)
	env.SetTestTimeout(time.Hour)
	env.SetWorkerOptions(worker.Options{
		BackgroundActivityContext: r.ctx,
		Interceptors:              []interceptor.WorkerInterceptor{&startedBy{run: r}},
	})
	if r.details != nil {
		env.SetHeartbeatDetails(r.details)
	}
	if r.stop != nil {
		env.SetWorkerStopChannel(r.stop)
	}
	value, err := env.ExecuteActivity(what, in)
	if yielded := b.server.yielded(); yielded != nil && errors.Is(err, activity.ErrResultPending) {
		return yielded
	}
	if err != nil || result == nil {
		return err
	}
	return value.Get(result)
}

// workflowOf is the id of the workflow that an input is made for.
func workflowOf(in any) string {
	switch in := in.(type) {
	case activities.WatchInput:
		return in.Key.WorkflowID()
	case activities.AttemptInput:
		return in.Callback.Key.WorkflowID()
	case activities.DeliverInput:
		return in.Callback.Key.WorkflowID()
	case activities.RedeliverPageInput:
		return operation.BulkRedeliveryWorkflowID(in.Job.ID)
	}
	return ""
}

// startedBy shows an activity the workflow, the retry policy and the count of runs that
// the test environment knows nothing of.
type startedBy struct {
	interceptor.WorkerInterceptorBase
	run run
}

func (s *startedBy) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &inbound{interceptor.ActivityInboundInterceptorBase{Next: next}, s.run}
}

type inbound struct {
	interceptor.ActivityInboundInterceptorBase
	run run
}

func (i *inbound) Init(next interceptor.ActivityOutboundInterceptor) error {
	return i.Next.Init(&outbound{interceptor.ActivityOutboundInterceptorBase{Next: next}, i.run})
}

type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	run run
}

func (o *outbound) GetInfo(ctx context.Context) activity.Info {
	info := o.Next.GetInfo(ctx)
	info.WorkflowExecution.ID = o.run.workflowID
	info.RetryPolicy = o.run.policy
	info.Attempt, info.HeartbeatTimeout = max(o.run.attempt, 1), o.run.heartbeats
	if !o.run.now {
		info.ScheduledTime, info.StartedTime = info.ScheduledTime.Add(-time.Minute), info.StartedTime.Add(-time.Minute)
	}
	return info
}

// journal is what happened, in the order in which it did.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// server keeps what activities record, as Temporal does: also what comes with
// an answer of cancelled, paused or reset.
type server struct {
	journal *journal
	// answer answers the nth heartbeat (counted from 1); nil: without an error.
	answer func(n int) error
	// takes is how long a heartbeat takes.
	takes time.Duration

	mu   sync.Mutex
	kept []json.RawMessage
	at   []time.Time
	n    int
	// cause is with what an activity gave its slot back; refuses is what one
	// that tries is answered instead.
	cause, refuses error
	completed      int
}

func (s *server) heartbeat(ctx context.Context, _ []byte, details ...any) error {
	raw, err := json.Marshal(details[0])
	if err != nil {
		return err
	}
	if s.takes > 0 { // a timer that is due already can crash the race detector: golang/go#78156
		select {
		case <-time.After(s.takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var answer error
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.answer != nil {
		answer = s.answer(s.n)
	}
	if !keeps(answer) {
		return answer
	}
	s.kept = append(s.kept, raw)
	s.at = append(s.at, time.Now())
	if d, ok := details[0].(operation.DeliveryRecord); ok && inFlight(d) {
		s.journal.add("record %d", lastAttempt(d).Number)
	}
	return answer
}

// yield keeps the record and the cause of an activity that gave its slot back.
// It is no heartbeat, and is never answered with paused or cancelled.
func (s *server) yield(_ context.Context, _ []byte, cause error, details any) error {
	raw, err := json.Marshal(details)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil {
		return s.refuses
	}
	s.kept = append(s.kept, raw)
	s.at = append(s.at, time.Now())
	s.cause = cause
	return nil
}

func (s *server) complete(context.Context, []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses == nil {
		s.completed++
	}
	return s.refuses
}

// refuse has the server answer so to an activity that gives its slot back or completes; nil:
// it takes that.
func (s *server) refuse(answer error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = answer
}

// yielded returns once the cause with which the latest activity gave its slot back.
func (s *server) yielded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cause := s.cause
	s.cause = nil
	return cause
}

func keeps(answer error) bool {
	return answer == nil || temporal.IsCanceledError(answer) || errors.Is(answer, activity.ErrActivityPaused) || errors.Is(answer, activity.ErrActivityReset)
}

func inFlight(d operation.DeliveryRecord) bool {
	return len(d.Delivery.Attempts) > 0 && lastAttempt(d).Verdict == ""
}

func lastAttempt(d operation.DeliveryRecord) operation.Attempt {
	return d.Delivery.Attempts[len(d.Delivery.Attempts)-1]
}

// recorded is the latest record.
func recorded[T any](t *testing.T, s *server) T {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var latest T
	require.NotEmpty(t, s.kept, "nothing was recorded")
	require.NoError(t, json.Unmarshal(s.kept[len(s.kept)-1], &latest))
	return latest
}

func (s *server) heartbeats() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// receiver is the client's side: it answers its nth request (counted from 1)
// by answer, and any without one with 500.
type receiver struct {
	journal *journal
	answer  func(n int, w http.ResponseWriter, r *http.Request)
	running sync.WaitGroup

	mu     sync.Mutex
	begun  []time.Time
	ended  []time.Time
	header []http.Header
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	n := r.begin(request)
	defer r.end()
	if r.answer == nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.answer(n, w, request)
}

func (r *receiver) begin(request *http.Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, time.Now())
	r.header = append(r.header, request.Header.Clone())
	r.journal.add("request %d", len(r.begun))
	return len(r.begun)
}

func (r *receiver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, time.Now())
}

func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.begun)
}

// gaps are the times from the end of each request to the beginning of the next.
func (r *receiver) gaps() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(r.begun); i++ {
		gaps = append(gaps, r.begun[i].Sub(r.ended[i-1]))
	}
	return gaps
}

// silence answers nothing for as long as it is listened to.
func silence(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// statuses answers one HTTP status after the other, the last for ever.
func statuses(all ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(all[min(n, len(all))-1])
	}
}

// RoundTrip reaches the receiver without a network, which has no virtual time.
func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1)
	r.running.Go(func() {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request)
		answered <- w.Result()
	})
	select {
	case response := <-answered:
		return response, nil
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
}

// core is a source that answers its nth poll (counted from 1) by answer, and
// any without one with the status "new".
type core struct {
	journal *journal
	answer  func(ctx context.Context, n int) (operation.Observation, error)

	mu sync.Mutex
	at []time.Time
}

func (c *core) Poll(ctx context.Context, _ operation.Query) (operation.Observation, error) {
	c.mu.Lock()
	c.at = append(c.at, time.Now())
	n := len(c.at)
	c.mu.Unlock()
	c.journal.add("poll %d", n)
	if c.answer == nil {
		return operation.Observation{Status: "new"}, nil
	}
	return c.answer(ctx, n)
}

func (c *core) Details(context.Context, operation.Query) (map[string]any, error) { return nil, nil }

// polls are the times of the polls, counted from since.
func (c *core) polls(since time.Time) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var at []time.Duration
	for _, poll := range c.at {
		at = append(at, poll.Sub(since))
	}
	return at
}

// failure is the application error that an activity left with.
func failure(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	return failed
}

// requireYielded checks that the activity gave its slot back, for reason kind, to be
// woken by the server after delay.
func requireYielded(t *testing.T, err error, kind string, delay time.Duration) {
	t.Helper()
	failed := failure(t, err)
	require.Equal(t, kind, failed.Type(), failed.Message())
	require.Equal(t, delay, failed.NextRetryDelay(), failed.Message())
	require.False(t, failed.NonRetryable())
	require.Equal(t, temporal.ApplicationErrorCategoryBenign, failed.Category())
}

// afterHeartbeats answers what comes after the first n heartbeats with err.
func afterHeartbeats(n int, err error) func(int) error {
	return func(nth int) error {
		if nth > n {
			return err
		}
		return nil
	}
}

// atHeartbeat answers the nth heartbeat with err.
func atHeartbeat(n int, err error) func(int) error {
	return func(nth int) error {
		if nth == n {
			return err
		}
		return nil
	}
}
