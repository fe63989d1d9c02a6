package workflows_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/cardnumber"
	"ringback/internal/operation"
	"ringback/workflows"
)

// card is a test number of Visa's.
const card = "4111111111111111"

// No card number gets into a state, a search attribute or the details by way of
// the Temporal UI and CLI.
func TestSignalsAndUpdatesAreValidatedAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		name, update, signal string
		arg                  any
		// refused is a part of an Update's rejection; a Signal has none.
		refused string
		revoked bool
	}{
		{name: "an Update with a card number for a status is rejected", update: workflows.UpdateStatus, arg: workflows.Push{Status: card}, refused: "status: looks like it holds a card number"},
		{name: "an Update with a status of 300 characters is rejected", update: workflows.UpdateStatus, arg: workflows.Push{Status: long}, refused: "status: is longer than 64 characters"},
		{name: "an Update with a card number in a revocation's reason is rejected", update: workflows.UpdateRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: "card " + card}, refused: "reason: looks like it holds a card number"},
		{name: "an Update with a card number for who revoked is rejected", update: workflows.UpdateRevoke, arg: operation.Revocation{InitiatedBy: card}, refused: "initiated_by: is not one of"},
		{name: "an Update with a reason of 256 Cyrillic letters is taken", update: workflows.UpdateRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: strings.Repeat("і", 256)}, revoked: true},
		{name: "a Signal with a card number for a status is not taken", signal: workflows.SignalStatus, arg: workflows.Push{Status: card}},
		{name: "a Signal with a status of 300 characters is not taken", signal: workflows.SignalStatus, arg: workflows.Push{Status: long}},
		{name: "a revocation by Signal counts without its card number", signal: workflows.SignalRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: "card " + card}, revoked: true},
		{name: "a revocation by Signal counts without a reason of 300 characters", signal: workflows.SignalRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: long}, revoked: true},
		{name: "a revocation by Signal with a card number for who revoked is not taken", signal: workflows.SignalRevoke, arg: operation.Revocation{InitiatedBy: card}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent := act{after: time.Minute, kind: push, arg: tt.arg, bySignal: tt.signal != ""}
			if tt.update+tt.signal == workflows.UpdateRevoke {
				sent.kind = revoke
			}
			var details string
			m, ending := row{in: paysera(k(3)), core: says("reserved", "reserved", "done"), receiver: []receiverReply{ack}, acts: []act{sent}}.run(t, func(m *simulator) {
				m.env.RegisterDelayedCallback(func() { details = currentDetails(t, m) }, 2*time.Minute)
			})
			rejected := strings.Join(m.refusals, " ")
			require.Contains(t, rejected, tt.refused)
			if tt.refused != "" {
				require.NotContains(t, rejected, card)
			}
			require.Equal(t, tt.revoked, ending.State.Revocation != nil)
			if !tt.revoked {
				require.Equal(t, "done", ending.State.Status.Value)
				require.NotEmpty(t, details)
			}
			for _, kept := range []string{fmt.Sprintf("%+v %+v", ending, ending.State.Revocation), details, currentDetails(t, m)} {
				require.False(t, cardnumber.In(kept), kept)
				require.NotContains(t, kept, long)
			}
		})
	}
}
