package workflows_test

import (
	"cmp"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/operation"
)

// only leaves one invariant, so that what breaks it is found and shrunk.
var only = flag.String("invariant", "", "check only invariants whose name contains this")

// TestARunHoldsItsInvariantsWhateverHappens lets anything happen to a run and
// its redeliveries and holds what was seen from continued against the invariants.
func TestARunHoldsItsInvariantsWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anyScenario(t)
		seen := simulate(t, s, nil, false, false)
		holds(t, seen)
		for range rapid.IntRange(0, 3).Draw(t, "redeliveries") {
			s.anyReactions(t)
			s.acts = nil
			seen = simulate(t, s, seen, rapid.Bool().Draw(t, "repoll"), rapid.Bool().Draw(t, "force"))
			holds(t, seen)
		}
	})
}

// TestRunsHoldTheirInvariants are scenarios that once broke an invariant.
func TestRunsHoldTheirInvariants(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		scenario scenario
		// redeliveries ask the core again; these are its answers, in turn.
		redeliveries []coreAnswer
	}{
		{name: "a cancelled watch ends while the attempt for the final status is in flight", scenario: scenario{
			answers: []coreAnswer{{status: "processing"}, {status: "processing", takes: 900 * time.Millisecond}, {status: "processing"}, {status: "done"}},
			replies: []receiverReply{{status: 200, takes: 800 * time.Millisecond}},
			acts:    []act{{after: 100 * time.Millisecond, gap: 100 * time.Millisecond, times: 3, kind: pollNow}},
		}},
		{name: "a cancelled watch polls on until it notices", scenario: scenario{
			answers: []coreAnswer{{status: "processing"}},
			acts:    []act{{after: 100 * time.Millisecond, times: 1, kind: pollNow}},
			late:    lateness{notice: 3 * time.Second},
		}},
		{name: "the core takes a second to answer and pushes come every 300 ms", scenario: scenario{
			answers: []coreAnswer{{status: "processing"}, {status: "done", takes: time.Second}},
			replies: []receiverReply{{status: 200}},
			acts:    []act{{after: 100 * time.Millisecond, gap: 300 * time.Millisecond, times: 30, kind: pollNow}},
		}},
		{name: "a final status is pushed while the watch waits", scenario: scenario{
			answers: []coreAnswer{{status: "processing"}},
			replies: []receiverReply{{status: 200, takes: 5 * time.Second}},
			acts:    []act{{after: 500 * time.Millisecond, times: 1, kind: push, status: "done"}},
			late:    lateness{notice: 3 * time.Second},
		}},
		{name: "a status that was exhausted returns", scenario: scenario{
			answers: []coreAnswer{{status: "reserved"}, {status: "waiting_funds"}, {status: "reserved"}},
			replies: []receiverReply{{status: 500}},
		}},
		{name: "a final status was exhausted, another was acknowledged, the first returns", scenario: scenario{
			answers: []coreAnswer{{status: "done"}},
			replies: []receiverReply{{status: 500}},
		}, redeliveries: []coreAnswer{{status: "rejected"}, {status: "done"}}},
		{name: "the status known already is pushed while the last poll is in flight", scenario: scenario{
			answers: []coreAnswer{{status: "processing"}, {status: "processing"}, {status: "done", takes: time.Second}},
			replies: []receiverReply{{status: 200}},
			acts:    []act{{after: 2500 * time.Millisecond, times: 1, kind: push, status: "processing"}},
		}},
		{name: "the poll of a redelivery is refused", scenario: scenario{
			answers: []coreAnswer{{status: "done"}}, replies: []receiverReply{{status: 500}}, notInTask: true,
		}, redeliveries: []coreAnswer{{fails: true, refused: true}}},
		{name: "the poll of a redelivery is not answered", scenario: scenario{
			kind: "ukrcard", answers: []coreAnswer{{status: "1"}}, replies: []receiverReply{{status: 500}}, notInTask: true,
		}, redeliveries: []coreAnswer{{fails: true}}},
		{name: "a withdrawal while the run waits to continue as new stops the delivery in the next run", scenario: scenario{
			answers: []coreAnswer{{fails: true, lost: true}, {fails: true}}, historyLimit: 12,
			replies: []receiverReply{{status: 500, heldBack: true}, {status: 200}},
			acts: []act{
				{after: 26 * time.Millisecond, kind: push, status: "done", bySignal: true},
				{after: 999 * time.Millisecond, times: 8, kind: push, status: "reserved"},
				{after: time.Second, kind: withdraw, bySignal: true},
			},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.scenario
			s.kind = cmp.Or(s.kind, "paysera")
			s.policy = operation.Policy{
				Poll:      operation.PollPolicy{IntervalMS: 1000, MaxPolls: 3, LifetimeMS: 10_000},
				Delivery:  operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 1, TimeoutMS: 10_000},
				Supersede: operation.SupersedeLatest,
			}
			seen := simulate(t, s, nil, false, false)
			holds(t, seen)
			for _, answer := range tt.redeliveries {
				s.answers, s.replies = []coreAnswer{answer}, []receiverReply{{status: 200}}
				seen = simulate(t, s, seen, true, true)
				holds(t, seen)
			}
		})
	}
}

// TestALongLifeIsContinuedAsNew lets runs live for weeks: 12,000 pushes, and an
// endpoint that is missing or on hold. No history grows past the server's suggestion by much.
func TestALongLifeIsContinuedAsNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		replies []receiverReply
		// events are the least that the life comes to.
		events int
	}{
		{"every status is acknowledged", []receiverReply{{status: 200}}, 100_000},
		{"the endpoint is missing for four days", []receiverReply{{status: 200, missing: 4 * 24 * time.Hour}, {status: 200}}, 50_000},
		{"the endpoint is on hold for four days", []receiverReply{{status: 200, missing: 4 * 24 * time.Hour, onHold: true}, {status: 200}}, 50_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scenario{
				kind: "paysera", answers: []coreAnswer{{}}, replies: tt.replies, historyLimit: 4096,
				policy: operation.Policy{
					Poll:      operation.PollPolicy{IntervalMS: 600_000, LifetimeMS: 720 * 3_600_000},
					Delivery:  operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 1, TimeoutMS: 10_000},
					Supersede: operation.SupersedeLatest,
				},
				acts: []act{
					{after: time.Minute, gap: 4 * time.Minute, times: 6000, kind: push, status: "reserved", bySignal: true},
					{after: 3 * time.Minute, gap: 4 * time.Minute, times: 6000, kind: push, status: "waiting_funds"},
					{after: 24_001 * time.Minute, times: 1, kind: revoke, status: "core"},
				},
			}
			seen := simulate(t, s, nil, false, false)
			require.Equal(t, len(seen.polls), seen.ending.State.Polls)
			sum := 0
			for _, n := range seen.histories {
				require.Less(t, n, 5000)
				sum += n
			}
			require.Greater(t, sum, tt.events)
			require.Equal(t, operation.OutcomeAcknowledged, seen.ending.State.Outcome)
			require.Equal(t, "revoked", seen.ending.State.Status.Value)
		})
	}
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func holds(t tester, seen *trace) {
	t.Helper()
	if slices.ContainsFunc(seen.runs(), func(t *trace) bool { return t.forgotten }) {
		return
	}
	for _, i := range invariants {
		if !strings.Contains(i.name, *only) {
			continue
		}
		if broken := i.broken(seen); broken != "" {
			t.Fatalf("%s: %s\n%s", i.name, broken, seen)
		}
	}
}
