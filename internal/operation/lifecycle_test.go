package operation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

// The rules of the two systems, as their sources publish them.
var (
	ukrcardRules = operation.Rules{
		Final: []string{"1", "2", "revoked"}, Delivered: []string{"1", "2"},
		Revocable: []string{"0", "5"}, Revoked: "revoked",
		DeliversUnanswered: true, NoAnswer: map[string]string{"respStatus": "504"},
	}
	payseraRules = operation.Rules{
		Final:     []string{"done", "rejected", "revoked", "failed"},
		Delivered: []string{"waiting_funds", "waiting_registration", "waiting_password", "reserved", "done", "rejected", "revoked", "failed"},
		Revocable: []string{"new", "waiting", "waiting_*", "reserved"}, Revoked: "revoked",
	}
)

var key = operation.Key{Endpoint: "SHOP", OperationID: "1"}

// ukrcard and paysera open a op, changed by what a row needs.
func ukrcard(change ...func(*operation.LifecycleOptions)) operation.LifecycleOptions {
	return opening(ukrcardRules, change)
}

func paysera(change ...func(*operation.LifecycleOptions)) operation.LifecycleOptions {
	return opening(payseraRules, change)
}

func opening(rules operation.Rules, change []func(*operation.LifecycleOptions)) operation.LifecycleOptions {
	o := operation.LifecycleOptions{Key: key, Rules: rules, Supersede: operation.SupersedeLatest}
	for _, c := range change {
		c(&o)
	}
	return o
}

func every(o *operation.LifecycleOptions) { o.Supersede = operation.SupersedeEvery }

func knows(status string) func(*operation.LifecycleOptions) {
	return func(o *operation.LifecycleOptions) { o.KnownStatus = status }
}

func wants(statuses ...string) func(*operation.LifecycleOptions) {
	return func(o *operation.LifecycleOptions) { o.Statuses = statuses }
}

func repoll(o *operation.LifecycleOptions) { o.Repoll = true }
func force(o *operation.LifecycleOptions)  { o.Force = true }

// after makes it a redelivery of what a first run came to.
func after(steps ...step) func(*operation.LifecycleOptions) {
	return func(o *operation.LifecycleOptions) {
		first := *o
		first.Repoll, first.Force = false, false
		r := play(first, steps)
		record := r.op.Record()
		o.Previous = &record
	}
}

// run is a op under test, with a clock that goes on by a second per step.
type run struct {
	op  *operation.Lifecycle
	now operation.Time
	// begun is when the poll in flight began.
	begun    operation.Time
	rung     []string
	attempts int
	fault    string
}

type step func(*run)

func play(o operation.LifecycleOptions, steps []step) *run {
	r := &run{op: operation.NewLifecycle(o), now: operation.At(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))}
	if o.Previous != nil {
		r.now = r.now.Add(time.Hour)
	}
	for i, s := range steps {
		r.now = r.now.Add(time.Second)
		s(r)
		if r.fault != "" {
			r.fault = fmt.Sprintf("step %d: %s", i+1, r.fault)
			return r
		}
	}
	return r
}

func (r *run) expect(what string, want, got any) {
	if want != got {
		r.fault = fmt.Sprintf("%s is %v, not %v", what, got, want)
	}
}

// sees records the answer to a poll that began just now.
func sees(status string) step { return recorded("", status) }

// recorded is sees, where it matters what became of the observation.
func recorded(as operation.ObservationResult, status string) step {
	return func(r *run) {
		begun := r.now
		if !r.begun.IsZero() {
			begun = r.begun
		}
		got := r.op.Observe(operation.Observation{Status: status, Raw: raw(status), BegunAt: begun, ObservedAt: r.now})
		r.begun = operation.Time{}
		if as != "" {
			r.expect("what became of "+status, as, got)
		}
	}
}

func raw(status string) map[string]string {
	if status == "" {
		return map[string]string{"respStatus": "404"}
	}
	return map[string]string{"orderStatus": status}
}

// pushed records what the core said by itself.
func pushed(status string) step { return sees(status) }

// asks begins a poll whose answer is the next sees.
func asks(r *run) { r.begun = r.now }

// begins takes the next callback owed: about that status, "-" for none.
func begins(status string) step {
	return func(r *run) {
		if _, delivering := r.op.CurrentDelivery(); delivering || !r.op.HasPending() {
			r.expect("the callback owed", status, "-")
			return
		}
		c, record := r.op.StartDelivery()
		r.expect("the callback owed", status, c.Observation.Status)
		if c.ID != operation.CallbackID(key, c.Observation.Status) {
			r.fault = "the callback's id is not that of its status"
		}
		r.rung = append(r.rung, c.Observation.Status)
		r.attempts = len(record.Delivery.Attempts)
	}
}

