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

func TestACleanStoryMakesNoCry(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func() *world{
		"a transfer whose receiver fails once":                               transfer,
		"an order whose polls are used up":                                   order,
		"a transfer that queues its callbacks behind one that is exhausted":  queued,
		"a transfer that is revoked by its user while it is delivered":       revokedByUser,
		"a transfer that is revoked by its client":                           revokedByClient,
		"a transfer that is withdrawn while it is delivered":                 withdrawn,
		"a transfer that is pushed":                                          pushed,
		"a receiver that drops its acknowledgement":                          droppedAnswer,
		"a receiver that is gone":                                            gone,
		"an impatient core":                                                  impatient,
		"a client that knows the first status and wants only final ones":     choosy,
		"an operation that its lifetime ends":                                expired,
		"a newer status that supersedes an older one":                        superseded,
		"a status that came and went between two polls":                      transfer,
		"a start whose 201 was lost, with the fault that lost it":            lostAnswer,
		"a revocation that comes too late and is refused":                    refusedRevocation,
		"an answer that its attempt's time-out meets on the way":             crossing,
		"an attempt that its time-out ends before the receiver has answered": outlasted,
		"an attempt whose answer could not be recorded":                      interrupted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holds(t, tell().verdict())
		})
	}
}

func revokedByUser() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "r1", Revocation: &plan.Revocation{InitiatedBy: "user"}}}
	w.start(201, 0, 10)
	w.poll("reserved", 12, 14)
	w.attempt("reserved", 503, 20, 40)
	w.call(journal.Revoke, 200, 100, 120)
	w.delivery("reserved").Outcome, w.delivery("reserved").Reason = operation.DeliverySuperseded, operation.ReasonRevoked
	w.attempt("revoked", 200, 300, 310)
	w.state.Revocation = &operation.Revocation{InitiatedBy: "user"}
	w.close(operation.OutcomeAcknowledged, "revoked", true)
	return w
}

func revokedByClient() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "r2", Revocation: &plan.Revocation{InitiatedBy: "client"}}}
	w.start(201, 0, 10)
	w.poll("new", 12, 14)
	w.call(journal.Revoke, 200, 100, 120)
	w.state.Revocation = &operation.Revocation{InitiatedBy: "client"}
	w.close(operation.OutcomeRevoked, "revoked", true)
	return w
}

func refusedRevocation() *world {
	w := transfer()
	w.operation.Revocation = &plan.Revocation{InitiatedBy: "user"}
	w.call(journal.Revoke, 409, 5000, 5010).Problem = "not-revocable"
	return w
}

func withdrawn() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "w1"}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.attempt("done", 503, 20, 40)
	w.call(journal.Withdraw, 200, 100, 120)
	w.delivery("done").Outcome, w.delivery("done").Reason = operation.DeliverySuperseded, operation.ReasonWithdrawn
	w.close(operation.OutcomeWithdrawn, "done", true)
	return w
}

func pushed() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "p1"}}
	w.start(201, 0, 10)
	w.poll("reserved", 12, 14)
	w.attempt("reserved", 200, 20, 40)
	w.call(journal.Push, 202, 1000, 1010).Status = "done"
	w.attempt("done", 200, 1020, 1030)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func droppedAnswer() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "d1", Receiver: plan.Receiver{Manner: plan.DropsAnswer, First: 1}}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.attempt("done", 0, 20, 40)
	w.requests[0].Took = true
	w.attempt("done", 200, 742, 760)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func gone() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "g1"}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.attempt("done", 410, 20, 40)
	w.delivery("done").Outcome = operation.DeliveryGone
	w.close(operation.OutcomeGone, "done", true)
	return w
}

func impatient() *world {
	w := transfer()
	w.start(200, 5, 20)
	w.start(503, 30, 40)
	w.calls[len(w.calls)-1].RetryAfter = "1"
	w.start(200, 1000, 1010)
	w.call(journal.Clash, 409, 2000, 2010).Problem = "conflict"
	return w
}

