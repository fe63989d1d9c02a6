package workflows_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

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

// event is something that is said to a run.
type event struct {
	after time.Duration
	do    func(*world)
}

func at(after time.Duration, do func(*world)) event { return event{after, do} }

func pushes(status string) func(*world) {
	return func(w *world) { w.env.SignalWorkflow(workflows.SignalStatus, workflows.Push{Status: status}) }
}

// pushesInThisTask is for the with of an answer or a reply.
func pushesInThisTask(status string) func(*world) {
	return func(w *world) { w.signal(workflows.SignalStatus, workflows.Push{Status: status}) }
}

func asksToPollNow(w *world) { pushes("")(w) }

func withdraws(w *world) { w.env.CancelWorkflow() }

// withdrawsInThisTask is for the with of an answer or a reply.
func withdrawsInThisTask(w *world) { w.cancel() }

// revokes asks by Update; its answer is kept.
func revokes(by string) func(*world) {
	return func(w *world) {
		w.env.UpdateWorkflow(workflows.UpdateRevoke, fmt.Sprint(w.tasks), &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { w.said = append(w.said, "refused: "+err.Error()) },
			OnComplete: func(result any, err error) {
				if err != nil {
					w.said = append(w.said, "failed: "+err.Error())
					return
				}
				w.said = append(w.said, "status "+result.(operation.State).Status.Value)
			},
		}, operation.Revocation{InitiatedBy: by})
	}
}

func revokesBySignal(by string) func(*world) {
	return func(w *world) {
		w.env.SignalWorkflow(workflows.SignalRevoke, operation.Revocation{InitiatedBy: by})
	}
}

// row is one sentence about a run.
type row struct {
	name     string
	in       workflows.Input
	core     []answer
	receiver []reply
	events   []event
	// world changes more of it.
	world func(*world)

	ends operation.Outcome
	// rang are the attempts, as "status#number verdict".
	rang []string
	// shows are the deliveries, as "status outcome reason".
	shows []string
	polls int
	// took is how long the run lasted; said what Updates were answered.
	took time.Duration
	said []string
	// then looks at more.
	then func(*testing.T, *world, operation.Record)
}

// atOnce is the duration of a run that waited for nothing.
const atOnce = -1

func (tt row) test(t *testing.T) {
	t.Helper()
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		w := newWorld(tt.in.Policy)
		w.core, w.receiver = tt.core, tt.receiver
		if tt.world != nil {
			tt.world(w)
		}
		for _, e := range tt.events {
			w.later(e.after, func() { e.do(w) })
		}
		ending, err := w.run(t, tt.in)
		w.holds(t)
		require.Equal(t, tt.ends, ending.State.Outcome, "outcome: %v", err)
		requireClose(t, tt.ends, err)
		require.Equal(t, tt.rang, w.rang(), "attempts")
		require.Equal(t, tt.shows, shown(ending.State.Deliveries), "deliveries")
		require.Equal(t, tt.polls, ending.State.Polls, "polls")
		require.Equal(t, tt.said, w.said, "answers to Updates")
		if tt.took != 0 {
			require.Equal(t, max(tt.took, 0), w.env.Now().Sub(w.started), "duration")
		}
		if tt.then != nil {
			tt.then(t, w, ending)
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

// ending reads how the run closed from where each kind of close event keeps it.
func (w *world) ending(t require.TestingT) (operation.Record, error) {
	require.True(t, w.env.IsWorkflowCompleted())
	var ending operation.Record
	err := w.env.GetWorkflowResult(&ending)
	var failure *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	switch {
	case errors.As(err, &cancelled):
		require.NoError(t, cancelled.Details(&ending))
	case errors.As(err, &failure):
		require.NoError(t, failure.Details(&ending), "%v", err)
	default:
		require.NoError(t, err)
	}
	require.Equal(t, operation.Closed, ending.State.Phase)
	return ending, err
}

func (w *world) rang() []string {
	var rang []string
	for _, a := range w.attempts {
		rang = append(rang, a.String())
	}
	return rang
}

func shown(deliveries []operation.Delivery) []string {
	var shown []string
	for _, d := range deliveries {
		shown = append(shown, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Status, d.Outcome, d.Reason)))
	}
	return shown
}

// times are n attempts about status, numbered from first, the last with verdict.
func times(n int, status string, first int, last operation.Verdict) []string {
	var rang []string
	for i := range n {
		verdict := operation.Unacknowledged
		if i == n-1 {
			verdict = last
		}
		rang = append(rang, fmt.Sprintf("%s#%d %s", status, first+i, verdict))
	}
	return rang
}

