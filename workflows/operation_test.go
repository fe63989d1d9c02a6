package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/internal/source"
	"ringback/workflows"
)

// input starts an operation of one of the two systems, changed by what a row needs.
func input(kind string, policy operation.Policy, change []func(*workflows.Input)) workflows.Input {
	k, ok := source.KindByName(kind)
	if !ok {
		panic("no source kind " + kind)
	}
	in := workflows.Input{
		Start:  operation.StartRequest{Endpoint: "SHOP", OperationID: "1"},
		Source: "core", Rules: k.Rules(nil), Policy: policy,
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

func ukrcard(change ...func(*workflows.Input)) workflows.Input {
	return input("ukrcard", operation.Policy{
		Poll:     operation.PollPolicy{ScheduleMS: []int64{5000, 10_000, 15_000}, LifetimeMS: 1_200_000},
		Delivery: operation.DeliveryPolicy{IntervalMS: 3000, Attempts: 10, TimeoutMS: 10_000},
	}, change)
}

func paysera(change ...func(*workflows.Input)) workflows.Input {
	return input("paysera", operation.Policy{
		Poll:      operation.PollPolicy{IntervalMS: 600_000, LifetimeMS: 720 * 3_600_000},
		Delivery:  operation.DeliveryPolicy{IntervalMS: 60_000, Attempts: 20, TimeoutMS: 10_000},
		Supersede: operation.SupersedeLatest,
	}, change)
}

func every(in *workflows.Input) { in.Policy.Supersede = operation.SupersedeEvery }

func k(attempts int) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Delivery.Attempts = attempts }
}

func h(interval time.Duration) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Delivery.IntervalMS = interval.Milliseconds() }
}

func knows(status string) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Start.KnownStatus = status }
}

func wants(statuses ...string) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Wanted = statuses }
}

func lifetime(d time.Duration) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Poll.LifetimeMS = d.Milliseconds() }
}

func initialDelay(d time.Duration) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Poll.InitialDelayMS = d.Milliseconds() }
}

func maxPolls(n int) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Poll.MaxPolls = n }
}

func startOptions(in workflows.Input) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: in.Start.Key().WorkflowID(), TaskQueue: workflows.TaskQueue}
}

func says(statuses ...string) []coreAnswer {
	answers := make([]coreAnswer, len(statuses))
	for i, status := range statuses {
		answers[i].status = status
	}
	return answers
}

var (
	unavailable  = coreAnswer{fails: true}
	unauthorized = coreAnswer{fails: true, refused: true}

	ack   = receiverReply{status: 200}
	fails = receiverReply{status: 500}
	gone  = receiverReply{status: 410}
)

// row is one run of an operation and what it comes to.
type row struct {
	name string
	in   workflows.Input
	// earlier is the run that in redelivers, or nil.
	earlier  *trace
	core     []coreAnswer
	receiver []receiverReply
	acts     []act
	// notInTask, unreadable and late are as in scenario.
	notInTask, unreadable bool
	late                  lateness

	ends       operation.Outcome
	attempts   []attempt
	deliveries []delivery
	polls      int
	// took is how long the run lasted; 0: any time. refusals are why Updates were refused.
	took     time.Duration
	refusals []string
	// then checks more.
	then func(*testing.T, *simulator, operation.Record)
}

// attempt is one as the receiver saw it.
type attempt struct {
	status       string
	number       int
	acknowledged bool
}

// delivery is one as the state shows it.
type delivery struct {
	status  string
	outcome operation.DeliveryOutcome
	reason  string
}

const (
	acknowledged = operation.DeliveryAcknowledged
	exhausted    = operation.DeliveryExhausted
	superseded   = operation.DeliverySuperseded
	goneAway     = operation.DeliveryGone

	pollsUsedUp  = operation.ReasonPollsUsedUp
	lifetimeOver = operation.ReasonLifetimeOver
	withdrawn    = operation.ReasonWithdrawn
	revoked      = operation.ReasonRevoked
)

// atOnce is the duration of a run that waited for nothing.
const atOnce = -1

// run simulates the row.
func (tt row) run(t require.TestingT, prepare ...func(*simulator)) (*simulator, operation.Record) {
	m := simulateInput(t, scenario{
		answers: tt.core, replies: tt.receiver, acts: tt.acts, notInTask: tt.notInTask, unreadable: tt.unreadable, late: tt.late,
		prepare: func(m *simulator) {
			for _, p := range prepare {
				p(m)
			}
		},
	}, tt.in, tt.earlier)
	return m, m.trace.ending
}

func (tt row) test(t *testing.T) {
	t.Helper()
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		m, ending := tt.run(t)
		if !tt.unreadable {
			holds(t, m.trace)
		}
		err := m.env.GetWorkflowError()
		require.Equal(t, tt.ends, ending.State.Outcome, "outcome: %v", err)
		requireClose(t, tt.ends, err)
		require.Equal(t, tt.attempts, m.trace.attempts(), "attempts")
		require.Equal(t, tt.deliveries, shown(ending.State.Deliveries), "deliveries")
		require.Equal(t, tt.polls, ending.State.Polls, "polls")
		require.Equal(t, tt.refusals, m.refusals, "refused Updates")
		if tt.took != 0 {
			require.InDelta(t, max(tt.took, 0).Seconds(), m.trace.since(operation.At(m.env.Now())).Seconds(), 0.01, "duration")
		}
		if tt.then != nil {
			tt.then(t, m, ending)
		}
	})
}

// requireClose holds how a run closes in the engine against its outcome.
func requireClose(t require.TestingT, outcome operation.Outcome, err error) {
	var failure *temporal.ApplicationError
	switch outcome {
	case operation.OutcomeExhausted:
		require.ErrorAs(t, err, &failure)
		require.Equal(t, workflows.TypeExhausted, failure.Type())
		require.True(t, failure.NonRetryable())
	case operation.OutcomeGone:
		require.ErrorAs(t, err, &failure)
		require.Equal(t, workflows.TypeGone, failure.Type())
	case operation.OutcomeWithdrawn:
		require.True(t, temporal.IsCanceledError(err), "%v", err)
	default:
		require.NoError(t, err)
	}
}