func choosy() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "c1", KnownStatus: "waiting_funds", Wanted: []string{"waiting_funds", "done"}}}
	w.start(201, 0, 10)
	w.poll("waiting_funds", 12, 14)
	w.poll("reserved", 2012, 2014)
	w.poll("done", 4012, 4014)
	w.attempt("done", 200, 4020, 4040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// polledUntilAStop leaves so many of the polls at the core, of so many that are
// counted; the worker is stopped before the last.
func polledUntilAStop(asked, counted int) func(*world) {
	return func(w *world) {
		w.polls, w.state.Polls = w.polls[:asked], counted
		w.fault(plan.Terminate, "worker-0", 13000, 15000)
	}
}

func expired() *world {
	w := &world{operation: plan.Operation{Endpoint: "FLEETING", ID: "e1"}}
	w.start(201, 0, 10)
	for _, from := range []int{12, 3012, 6012, 9012, 12012, 15008} {
		w.poll("new", from, from+2)
	}
	w.close(operation.OutcomeExpired, "new", false)
	return w
}

func superseded() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "s1"}}
	w.start(201, 0, 10)
	w.poll("reserved", 12, 14)
	w.attempt("reserved", 503, 20, 40)
	w.attempt("reserved", 503, 742, 760)
	w.attempt("reserved", 503, 1462, 1480)
	w.poll("done", 2012, 2014)
	w.attempt("reserved", 503, 2182, 2200)
	w.delivery("reserved").Outcome = operation.DeliverySuperseded
	w.attempt("done", 200, 2300, 2310)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func lostAnswer() *world {
	w := transfer()
	w.calls[0].HTTPStatus = 0
	w.start(200, 100, 110)
	w.fault(plan.Reset, "starters>api-0", 0, 90)
	return w
}

// crossing is an answer that leaves as the attempt's time-out ends.
func crossing() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "x1"}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.record("done", 0, 20, 5022).Reason = "no answer within 5000 ms"
	w.request("done", 200, 21, 5014)
	w.attempt("done", 200, 5722, 5730)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// interrupted is an attempt whose answer could not be recorded.
