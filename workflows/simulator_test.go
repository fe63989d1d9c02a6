package workflows_test

import (
	"errors"
	"fmt"
	"maps"
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

// simulator runs one scenario in the test environment's virtual time and writes
// down what came of it. It stands for the server and for the activities. What
// arrives while a local activity runs reaches the workflow in a later task.
type simulator struct {
	interceptor.WorkerInterceptorBase
	interceptor.WorkflowInboundInterceptorBase
	interceptor.WorkflowOutboundInterceptorBase

	env    *testsuite.TestWorkflowEnvironment
	cancel workflow.CancelFunc
	scenario
	continued

	// tasks counts workflow tasks, history the events of the run. locals are the
	// local activities in flight.
	tasks, history, locals int
	// task is what was done in the task at hand; disturbed is the latest task during
	// whose local activity an event arrived.
	task      refusal
	disturbed int
	// refused are the tasks of this run that the server refuses; held says that one
	// is being repeated, and waiting how many events reach it.
	refused []refusal
	held    bool
	waiting int
	// once remembers results of local activities, as a worker does.
	once map[string]any
	used map[string]bool
	// activities are the types of the regular activities started, watches and deliveries
	// the inputs of two of them, attributes the search attributes as they were written,
	// notices the inputs of the notices started, refusals why Updates were refused.
	activities []string
	watches    []activities.WatchInput
	deliveries []activities.DeliverInput
	// awaiting are the options of the latest AwaitEndpoint.
	awaiting   workflow.ActivityOptions
	attributes []string
	notices    []workflows.NoticeInput
	refusals   []string
	// running are the activities that the server counts on, by their type.
	running map[string]*pending
	begun   map[string]bool
}

// continued is what lasts from one run to the run that continues it.
type continued struct {
	trace *trace
	// performed counts, for each act, how often it was.
	performed []int
	// heldBack are the attempts that were; missing is until when the endpoint is, by
	// the number of the request.
	heldBack map[int]bool
	missing  map[int]operation.Time
}

func (o continued) clone() continued {
	trace := *o.trace
	trace.polls, trace.requests = slices.Clone(trace.polls), slices.Clone(trace.requests)
	trace.acts = slices.Clone(trace.acts)
	return continued{&trace, slices.Clone(o.performed), maps.Clone(o.heldBack), maps.Clone(o.missing)}
}

// refusal is a workflow task that the server refuses, because it closes the run
// and an event arrived meanwhile: what it decided is forgotten, what its local
// activities did is done.
type refusal struct {
	number        int
	began         time.Time
	took          time.Duration
	polls         []poll
	requests      []request
	interruptions []interruption
	once          map[string]any
}

// interruption of an activity, after so long within a task.
type interruption struct {
	after time.Duration
	in    activities.InterruptInput
}

// simulate runs an operation, or the redelivery of an earlier run of it, to its end.
func simulate(t require.TestingT, s scenario, earlier *trace, repoll, forced bool) *trace {
	in := s.input()
	if earlier != nil {
		in.Redelivery = &workflows.Redelivery{
			Repoll: repoll, Force: forced, Watch: repoll || earlier.ending.State.Outcome == operation.OutcomeExpired,
		}
	}
	return simulateInput(t, s, in, earlier).trace
}

// simulateInput runs an operation with this input to its end, and returns its last run.
func simulateInput(t require.TestingT, s scenario, in workflows.Input, earlier *trace) *simulator {
	start := operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	if earlier != nil {
		start = operation.At(start.AddDate(0, len(earlier.runs()), 0))
		again := *in.Redelivery
		again.Previous = earlier.ending
		in.Redelivery = &again
	}
	o := continued{
		performed: make([]int, len(s.acts)), heldBack: map[int]bool{}, missing: map[int]operation.Time{},
		trace: &trace{
			key: in.Start.Key(), policy: in.Policy, rules: in.Rules, known: in.Start.KnownStatus, wanted: in.Wanted, started: start,
			latency: s.latency(), missing: s.longestMissing(), earlier: earlier,
			repoll: earlier != nil && in.Redelivery.Repoll, forced: earlier != nil && in.Redelivery.Force,
		},
	}
	for at := start.Time; ; {
		m := simulateRun(t, s, o, at, in)
		o, at = m.continued, m.env.Now()
		o.trace.histories = append(o.trace.histories, m.history)
		next := m.next(t)
		if next == nil {
			return m
		}
		in = *next
		require.Less(t, len(o.trace.histories), 2000, "the run is continued without an end\n%s", o.trace)
	}
}

// refusedAtMost bounds how often one run is simulated again; then nothing is said of it.
const refusedAtMost = 40

// simulateRun simulates one run, again for each workflow task that the server
// refuses.
func simulateRun(t require.TestingT, s scenario, o continued, at time.Time, in workflows.Input) *simulator {
	var refused []refusal
	for {
		m := &simulator{
			scenario: s, continued: o.clone(), refused: slices.Clone(refused),
			once: map[string]any{}, used: map[string]bool{}, running: map[string]*pending{}, begun: map[string]bool{},
		}
		m.open(at, in)
		m.env.ExecuteWorkflow(workflows.OperationType, in)
		require.True(t, m.env.IsWorkflowCompleted())
		if m.disturbed < m.tasks {
			m.trace.forgotten = m.trace.forgotten || len(m.used) < len(m.once)
			return m
		}
		m.task.took = max(m.env.Now().Sub(m.task.began), time.Millisecond)
		refused = append(refused, m.task)
		if len(refused) > refusedAtMost {
			m.trace.forgotten = true
			return m
		}
	}
}

func (s scenario) input() workflows.Input {
	base := paysera
	if s.kind == "ukrcard" {
		base = ukrcard
	}
	in := base()
	in.Policy, in.Start.KnownStatus, in.Wanted = s.policy, s.known, s.wanted
	return in
}

// environment has room for a slow machine, which is neither a deadlock nor a test that
// hangs: the SDK takes one second and three of real time.
func environment(interceptors ...interceptor.WorkerInterceptor) *testsuite.TestWorkflowEnvironment {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: interceptors, DeadlockDetectionTimeout: time.Minute})
	env.SetTestTimeout(time.Minute)
	return env
}

