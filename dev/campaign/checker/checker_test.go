package checker_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/checker"
	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

func TestAStoryWithoutABreachHasNoFinding(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func() *story{
		"a transfer whose receiver fails once":                              transfer,
		"an order whose polls are used up":                                  order,
		"a transfer whose callbacks wait behind one that is exhausted":      queued,
		"a transfer that is revoked by its user while it is delivered":      revokedByUser,
		"a transfer that is revoked by its client":                          revokedByClient,
		"a transfer that is withdrawn while it is delivered":                withdrawn,
		"a transfer that is pushed":                                         pushed,
		"a receiver that drops its acknowledgement":                         droppedAnswer,
		"a receiver that is gone":                                           gone,
		"a core that starts several times":                                  startedSeveralTimes,
		"a client that knows the first status and does not want the second": knownAndUnwanted,
		"an operation that its lifetime ends":                               expired,
		"a newer status that supersedes an older one":                       superseded,
		"a start whose 201 was lost by a fault":                             lostAnswer,
		"a revocation that is too late and is refused":                      refusedRevocation,
		"an answer that is sent as its attempt times out":                   answeredAtTimeout,
		"an attempt that times out before the receiver answers":             timedOut,
		"an attempt whose answer could not be recorded":                     interrupted,
		"an attempt that only the start of its lost run records":            recordedByStart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireHolds(t, build().verdict())
		})
	}
}

func revokedByUser() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "r1", Revocation: &plan.Revocation{InitiatedBy: "user"}}}
	s.start(201, 0, 10)
	s.poll("reserved", 12, 14)
	s.attempt("reserved", 503, 20, 40)
	s.call(journal.Revoke, 200, 100, 120)
	s.delivery("reserved").Outcome, s.delivery("reserved").Reason = operation.DeliverySuperseded, operation.ReasonRevoked
	s.attempt("revoked", 200, 300, 310)
	s.state.Revocation = &operation.Revocation{InitiatedBy: "user"}
	s.close(operation.OutcomeAcknowledged, "revoked", true)
	return s
}

func revokedByClient() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "r2", Revocation: &plan.Revocation{InitiatedBy: "client"}}}
	s.start(201, 0, 10)
	s.poll("new", 12, 14)
	s.call(journal.Revoke, 200, 100, 120)
	s.state.Revocation = &operation.Revocation{InitiatedBy: "client"}
	s.close(operation.OutcomeRevoked, "revoked", true)
	return s
}

func refusedRevocation() *story {
	s := transfer()
	s.operation.Revocation = &plan.Revocation{InitiatedBy: "user"}
	s.call(journal.Revoke, 409, 5000, 5010).Problem = "not-revocable"
	return s
}

func withdrawn() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "w1"}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.attempt("done", 503, 20, 40)
	s.call(journal.Withdraw, 200, 100, 120)
	s.delivery("done").Outcome, s.delivery("done").Reason = operation.DeliverySuperseded, operation.ReasonWithdrawn
	s.close(operation.OutcomeWithdrawn, "done", true)
	return s
}

func pushed() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "p1"}}
	s.start(201, 0, 10)
	s.poll("reserved", 12, 14)
	s.attempt("reserved", 200, 20, 40)
	s.call(journal.Push, 202, 1000, 1010).Status = "done"
	s.attempt("done", 200, 1020, 1030)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func droppedAnswer() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "d1", Receiver: plan.Receiver{Behaviour: plan.DropsAnswer, First: 1}}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.attempt("done", 0, 20, 40)
	s.requests[0].Accepted = true
	s.attempt("done", 200, 742, 760)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func gone() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "g1"}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.attempt("done", 410, 20, 40)
	s.delivery("done").Outcome = operation.DeliveryGone
	s.close(operation.OutcomeGone, "done", true)
	return s
}

func startedSeveralTimes() *story {
	s := transfer()
	s.start(200, 5, 20)
	s.start(503, 30, 40)
	s.calls[len(s.calls)-1].RetryAfter = "1"
	s.start(200, 1000, 1010)
	s.call(journal.Clash, 409, 2000, 2010).Problem = "conflict"
	return s
}