// settles ends the delivery in hand with one more attempt made.
func settles(outcome operation.DeliveryOutcome) step {
	return func(r *run) {
		record, _ := r.op.CurrentDelivery()
		record.BeginAttempt(r.now)
		record.Delivery.Outcome = outcome
		r.op.RecordDelivery(record)
	}
}

var (
	acknowledged step = settles(operation.DeliveryAcknowledged)
	exhausted    step = settles(operation.DeliveryExhausted)
	gone         step = settles(operation.DeliveryGone)
	givenUp      step = settles(operation.DeliverySuperseded)
)

func unwanted(want bool) step {
	return func(r *run) { r.expect("that the delivery in hand is unwanted", want, r.op.ShouldStopDelivery()) }
}

func revokes(by string) step {
	return func(r *run) {
		if err := r.op.Revoke(operation.Revocation{InitiatedBy: by, At: r.now}); err != nil {
			r.fault = err.Error()
		}
	}
}

// refusesRevocation wants a refusal that says so.
func refusesRevocation(saying string) step {
	return func(r *run) {
		before := r.op.State()
		err := r.op.Revoke(operation.Revocation{InitiatedBy: "core", At: r.now})
		if err == nil || !strings.Contains(err.Error(), saying) {
			r.fault = fmt.Sprintf("the refusal is %v, not one that says %q", err, saying)
		}
		r.expect("the state's revocation", before.Revocation, r.op.State().Revocation)
	}
}

func withdraws(r *run) { r.op.Withdraw() }

func pollsUsedUp(r *run)  { r.op.EndWatch(operation.ReasonPollsUsedUp, r.now) }
func lifetimeOver(r *run) { r.op.EndWatch(operation.ReasonLifetimeOver, r.now) }

// redelivers is a redelivery's; it only delivers, so its watch is over.
func redelivers(r *run) { r.op.Redeliver(); r.op.StopWatch() }

func watching(want bool) step {
	return func(r *run) { r.expect("that the watch goes on", want, r.op.Watching()) }
}

// row is one sentence about the op and the steps that show it.
type row struct {
	name  string
	from  operation.LifecycleOptions
	steps []step
	// ends is the outcome; empty: the operation goes on.
	ends operation.Outcome
	// shows are the deliveries as "status outcome", with a reason if there is one.
	shows []string
	// status is what is shown as the operation's, "!" after it if final.
	status string
}

func (tt row) test(t *testing.T) {
	t.Helper()
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		r := play(tt.from, tt.steps)
		require.Empty(t, r.fault)
		state := r.op.State()
		require.Equal(t, tt.ends, state.Outcome, "outcome")
		require.Equal(t, tt.ends != "", r.op.Closed(), "over")
		require.Equal(t, tt.ends != "", state.Phase == operation.Closed, "phase %s", state.Phase)
		require.Equal(t, tt.shows, deliveries(state), "deliveries")
		require.Equal(t, tt.status, shown(state), "status")
	})
}

func deliveries(s operation.State) []string {
	var shown []string
	for _, d := range s.Deliveries {
		shown = append(shown, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Status, d.Outcome, d.Reason)))
	}
	return shown
}

func shown(s operation.State) string {
	switch {
	case s.Status == nil:
		return ""
	case s.Status.Final:
		return s.Status.Value + "!"
	}
	return s.Status.Value
}