func (m *simulator) open(start time.Time, in workflows.Input) {
	m.env = environment(m)
	m.env.RegisterWorkflowWithOptions(workflows.Operation, workflow.RegisterOptions{Name: workflows.OperationType})
	m.env.SetStartTime(start)
	m.env.SetStartWorkflowOptions(startOptions(in))
	m.env.RegisterWorkflowWithOptions(workflows.Notice, workflow.RegisterOptions{Name: workflows.NoticeType})
	m.env.OnWorkflow(workflows.NoticeType, mock.Anything, mock.Anything).Return(operation.Delivery{}, nil).Maybe()
	if m.prepare != nil {
		m.prepare(m)
	}
}

// next reads how the run ended: its record, or the input of the run that continues it.
func (m *simulator) next(t require.TestingT) *workflows.Input {
	ending := &m.trace.ending
	err := m.env.GetWorkflowResult(ending)
	var failure *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	var again *workflow.ContinueAsNewError
	switch {
	case errors.As(err, &again):
		var in workflows.Input
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &in))
		return &in
	case errors.As(err, &cancelled):
		err = cancelled.Details(ending)
	case errors.As(err, &failure):
		err = failure.Details(ending)
	}
	require.NoError(t, err)
	require.Equal(t, operation.Closed, ending.State.Phase)
	return nil
}

// nextTask begins a workflow task, unless one began at this moment: the workflow has
// not run since. One that the server refuses is repeated, with the events that
// arrived meanwhile.
func (m *simulator) nextTask(ctx workflow.Context) {
	if m.tasks > 0 && m.task.began.Equal(workflow.Now(ctx)) {
		return
	}
	m.tasks++
	m.history += 3
	for _, r := range m.refused {
		if r.number != m.tasks {
			continue
		}
		m.trace.polls = append(m.trace.polls, r.polls...)
		m.trace.requests = append(m.trace.requests, r.requests...)
		//workflowcheck:ignore a copy has no order
		maps.Copy(m.once, r.once)
		m.held = true
		workflow.Go(ctx, func(ctx workflow.Context) { m.interruptAgain(ctx, r) })
		m.pass(ctx, r.took)
		m.held = false
		m.task = refusal{number: m.tasks, began: workflow.Now(ctx), once: map[string]any{}}
		m.history += 3
		m.env.SetCurrentHistoryLength(m.history)
		_ = workflow.Await(ctx, func() bool { return m.waiting == 0 })
	}
	m.env.SetCurrentHistoryLength(m.history)
	m.env.SetContinueAsNewSuggested(m.historyLimit > 0 && m.history > m.historyLimit)
	if m.task.number != m.tasks {
		m.task = refusal{number: m.tasks, began: workflow.Now(ctx), once: map[string]any{}}
	}
}

// interruptAgain interrupts what a refused task has interrupted.
func (m *simulator) interruptAgain(ctx workflow.Context, r refusal) {
	for _, i := range r.interruptions {
		m.pass(ctx, r.began.Add(i.after).Sub(workflow.Now(ctx)))
		if a := m.running[i.in.Activity]; a != nil && a.place == inWorker {
			a.interrupt(i.in)
		}
	}
}

