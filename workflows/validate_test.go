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
	const dropped = "(the reason given was not kept: it is too long, is more than one line, or looks like it holds a card number)"
	for _, tt := range []struct {
		name, update, signal string
		arg                  any
		// refused is a part of an Update's rejection; a Signal has none.
		refused string
		// reason is that of the revocation recorded; empty: there is none.
		reason string
	}{
		{name: "an Update with a card number for a status is rejected", update: workflows.UpdateStatus, arg: workflows.Push{Status: card}, refused: "status: looks like it holds a card number"},
		{name: "an Update with a status of 64 characters is taken", update: workflows.UpdateStatus, arg: workflows.Push{Status: strings.Repeat("s", 64)}},
		{name: "an Update with a status of 65 characters is rejected", update: workflows.UpdateStatus, arg: workflows.Push{Status: strings.Repeat("s", 65)}, refused: "status: is longer than 64 characters"},
		{name: "an Update with a status of 64 Cyrillic letters is rejected for its letters", update: workflows.UpdateStatus, arg: workflows.Push{Status: strings.Repeat("і", 64)}, refused: "status: holds a character outside"},
		{name: "an Update with a card number in a revocation's reason is rejected", update: workflows.UpdateRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: "card " + card}, refused: "reason: looks like it holds a card number"},
		{name: "an Update with a card number for who revoked is rejected", update: workflows.UpdateRevoke, arg: operation.Revocation{InitiatedBy: card}, refused: "initiated_by: is not one of"},
		{name: "an Update with a reason of 256 characters of 1 byte is taken", update: workflows.UpdateRevoke, arg: reasoned("r", 256), reason: strings.Repeat("r", 256)},
		{name: "an Update with a reason of 256 characters of 2 bytes is taken", update: workflows.UpdateRevoke, arg: reasoned("і", 256), reason: strings.Repeat("і", 256)},
		{name: "an Update with a reason of 256 characters of 3 bytes is taken", update: workflows.UpdateRevoke, arg: reasoned("語", 256), reason: strings.Repeat("語", 256)},
		{name: "an Update with a reason of 256 characters of 4 bytes is taken", update: workflows.UpdateRevoke, arg: reasoned("🙂", 256), reason: strings.Repeat("🙂", 256)},
		{name: "an Update with a reason of 257 characters of 1 byte is rejected", update: workflows.UpdateRevoke, arg: reasoned("r", 257), refused: "reason: is longer than 256 characters"},
		{name: "an Update with a reason of 257 characters of 4 bytes is rejected", update: workflows.UpdateRevoke, arg: reasoned("🙂", 257), refused: "reason: is longer than 256 characters"},
		{name: "a Signal with a card number for a status is not taken", signal: workflows.SignalStatus, arg: workflows.Push{Status: card}},
		{name: "a Signal with a status of 65 characters is not taken", signal: workflows.SignalStatus, arg: workflows.Push{Status: strings.Repeat("s", 65)}},
		{name: "a revocation by Signal counts without its card number", signal: workflows.SignalRevoke, arg: operation.Revocation{InitiatedBy: "core", Reason: "card " + card}, reason: dropped},
		{name: "a revocation by Signal counts with a reason of 256 characters of 4 bytes", signal: workflows.SignalRevoke, arg: reasoned("🙂", 256), reason: strings.Repeat("🙂", 256)},
		{name: "a revocation by Signal counts without a reason of 257 characters", signal: workflows.SignalRevoke, arg: reasoned("🙂", 257), reason: dropped},
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
			if tt.refused == "" {
				require.Empty(t, rejected)
			} else {
				require.NotContains(t, rejected, card)
			}
			if tt.reason != "" {
				require.NotNil(t, ending.State.Revocation)
				require.Equal(t, tt.reason, ending.State.Revocation.Reason)
			} else {
				require.Nil(t, ending.State.Revocation)
				require.Equal(t, "done", ending.State.Status.Value)
				require.NotEmpty(t, details)
			}
			for _, kept := range []string{fmt.Sprintf("%+v %+v", ending, ending.State.Revocation), details, currentDetails(t, m)} {
				require.False(t, cardnumber.In(kept), kept)
			}
		})
	}
}

// reasoned is a revocation with a reason of that many characters.
func reasoned(character string, length int) operation.Revocation {
	return operation.Revocation{InitiatedBy: "core", Reason: strings.Repeat(character, length)}
}
