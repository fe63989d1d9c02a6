package operation_test

import (
	"cmp"
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

// change is what a row needs otherwise.
type change = func(*operation.LifecycleOptions)

var ukrcard, paysera = beginning(ukrcardRules), beginning(payseraRules)

func beginning(rules operation.Rules) func(...change) operation.LifecycleOptions {
	return func(changes ...change) operation.LifecycleOptions {
		o := operation.LifecycleOptions{Key: key, Rules: rules, Supersede: operation.SupersedeLatest}
		for _, c := range changes {
			c(&o)
		}
		return o
	}
}

func every(o *operation.LifecycleOptions) { o.Supersede = operation.SupersedeEvery }

func knows(status string) change {
	return func(o *operation.LifecycleOptions) { o.KnownStatus = status }
}

func wants(statuses ...string) change {
	return func(o *operation.LifecycleOptions) { o.Statuses = statuses }
}

func repoll(o *operation.LifecycleOptions) { o.Repoll = true }
func force(o *operation.LifecycleOptions)  { o.Force = true }

// after makes it a redelivery of what a first run came to.
func after(steps ...step) change {
	return func(o *operation.LifecycleOptions) {
		first := *o
		first.Repoll, first.Force = false, false
		o.Previous = new(play(first, steps).op.Record())
	}
}

// run is an operation under test, with a clock that goes on by a second per step.
type run struct {
	op  *operation.Lifecycle
	now operation.Time
	// begun is when the poll in flight began.
	begun    operation.Time
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

// observes records the answer to a poll that began just now.
func observes(status string) step { return observesAs("", status) }

// observesAs is observes, where the result of the observation matters.
func observesAs(as operation.ObservationResult, status string) step {
	return func(r *run) {
		begun := r.now
		if !r.begun.IsZero() {
			begun = r.begun
		}
		got := r.op.Observe(operation.Observation{Status: status, Raw: raw(status), BegunAt: begun, ObservedAt: r.now})
		r.begun = operation.Time{}
		if as != "" {
			r.expect("the result of "+status, as, got)
		}
	}
}

func raw(status string) map[string]string {
	if status == "" {
		return map[string]string{"respStatus": "404"}
	}
	return map[string]string{"orderStatus": status}
}

// polls begins a poll whose answer is the next observation.
func polls(r *run) { r.begun = r.now }

// starts takes the next callback to deliver, which must be about that status.
func starts(status string) step {
	return func(r *run) {
		if _, delivering := r.op.CurrentDelivery(); delivering || !r.op.HasPending() {
			r.fault = fmt.Sprintf("no callback is due, not one about %q", status)
			return
		}
		c, record := r.op.StartDelivery()
		r.expect("the callback due", status, c.Observation.Status)
		if c.ID != operation.CallbackID(key, c.Observation.Status) {
			r.fault = "the callback's id is not that of its status"
		}
		r.attempts = len(record.Delivery.Attempts)
	}
}

func startsNothing(r *run) {
	_, delivering := r.op.CurrentDelivery()
	r.expect("that a callback is due", false, !delivering && r.op.HasPending())
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
	stopped      step = settles(operation.DeliverySuperseded)
)

func shouldStop(want bool) step {
	return func(r *run) { r.expect("that the delivery in progress should stop", want, r.op.ShouldStopDelivery()) }
}

func revokes(by string) step {
	return func(r *run) {
		if err := r.op.Revoke(operation.Revocation{InitiatedBy: by, At: r.now}); err != nil {
			r.fault = err.Error()
		}
	}
}

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

// row is one sentence about an operation and the steps that show it.
type row struct {
	name  string
	from  operation.LifecycleOptions
	steps []step
	// ends is the outcome; empty: the operation goes on.
	ends operation.Outcome
	// shows are the deliveries, status the operation's, which may be final.
	shows  []delivery
	status string
	final  bool
}

func (tt row) test(t *testing.T) {
	t.Helper()
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		r := play(tt.from, tt.steps)
		require.Empty(t, r.fault)
		state := r.op.State()
		require.Equal(t, tt.ends, state.Outcome, "outcome")
		require.Equal(t, tt.ends != "", r.op.Closed() && state.Phase == operation.Closed, "over")
		require.Equal(t, tt.shows, deliveries(state), "deliveries")
		status := cmp.Or(state.Status, new(operation.Status))
		require.Equal(t, tt.status, status.Value, "status")
		require.Equal(t, tt.final, status.Final, "final")
	})
}