// arrive returns in the workflow task that brings an event or an Update. An event
// that comes while the task at hand is under way has the server refuse that if it
// closes the run.
func (m *simulator) arrive(ctx workflow.Context, event bool) {
	for m.locals > 0 || m.held {
		repeated := m.held
		if event && !repeated {
			m.disturbed = m.tasks
		}
		if event {
			m.waiting++
		}
		_ = workflow.Await(ctx, func() bool { return !m.held && (m.locals == 0 || repeated) })
		if event {
			m.waiting--
		}
		if event && repeated {
			return
		}
		m.pass(ctx, time.Millisecond)
	}
	m.nextTask(ctx)
}

// act performs what a caller does, as often as that is left to do.
func (m *simulator) act(ctx workflow.Context, i int) {
	a := m.acts[i]
	for m.performed[i] < max(a.times, 1) {
		at := m.trace.started.Add(a.after + time.Duration(m.performed[i])*a.gap)
		m.pass(ctx, at.Sub(workflow.Now(ctx)))
		m.arrive(ctx, a.bySignal)
		m.performed[i]++
		if m.perform(ctx, a) {
			m.trace.acts = append(m.trace.acts, taken{a.kind, a.status, now(ctx)})
		}
	}
}

// perform reports whether the act was accepted.
func (m *simulator) perform(ctx workflow.Context, a act) bool {
	in := &interceptor.UpdateInput{Name: workflows.UpdateStatus, Args: []any{workflows.Push{Status: a.status}}}
	switch a.kind {
	case revoke:
		in = &interceptor.UpdateInput{Name: workflows.UpdateRevoke, Args: []any{operation.Revocation{InitiatedBy: a.status, Reason: a.reason}}}
	case withdraw:
		in = &interceptor.UpdateInput{Name: workflows.UpdateWithdraw}
	case push, pollNow:
	}
	if a.arg != nil {
		in.Args = []any{a.arg}
	}
	switch {
	case a.bySignal && a.kind == withdraw:
		m.history++
		m.cancel()
		return true
	case a.bySignal:
		allowed := a.arg == nil && m.WorkflowInboundInterceptorBase.Next.ValidateUpdate(ctx, in) == nil
		m.signal(ctx, in.Name, in.Args[0])
		return allowed
	}
	m.history += 2
	inbound := m.WorkflowInboundInterceptorBase.Next
	err := inbound.ValidateUpdate(ctx, in)
	if err == nil {
		_, err = inbound.ExecuteUpdate(ctx, in)
	}
	if err != nil {
		m.refusals = append(m.refusals, err.Error())
	}
	return err == nil
}

func (m *simulator) signal(ctx workflow.Context, name string, arg any) {
	m.history++
	err := m.WorkflowInboundInterceptorBase.Next.HandleSignal(ctx, &interceptor.HandleSignalInput{SignalName: name, Arg: payloads(arg)})
	if err != nil {
		panic(err)
	}
}

func (m *simulator) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	if workflow.GetInfo(ctx).WorkflowType.Name != workflows.OperationType {
		return next
	}
	m.WorkflowInboundInterceptorBase.Next = next
	return m
}

// Init puts the simulator between the workflow and its activities.
func (m *simulator) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	m.WorkflowOutboundInterceptorBase.Next = outbound
	return m.WorkflowInboundInterceptorBase.Next.Init(m)
}

// ExecuteWorkflow is the run.
func (m *simulator) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	outer, _ := workflow.NewDisconnectedContext(ctx)
	ctx, m.cancel = workflow.WithCancel(ctx)
	for i := range m.acts {
		workflow.Go(outer, func(ctx workflow.Context) { m.act(ctx, i) })
	}
	m.nextTask(outer)
	return m.WorkflowInboundInterceptorBase.Next.ExecuteWorkflow(ctx, in)
}

// ExecuteChildWorkflow starts a notice, which the test environment ends at once.
func (m *simulator) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	m.notices = append(m.notices, args[0].(workflows.NoticeInput))
	return m.WorkflowOutboundInterceptorBase.Next.ExecuteChildWorkflow(ctx, name, args...)
}

// UpsertTypedSearchAttributes keeps what operators find the run by.
func (m *simulator) UpsertTypedSearchAttributes(_ workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	m.history++
	var words []string
	//workflowcheck:ignore sorted below
	for key, value := range temporal.NewSearchAttributes(updates...).GetUntypedValues() {
		words = append(words, fmt.Sprintf("%s=%v", strings.TrimPrefix(key.GetName(), "Ringback"), value))
	}
	if len(words) == 0 {
		words = append(words, "unset")
	}
	slices.Sort(words)
	m.attributes = append(m.attributes, strings.Join(words, " "))
	return nil
}

// Sleep is a timer of the workflow's.
func (m *simulator) Sleep(ctx workflow.Context, d time.Duration) error {
	err := m.WorkflowOutboundInterceptorBase.Next.Sleep(ctx, d)
	m.history += 2
	m.arrive(ctx, true)
	return err
}