func TestPromise3WhatRings(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"Ukrcard rings for orderStatus 2 and for nothing before it", ukrcard(),
			[]step{sees("0"), begins("-"), sees("0"), begins("-"), sees("2"), watching(false), begins("2"), acknowledged},
			operation.OutcomeAcknowledged, []string{"2 acknowledged"}, "2!"},
		{"Ukrcard rings for orderStatus 1", ukrcard(), []step{sees("1"), begins("1"), acknowledged},
			operation.OutcomeAcknowledged, []string{"1 acknowledged"}, "1!"},
		{"Ukrcard rings with the last answer when the polls are used up", ukrcard(),
			[]step{sees("0"), sees("5"), pollsUsedUp, begins("5"), acknowledged},
			operation.OutcomeAcknowledged, []string{"5 acknowledged polls_used_up"}, "5"},
		{"Ukrcard rings with the last answer when the lifetime is over", ukrcard(),
			[]step{sees("0"), lifetimeOver, begins("0"), acknowledged},
			operation.OutcomeAcknowledged, []string{"0 acknowledged lifetime_over"}, "0"},
		{"Ukrcard rings without orderStatus when the last answer had none", ukrcard(),
			[]step{sees("0"), sees(""), pollsUsedUp, begins(""), acknowledged},
			operation.OutcomeAcknowledged, []string{"acknowledged polls_used_up"}, ""},
		{"Ukrcard rings when the polls are used up also for a status that the client knew", ukrcard(knows("0")),
			[]step{sees("0"), pollsUsedUp, begins("0"), acknowledged},
			operation.OutcomeAcknowledged, []string{"0 acknowledged polls_used_up"}, "0"},
		{"Ukrcard does not ring twice when both ends of the watch are said", ukrcard(),
			[]step{sees("0"), pollsUsedUp, lifetimeOver, begins("0"), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"0 acknowledged polls_used_up"}, "0"},
		{"the end of the watch rings nothing after a final status", ukrcard(),
			[]step{sees("2"), pollsUsedUp, begins("2"), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"2 acknowledged"}, "2!"},
		{"a final status pushed after the polls were used up takes the place of what is failing", ukrcard(),
			[]step{sees("0"), pollsUsedUp, begins("0"), unwanted(false), pushed("2"), unwanted(true), givenUp, begins("2"), acknowledged},
			operation.OutcomeAcknowledged, []string{"0 superseded polls_used_up", "2 acknowledged"}, "2!"},
		{"Paysera rings for each change, the first observation included", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("reserved"), begins("reserved"), acknowledged,
				watching(true), sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, "done!"},
		{"a status that the client knows already does not ring", paysera(knows("waiting_funds")),
			[]step{sees("waiting_funds"), begins("-"), sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"a final status that the client knows already ends the operation as acknowledged", paysera(knows("done")),
			[]step{sees("done"), begins("-")}, operation.OutcomeAcknowledged, nil, "done!"},
		{"a status outside of the eight does not ring", paysera(),
			[]step{sees("processing"), begins("-"), sees("frozen"), begins("-"), watching(true)},
			"", nil, "frozen"},
		{"only the operation's own statuses ring", paysera(wants("done")),
			[]step{sees("waiting_funds"), begins("-"), sees("reserved"), begins("-"), sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"a final status outside of the operation's statuses ends it without ringing", paysera(wants("done")),
			[]step{sees("rejected"), begins("-")}, operation.OutcomeAcknowledged, nil, "rejected!"},
		{"Paysera expires silently", paysera(), []step{sees("processing"), lifetimeOver, begins("-")},
			operation.OutcomeExpired, nil, "processing"},
		{"Paysera expires silently although it was never answered", paysera(), []step{lifetimeOver, begins("-")},
			operation.OutcomeExpired, nil, ""},
		{"the outcome of an expired operation that rang is that of the last callback owed", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, lifetimeOver},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"the lifetime ends the watch, and a pending delivery finishes first", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), lifetimeOver, watching(false), unwanted(false)},
			"", []string{"waiting_funds pending"}, "waiting_funds"},
	} {
		tt.test(t)
	}
}

func TestPromise3UnansweredIsRungWith504AndNoOrderStatus(t *testing.T) {
	t.Parallel()
	r := play(ukrcard(), []step{pollsUsedUp})
	require.True(t, r.op.HasPending())
	c, _ := r.op.StartDelivery()
	require.Equal(t, operation.ReasonPollsUsedUp, c.Reason)
	require.Equal(t, operation.Observation{
		Raw: map[string]string{"respStatus": "504"}, BegunAt: r.now, ObservedAt: r.now,
	}, c.Observation)
}

func TestPromise3TheLastAnswerIsNeverMixedWithAnother(t *testing.T) {
	t.Parallel()
	r := play(ukrcard(), []step{sees("5"), sees(""), pollsUsedUp})
	require.True(t, r.op.HasPending())
	c, _ := r.op.StartDelivery()
	require.Empty(t, c.Observation.Status)
	require.Equal(t, raw(""), c.Observation.Raw)
}

