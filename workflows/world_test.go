package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/workflows"
)

// world stands for everything outside of a run: the core, the receiver and the
// activities between. It lives in the test environment's skipped time, which
// real activities do not, and cancels as a real server does, which the test
// environment does not: an activity ends when it wants to.
type world struct {
	interceptor.WorkerInterceptorBase
	interceptor.WorkflowInboundInterceptorBase
	interceptor.WorkflowOutboundInterceptorBase

	env    *testsuite.TestWorkflowEnvironment
	policy operation.Policy

	core     []answer
	receiver []reply
	// slow holds back polls and attempts inside workflow tasks.
	slow bool
	// unreadable fails the reading of records, reading is how long it takes.
	unreadable bool
	reading    time.Duration

	polls    []operation.Time
	attempts []attempt
	// watching and delivering are what pending activities recorded.
	watching   *operation.WatchRecord
	delivering *operation.DeliveryRecord
	// waiting are the pending activities that wait, by their type.
	waiting    map[string]*waiting
	activities []string
	// watches and deliveries are what those activities were asked.
	watches    []activities.WatchInput
	deliveries []activities.DeliverInput
	// last is the context of the latest activity.
	lastWatch workflow.Context
	locals    []string
	// notices are those that were given.
	notices []workflows.NoticeInput
	// tagged are the search attributes that were written, one string a time.
	tagged []string
	// said are the answers to Updates.
	said    []string
	tasks   int
	ctx     workflow.Context
	cancel  workflow.CancelFunc
	started time.Time
}

// answer is a core's, to one poll.
type answer struct {
	status string
	takes  time.Duration
	// err brings no status; free costs no poll (401, 403).
	err  string
	free bool
	// ahead is how far the clock of the worker that asks is ahead of the server's.
	ahead time.Duration
	// with happens in the same workflow task as what comes of the answer.
	with func(*world)
}

var (
	unavailable  = answer{err: "503"}
	unauthorized = answer{err: "401", free: true}
)

func says(statuses ...string) []answer {
	answers := make([]answer, len(statuses))
	for i, status := range statuses {
		answers[i].status = status
	}
	return answers
}

// reply is a receiver's, to one attempt.
type reply struct {
	status int
	takes  time.Duration
	egress bool
	// heldBack makes no attempt; lost makes one whose worker dies, at the
	// server's last count of runs.
	heldBack, lost bool
	// missing makes none either: the endpoint is not in the configuration.
	missing bool
	// with happens in the same workflow task as what comes of the attempt.
	with func(*world)
}

var (
	ack   = reply{status: 200}
	fails = reply{status: 500}
	gone  = reply{status: 410}
)

// attempt is one as the receiver saw it.
type attempt struct {
	operation.Callback
	number       int
	begun, ended operation.Time
	verdict      operation.Verdict
	local        bool
	// made is its number in this run.
	made int
}

func (a attempt) String() string {
	return fmt.Sprintf("%s#%d %s", a.Observation.Status, a.number, a.verdict)
}

// newWorld serves a test environment.
func newWorld(policy operation.Policy) *world {
	w := &world{policy: policy}
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	w.env = suite.NewTestWorkflowEnvironment()
	w.env.RegisterWorkflowWithOptions(workflows.Operation, workflow.RegisterOptions{Name: workflows.OperationType})
	w.env.RegisterWorkflowWithOptions(workflows.Notice, workflow.RegisterOptions{Name: workflows.NoticeType})
	w.env.OnWorkflow(workflows.NoticeType, mock.Anything, mock.Anything).Return(operation.Delivery{}, nil).Maybe()
	w.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{w}})
	w.env.SetStartTime(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	return w
}

// silent is a logger for runs that are made by the hundred.
type silent struct{}

var accepted = operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

var _ log.Logger = silent{}

func (w *world) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	if workflow.GetInfo(ctx).WorkflowType.Name != workflows.OperationType {
		return next
	}
	w.WorkflowInboundInterceptorBase.Next = next
	return w
}