// AwaitWithTimeout is a timer of the workflow's.
func (m *simulator) AwaitWithTimeout(ctx workflow.Context, d time.Duration, condition func() bool) (bool, error) {
	ok, err := m.WorkflowOutboundInterceptorBase.Next.AwaitWithTimeout(ctx, d, condition)
	m.history += 2
	if !ok {
		m.arrive(ctx, true)
	}
	return ok, err
}

// pass lets time go by outside of the workflow.
func (m *simulator) pass(ctx workflow.Context, d time.Duration) {
	if d > 0 {
		_ = m.WorkflowOutboundInterceptorBase.Next.Sleep(ctx, d)
	}
}

// passUnless lets time go by until the condition is true.
func (m *simulator) passUnless(ctx workflow.Context, d time.Duration, condition func() bool) {
	if d > 0 {
		_, _ = m.WorkflowOutboundInterceptorBase.Next.AwaitWithTimeout(ctx, d, condition)
	}
}

// ExecuteLocalActivity is a poll, an attempt or an Interrupt in a workflow task.
func (m *simulator) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	m.locals++
	m.history++
	return m.execute(ctx, func(ctx workflow.Context) (any, error) {
		defer func() { m.locals-- }()
		switch in := args[0].(type) {
		case activities.PollInput:
			m.requireBegan(in.TaskBegan)
			return m.remember("poll", func() any { return m.pollInTask(ctx) }), nil
		case activities.AttemptInput:
			m.requireBegan(in.TaskBegan)
			key := fmt.Sprintf("%s/%d", in.Callback.ID, in.Number)
			return m.remember(key, func() any { return m.attemptInTask(ctx, in) }), nil
		case activities.InterruptInput:
			if m.unreadable {
				return nil, temporal.NewApplicationError("the server does not answer", "Unavailable")
			}
			return m.interrupt(ctx, in), nil
		default:
			return nil, fmt.Errorf("there is no local activity %s", name)
		}
	})
}

// requireBegan holds that a call is told when its task began, as the server says.
func (m *simulator) requireBegan(told operation.Time) {
	if began := operation.At(m.task.began); told != began {
		panic(fmt.Sprintf("the task began at %s, and its call is told %s", began, told))
	}
}

// remember repeats no call that a refused task has made.
func (m *simulator) remember(key string, do func() any) any {
	if result, known := m.once[key]; known {
		m.task.once[key], m.used[key] = result, true
		return result
	}
	result := do()
	m.task.once[key] = result
	return result
}

// longestInTask is how slow a core or a receiver may be that is called in a
// workflow task.
const longestInTask = 3 * time.Second

func (m *simulator) pollInTask(ctx workflow.Context) activities.PollResult {
	if a := m.nextAnswer(); m.notInTask || a.takes > longestInTask || a.lost {
		return activities.PollResult{HeldBack: "recent answers were slow"}
	}
	at := len(m.trace.polls)
	result := m.poll(ctx)
	m.task.polls = append(m.task.polls, m.trace.polls[at])
	return result
}

func (m *simulator) attemptInTask(ctx workflow.Context, in activities.AttemptInput) activities.AttemptResult {
	if r := m.nextReply(); m.notInTask || r.takes > longestInTask || r.lost || m.holdsBack() || m.isMissing(ctx) {
		onHold := r.onHold && m.isMissing(ctx)
		return activities.AttemptResult{HeldBack: "recent answers were slow", OnHold: onHold}
	}
	at := len(m.trace.requests)
	result := m.send(ctx, in.Callback, in.Number)
	m.trace.requests[at].inTask = true
	sent := m.trace.requests[at]
	sent.refused = true
	m.task.requests = append(m.task.requests, sent)
	return result
}

// execute does it beside the workflow, whatever is cancelled; its result is
// encoded as on a server.
func (m *simulator) execute(ctx workflow.Context, do func(workflow.Context) (any, error)) workflow.Future {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	future, settle := workflow.NewFuture(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		result, err := do(ctx)
		if err != nil {
			settle.SetError(err)
			return
		}
		settle.SetValue(payloads(result))
	})
	return future
}

// nextAnswer is the core's. Workers do not die for ever: not with the last answer,
// which repeats.
func (m *simulator) nextAnswer() coreAnswer {
	n := len(m.trace.polls)
	a := turn(m.answers, n)
	a.lost = a.lost && n < len(m.answers)-1
	return a
}

// nextReply is the receiver's. Without any it acknowledges.
func (m *simulator) nextReply() receiverReply {
	if len(m.replies) == 0 {
		return ack
	}
	return turn(m.replies, len(m.trace.requests))
}

// holdsBack puts the next attempt off, once.
func (m *simulator) holdsBack() bool {
	n := len(m.trace.requests)
	if !m.nextReply().heldBack || m.heldBack[n] {
		return false
	}
	m.heldBack[n] = true
	return true
}