// delivery is one as the state shows it.
type delivery struct {
	status  string
	outcome operation.DeliveryOutcome
	reason  string
}

const (
	isPending      = operation.DeliveryPending
	isAcknowledged = operation.DeliveryAcknowledged
	isExhausted    = operation.DeliveryExhausted
	isGone         = operation.DeliveryGone
	isSuperseded   = operation.DeliverySuperseded
)

func deliveries(s operation.State) []delivery {
	var shown []delivery
	for _, d := range s.Deliveries {
		shown = append(shown, delivery{d.Status, d.Outcome, d.Reason})
	}
	return shown
}

func TestPromise3WhatIsDelivered(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"Ukrcard gets a callback for orderStatus 2 and for nothing before it", ukrcard(),
			[]step{observes("0"), startsNothing, observes("0"), startsNothing, observes("2"), watching(false), starts("2"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"2", isAcknowledged, ""}}, "2", true},
		{"Ukrcard gets a callback for orderStatus 1", ukrcard(), []step{observes("1"), starts("1"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"1", isAcknowledged, ""}}, "1", true},
		{"Ukrcard gets a callback with the last answer when the polls are used up", ukrcard(),
			[]step{observes("0"), observes("5"), pollsUsedUp, starts("5"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"5", isAcknowledged, operation.ReasonPollsUsedUp}}, "5", false},
		{"Ukrcard gets a callback with the last answer when the lifetime is over", ukrcard(),
			[]step{observes("0"), lifetimeOver, starts("0"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"0", isAcknowledged, operation.ReasonLifetimeOver}}, "0", false},
		{"Ukrcard gets a callback without orderStatus when the last answer had none", ukrcard(),
			[]step{observes("0"), observes(""), pollsUsedUp, starts(""), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"", isAcknowledged, operation.ReasonPollsUsedUp}}, "", false},
		{"Ukrcard gets a callback when the polls are used up also for a status that the client knew", ukrcard(knows("0")),
			[]step{observes("0"), pollsUsedUp, starts("0"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"0", isAcknowledged, operation.ReasonPollsUsedUp}}, "0", false},
		{"Ukrcard gets no callback twice when the watch ends twice", ukrcard(),
			[]step{observes("0"), pollsUsedUp, lifetimeOver, starts("0"), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"0", isAcknowledged, operation.ReasonPollsUsedUp}}, "0", false},
		{"the end of the watch delivers nothing after a final status", ukrcard(),
			[]step{observes("2"), pollsUsedUp, starts("2"), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"2", isAcknowledged, ""}}, "2", true},
		{"a final status pushed after the polls were used up takes the place of what is failing", ukrcard(),
			[]step{observes("0"), pollsUsedUp, starts("0"), shouldStop(false), observes("2"), shouldStop(true), stopped, starts("2"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"0", isSuperseded, operation.ReasonPollsUsedUp}, {"2", isAcknowledged, ""}}, "2", true},
		{"Paysera gets a callback for each change, the first observation included", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("reserved"), starts("reserved"), acknowledged,
				watching(true), observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isAcknowledged, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"a status that the client knows already is not delivered", paysera(knows("waiting_funds")),
			[]step{observes("waiting_funds"), startsNothing, observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"a final status that the client knows already ends the operation as acknowledged", paysera(knows("done")),
			[]step{observes("done"), startsNothing}, operation.OutcomeAcknowledged, nil, "done", true},
		{"a status outside of the eight is not delivered", paysera(),
			[]step{observes("processing"), startsNothing, observes("frozen"), startsNothing, watching(true)},
			"", nil, "frozen", false},
		{"only the operation's own statuses are delivered", paysera(wants("done")),
			[]step{observes("waiting_funds"), startsNothing, observes("reserved"), startsNothing, observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"a final status outside of the operation's statuses ends it without a callback", paysera(wants("done")),
			[]step{observes("rejected"), startsNothing}, operation.OutcomeAcknowledged, nil, "rejected", true},
		{"Paysera expires silently", paysera(), []step{observes("processing"), lifetimeOver, startsNothing},
			operation.OutcomeExpired, nil, "processing", false},
		{"Paysera expires silently although it was never answered", paysera(), []step{lifetimeOver, startsNothing},
			operation.OutcomeExpired, nil, "", false},
		{"the outcome of an expired operation that was delivered is that of the last callback due", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, lifetimeOver},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"the lifetime ends the watch, and a pending delivery finishes first", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), lifetimeOver, watching(false), shouldStop(false)},
			"", []delivery{{"waiting_funds", isPending, ""}}, "waiting_funds", false},
	} {
		tt.test(t)
	}
}