func TestPromise4Order(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"while a callback is being delivered no other begins", paysera(every),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), begins("-"), acknowledged, begins("reserved")},
			"", []string{"waiting_funds acknowledged", "reserved pending"}, "reserved"},
		{"while an older callback is failing the watch goes on", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), watching(true), unwanted(false)},
			"", []string{"waiting_funds pending"}, "waiting_funds"},
		{"a newer status that rings supersedes the one in hand", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), unwanted(true), begins("-"), givenUp, begins("reserved")},
			"", []string{"waiting_funds superseded", "reserved pending"}, "reserved"},
		{"an attempt in flight that is acknowledged is not superseded", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), unwanted(true), acknowledged, begins("reserved")},
			"", []string{"waiting_funds acknowledged", "reserved pending"}, "reserved"},
		{"of the statuses seen during one attempt only the latest rings", paysera(),
			[]step{sees("waiting_registration"), begins("waiting_registration"), sees("waiting_funds"), sees("reserved"), acknowledged, begins("reserved"), acknowledged},
			"", []string{"waiting_registration acknowledged", "waiting_funds superseded", "reserved acknowledged"}, "reserved"},
		{"the delivery in hand is the one that settles, whatever was dropped meanwhile", paysera(),
			[]step{sees("waiting_registration"), begins("waiting_registration"), sees("waiting_funds"), sees("reserved"), sees("done"), exhausted, begins("done"), exhausted},
			operation.OutcomeExhausted,
			[]string{"waiting_registration exhausted", "waiting_funds superseded", "reserved superseded", "done exhausted"}, "done!"},
		{"a newer status that does not ring supersedes nothing", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("processing"), unwanted(false), acknowledged},
			"", []string{"waiting_funds acknowledged"}, "processing"},
		{"a status that rang already supersedes nothing", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("reserved"), begins("reserved"),
				recorded(operation.ObservedRepeat, "waiting_funds"), unwanted(false)},
			"", []string{"waiting_funds acknowledged", "reserved pending"}, "waiting_funds"},
		{"with every, a newer status queues behind the one in hand", paysera(every),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), sees("done"), unwanted(false), acknowledged,
				begins("reserved"), unwanted(false), acknowledged, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged", "reserved acknowledged", "done acknowledged"}, "done!"},
		{"with every, exhaustion releases the next", paysera(every),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("done"), exhausted, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds exhausted", "done acknowledged"}, "done!"},
		{"with every, a receiver that is gone releases the next", paysera(every),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("done"), gone, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds gone", "done acknowledged"}, "done!"},
		{"a final callback in hand is never superseded", paysera(),
			[]step{sees("done"), begins("done"), recorded(operation.ObservedContradiction, "rejected"), unwanted(false), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"an answer to a poll begun before the last observation is dropped", paysera(),
			[]step{asks, func(r *run) { begun := r.begun; r.begun = operation.Time{}; pushed("reserved")(r); r.begun = begun },
				recorded(operation.ObservedStale, "waiting_funds"), begins("reserved"), acknowledged, begins("-")},
			"", []string{"reserved acknowledged"}, "reserved"},
		{"a status that rang already is recorded and not rung again", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("processing"),
				recorded(operation.ObservedRepeat, "waiting_funds"), begins("-")},
			"", []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"the same status again is no change", paysera(),
			[]step{recorded(operation.ObservedChange, "waiting_funds"), recorded(operation.ObservedSame, "waiting_funds"),
				begins("waiting_funds"), acknowledged, begins("-")},
			"", []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"an answer without a status between is no change either", ukrcard(),
			[]step{recorded(operation.ObservedChange, "5"), recorded(operation.ObservedSame, ""), recorded(operation.ObservedSame, "5")},
			"", nil, "5"},
		{"the first final status stands, and what contradicts it is recorded as such", paysera(),
			[]step{sees("rejected"), recorded(operation.ObservedContradiction, "done"), recorded(operation.ObservedContradiction, "waiting_funds"),
				recorded(operation.ObservedSame, "rejected"), begins("rejected"), acknowledged},
			operation.OutcomeAcknowledged, []string{"rejected acknowledged"}, "rejected!"},
	} {
		tt.test(t)
	}
}