func (t *trace) attempts() []attempt {
	var attempts []attempt
	for _, r := range t.requests {
		attempts = append(attempts, attempt{r.status(), r.number, r.acknowledged})
	}
	return attempts
}

func shown(deliveries []operation.Delivery) []delivery {
	var shown []delivery
	for _, d := range deliveries {
		shown = append(shown, delivery{d.Status, d.Outcome, d.Reason})
	}
	return shown
}

// times are n attempts about status, numbered from first, of which only the last may be
// acknowledged.
func times(n int, status string, first int, last bool) []attempt {
	attempts := make([]attempt, n)
	for i := range attempts {
		attempts[i] = attempt{status, first + i, last && i == n-1}
	}
	return attempts
}

func pushes(policy string) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Policy.Push = policy }
}

// byAPI is a push as the API sends it; empty: poll now.
func byAPI(status string) workflows.Push { return workflows.Push{Status: status, ByAPI: true} }

func TestPromise2Watch(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "polls at once and then at the schedule's gaps", in: ukrcard(), core: says("0", "0", "2"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"2", 1, true}}, deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 3, took: 15 * time.Second},
		{name: "begins after the initial delay", in: ukrcard(initialDelay(time.Minute)), core: says("2"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"2", 1, true}}, deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "makes one more poll than the schedule has gaps", in: ukrcard(), core: says("0"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, true}}, deliveries: []delivery{{"0", acknowledged, pollsUsedUp}},
			polls: 4, took: 30 * time.Second},
		{name: "makes no more than max_polls", in: ukrcard(maxPolls(2)), core: says("0"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, true}}, deliveries: []delivery{{"0", acknowledged, pollsUsedUp}},
			polls: 2, took: 5 * time.Second},
		{name: "makes no more than max_polls also where the first one was the last", in: ukrcard(maxPolls(1)), core: says("0"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, true}}, deliveries: []delivery{{"0", acknowledged, pollsUsedUp}},
			polls: 1, took: atOnce},
		{name: "clips the last poll to the lifetime", in: paysera(lifetime(15 * time.Minute)), core: says("processing", "processing", "done"),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 3, took: 15 * time.Minute},
		{name: "polls a thousand times for the price of one", in: paysera(lifetime(200 * time.Hour)), core: says("processing"),
			ends: operation.OutcomeExpired, polls: 1201, took: 200 * time.Hour,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, []string{workflows.ActivityWatch}, m.activities)
			}},
		{name: "a core that errs costs a poll", in: ukrcard(), core: append([]coreAnswer{unavailable, unavailable}, says("2")...),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"2", 1, true}}, deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 3, took: 15 * time.Second},
		{name: "a core that always errs costs all polls and never the operation", in: ukrcard(), core: []coreAnswer{unavailable},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"", 1, true}}, deliveries: []delivery{{"", acknowledged, pollsUsedUp}},
			polls: 4, took: 30 * time.Second},
		{name: "refused credentials use up no poll", in: ukrcard(),
			core: append([]coreAnswer{unauthorized, unauthorized, unauthorized, unauthorized, unauthorized}, says("0", "0", "0", "2")...),
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"2", 1, true}}, deliveries: []delivery{{"2", acknowledged, ""}}, polls: 9},
		{name: "refused credentials cost the operation its lifetime", in: ukrcard(), core: []coreAnswer{unauthorized},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"", 1, true}}, deliveries: []delivery{{"", acknowledged, lifetimeOver}},
			polls: 241, took: 20 * time.Minute},
		{name: "a first poll that is held back is made by the watch", in: ukrcard(), core: says("0", "2"),
			notInTask: true,
			ends:      operation.OutcomeAcknowledged, attempts: []attempt{{"2", 1, true}}, deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 2, took: 5 * time.Second},
		{name: "a status that the core pushes is an observation", in: paysera(), core: says("processing"),
			acts: []act{{after: time.Minute, kind: push, status: "done", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "a push is newer than the polls before it also where the worker's clock is ahead", in: paysera(),
			core: []coreAnswer{{status: "processing", ahead: time.Hour}},
			acts: []act{{after: time.Minute, kind: push, status: "done", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "an intermediate status that the core pushes is delivered, and the watch goes on from it", in: paysera(), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: push, status: "reserved", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 2, took: 10 * time.Minute},
		{name: "two statuses pushed at once are both seen, and the watch goes on from the last", in: paysera(every), core: says("processing", "processing", "done"),
			acts: []act{
				{after: time.Minute, kind: push, status: "waiting_funds", bySignal: true}, {after: time.Minute, kind: push, status: "reserved", bySignal: true}, {after: time.Minute, kind: push, status: "reserved", bySignal: true},
			},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 3, took: 20 * time.Minute},
		{name: "a status pushed over the API is an observation where the endpoint trusts it", in: paysera(pushes(operation.PushTrust)), core: says("processing"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("done")}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "a status pushed over the API to a run from before there was a choice has the core polled", in: paysera(), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("rejected")}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "a status pushed as a hint has the core polled, which says otherwise", in: paysera(pushes(operation.PushHint)), core: says("processing", "processing", "rejected"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("done")}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"rejected", 1, true}}, deliveries: []delivery{{"rejected", acknowledged, ""}},
			polls: 3, took: 11 * time.Minute},
		{name: "a status pushed as a hint is delivered at once where the core says it", in: paysera(pushes(operation.PushHint)), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("done")}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "a hint that the API sent by Signal is one, too", in: paysera(pushes(operation.PushHint)), core: says("processing", "processing", "rejected"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("done"), bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"rejected", 1, true}}, deliveries: []delivery{{"rejected", acknowledged, ""}},
			polls: 3, took: 11 * time.Minute},
		{name: "a status that an operator pushes is an observation whatever the endpoint says", in: paysera(pushes(operation.PushOff)), core: says("processing"),
			acts: []act{{after: time.Minute, kind: push, status: "done", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "a status pushed to an endpoint that takes none is refused, and nothing is polled", in: paysera(pushes(operation.PushOff)), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("done")}, {after: 2 * time.Minute, kind: push, arg: byAPI("done"), bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: 10 * time.Minute, refusals: []string{"the endpoint takes no pushed status (push: off) (type: PushRefused, retryable: true)"}},
		{name: "an empty push to an endpoint that takes no status means poll now", in: paysera(pushes(operation.PushOff)), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: push, arg: byAPI("")}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "an empty push means poll now", in: paysera(), core: says("processing", "done"),
			acts: []act{{after: time.Minute, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "an empty push means poll now also where the core was slow lately", in: paysera(), core: says("processing", "done"),
			notInTask: true, acts: []act{{after: time.Minute, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "an empty push means poll now also before the initial delay is over", in: paysera(initialDelay(time.Hour)), core: says("done"),
			acts: []act{{after: time.Minute, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 1, took: time.Minute},
		{name: "polls that were pushed for count against max_polls", in: ukrcard(maxPolls(3)), core: says("0"),
			acts: []act{{after: time.Second, kind: pollNow, bySignal: true}, {after: 2 * time.Second, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, true}}, deliveries: []delivery{{"0", acknowledged, pollsUsedUp}},
			polls: 3, took: 2 * time.Second},
		{name: "a poll that was pushed for sees a change and the next watch goes on from it", in: paysera(),
			core: says("waiting_funds", "reserved", "waiting_funds", "done"), acts: []act{{after: time.Minute, kind: pollNow, bySignal: true}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   []attempt{{"waiting_funds", 1, true}, {"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 4, took: 21 * time.Minute},
		{name: "an empty push during the last poll is no further one", in: ukrcard(maxPolls(1)),
			core: []coreAnswer{{status: "0", takes: 300 * time.Millisecond}}, acts: []act{{after: time.Millisecond, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, true}}, deliveries: []delivery{{"0", acknowledged, pollsUsedUp}}, polls: 1},
		{name: "a watch that ends while its record is read is recorded", in: paysera(), core: says("processing", "done"),
			late: lateness{reading: 2 * time.Second}, acts: []act{{after: 599 * time.Second, kind: push, status: "reserved", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"reserved", 1, true}, {"done", 1, true}}, deliveries: []delivery{{"reserved", acknowledged, ""}, {"done", acknowledged, ""}},
			polls: 2, took: 601 * time.Second},
		{name: "a record is partial once the run knows more than it shows", in: paysera(),
			core: says("waiting_funds", "reserved", "done"), receiver: []receiverReply{fails, ack, fails, ack}, ends: operation.OutcomeAcknowledged,
			attempts:   append(times(2, "waiting_funds", 1, true), append(times(2, "reserved", 1, true), attempt{"done", 1, true})...),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 3,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, []bool{false, true}, []bool{m.deliveries[0].Record.Partial, m.deliveries[1].Record.Partial})
				require.True(t, m.watches[1].Record.Partial)
			}},
		{name: "a push before the first poll is an observation", in: paysera(initialDelay(time.Hour)), core: says("done"),
			acts: []act{{after: time.Minute, kind: push, status: "waiting_funds", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 1, took: time.Hour},
		{name: "a push that arrives with the end of the watch is not lost", in: paysera(lifetime(time.Minute)),
			core: []coreAnswer{{status: "processing"}, {status: "processing", with: &act{kind: push, status: "done", bySignal: true}}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}},
			polls: 2, took: time.Minute},
		{name: "a final status pushed while the last answer is delivered takes its place", in: ukrcard(maxPolls(1)), core: says("0"),
			receiver: []receiverReply{fails, fails, ack}, acts: []act{{after: 4 * time.Second, kind: push, status: "2", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"0", 1, false}, {"0", 2, false}, {"2", 1, true}},
			deliveries: []delivery{{"0", superseded, pollsUsedUp}, {"2", acknowledged, ""}}, polls: 1, took: 4 * time.Second},
		{name: "the lifetime ends the watch only: a pending delivery finishes first", in: paysera(lifetime(time.Hour), h(time.Hour)),
			core: says("waiting_funds"), receiver: []receiverReply{fails, fails, ack},
			ends: operation.OutcomeAcknowledged, attempts: times(3, "waiting_funds", 1, true),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}}, polls: 7, took: 2 * time.Hour},
	} {
		tt.test(t)
	}
}

func TestPromise3And4WhatIsDeliveredInWhichOrder(t *testing.T) {
	t.Parallel()
	payseraLife := append(says("waiting_funds", "waiting_funds", "reserved"), says("processing", "done")...)
	for _, tt := range []row{
		{name: "Ukrcard gets a callback with respStatus 504 if no poll was answered", in: ukrcard(), core: []coreAnswer{unavailable},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"", 1, true}}, deliveries: []delivery{{"", acknowledged, pollsUsedUp}}, polls: 4,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, map[string]string{"respStatus": "504"}, m.trace.requests[0].callback.Observation.Raw)
			}},
		{name: "Paysera gets a callback for each change to a callback status", in: paysera(), core: payseraLife,
			ends:       operation.OutcomeAcknowledged,
			attempts:   []attempt{{"waiting_funds", 1, true}, {"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 5, took: 40 * time.Minute},
		{name: "Paysera gets no callback for what the client knows", in: paysera(knows("waiting_funds")), core: payseraLife,
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 5},
		{name: "Paysera gets callbacks only for the operation's statuses", in: paysera(wants("done")), core: payseraLife,
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}}, polls: 5},
		{name: "Paysera expires silently", in: paysera(), core: says("processing"), ends: operation.OutcomeExpired, polls: 4321,
			took: 720 * time.Hour},
		{name: "a newer status supersedes an older one that is failing", in: paysera(h(61 * time.Second)), core: says("waiting_funds", "done"),
			receiver:   append(slices.Repeat([]receiverReply{fails}, 10), ack),
			ends:       operation.OutcomeAcknowledged,
			attempts:   append(times(10, "waiting_funds", 1, false), attempt{"done", 1, true}),
			deliveries: []delivery{{"waiting_funds", superseded, ""}, {"done", acknowledged, ""}}, polls: 2, took: 10 * time.Minute,
			then: func(t *testing.T, _ *simulator, e operation.Record) {
				require.Len(t, e.State.Deliveries[0].Attempts, 10, "the attempts of what was superseded are kept")
			}},
		{name: "attempts of what was superseded are shown as far as the run knows them where their record cannot be read",
			in: paysera(h(61 * time.Second)), core: says("waiting_funds", "done"), receiver: append(slices.Repeat([]receiverReply{fails}, 10), ack),
			unreadable: true,
			ends:       operation.OutcomeAcknowledged,
			attempts:   append(times(10, "waiting_funds", 1, false), attempt{"done", 1, true}),
			deliveries: []delivery{{"waiting_funds", superseded, ""}, {"done", acknowledged, ""}}, polls: 2,
			then: func(t *testing.T, _ *simulator, e operation.Record) {
				require.Len(t, e.State.Deliveries[0].Attempts, 1)
			}},
		{name: "the attempt in flight ends before the newer status is delivered", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails, {status: 500, takes: 8 * time.Second}, ack}, acts: []act{{after: 62 * time.Second, kind: push, status: "done", bySignal: true}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   []attempt{{"waiting_funds", 1, false}, {"waiting_funds", 2, false}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", superseded, ""}, {"done", acknowledged, ""}}, polls: 1, took: 68 * time.Second},
		{name: "an attempt in flight that is acknowledged is no superseded delivery", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails, {status: 200, takes: 8 * time.Second}, ack}, acts: []act{{after: 62 * time.Second, kind: push, status: "done", bySignal: true}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   []attempt{{"waiting_funds", 1, false}, {"waiting_funds", 2, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 1, took: 68 * time.Second},
		{name: "a delivery that waits in the worker is superseded too", in: paysera(h(4*time.Second), k(100)), core: says("waiting_funds"),
			receiver: []receiverReply{fails}, acts: []act{{after: 10 * time.Second, kind: push, status: "reserved", bySignal: true}, {after: 15 * time.Second, kind: withdraw, bySignal: true}},
			ends:       operation.OutcomeWithdrawn,
			attempts:   []attempt{{"waiting_funds", 1, false}, {"waiting_funds", 2, false}, {"waiting_funds", 3, false}, {"reserved", 1, false}, {"reserved", 2, false}},
			deliveries: []delivery{{"waiting_funds", superseded, ""}, {"reserved", superseded, withdrawn}}, polls: 1, took: 15 * time.Second},
		{name: "a poll that was pushed for supersedes at once", in: paysera(), core: says("waiting_funds", "done"),
			receiver: []receiverReply{fails, ack}, acts: []act{{after: 30 * time.Second, kind: pollNow, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, false}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", superseded, ""}, {"done", acknowledged, ""}}, polls: 2, took: 30 * time.Second},
		{name: "what was overtaken before it began is superseded unsent", in: paysera(), core: says("waiting_registration"),
			receiver:   []receiverReply{fails, {status: 500, takes: 8 * time.Second}, ack},
			acts:       []act{{after: 61 * time.Second, kind: push, status: "waiting_funds", bySignal: true}, {after: 62 * time.Second, kind: push, status: "reserved", bySignal: true}, {after: 63 * time.Second, kind: push, status: "done", bySignal: true}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   append(times(2, "waiting_registration", 1, false), attempt{"done", 1, true}),
			deliveries: []delivery{{"waiting_registration", superseded, ""}, {"waiting_funds", superseded, ""}, {"reserved", superseded, ""}, {"done", acknowledged, ""}}, polls: 1},
		{name: "with every, a newer status waits for the older one", in: paysera(every), core: says("waiting_funds", "done"),
			receiver:   append(slices.Repeat([]receiverReply{fails}, 12), ack),
			ends:       operation.OutcomeAcknowledged,
			attempts:   append(times(13, "waiting_funds", 1, true), attempt{"done", 1, true}),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 2, took: 12 * time.Minute},
		{name: "the answer to a poll begun before a push is dropped, and asked again", in: paysera(),
			core: []coreAnswer{{status: "processing"}, {status: "waiting_funds", takes: 5 * time.Second}, {status: "done"}},
			acts: []act{{after: 10*time.Minute + time.Second, kind: push, status: "reserved", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"reserved", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"reserved", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 3, took: 10*time.Minute + 5*time.Second},
	} {
		tt.test(t)
	}
}

func TestPromise5HAndK(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "the first attempt is made in the workflow task, the others h after one another", in: ukrcard(), core: says("2"),
			receiver: []receiverReply{{status: 500, takes: 200 * time.Millisecond}, {status: 500, takes: time.Second}, ack},
			ends:     operation.OutcomeAcknowledged, attempts: times(3, "2", 1, true), deliveries: []delivery{{"2", acknowledged, ""}}, polls: 1,
			took: 7200 * time.Millisecond,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, []bool{true, false, false}, []bool{m.trace.requests[0].inTask, m.trace.requests[1].inTask, m.trace.requests[2].inTask})
				require.Equal(t, []string{workflows.ActivityDeliver}, m.activities)
			}},
		{name: "k attempts are k, the one in the workflow task included", in: ukrcard(k(3)), core: says("2"), receiver: []receiverReply{fails},
			ends: operation.OutcomeExhausted, attempts: times(3, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			took: 6 * time.Second},
		{name: "k of 1 needs no delivery activity", in: ukrcard(k(1)), core: says("2"), receiver: []receiverReply{fails},
			ends: operation.OutcomeExhausted, attempts: times(1, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) { require.Empty(t, m.activities) }},
		{name: "a first attempt that is held back is made by the delivery", in: ukrcard(k(2)), core: says("2"), receiver: []receiverReply{fails},
			notInTask: true,
			ends:      operation.OutcomeExhausted, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) { require.False(t, m.trace.requests[0].inTask) }},
		{name: "a first attempt to an endpoint on hold waits without a delivery, and then is the first of k", in: ukrcard(k(2)), core: says("2"),
			receiver: []receiverReply{{status: 500, missing: time.Hour, onHold: true}, fails},
			ends:     operation.OutcomeExhausted, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			took: time.Hour + 3*time.Second,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, []string{"AwaitEndpoint", workflows.ActivityDeliver}, m.activities)
			}},
		{name: "a delivery whose endpoint is put on hold goes on after it", in: ukrcard(k(3)), core: says("2"),
			receiver: []receiverReply{fails, {status: 500, missing: time.Hour, onHold: true}, fails},
			ends:     operation.OutcomeExhausted, attempts: times(3, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			took: time.Hour + 6*time.Second,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, []string{workflows.ActivityDeliver, "AwaitEndpoint", workflows.ActivityDeliver}, m.activities)
			}},
		{name: "a delivery that was lost at the server's last count goes on where its record says", in: ukrcard(k(4)), core: says("2"),
			receiver: []receiverReply{fails, fails, {status: 500, lost: true, lastRun: true}, fails},
			ends:     operation.OutcomeExhausted, attempts: times(4, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, e operation.Record) {
				require.Equal(t, []string{workflows.ActivityDeliver, workflows.ActivityDeliver}, m.activities)
				require.Len(t, e.State.Deliveries[0].Attempts, 4)
			}},
		{name: "a delivery that was lost with its last attempt is exhausted", in: ukrcard(k(2)), core: says("2"),
			receiver: []receiverReply{fails, {status: 500, lost: true, lastRun: true}, ack},
			ends:     operation.OutcomeExhausted, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1},
		{name: "a delivery that was lost after a withdrawal is not taken up", in: ukrcard(), core: says("2"),
			receiver: []receiverReply{fails, {status: 500, takes: 5 * time.Second, lost: true, lastRun: true}, ack}, acts: []act{{after: 4 * time.Second, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", superseded, withdrawn}}, polls: 1,
			then: func(t *testing.T, _ *simulator, e operation.Record) {
				last := e.State.Deliveries[0].Attempts[1]
				require.Equal(t, operation.Unacknowledged, last.Verdict)
				require.NotEmpty(t, last.Reason)
				require.Equal(t, int64(10_000), last.TookMS, "it may have lasted for its time-out")
			}},
		{name: "two callbacks in one workflow task make one attempt in it", in: paysera(every, h(time.Second)),
			core:     says("waiting_funds"),
			receiver: []receiverReply{{status: 200, with: &act{kind: push, status: "done", bySignal: true}}, ack},
			ends:     operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"done", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"done", acknowledged, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.True(t, m.trace.requests[0].inTask)
				require.False(t, m.trace.requests[1].inTask, "a second attempt in one workflow task")
			}},
		{name: "beside a watch, also one that was told to end, no attempt is made in a workflow task", in: paysera(h(time.Second)), core: says("processing"),
			receiver: []receiverReply{ack}, acts: []act{{after: time.Minute, kind: push, status: "done", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"done", 1, true}}, deliveries: []delivery{{"done", acknowledged, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.False(t, m.trace.requests[0].inTask, "the watch's end would make the server forget the attempt")
			}},
	} {
		tt.test(t)
	}
}

func TestAnOperationOnHoldShowsItAndCanBeChanged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		act        act
		ends       operation.Outcome
		attempts   []attempt
		deliveries []delivery
	}{
		{"a withdrawal ends the wait", act{kind: withdraw},
			operation.OutcomeWithdrawn, nil, []delivery{{"reserved", superseded, withdrawn}}},
		{"a revocation waits in its place", act{kind: revoke, status: "core"},
			operation.OutcomeAcknowledged, []attempt{{"revoked", 1, true}}, []delivery{{"reserved", superseded, revoked}, {"revoked", acknowledged, ""}}},
		{"a newer status waits in its place", act{kind: push, status: "done"},
			operation.OutcomeAcknowledged, []attempt{{"done", 1, true}}, []delivery{{"reserved", superseded, ""}, {"done", acknowledged, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.act.after = 90 * time.Second
			var state operation.State
			m, ending := row{in: paysera(), core: says("reserved"), acts: []act{tt.act},
				receiver: []receiverReply{{status: 200, missing: time.Hour, onHold: true}}}.run(t, func(m *simulator) {
				m.env.RegisterDelayedCallback(func() {
					value, err := m.env.QueryWorkflow(workflows.QueryState)
					require.NoError(t, err)
					require.NoError(t, value.Get(&state))
				}, 80*time.Second)
			})
			killed := m.awaiting.StartToCloseTimeout + m.awaiting.RetryPolicy.MaximumInterval
			require.LessOrEqual(t, killed, 11*time.Minute, "a worker that was killed holds it up for so long at most")
			require.Equal(t, operation.OnHold, state.Phase)
			require.True(t, state.LastDelivery().OnHold)
			require.Empty(t, state.LastDelivery().Attempts)
			require.Equal(t, tt.ends, ending.State.Outcome)
			require.Equal(t, tt.attempts, m.trace.attempts())
			require.Equal(t, tt.deliveries, shown(ending.State.Deliveries))
			for _, d := range ending.State.Deliveries {
				require.False(t, d.OnHold)
			}
		})
	}
}

func TestPromise6GoneAndRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "410 ends the delivery and fails the run", in: ukrcard(), core: says("2"), receiver: []receiverReply{fails, gone},
			ends: operation.OutcomeGone, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", goneAway, "410 Gone"}}, polls: 1},
		{name: "an address that the egress guard refuses ends the delivery at once", in: ukrcard(), core: says("2"), receiver: []receiverReply{{egress: true}},
			ends: operation.OutcomeGone, attempts: times(1, "2", 1, false), deliveries: []delivery{{"2", goneAway, operation.ReasonEgress}}, polls: 1,
			took: atOnce},
	} {
		tt.test(t)
	}
}

func TestPromise7Revocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "by Update ends the watch and is delivered", in: paysera(), core: says("waiting_funds"), acts: []act{{after: time.Minute, kind: revoke, status: "core"}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"revoked", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"revoked", acknowledged, ""}}, polls: 1, took: time.Minute},
		{name: "by Signal does the same", in: paysera(), core: says("waiting_funds"), acts: []act{{after: time.Minute, kind: revoke, status: "user", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"revoked", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"revoked", acknowledged, ""}}, polls: 1, took: time.Minute},
		{name: "before the first poll is allowed", in: paysera(initialDelay(time.Hour)), core: says("done"), acts: []act{{after: time.Minute, kind: revoke, status: "core"}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"revoked", 1, true}}, deliveries: []delivery{{"revoked", acknowledged, ""}},
			took: time.Minute},
		{name: "by the client is not delivered", in: paysera(), core: says("waiting"), acts: []act{{after: time.Minute, kind: revoke, status: "client"}},
			ends: operation.OutcomeRevoked, polls: 1, took: time.Minute,
			then: func(t *testing.T, _ *simulator, e operation.Record) {
				require.Equal(t, "client", e.State.Revocation.InitiatedBy)
				require.Equal(t, "revoked", e.State.Status.Value)
				require.True(t, e.State.Status.Final)
			}},
		{name: "is refused where the status does not allow it", in: paysera(lifetime(time.Hour)), core: says("processing"),
			acts: []act{{after: time.Minute, kind: revoke, status: "core"}}, ends: operation.OutcomeExpired, polls: 7,
			refusals: []string{`The operation SHOP/1 has status "processing", which can't be revoked.`}},
		{name: "by Signal is ignored where the status does not allow it", in: paysera(lifetime(time.Hour)), core: says("processing"),
			acts: []act{{after: time.Minute, kind: revoke, status: "core", bySignal: true}}, ends: operation.OutcomeExpired, polls: 7},
		{name: "twice is once", in: paysera(), core: says("waiting_funds"), receiver: []receiverReply{ack, fails, fails, ack},
			acts:       []act{{after: time.Minute, kind: revoke, status: "core"}, {after: 2 * time.Minute, kind: revoke, status: "client"}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   append([]attempt{{"waiting_funds", 1, true}}, times(3, "revoked", 1, true)...),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"revoked", acknowledged, ""}}, polls: 1},
		{name: "supersedes what is pending, after the attempt in flight", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails, {status: 500, takes: 8 * time.Second}, ack}, acts: []act{{after: 62 * time.Second, kind: revoke, status: "core"}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   []attempt{{"waiting_funds", 1, false}, {"waiting_funds", 2, false}, {"revoked", 1, true}},
			deliveries: []delivery{{"waiting_funds", superseded, revoked}, {"revoked", acknowledged, ""}}, polls: 1, took: 68 * time.Second},
		{name: "by the client leaves an attempt in flight its acknowledgement", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails, {status: 200, takes: 8 * time.Second}}, acts: []act{{after: 62 * time.Second, kind: revoke, status: "client"}},
			ends: operation.OutcomeAcknowledged, attempts: times(2, "waiting_funds", 1, true),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}}, polls: 1, took: 68 * time.Second},
		{name: "by the client supersedes what waits on the server at once", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails}, acts: []act{{after: 30 * time.Second, kind: revoke, status: "client"}},
			ends: operation.OutcomeRevoked, attempts: []attempt{{"waiting_funds", 1, false}},
			deliveries: []delivery{{"waiting_funds", superseded, revoked}}, polls: 1, took: 30 * time.Second},
		{name: "during a long attempt in the workflow task is not lost", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{{status: 200, takes: 3 * time.Second}, ack}, acts: []act{{after: time.Second, kind: revoke, status: "core", bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"waiting_funds", 1, true}, {"revoked", 1, true}},
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"revoked", acknowledged, ""}}, polls: 1, took: 3 * time.Second},
		{name: "that arrives with the end of the watch is not lost", in: paysera(lifetime(time.Minute)),
			core: []coreAnswer{{status: "waiting"}, {status: "waiting", with: &act{kind: revoke, status: "core", bySignal: true}}},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"revoked", 1, true}}, deliveries: []delivery{{"revoked", acknowledged, ""}}, polls: 2},
		{name: "after a final status is refused", in: paysera(), core: says("done"), receiver: []receiverReply{fails, ack}, acts: []act{{after: time.Second, kind: revoke, status: "core"}},
			ends: operation.OutcomeAcknowledged, attempts: times(2, "done", 1, true), deliveries: []delivery{{"done", acknowledged, ""}}, polls: 1,
			refusals: []string{`The operation SHOP/1 is final with status "done" and can't be revoked.`}},
		{name: "by a Signal that nobody can read is ignored", in: paysera(lifetime(time.Hour)), core: says("waiting"),
			acts: []act{{after: time.Minute, kind: revoke, bySignal: true, arg: 7}},
			ends: operation.OutcomeExpired, polls: 7},
	} {
		tt.test(t)
	}
}