func knownAndUnwanted() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "c1", KnownStatus: "waiting_funds", Wanted: []string{"waiting_funds", "done"}}}
	s.start(201, 0, 10)
	s.poll("waiting_funds", 12, 14)
	s.poll("reserved", 2012, 2014)
	s.poll("done", 4012, 4014)
	s.attempt("done", 200, 4020, 4040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// polledUntilStop keeps so many polls at the core, of so many counted ones; a worker is
// stopped before the last.
func polledUntilStop(seen, counted int) func(*story) {
	return func(s *story) {
		s.polls, s.state.Polls = s.polls[:seen], counted
		s.fault(plan.Terminate, "worker-0", 13000, 15000)
	}
}

func expired() *story {
	s := &story{operation: plan.Operation{Endpoint: "FLEETING", ID: "e1"}}
	s.start(201, 0, 10)
	for _, from := range []int{12, 3012, 6012, 9012, 12012, 15008} {
		s.poll("new", from, from+2)
	}
	s.close(operation.OutcomeExpired, "new", false)
	return s
}

func superseded() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "s1"}}
	s.start(201, 0, 10)
	s.poll("reserved", 12, 14)
	s.attempt("reserved", 503, 20, 40)
	s.attempt("reserved", 503, 742, 760)
	s.attempt("reserved", 503, 1462, 1480)
	s.poll("done", 2012, 2014)
	s.attempt("reserved", 503, 2182, 2200)
	s.delivery("reserved").Outcome = operation.DeliverySuperseded
	s.attempt("done", 200, 2300, 2310)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func lostAnswer() *story {
	s := transfer()
	s.calls[0].HTTPStatus = 0
	s.start(200, 100, 110)
	s.fault(plan.Reset, "starters>api-0", 0, 90)
	return s
}

// answeredAtTimeout is an answer that is sent as the attempt's time-out ends.
func answeredAtTimeout() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "x1"}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.record("done", 0, 20, 5022).Reason = "no answer within 5000 ms"
	s.request("done", 200, 21, 5014)
	s.attempt("done", 200, 5722, 5730)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// interrupted is an attempt whose answer could not be recorded.
func interrupted() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "i1"}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.record("done", 0, 20, 5020).Reason = "the worker ended while the attempt was on its way"
	s.request("done", 503, 22, 30)
	s.attempt("done", 200, 5722, 5730)
	s.fault(plan.Freeze, "temporal", 25, 900)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// recordedByStart is an attempt whose worker was killed, of which only the start of its
// run is known: the state has the latest time at which it may have been made.
func recordedByStart() *story {
	s := interrupted()
	first, second := &s.delivery("done").Attempts[0], &s.delivery("done").Attempts[1]
	first.At, second.At = operation.At(at(5015)), operation.At(at(10_750))
	s.requests[1].Span = during(10_751, 10_757)
	s.faults = nil
	s.fault(plan.Kill, "worker-0", 25, 900)
	return s
}

