package workflows_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/callback"
	"ringback/workflows"
)

// TestARunHoldsItsPromisesWhateverHappens lets anything happen to a run at any
// time and holds what came of it against what an onlooker saw.
func TestARunHoldsItsPromisesWhateverHappens(t *testing.T) {
	t.Parallel()
	// rapid makes 100 runs; five times as many take about two seconds.
	for range 5 {
		rapid.Check(t, func(rt *rapid.T) {
			w, in, said := anything(rt)
			ending, err := w.run(rt, in)
			w.holds(rt)
			requireClose(rt, ending.State.Outcome, err)
			onlooker{w, in, said, ending}.agrees(rt)
			if rapid.Bool().Draw(rt, "redelivered") {
				redelivered(rt, in, ending)
			}
		})
	}
}

// redelivered lets anything happen to a redelivery too.
func redelivered(t *rapid.T, in workflows.Input, previous callback.Ending) {
	again, _, said := anything(t)
	again.policy = in.Policy
	r := workflows.Redelivery{Previous: previous, Repoll: rapid.Bool().Draw(t, "repoll"), Force: rapid.Bool().Draw(t, "force")}
	r.Watch = r.Repoll || previous.State.Outcome == callback.OutcomeExpired
	in = redelivers(in, r)
	ending, err := again.run(t, in)
	again.holds(t)
	requireClose(t, ending.State.Outcome, err)
	onlooker{again, in, said, ending}.agrees(t)
}

// spoken is something that was said to a run.
type spoken struct {
	after time.Duration
	what  string
}

// anything is a world and a start, both drawn.
func anything(t *rapid.T) (*world, workflows.Input, []spoken) {
	in, statuses := drawnInput(t)
	w := newWorld(in.Policy)
	w.slow = rapid.IntRange(0, 4).Draw(t, "slow") == 0
	w.unreadable = rapid.IntRange(0, 9).Draw(t, "unreadable") == 0
	w.core = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) answer { return drawnAnswer(t, statuses) }), 1, 8).Draw(t, "core")
	w.receiver = rapid.SliceOfN(rapid.Custom(drawnReply), 1, 8).Draw(t, "receiver")
	said := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) spoken { return drawnWord(t, statuses) }), 0, 4).Draw(t, "said")
	for _, s := range said {
		w.later(s.after, s.to(w))
	}
	return w, in, said
}

func drawnInput(t *rapid.T) (workflows.Input, []string) {
	in, statuses := paysera(), []string{"waiting_funds", "reserved", "processing", "waiting_password", "done", "rejected", "revoked"}
	if rapid.IntRange(0, 2).Draw(t, "ukrcard") == 0 {
		in, statuses = ukrcard(), []string{"0", "5", "", "3", "1", "2"}
	}
	in.Policy.Supersede = rapid.SampledFrom([]string{callback.SupersedeLatest, callback.SupersedeEvery}).Draw(t, "supersede")
	in.Policy.Delivery.Attempts = rapid.IntRange(1, 5).Draw(t, "k")
	in.Policy.Delivery.IntervalMS = rapid.SampledFrom([]int64{10, 1000, 4000, 7000, 60_000}).Draw(t, "h")
	in.Policy.Poll.LifetimeMS = rapid.SampledFrom([]int64{1000, 60_000, 300_000}).Draw(t, "lifetime")
	if len(in.Policy.Poll.ScheduleMS) == 0 {
		in.Policy.Poll.IntervalMS = rapid.SampledFrom([]int64{500, 7000, 50_000}).Draw(t, "interval")
	}
	in.Policy.Poll.MaxPolls = rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "max polls")
	in.Policy.Poll.InitialDelayMS = rapid.SampledFrom([]int64{0, 0, 0, 3000}).Draw(t, "initial delay")
	in.Start.KnownStatus = rapid.SampledFrom([]string{"", "", statuses[0]}).Draw(t, "known")
	if rapid.IntRange(0, 4).Draw(t, "filtered") == 0 {
		in.Wanted = statuses[2:5]
	}
	return in, statuses
}

func drawnAnswer(t *rapid.T, statuses []string) answer {
	a := answer{takes: rapid.SampledFrom([]time.Duration{0, 0, 0, 300 * time.Millisecond, 9 * time.Second}).Draw(t, "takes")}
	switch rapid.IntRange(0, 9).Draw(t, "answered") {
	case 0:
		a.err = "503"
	case 1:
		a.err, a.free = "401", true
	case 2, 3, 4:
		a.status = rapid.SampledFrom(statuses).Draw(t, "status")
	default:
		// The later ones are final.
		a.status = rapid.SampledFrom(statuses[:4]).Draw(t, "status")
	}
	return a
}

func drawnReply(t *rapid.T) reply {
	r := reply{
		status: rapid.SampledFrom([]int{200, 200, 500, 500, 500, 410}).Draw(t, "http"),
		takes:  rapid.SampledFrom([]time.Duration{0, 0, 40 * time.Millisecond, 2500 * time.Millisecond, 9 * time.Second}).Draw(t, "takes"),
	}
	switch rapid.IntRange(0, 9).Draw(t, "trouble") {
	case 0:
		r.heldBack = true
	case 1:
		r.lost = r.status == 500
	case 2:
		r.egress = r.status == 500
	}
	return r
}

func drawnWord(t *rapid.T, statuses []string) spoken {
	s := spoken{after: time.Duration(rapid.SampledFrom([]int{1, 999, 1000, 2500, 5000, 7001, 20_000, 61_000, 299_999}).Draw(t, "after")) * time.Millisecond}
	s.what = rapid.SampledFrom([]string{"push", "push", "poll now", "revoke", "revoke by signal", "withdraw"}).Draw(t, "what")
	if s.what == "push" {
		s.what += " " + rapid.SampledFrom(statuses).Filter(func(s string) bool { return s != "" }).Draw(t, "status")
	}
	return s
}