func TestPromise8Withdrawal(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "ends the watch", in: paysera(), core: says("processing"), acts: []act{{after: 59 * time.Minute, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, polls: 6, took: 59 * time.Minute},
		{name: "ends a delivery that waits on the server at once", in: paysera(), core: says("done"), receiver: []receiverReply{fails},
			acts: []act{{after: 90 * time.Second, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, attempts: times(2, "done", 1, false), deliveries: []delivery{{"done", superseded, withdrawn}},
			polls: 1, took: 90 * time.Second,
			then: func(t *testing.T, _ *simulator, e operation.Record) {
				require.Len(t, e.State.Deliveries[0].Attempts, 2)
			}},
		{name: "ends a delivery whose wait the server gave up for the cancellation", in: paysera(k(21)), core: says("done"), receiver: []receiverReply{fails},
			acts: []act{{after: 90 * time.Second, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, attempts: times(2, "done", 1, false), deliveries: []delivery{{"done", superseded, withdrawn}},
			polls: 1, took: 90 * time.Second},
		{name: "leaves an attempt in flight its time", in: ukrcard(), core: says("2"), receiver: []receiverReply{fails, {status: 500, takes: 9 * time.Second}},
			acts: []act{{after: 4 * time.Second, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, attempts: times(2, "2", 1, false), deliveries: []delivery{{"2", superseded, withdrawn}},
			polls: 1, took: 12 * time.Second},
		{name: "leaves an attempt in flight its acknowledgement", in: ukrcard(), core: says("2"), receiver: []receiverReply{fails, {status: 200, takes: 9 * time.Second}},
			acts: []act{{after: 4 * time.Second, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeAcknowledged, attempts: times(2, "2", 1, true), deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 1, took: 12 * time.Second},
		{name: "leaves an attempt in the workflow task its acknowledgement", in: ukrcard(), core: says("2"), receiver: []receiverReply{{status: 200, takes: 3 * time.Second}},
			acts: []act{{after: time.Second, kind: withdraw}},
			ends: operation.OutcomeAcknowledged, attempts: times(1, "2", 1, true), deliveries: []delivery{{"2", acknowledged, ""}},
			polls: 1, took: 3 * time.Second},
		{name: "together with the acknowledgement comes too late", in: ukrcard(), core: says("2"), receiver: []receiverReply{fails, {status: 200, with: &act{kind: withdraw, bySignal: true}}},
			ends: operation.OutcomeAcknowledged, attempts: times(2, "2", 1, true), deliveries: []delivery{{"2", acknowledged, ""}}, polls: 1},
		{name: "together with the end of the watch is a withdrawal", in: paysera(lifetime(time.Hour)),
			core: append(says("processing", "processing", "processing", "processing", "processing", "processing"),
				coreAnswer{status: "processing", with: &act{kind: withdraw, bySignal: true}}),
			ends: operation.OutcomeWithdrawn, polls: 7, took: time.Hour},
		{name: "together with the acknowledgement in the workflow task comes too late", in: ukrcard(), core: says("2"),
			receiver: []receiverReply{{status: 200, with: &act{kind: withdraw, bySignal: true}}},
			ends:     operation.OutcomeAcknowledged, attempts: times(1, "2", 1, true), deliveries: []delivery{{"2", acknowledged, ""}}, polls: 1},
		{name: "delivers nothing any more, whatever is pushed while an attempt is in flight", in: paysera(), core: says("waiting_funds"),
			receiver: []receiverReply{fails, {status: 500, takes: 9 * time.Second}, ack},
			acts:     []act{{after: 62 * time.Second, kind: withdraw, bySignal: true}, {after: 63 * time.Second, kind: push, status: "done", bySignal: true}, {after: 64 * time.Second, kind: revoke, status: "core"}},
			ends:     operation.OutcomeWithdrawn, attempts: times(2, "waiting_funds", 1, false),
			deliveries: []delivery{{"waiting_funds", superseded, withdrawn}}, polls: 1, took: 69 * time.Second,
			refusals: []string{"The operation SHOP/1 was withdrawn; it is not watched any more."}},
		{name: "during the last attempt ends the watch beside it", in: paysera(every, h(601*time.Second)), core: says("waiting_funds", "reserved"),
			receiver: []receiverReply{fails, ack, {status: 200, takes: 3 * time.Second}}, acts: []act{{after: 602 * time.Second, kind: withdraw, bySignal: true}},
			ends:       operation.OutcomeAcknowledged,
			attempts:   append(times(2, "waiting_funds", 1, true), attempt{"reserved", 1, true}),
			deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}}, polls: 2, took: 604 * time.Second,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Empty(t, m.running, "a watch is left behind")
			}},
		{name: "before anything was done is a withdrawal", in: paysera(initialDelay(time.Hour)), core: says("done"), acts: []act{{after: time.Minute, kind: withdraw, bySignal: true}},
			ends: operation.OutcomeWithdrawn, took: time.Minute},
	} {
		tt.test(t)
	}
}

func TestPromise9Exhausted(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "on the last callback due fails the run with the state in its details", in: ukrcard(k(3)), core: says("0", "2"), receiver: []receiverReply{fails},
			ends: operation.OutcomeExhausted, attempts: times(3, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 2,
			then: func(t *testing.T, m *simulator, e operation.Record) {
				require.Equal(t, "2", e.Callbacks[0].Observation.Status)
				require.Len(t, e.State.Deliveries[0].Attempts, 3)
				require.NotEmpty(t, e.State.RunID)
				require.ErrorContains(t, m.env.GetWorkflowError(), `about status "2" is exhausted after 3 attempts; the last: HTTP 500`)
			}},
		{name: "the failure's message counts attempts of which only the newest are kept", in: ukrcard(k(120)), core: says("2"), receiver: []receiverReply{fails},
			ends: operation.OutcomeExhausted, attempts: times(120, "2", 1, false), deliveries: []delivery{{"2", exhausted, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.ErrorContains(t, m.env.GetWorkflowError(), "exhausted after 120 attempts")
			}},
		{name: "the failure names the callback that is exhausted, not one that was dropped after it", in: paysera(every, k(2)),
			core: says("waiting_registration"), receiver: []receiverReply{fails, {status: 500, takes: 9 * time.Second}},
			acts: []act{{after: 61 * time.Second, kind: push, status: "waiting_funds", bySignal: true}, {after: 62 * time.Second, kind: revoke, status: "client"}},
			ends: operation.OutcomeExhausted, attempts: times(2, "waiting_registration", 1, false),
			deliveries: []delivery{{"waiting_registration", exhausted, ""}, {"waiting_funds", superseded, revoked}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.ErrorContains(t, m.env.GetWorkflowError(), `about status "waiting_registration" is exhausted after 2 attempts`)
			}},
	} {
		tt.test(t)
	}
}

// before is a first run of in.
func before(t *testing.T, in workflows.Input, core []coreAnswer, receiver ...receiverReply) *trace {
	t.Helper()
	m, _ := row{in: in, core: core, receiver: receiver}.run(t)
	return m.trace
}

// redelivers is in as a redelivery.
func redelivers(in workflows.Input, r workflows.Redelivery) workflows.Input {
	in.Redelivery = &r
	return in
}

func TestPromise10Redelivery(t *testing.T) {
	t.Parallel()
	failed := before(t, paysera(k(2)), says("done"), fails)
	expired := before(t, paysera(lifetime(time.Hour)), says("processing"))
	acknowledgedBefore := before(t, paysera(lifetime(time.Hour)), says("waiting_funds"), ack)
	for _, tt := range []row{
		{name: "delivers the same callback, and its attempt numbers go on", earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{}),
			core: says("rejected"), receiver: []receiverReply{fails, ack},
			ends: operation.OutcomeAcknowledged, attempts: times(2, "done", 3, true), deliveries: []delivery{{"done", acknowledged, ""}},
			then: func(t *testing.T, m *simulator, e operation.Record) {
				require.Equal(t, failed.ending.Callbacks[0], m.trace.requests[0].callback, "the same body")
				require.Len(t, e.State.Deliveries[0].Attempts, 4)
				require.Empty(t, m.trace.polls, "nobody was asked")
			}},
		{name: "has k attempts of its own", earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{}), receiver: []receiverReply{fails},
			ends: operation.OutcomeExhausted, attempts: times(2, "done", 3, false), deliveries: []delivery{{"done", exhausted, ""}}},
		{name: "with repoll and the same status delivers the same callback",
			earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{Repoll: true, Watch: true}),
			core: says("done"), ends: operation.OutcomeAcknowledged, attempts: times(1, "done", 3, true),
			deliveries: []delivery{{"done", acknowledged, ""}}, polls: 1,
			then: func(t *testing.T, m *simulator, _ operation.Record) {
				require.Equal(t, failed.ending.Callbacks[0], m.trace.requests[0].callback, "the same body")
			}},
		{name: "with repoll and another status delivers that one",
			earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{Repoll: true, Watch: true}),
			core: says("rejected"), ends: operation.OutcomeAcknowledged, attempts: times(1, "rejected", 1, true),
			deliveries: []delivery{{"done", exhausted, ""}, {"rejected", acknowledged, ""}}, polls: 1},
		{name: "with repoll and another status delivers that one also where the worker's clock was set back since",
			earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{Repoll: true, Watch: true}),
			core: []coreAnswer{{status: "rejected", ahead: -60 * 24 * time.Hour}},
			ends: operation.OutcomeAcknowledged, attempts: times(1, "rejected", 1, true),
			deliveries: []delivery{{"done", exhausted, ""}, {"rejected", acknowledged, ""}}, polls: 1},
		{name: "with repoll and a core that does not answer delivers the same callback",
			earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{Repoll: true, Watch: true}),
			core: []coreAnswer{unavailable}, ends: operation.OutcomeAcknowledged, attempts: times(1, "done", 3, true),
			deliveries: []delivery{{"done", acknowledged, ""}}, polls: 1},
		{name: "with repoll and a core that is slow asks it before it delivers",
			earlier: failed, in: redelivers(paysera(k(2)), workflows.Redelivery{Repoll: true, Watch: true}),
			notInTask: true,
			core:      says("rejected"), ends: operation.OutcomeAcknowledged, attempts: times(1, "rejected", 1, true),
			deliveries: []delivery{{"done", exhausted, ""}, {"rejected", acknowledged, ""}}, polls: 1},
		{name: "of an expired operation goes on with the watch in a lifetime of its own",
			earlier: expired, in: redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Watch: true}),
			core: says("processing", "processing", "done"), ends: operation.OutcomeAcknowledged, attempts: times(1, "done", 1, true),
			deliveries: []delivery{{"done", acknowledged, ""}}, polls: 3, took: 20 * time.Minute},
		{name: "of an expired operation may expire again",
			earlier: expired, in: redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Watch: true}),
			core: says("processing"), ends: operation.OutcomeExpired, polls: 7, took: time.Hour},
		{name: "with repoll of what was acknowledged delivers it no second time",
			earlier: acknowledgedBefore, in: redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Repoll: true, Watch: true}),
			core: says("waiting_funds", "waiting_funds", "reserved"), ends: operation.OutcomeAcknowledged,
			attempts: []attempt{{"reserved", 1, true}}, deliveries: []delivery{{"waiting_funds", acknowledged, ""}, {"reserved", acknowledged, ""}}, polls: 7},
		{name: "by force delivers also what was acknowledged",
			earlier: acknowledgedBefore, in: redelivers(paysera(), workflows.Redelivery{Force: true}),
			ends: operation.OutcomeAcknowledged, attempts: times(1, "waiting_funds", 2, true), deliveries: []delivery{{"waiting_funds", acknowledged, ""}}},
		{name: "can be withdrawn", earlier: failed, in: redelivers(paysera(), workflows.Redelivery{}), receiver: []receiverReply{fails},
			acts: []act{{after: 90 * time.Second, kind: withdraw, bySignal: true}}, ends: operation.OutcomeWithdrawn,
			attempts: times(2, "done", 3, false), deliveries: []delivery{{"done", superseded, withdrawn}}},
	} {
		tt.test(t)
	}
}

func TestAQueryReturnsTheStateOfAnOpenOperation(t *testing.T) {
	t.Parallel()
	var state operation.State
	_, ending := row{in: paysera(), core: says("waiting_funds", "done"), receiver: []receiverReply{fails, fails, ack}}.run(t, func(m *simulator) {
		m.env.RegisterDelayedCallback(func() {
			value, err := m.env.QueryWorkflow(workflows.QueryState)
			require.NoError(t, err)
			require.NoError(t, value.Get(&state))
		}, 90*time.Second)
	})
	require.Equal(t, operation.Delivering, state.Phase)
	require.Equal(t, "waiting_funds", state.Status.Value)
	require.Equal(t, []delivery{{"waiting_funds", operation.DeliveryPending, ""}}, shown(state.Deliveries))
	require.Equal(t, ending.State.RunID, state.RunID)
}
