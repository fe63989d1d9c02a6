package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/workflows"
)

func TestOperatorsFindARunByItsSearchAttributes(t *testing.T) {
	t.Parallel()
	// The first is a marker of the SDK's: which version of the code writes.
	const version = "TemporalChangeVersion=[tells-more-1]"
	slow := func(w *world) { w.slow = true }
	for _, tt := range []struct {
		row
		tagged []string
	}{
		{row: row{name: "acknowledged at once writes nothing", in: paysera(), core: says("done"),
			ends: operation.OutcomeAcknowledged}},
		{row: row{name: "acknowledged at once by an activity writes nothing", in: paysera(), core: says("done"), world: slow,
			ends: operation.OutcomeAcknowledged}},
		{row: row{name: "a second attempt shows that the run delivers", in: paysera(), core: says("done"), receiver: []reply{fails, ack},
			ends: operation.OutcomeAcknowledged}, tagged: []string{"Phase=delivering", "taken back"}},
		{row: row{name: "a second attempt shows it also where an activity made the first", in: paysera(), core: says("done"),
			receiver: []reply{fails, ack}, world: slow,
			ends: operation.OutcomeAcknowledged}, tagged: []string{"Phase=delivering", "taken back"}},
		{row: row{name: "a delivery that ended while the watch goes on shows that the run watches", in: paysera(every),
			core: says("reserved", "reserved", "done"), receiver: []reply{fails, ack}, ends: operation.OutcomeAcknowledged},
			tagged: []string{"Phase=delivering", "Phase=watching", "taken back"}},
		{row: row{name: "exhausted tells outcome, status and how many never arrived", in: paysera(k(2)), core: says("done"),
			receiver: []reply{fails}, ends: operation.OutcomeExhausted},
			tagged: []string{"Phase=delivering", "Outcome=exhausted Status=done Undelivered=1"}},
		{row: row{name: "gone at the first attempt never delivered", in: paysera(), core: says("done"), receiver: []reply{gone},
			ends: operation.OutcomeGone}, tagged: []string{"Outcome=gone Status=done Undelivered=1"}},
		{row: row{name: "an older callback that a newer one superseded never arrived", in: paysera(h(time.Hour)),
			core: says("reserved", "done"), receiver: []reply{fails, ack}, ends: operation.OutcomeAcknowledged},
			tagged: []string{"Phase=delivering", "Undelivered=1"}},
		{row: row{name: "what is withdrawn is not missed", in: paysera(), core: says("done"), receiver: []reply{fails},
			events: []event{at(90*time.Second, withdraws)}, ends: operation.OutcomeWithdrawn},
			tagged: []string{"Phase=delivering", "Outcome=withdrawn Status=done"}},
		{row: row{name: "expired owed nothing that could have arrived", in: paysera(lifetime(time.Hour)), core: says("processing"),
			ends: operation.OutcomeExpired}, tagged: []string{"Outcome=expired Status=processing"}},
	} {
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
			ending, _ := w.run(t, tt.in)
			require.Equal(t, tt.ends, ending.State.Outcome)
			require.Equal(t, tt.tagged, without(w.tagged, version))
			for _, in := range w.deliveries {
				require.Equal(t, workflows.SignalUnacknowledged, in.Signal)
			}
		})
	}
}

func without(words []string, word string) []string {
	var kept []string
	for _, w := range words {
		if w != word {
			kept = append(kept, w)
		}
	}
	return kept
}