// Init puts the world between the workflow and its activities.
func (w *world) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	w.WorkflowOutboundInterceptorBase.Next = outbound
	return w.WorkflowInboundInterceptorBase.Next.Init(w)
}

// task begins a new workflow task, as far as the workflow can tell.
func (w *world) task() {
	w.tasks++
	w.env.SetCurrentHistoryLength(3 * w.tasks)
}

// later does something at that time after the start.
func (w *world) later(after time.Duration, do func()) {
	w.env.RegisterDelayedCallback(func() { w.task(); do() }, max(after, time.Nanosecond))
}

// ExecuteWorkflow is the run itself.
func (w *world) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	w.task()
	ctx, w.cancel = workflow.WithCancel(ctx)
	w.ctx, w.started = ctx, workflow.Now(ctx)
	return w.WorkflowInboundInterceptorBase.Next.ExecuteWorkflow(ctx, in)
}

// ExecuteChildWorkflow begins a notice, which the world takes for given.
func (w *world) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	w.notices = append(w.notices, args[0].(workflows.NoticeInput))
	return w.WorkflowOutboundInterceptorBase.Next.ExecuteChildWorkflow(ctx, name, args...)
}

// UpsertTypedSearchAttributes keeps what operators find the run by.
func (w *world) UpsertTypedSearchAttributes(_ workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	var words []string
	//workflowcheck:ignore sorted below
	for key, value := range temporal.NewSearchAttributes(updates...).GetUntypedValues() {
		words = append(words, fmt.Sprintf("%s=%v", strings.TrimPrefix(key.GetName(), "Ringback"), value))
	}
	if len(words) == 0 {
		words = append(words, "taken back")
	}
	slices.Sort(words)
	w.tagged = append(w.tagged, strings.Join(words, " "))
	return nil
}

// ExecuteLocalActivity is a poll, an attempt or a reading inside a workflow task.
func (w *world) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	w.locals = append(w.locals, name)
	return w.execute(ctx, func(ctx workflow.Context) (any, error) {
		switch in := args[0].(type) {
		case activities.PollInput:
			if w.slow {
				return activities.PollResult{HeldBack: "recent answers were slow"}, nil
			}
			return w.poll(ctx), nil
		case activities.AttemptInput:
			if w.slow || w.nextReply().heldBack || w.nextReply().missing {
				return activities.AttemptResult{HeldBack: "recent answers were slow"}, nil
			}
			return w.attempt(ctx, in.Callback, in.Number, 1, true), nil
		case activities.InterruptInput:
			return w.interrupt(ctx, in)
		default:
			return nil, fmt.Errorf("there is no local activity %s", name)
		}
	})
}

// ExecuteActivity is a watch or a delivery.
func (w *world) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	w.activities = append(w.activities, name)
	if name == workflows.ActivityWatch {
		w.lastWatch = ctx
	}
	return w.execute(ctx, func(ctx workflow.Context) (any, error) {
		switch in := args[0].(type) {
		case activities.WatchInput:
			w.watches = append(w.watches, in)
			return w.watch(ctx, in)
		case activities.DeliverInput:
			w.deliveries = append(w.deliveries, in)
			return w.deliver(ctx, in)
		case activities.AwaitEndpointInput:
			if err := w.sleep(ctx, 2*time.Second); err != nil {
				return nil, temporal.NewCanceledError()
			}
			w.receiver[min(len(w.attempts), len(w.receiver)-1)].missing = false
			return nil, nil
		default:
			return nil, fmt.Errorf("there is no activity %s", name)
		}
	})
}

// execute does it beside the workflow; its result is encoded as on a server.
func (w *world) execute(ctx workflow.Context, do func(workflow.Context) (any, error)) workflow.Future {
	future, settle := workflow.NewFuture(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		result, err := do(ctx)
		if err != nil {
			settle.SetError(err)
			return
		}
		payloads, err := converter.GetDefaultDataConverter().ToPayloads(result)
		settle.Set(payloads, err)
	})
	return future
}