func timedOut() *story {
	s := &story{operation: plan.Operation{Endpoint: "BAZAAR", ID: "l1"}}
	s.start(201, 0, 10)
	s.poll("done", 12, 14)
	s.record("done", 0, 20, 5021).Reason = "no answer within 5000 ms"
	s.request("done", 0, 21, 6000)
	s.attempt("done", 200, 5722, 5730)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// breach is a promise that is broken in a story, and the finding about it.
type breach struct {
	lost    bool
	finding string
	build   func() *story
	breakIt func(*story)
	// explain adds a fault that explains it, unrelated one that does not.
	explain, unrelated func(*story)
}

var breaches = map[string]breach{
	"promise 1: an accepted operation is forgotten": {
		lost: true, finding: "the API does not know it", build: transfer, breakIt: func(s *story) { s.readStatus = 404 },
		unrelated: func(s *story) { s.fault(plan.Kill, "postgres", 0, 9000) },
	},
	"promise 1: an accepted operation never ends": {
		lost: true, finding: "has not ended", build: transfer, breakIt: func(s *story) { s.state.Phase = operation.Watching },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 0, 9000) },
	},
	"promise 1: a start is answered with 201 twice": {
		finding: "2 starts were answered with 201", build: transfer, breakIt: func(s *story) { s.start(201, 100, 110) },
		unrelated: func(s *story) { s.fault(plan.Kill, "api-0", 0, 9000) },
	},
	"promise 1: the first start is answered with 200": {
		finding: "and none with 201", build: transfer, breakIt: func(s *story) { s.calls[0].HTTPStatus = 200 },
	},
	"promise 1: another start of the same operation is accepted": {
		finding: "a clash was answered with 200", build: startedSeveralTimes, breakIt: func(s *story) { s.calls[len(s.calls)-1].HTTPStatus = 200 },
	},
	"an API answers 500": {
		finding: "a start was answered with 500", build: transfer, breakIt: func(s *story) { s.start(500, 100, 110) },
		unrelated: func(s *story) { s.fault(plan.Kill, "temporal", 0, 9000) },
	},
	"an API answers 503 without Retry-After": {
		finding: "503 without Retry-After", build: transfer, breakIt: func(s *story) { s.start(503, 100, 110) },
		unrelated: func(s *story) { s.fault(plan.Kill, "temporal", 0, 9000) },
	},
	"an API does not answer": {
		finding: "got no answer", build: transfer, breakIt: func(s *story) { s.start(0, 100, 110) },
		explain:   func(s *story) { s.fault(plan.Terminate, "api-0", 50, 5000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "api-1", 50, 5000) },
	},
	"an API does not know an operation that it accepted": {
		finding: "a push was answered with 404", build: pushed, breakIt: func(s *story) { s.calls[1].HTTPStatus = 404 },
	},
	"an API answers closed, and a callback follows": {
		finding: "refused as closed", build: transfer,
		breakIt:   func(s *story) { s.call(journal.Push, 409, 3000, 3010).Problem = "closed" },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 2000, 3000) },
	},
	"a poll is malformed": {
		finding: "does not follow the core's documents", build: transfer, breakIt: func(s *story) { s.polls[0].Refused = "no MAC" },
	},
	"a signature is wrong": {
		finding: "does not follow its dialect's documents", build: transfer, breakIt: func(s *story) { s.requests[0].Refused = "no signature" },
	},
	"promise 2: a poll comes late": {
		finding: "poll 3 came", build: transfer,
		breakIt: func(s *story) {
			s.polls[2].Span, s.requests[2].Span = during(9012, 9014), during(9021, 9039)
			s.delivery("done").Attempts[0].At = operation.At(at(9020))
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-1", 3000, 5000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 3000, 5000) },
	},
	"promise 2: the watch ends too soon": {
		lost: true, finding: "before its lifetime was over", build: expired,
		breakIt:   func(s *story) { s.polls, s.state.Polls = s.polls[:5], 5 },
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 14000, 16000) },
		unrelated: func(s *story) { s.fault(plan.CoreDown, "cores", 20000, 26000) },
	},
	"promise 2: the watch ends too soon, while its worker is stopped": {
		lost: true, finding: "before its lifetime was over", build: expired,
		breakIt:   polledUntilStop(5, 5),
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 20000, 26000) },
		unrelated: func(s *story) { s.fault(plan.CoreDown, "cores", 100, 2000) },
	},
	"promise 2: more polls than are allowed": {
		finding: "max_polls is 4", build: order, breakIt: func(s *story) { s.poll("0", 9016, 9018) },
		unrelated: func(s *story) { s.fault(plan.CoreDown, "cores", 5000, 6000) },
	},
	"promise 2: a poll that is not counted": {
		finding: "3 polls reached the core, and the state counts 2", build: transfer, breakIt: func(s *story) { s.state.Polls = 2 },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 1000, 2000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 1000, 2000) },
	},
	"promise 2: a poll is counted that was not made": {
		finding: "3 polls reached the core, and the state counts 4", build: transfer, breakIt: func(s *story) { s.state.Polls = 4 },
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 2500, 3000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 1000, 2000) },
	},
	"promise 2: the last poll is counted and not made": {
		finding: "5 polls reached the core, and the state counts 6", build: expired,
		breakIt:   polledUntilStop(5, 6),
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 20000, 26000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 20000, 26000) },
	},
	"promise 2: the last two polls are counted and not made": {
		finding: "4 polls reached the core, and the state counts 6", build: expired,
		breakIt:   polledUntilStop(4, 6),
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 11000, 26000) },
		unrelated: func(s *story) { s.fault(plan.CoreDown, "cores", 20000, 26000) },
	},
	"promise 3: a polled status is dropped": {
		lost: true, finding: `"waiting_funds" was observed by a poll`, build: transfer,
		breakIt: func(s *story) {
			s.requests = s.requests[2:]
			s.state.Deliveries = s.state.Deliveries[1:]
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 2500, 3500) },
	},
	"promise 3: a polled status is dropped, and its first poll too": {
		lost: true, finding: `"waiting_funds" was observed by a poll`, build: transfer,
		breakIt: func(s *story) {
			s.requests, s.polls = s.requests[2:], s.polls[1:]
			s.state.Deliveries = s.state.Deliveries[1:]
			s.polls[0].Span = during(13, 14)
			s.state.Polls--
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 500, 3000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 500, 3000) },
	},
	"promise 3: a pushed status is dropped": {
		lost: true, finding: `"done" was observed by a push`, build: pushed,
		breakIt: func(s *story) {
			s.requests, s.state.Deliveries = s.requests[:1], s.state.Deliveries[:1]
			s.close(operation.OutcomeAcknowledged, "reserved", false)
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 900, 3000) },
	},
	"promise 3: a polled status is dropped long before a revocation": {
		lost: true, finding: `"waiting_funds" was observed by a poll`, build: revokedByUser,
		breakIt: func(s *story) {
			s.polls[0].Status = "waiting_funds"
			s.calls[1].Span = during(5000, 5020)
			s.requests, s.state.Deliveries = nil, nil
			s.attempt("revoked", 200, 5030, 5040)
		},
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 1000, 4000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 1000, 4000) },
	},
	"promise 3: a status is delivered that was not observed": {
		finding: "which had not been observed", build: transfer,
		breakIt: func(s *story) {
			s.attempt("reserved", 200, 4050, 4060)
			s.state.Deliveries[1], s.state.Deliveries[2] = s.state.Deliveries[2], s.state.Deliveries[1]
		},
	},
	"promise 3: a status is delivered that the client knew": {
		finding: "which the client knew", build: transfer, breakIt: func(s *story) { s.operation.KnownStatus = "waiting_funds" },
	},
	"promise 3: a status is delivered that the client does not want": {
		finding: "which has no callback", build: transfer, breakIt: func(s *story) { s.operation.Wanted = []string{"done"} },
	},
	"promise 3: a first attempt comes late": {
		finding: `the first attempt about "done" came`, build: transfer,
		breakIt: func(s *story) {
			s.requests[2].Span = during(9021, 9039)
			s.delivery("done").Attempts[0].At = operation.At(at(9020))
		},
		explain: func(s *story) { s.fault(plan.Freeze, "temporal", 3000, 8000) },
		unrelated: func(s *story) {
			s.fault(plan.Kill, "worker-1", 100, 500)
			s.faults[0].Began = began.Add(-time.Hour)
			s.faults[0].Ended = began.Add(-time.Minute)
		},
	},
	"promise 3: the callback about used-up polls has not the last answer": {
		finding: "the last answer read was", build: order,
		breakIt: func(s *story) { s.polls[3].Status = "5" },
	},
	"promise 4: a callback overtakes an older one": {
		finding: "after a newer callback", build: transfer,
		breakIt: func(s *story) {
			s.requests[1].Span = during(4060, 4070)
			s.state.Deliveries[0].Attempts[1].At = operation.At(at(4059))
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 4: callbacks are in another order than their statuses": {
		finding: "which had been observed first", build: queued,
		breakIt: func(s *story) {
			s.state.Deliveries[0], s.state.Deliveries[1] = s.state.Deliveries[1], s.state.Deliveries[0]
			s.requests[4].Span = during(6021, 6030)
			s.state.Deliveries[0].Attempts[0].At, s.state.Deliveries[0].Attempts[0].TookMS = operation.At(at(6020)), 11
			for i := range 4 {
				moved := 7042 + i*7020
				s.requests[i].Span = during(moved+1, moved+17)
				s.state.Deliveries[1].Attempts[i].At, s.state.Deliveries[1].Attempts[i].TookMS = operation.At(at(moved)), 18
			}
			s.state.Outcome = operation.OutcomeExhausted
		},
	},
	"promise 4: two callbacks overlap": {
		finding: "was being answered", build: transfer,
		breakIt: func(s *story) {
			s.requests[1].Ended = at(4030)
			s.state.Deliveries[0].Attempts[1].TookMS = 4031 - 742
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 4: a final callback is superseded": {
		lost: true, finding: "although it is final", build: withdrawn,
		breakIt: func(s *story) {
			s.delivery("done").Reason = ""
			s.call(journal.Push, 202, 200, 210).Status = "failed"
		},
	},
	"promise 4: a callback is superseded where all are queued": {
		lost: true, finding: "queues every callback", build: queued,
		breakIt: func(s *story) { s.delivery("reserved").Outcome = operation.DeliverySuperseded },
	},
	"promise 5: more than k attempts": {
		finding: "5 recorded attempts, k is 4", build: order,
		breakIt: func(s *story) {
			d := s.delivery("0")
			d.Attempts, s.requests = nil, nil
			for i := range 5 {
				s.attempt("0", 503, 9020+i*720, 9040+i*720)
			}
			d.Outcome, s.state.Outcome = operation.DeliveryExhausted, operation.OutcomeExhausted
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 9020, 9500) },
	},
	"promise 5: exhausted before k": {
		lost: true, finding: "exhausted after 1 recorded attempts", build: withdrawn,
		breakIt: func(s *story) {
			s.calls = s.calls[:1]
			s.delivery("done").Outcome, s.delivery("done").Reason = operation.DeliveryExhausted, ""
			s.state.Outcome = operation.OutcomeExhausted
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 20, 500) },
	},
	"promise 5: h is too short": {
		finding: "h is 700ms", build: transfer,
		breakIt: func(s *story) {
			s.requests[1].Span = during(600, 650)
			s.state.Deliveries[0].Attempts[1].At = operation.At(at(599))
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 5: h is too short, and the record hides it": {
		finding: "is recorded as ended at", build: transfer,
		breakIt: func(s *story) { s.requests[0].Ended = at(300) },
	},
	"promise 5: h is too long": {
		finding: `attempt 2 about "waiting_funds" came`, build: transfer,
		breakIt: func(s *story) {
			s.requests[1].Span = during(3500, 3510)
			s.state.Deliveries[0].Attempts[1].At = operation.At(at(3499))
		},
		explain:   func(s *story) { s.fault(plan.Blackhole, "worker-1>temporal", 100, 500) },
		unrelated: func(s *story) { s.fault(plan.Latency, "starters>api-0", 100, 500) },
	},
	"promise 5: a request that is delayed on its way": {
		finding: "reached the receiver", build: transfer,
		breakIt: func(s *story) {
			s.requests[2].Span = during(6500, 6510)
			s.state.Deliveries[1].Attempts[0].TookMS = 2500
		},
		explain:   func(s *story) { s.fault(plan.Blackhole, "ringback>receivers", 4000, 6000) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 4000, 6000) },
	},
	"promise 5: a request that is not recorded": {
		finding: "none of the", build: transfer,
		breakIt: func(s *story) {
			s.requests = append(s.requests, *s.request("done", 503, 4015, 4017))
			s.requests = s.requests[:4]
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 4016, 6000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 4016, 6000) },
	},
	"promise 5: two requests that are not recorded": {
		finding: "none of the", build: transfer,
		breakIt: func(s *story) {
			s.request("done", 503, 4015, 4017)
			s.request("done", 503, 4018, 4019)
		},
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 100, 5100) },
		unrelated: func(s *story) { s.fault(plan.Freeze, "worker-0", 100, 5000) },
	},
	"promise 5: an attempt that reached no receiver": {
		finding: "reached no receiver", build: transfer, breakIt: func(s *story) { s.requests = s.requests[1:] },
		explain:   func(s *story) { s.fault(plan.Reset, "ringback>receivers", 0, 600) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 25, 600) },
	},
	"promise 5: an attempt that only the start of its run records, and no worker was lost": {
		finding: "is recorded as interrupted", build: recordedByStart,
		breakIt:   func(s *story) { s.faults = nil },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 25, 900) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 5015, 5900) },
	},
	"promise 5: an attempt that only the start of its run records is not sent": {
		finding: "reached no receiver", build: recordedByStart,
		breakIt:   func(s *story) { s.faults, s.requests = nil, s.requests[1:] },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 10, 900) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 6100, 7000) },
	},
	"promise 5: an attempt that is found lost while its next run waits is not sent": {
		finding: "reached no receiver", build: recordedByStart,
		breakIt: func(s *story) {
			s.faults, s.requests = nil, s.requests[1:]
			s.state.Deliveries[0].Attempts[0].At = operation.At(at(10_700))
			s.state.Deliveries[0].Attempts[1].At = operation.At(at(16_500))
			s.requests[0].Span = during(16_501, 16_510)
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 10, 900) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 11_800, 12_000) },
	},
	"promise 5: an attempt that was recorded and not sent": {
		finding: "reached no receiver", build: transfer,
		breakIt: func(s *story) {
			s.requests = s.requests[1:]
			first := &s.state.Deliveries[0].Attempts[0]
			first.TookMS, first.HTTPStatus = 5000, 0
			s.state.Deliveries[0].Attempts[1].At = operation.At(at(5721))
			s.requests[0].Span = during(5722, 5738)
			s.polls[2].Span, s.requests[1].Span = during(6012, 6014), during(6021, 6039)
			s.state.Deliveries[1].Attempts[0].At = operation.At(at(6020))
			s.polls = append(s.polls[:2:2], journal.Poll{Span: during(4012, 4014), Status: "waiting_funds"}, s.polls[2])
			s.state.Polls++
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 25, 600) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 3000, 3600) },
	},
	"promise 6: acknowledged by a receiver that did not accept it": {
		lost: true, finding: "the receiver did not accept it", build: transfer,
		breakIt:   func(s *story) { s.requests[2].Accepted, s.requests[2].HTTPStatus = false, 503 },
		unrelated: func(s *story) { s.fault(plan.Reset, "ringback>receivers", 4000, 5000) },
	},
	"promise 6: acknowledged by no receiver": {
		lost: true, finding: "no receiver saw it", build: transfer, breakIt: func(s *story) { s.requests = s.requests[:2] },
		unrelated: func(s *story) { s.fault(plan.Reset, "ringback>receivers", 4000, 5000) },
	},
	"promise 6: an acknowledgement is recorded as a failure": {
		finding: "was answered with 200 and is recorded as", build: transfer,
		breakIt:   func(s *story) { s.requests[0].Accepted, s.requests[0].HTTPStatus = true, 200 },
		explain:   func(s *story) { s.fault(plan.Reset, "ringback>receivers", 0, 500) },
		unrelated: func(s *story) { s.fault(plan.Latency, "ringback>cores", 0, 500) },
	},
	"promise 6: an answer is lost as its link is repaired": {
		finding: "was answered with 503 and is recorded as unacknowledged with 0", build: transfer,
		breakIt:   func(s *story) { s.delivery("waiting_funds").Attempts[0].HTTPStatus = 0 },
		explain:   func(s *story) { s.fault(plan.SlowClose, "ringback>receivers", -5000, 30) },
		unrelated: func(s *story) { s.fault(plan.SlowClose, "ringback>receivers", 0, 5000) },
	},
	"promise 5: a request is lost as its link is repaired": {
		finding: "reached no receiver", build: transfer, breakIt: func(s *story) { s.requests = s.requests[1:] },
		explain:   func(s *story) { s.fault(plan.SlowClose, "ringback>receivers", -5000, 30) },
		unrelated: func(s *story) { s.fault(plan.SlowClose, "ringback>receivers", 0, 5000) },
	},
	"promise 7: a revocation is forgotten": {
		lost: true, finding: "its revocation was answered with 200", build: revokedByUser,
		breakIt:   func(s *story) { s.close(operation.OutcomeAcknowledged, "reserved", false) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"promise 7: a revocation is not delivered": {
		lost: true, finding: `"revoked" was observed by a revoke`, build: revokedByUser,
		breakIt: func(s *story) {
			s.requests, s.state.Deliveries = s.requests[:1], s.state.Deliveries[:1]
			s.state.Outcome = operation.OutcomeRevoked
		},
	},
	"promise 7: a revocation of the client's is delivered": {
		finding: "although it has no callback", build: revokedByUser,
		breakIt: func(s *story) {
			s.operation.Revocation.InitiatedBy = "client"
			s.state.Revocation.InitiatedBy = "client"
		},
	},
	"promise 7: a revocation that is allowed is refused": {
		finding: "no observed status forbids it", build: queued,
		breakIt: func(s *story) {
			s.operation.Revocation = &plan.Revocation{InitiatedBy: "user"}
			s.call(journal.Revoke, 409, 3000, 3010).Problem = "not-revocable"
		},
	},
	"promise 7: a callback is sent after a revocation": {
		finding: `"reserved" was sent`, build: revokedByUser,
		breakIt: func(s *story) {
			s.requests, s.state.Deliveries = nil, nil
			for i := range 8 {
				s.attempt("reserved", 503, 20+i*760, 40+i*760)
			}
			s.delivery("reserved").Outcome, s.delivery("reserved").Reason = operation.DeliverySuperseded, operation.ReasonRevoked
			s.attempt("revoked", 200, 5400, 5410)
		},
		explain: func(s *story) { s.fault(plan.Freeze, "worker-0", 90, 1000) },
	},
	"promise 8: a withdrawal is forgotten": {
		finding: "its outcome is acknowledged", build: withdrawn,
		breakIt: func(s *story) {
			s.delivery("done").Reason = ""
			for i := 1; i < 8; i++ {
				s.attempt("done", 503, 20+i*720, 40+i*720)
			}
			s.delivery("done").Attempts[7].Verdict, s.delivery("done").Attempts[7].HTTPStatus = operation.Acknowledged, 200
			s.requests[7].HTTPStatus, s.requests[7].Accepted = 200, true
			s.delivery("done").Outcome, s.state.Outcome = operation.DeliveryAcknowledged, operation.OutcomeAcknowledged
		},
	},
	"promise 8: a callback is sent after a withdrawal": {
		finding: "a withdraw was answered with 200", build: withdrawn,
		breakIt: func(s *story) {
			for i := 1; i < 8; i++ {
				s.attempt("done", 503, 20+i*760, 40+i*760)
			}
		},
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 90, 1000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 90, 1000) },
	},
	"promise 8: withdrawn without a withdrawal": {
		lost: true, finding: "withdrawn without a withdrawal", build: withdrawn, breakIt: func(s *story) { s.calls = s.calls[:1] },
	},
	"promise 11: a callback is sent twice": {
		finding: "got it again", build: transfer,
		breakIt:   func(s *story) { s.request("done", 200, 4015, 4018) },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 4019, 5000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 4019, 5000) },
	},
	"promise 5: an interrupted attempt comes late": {
		finding: "reached the receiver 2.58s later", build: interrupted,
		breakIt:   func(s *story) { s.faults, s.requests[0].Span = nil, during(2600, 2610) },
		explain:   func(s *story) { s.fault(plan.Freeze, "temporal", 25, 900) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 2700, 2800) },
	},
	"promise 5: an interrupted attempt comes later than its record can take": {
		finding: "reached the receiver 6.48s later", build: interrupted,
		breakIt:   func(s *story) { s.requests[0].Span = during(6500, 6510) },
		unrelated: func(s *story) { s.fault(plan.Freeze, "temporal", 1000, 9000) },
	},
	"promise 11: an acknowledgement waits for its record while starts are slow, and its callback is sent again": {
		finding: "got it again", build: interrupted,
		breakIt:   func(s *story) { s.faults = nil; s.requests[0].HTTPStatus, s.requests[0].Accepted = 200, true },
		explain:   func(s *story) { s.start(200, 900, 1950) },
		unrelated: func(s *story) { s.start(200, 900, 1850) },
	},
	"promise 11: a callback changes its id": {
		finding: "has the callback ids", build: transfer, breakIt: func(s *story) { s.requests[1].CallbackID = "cb_other" },
	},
	"promise 11: an id stands for two statuses": {
		finding: "is used for", build: transfer, breakIt: func(s *story) { s.requests[2].CallbackID = "cb_waiting_funds" },
	},
	"promise 11: a callback changes its body": {
		finding: "has two bodies", build: transfer, breakIt: func(s *story) { s.requests[1].Body = "another" },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"promise 12: the outcome is not that of the last callback": {
		finding: "its outcome is expired", build: transfer, breakIt: func(s *story) { s.state.Outcome = operation.OutcomeExpired },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"an operation that no core started": {
		finding: "no core started it", build: transfer, breakIt: func(s *story) { s.calls = nil },
	},
}

func TestAnOverloadedAPIExplainsWhatIsLateAndNothingElse(t *testing.T) {
	t.Parallel()
	shed := func(s *story) {
		for i := range 4 {
			call := s.call(journal.Start, 503, 2000+i*2000, 2010+i*2000)
			call.Problem, call.RetryAfter = "overloaded", "2"
		}
	}
	for name, explained := range map[string]bool{
		"promise 3: a first attempt comes late":                    true,
		"promise 5: a request that is not recorded":                false,
		"promise 5: an attempt that reached no receiver":           false,
		"promise 11: a callback is sent twice":                     false,
		"promise 5: a request that is delayed on its way":          false,
		"promise 1: an accepted operation never ends":              false,
		"promise 6: acknowledged by no receiver":                   false,
		"promise 2: a poll that is not counted":                    false,
		"promise 4: a callback overtakes an older one":             false,
		"promise 12: the outcome is not that of the last callback": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := breaches[name]
			s := b.build()
			b.breakIt(s)
			shed(s)
			require.Equal(t, explained, !hasFinding(s.verdict(), b.lost, b.finding))
		})
	}
}