func TestPromise7Revocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"is allowed while no status is known, and rings", paysera(),
			[]step{revokes("core"), watching(false), begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"revoked acknowledged"}, "revoked!"},
		{"is allowed while the status is revocable", paysera(),
			[]step{sees("waiting"), revokes("user"), begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"revoked acknowledged"}, "revoked!"},
		{"is refused while the status is not revocable", paysera(),
			[]step{sees("processing"), refusesRevocation(`"processing", which can't be revoked`), watching(true)},
			"", nil, "processing"},
		{"is refused after a final status", paysera(),
			[]step{sees("done"), refusesRevocation(`final with status "done"`), begins("done")},
			"", []string{"done pending"}, "done!"},
		{"is refused after a withdrawal", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), withdraws, refusesRevocation("was withdrawn")},
			"", []string{"waiting_funds pending"}, "waiting_funds"},
		{"goes by the last known status although the last answer had none", ukrcard(),
			[]step{sees("3"), sees(""), refusesRevocation("can't be revoked")}, "", nil, ""},
		{"twice is once", paysera(),
			[]step{revokes("core"), revokes("client"), begins("revoked"), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"revoked acknowledged"}, "revoked!"},
		{"by the client rings nobody", paysera(), []step{sees("waiting_funds"), begins("waiting_funds"), acknowledged,
			sees("processing"), sees("reserved"), revokes("client")},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged", "reserved superseded revoked"}, "revoked!"},
		{"by the client is the outcome where nothing was owed", paysera(), []step{sees("waiting"), revokes("client"), begins("-")},
			operation.OutcomeRevoked, nil, "revoked!"},
		{"rings nobody where the dialect has no such callback", ukrcard(), []step{sees("0"), revokes("core"), begins("-")},
			operation.OutcomeRevoked, nil, "revoked!"},
		{"rings nobody where the operation's statuses leave it out", paysera(wants("done")),
			[]step{sees("waiting_funds"), revokes("core"), begins("-")}, operation.OutcomeRevoked, nil, "revoked!"},
		{"supersedes what is being delivered", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), revokes("core"), unwanted(true), givenUp, begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds superseded revoked", "revoked acknowledged"}, "revoked!"},
		{"supersedes what is queued, also with every", paysera(every),
			[]step{sees("waiting_registration"), begins("waiting_registration"), sees("waiting_funds"), revokes("core"), unwanted(true), givenUp, begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_registration superseded revoked", "waiting_funds superseded revoked", "revoked acknowledged"}, "revoked!"},
		{"by the client leaves an attempt in flight its acknowledgement", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), revokes("client"), unwanted(true), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged"}, "revoked!"},
		{"is the first final status: what the core says later contradicts it", paysera(),
			[]step{sees("reserved"), begins("reserved"), acknowledged, revokes("core"), recorded(operation.ObservedContradiction, "done"),
				begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"reserved acknowledged", "revoked acknowledged"}, "revoked!"},
		{"seen by a poll rings like any final status", paysera(), []step{sees("revoked"), begins("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []string{"revoked acknowledged"}, "revoked!"},
		{"of an operation whose polls are used up takes the place of what is failing", ukrcard(),
			[]step{sees("0"), pollsUsedUp, begins("0"), revokes("core"), unwanted(true), givenUp},
			operation.OutcomeRevoked, []string{"0 superseded revoked"}, "revoked!"},
	} {
		tt.test(t)
	}
}

func TestPromise8Withdrawal(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"ends an operation that is being watched", ukrcard(), []step{sees("0"), withdraws, watching(false), begins("-")},
			operation.OutcomeWithdrawn, nil, "0"},
		{"ends an operation of which nothing is known", ukrcard(), []step{withdraws}, operation.OutcomeWithdrawn, nil, ""},
		{"ends a delivery that is waiting to be retried", ukrcard(),
			[]step{sees("2"), begins("2"), withdraws, unwanted(true), givenUp},
			operation.OutcomeWithdrawn, []string{"2 superseded withdrawn"}, "2!"},
		{"ends a delivery that has not begun", ukrcard(), []step{sees("2"), withdraws, begins("-")},
			operation.OutcomeWithdrawn, []string{"2 superseded withdrawn"}, "2!"},
		{"leaves an attempt in flight its acknowledgement", ukrcard(),
			[]step{sees("2"), begins("2"), withdraws, acknowledged}, operation.OutcomeAcknowledged, []string{"2 acknowledged"}, "2!"},
		{"leaves an attempt in flight its acknowledgement, also about an intermediate status", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), withdraws, acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"is the outcome although the attempt in flight was the last of k", ukrcard(),
			[]step{sees("2"), begins("2"), withdraws, exhausted}, operation.OutcomeWithdrawn, []string{"2 exhausted"}, "2!"},
		{"is the outcome although earlier callbacks were acknowledged", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, withdraws},
			operation.OutcomeWithdrawn, []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"rings nothing any more, whatever is observed while an attempt is in flight", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), withdraws, sees("done"), begins("-"), givenUp, begins("-")},
			operation.OutcomeWithdrawn, []string{"waiting_funds superseded withdrawn"}, "done!"},
		{"rings nothing when the watch ends after it", ukrcard(),
			[]step{sees("0"), withdraws, pollsUsedUp, begins("-")}, operation.OutcomeWithdrawn, nil, "0"},
		{"drops what is queued", paysera(every),
			[]step{sees("waiting_registration"), begins("waiting_registration"), sees("reserved"), withdraws, givenUp, begins("-")},
			operation.OutcomeWithdrawn, []string{"waiting_registration superseded withdrawn", "reserved superseded withdrawn"}, "reserved"},
		{"twice is once", ukrcard(), []step{sees("2"), begins("2"), withdraws, withdraws, acknowledged},
			operation.OutcomeAcknowledged, []string{"2 acknowledged"}, "2!"},
	} {
		tt.test(t)
	}
}