// isMissing reports whether the configuration lacks the endpoint: from the first
// look before the next request on, for a while.
func (m *simulator) isMissing(ctx workflow.Context) bool {
	n := len(m.trace.requests)
	if _, looked := m.missing[n]; !looked {
		m.missing[n] = now(ctx).Add(m.nextReply().missing)
	}
	return now(ctx).Before(m.missing[n])
}

// poll is one poll of the core; nothing cuts it off.
func (m *simulator) poll(ctx workflow.Context) activities.PollResult {
	a, n := m.nextAnswer(), len(m.trace.polls)
	answered := !a.fails && !a.lost
	result := activities.PollResult{BegunAt: now(ctx), Uncounted: a.refused}
	m.trace.polls = append(m.trace.polls, poll{
		begun: result.BegunAt, ended: result.BegunAt.Add(a.takes), answered: answered, status: a.status, free: a.refused, lost: a.lost,
	})
	m.pass(ctx, a.takes)
	m.performWith(ctx, a.with)
	result.EndedAt = now(ctx)
	m.trace.polls[n].ended = result.EndedAt
	if !answered {
		result.Error = "503"
		return result
	}
	result.Observation = &operation.Observation{
		Status: a.status, Raw: map[string]string{"status": a.status}, BegunAt: result.BegunAt.Add(a.ahead), ObservedAt: result.EndedAt.Add(a.ahead),
	}
	return result
}

// performWith performs an act in the workflow task at hand.
func (m *simulator) performWith(ctx workflow.Context, a *act) {
	if a != nil && m.perform(ctx, *a) {
		m.trace.acts = append(m.trace.acts, taken{a.kind, a.status, now(ctx)})
	}
}

// send is one request to the receiver; nothing cuts it off.
func (m *simulator) send(ctx workflow.Context, c operation.Callback, number int) activities.AttemptResult {
	r, n, begun := m.nextReply(), len(m.trace.requests), now(ctx)
	m.trace.requests = append(m.trace.requests, request{begun: begun, ended: begun.Add(r.takes), callback: c, number: number, lost: r.lost})
	m.pass(ctx, r.takes)
	m.performWith(ctx, r.with)
	seen := &m.trace.requests[n]
	seen.ended, seen.acknowledged = now(ctx), r.status == 200
	result := activities.AttemptResult{Host: "shop.example", Attempt: operation.Attempt{
		Number: number, At: begun, HTTPStatus: r.status, Verdict: operation.Unacknowledged,
	}.EndedBy(workflow.Now(ctx))}
	switch {
	case r.status == 200:
		result.Attempt.Verdict = operation.Acknowledged
		return result
	case r.egress:
		result.Ended, result.Reason = operation.DeliveryGone, operation.ReasonEgress
	case r.status == 410:
		result.Ended, result.Reason = operation.DeliveryGone, "410 Gone"
	}
	result.Attempt.Reason = fmt.Sprintf("HTTP %d", r.status)
	return result
}

// ExecuteActivity is a Watch, a Deliver, an AwaitEndpoint or an InterruptHere.
func (m *simulator) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if m.begun[name] && name != "InterruptHere" {
		m.trace.twice = append(m.trace.twice, name)
	}
	m.activities = append(m.activities, name)
	switch in := args[0].(type) {
	case activities.WatchInput:
		m.watches = append(m.watches, in)
	case activities.DeliverInput:
		m.deliveries = append(m.deliveries, in)
	case activities.AwaitEndpointInput:
		m.awaiting = workflow.GetActivityOptions(ctx)
	}
	a := &pending{simulator: m, name: name, runs: 1, startedAt: workflow.Now(ctx)}
	m.begun[name], m.running[name] = true, a
	m.history += 3
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Await(ctx, func() bool { return a.over }) != nil {
			a.cancelled, a.cancelledAt = true, workflow.Now(ctx)
		}
	})
	return m.execute(ctx, func(ctx workflow.Context) (any, error) {
		result, err := a.run(ctx, args[0])
		a.over = true
		if m.running[name] == a {
			delete(m.running, name)
		}
		m.pass(ctx, m.late.arrives)
		m.arrive(ctx, true)
		delete(m.begun, name)
		return result, err
	})
}

const (
	// settledBefore and the others are as the activities have them.
	settledBefore   = 200 * time.Millisecond
	interruptWithin = 2 * time.Second
	interruptRetry  = 20 * time.Millisecond
	wakesEarly      = 500 * time.Millisecond
	heldBackWait    = 2 * time.Second
	startRecords    = 4 * time.Second
	watchWaits      = 10 * time.Second
)

