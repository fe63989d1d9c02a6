package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
	"ringback/workflows"
)

func setsHTTPStatus(in *workflows.Input) { in.SetHTTPStatus = true }

func TestOperatorsFindARunByItsSearchAttributes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		row
		attributes []string
	}{
		{row: row{name: "acknowledged at once writes nothing", in: paysera(), core: says("done"),
			ends: operation.OutcomeAcknowledged}},
		{row: row{name: "a first attempt by an activity shows that the run delivers", in: paysera(), core: says("done"), notInTask: true,
			ends: operation.OutcomeAcknowledged}, attributes: []string{"Phase=delivering", "unset"}},
		{row: row{name: "a second attempt shows that the run delivers", in: paysera(), core: says("done"), receiver: []receiverReply{fails, ack},
			ends: operation.OutcomeAcknowledged}, attributes: []string{"Phase=delivering", "unset"}},
		{row: row{name: "a second attempt shows it also where an activity made the first", in: paysera(), core: says("done"),
			receiver: []receiverReply{fails, ack}, notInTask: true,
			ends: operation.OutcomeAcknowledged}, attributes: []string{"Phase=delivering", "unset"}},
		{row: row{name: "a delivery that ended while the watch goes on shows that the run watches", in: paysera(every),
			core: says("reserved", "reserved", "done"), receiver: []receiverReply{fails, ack}, ends: operation.OutcomeAcknowledged},
			attributes: []string{"Phase=delivering", "Phase=watching", "unset"}},
		{row: row{name: "a hold shows while it lasts", in: paysera(), core: says("done"),
			receiver: []receiverReply{{status: 500, missing: time.Hour, onHold: true}, ack}, ends: operation.OutcomeAcknowledged},
			attributes: []string{"Phase=on_hold", "Phase=delivering", "unset"}},
		{row: row{name: "exhausted tells outcome, status and how many never arrived", in: paysera(k(2)), core: says("done"),
			receiver: []receiverReply{fails}, ends: operation.OutcomeExhausted},
			attributes: []string{"Phase=delivering", "Outcome=exhausted Status=done Undelivered=1"}},
		{row: row{name: "exhausted tells the last HTTP status as well, in runs of builds that do", in: paysera(k(2), setsHTTPStatus), core: says("done"),
			receiver: []receiverReply{fails, {status: 503}}, ends: operation.OutcomeExhausted},
			attributes: []string{"Phase=delivering", "HTTPStatus=[503 5xx] Outcome=exhausted Status=done Undelivered=1"}},
		{row: row{name: "gone tells it, too", in: paysera(setsHTTPStatus), core: says("done"), receiver: []receiverReply{gone},
			ends: operation.OutcomeGone}, attributes: []string{"HTTPStatus=[410 4xx] Outcome=gone Status=done Undelivered=1"}},
		{row: row{name: "what is acknowledged tells none", in: paysera(setsHTTPStatus), core: says("done"), receiver: []receiverReply{fails, ack},
			ends: operation.OutcomeAcknowledged}, attributes: []string{"Phase=delivering", "unset"}},
		{row: row{name: "gone at the first attempt never delivered", in: paysera(), core: says("done"), receiver: []receiverReply{gone},
			ends: operation.OutcomeGone}, attributes: []string{"Outcome=gone Status=done Undelivered=1"}},
		{row: row{name: "an older callback that a newer one superseded never arrived", in: paysera(h(time.Hour)),
			core: says("reserved", "done"), receiver: []receiverReply{fails, ack}, ends: operation.OutcomeAcknowledged},
			attributes: []string{"Phase=delivering", "Undelivered=1"}},
		{row: row{name: "what is withdrawn is not missed", in: paysera(), core: says("done"), receiver: []receiverReply{fails},
			acts: []act{{after: 90 * time.Second, kind: withdraw, bySignal: true}}, ends: operation.OutcomeWithdrawn},
			attributes: []string{"Phase=delivering", "Outcome=withdrawn Status=done"}},
		{row: row{name: "expired owed nothing that could have arrived", in: paysera(lifetime(time.Hour)), core: says("processing"),
			ends: operation.OutcomeExpired}, attributes: []string{"Outcome=expired Status=processing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ending := tt.run(t)
			require.Equal(t, tt.ends, ending.State.Outcome)
			require.Equal(t, tt.attributes, m.attributes)
		})
	}
}