func TestPromise9Exhausted(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"on the last callback owed is the outcome", ukrcard(), []step{sees("2"), begins("2"), exhausted},
			operation.OutcomeExhausted, []string{"2 exhausted"}, "2!"},
		{"on an intermediate status does not stop the watch", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), exhausted, watching(true)},
			"", []string{"waiting_funds exhausted"}, "waiting_funds"},
		{"on an intermediate status is made up for by a later acknowledgement", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), exhausted, sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds exhausted", "done acknowledged"}, "done!"},
		{"on the last callback owed is the outcome although earlier ones were acknowledged", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("done"), begins("done"), exhausted},
			operation.OutcomeExhausted, []string{"waiting_funds acknowledged", "done exhausted"}, "done!"},
		{"on an intermediate status is the outcome where nothing was owed after it", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), exhausted, lifetimeOver},
			operation.OutcomeExhausted, []string{"waiting_funds exhausted"}, "waiting_funds"},
		{"a receiver that is gone on the last callback owed is the outcome", ukrcard(),
			[]step{sees("2"), begins("2"), gone}, operation.OutcomeGone, []string{"2 gone"}, "2!"},
	} {
		tt.test(t)
	}
}

func TestPromise10RedeliveryRemembers(t *testing.T) {
	t.Parallel()
	failed := after(sees("done"), begins("done"), exhausted)
	afterUnanswered := after(sees("0"), pollsUsedUp, begins("0"), exhausted)
	for _, tt := range []row{
		{"the same callback rings again and shows as one delivery whose attempt numbers go on", paysera(failed),
			[]step{redelivers, watching(false), begins("done"), attemptsBefore(1), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"before it begins it shows as one pending delivery", paysera(failed), []step{redelivers},
			"", []string{"done pending"}, "done!"},
		{"a failure of the redelivery is the outcome again", paysera(failed),
			[]step{redelivers, begins("done"), exhausted}, operation.OutcomeExhausted, []string{"done exhausted"}, "done!"},
		{"with repoll and the same status the same callback rings again", paysera(failed, repoll),
			[]step{sees("done"), redelivers, begins("done"), attemptsBefore(1), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"with repoll and another status that one rings instead", paysera(failed, repoll),
			[]step{sees("rejected"), redelivers, begins("rejected"), attemptsBefore(0), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"done exhausted", "rejected acknowledged"}, "rejected!"},
		{"with repoll and no answer the same callback rings again, and its status is final again", paysera(failed, repoll),
			[]step{redelivers, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"with repoll and an answer without a status the final one stands", paysera(failed, repoll),
			[]step{sees(""), watching(false), redelivers, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
		{"a newer status before it begins supersedes it without losing its attempts", paysera(
			after(sees("waiting_funds"), begins("waiting_funds"), exhausted, lifetimeOver)),
			[]step{func(r *run) { r.op.Redeliver() }, sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds superseded", "done acknowledged"}, "done!"},
		{"statuses that rang in the run before do not ring again", paysera(
			after(sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("reserved"), begins("reserved"), exhausted, lifetimeOver)),
			[]step{recorded(operation.ObservedRepeat, "waiting_funds"), begins("-")},
			"", []string{"waiting_funds acknowledged", "reserved exhausted"}, "waiting_funds"},
		{"the known status is remembered too", paysera(knows("waiting_funds"), after(sees("processing"), lifetimeOver)),
			[]step{recorded(operation.ObservedRepeat, "waiting_funds"), begins("-")}, "", nil, "waiting_funds"},
		{"what was acknowledged is not delivered again", paysera(after(sees("waiting_funds"), begins("waiting_funds"), acknowledged, lifetimeOver)), []step{redelivers, begins("-")},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"what was acknowledged is delivered again by force", paysera(after(sees("done"), begins("done"), acknowledged), force),
			[]step{redelivers, begins("done"), attemptsBefore(1), exhausted}, operation.OutcomeExhausted, []string{"done exhausted"}, "done!"},
		{"a callback about used-up polls keeps its reason", ukrcard(afterUnanswered),
			[]step{redelivers, begins("0"), acknowledged}, operation.OutcomeAcknowledged, []string{"0 acknowledged polls_used_up"}, "0"},
		{"used-up polls with a status that they rang with before ring no second callback", ukrcard(
			after(sees("0"), pollsUsedUp, begins("0"), exhausted)),
			[]step{sees("5"), pollsUsedUp, begins("5"), exhausted}, operation.OutcomeExhausted,
			[]string{"0 exhausted polls_used_up", "5 exhausted polls_used_up"}, "5"},
		{"a run that was terminated while it rang rings the same callback", paysera(
			after(sees("waiting_funds"), begins("waiting_funds"), acknowledged, sees("done"), begins("done"))),
			[]step{func(r *run) { r.op.Redeliver() }, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged", "done acknowledged"}, "done!"},
	} {
		tt.test(t)
	}
}

func TestPromise10UsedUpPollsOweAgainWhatTheClientDoesNotHave(t *testing.T) {
	t.Parallel()
	first := after(sees("0"), pollsUsedUp, begins("0"), exhausted)
	second := ukrcard(first, after(sees("5"), pollsUsedUp, begins("5"), exhausted))
	r := play(second, []step{sees("0"), pollsUsedUp, begins("0"), acknowledged})
	require.Empty(t, r.fault)
	require.Equal(t, []string{"5 exhausted polls_used_up", "0 acknowledged polls_used_up"}, deliveries(r.op.State()))
	require.Len(t, r.op.State().Deliveries[1].Attempts, 2, "the numbers go on")
}

func TestPromise4WhatTheClientDoesNotHaveIsOwed(t *testing.T) {
	t.Parallel()
	failed := after(sees("failed"), begins("failed"), exhausted)
	then := func(o *operation.LifecycleOptions) {
		failed(o)
		first := *o
		first.Repoll = true
		r := play(first, []step{sees("done"), redelivers, begins("done"), acknowledged})
		record := r.op.Record()
		o.Previous = &record
	}
	for _, tt := range []row{
		{"a final status that was exhausted is owed again where a repoll finds it after another", paysera(then, repoll),
			[]step{sees("failed"), redelivers, begins("failed"), attemptsBefore(1), acknowledged, begins("-")},
			operation.OutcomeAcknowledged, []string{"done acknowledged", "failed acknowledged"}, "failed!"},
		{"a status that was superseded before a request was sent and returns is owed again", paysera(),
			[]step{sees("waiting_funds"), sees("reserved"), sees("waiting_funds"), begins("waiting_funds"), acknowledged},
			"", []string{"reserved superseded", "waiting_funds acknowledged"}, "waiting_funds"},
		{"a status that was superseded unacknowledged and returns is owed again, and its numbers go on", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), givenUp, begins("reserved"), sees("waiting_funds"),
				unwanted(true), givenUp, begins("waiting_funds"), attemptsBefore(1), acknowledged},
			"", []string{"reserved superseded", "waiting_funds acknowledged"}, "waiting_funds"},
		{"a status that returns while its unwanted attempt is in flight is wanted again", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), sees("reserved"), unwanted(true), sees("waiting_funds"), unwanted(false), acknowledged, begins("-")},
			"", []string{"reserved superseded", "waiting_funds acknowledged"}, "waiting_funds"},
		{"a status that was exhausted on the way and returns is owed again", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), exhausted, sees("processing"), sees("waiting_funds"), begins("waiting_funds"), acknowledged},
			"", []string{"waiting_funds acknowledged"}, "waiting_funds"},
		{"a status that was answered after a withdrawal is owed where a repoll finds it again", paysera(after(withdraws, sees("reserved")), repoll),
			[]step{sees("reserved"), redeliversAndWatches, begins("reserved"), acknowledged, sees("reserved"), begins("-")},
			"", []string{"reserved acknowledged"}, "reserved"},
		{"a final status that a terminated run had not recorded as final is owed", paysera(answeredBeforeTermination),
			[]step{redeliversAndWatches, begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
	} {
		tt.test(t)
	}
}

// answeredBeforeTermination makes it a redelivery of a run whose state is known
// from the record of its watch alone.
func answeredBeforeTermination(o *operation.LifecycleOptions) {
	o.Previous = &operation.Record{State: operation.State{Status: &operation.Status{Value: "done"}}}
}

// redeliversAndWatches redelivers in a run that watches on.
func redeliversAndWatches(r *run) { r.op.Redeliver() }

func attemptsBefore(want int) step {
	return func(r *run) { r.expect("the number of attempts made before", want, r.attempts) }
}

func TestPromise4AFinalAnswerIsNeverDroppedForItsAge(t *testing.T) {
	t.Parallel()
	asked := func(status string) step {
		return func(r *run) {
			begun := r.begun
			r.begun = operation.Time{}
			r.op.Push(status, r.now)
			r.begun = begun
		}
	}
	for _, tt := range []row{
		{"although another status was pushed while the poll was on its way", paysera(),
			[]step{sees("new"), asks, asked("reserved"), sees("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"reserved superseded", "done acknowledged"}, "done!"},
		{"and a push of what is known makes no answer stale", paysera(),
			[]step{sees("new"), asks, asked("new"), recorded(operation.ObservedChange, "reserved"), begins("reserved")},
			"", []string{"reserved pending"}, "reserved"},
	} {
		tt.test(t)
	}
}

func TestAnAnswerThatIsDroppedAsStaleCostsNoPollAndIsAskedAgain(t *testing.T) {
	t.Parallel()
	policy := operation.PollPolicy{IntervalMS: 1000, MaxPolls: 1, LifetimeMS: 60_000}
	r := play(paysera(), []step{sees("new")})
	watch := r.op.Watch()
	begun := r.now
	watch.BeginPoll(begun)
	r.op.Push("reserved", begun.Add(time.Second))
	watch.EndPoll(begun, begun.Add(2*time.Second), &operation.Observation{Status: "waiting_funds", BegunAt: begun, ObservedAt: begun.Add(2 * time.Second)}, true)
	require.Equal(t, operation.ReasonPollsUsedUp, watch.End(policy, begun))
	require.Equal(t, operation.ObservedStale, r.op.RecordWatch(watch))
	watch = r.op.Watch()
	require.Equal(t, 1, watch.Polls)
	require.Empty(t, watch.End(policy, begun), "it is asked again")
	require.Equal(t, begun.Add(time.Second), watch.Due(policy, begun))
}

func TestPromise12Precedence(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"acknowledged before a withdrawal that came after it", ukrcard(),
			[]step{sees("2"), begins("2"), acknowledged, withdraws}, operation.OutcomeAcknowledged, []string{"2 acknowledged"}, "2!"},
		{"acknowledged before a withdrawal, also after used-up polls", ukrcard(),
			[]step{sees("0"), pollsUsedUp, begins("0"), acknowledged, withdraws},
			operation.OutcomeAcknowledged, []string{"0 acknowledged polls_used_up"}, "0"},
		{"a withdrawal that came after the end changes nothing", ukrcard(),
			[]step{sees("2"), begins("2"), exhausted, withdraws}, operation.OutcomeExhausted, []string{"2 exhausted"}, "2!"},
		{"acknowledged before a revocation", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), revokes("client"), acknowledged},
			operation.OutcomeAcknowledged, []string{"waiting_funds acknowledged"}, "revoked!"},
		{"a revocation before a withdrawal that finds no ringing to stop", paysera(),
			[]step{sees("waiting_funds"), begins("waiting_funds"), revokes("client"), withdraws, givenUp},
			operation.OutcomeRevoked, []string{"waiting_funds superseded revoked"}, "revoked!"},
		{"a withdrawal may stop the ringing of a final status", paysera(),
			[]step{sees("done"), begins("done"), withdraws, givenUp},
			operation.OutcomeWithdrawn, []string{"done superseded withdrawn"}, "done!"},
		{"a withdrawal may stop the ringing of a revocation", paysera(),
			[]step{revokes("core"), withdraws}, operation.OutcomeWithdrawn, []string{"revoked superseded withdrawn"}, "revoked!"},
		{"withdrawn before expired", paysera(), []step{sees("processing"), lifetimeOver, withdraws},
			operation.OutcomeWithdrawn, nil, "processing"},
		{"a final status before expired", paysera(), []step{sees("processing"), lifetimeOver, pushed("done"), begins("done"), acknowledged},
			operation.OutcomeAcknowledged, []string{"done acknowledged"}, "done!"},
	} {
		tt.test(t)
	}
}