func TestPromise3NoAnswerIsDeliveredAs504WithoutOrderStatus(t *testing.T) {
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
	r := play(ukrcard(), []step{observes("5"), observes(""), pollsUsedUp})
	require.True(t, r.op.HasPending())
	c, _ := r.op.StartDelivery()
	require.Empty(t, c.Observation.Status)
	require.Equal(t, raw(""), c.Observation.Raw)
}

func TestPromise4Order(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"while a callback is being delivered no other begins", paysera(every),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), startsNothing, acknowledged, starts("reserved")},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isPending, ""}}, "reserved", false},
		{"while an older callback is failing the watch goes on", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), watching(true), shouldStop(false)},
			"", []delivery{{"waiting_funds", isPending, ""}}, "waiting_funds", false},
		{"a newer status that is delivered supersedes the one in hand", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), shouldStop(true), startsNothing, stopped, starts("reserved")},
			"", []delivery{{"waiting_funds", isSuperseded, ""}, {"reserved", isPending, ""}}, "reserved", false},
		{"an attempt in flight that is acknowledged is not superseded", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), shouldStop(true), acknowledged, starts("reserved")},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isPending, ""}}, "reserved", false},
		{"of the statuses seen during one attempt only the latest is delivered", paysera(),
			[]step{observes("waiting_registration"), starts("waiting_registration"), observes("waiting_funds"), observes("reserved"), acknowledged, starts("reserved"), acknowledged},
			"", []delivery{{"waiting_registration", isAcknowledged, ""}, {"waiting_funds", isSuperseded, ""}, {"reserved", isAcknowledged, ""}}, "reserved", false},
		{"the delivery in hand is the one that settles, whatever was dropped meanwhile", paysera(),
			[]step{observes("waiting_registration"), starts("waiting_registration"), observes("waiting_funds"), observes("reserved"), observes("done"), exhausted, starts("done"), exhausted},
			operation.OutcomeExhausted,
			[]delivery{{"waiting_registration", isExhausted, ""}, {"waiting_funds", isSuperseded, ""}, {"reserved", isSuperseded, ""}, {"done", isExhausted, ""}}, "done", true},
		{"a newer status that is not delivered supersedes nothing", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("processing"), shouldStop(false), acknowledged},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}}, "processing", false},
		{"a status that was delivered already supersedes nothing", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("reserved"), starts("reserved"),
				observesAs(operation.ObservedRepeat, "waiting_funds"), shouldStop(false)},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isPending, ""}}, "waiting_funds", false},
		{"with every, a newer status queues behind the one in hand", paysera(every),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), observes("done"), shouldStop(false), acknowledged,
				starts("reserved"), shouldStop(false), acknowledged, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isAcknowledged, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"with every, exhaustion releases the next", paysera(every),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("done"), exhausted, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isExhausted, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"with every, a receiver that is gone releases the next", paysera(every),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("done"), gone, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isGone, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"a final callback in hand is never superseded", paysera(),
			[]step{observes("done"), starts("done"), observesAs(operation.ObservedContradiction, "rejected"), shouldStop(false), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"an answer to a poll begun before the last observation is dropped", paysera(),
			[]step{polls, func(r *run) { begun := r.begun; r.begun = operation.Time{}; observes("reserved")(r); r.begun = begun },
				observesAs(operation.ObservedStale, "waiting_funds"), starts("reserved"), acknowledged, startsNothing},
			"", []delivery{{"reserved", isAcknowledged, ""}}, "reserved", false},
		{"a status that was delivered already is recorded and not delivered again", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("processing"),
				observesAs(operation.ObservedRepeat, "waiting_funds"), startsNothing},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"the same status again is no change", paysera(),
			[]step{observesAs(operation.ObservedChange, "waiting_funds"), observesAs(operation.ObservedSame, "waiting_funds"),
				starts("waiting_funds"), acknowledged, startsNothing},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"an answer without a status between is no change either", ukrcard(),
			[]step{observesAs(operation.ObservedChange, "5"), observesAs(operation.ObservedSame, ""), observesAs(operation.ObservedSame, "5")},
			"", nil, "5", false},
		{"the first final status stands, and what contradicts it is recorded as such", paysera(),
			[]step{observes("rejected"), observesAs(operation.ObservedContradiction, "done"), observesAs(operation.ObservedContradiction, "waiting_funds"),
				observesAs(operation.ObservedSame, "rejected"), starts("rejected"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"rejected", isAcknowledged, ""}}, "rejected", true},
	} {
		tt.test(t)
	}
}