func TestPromise2Watch(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "polls at once and then at the schedule's gaps", in: ukrcard(), core: says("0", "0", "2"),
			ends: operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"},
			polls: 3, took: 15 * time.Second},
		{name: "begins after the initial delay", in: ukrcard(initialDelay(time.Minute)), core: says("2"),
			ends: operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"},
			polls: 1, took: time.Minute},
		{name: "makes one more poll than the schedule has gaps", in: ukrcard(), core: says("0"),
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 acknowledged"}, shows: []string{"0 acknowledged polls_used_up"},
			polls: 4, took: 30 * time.Second},
		{name: "makes no more than max_polls", in: ukrcard(maxPolls(2)), core: says("0"),
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 acknowledged"}, shows: []string{"0 acknowledged polls_used_up"},
			polls: 2, took: 5 * time.Second},
		{name: "makes no more than max_polls also where the first one was the last", in: ukrcard(maxPolls(1)), core: says("0"),
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 acknowledged"}, shows: []string{"0 acknowledged polls_used_up"},
			polls: 1, took: atOnce},
		{name: "clips the last poll to the lifetime", in: paysera(lifetime(15 * time.Minute)), core: says("processing", "processing", "done"),
			ends: operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 3, took: 15 * time.Minute},
		{name: "polls a thousand times for the price of one", in: paysera(lifetime(200 * time.Hour)), core: says("processing"),
			ends: operation.OutcomeExpired, polls: 1201, took: 200 * time.Hour,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, []string{workflows.ActivityWatch}, w.activities)
			}},
		{name: "a core that errs costs a poll", in: ukrcard(), core: append([]answer{unavailable, unavailable}, says("2")...),
			ends: operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"},
			polls: 3, took: 15 * time.Second},
		{name: "a core that always errs costs all polls and never the operation", in: ukrcard(), core: []answer{unavailable},
			ends: operation.OutcomeAcknowledged, rang: []string{"#1 acknowledged"}, shows: []string{"acknowledged polls_used_up"},
			polls: 4, took: 30 * time.Second},
		{name: "refused credentials use up no poll", in: ukrcard(),
			core: append([]answer{unauthorized, unauthorized, unauthorized, unauthorized, unauthorized}, says("0", "0", "0", "2")...),
			ends: operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"}, polls: 9},
		{name: "refused credentials cost the operation its lifetime", in: ukrcard(), core: []answer{unauthorized},
			ends: operation.OutcomeAcknowledged, rang: []string{"#1 acknowledged"}, shows: []string{"acknowledged lifetime_over"},
			polls: 241, took: 20 * time.Minute},
		{name: "a first poll that is held back is made by the watch", in: ukrcard(), core: says("0", "2"),
			world: func(w *world) { w.slow = true },
			ends:  operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"},
			polls: 2, took: 5 * time.Second},
		{name: "a status that the core pushes is an observation", in: paysera(), core: says("processing"),
			events: []event{at(time.Minute, pushes("done"))},
			ends:   operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 1, took: time.Minute},
		{name: "a push is newer than the polls before it also where the worker's clock is ahead", in: paysera(),
			core:   []answer{{status: "processing", ahead: time.Hour}},
			events: []event{at(time.Minute, pushes("done"))},
			ends:   operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 1, took: time.Minute},
		{name: "an intermediate status that the core pushes rings, and the watch goes on from it", in: paysera(), core: says("processing", "done"),
			events: []event{at(time.Minute, pushes("reserved"))},
			ends:   operation.OutcomeAcknowledged, rang: []string{"reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"reserved acknowledged", "done acknowledged"}, polls: 2, took: 10 * time.Minute},
		{name: "two statuses pushed at once are both seen, and the watch goes on from the last", in: paysera(every), core: says("processing", "processing", "done"),
			events: []event{
				at(time.Minute, pushes("waiting_funds")), at(time.Minute, pushes("reserved")), at(time.Minute, pushes("reserved")),
			},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, polls: 3, took: 20 * time.Minute},
		{name: "an empty push means poll now", in: paysera(), core: says("processing", "done"),
			events: []event{at(time.Minute, asksToPollNow)},
			ends:   operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 2, took: time.Minute},
		{name: "an empty push means poll now also where the core was slow lately", in: paysera(), core: says("processing", "done"),
			world: func(w *world) { w.slow = true }, events: []event{at(time.Minute, asksToPollNow)},
			ends: operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 2, took: time.Minute},
		{name: "an empty push means poll now also before the initial delay is over", in: paysera(initialDelay(time.Hour)), core: says("done"),
			events: []event{at(time.Minute, asksToPollNow)},
			ends:   operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 1, took: time.Minute},
		{name: "polls that were pushed for count against max_polls", in: ukrcard(maxPolls(3)), core: says("0"),
			events: []event{at(time.Second, asksToPollNow), at(2*time.Second, asksToPollNow)},
			ends:   operation.OutcomeAcknowledged, rang: []string{"0#1 acknowledged"}, shows: []string{"0 acknowledged polls_used_up"},
			polls: 3, took: 2 * time.Second},
		{name: "a poll that was pushed for sees a change and the next watch goes on from it", in: paysera(),
			core: says("waiting_funds", "reserved", "waiting_funds", "done"), events: []event{at(time.Minute, asksToPollNow)},
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 acknowledged", "reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, polls: 4, took: 21 * time.Minute},
		{name: "an empty push during the last poll is no further one", in: ukrcard(maxPolls(1)),
			core: []answer{{status: "0", takes: 300 * time.Millisecond}}, events: []event{at(time.Millisecond, asksToPollNow)},
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 acknowledged"}, shows: []string{"0 acknowledged polls_used_up"}, polls: 1},
		{name: "a watch that ends while its record is read is gathered", in: paysera(), core: says("processing", "done"),
			world: func(w *world) { w.reading = 2 * time.Second }, events: []event{at(599*time.Second, pushes("reserved"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"reserved#1 acknowledged", "done#1 acknowledged"}, shows: []string{"reserved acknowledged", "done acknowledged"},
			polls: 2, took: 601 * time.Second},
		{name: "what began when there was nothing else to tell tells all of an operation, and what begins later does not", in: paysera(),
			core: says("waiting_funds", "reserved", "done"), receiver: []reply{fails, ack, fails, ack}, ends: operation.OutcomeAcknowledged,
			rang:  append(times(2, "waiting_funds", 1, operation.Acknowledged), append(times(2, "reserved", 1, operation.Acknowledged), "done#1 acknowledged")...),
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, polls: 3,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, []bool{false, true}, []bool{w.deliveries[0].Record.Partial, w.deliveries[1].Record.Partial})
				require.True(t, w.watches[1].Record.Partial)
			}},
		{name: "a push before the first poll is an observation", in: paysera(initialDelay(time.Hour)), core: says("done"),
			events: []event{at(time.Minute, pushes("waiting_funds"))},
			ends:   operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "done acknowledged"}, polls: 1, took: time.Hour},
		{name: "a push that arrives with the end of the watch is not lost", in: paysera(lifetime(time.Minute)),
			core: []answer{{status: "processing"}, {status: "processing", with: pushesInThisTask("done")}},
			ends: operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"},
			polls: 2, took: time.Minute},
		{name: "a final status pushed while the last answer rings takes its place", in: ukrcard(maxPolls(1)), core: says("0"),
			receiver: []reply{fails, fails, ack}, events: []event{at(4*time.Second, pushes("2"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 unacknowledged", "0#2 unacknowledged", "2#1 acknowledged"},
			shows: []string{"0 superseded polls_used_up", "2 acknowledged"}, polls: 1, took: 4 * time.Second},
		{name: "a final status pushed during the attempt that ends the last answer's delivery is not lost", in: ukrcard(maxPolls(1), k(1)), core: says("0"),
			receiver: []reply{{status: 500, takes: time.Second}, ack}, events: []event{at(500*time.Millisecond, pushes("2"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"0#1 unacknowledged", "2#1 acknowledged"},
			shows: []string{"0 exhausted polls_used_up", "2 acknowledged"}, polls: 1},
		{name: "the lifetime ends the watch only: a pending delivery finishes first", in: paysera(lifetime(time.Hour), h(time.Hour)),
			core: says("waiting_funds"), receiver: []reply{fails, fails, ack},
			ends: operation.OutcomeAcknowledged, rang: times(3, "waiting_funds", 1, operation.Acknowledged),
			shows: []string{"waiting_funds acknowledged"}, polls: 7, took: 2 * time.Hour},
	} {
		tt.test(t)
	}
}

func TestPromise3And4WhatRingsInWhichOrder(t *testing.T) {
	t.Parallel()
	payseraLife := append(says("waiting_funds", "waiting_funds", "reserved"), says("processing", "done")...)
	for _, tt := range []row{
		{name: "Ukrcard rings once, when it is final", in: ukrcard(), core: says("0", "5", "2"),
			ends: operation.OutcomeAcknowledged, rang: []string{"2#1 acknowledged"}, shows: []string{"2 acknowledged"}, polls: 3},
		{name: "Ukrcard rings without orderStatus if there never was one", in: ukrcard(), core: says(""),
			ends: operation.OutcomeAcknowledged, rang: []string{"#1 acknowledged"}, shows: []string{"acknowledged polls_used_up"}, polls: 4,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, map[string]string{"status": ""}, w.attempts[0].Observation.Raw, "the last answer, not a made-up one")
			}},
		{name: "Ukrcard rings with respStatus 504 if no poll was answered", in: ukrcard(), core: []answer{unavailable},
			ends: operation.OutcomeAcknowledged, rang: []string{"#1 acknowledged"}, shows: []string{"acknowledged polls_used_up"}, polls: 4,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, map[string]string{"respStatus": "504"}, w.attempts[0].Observation.Raw)
			}},
		{name: "Paysera rings for each change to a callback status", in: paysera(), core: payseraLife,
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 acknowledged", "reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, polls: 5, took: 40 * time.Minute},
		{name: "Paysera does not ring for what the client knows", in: paysera(knows("waiting_funds")), core: payseraLife,
			ends: operation.OutcomeAcknowledged, rang: []string{"reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"reserved acknowledged", "done acknowledged"}, polls: 5},
		{name: "Paysera rings only for the operation's statuses", in: paysera(wants("done")), core: payseraLife,
			ends: operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"}, polls: 5},
		{name: "a final status that is not among them ends the operation silently", in: paysera(wants("done")), core: says("rejected"),
			ends: operation.OutcomeAcknowledged, polls: 1},
		{name: "Paysera expires silently", in: paysera(), core: says("processing"), ends: operation.OutcomeExpired, polls: 4321,
			took: 720 * time.Hour},
		{name: "a newer status supersedes an older one that is failing", in: paysera(h(61 * time.Second)), core: says("waiting_funds", "done"),
			receiver: append(slices.Repeat([]reply{fails}, 10), ack),
			ends:     operation.OutcomeAcknowledged,
			rang:     append(times(10, "waiting_funds", 1, operation.Unacknowledged), "done#1 acknowledged"),
			shows:    []string{"waiting_funds superseded", "done acknowledged"}, polls: 2, took: 10 * time.Minute,
			then: func(t *testing.T, _ *world, e operation.Record) {
				require.Len(t, e.State.Deliveries[0].Attempts, 10, "the attempts of what was superseded are kept")
			}},
		{name: "attempts of what was superseded are shown as far as the run knows them where their record cannot be read",
			in: paysera(h(61 * time.Second)), core: says("waiting_funds", "done"), receiver: append(slices.Repeat([]reply{fails}, 10), ack),
			world: func(w *world) { w.unreadable = true },
			ends:  operation.OutcomeAcknowledged,
			rang:  append(times(10, "waiting_funds", 1, operation.Unacknowledged), "done#1 acknowledged"),
			shows: []string{"waiting_funds superseded", "done acknowledged"}, polls: 2,
			then: func(t *testing.T, _ *world, e operation.Record) { require.Len(t, e.State.Deliveries[0].Attempts, 1) }},
		{name: "the attempt in flight ends before the newer status rings", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails, {status: 500, takes: 8 * time.Second}, ack}, events: []event{at(62*time.Second, pushes("done"))},
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 unacknowledged", "waiting_funds#2 unacknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds superseded", "done acknowledged"}, polls: 1, took: 68 * time.Second},
		{name: "an attempt in flight that is acknowledged is no superseded delivery", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails, {status: 200, takes: 8 * time.Second}, ack}, events: []event{at(62*time.Second, pushes("done"))},
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 unacknowledged", "waiting_funds#2 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "done acknowledged"}, polls: 1, took: 68 * time.Second},
		{name: "a delivery that waits in the worker is superseded too", in: paysera(h(4*time.Second), k(100)), core: says("waiting_funds"),
			receiver: []reply{fails}, events: []event{at(10*time.Second, pushes("reserved")), at(15*time.Second, withdraws)},
			ends: operation.OutcomeWithdrawn,
			rang: []string{"waiting_funds#1 unacknowledged", "waiting_funds#2 unacknowledged", "waiting_funds#3 unacknowledged",
				"reserved#1 unacknowledged", "reserved#2 unacknowledged"},
			shows: []string{"waiting_funds superseded", "reserved superseded withdrawn"}, polls: 1, took: 15 * time.Second},
		{name: "a poll that was pushed for supersedes at once", in: paysera(), core: says("waiting_funds", "done"),
			receiver: []reply{fails, ack}, events: []event{at(30*time.Second, asksToPollNow)},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 unacknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds superseded", "done acknowledged"}, polls: 2, took: 30 * time.Second},
		{name: "what was overtaken before it began is superseded unsent", in: paysera(), core: says("waiting_registration"),
			receiver: []reply{fails, {status: 500, takes: 8 * time.Second}, ack},
			events:   []event{at(61*time.Second, pushes("waiting_funds")), at(62*time.Second, pushes("reserved")), at(63*time.Second, pushes("done"))},
			ends:     operation.OutcomeAcknowledged,
			rang:     append(times(2, "waiting_registration", 1, operation.Unacknowledged), "done#1 acknowledged"),
			shows:    []string{"waiting_registration superseded", "waiting_funds superseded", "reserved superseded", "done acknowledged"}, polls: 1},
		{name: "with every, a newer status waits for the older one", in: paysera(every), core: says("waiting_funds", "done"),
			receiver: append(slices.Repeat([]reply{fails}, 12), ack),
			ends:     operation.OutcomeAcknowledged,
			rang:     append(times(13, "waiting_funds", 1, operation.Acknowledged), "done#1 acknowledged"),
			shows:    []string{"waiting_funds acknowledged", "done acknowledged"}, polls: 2, took: 12 * time.Minute},
		{name: "with every, exhaustion releases the next", in: paysera(every, k(12)), core: says("waiting_funds", "done"),
			receiver: append(slices.Repeat([]reply{fails}, 12), ack),
			ends:     operation.OutcomeAcknowledged,
			rang:     append(times(12, "waiting_funds", 1, operation.Unacknowledged), "done#1 acknowledged"),
			shows:    []string{"waiting_funds exhausted", "done acknowledged"}, polls: 2, took: 11 * time.Minute},
		{name: "a status that rang already does not ring again", in: paysera(), core: says("waiting_funds", "reserved", "waiting_funds", "done"),
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 acknowledged", "reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, polls: 4},
		{name: "the answer to a poll begun before a push is dropped, and asked again", in: paysera(),
			core:   []answer{{status: "processing"}, {status: "waiting_funds", takes: 5 * time.Second}, {status: "done"}},
			events: []event{at(10*time.Minute+time.Second, pushes("reserved"))},
			ends:   operation.OutcomeAcknowledged, rang: []string{"reserved#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"reserved acknowledged", "done acknowledged"}, polls: 3, took: 10*time.Minute + 5*time.Second},
		{name: "what contradicts the first final status changes nothing", in: paysera(), core: says("done"),
			receiver: []reply{fails, fails, ack}, events: []event{at(time.Minute, pushes("rejected"))},
			ends: operation.OutcomeAcknowledged, rang: times(3, "done", 1, operation.Acknowledged), shows: []string{"done acknowledged"},
			polls: 1, took: 2 * time.Minute},
	} {
		tt.test(t)
	}
}

func TestPromise5HAndKAreLaw(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "the first attempt is made in the workflow task, the others h after one another", in: ukrcard(), core: says("2"),
			receiver: []reply{{status: 500, takes: 200 * time.Millisecond}, {status: 500, takes: time.Second}, ack},
			ends:     operation.OutcomeAcknowledged, rang: times(3, "2", 1, operation.Acknowledged), shows: []string{"2 acknowledged"}, polls: 1,
			took: 7200 * time.Millisecond,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, []bool{true, false, false}, []bool{w.attempts[0].local, w.attempts[1].local, w.attempts[2].local})
				require.Equal(t, []string{workflows.ActivityDeliver}, w.activities)
			}},
		{name: "k attempts are k, the one in the workflow task included", in: ukrcard(k(3)), core: says("2"), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(3, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1,
			took: 6 * time.Second},
		{name: "k of 1 needs no delivery activity", in: ukrcard(k(1)), core: says("2"), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(1, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) { require.Empty(t, w.activities) }},
		{name: "a first attempt that is held back is made by the delivery", in: ukrcard(k(2)), core: says("2"), receiver: []reply{fails},
			world: func(w *world) { w.slow = true },
			ends:  operation.OutcomeExhausted, rang: times(2, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) { require.False(t, w.attempts[0].local) }},
		{name: "a delivery that was lost at the server's last count goes on where its record says", in: ukrcard(k(4)), core: says("2"),
			receiver: []reply{fails, fails, {status: 500, lost: true}, fails},
			ends:     operation.OutcomeExhausted, rang: times(4, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1,
			then: func(t *testing.T, w *world, e operation.Record) {
				require.Equal(t, []string{workflows.ActivityDeliver, workflows.ActivityDeliver}, w.activities)
				require.Len(t, e.State.Deliveries[0].Attempts, 4)
			}},
		{name: "a delivery that was lost with its last attempt is exhausted", in: ukrcard(k(2)), core: says("2"),
			receiver: []reply{fails, {status: 500, lost: true}, ack},
			ends:     operation.OutcomeExhausted, rang: times(2, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1},
		{name: "a delivery that was lost after a withdrawal is not taken up", in: ukrcard(), core: says("2"),
			receiver: []reply{fails, {status: 500, takes: 5 * time.Second, lost: true}, ack}, events: []event{at(4*time.Second, withdraws)},
			ends: operation.OutcomeWithdrawn, rang: times(2, "2", 1, operation.Unacknowledged), shows: []string{"2 superseded withdrawn"}, polls: 1,
			then: func(t *testing.T, _ *world, e operation.Record) {
				last := e.State.Deliveries[0].Attempts[1]
				require.Equal(t, operation.Unacknowledged, last.Verdict)
				require.NotEmpty(t, last.Reason)
				require.Equal(t, int64(10_000), last.TookMS, "it may have lasted for its time-out")
			}},
		{name: "two callbacks in one workflow task make one attempt in it", in: paysera(every, h(time.Second)),
			core:     says("waiting_funds"),
			receiver: []reply{{status: 200, with: pushesInThisTask("done")}, ack},
			ends:     operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "done acknowledged"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.True(t, w.attempts[0].local)
				require.False(t, w.attempts[1].local, "a second attempt in one workflow task")
			}},
		{name: "beside a watch, also one that was told to end, no attempt is made in a workflow task", in: paysera(h(time.Second)), core: says("processing"),
			receiver: []reply{ack}, events: []event{at(time.Minute, pushes("done"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"done#1 acknowledged"}, shows: []string{"done acknowledged"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.False(t, w.attempts[0].local, "the watch's end would make the server forget the attempt")
			}},
	} {
		tt.test(t)
	}
}

func TestPromise6GoneAndRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "410 ends the delivery and fails the run", in: ukrcard(), core: says("2"), receiver: []reply{fails, gone},
			ends: operation.OutcomeGone, rang: times(2, "2", 1, operation.Unacknowledged), shows: []string{"2 gone 410 Gone"}, polls: 1},
		{name: "an address that the egress guard refuses ends the delivery at once", in: ukrcard(), core: says("2"), receiver: []reply{{egress: true}},
			ends: operation.OutcomeGone, rang: times(1, "2", 1, operation.Unacknowledged), shows: []string{"2 gone egress"}, polls: 1,
			took: atOnce},
		{name: "gone on an intermediate status does not stop the watch", in: paysera(), core: says("waiting_funds", "done"), receiver: []reply{gone, ack},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 unacknowledged", "done#1 acknowledged"},
			shows: []string{"waiting_funds gone 410 Gone", "done acknowledged"}, polls: 2},
	} {
		tt.test(t)
	}
}

func TestPromise7Revocation(t *testing.T) {
	t.Parallel()
	revoked := []string{"status revoked"}
	for _, tt := range []row{
		{name: "by Update ends the watch and rings", in: paysera(), core: says("waiting_funds"), events: []event{at(time.Minute, revokes("core"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "revoked#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "revoked acknowledged"}, polls: 1, took: time.Minute, said: revoked},
		{name: "by Signal does the same", in: paysera(), core: says("waiting_funds"), events: []event{at(time.Minute, revokesBySignal("user"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "revoked#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "revoked acknowledged"}, polls: 1, took: time.Minute},
		{name: "before the first poll is allowed", in: paysera(initialDelay(time.Hour)), core: says("done"), events: []event{at(time.Minute, revokes("core"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"revoked#1 acknowledged"}, shows: []string{"revoked acknowledged"}, said: revoked,
			took: time.Minute},
		{name: "by the client rings nobody", in: paysera(), core: says("waiting"), events: []event{at(time.Minute, revokes("client"))},
			ends: operation.OutcomeRevoked, polls: 1, took: time.Minute, said: revoked,
			then: func(t *testing.T, _ *world, e operation.Record) {
				require.Equal(t, "client", e.State.Revocation.InitiatedBy)
				require.Equal(t, "revoked", e.State.Status.Value)
				require.True(t, e.State.Status.Final)
			}},
		{name: "of a Ukrcard operation rings nobody: the dialect has no word for it", in: ukrcard(), core: says("0"),
			events: []event{at(time.Second, revokes("core"))}, ends: operation.OutcomeRevoked, polls: 1, took: time.Second, said: revoked},
		{name: "is refused where the status does not allow it", in: paysera(lifetime(time.Hour)), core: says("processing"),
			events: []event{at(time.Minute, revokes("core"))}, ends: operation.OutcomeExpired, polls: 7,
			said: []string{`refused: The operation SHOP/1 has status "processing", which can't be revoked.`}},
		{name: "by Signal is ignored where the status does not allow it", in: paysera(lifetime(time.Hour)), core: says("processing"),
			events: []event{at(time.Minute, revokesBySignal("core"))}, ends: operation.OutcomeExpired, polls: 7},
		{name: "twice is once", in: paysera(), core: says("waiting_funds"), receiver: []reply{ack, fails, fails, ack},
			events: []event{at(time.Minute, revokes("core")), at(2*time.Minute, revokes("client"))},
			ends:   operation.OutcomeAcknowledged,
			rang:   append([]string{"waiting_funds#1 acknowledged"}, times(3, "revoked", 1, operation.Acknowledged)...),
			shows:  []string{"waiting_funds acknowledged", "revoked acknowledged"}, polls: 1, said: []string{"status revoked", "status revoked"}},
		{name: "supersedes what is pending, after the attempt in flight", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails, {status: 500, takes: 8 * time.Second}, ack}, events: []event{at(62*time.Second, revokes("core"))},
			ends:  operation.OutcomeAcknowledged,
			rang:  []string{"waiting_funds#1 unacknowledged", "waiting_funds#2 unacknowledged", "revoked#1 acknowledged"},
			shows: []string{"waiting_funds superseded revoked", "revoked acknowledged"}, polls: 1, took: 68 * time.Second, said: revoked},
		{name: "by the client leaves an attempt in flight its acknowledgement", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails, {status: 200, takes: 8 * time.Second}}, events: []event{at(62*time.Second, revokes("client"))},
			ends: operation.OutcomeAcknowledged, rang: times(2, "waiting_funds", 1, operation.Acknowledged),
			shows: []string{"waiting_funds acknowledged"}, polls: 1, took: 68 * time.Second, said: revoked},
		{name: "by the client supersedes what waits on the server at once", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails}, events: []event{at(30*time.Second, revokes("client"))},
			ends: operation.OutcomeRevoked, rang: []string{"waiting_funds#1 unacknowledged"},
			shows: []string{"waiting_funds superseded revoked"}, polls: 1, took: 30 * time.Second, said: revoked},
		{name: "during a long attempt in the workflow task is not lost", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{{status: 200, takes: 3 * time.Second}, ack}, events: []event{at(time.Second, revokesBySignal("core"))},
			ends: operation.OutcomeAcknowledged, rang: []string{"waiting_funds#1 acknowledged", "revoked#1 acknowledged"},
			shows: []string{"waiting_funds acknowledged", "revoked acknowledged"}, polls: 1, took: 3 * time.Second},
		{name: "that arrives with the end of the watch is not lost", in: paysera(lifetime(time.Minute)),
			core: []answer{{status: "waiting"}, {status: "waiting", with: func(w *world) {
				w.signal(workflows.SignalRevoke, operation.Revocation{InitiatedBy: "core"})
			}}},
			ends: operation.OutcomeAcknowledged, rang: []string{"revoked#1 acknowledged"}, shows: []string{"revoked acknowledged"}, polls: 2},
		{name: "after a final status is refused", in: paysera(), core: says("done"), receiver: []reply{fails, ack}, events: []event{at(time.Second, revokes("core"))},
			ends: operation.OutcomeAcknowledged, rang: times(2, "done", 1, operation.Acknowledged), shows: []string{"done acknowledged"}, polls: 1,
			said: []string{`refused: The operation SHOP/1 is final with status "done" and can't be revoked.`}},
		{name: "by a Signal that nobody can read is ignored", in: paysera(lifetime(time.Hour)), core: says("waiting"),
			events: []event{at(time.Minute, func(w *world) { w.env.SignalWorkflow(workflows.SignalRevoke, 7) })},
			ends:   operation.OutcomeExpired, polls: 7},
	} {
		tt.test(t)
	}
}

func TestPromise8Withdrawal(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "ends the watch", in: paysera(), core: says("processing"), events: []event{at(time.Hour, withdraws)},
			ends: operation.OutcomeWithdrawn, polls: 7, took: time.Hour},
		{name: "ends a delivery that waits on the server at once", in: paysera(), core: says("done"), receiver: []reply{fails},
			events: []event{at(90*time.Second, withdraws)},
			ends:   operation.OutcomeWithdrawn, rang: times(2, "done", 1, operation.Unacknowledged), shows: []string{"done superseded withdrawn"},
			polls: 1, took: 90 * time.Second,
			then: func(t *testing.T, _ *world, e operation.Record) { require.Len(t, e.State.Deliveries[0].Attempts, 2) }},
		{name: "ends a delivery whose wait the server gave up for the cancellation", in: paysera(k(21)), core: says("done"), receiver: []reply{fails},
			events: []event{at(90*time.Second, withdraws)},
			ends:   operation.OutcomeWithdrawn, rang: times(2, "done", 1, operation.Unacknowledged), shows: []string{"done superseded withdrawn"},
			polls: 1, took: 90 * time.Second},
		{name: "leaves an attempt in flight its time", in: ukrcard(), core: says("2"), receiver: []reply{fails, {status: 500, takes: 9 * time.Second}},
			events: []event{at(4*time.Second, withdraws)},
			ends:   operation.OutcomeWithdrawn, rang: times(2, "2", 1, operation.Unacknowledged), shows: []string{"2 superseded withdrawn"},
			polls: 1, took: 12 * time.Second},
		{name: "leaves an attempt in flight its acknowledgement", in: ukrcard(), core: says("2"), receiver: []reply{fails, {status: 200, takes: 9 * time.Second}},
			events: []event{at(4*time.Second, withdraws)},
			ends:   operation.OutcomeAcknowledged, rang: times(2, "2", 1, operation.Acknowledged), shows: []string{"2 acknowledged"},
			polls: 1, took: 12 * time.Second},
		{name: "leaves an attempt in the workflow task its acknowledgement", in: ukrcard(), core: says("2"), receiver: []reply{{status: 200, takes: 3 * time.Second}},
			events: []event{at(time.Second, withdraws)},
			ends:   operation.OutcomeAcknowledged, rang: times(1, "2", 1, operation.Acknowledged), shows: []string{"2 acknowledged"},
			polls: 1, took: 3 * time.Second},
		{name: "together with the acknowledgement comes too late", in: ukrcard(), core: says("2"), receiver: []reply{fails, {status: 200, with: withdrawsInThisTask}},
			ends: operation.OutcomeAcknowledged, rang: times(2, "2", 1, operation.Acknowledged), shows: []string{"2 acknowledged"}, polls: 1},
		{name: "together with the end of the watch is a withdrawal", in: paysera(lifetime(time.Hour)),
			core: append(says("processing", "processing", "processing", "processing", "processing", "processing"),
				answer{status: "processing", with: withdrawsInThisTask}),
			ends: operation.OutcomeWithdrawn, polls: 7, took: time.Hour},
		{name: "together with the acknowledgement in the workflow task comes too late", in: ukrcard(), core: says("2"),
			receiver: []reply{{status: 200, with: withdrawsInThisTask}},
			ends:     operation.OutcomeAcknowledged, rang: times(1, "2", 1, operation.Acknowledged), shows: []string{"2 acknowledged"}, polls: 1},
		{name: "rings nothing any more, whatever is pushed while an attempt is in flight", in: paysera(), core: says("waiting_funds"),
			receiver: []reply{fails, {status: 500, takes: 9 * time.Second}, ack},
			events:   []event{at(62*time.Second, withdraws), at(63*time.Second, pushes("done")), at(64*time.Second, revokes("core"))},
			ends:     operation.OutcomeWithdrawn, rang: times(2, "waiting_funds", 1, operation.Unacknowledged),
			shows: []string{"waiting_funds superseded withdrawn"}, polls: 1, took: 69 * time.Second,
			said: []string{"refused: The operation SHOP/1 was withdrawn; it is not watched any more."}},
		{name: "during the last attempt ends the watch beside it", in: paysera(every, h(601*time.Second)), core: says("waiting_funds", "reserved"),
			receiver: []reply{fails, ack, {status: 200, takes: 3 * time.Second}}, events: []event{at(602*time.Second, withdraws)},
			ends:  operation.OutcomeAcknowledged,
			rang:  append(times(2, "waiting_funds", 1, operation.Acknowledged), "reserved#1 acknowledged"),
			shows: []string{"waiting_funds acknowledged", "reserved acknowledged"}, polls: 2, took: 604 * time.Second,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Error(t, w.lastWatch.Err(), "a watch is left behind")
			}},
		{name: "before anything was done is a withdrawal", in: paysera(initialDelay(time.Hour)), core: says("done"), events: []event{at(time.Minute, withdraws)},
			ends: operation.OutcomeWithdrawn, took: time.Minute},
	} {
		tt.test(t)
	}
}

func TestPromise9Exhausted(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "on the last callback owed fails the run with the state in its details", in: ukrcard(k(3)), core: says("0", "2"), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(3, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 2,
			then: func(t *testing.T, w *world, e operation.Record) {
				require.Equal(t, "2", e.Callbacks[0].Observation.Status)
				require.Len(t, e.State.Deliveries[0].Attempts, 3)
				require.NotEmpty(t, e.State.RunID)
				require.ErrorContains(t, w.env.GetWorkflowError(), `about status "2" is exhausted after 3 attempts; the last: HTTP 500`)
			}},
		{name: "the failure's message counts attempts of which only the newest are kept", in: ukrcard(k(120)), core: says("2"), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(120, "2", 1, operation.Unacknowledged), shows: []string{"2 exhausted"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.ErrorContains(t, w.env.GetWorkflowError(), "exhausted after 120 attempts")
			}},
		{name: "on an intermediate status does not stop the watch", in: paysera(k(2)), core: says("waiting_funds", "done"), receiver: []reply{fails, fails, ack},
			ends: operation.OutcomeAcknowledged, rang: append(times(2, "waiting_funds", 1, operation.Unacknowledged), "done#1 acknowledged"),
			shows: []string{"waiting_funds exhausted", "done acknowledged"}, polls: 2},
		{name: "on an intermediate status fails the run if nothing is owed after it", in: paysera(k(2), lifetime(time.Hour)),
			core: says("waiting_funds"), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(2, "waiting_funds", 1, operation.Unacknowledged),
			shows: []string{"waiting_funds exhausted"}, polls: 7},
		{name: "the failure names the callback that is exhausted, not one that was dropped after it", in: paysera(every, k(2)),
			core: says("waiting_registration"), receiver: []reply{fails, {status: 500, takes: 9 * time.Second}},
			events: []event{at(61*time.Second, pushes("waiting_funds")), at(62*time.Second, revokes("client"))},
			ends:   operation.OutcomeExhausted, rang: times(2, "waiting_registration", 1, operation.Unacknowledged),
			shows: []string{"waiting_registration exhausted", "waiting_funds superseded revoked"}, polls: 1, said: []string{"status revoked"},
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.ErrorContains(t, w.env.GetWorkflowError(), `about status "waiting_registration" is exhausted after 2 attempts`)
			}},
	} {
		tt.test(t)
	}
}

// before is the ending of a first run of in.
func before(in workflows.Input, core []answer, receiver ...reply) operation.Record {
	w := newWorld(in.Policy)
	w.core, w.receiver = core, receiver
	ending, _ := w.run(panics{}, in)
	return ending
}

// panics is a test's hand outside of a test.
type panics struct{}

func (panics) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (panics) FailNow()                  { panic("a run that a test builds on failed") }

// redelivers is in as an engineer's new run.
func redelivers(in workflows.Input, r workflows.Redelivery) workflows.Input {
	in.Redelivery = &r
	return in
}

func TestPromise10Redelivery(t *testing.T) {
	t.Parallel()
	failed := before(paysera(k(2)), says("done"), fails)
	expired := before(paysera(lifetime(time.Hour)), says("processing"))
	rang := before(paysera(lifetime(time.Hour)), says("waiting_funds"), ack)
	unanswered := before(ukrcard(k(2)), says("5"), fails)
	for _, tt := range []row{
		{name: "rings the same callback, and its attempt numbers go on", in: redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed}),
			core: says("rejected"), receiver: []reply{fails, ack},
			ends: operation.OutcomeAcknowledged, rang: times(2, "done", 3, operation.Acknowledged), shows: []string{"done acknowledged"},
			then: func(t *testing.T, w *world, e operation.Record) {
				require.Equal(t, failed.Callbacks[0], w.attempts[0].Callback, "the same body")
				require.Len(t, e.State.Deliveries[0].Attempts, 4)
				require.Empty(t, w.polls, "nobody was asked")
			}},
		{name: "has k attempts of its own", in: redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed}), receiver: []reply{fails},
			ends: operation.OutcomeExhausted, rang: times(2, "done", 3, operation.Unacknowledged), shows: []string{"done exhausted"}},
		{name: "with repoll and the same status rings the same callback",
			in:   redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed, Repoll: true, Watch: true}),
			core: says("done"), ends: operation.OutcomeAcknowledged, rang: times(1, "done", 3, operation.Acknowledged),
			shows: []string{"done acknowledged"}, polls: 1,
			then: func(t *testing.T, w *world, _ operation.Record) {
				require.Equal(t, failed.Callbacks[0], w.attempts[0].Callback, "the same body")
			}},
		{name: "with repoll and another status rings that one",
			in:   redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed, Repoll: true, Watch: true}),
			core: says("rejected"), ends: operation.OutcomeAcknowledged, rang: times(1, "rejected", 1, operation.Acknowledged),
			shows: []string{"done exhausted", "rejected acknowledged"}, polls: 1},
		{name: "with repoll and another status rings that one also where the worker's clock was set back since",
			in:   redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed, Repoll: true, Watch: true}),
			core: []answer{{status: "rejected", ahead: -60 * 24 * time.Hour}},
			ends: operation.OutcomeAcknowledged, rang: times(1, "rejected", 1, operation.Acknowledged),
			shows: []string{"done exhausted", "rejected acknowledged"}, polls: 1},
		{name: "with repoll and a core that does not answer rings the same callback",
			in:   redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed, Repoll: true, Watch: true}),
			core: []answer{unavailable}, ends: operation.OutcomeAcknowledged, rang: times(1, "done", 3, operation.Acknowledged),
			shows: []string{"done acknowledged"}, polls: 1},
		{name: "with repoll and a core that is slow asks it before it rings",
			in:    redelivers(paysera(k(2)), workflows.Redelivery{Previous: failed, Repoll: true, Watch: true}),
			world: func(w *world) { w.slow = true },
			core:  says("rejected"), ends: operation.OutcomeAcknowledged, rang: times(1, "rejected", 1, operation.Acknowledged),
			shows: []string{"done exhausted", "rejected acknowledged"}, polls: 1},
		{name: "of an expired operation goes on with the watch in a lifetime of its own",
			in:   redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Previous: expired, Watch: true}),
			core: says("processing", "processing", "done"), ends: operation.OutcomeAcknowledged, rang: times(1, "done", 1, operation.Acknowledged),
			shows: []string{"done acknowledged"}, polls: 3, took: 20 * time.Minute},
		{name: "of an expired operation may expire again",
			in:   redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Previous: expired, Watch: true}),
			core: says("processing"), ends: operation.OutcomeExpired, polls: 7, took: time.Hour},
		{name: "with repoll of what was acknowledged rings it no second time",
			in:   redelivers(paysera(lifetime(time.Hour)), workflows.Redelivery{Previous: rang, Repoll: true, Watch: true}),
			core: says("waiting_funds", "waiting_funds", "reserved"), ends: operation.OutcomeAcknowledged,
			rang: []string{"reserved#1 acknowledged"}, shows: []string{"waiting_funds acknowledged", "reserved acknowledged"}, polls: 7},
		{name: "by force rings also what was acknowledged",
			in:   redelivers(paysera(), workflows.Redelivery{Previous: rang, Force: true}),
			ends: operation.OutcomeAcknowledged, rang: times(1, "waiting_funds", 2, operation.Acknowledged), shows: []string{"waiting_funds acknowledged"}},
		{name: "of used-up polls rings the same callback with the same reason",
			in:   redelivers(ukrcard(k(2)), workflows.Redelivery{Previous: unanswered}),
			ends: operation.OutcomeAcknowledged, rang: times(1, "5", 3, operation.Acknowledged), shows: []string{"5 acknowledged polls_used_up"}},
		{name: "of used-up polls with repoll rings the final status instead",
			in:   redelivers(ukrcard(k(2)), workflows.Redelivery{Previous: unanswered, Repoll: true, Watch: true}),
			core: says("2"), ends: operation.OutcomeAcknowledged, rang: times(1, "2", 1, operation.Acknowledged),
			shows: []string{"5 exhausted polls_used_up", "2 acknowledged"}, polls: 1},
		{name: "can be withdrawn", in: redelivers(paysera(), workflows.Redelivery{Previous: failed}), receiver: []reply{fails},
			events: []event{at(90*time.Second, withdraws)}, ends: operation.OutcomeWithdrawn,
			rang: times(2, "done", 3, operation.Unacknowledged), shows: []string{"done superseded withdrawn"}},
	} {
		tt.test(t)
	}
}

func TestStateIsToldWhileAnOperationIsOpen(t *testing.T) {
	t.Parallel()
	in := paysera()
	w := newWorld(in.Policy)
	w.core, w.receiver = says("waiting_funds", "done"), []reply{fails, fails, ack}
	var state operation.State
	w.later(90*time.Second, func() {
		value, err := w.env.QueryWorkflow(workflows.QueryState)
		require.NoError(t, err)
		require.NoError(t, value.Get(&state))
	})
	ending, err := w.run(t, in)
	require.NoError(t, err)
	require.Equal(t, operation.Delivering, state.Phase)
	require.Equal(t, "waiting_funds", state.Status.Value)
	require.Equal(t, []string{"waiting_funds pending"}, shown(state.Deliveries))
	require.Equal(t, ending.State.RunID, state.RunID)
}