func interrupted() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "i1"}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.record("done", 0, 20, 5020).Reason = "the worker ended while the attempt was on its way"
	w.request("done", 503, 22, 30)
	w.attempt("done", 200, 5722, 5730)
	w.fault(plan.Freeze, "temporal", 25, 900)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func outlasted() *world {
	w := &world{operation: plan.Operation{Endpoint: "BAZAAR", ID: "l1"}}
	w.start(201, 0, 10)
	w.poll("done", 12, 14)
	w.record("done", 0, 20, 5021).Reason = "no answer within 5000 ms"
	w.request("done", 0, 21, 6000)
	w.attempt("done", 200, 5722, 5730)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// bug is a promise broken, the words of the cry, and how a story tells of it.
type bug struct {
	lost    bool
	says    string
	tell    func() *world
	mutate  func(*world)
	explain func(*world)
	// not does not explain it, although it is near.
	not func(*world)
}

var bugs = map[string]bug{
	"promise 1: an accepted operation is forgotten": {
		lost: true, says: "the API knows nothing of it", tell: transfer, mutate: func(w *world) { w.unread = 404 },
		not: func(w *world) { w.fault(plan.Kill, "postgres", 0, 9000) },
	},
	"promise 1: an accepted operation never ends": {
		lost: true, says: "has not ended", tell: transfer, mutate: func(w *world) { w.state.Phase = operation.Watching },
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 0, 9000) },
	},
	"promise 1: a start is answered with 201 twice": {
		says: "201 2 times", tell: transfer, mutate: func(w *world) { w.start(201, 100, 110) },
		not: func(w *world) { w.fault(plan.Kill, "api-0", 0, 9000) },
	},
	"promise 1: a start is answered with 200 that nobody made": {
		says: "nobody was answered with 201", tell: transfer, mutate: func(w *world) { w.calls[0].HTTPStatus = 200 },
	},
	"promise 1: another start of the same operation is accepted": {
		says: "clash was answered with 200", tell: impatient, mutate: func(w *world) { w.calls[len(w.calls)-1].HTTPStatus = 200 },
	},
	"an API answers 500": {
		says: "start was answered with 500", tell: transfer, mutate: func(w *world) { w.start(500, 100, 110) },
		not: func(w *world) { w.fault(plan.Kill, "temporal", 0, 9000) },
	},
	"an API answers 503 and not when to come back": {
		says: "503 without Retry-After", tell: transfer, mutate: func(w *world) { w.start(503, 100, 110) },
		not: func(w *world) { w.fault(plan.Kill, "temporal", 0, 9000) },
	},
	"an API answers nothing": {
		says: "got no answer", tell: transfer, mutate: func(w *world) { w.start(0, 100, 110) },
		explain: func(w *world) { w.fault(plan.Terminate, "api-0", 50, 5000) },
		not:     func(w *world) { w.fault(plan.Terminate, "api-1", 50, 5000) },
	},
	"an API does not know an operation that it accepted": {
		says: "push was answered with 404", tell: pushed, mutate: func(w *world) { w.calls[1].HTTPStatus = 404 },
	},
	"an API says closed, and sends after that": {
		says: "refused as closed", tell: transfer,
		mutate: func(w *world) { w.call(journal.Push, 409, 3000, 3010).Problem = "closed" },
		not:    func(w *world) { w.fault(plan.Kill, "worker-0", 2000, 3000) },
	},
	"a core is asked in another way than its documents have it": {
		says: "not as the core's documents", tell: transfer, mutate: func(w *world) { w.polls[0].Refused = "no MAC" },
	},
	"a signature is wrong": {
		says: "not as its dialect's documents", tell: transfer, mutate: func(w *world) { w.requests[0].Refused = "no signature" },
	},
	"promise 2: a poll comes late": {
		says: "poll 3 came", tell: transfer,
		mutate: func(w *world) {
			w.polls[2].Span, w.requests[2].Span = during(9012, 9014), during(9021, 9039)
			w.delivery("done").Attempts[0].At = operation.At(at(9020))
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-1", 3000, 5000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 3000, 5000) },
	},
	"promise 2: the watch ends before its time": {
		lost: true, says: "before its lifetime was over", tell: expired,
		mutate:  func(w *world) { w.polls, w.state.Polls = w.polls[:5], 5 },
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 14000, 16000) },
		not:     func(w *world) { w.fault(plan.CoreDown, "cores", 20000, 26000) },
	},
	"promise 2: the watch ends before its time, with its worker stopped": {
		lost: true, says: "before its lifetime was over", tell: expired,
		mutate:  polledUntilAStop(5, 5),
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 20000, 26000) },
		not:     func(w *world) { w.fault(plan.CoreDown, "cores", 100, 2000) },
	},
	"promise 2: more polls than are allowed": {
		says: "at most 4 were allowed", tell: order, mutate: func(w *world) { w.poll("0", 9016, 9018) },
		not: func(w *world) { w.fault(plan.CoreDown, "cores", 5000, 6000) },
	},
	"promise 2: polls that nobody counted": {
		says: "the core was asked 3 times, and the state says 2", tell: transfer, mutate: func(w *world) { w.state.Polls = 2 },
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 1000, 2000) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 1000, 2000) },
	},
	"promise 2: polls are counted that nobody made": {
		says: "the core was asked 3 times, and the state says 4", tell: transfer, mutate: func(w *world) { w.state.Polls = 4 },
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 2500, 3000) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 1000, 2000) },
	},
	"promise 2: the last poll is counted, and no core saw it": {
		says: "the core was asked 5 times, and the state says 6", tell: expired,
		mutate:  polledUntilAStop(5, 6),
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 20000, 26000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 20000, 26000) },
	},
	"promise 2: the last two polls are counted, and no core saw them": {
		says: "the core was asked 4 times, and the state says 6", tell: expired,
		mutate:  polledUntilAStop(4, 6),
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 11000, 26000) },
		not:     func(w *world) { w.fault(plan.CoreDown, "cores", 20000, 26000) },
	},
	"promise 3: a polled status is dropped": {
		lost: true, says: `told "waiting_funds" by a poll`, tell: transfer,
		mutate: func(w *world) {
			w.requests = w.requests[2:]
			w.state.Deliveries = w.state.Deliveries[1:]
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 2500, 3500) },
	},
	"promise 3: a polled status is dropped whose poll was not answered for sure": {
		lost: true, says: `told "waiting_funds" by a poll`, tell: transfer,
		mutate: func(w *world) {
			w.requests, w.polls = w.requests[2:], w.polls[1:]
			w.state.Deliveries = w.state.Deliveries[1:]
			w.polls[0].Span = during(13, 14)
			w.state.Polls--
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 500, 3000) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 500, 3000) },
	},
	"promise 3: a pushed status is dropped": {
		lost: true, says: `told "done" by a push`, tell: pushed,
		mutate: func(w *world) {
			w.requests, w.state.Deliveries = w.requests[:1], w.state.Deliveries[:1]
			w.close(operation.OutcomeAcknowledged, "reserved", false)
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 900, 3000) },
	},
	"promise 3: a polled status is dropped long before a revocation": {
		lost: true, says: `told "waiting_funds" by a poll`, tell: revokedByUser,
		mutate: func(w *world) {
			w.polls[0].Status = "waiting_funds"
			w.calls[1].Span = during(5000, 5020)
			w.requests, w.state.Deliveries = nil, nil
			w.attempt("revoked", 200, 5030, 5040)
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 1000, 4000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 1000, 4000) },
	},
	"promise 3: a status is delivered that nobody said": {
		says: "which nobody had said", tell: transfer,
		mutate: func(w *world) {
			w.attempt("reserved", 200, 4050, 4060)
			w.state.Deliveries[1], w.state.Deliveries[2] = w.state.Deliveries[2], w.state.Deliveries[1]
		},
	},
	"promise 3: a status is delivered that the client knew": {
		says: "which the client knew", tell: transfer, mutate: func(w *world) { w.operation.KnownStatus = "waiting_funds" },
	},
	"promise 3: a status is delivered that nobody wants": {
		says: "which is not to be delivered", tell: transfer, mutate: func(w *world) { w.operation.Wanted = []string{"done"} },
	},
	"promise 3: a first attempt comes late": {
		says: `the first attempt about "done" came`, tell: transfer,
		mutate: func(w *world) {
			w.requests[2].Span = during(9021, 9039)
			w.delivery("done").Attempts[0].At = operation.At(at(9020))
		},
		explain: func(w *world) { w.fault(plan.Freeze, "temporal", 3000, 8000) },
		not: func(w *world) {
			w.fault(plan.Kill, "worker-1", 100, 500)
			w.faults[0].Began = began.Add(-time.Hour)
			w.faults[0].Ended = began.Add(-time.Minute)
		},
	},
	"promise 3: used-up polls tell another answer than the last": {
		says: "the last answer read was", tell: order,
		mutate: func(w *world) { w.polls[3].Status = "5" },
	},
	"promise 4: a callback overtakes an older one": {
		says: "after a newer callback had begun", tell: transfer,
		mutate: func(w *world) {
			w.requests[1].Span = during(4060, 4070)
			w.state.Deliveries[0].Attempts[1].At = operation.At(at(4059))
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 4: callbacks begin in another order than was observed": {
		says: "which had been told first", tell: queued,
		mutate: func(w *world) {
			w.state.Deliveries[0], w.state.Deliveries[1] = w.state.Deliveries[1], w.state.Deliveries[0]
			w.requests[4].Span = during(6021, 6030)
			w.state.Deliveries[0].Attempts[0].At, w.state.Deliveries[0].Attempts[0].TookMS = operation.At(at(6020)), 11
			for i := range 4 {
				moved := 7042 + i*7020
				w.requests[i].Span = during(moved+1, moved+17)
				w.state.Deliveries[1].Attempts[i].At, w.state.Deliveries[1].Attempts[i].TookMS = operation.At(at(moved)), 18
			}
			w.state.Outcome = operation.OutcomeExhausted
		},
	},
	"promise 4: two callbacks overlap": {
		says: "was being answered", tell: transfer,
		mutate: func(w *world) {
			w.requests[1].Ended = at(4030)
			w.state.Deliveries[0].Attempts[1].TookMS = 4031 - 742
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 4: a final callback is superseded": {
		lost: true, says: "although it is final", tell: withdrawn,
		mutate: func(w *world) {
			w.delivery("done").Reason = ""
			w.call(journal.Push, 202, 200, 210).Status = "failed"
		},
	},
	"promise 4: a callback is superseded where every one is queued": {
		lost: true, says: "queues every one", tell: queued,
		mutate: func(w *world) { w.delivery("reserved").Outcome = operation.DeliverySuperseded },
	},
	"promise 5: more than k attempts": {
		says: "5 recorded attempts, k is 4", tell: order,
		mutate: func(w *world) {
			d := w.delivery("0")
			d.Attempts, w.requests = nil, nil
			for i := range 5 {
				w.attempt("0", 503, 9020+i*720, 9040+i*720)
			}
			d.Outcome, w.state.Outcome = operation.DeliveryExhausted, operation.OutcomeExhausted
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 9020, 9500) },
	},
	"promise 5: exhausted before k": {
		lost: true, says: "exhausted after 1 recorded attempts", tell: withdrawn,
		mutate: func(w *world) {
			w.calls = w.calls[:1]
			w.delivery("done").Outcome, w.delivery("done").Reason = operation.DeliveryExhausted, ""
			w.state.Outcome = operation.OutcomeExhausted
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 20, 500) },
	},
	"promise 5: h is cut short": {
		says: "h is 700ms", tell: transfer,
		mutate: func(w *world) {
			w.requests[1].Span = during(600, 650)
			w.state.Deliveries[0].Attempts[1].At = operation.At(at(599))
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 5: h is cut short, and the record says that it was not": {
		says: "is recorded as over at", tell: transfer,
		mutate: func(w *world) { w.requests[0].Ended = at(300) },
	},
	"promise 5: h is stretched": {
		says: `attempt 2 about "waiting_funds" came`, tell: transfer,
		mutate: func(w *world) {
			w.requests[1].Span = during(3500, 3510)
			w.state.Deliveries[0].Attempts[1].At = operation.At(at(3499))
		},
		explain: func(w *world) { w.fault(plan.Blackhole, "worker-1>temporal", 100, 500) },
		not:     func(w *world) { w.fault(plan.Latency, "starters>api-0", 100, 500) },
	},
	"promise 5: a request that is held on its way": {
		says: "reached the receiver", tell: transfer,
		mutate: func(w *world) {
			w.requests[2].Span = during(6500, 6510)
			w.state.Deliveries[1].Attempts[0].TookMS = 2500
		},
		explain: func(w *world) { w.fault(plan.Blackhole, "ringback>receivers", 4000, 6000) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 4000, 6000) },
	},
	"promise 5: a request in no record": {
		says: "in no record", tell: transfer,
		mutate: func(w *world) {
			w.requests = append(w.requests, *w.request("done", 503, 4015, 4017))
			w.requests = w.requests[:4]
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 4016, 6000) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 4016, 6000) },
	},
	"promise 5: two requests in no record": {
		says: "in no record", tell: transfer,
		mutate: func(w *world) {
			w.request("done", 503, 4015, 4017)
			w.request("done", 503, 4018, 4019)
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 100, 5100) },
		not:     func(w *world) { w.fault(plan.Freeze, "worker-0", 100, 5000) },
	},
	"promise 5: an attempt that reached nobody": {
		says: "reached no receiver", tell: transfer, mutate: func(w *world) { w.requests = w.requests[1:] },
		explain: func(w *world) { w.fault(plan.Reset, "ringback>receivers", 0, 600) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 25, 600) },
	},
	"promise 5: an attempt that was recorded and not sent": {
		says: "reached no receiver", tell: transfer,
		mutate: func(w *world) {
			w.requests = w.requests[1:]
			first := &w.state.Deliveries[0].Attempts[0]
			first.TookMS, first.HTTPStatus = 5000, 0
			w.state.Deliveries[0].Attempts[1].At = operation.At(at(5721))
			w.requests[0].Span = during(5722, 5738)
			w.polls[2].Span, w.requests[1].Span = during(6012, 6014), during(6021, 6039)
			w.state.Deliveries[1].Attempts[0].At = operation.At(at(6020))
			w.polls = append(w.polls[:2:2], journal.Poll{Span: during(4012, 4014), Status: "waiting_funds"}, w.polls[2])
			w.state.Polls++
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 25, 600) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 3000, 3600) },
	},
	"promise 6: acknowledged by a receiver that had not taken it": {
		lost: true, says: "the receiver had not taken it", tell: transfer,
		mutate: func(w *world) { w.requests[2].Took, w.requests[2].HTTPStatus = false, 503 },
		not:    func(w *world) { w.fault(plan.Reset, "ringback>receivers", 4000, 5000) },
	},
	"promise 6: acknowledged by nobody": {
		lost: true, says: "no receiver saw it", tell: transfer, mutate: func(w *world) { w.requests = w.requests[:2] },
		not: func(w *world) { w.fault(plan.Reset, "ringback>receivers", 4000, 5000) },
	},
	"promise 6: an acknowledgement is not taken for one": {
		says: "was answered with 200 and is recorded as", tell: transfer,
		mutate:  func(w *world) { w.requests[0].Took, w.requests[0].HTTPStatus = true, 200 },
		explain: func(w *world) { w.fault(plan.Reset, "ringback>receivers", 0, 500) },
		not:     func(w *world) { w.fault(plan.Latency, "ringback>cores", 0, 500) },
	},
	"promise 6: an answer is cut off as its link is mended": {
		says: "was answered with 503 and is recorded as unacknowledged with 0", tell: transfer,
		mutate:  func(w *world) { w.delivery("waiting_funds").Attempts[0].HTTPStatus = 0 },
		explain: func(w *world) { w.fault(plan.SlowClose, "ringback>receivers", -5000, 30) },
		not:     func(w *world) { w.fault(plan.SlowClose, "ringback>receivers", 0, 5000) },
	},
	"promise 5: a request is cut off as its link is mended": {
		says: "reached no receiver", tell: transfer, mutate: func(w *world) { w.requests = w.requests[1:] },
		explain: func(w *world) { w.fault(plan.SlowClose, "ringback>receivers", -5000, 30) },
		not:     func(w *world) { w.fault(plan.SlowClose, "ringback>receivers", 0, 5000) },
	},
	"promise 7: a revocation is forgotten": {
		lost: true, says: "its revocation was answered with 200", tell: revokedByUser,
		mutate: func(w *world) { w.close(operation.OutcomeAcknowledged, "reserved", false) },
		not:    func(w *world) { w.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"promise 7: a revocation is not delivered that is owed": {
		lost: true, says: `told "revoked" by a revoke`, tell: revokedByUser,
		mutate: func(w *world) {
			w.requests, w.state.Deliveries = w.requests[:1], w.state.Deliveries[:1]
			w.state.Outcome = operation.OutcomeRevoked
		},
	},
	"promise 7: a revocation of the client's is delivered": {
		says: "although nobody was to be told", tell: revokedByUser,
		mutate: func(w *world) {
			w.operation.Revocation.InitiatedBy = "client"
			w.state.Revocation.InitiatedBy = "client"
		},
	},
	"promise 7: a revocation that is allowed is refused": {
		says: "nothing that the core had said forbids it", tell: queued,
		mutate: func(w *world) {
			w.operation.Revocation = &plan.Revocation{InitiatedBy: "user"}
			w.call(journal.Revoke, 409, 3000, 3010).Problem = "not-revocable"
		},
	},
	"promise 7: what a revocation ended goes on being sent": {
		says: `"reserved" was sent`, tell: revokedByUser,
		mutate: func(w *world) {
			w.requests, w.state.Deliveries = nil, nil
			for i := range 8 {
				w.attempt("reserved", 503, 20+i*760, 40+i*760)
			}
			w.delivery("reserved").Outcome, w.delivery("reserved").Reason = operation.DeliverySuperseded, operation.ReasonRevoked
			w.attempt("revoked", 200, 5400, 5410)
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 90, 1000) },
	},
	"promise 8: a withdrawal is forgotten": {
		says: "its outcome is acknowledged", tell: withdrawn,
		mutate: func(w *world) {
			w.delivery("done").Reason = ""
			for i := 1; i < 8; i++ {
				w.attempt("done", 503, 20+i*720, 40+i*720)
			}
			w.delivery("done").Attempts[7].Verdict, w.delivery("done").Attempts[7].HTTPStatus = operation.Acknowledged, 200
			w.requests[7].HTTPStatus, w.requests[7].Took = 200, true
			w.delivery("done").Outcome, w.state.Outcome = operation.DeliveryAcknowledged, operation.OutcomeAcknowledged
		},
	},
	"promise 8: what was withdrawn goes on being sent": {
		says: "withdraw was answered with 200", tell: withdrawn,
		mutate: func(w *world) {
			for i := 1; i < 8; i++ {
				w.attempt("done", 503, 20+i*760, 40+i*760)
			}
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 90, 1000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 90, 1000) },
	},
	"promise 8: withdrawn, and nobody asked": {
		lost: true, says: "nobody asked for that", tell: withdrawn, mutate: func(w *world) { w.calls = w.calls[:1] },
	},
	"promise 11: a callback is sent twice": {
		says: "was sent again", tell: transfer,
		mutate:  func(w *world) { w.request("done", 200, 4015, 4018) },
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 4019, 5000) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 4019, 5000) },
	},
	"promise 5: an attempt whose end nobody saw comes late": {
		says: "reached the receiver 2.58s later", tell: interrupted,
		mutate:  func(w *world) { w.faults, w.requests[0].Span = nil, during(2600, 2610) },
		explain: func(w *world) { w.fault(plan.Freeze, "temporal", 25, 900) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 2700, 2800) },
	},
	"promise 5: an attempt whose end nobody saw comes later than its record can take": {
		says: "reached the receiver 6.48s later", tell: interrupted,
		mutate: func(w *world) { w.requests[0].Span = during(6500, 6510) },
		not:    func(w *world) { w.fault(plan.Freeze, "temporal", 1000, 9000) },
	},
	"promise 11: a callback changes its id": {
		says: "has the callback ids", tell: transfer, mutate: func(w *world) { w.requests[1].CallbackID = "cb_other" },
	},
	"promise 11: an id stands for two statuses": {
		says: "stands for", tell: transfer, mutate: func(w *world) { w.requests[2].CallbackID = "cb_waiting_funds" },
	},
	"promise 11: a callback changes its body": {
		says: "has two bodies", tell: transfer, mutate: func(w *world) { w.requests[1].Body = "another" },
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"promise 12: the outcome is not that of the last callback owed": {
		says: "its outcome is expired", tell: transfer, mutate: func(w *world) { w.state.Outcome = operation.OutcomeExpired },
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 100, 500) },
	},
	"an operation that no core started": {
		says: "no core started it", tell: transfer, mutate: func(w *world) { w.calls = nil },
	},
}