func now(ctx workflow.Context) operation.Time { return operation.At(workflow.Now(ctx)) }

// sleep waits in skipped time; it fails when ctx is cancelled.
func (w *world) sleep(ctx workflow.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	err := workflow.Sleep(ctx, d)
	w.task()
	return err
}

// pass lets time go by, whatever is cancelled.
func (w *world) pass(ctx workflow.Context, d time.Duration) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	_ = w.sleep(ctx, d)
}

// turn is the script's turn n; the last one repeats.
func turn[T any](script []T, n int) (t T) {
	if len(script) == 0 {
		return t
	}
	return script[min(n, len(script)-1)]
}

func (w *world) poll(ctx workflow.Context) activities.PollResult {
	a := turn(w.core, len(w.polls))
	result := activities.PollResult{BegunAt: now(ctx), Error: a.err, Free: a.free}
	w.polls = append(w.polls, result.BegunAt)
	w.pass(ctx, a.takes)
	if a.with != nil {
		a.with(w)
	}
	result.EndedAt = now(ctx)
	if a.err == "" {
		result.Observation = &operation.Observation{
			Status: a.status, Raw: map[string]string{"status": a.status},
			BegunAt: result.BegunAt.Add(a.ahead), ObservedAt: result.EndedAt.Add(a.ahead),
		}
	}
	return result
}

// waiting is an activity that waits for its next poll or attempt.
type waiting struct {
	stop workflow.CancelFunc
	// onServer says that the server wakes it; interrupted that its process was told
	// to end it.
	onServer, interrupted bool
}

// interrupt is activities.Interrupt as its contract has it.
func (w *world) interrupt(ctx workflow.Context, in activities.InterruptInput) (any, error) {
	w.pass(ctx, w.reading)
	if w.unreadable {
		return nil, temporal.NewApplicationError("the server does not answer", "Unavailable")
	}
	at := w.waiting[in.Activity]
	switch {
	case at == nil:
		return activities.Interrupted{}, nil
	case in.UnlessAboutToAsk && w.watching.Polls <= in.Polls:
		return activities.Interrupted{LeftAlone: true}, nil
	case !at.onServer:
		at.interrupted = true
		at.stop()
		return activities.Interrupted{Here: true}, nil
	case in.Activity == workflows.ActivityWatch:
		return activities.Interrupted{Pending: operation.Pending{Watch: w.watching}}, nil
	}
	return activities.Interrupted{Pending: operation.Pending{Delivery: w.delivering}}, nil
}

// pending makes an activity one that can be interrupted, until ended is called.
func (w *world) pending(ctx workflow.Context, name string) (stopping workflow.Context, at *waiting, ended func()) {
	stopping, stop := workflow.WithCancel(ctx)
	at = &waiting{stop: stop}
	if w.waiting == nil {
		w.waiting = map[string]*waiting{}
	}
	w.waiting[name] = at
	return stopping, at, func() { delete(w.waiting, name) }
}

// wait waits for the next poll or attempt, and reports whether the activity is to
// end: as cancelled, where the server was to wake it.
func (w *world) wait(ctx workflow.Context, at *waiting, d time.Duration) (stop bool, err error) {
	at.onServer = d > waitsInWorker
	err = w.sleep(ctx, d)
	cancelled := err != nil && at.onServer && !at.interrupted
	at.onServer = false
	if cancelled {
		return true, temporal.NewCanceledError()
	}
	return err != nil, nil
}