func hasFinding(v checker.Verdict, lost bool, text string) bool {
	for _, f := range v.Findings {
		if f.Lost == lost && strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}

func TestABreachIsFoundUnlessAFaultExplainsIt(t *testing.T) {
	t.Parallel()
	nothing := func(*story) {}
	for name, b := range breaches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range []struct {
				name  string
				fault func(*story)
				found bool
			}{{"without a fault", nothing, true}, {"with an unrelated fault", b.unrelated, true}, {"with a fault that explains it", b.explain, false}} {
				if tt.fault == nil {
					continue
				}
				s := b.build()
				b.breakIt(s)
				tt.fault(s)
				v := s.verdict()
				require.Equalf(t, tt.found, hasFinding(v, b.lost, b.finding), "%s: %+v", tt.name, v.Findings)
			}
		})
	}
}

func TestAnEmptyJournalDoesNotHold(t *testing.T) {
	t.Parallel()
	p := plan.Plan{Operations: []plan.Operation{{Endpoint: "SHOP", ID: "1"}}, Faults: []plan.Fault{{Kind: plan.Kill, On: "worker-0"}}}
	v := checker.Check(p, nil)
	require.True(t, hasFinding(v, false, "no core started it"))
	require.True(t, hasFinding(v, false, `the fault "kill -9" was planned and not injected`))
}

func TestWriteListsFindingsAndWhatFaultsExplain(t *testing.T) {
	t.Parallel()
	b := breaches["promise 11: a callback is sent twice"]
	s := b.build()
	b.breakIt(s)
	b.explain(s)
	// The receiver did not see the acknowledged attempt of the first callback.
	s.requests = append(s.requests[:1:1], s.requests[2:]...)
	var out bytes.Buffer
	v := s.verdict()
	require.NoError(t, v.Write(&out))
	for _, line := range []string{
		"| callbacks | 2 |", "| requests to receivers | 3 |", "| duplicates explained by a fault | 1 |", "| requests beyond the recorded attempts | 1 |",
		"| ended as acknowledged | 1 |", "| **lost** | **1** |", "| **unexplained** | **0** |",
		"| kill -9 | programs | 1 | 980ms | 0s | duplicate: 1, request beyond the recorded attempts: 1 |",
		"LOST (promise 6): BAZAAR/t1: attempt 2 about \"waiting_funds\" is recorded as acknowledged, and no receiver saw it",
		"    12:00:04.015 request 0 about \"done\"", "    12:00:04.019 FAULT kill -9 of worker-0 begins",
	} {
		require.Contains(t, out.String(), line)
	}
}
