package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiclient "ringback/api/client"
	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// ending is how one operation should end, and what its receiver should get.
type ending struct {
	// stage scripts the world; act does what happens while it is open.
	start operation.StartRequest
	stage func(w *world, id string)
	act   func(t *testing.T, w *world, api *apiclient.Client, key operation.Key)

	outcome operation.Outcome
	// status is the last one; deliveries are "status: outcome: verdicts".
	status     string
	deliveries []string
	// rings are the statuses that the receiver got, one a request.
	rings []string
}

func failing(status int) simulator.Reply { return simulator.Reply{HTTPStatus: status} }

func unacknowledging() simulator.Reply {
	return simulator.Reply{Body: `{"orderNumber":"{operation}","applicationStatus":500}`}
}

func endings(w *world) map[string]ending {
	const ack, nack = "acknowledged", "unacknowledged"
	return map[string]ending{
		"an account-to-card transfer that goes 0, 0, 2 is rung until applicationStatus is 200": {
			start: order("A2C-1", "p2p_a2c"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.Statuses(0, 0, 2)...)
				w.ukrcard.Script(id, failing(http.StatusInternalServerError), unacknowledging(), simulator.Acknowledge)
			},
			outcome: operation.OutcomeAcknowledged, status: "2",
			deliveries: []string{"2: acknowledged: " + nack + " " + nack + " " + ack}, rings: []string{"2", "2", "2"},
		},
		"a payment that is held rings with 1 at the first look": {
			start:   order("PAY-1", "payment"),
			stage:   func(w *world, id string) { w.wsgate.Script(id, simulator.Statuses(1)...) },
			outcome: operation.OutcomeAcknowledged, status: "1",
			deliveries: []string{"1: acknowledged: " + ack}, rings: []string{"1"},
		},
		"a payment that stays registered rings with 0 when the polls are used up": {
			start:   order("PAY-2", "payment"),
			stage:   func(w *world, id string) { w.wsgate.Script(id, simulator.Statuses(0)...) },
			outcome: operation.OutcomeAcknowledged, status: "0",
			deliveries: []string{"0: acknowledged: " + ack}, rings: []string{"0"},
		},
		"a payment that wsGate knows nothing of rings without an orderStatus": {
			start: order("PAY-3", "payment"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.WSGateAnswer{RespStatus: http.StatusServiceUnavailable})
			},
			outcome:    operation.OutcomeAcknowledged,
			deliveries: []string{": acknowledged: " + ack}, rings: []string{""},
		},
		"a wsGate that errs, throttles and drops costs polls, not the operation": {
			start: order("PAY-4", "payment"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.WSGateAnswer{HTTPStatus: http.StatusInternalServerError}, simulator.WSGateAnswer{Drop: true},
					simulator.WSGateAnswer{Body: "<html>"}, simulator.WSGateAnswer{OrderStatus: 2})
			},
			outcome: operation.OutcomeAcknowledged, status: "2",
			deliveries: []string{"2: acknowledged: " + ack}, rings: []string{"2"},
		},
		"a receiver that drops the connection is rung again": {
			start: order("A2C-2", "p2p_a2c"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.Statuses(2)...)
				w.ukrcard.Script(id, simulator.Reply{Drop: true}, simulator.Acknowledge)
			},
			outcome: operation.OutcomeAcknowledged, status: "2",
			deliveries: []string{"2: acknowledged: " + nack + " " + ack}, rings: []string{"2", "2"},
		},
		"a receiver that is gone ends the delivery": {
			start: order("A2C-3", "p2p_a2c"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.Statuses(2)...)
				w.ukrcard.Script(id, failing(http.StatusGone))
			},
			outcome: operation.OutcomeGone, status: "2",
			deliveries: []string{"2: gone: " + nack}, rings: []string{"2"},
		},
		"a redirect is not followed and is no acknowledgement": {
			start: w.transfer("101"),
			stage: func(w *world, id string) {
				w.core.SetStatus(id, "done")
				w.paysera.Script(id, simulator.Reply{HTTPStatus: http.StatusFound, Header: map[string]string{"Location": w.standard.URL()}}, simulator.Acknowledge)
			},
			outcome: operation.OutcomeAcknowledged, status: "done",
			deliveries: []string{"done: acknowledged: " + nack + " " + ack}, rings: []string{"done", "done"},
		},
		"a transfer rings for each status on its way": {
			start: w.transfer("102"),
			stage: func(w *world, id string) {
				w.core.Schedule(id, simulator.TransferStep{Status: "waiting_funds", For: 600 * time.Millisecond},
					simulator.TransferStep{Status: "reserved", For: 600 * time.Millisecond}, simulator.TransferStep{Status: "done"})
			},
			outcome: operation.OutcomeAcknowledged, status: "done",
			deliveries: []string{"waiting_funds: acknowledged: " + ack, "reserved: acknowledged: " + ack, "done: acknowledged: " + ack},
			rings:      []string{"waiting_funds", "reserved", "done"},
		},
		"a transfer rings for the statuses that its client chose": {
			start: w.transfer("103", "done", "failed"),
			stage: func(w *world, id string) {
				w.core.Schedule(id, simulator.TransferStep{Status: "waiting_funds", For: 600 * time.Millisecond}, simulator.TransferStep{Status: "done"})
			},
			outcome: operation.OutcomeAcknowledged, status: "done",
			deliveries: []string{"done: acknowledged: " + ack}, rings: []string{"done"},
		},
		"a transfer that its user revoked rings with revoked": {
			start: w.transfer("104"),
			stage: func(w *world, id string) { w.core.SetStatus(id, "waiting_funds") },
			act: func(t *testing.T, w *world, api *apiclient.Client, key operation.Key) {
				t.Helper()
				rung(t, w.paysera, key.OperationID, 1)
				_, err := api.Revoke(t.Context(), key, "user", "")
				require.NoError(t, err)
			},
			outcome: operation.OutcomeAcknowledged, status: "revoked",
			deliveries: []string{"waiting_funds: acknowledged: " + ack, "revoked: acknowledged: " + ack},
			rings:      []string{"waiting_funds", "revoked"},
		},
		"a transfer that its client revoked rings nobody": {
			start: w.transfer("105", "done", "revoked"),
			stage: func(w *world, id string) { w.core.SetStatus(id, "waiting_funds") },
			act: func(t *testing.T, _ *world, api *apiclient.Client, key operation.Key) {
				t.Helper()
				_, err := api.Revoke(t.Context(), key, "client", "")
				require.NoError(t, err)
			},
			outcome: operation.OutcomeRevoked, status: "revoked",
		},
		"a transfer that failed because its user cancelled it reads as revoked": {
			start: w.transfer("106"),
			stage: func(w *world, id string) {
				w.core.Script(id, simulator.TransferStep{Status: "waiting_funds"}, simulator.TransferStep{Status: "failed", FailureCode: "cancelled_by_user"})
			},
			outcome: operation.OutcomeAcknowledged, status: "revoked",
			deliveries: []string{"waiting_funds: acknowledged: " + ack, "revoked: acknowledged: " + ack},
			rings:      []string{"waiting_funds", "revoked"},
		},
		"a withdrawal ends an operation without a callback": {
			start: order("A2C-4", "p2p_c2a"),
			stage: func(w *world, id string) {
				w.wsgate.Script(id, simulator.WSGateAnswer{OrderStatus: 0, Delay: 20 * time.Millisecond}, simulator.WSGateAnswer{Delay: time.Second})
			},
			act: func(t *testing.T, _ *world, api *apiclient.Client, key operation.Key) {
				t.Helper()
				withdraw(t, api, key)
			},
			outcome: operation.OutcomeWithdrawn, status: "0",
		},
		"a status that the core pushes is not waited for": {
			start: w.transfer("107", "done"),
			stage: func(w *world, id string) { w.core.SetStatus(id, "waiting_funds") },
			act: func(t *testing.T, _ *world, api *apiclient.Client, key operation.Key) {
				t.Helper()
				require.NoError(t, api.Push(t.Context(), key, "done"))
			},
			outcome: operation.OutcomeAcknowledged, status: "done",
			deliveries: []string{"done: acknowledged: " + ack}, rings: []string{"done"},
		},
		"a delivery without an acknowledgement is exhausted after k attempts, and redelivered as the same callback": {
			start: entry("108"),
			stage: func(w *world, id string) {
				w.core.SetStatus(id, "done")
				w.standard.Script(id, failing(http.StatusServiceUnavailable))
			},
			act: func(t *testing.T, w *world, api *apiclient.Client, key operation.Key) {
				t.Helper()
				state := closed(t, api, key)
				require.Equal(t, operation.OutcomeExhausted, state.Outcome)
				require.Len(t, state.Deliveries[0].Attempts, quickAttempts)
				w.standard.Script(key.OperationID, simulator.Acknowledge)
				redelivered, err := api.Redeliver(t.Context(), key, operation.RedeliveryRequest{Reason: "the receiver is back"})
				require.NoError(t, err)
				require.NotEqual(t, state.RunID, redelivered.RunID)
				_, err = api.Redeliver(t.Context(), key, operation.RedeliveryRequest{})
				require.Equal(t, http.StatusConflict, apiclient.Status(err), "%v", err)
			},
			outcome: operation.OutcomeAcknowledged, status: "done",
			deliveries: []string{"done: acknowledged: " + nack + " " + nack + " " + nack + " " + nack + " " + ack},
			rings:      []string{"done", "done", "done", "done", "done"},
		},
	}
}