// watch is activities.Watch as its contract has it.
func (w *world) watch(ctx workflow.Context, in activities.WatchInput) (any, error) {
	ctx, wait, ended := w.pending(ctx, workflows.ActivityWatch)
	defer ended()
	at := in.Record
	w.watching = &at
	for {
		if end := at.End(in.Policy, in.AcceptedAt); end != "" {
			return activities.WatchResult{Record: at, End: end}, nil
		}
		at.NextPollAt = at.Due(in.Policy, in.AcceptedAt)
		if stop, err := w.wait(ctx, wait, at.NextPollAt.Sub(now(ctx).Time)); stop {
			return activities.WatchResult{Record: at}, err
		}
		at.BeginPoll(now(ctx))
		p := w.poll(ctx)
		at.EndPoll(p.BegunAt, p.EndedAt, p.Observation, !p.Free)
		if o := p.Observation; o != nil && o.Status != "" && o.Status != in.Known {
			return activities.WatchResult{Record: at}, nil
		}
	}
}

// nextReply is to the next attempt; a receiver without a script acknowledges.
func (w *world) nextReply() reply {
	if len(w.receiver) == 0 {
		return ack
	}
	return turn(w.receiver, len(w.attempts))
}

// attempt is one HTTP request: nothing cuts it off.
func (w *world) attempt(ctx workflow.Context, c operation.Callback, number, made int, local bool) activities.AttemptResult {
	r := w.nextReply()
	at := len(w.attempts)
	w.attempts = append(w.attempts, attempt{Callback: c, number: number, begun: now(ctx), local: local, made: made})
	w.pass(ctx, r.takes)
	if r.with != nil {
		r.with(w)
	}
	verdict := operation.Unacknowledged
	if r.status == ack.status {
		verdict = operation.Acknowledged
	}
	w.attempts[at].ended, w.attempts[at].verdict = now(ctx), verdict
	result := activities.AttemptResult{Attempt: operation.Attempt{
		Number: number, At: w.attempts[at].begun, HTTPStatus: r.status, Verdict: verdict,
	}.EndedBy(workflow.Now(ctx))}
	if verdict == operation.Unacknowledged {
		result.Attempt.Reason = fmt.Sprintf("HTTP %d", r.status)
	}
	switch {
	case r.egress:
		result.Ended, result.Reason, result.Attempt.HTTPStatus = operation.DeliveryGone, operation.ReasonEgress, 0
	case r.status == gone.status:
		result.Ended, result.Reason = operation.DeliveryGone, "410 Gone"
	}
	return result
}

// waitsInWorker is as the activities have it: a longer wait is the server's,
// which ends it by itself when it is cancelled.
const waitsInWorker = 5 * time.Second

// deliver is activities.Deliver as its contract has it.
func (w *world) deliver(ctx workflow.Context, in activities.DeliverInput) (any, error) {
	ctx, wait, ended := w.pending(ctx, workflows.ActivityDeliver)
	defer ended()
	at := in.Record.Clone()
	w.delivering = &at
	at.Interrupt(in.Policy.Timeout(), "lost")
	for at.Exhaust(in.Policy.Attempts); at.Pending(); at.Exhaust(in.Policy.Attempts) {
		rest := time.Duration(0)
		if due := at.Due(in.Policy.Interval()); !due.IsZero() {
			rest = due.Sub(now(ctx).Time)
		}
		for w.nextReply().heldBack {
			w.receiver[min(len(w.attempts), len(w.receiver)-1)].heldBack = false
			rest = max(rest, 2*time.Second)
		}
		stop, err := w.wait(ctx, wait, rest)
		switch {
		case stop && err != nil:
			return nil, cancelledOnServer(in, at)
		case stop:
			return activities.DeliverResult{Record: at}, nil
		case w.nextReply().missing:
			return activities.DeliverResult{Record: at, HeldBack: "the endpoint is missing"}, nil
		}
		at.BeginAttempt(now(ctx))
		lost := w.nextReply().lost
		r := w.attempt(ctx, in.Callback, at.Last().Number, at.Made, false)
		if lost {
			return nil, lostWith(at)
		}
		at.EndAttempt(r.Attempt, r.Ended, r.Reason, operation.Time{})
		if at.Pending() && at.Made == 1 && in.Policy.Attempts > 1 {
			w.signal(in.Signal, activities.Unacknowledged{CallbackID: in.Callback.ID, Attempt: r.Attempt})
		}
	}
	return activities.DeliverResult{Record: at}, nil
}