func (s spoken) to(w *world) func() {
	return func() {
		switch s.what {
		case "poll now":
			asksToPollNow(w)
		case "revoke":
			revokes("core")(w)
		case "revoke by signal":
			revokesBySignal("client")(w)
		case "withdraw":
			withdraws(w)
		default:
			pushes(s.what[len("push "):])(w)
		}
	}
}

// onlooker knows what was said, what the receiver saw and how it ended.
type onlooker struct {
	w      *world
	in     workflows.Input
	said   []spoken
	ending callback.Ending
}

func (o onlooker) agrees(t *rapid.T) {
	s := o.ending.State
	require.NotEmpty(t, s.Outcome)
	if limit := o.in.Policy.Poll.Limit(); limit > 0 {
		require.LessOrEqual(t, s.Polls, limit)
	}
	require.LessOrEqual(t, s.Polls, len(o.w.polls))
	o.agreesOnDeliveries(t)
	o.agreesOnOutcome(t)
	if at := o.withdrawnAt(); at != nil {
		for _, a := range o.w.attempts {
			require.False(t, a.begun.After(*at) && s.Outcome == callback.OutcomeWithdrawn, "%v begins after the withdrawal", a)
		}
	}
}

// withdrawnAt is when the first withdrawal was asked for, or nil.
func (o onlooker) withdrawnAt() *callback.Time {
	var first *callback.Time
	for _, s := range o.said {
		at := callback.At(o.w.started.Add(s.after))
		if s.what == "withdraw" && (first == nil || at.Before(*first)) {
			first = &at
		}
	}
	return first
}

// agreesOnDeliveries: each delivery shows the attempts that its receiver saw,
// and ended as they say.
func (o onlooker) agreesOnDeliveries(t *rapid.T) {
	seen, before := map[string][]attempt{}, o.before()
	for _, a := range o.w.attempts {
		seen[a.ID] = append(seen[a.ID], a)
	}
	for _, d := range o.ending.State.Deliveries {
		made, earlier := seen[d.CallbackID], before[d.CallbackID]
		delete(seen, d.CallbackID)
		if len(made) == 0 && earlier.CallbackID != "" {
			require.Equal(t, earlier.Attempts, d.Attempts, "attempts of the run before are lost")
			continue
		}
		force := o.in.Redelivery != nil && o.in.Redelivery.Force
		require.False(t, earlier.Outcome == callback.DeliveryAcknowledged && !force, "%v was acknowledged before %v", earlier, made)
		acknowledged := slices.ContainsFunc(made, func(a attempt) bool { return a.verdict == callback.Acknowledged })
		require.Equal(t, acknowledged, d.Outcome == callback.DeliveryAcknowledged, "%v after %v", d, made)
		require.Equal(t, d.Outcome == callback.DeliveryExhausted, len(made) == o.in.Policy.Delivery.Attempts && !acknowledged &&
			d.Outcome != callback.DeliveryGone && d.Outcome != callback.DeliverySuperseded, "%v after %v", d, made)
		require.NotEqual(t, callback.DeliveryPending, d.Outcome)
		if !o.w.unreadable {
			require.Len(t, d.Attempts, len(made)+len(earlier.Attempts), "%v after %v", d, made)
		}
		for _, a := range d.Attempts {
			require.NotEmpty(t, a.Verdict, "%v", d)
		}
	}
	require.Empty(t, seen, "rung without a delivery: %v", o.w.attempts)
}

// before are the deliveries of the run that is redelivered, by callback id.
func (o onlooker) before() map[string]callback.Delivery {
	before := map[string]callback.Delivery{}
	if o.in.Redelivery != nil {
		for _, d := range o.in.Redelivery.Previous.State.Deliveries {
			before[d.CallbackID] = d
		}
	}
	return before
}

// agreesOnOutcome is promise 12 as far as an onlooker can tell.
func (o onlooker) agreesOnOutcome(t *rapid.T) {
	s := o.ending.State
	final := s.Status != nil && s.Status.Final
	var owed *callback.Delivery
	for i, d := range s.Deliveries {
		if d.Outcome != callback.DeliverySuperseded {
			owed = &s.Deliveries[i]
		}
	}
	for _, a := range o.w.attempts {
		if a.Final && a.verdict == callback.Acknowledged && o.in.Redelivery == nil {
			require.Equal(t, callback.OutcomeAcknowledged, s.Outcome, "%v was acknowledged", a)
		}
		if a.Final && o.in.Redelivery == nil {
			require.Equal(t, a.Observation.Status, s.Status.Value, "a final status changed")
		}
	}
	why := fmt.Sprintf("outcome %s with deliveries %v and status %v", s.Outcome, s.Deliveries, s.Status)
	switch s.Outcome {
	case callback.OutcomeAcknowledged:
		require.True(t, owed != nil && owed.Outcome == callback.DeliveryAcknowledged || owed == nil && final, why)
	case callback.OutcomeExhausted, callback.OutcomeGone:
		require.NotNil(t, owed, why)
		require.Equal(t, string(s.Outcome), string(owed.Outcome), why)
	case callback.OutcomeRevoked:
		require.True(t, owed == nil && s.Status.Value == "revoked", why)
	case callback.OutcomeWithdrawn:
		require.NotNil(t, o.withdrawnAt(), why)
	case callback.OutcomeExpired:
		require.True(t, owed == nil && !final, why)
	default:
		t.Fatalf("no run ends like this: %s", why)
	}
}