func TestPromise7Revocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"is allowed while no status is known, and is delivered", paysera(),
			[]step{revokes("core"), watching(false), starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"revoked", isAcknowledged, ""}}, "revoked", true},
		{"is allowed while the status is revocable", paysera(),
			[]step{observes("waiting"), revokes("user"), starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"revoked", isAcknowledged, ""}}, "revoked", true},
		{"is refused while the status is not revocable", paysera(),
			[]step{observes("processing"), refusesRevocation(`"processing", which can't be revoked`), watching(true)},
			"", nil, "processing", false},
		{"is refused after a final status", paysera(),
			[]step{observes("done"), refusesRevocation(`final with status "done"`), starts("done")},
			"", []delivery{{"done", isPending, ""}}, "done", true},
		{"is refused after a withdrawal", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), withdraws, refusesRevocation("was withdrawn")},
			"", []delivery{{"waiting_funds", isPending, ""}}, "waiting_funds", false},
		{"goes by the last known status although the last answer had none", ukrcard(),
			[]step{observes("3"), observes(""), refusesRevocation("can't be revoked")}, "", nil, "", false},
		{"twice is once", paysera(),
			[]step{revokes("core"), revokes("client"), starts("revoked"), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"revoked", isAcknowledged, ""}}, "revoked", true},
		{"by the client is not delivered", paysera(), []step{observes("waiting_funds"), starts("waiting_funds"), acknowledged,
			observes("processing"), observes("reserved"), revokes("client")},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isSuperseded, operation.ReasonRevoked}}, "revoked", true},
		{"by the client is the outcome where nothing was due", paysera(), []step{observes("waiting"), revokes("client"), startsNothing},
			operation.OutcomeRevoked, nil, "revoked", true},
		{"is not delivered where the dialect has no such callback", ukrcard(), []step{observes("0"), revokes("core"), startsNothing},
			operation.OutcomeRevoked, nil, "revoked", true},
		{"is not delivered where the operation's statuses leave it out", paysera(wants("done")),
			[]step{observes("waiting_funds"), revokes("core"), startsNothing}, operation.OutcomeRevoked, nil, "revoked", true},
		{"supersedes what is being delivered", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), revokes("core"), shouldStop(true), stopped, starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isSuperseded, operation.ReasonRevoked}, {"revoked", isAcknowledged, ""}}, "revoked", true},
		{"supersedes what is queued, also with every", paysera(every),
			[]step{observes("waiting_registration"), starts("waiting_registration"), observes("waiting_funds"), revokes("core"), shouldStop(true), stopped, starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_registration", isSuperseded, operation.ReasonRevoked}, {"waiting_funds", isSuperseded, operation.ReasonRevoked}, {"revoked", isAcknowledged, ""}}, "revoked", true},
		{"by the client leaves an attempt in flight its acknowledgement", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), revokes("client"), shouldStop(true), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}}, "revoked", true},
		{"is the first final status: what the core says later contradicts it", paysera(),
			[]step{observes("reserved"), starts("reserved"), acknowledged, revokes("core"), observesAs(operation.ObservedContradiction, "done"),
				starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"reserved", isAcknowledged, ""}, {"revoked", isAcknowledged, ""}}, "revoked", true},
		{"seen by a poll is delivered like any final status", paysera(), []step{observes("revoked"), starts("revoked"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"revoked", isAcknowledged, ""}}, "revoked", true},
		{"of an operation whose polls are used up takes the place of what is failing", ukrcard(),
			[]step{observes("0"), pollsUsedUp, starts("0"), revokes("core"), shouldStop(true), stopped},
			operation.OutcomeRevoked, []delivery{{"0", isSuperseded, operation.ReasonRevoked}}, "revoked", true},
	} {
		tt.test(t)
	}
}