func TestEveryOperationEndsAsItShould(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sharedEngine(t), quick)
	api := w.run(t).Client
	t.Run("endings", func(t *testing.T) {
		for name, e := range endings(w) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e.holds(t, w, api)
			})
		}
	})
}

func (e ending) holds(t *testing.T, w *world, api *apiclient.Client) {
	t.Helper()
	e.stage(w, e.start.OperationID)
	key := start(t, api, e.start)
	if e.act != nil {
		e.act(t, w, api, key)
	}
	state := closed(t, api, key)
	require.Equal(t, e.outcome, state.Outcome, "%+v", state)
	if e.status != "" {
		require.NotNil(t, state.Status)
		require.Equal(t, e.status, state.Status.Value)
	}
	var deliveries []string
	for _, d := range state.Deliveries {
		deliveries = append(deliveries, d.Status+": "+string(d.Outcome)+": "+verdicts(d))
		numbered(t, d.Attempts, 1)
	}
	require.Equal(t, e.deliveries, deliveries)
	e.rang(t, w, key, state)
}

// rang checks what the receiver got: each status once per attempt, each
// callback under one id and with one body, no two at a time, h apart.
func (e ending) rang(t *testing.T, w *world, key operation.Key, state operation.State) {
	t.Helper()
	receiver := map[string]*simulator.Receiver{gold: w.ukrcard, shop: w.paysera, ledger: w.standard}[key.Endpoint]
	var rings []string
	bodies := map[string]string{}
	ids := map[string]bool{}
	for _, got := range receiver.Received(key.OperationID) {
		rings = append(rings, got.Status)
		require.False(t, got.Overlaps, "two attempts at a time")
		if got.Attempt > 1 {
			require.Equal(t, bodies[got.CallbackID], string(got.Body))
		}
		// A redelivery is asked for; h is between the attempts of one delivery.
		if got.Attempt > 1 && got.Attempt <= quickAttempts {
			require.GreaterOrEqual(t, got.Gap, quickInterval)
		}
		bodies[got.CallbackID] = string(got.Body)
		ids[got.CallbackID] = true
		require.NotEmpty(t, got.Header.Get("webhook-timestamp"))
	}
	require.Equal(t, e.rings, rings)
	for _, d := range state.Deliveries {
		require.True(t, ids[d.CallbackID], "the receiver got %s", d.CallbackID)
	}
}
