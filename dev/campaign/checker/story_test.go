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

// began is when every story begins; times are in milliseconds after it.
var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

func during(from, to int) journal.Span { return journal.Span{Began: at(from), Ended: at(to)} }

// story is everything that was seen of one operation.
type story struct {
	operation plan.Operation
	calls     []journal.Call
	polls     []journal.Poll
	requests  []journal.Request
	faults    []journal.Fault
	state     operation.State
	// readStatus is the HTTP status if the API returned no state.
	readStatus int
}

func (s *story) key() operation.Key {
	return operation.Key{Endpoint: s.operation.Endpoint, OperationID: s.operation.ID}
}

func (s *story) verdict() checker.Verdict {
	var entries []journal.Entry
	for _, c := range s.calls {
		c.Key = s.key()
		entries = append(entries, journal.Entry{Call: &c})
	}
	for _, p := range s.polls {
		p.Key = s.key()
		entries = append(entries, journal.Entry{Poll: &p})
	}
	for _, r := range s.requests {
		r.Key = s.key()
		entries = append(entries, journal.Entry{Request: &r})
	}
	for _, f := range s.faults {
		entries = append(entries, journal.Entry{Fault: &f})
	}
	read := journal.State{Key: s.key(), HTTPStatus: 200, State: s.state}
	read.State.Key = s.key()
	if s.readStatus != 0 {
		read.HTTPStatus, read.State = s.readStatus, operation.State{}
	}
	entries = append(entries, journal.Entry{State: &read})
	p := plan.Plan{Operations: []plan.Operation{s.operation}}
	return checker.Check(p, entries)
}

func (s *story) start(status, from, to int) {
	s.calls = append(s.calls, journal.Call{Span: during(from, to), Kind: journal.Start, HTTPStatus: status, API: "api-0"})
}

func (s *story) call(kind string, status, from, to int) *journal.Call {
	s.calls = append(s.calls, journal.Call{Span: during(from, to), Kind: kind, HTTPStatus: status, API: "api-0"})
	return &s.calls[len(s.calls)-1]
}

func (s *story) poll(status string, from, to int) {
	s.polls = append(s.polls, journal.Poll{Span: during(from, to), Status: status})
	s.state.Polls++
}

// request is one that the receiver saw and that is not recorded.
func (s *story) request(status string, httpStatus, from, to int) *journal.Request {
	s.requests = append(s.requests, journal.Request{
		Span: during(from, to), CallbackID: "cb_" + status, Status: status, Body: "body of " + status,
		HTTPStatus: httpStatus, Accepted: httpStatus == 200, Answered: httpStatus != 0,
	})
	return &s.requests[len(s.requests)-1]
}

// record is a recorded attempt that the receiver did not see.
func (s *story) record(status string, httpStatus, from, to int) *operation.Attempt {
	d := s.delivery(status)
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

// attempt is recorded and was seen by the receiver.
func (s *story) attempt(status string, httpStatus, from, to int) {
	s.record(status, httpStatus, from, to)
	s.request(status, httpStatus, from+1, to-1)
}

func (s *story) delivery(status string) *operation.Delivery {
	for i := range s.state.Deliveries {
		if s.state.Deliveries[i].Status == status {
			return &s.state.Deliveries[i]
		}
	}
	s.state.Deliveries = append(s.state.Deliveries, operation.Delivery{
		CallbackID: "cb_" + status, Status: status, Outcome: operation.DeliveryPending,
	})
	return &s.state.Deliveries[len(s.state.Deliveries)-1]
}

func (s *story) fault(kind plan.FaultKind, on string, from, to int) {
	s.faults = append(s.faults, journal.Fault{Span: during(from, to), Kind: string(kind), On: on})
}

func (s *story) close(outcome operation.Outcome, status string, final bool) {
	s.state.Phase, s.state.Outcome = operation.Closed, outcome
	s.state.Status = &operation.Status{Value: status, Final: final}
}

// transfer is Paysera's, with a receiver that fails once: h is 700 ms, k 8, the
// time-out 5 s, and a newer status supersedes an older one.
func transfer() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "t1", Starts: 1}}
	s.start(201, 0, 10)
	s.poll("waiting_funds", 12, 14)
	s.attempt("waiting_funds", 503, 20, 40)
	s.attempt("waiting_funds", 200, 742, 760)
	s.poll("waiting_funds", 2012, 2014)
	s.poll("done", 4012, 4014)
	s.attempt("done", 200, 4020, 4040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// order is Ukrcard's, and ends after max_polls: 4. k is 4.
func order() *story {
	s := &story{operation: plan.Operation{Endpoint: "LAPSING", ID: "o1", Starts: 1}}
	s.start(201, 0, 10)
	for _, from := range []int{12, 1012, 3012, 9012} {
		s.poll("0", from, from+2)
	}
	s.attempt("0", 200, 9020, 9040)
	s.delivery("0").Reason = operation.ReasonPollsUsedUp
	s.close(operation.OutcomeAcknowledged, "0", false)
	return s
}

// queued is a transfer at an endpoint that queues every callback: h is 6 s, k 4.
func queued() *story {
	s := &story{operation: plan.Operation{Endpoint: "MARKET", ID: "q1", Starts: 1}}
	s.start(201, 0, 10)
	s.poll("reserved", 12, 14)
	s.attempt("reserved", 503, 20, 40)
	s.poll("reserved", 3012, 3014)
	s.poll("done", 6012, 6014)
	s.attempt("reserved", 503, 7042, 7060)
	s.attempt("reserved", 503, 14062, 14080)
	s.attempt("reserved", 503, 21082, 21100)
	s.delivery("reserved").Outcome = operation.DeliveryExhausted
	s.attempt("done", 200, 21110, 21120)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func requireHolds(t *testing.T, v checker.Verdict) {
	t.Helper()
	require.Empty(t, v.Findings)
}
