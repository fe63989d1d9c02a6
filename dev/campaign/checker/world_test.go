package checker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/checker"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// began is when every story begins.
var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

func during(from, to int) journal.Span { return journal.Span{Began: at(from), Ended: at(to)} }

// world is one operation's story, as every journal told it.
type world struct {
	operation plan.Operation
	calls     []journal.Call
	polls     []journal.Poll
	requests  []journal.Request
	faults    []journal.Fault
	state     operation.State
	// unread: the API had no state, but this answer.
	unread int
}

func (w *world) key() operation.Key {
	return operation.Key{Endpoint: w.operation.Endpoint, OperationID: w.operation.ID}
}

func (w *world) verdict() checker.Verdict {
	var entries []journal.Entry
	for _, c := range w.calls {
		c.Key = w.key()
		entries = append(entries, journal.Entry{Call: &c})
	}
	for _, p := range w.polls {
		p.Key = w.key()
		entries = append(entries, journal.Entry{Poll: &p})
	}
	for _, r := range w.requests {
		r.Key = w.key()
		entries = append(entries, journal.Entry{Request: &r})
	}
	for _, f := range w.faults {
		entries = append(entries, journal.Entry{Fault: &f})
	}
	read := journal.State{Key: w.key(), HTTPStatus: 200, State: w.state}
	read.State.Key = w.key()
	if w.unread != 0 {
		read.HTTPStatus, read.State = w.unread, operation.State{}
	}
	entries = append(entries, journal.Entry{State: &read})
	p := plan.Plan{Operations: []plan.Operation{w.operation}}
	return checker.Check(p, entries)
}

func (w *world) start(status, from, to int) {
	w.calls = append(w.calls, journal.Call{Span: during(from, to), What: journal.Start, HTTPStatus: status, API: "api-0"})
}

func (w *world) call(what string, status, from, to int) *journal.Call {
	w.calls = append(w.calls, journal.Call{Span: during(from, to), What: what, HTTPStatus: status, API: "api-0"})
	return &w.calls[len(w.calls)-1]
}

func (w *world) poll(status string, from, to int) {
	w.polls = append(w.polls, journal.Poll{Span: during(from, to), Status: status})
	w.state.Polls++
}

// request is one that only the receiver knows of.
func (w *world) request(status string, httpStatus, from, to int) *journal.Request {
	w.requests = append(w.requests, journal.Request{
		Span: during(from, to), CallbackID: "cb_" + status, Status: status, Body: "body of " + status,
		HTTPStatus: httpStatus, Took: httpStatus == 200, Answered: httpStatus != 0,
	})
	return &w.requests[len(w.requests)-1]
}

// record is an attempt that only the state knows of.
func (w *world) record(status string, httpStatus, from, to int) *operation.Attempt {
	d := w.delivery(status)
	a := operation.Attempt{
		Number: len(d.Attempts) + 1, At: operation.At(at(from)), TookMS: int64(to - from),
		HTTPStatus: httpStatus, Verdict: operation.Unacknowledged,
	}
	if httpStatus == 200 {
		a.Verdict, d.Outcome = operation.Acknowledged, operation.DeliveryAcknowledged
	}
	d.Attempts = append(d.Attempts, a)
	return &d.Attempts[len(d.Attempts)-1]
}

// attempt is one that both know of.
func (w *world) attempt(status string, httpStatus, from, to int) {
	w.record(status, httpStatus, from, to)
	w.request(status, httpStatus, from+1, to-1)
}

func (w *world) delivery(status string) *operation.Delivery {
	for i := range w.state.Deliveries {
		if w.state.Deliveries[i].Status == status {
			return &w.state.Deliveries[i]
		}
	}
	w.state.Deliveries = append(w.state.Deliveries, operation.Delivery{
		CallbackID: "cb_" + status, Status: status, Outcome: operation.DeliveryPending,
	})
	return &w.state.Deliveries[len(w.state.Deliveries)-1]
}

func (w *world) fault(kind plan.FaultKind, on string, from, to int) {
	w.faults = append(w.faults, journal.Fault{Span: during(from, to), Kind: string(kind), On: on})
}

func (w *world) close(outcome operation.Outcome, status string, final bool) {
	w.state.Phase, w.state.Outcome = operation.Closed, outcome
	w.state.Status = &operation.Status{Value: status, Final: final}
}

// transfer is a story of Paysera's with a receiver that fails once: h is 700 ms,
// k 8, the time-out 5 s, and a newer status supersedes an older one.
func transfer() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "t1", Starts: 1}}
	w.start(201, 0, 10)
	w.poll("waiting_funds", 12, 14)
	w.attempt("waiting_funds", 503, 20, 40)
	w.attempt("waiting_funds", 200, 742, 760)
	w.poll("waiting_funds", 2012, 2014)
	w.poll("done", 4012, 4014)
	w.attempt("done", 200, 4020, 4040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// order is one of Ukrcard's that ends as its polls are used up: four of them, k is 4.
func order() *world {
	w := &world{operation: plan.Operation{Endpoint: "LAPSING", ID: "o1", Starts: 1}}
	w.start(201, 0, 10)
	for _, from := range []int{12, 1012, 3012, 9012} {
		w.poll("0", from, from+2)
	}
	w.attempt("0", 200, 9020, 9040)
	w.delivery("0").Reason = operation.ReasonPollsUsedUp
	w.close(operation.OutcomeAcknowledged, "0", false)
	return w
}

// queued is a transfer at an endpoint that queues every callback: h is 7 s, k 4.
func queued() *world {
	w := &world{operation: plan.Operation{Endpoint: "MARKET", ID: "q1", Starts: 1}}
	w.start(201, 0, 10)
	w.poll("reserved", 12, 14)
	w.attempt("reserved", 503, 20, 40)
	w.poll("reserved", 3012, 3014)
	w.poll("done", 6012, 6014)
	w.attempt("reserved", 503, 7042, 7060)
	w.attempt("reserved", 503, 14062, 14080)
	w.attempt("reserved", 503, 21082, 21100)
	w.delivery("reserved").Outcome = operation.DeliveryExhausted
	w.attempt("done", 200, 21110, 21120)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func holds(t *testing.T, v checker.Verdict) {
	t.Helper()
	for _, cry := range v.Cries {
		t.Logf("%+v", cry)
	}
	require.Truef(t, v.Holds(), "%d lost, %d unexplained", v.Lost(), v.Unexplained())
}