// cancelledOnServer is how a delivery ends that was cancelled: if it waited on
// the server for long, as cancelled; if its last error came after the request,
// as failed because of it. Which one does not depend on anything that matters.
func cancelledOnServer(in activities.DeliverInput, at operation.DeliveryRecord) error {
	if in.Policy.Attempts%2 == 0 {
		return temporal.NewCanceledError()
	}
	return activityFailure(enumspb.RETRY_STATE_CANCEL_REQUESTED, &failurepb.Failure{
		Message: "waiting", FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
			ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: activities.TypeWaiting, Details: payloads(at.Brief())},
		},
	})
}

// lostWith is the end of a delivery whose worker died at the server's last
// count of runs: what it recorded is in the time-out.
func lostWith(at operation.DeliveryRecord) error {
	return activityFailure(enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, &failurepb.Failure{
		Message: "activity Heartbeat timeout", FailureInfo: &failurepb.Failure_TimeoutFailureInfo{
			TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{
				TimeoutType: enumspb.TIMEOUT_TYPE_HEARTBEAT, LastHeartbeatDetails: payloads(at),
			},
		},
	})
}

func payloads(v any) *commonpb.Payloads {
	p, err := converter.GetDefaultDataConverter().ToPayloads(v)
	if err != nil {
		panic(err)
	}
	return p
}

func activityFailure(state enumspb.RetryState, cause *failurepb.Failure) error {
	return temporal.GetDefaultFailureConverter().FailureToError(&failurepb.Failure{
		Message: "activity error", Cause: cause,
		FailureInfo: &failurepb.Failure_ActivityFailureInfo{ActivityFailureInfo: &failurepb.ActivityFailureInfo{
			ActivityType: &commonpb.ActivityType{Name: workflows.ActivityDeliver}, RetryState: state,
		}},
	})
}

// holds checks what is true of every run: k and h of each delivery, one attempt
// at a time, one callback id per status, no callback before an older one.
func (w *world) holds(t require.TestingT) {
	ids, newest, last := map[string]string{}, operation.Time{}, attempt{}
	for i, a := range w.attempts {
		require.LessOrEqual(t, a.made, w.policy.Delivery.Attempts, "more than k attempts: %v", w.attempts)
		require.Equal(t, operation.CallbackID(a.Key, a.Observation.Status), a.ID)
		if known, ok := ids[a.ID]; ok {
			require.Equal(t, known, fmt.Sprint(a.Callback), "a callback changed between attempts")
		}
		ids[a.ID] = fmt.Sprint(a.Callback)
		require.False(t, a.Observation.ObservedAt.Before(newest), "%v overtakes: %v", a, w.attempts)
		newest = a.Observation.ObservedAt
		if i > 0 {
			require.False(t, a.begun.Before(last.ended), "%v overlaps %v", a, last)
		}
		if i > 0 && last.ID == a.ID {
			require.GreaterOrEqual(t, a.begun.Sub(last.ended.Time), w.policy.Delivery.Interval(), "h is not kept before %v", a)
			require.Equal(t, last.number+1, a.number)
			require.Equal(t, last.made+1, a.made)
		}
		last = a
	}
}

// signal is heard in the same workflow task as what is going on in it.
func (w *world) signal(name string, arg any) {
	err := w.WorkflowInboundInterceptorBase.Next.HandleSignal(w.ctx, &interceptor.HandleSignalInput{SignalName: name, Arg: payloads(arg)})
	if err != nil {
		panic(err)
	}
}

// run executes the workflow and returns how it ended.
func (w *world) run(t require.TestingT, in workflows.Input) (operation.Record, error) {
	w.env.SetStartWorkflowOptions(startOptions(in))
	if in.Redelivery != nil {
		w.env.SetStartTime(time.Date(2026, 12, 21, 9, 0, 0, 0, time.UTC))
	}
	w.env.ExecuteWorkflow(workflows.OperationType, in)
	return w.ending(t)
}
