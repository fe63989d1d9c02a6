package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ringback/internal/operation"
	"ringback/workflows"
)

// pushOnly makes an operation one of a core that is never polled.
func pushOnly(lifetimeStatus string) func(*workflows.Input) {
	return func(in *workflows.Input) {
		in.Rules = operation.Rules{
			Final: []string{"success", "expired", "revoked"}, Delivered: []string{"hold", "success", "expired", "closed", "revoked"},
			Revocable: []string{"hold"}, Revoked: "revoked", PushOnly: true, LifetimeStatus: lifetimeStatus,
		}
		in.Policy.Poll = operation.PollPolicy{LifetimeMS: time.Hour.Milliseconds()}
	}
}

func pushed(after time.Duration, arg workflows.Push) act {
	return act{after: after, kind: push, status: arg.Status, arg: arg}
}

func TestACoreThatOnlyPushesIsNeverPolled(t *testing.T) {
	t.Parallel()
	for _, tt := range []row{
		{name: "each status is taken as the core's own, whatever push says", in: paysera(pushOnly(""), pushes(operation.PushOff)),
			acts: []act{pushed(time.Minute, byAPI("hold")), pushed(2*time.Minute, workflows.Push{Status: "success"})}, receiver: []receiverReply{ack},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"hold", 1, true}, {"success", 1, true}},
			deliveries: []delivery{{"hold", acknowledged, ""}, {"success", acknowledged, ""}}, took: 2 * time.Minute},
		{name: "at the end of the lifetime its status is delivered", in: paysera(pushOnly("expired")),
			acts: []act{pushed(time.Minute, byAPI("hold"))}, receiver: []receiverReply{ack},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"hold", 1, true}, {"expired", 1, true}},
			deliveries: []delivery{{"hold", acknowledged, ""}, {"expired", acknowledged, lifetimeOver}}, took: time.Hour},
		{name: "where nothing was pushed, too", in: paysera(pushOnly("expired")), receiver: []receiverReply{ack},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"expired", 1, true}},
			deliveries: []delivery{{"expired", acknowledged, lifetimeOver}}, took: time.Hour},
		{name: "without one the operation ends unanswered", in: paysera(pushOnly("")),
			ends: operation.OutcomeExpired, took: time.Hour},
		{name: "a final status that is late is taken while the callback still fails, unless that is final", in: paysera(pushOnly("closed")),
			acts: []act{pushed(time.Hour+30*time.Second, byAPI("success"))}, receiver: []receiverReply{fails, ack},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"closed", 1, false}, {"success", 1, true}},
			deliveries: []delivery{{"closed", superseded, lifetimeOver}, {"success", acknowledged, ""}}, took: time.Hour + 30*time.Second},
		{name: "a request to poll is refused", in: paysera(pushOnly("")),
			acts: []act{pushed(time.Minute, byAPI("")), pushed(2*time.Minute, byAPI("success"))}, receiver: []receiverReply{ack},
			ends: operation.OutcomeAcknowledged, attempts: []attempt{{"success", 1, true}}, deliveries: []delivery{{"success", acknowledged, ""}},
			refusals: []string{"the core is never polled; push a status (type: PushRefused, retryable: true)"}, took: 2 * time.Minute},
		{name: "a revocation ends the wait", in: paysera(pushOnly("expired")), acts: []act{{after: time.Minute, kind: revoke, status: "core"}},
			receiver: []receiverReply{ack}, ends: operation.OutcomeAcknowledged, attempts: []attempt{{"revoked", 1, true}},
			deliveries: []delivery{{"revoked", acknowledged, ""}}, took: time.Minute},
		{name: "a withdrawal ends it", in: paysera(pushOnly("expired")), acts: []act{{after: time.Minute, kind: withdraw}},
			ends: operation.OutcomeWithdrawn, took: time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ending := tt.run(t)
			require.Equal(t, tt.ends, ending.State.Outcome)
			require.Equal(t, tt.attempts, m.trace.attempts())
			require.Equal(t, tt.deliveries, shown(ending.State.Deliveries))
			require.Equal(t, tt.refusals, m.refusals)
			require.InDelta(t, tt.took.Seconds(), m.trace.since(operation.At(m.env.Now())).Seconds(), 0.01)
			require.Empty(t, m.trace.polls)
			require.Empty(t, m.watches)
		})
	}
}

// TestACoreThatOnlyPushesEndsAsItsPushesSay compares runs with a model: the first final
// status pushed within the lifetime is the last word, or else the lifetime's status.
func TestACoreThatOnlyPushesEndsAsItsPushesSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lifetimeStatus := rapid.SampledFrom([]string{"", "expired"}).Draw(t, "lifetime status")
		in := paysera(pushOnly(lifetimeStatus))
		want, decided := lifetimeStatus, time.Hour
		var acts []act
		at := time.Duration(0)
		for range rapid.IntRange(0, 6).Draw(t, "pushes") {
			at += time.Duration(rapid.IntRange(1, 30*60_000).Draw(t, "gap")) * time.Millisecond
			if at == time.Hour { // nothing says which of two things at one moment comes first
				at += time.Millisecond
			}
			status := rapid.SampledFrom([]string{"created", "hold", "hold", "success"}).Draw(t, "status")
			acts = append(acts, act{after: at, kind: push, status: status, bySignal: rapid.Bool().Draw(t, "by signal")})
			if status == "success" && at < decided {
				want, decided = status, at
			}
		}
		historyLimit := rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "history limit")
		m := simulateInput(t, scenario{acts: acts, replies: []receiverReply{ack}, historyLimit: historyLimit}, in, nil)
		s := m.trace.ending.State
		if len(m.trace.polls) > 0 || len(m.watches) > 0 {
			t.Fatalf("a core that pushes was polled")
		}
		if want == "" {
			if s.Outcome != operation.OutcomeExpired && s.Outcome != operation.OutcomeAcknowledged || s.Status != nil && s.Status.Final {
				t.Fatalf("it ends as %q with %+v, and no final status was pushed", s.Outcome, s.Status)
			}
			return
		}
		if s.Outcome != operation.OutcomeAcknowledged || s.Status == nil || s.Status.Value != want || s.LastDelivery().Status != want {
			t.Fatalf("it ends as %q with %+v, not with %s", s.Outcome, s.Status, want)
		}
	})
}