// interrupt is activities.Interrupt as its contract has it.
func (m *simulator) interrupt(ctx workflow.Context, in activities.InterruptInput) activities.Interrupted {
	m.pass(ctx, m.late.reading)
	for begun := workflow.Now(ctx); ; m.pass(ctx, interruptRetry) {
		a := m.running[in.Activity]
		late := workflow.Now(ctx).Sub(begun) > interruptWithin
		switch {
		case a == nil:
			return activities.Interrupted{}
		case a.place == inWorker && !m.elsewhere:
			m.task.interruptions = append(m.task.interruptions, interruption{workflow.Now(ctx).Sub(m.task.began), in})
			return a.interrupt(in)
		case a.place != onServer && (m.elsewhere || a.place == inDeadWorker || late):
			return activities.Interrupted{Worker: "another", Pending: a.recorded()}
		case a.place == onServer && in.UnlessAboutToPoll && a.runs == 0:
			return activities.Interrupted{LeftAlone: true}
		case a.place == onServer && (a.wakes.Sub(workflow.Now(ctx)) > settledBefore || late):
			return activities.Interrupted{Pending: a.recorded()}
		}
	}
}

// place is where an activity is.
type place int

const (
	inWorker place = iota
	onServer
	inDeadWorker
	// reporting is one that has ended, which the server does not know yet.
	reporting
)

// pending is a regular activity.
type pending struct {
	*simulator
	name  string
	place place
	// runs counts those that the server began; wakes is when it begins the next.
	runs  int
	wakes time.Time
	// interrupted says that its process was told to end it, cancelled that the
	// workflow asked the server to.
	interrupted, cancelled bool
	// over says that it has ended for the server.
	over        bool
	cancelledAt time.Time

	watching   *operation.WatchRecord
	delivering *operation.DeliveryRecord
	// startedAt is when the server began the run, while that records a poll or attempt of
	// it; attemptBy is as in operation.Pending, also for a poll.
	startedAt time.Time
	attemptBy operation.Time
	// before and beforeAttempt are what was recorded before that poll or attempt.
	before        *operation.WatchRecord
	beforeAttempt *operation.DeliveryRecord
}

func (a *pending) run(ctx workflow.Context, in any) (result any, err error) {
	switch in := in.(type) {
	case activities.WatchInput:
		result, err = a.watch(ctx, in)
	case activities.DeliverInput:
		result, err = a.deliver(ctx, in)
	case activities.AwaitEndpointInput:
		return nil, a.awaitEndpoint(ctx, in.Hold)
	case activities.InterruptInput:
		return a.interruptHere(ctx, in)
	default:
		return nil, fmt.Errorf("there is no activity %s", a.name)
	}
	if a.place == inWorker {
		a.place = reporting
		a.pass(ctx, a.late.ends)
	}
	return result, err
}

// recorded is what the activity recorded last, as the server has it: that follows
// its record but while only the start of its run records a poll or attempt.
func (a *pending) recorded() (p operation.Pending) {
	switch {
	case a.watching != nil && !a.attemptBy.IsZero():
		p.WatchLost, p.Watch = a.runs, a.before
	case a.watching != nil:
		p.Watch = new(*a.watching)
	case a.delivering != nil && !a.attemptBy.IsZero():
		p.DeliveryLost, p.AttemptBy, p.Delivery = a.runs, a.attemptBy, a.beforeAttempt
	case a.delivering != nil:
		p.Delivery = new(a.delivering.Clone())
	}
	return p
}

// recordsNow says that the record reached the server.
func (a *pending) recordsNow() { a.attemptBy = operation.Time{} }

var (
	// errEnd ends an activity with what it has.
	errEnd = errors.New("no longer wanted")
	// errUsedUp ends one whose waits the server would count no longer.
	errUsedUp = errors.New("the server's count of runs is used up")
)

// waitInWorker ends early where the activity is interrupted, or where it notices
// that it was cancelled: with its next heartbeat or record.
func (a *pending) waitInWorker(ctx workflow.Context, d time.Duration) error {
	until := workflow.Now(ctx).Add(d)
	stopped := func() bool { return a.interrupted || a.cancelled }
	if !stopped() {
		a.passUnless(ctx, d, stopped)
	}
	if a.cancelled && !a.interrupted {
		notices := a.cancelledAt.Add(a.late.notice)
		if notices.After(until) {
			notices = until
		}
		a.passUnless(ctx, notices.Sub(workflow.Now(ctx)), func() bool { return a.interrupted })
	}
	if stopped() {
		return errEnd
	}
	return nil
}

// waitOnServer gives the slot back until just before the time. k bounds the runs of
// the activity; 0: nothing does.
func (a *pending) waitOnServer(ctx workflow.Context, d time.Duration, k int) error {
	switch {
	case a.interrupted || a.cancelled:
		return errEnd
	case k > 0 && a.runs >= k:
		return errUsedUp
	}
	until := workflow.Now(ctx).Add(d)
	a.recordsNow()
	a.place, a.wakes = onServer, until.Add(-wakesEarly)
	a.passUnless(ctx, max(d-wakesEarly, time.Millisecond), func() bool { return a.cancelled })
	if a.cancelled {
		return temporal.NewCanceledError()
	}
	a.startAgain(ctx)
	return a.waitInWorker(ctx, until.Sub(workflow.Now(ctx)))
}