func TestPromise8Withdrawal(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"ends an operation that is being watched", ukrcard(), []step{observes("0"), withdraws, watching(false), startsNothing},
			operation.OutcomeWithdrawn, nil, "0", false},
		{"ends an operation of which nothing is known", ukrcard(), []step{withdraws}, operation.OutcomeWithdrawn, nil, "", false},
		{"ends a delivery that is waiting to be retried", ukrcard(),
			[]step{observes("2"), starts("2"), withdraws, shouldStop(true), stopped},
			operation.OutcomeWithdrawn, []delivery{{"2", isSuperseded, operation.ReasonWithdrawn}}, "2", true},
		{"ends a delivery that has not begun", ukrcard(), []step{observes("2"), withdraws, startsNothing},
			operation.OutcomeWithdrawn, []delivery{{"2", isSuperseded, operation.ReasonWithdrawn}}, "2", true},
		{"leaves an attempt in flight its acknowledgement", ukrcard(),
			[]step{observes("2"), starts("2"), withdraws, acknowledged}, operation.OutcomeAcknowledged, []delivery{{"2", isAcknowledged, ""}}, "2", true},
		{"leaves an attempt in flight its acknowledgement, also about an intermediate status", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), withdraws, acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"is the outcome although the attempt in flight was the last of k", ukrcard(),
			[]step{observes("2"), starts("2"), withdraws, exhausted}, operation.OutcomeWithdrawn, []delivery{{"2", isExhausted, ""}}, "2", true},
		{"is the outcome although earlier callbacks were acknowledged", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, withdraws},
			operation.OutcomeWithdrawn, []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"delivers nothing any more, whatever is observed while an attempt is in flight", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), withdraws, observes("done"), startsNothing, stopped, startsNothing},
			operation.OutcomeWithdrawn, []delivery{{"waiting_funds", isSuperseded, operation.ReasonWithdrawn}}, "done", true},
		{"delivers nothing when the watch ends after it", ukrcard(),
			[]step{observes("0"), withdraws, pollsUsedUp, startsNothing}, operation.OutcomeWithdrawn, nil, "0", false},
		{"drops what is queued", paysera(every),
			[]step{observes("waiting_registration"), starts("waiting_registration"), observes("reserved"), withdraws, stopped, startsNothing},
			operation.OutcomeWithdrawn, []delivery{{"waiting_registration", isSuperseded, operation.ReasonWithdrawn}, {"reserved", isSuperseded, operation.ReasonWithdrawn}}, "reserved", false},
		{"twice is once", ukrcard(), []step{observes("2"), starts("2"), withdraws, withdraws, acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"2", isAcknowledged, ""}}, "2", true},
	} {
		tt.test(t)
	}
}