func TestAnAPIThatSaysThatItHasTooMuchToDoExplainsWhatIsLateAndNothingElse(t *testing.T) {
	t.Parallel()
	shed := func(w *world) {
		for i := range 4 {
			call := w.call(journal.Start, 503, 2000+i*2000, 2010+i*2000)
			call.Problem, call.RetryAfter = "overloaded", "2"
		}
	}
	for name, quieted := range map[string]bool{
		"promise 3: a first attempt comes late":                         true,
		"promise 5: a request in no record":                             false,
		"promise 5: an attempt that reached nobody":                     false,
		"promise 11: a callback is sent twice":                          false,
		"promise 5: a request that is held on its way":                  false,
		"promise 1: an accepted operation never ends":                   false,
		"promise 6: acknowledged by nobody":                             false,
		"promise 2: polls that nobody counted":                          false,
		"promise 4: a callback overtakes an older one":                  false,
		"promise 12: the outcome is not that of the last callback owed": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bugs[name]
			w := b.tell()
			b.mutate(w)
			shed(w)
			require.Equal(t, quieted, !cries(w.verdict(), b.lost, b.says))
		})
	}
}

func cries(v checker.Verdict, lost bool, says string) bool {
	for _, cry := range v.Cries {
		if cry.Lost == lost && strings.Contains(cry.What, says) {
			return true
		}
	}
	return false
}