// startAgain begins the next run of the activity.
func (a *pending) startAgain(ctx workflow.Context) {
	a.place, a.startedAt, a.attemptBy = inWorker, workflow.Now(ctx), operation.Time{}
	a.runs++
}

// startRecords reports whether the start of the run records the poll or attempt that
// begins now, and not the next one.
func (a *pending) startRecords(now operation.Time) bool {
	does := now.Sub(a.startedAt) < startRecords
	if a.startedAt = (time.Time{}); does {
		a.attemptBy = now.Add(startRecords)
	}
	return does
}

// die is the death of the worker. The server begins the activity again after the
// heartbeat timeout and the policy's interval, unless it was cancelled or has been begun
// k times.
func (a *pending) die(ctx workflow.Context, timeout, interval time.Duration, k int, record any) error {
	a.place, a.interrupted = inDeadWorker, false
	a.pass(ctx, timeout)
	state := enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
	switch {
	case a.cancelled:
		state = enumspb.RETRY_STATE_CANCEL_REQUESTED
	case k == 0 || a.runs < k:
		a.place, a.wakes = onServer, workflow.Now(ctx).Add(interval)
		if !a.attemptBy.IsZero() {
			a.attemptBy = operation.At(a.wakes)
		}
		a.passUnless(ctx, interval, func() bool { return a.cancelled })
		if a.cancelled {
			return temporal.NewCanceledError()
		}
		a.startAgain(ctx)
		return nil
	}
	return activityFailure(state, &failurepb.Failure{
		Message: "activity Heartbeat timeout", FailureInfo: &failurepb.Failure_TimeoutFailureInfo{
			TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{
				TimeoutType: enumspb.TIMEOUT_TYPE_HEARTBEAT, LastHeartbeatDetails: payloads(record),
			},
		},
	})
}

// watch is activities.Watch as its contract has it.
func (a *pending) watch(ctx workflow.Context, in activities.WatchInput) (any, error) {
	at := in.Record
	a.watching = &at
	at.Interrupt()
	for {
		if end := at.End(in.Policy, in.AcceptedAt); end != "" {
			return activities.WatchResult{Record: at, End: end}, nil
		}
		at.NextPollAt = at.Due(in.Policy, in.AcceptedAt)
		var err error
		if d := at.NextPollAt.Sub(workflow.Now(ctx)); d > watchWaits {
			err = a.waitOnServer(ctx, d, 0)
		} else {
			err = a.waitInWorker(ctx, d)
		}
		switch {
		case errors.Is(err, errEnd):
			return activities.WatchResult{Record: at}, nil
		case err != nil:
			return nil, err
		}
		lost, before, begun := a.nextAnswer().lost, at, now(ctx)
		byStart := a.startRecords(begun)
		at.BeginPoll(begun)
		if a.before = new(before); !byStart {
			a.recordsNow()
		}
		answer := a.poll(ctx)
		if lost {
			if byStart {
				at = before
			}
			if err := a.die(ctx, activities.WatchHeartbeatTimeout(in.Policy), in.Policy.Gap(1), 0, at); err != nil {
				return nil, err
			}
			if byStart {
				at.BeginPoll(now(ctx))
			}
			at.Interrupt()
			continue
		}
		at.EndPoll(answer.BegunAt, answer.EndedAt, answer.Observation, !answer.Uncounted)
		if o := answer.Observation; o != nil && o.Status != "" && o.Status != in.Known {
			return activities.WatchResult{Record: at}, nil
		}
	}
}

// deliver is activities.Deliver as its contract has it.
func (a *pending) deliver(ctx workflow.Context, in activities.DeliverInput) (any, error) {
	k := in.Policy.Attempts
	at := in.Record.Clone()
	a.delivering = &at
	at.Interrupt(in.Policy.Timeout(), "lost")
	for at.Exhaust(k); at.Pending(); at.Exhaust(k) {
		heldBack, err := a.nextAttempt(ctx, in, &at)
		switch {
		case errors.Is(err, errEnd), errors.Is(err, errUsedUp):
			return activities.DeliverResult{Record: at, HeldBack: heldBack}, nil
		case temporal.IsCanceledError(err):
			return nil, cancelledOnServer(in, at)
		case err != nil:
			return nil, err
		}
	}
	if at.Delivery.Outcome != operation.DeliveryAcknowledged {
		return nil, activityFailure(enumspb.RETRY_STATE_NON_RETRYABLE_FAILURE, temporal.GetDefaultFailureConverter().ErrorToFailure(
			temporal.NewNonRetryableApplicationError("not acknowledged", activities.TypeExhausted, nil, at)))
	}
	return activities.DeliverResult{Record: at}, nil
}