func TestPromise9Exhausted(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{"on the last callback due is the outcome", ukrcard(), []step{observes("2"), starts("2"), exhausted},
			operation.OutcomeExhausted, []delivery{{"2", isExhausted, ""}}, "2", true},
		{"on an intermediate status does not stop the watch", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), exhausted, watching(true)},
			"", []delivery{{"waiting_funds", isExhausted, ""}}, "waiting_funds", false},
		{"on an intermediate status is made up for by a later acknowledgement", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), exhausted, observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isExhausted, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"on the last callback due is the outcome although earlier ones were acknowledged", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("done"), starts("done"), exhausted},
			operation.OutcomeExhausted, []delivery{{"waiting_funds", isAcknowledged, ""}, {"done", isExhausted, ""}}, "done", true},
		{"on an intermediate status is the outcome where nothing was due after it", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), exhausted, lifetimeOver},
			operation.OutcomeExhausted, []delivery{{"waiting_funds", isExhausted, ""}}, "waiting_funds", false},
		{"a receiver that is gone on the last callback due is the outcome", ukrcard(),
			[]step{observes("2"), starts("2"), gone}, operation.OutcomeGone, []delivery{{"2", isGone, ""}}, "2", true},
	} {
		tt.test(t)
	}
}

func TestPromise10RedeliveryRemembers(t *testing.T) {
	t.Parallel()
	failed := after(observes("done"), starts("done"), exhausted)
	afterUnanswered := after(observes("0"), pollsUsedUp, starts("0"), exhausted)
	for _, tt := range []row{
		{"the same callback is delivered again and shows as one delivery whose attempt numbers go on", paysera(failed),
			[]step{redelivers, watching(false), starts("done"), attemptsBefore(1), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"before it begins it shows as one pending delivery", paysera(failed), []step{redelivers},
			"", []delivery{{"done", isPending, ""}}, "done", true},
		{"a failure of the redelivery is the outcome again", paysera(failed),
			[]step{redelivers, starts("done"), exhausted}, operation.OutcomeExhausted, []delivery{{"done", isExhausted, ""}}, "done", true},
		{"with repoll and the same status the same callback is delivered again", paysera(failed, repoll),
			[]step{observes("done"), redelivers, starts("done"), attemptsBefore(1), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"with repoll and another status that one is delivered instead", paysera(failed, repoll),
			[]step{observes("rejected"), redelivers, starts("rejected"), attemptsBefore(0), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"done", isExhausted, ""}, {"rejected", isAcknowledged, ""}}, "rejected", true},
		{"with repoll and no answer the same callback is delivered again, and its status is final again", paysera(failed, repoll),
			[]step{redelivers, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"with repoll and an answer without a status the final one stands", paysera(failed, repoll),
			[]step{observes(""), watching(false), redelivers, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
		{"a newer status before it begins supersedes it without losing its attempts", paysera(
			after(observes("waiting_funds"), starts("waiting_funds"), exhausted, lifetimeOver)),
			[]step{redeliversAndWatches, observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isSuperseded, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"statuses that were delivered in the run before are not delivered again", paysera(
			after(observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("reserved"), starts("reserved"), exhausted, lifetimeOver)),
			[]step{observesAs(operation.ObservedRepeat, "waiting_funds"), startsNothing},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}, {"reserved", isExhausted, ""}}, "waiting_funds", false},
		{"the known status is remembered too", paysera(knows("waiting_funds"), after(observes("processing"), lifetimeOver)),
			[]step{observesAs(operation.ObservedRepeat, "waiting_funds"), startsNothing}, "", nil, "waiting_funds", false},
		{"what was acknowledged is not delivered again", paysera(after(observes("waiting_funds"), starts("waiting_funds"), acknowledged, lifetimeOver)), []step{redelivers, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"what was acknowledged is delivered again by force", paysera(after(observes("done"), starts("done"), acknowledged), force),
			[]step{redelivers, starts("done"), attemptsBefore(1), exhausted}, operation.OutcomeExhausted, []delivery{{"done", isExhausted, ""}}, "done", true},
		{"a callback about used-up polls keeps its reason", ukrcard(afterUnanswered),
			[]step{redelivers, starts("0"), acknowledged}, operation.OutcomeAcknowledged, []delivery{{"0", isAcknowledged, operation.ReasonPollsUsedUp}}, "0", false},
		{"used-up polls with a status that was delivered before cause no second callback", ukrcard(
			after(observes("0"), pollsUsedUp, starts("0"), exhausted)),
			[]step{observes("5"), pollsUsedUp, starts("5"), exhausted}, operation.OutcomeExhausted,
			[]delivery{{"0", isExhausted, operation.ReasonPollsUsedUp}, {"5", isExhausted, operation.ReasonPollsUsedUp}}, "5", false},
		{"a run that was terminated while it delivered delivers the same callback", paysera(
			after(observes("waiting_funds"), starts("waiting_funds"), acknowledged, observes("done"), starts("done"))),
			[]step{redeliversAndWatches, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}, {"done", isAcknowledged, ""}}, "done", true},
	} {
		tt.test(t)
	}
}

func TestPromise10UsedUpPollsDeliverAgainWhatTheClientDoesNotHave(t *testing.T) {
	t.Parallel()
	first := after(observes("0"), pollsUsedUp, starts("0"), exhausted)
	second := ukrcard(first, after(observes("5"), pollsUsedUp, starts("5"), exhausted))
	r := play(second, []step{observes("0"), pollsUsedUp, starts("0"), acknowledged})
	require.Empty(t, r.fault)
	require.Equal(t, []delivery{{"5", isExhausted, operation.ReasonPollsUsedUp}, {"0", isAcknowledged, operation.ReasonPollsUsedUp}}, deliveries(r.op.State()))
	require.Len(t, r.op.State().Deliveries[1].Attempts, 2, "the numbers go on")
}

func TestPromise4WhatTheClientDoesNotHaveIsDelivered(t *testing.T) {
	t.Parallel()
	failed := after(observes("failed"), starts("failed"), exhausted)
	then := func(o *operation.LifecycleOptions) {
		failed(o)
		first := *o
		first.Repoll = true
		o.Previous = new(play(first, []step{observes("done"), redelivers, starts("done"), acknowledged}).op.Record())
	}
	for _, tt := range []row{
		{"a final status that was exhausted is due again where a repoll finds it after another", paysera(then, repoll),
			[]step{observes("failed"), redelivers, starts("failed"), attemptsBefore(1), acknowledged, startsNothing},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}, {"failed", isAcknowledged, ""}}, "failed", true},
		{"a status that was superseded before a request was sent and returns is due again", paysera(),
			[]step{observes("waiting_funds"), observes("reserved"), observes("waiting_funds"), starts("waiting_funds"), acknowledged},
			"", []delivery{{"reserved", isSuperseded, ""}, {"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"a status that was superseded unacknowledged and returns is due again, and its numbers go on", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), stopped, starts("reserved"), observes("waiting_funds"),
				shouldStop(true), stopped, starts("waiting_funds"), attemptsBefore(1), acknowledged},
			"", []delivery{{"reserved", isSuperseded, ""}, {"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"a status that returns while its unwanted attempt is in flight is wanted again", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), observes("reserved"), shouldStop(true), observes("waiting_funds"), shouldStop(false), acknowledged, startsNothing},
			"", []delivery{{"reserved", isSuperseded, ""}, {"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"a status that was exhausted on the way and returns is due again", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), exhausted, observes("processing"), observes("waiting_funds"), starts("waiting_funds"), acknowledged},
			"", []delivery{{"waiting_funds", isAcknowledged, ""}}, "waiting_funds", false},
		{"a status that was answered after a withdrawal is due where a repoll finds it again", paysera(after(withdraws, observes("reserved")), repoll),
			[]step{observes("reserved"), redeliversAndWatches, starts("reserved"), acknowledged, observes("reserved"), startsNothing},
			"", []delivery{{"reserved", isAcknowledged, ""}}, "reserved", false},
		{"a final status that a terminated run had not recorded as final is due", paysera(answeredBeforeTermination),
			[]step{redeliversAndWatches, starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
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
	pushes := func(status string) step {
		return func(r *run) { r.op.Push(status, r.now) }
	}
	for _, tt := range []row{
		{"although another status was pushed while the poll was on its way", paysera(),
			[]step{observes("new"), polls, pushes("reserved"), observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"reserved", isSuperseded, ""}, {"done", isAcknowledged, ""}}, "done", true},
		{"and a push of what is known makes no answer stale", paysera(),
			[]step{observes("new"), polls, pushes("new"), observesAs(operation.ObservedChange, "reserved"), starts("reserved")},
			"", []delivery{{"reserved", isPending, ""}}, "reserved", false},
	} {
		tt.test(t)
	}
}

func TestAnAnswerThatIsDroppedAsStaleCostsNoPollAndIsAskedAgain(t *testing.T) {
	t.Parallel()
	policy := operation.PollPolicy{IntervalMS: 1000, MaxPolls: 1, LifetimeMS: 60_000}
	r := play(paysera(), []step{observes("new")})
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
			[]step{observes("2"), starts("2"), acknowledged, withdraws}, operation.OutcomeAcknowledged, []delivery{{"2", isAcknowledged, ""}}, "2", true},
		{"acknowledged before a withdrawal, also after used-up polls", ukrcard(),
			[]step{observes("0"), pollsUsedUp, starts("0"), acknowledged, withdraws},
			operation.OutcomeAcknowledged, []delivery{{"0", isAcknowledged, operation.ReasonPollsUsedUp}}, "0", false},
		{"a withdrawal that came after the end changes nothing", ukrcard(),
			[]step{observes("2"), starts("2"), exhausted, withdraws}, operation.OutcomeExhausted, []delivery{{"2", isExhausted, ""}}, "2", true},
		{"acknowledged before a revocation", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), revokes("client"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"waiting_funds", isAcknowledged, ""}}, "revoked", true},
		{"a revocation before a withdrawal that finds no delivery to stop", paysera(),
			[]step{observes("waiting_funds"), starts("waiting_funds"), revokes("client"), withdraws, stopped},
			operation.OutcomeRevoked, []delivery{{"waiting_funds", isSuperseded, operation.ReasonRevoked}}, "revoked", true},
		{"a withdrawal may stop the delivery of a final status", paysera(),
			[]step{observes("done"), starts("done"), withdraws, stopped},
			operation.OutcomeWithdrawn, []delivery{{"done", isSuperseded, operation.ReasonWithdrawn}}, "done", true},
		{"a withdrawal may stop the delivery of a revocation", paysera(),
			[]step{revokes("core"), withdraws}, operation.OutcomeWithdrawn, []delivery{{"revoked", isSuperseded, operation.ReasonWithdrawn}}, "revoked", true},
		{"withdrawn before expired", paysera(), []step{observes("processing"), lifetimeOver, withdraws},
			operation.OutcomeWithdrawn, nil, "processing", false},
		{"a final status before expired", paysera(), []step{observes("processing"), lifetimeOver, observes("done"), starts("done"), acknowledged},
			operation.OutcomeAcknowledged, []delivery{{"done", isAcknowledged, ""}}, "done", true},
	} {
		tt.test(t)
	}
}