func TestABugMakesItCry(t *testing.T) {
	t.Parallel()
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.tell()
			b.mutate(w)
			v := w.verdict()
			require.Truef(t, cries(v, b.lost, b.says), "%+v", v.Cries)
		})
	}
}

func TestAFaultThatExplainsItQuietsIt(t *testing.T) {
	t.Parallel()
	for name, b := range bugs {
		if b.explain == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.tell()
			b.mutate(w)
			b.explain(w)
			v := w.verdict()
			require.Falsef(t, cries(v, b.lost, b.says), "%+v", v.Cries)
		})
	}
}

func TestAFaultNearbyDoesNotQuietIt(t *testing.T) {
	t.Parallel()
	for name, b := range bugs {
		if b.not == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.tell()
			b.mutate(w)
			b.not(w)
			v := w.verdict()
			require.Truef(t, cries(v, b.lost, b.says), "%+v", v.Cries)
		})
	}
}

func TestACampaignThatDidNothingDoesNotHold(t *testing.T) {
	t.Parallel()
	p := plan.Plan{Operations: []plan.Operation{{Endpoint: "SHOP", ID: "1"}}, Faults: []plan.Fault{{Kind: plan.Kill, On: "worker-0"}}}
	v := checker.Check(p, nil)
	require.True(t, cries(v, false, "no core started it"))
	require.True(t, cries(v, false, `the fault "kill -9" was planned and never injected`))
}