// nextAttempt waits for the next attempt and makes it, unless it is held back.
func (a *pending) nextAttempt(ctx workflow.Context, in activities.DeliverInput, at *operation.DeliveryRecord) (heldBack string, err error) {
	wait := time.Duration(0)
	if due := at.Due(in.Policy.Interval()); !due.IsZero() {
		wait = due.Sub(workflow.Now(ctx))
	}
	if wait > waitsInWorker {
		err = a.waitOnServer(ctx, wait, in.Policy.Attempts)
	} else {
		err = a.waitInWorker(ctx, wait)
	}
	switch {
	case err != nil:
		return "", err
	case a.isMissing(ctx) && a.nextReply().onHold:
		at.Delivery.OnHold = true
		return "", errUsedUp
	case a.isMissing(ctx):
		return "the endpoint is missing", errUsedUp
	case a.holdsBack():
		at.NotBefore = now(ctx).Add(heldBackWait)
		return "the receiver is busy", a.waitOnServer(ctx, heldBackWait, in.Policy.Attempts)
	}
	reply, before, begun := a.nextReply(), at.Clone(), now(ctx)
	if reply.lost && reply.lastRun {
		a.runs = in.Policy.Attempts
	}
	byStart := a.runs < in.Policy.Attempts && a.startRecords(begun)
	at.BeginAttempt(begun)
	if a.beforeAttempt = &before; !byStart {
		a.recordsNow()
	}
	at.Delivery.Host = "shop.example"
	r := a.send(ctx, in.Callback, at.Last().Number)
	if reply.lost {
		if byStart {
			*at = before
		}
		err := a.die(ctx, activities.DeliverHeartbeatTimeout, in.Policy.Interval(), in.Policy.Attempts, *at)
		switch {
		case err != nil:
		case byStart:
			began := now(ctx).Add(-activities.DeliverHeartbeatTimeout - in.Policy.Interval())
			at.Lose(activities.AttemptBy(began), in.Policy.Interval(), in.Policy.Timeout(), "lost")
		default:
			at.Interrupt(in.Policy.Timeout(), "lost")
		}
		return "", err
	}
	at.EndAttempt(r.Attempt, r.Ended, r.Reason, operation.Time{})
	return "", nil
}

// awaitEndpoint is activities.AwaitEndpoint and its retry policy.
func (a *pending) awaitEndpoint(ctx workflow.Context, hold bool) error {
	for gap := 2 * time.Second; a.isMissing(ctx); gap = min(2*gap, 30*time.Second) {
		if until := a.missing[len(a.trace.requests)]; hold { // a reload ends this wait
			gap = until.Sub(workflow.Now(ctx))
		}
		a.passUnless(ctx, gap, func() bool { return a.cancelled })
		if a.cancelled {
			return temporal.NewCanceledError()
		}
	}
	return nil
}

// interruptHere is activities.InterruptHere in the other worker; where that has
// died, nobody makes it.
func (a *pending) interruptHere(ctx workflow.Context, in activities.InterruptInput) (activities.Interrupted, error) {
	for begun := workflow.Now(ctx); workflow.Now(ctx).Sub(begun) < interruptWithin; a.pass(ctx, interruptRetry) {
		b := a.running[in.Activity]
		switch {
		case b == nil:
			return activities.Interrupted{}, nil
		case b.place == inWorker:
			return b.interrupt(in), nil
		case b.place == inDeadWorker:
			a.pass(ctx, 5*time.Second)
			return activities.Interrupted{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil)
		}
	}
	return activities.Interrupted{}, nil
}

// interrupt tells the activity to end, in its process.
func (a *pending) interrupt(in activities.InterruptInput) activities.Interrupted {
	if in.UnlessAboutToPoll && a.watching.Polls <= in.Polls {
		return activities.Interrupted{LeftAlone: true}
	}
	a.interrupted = true
	left := a.recorded()
	left.Watch, left.Delivery = nil, nil
	return activities.Interrupted{Here: true, Pending: left}
}

// silent is a logger for runs that are made by the hundred.
type silent struct{}

var accepted = operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

var _ log.Logger = silent{}

func now(ctx workflow.Context) operation.Time { return operation.At(workflow.Now(ctx)) }

// turn is the script's turn n; the last one repeats.
func turn[T any](script []T, n int) (t T) {
	if len(script) == 0 {
		return t
	}
	return script[min(n, len(script)-1)]
}

// waitsInWorker is as the activities have it: a longer wait is the server's,
// which ends it by itself when it is cancelled.
const waitsInWorker = 5 * time.Second

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