func TestTheTableSaysWhatWasLostAndWhatExplainsTheRest(t *testing.T) {
	t.Parallel()
	b := bugs["promise 11: a callback is sent twice"]
	w := b.tell()
	b.mutate(w)
	b.explain(w)
	// Nobody saw the acknowledgement of the first callback.
	w.requests = append(w.requests[:1:1], w.requests[2:]...)
	var out bytes.Buffer
	v := w.verdict()
	require.NoError(t, v.Write(&out))
	for _, line := range []string{
		"| callbacks | 2 |", "| requests to receivers | 3 |", "| duplicates that a fault explains | 1 |", "| requests beyond the recorded attempts | 1 |",
		"| ended as acknowledged | 1 |", "| **lost** | **1** |", "| **unexplained** | **0** |",
		"| kill -9 | worker | 1 | 980ms | 0s | duplicate: 1, request beyond the recorded attempts: 1 |",
		"| attempt … about … is recorded as acknowledged, and no receiver saw it | 6 | lost | 1 |",
		"LOST (promise 6): BAZAAR/t1: attempt 2 about \"waiting_funds\" is recorded as acknowledged, and no receiver saw it",
		"    12:00:04.015 request 0 about \"done\"", "    12:00:04.019 FAULT kill -9 of worker-0 begins",
	} {
		require.Contains(t, out.String(), line)
	}
}
