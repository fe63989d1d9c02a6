package checker_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// cleanQuestions are stories of cores that push, flap, forbid and stand behind a front.
var cleanQuestions = map[string]func() *world{
	"a core that asks for polls all the time":                                    stream,
	"a core that uses up few polls":                                              rationed,
	"a killed worker whose question is asked again and counted":                  rationedThroughAKill,
	"an answer that a push made too old, and that was asked for again":           tooOld,
	"an answer that a push made too old, and whose question was not counted":     tooOldForFree,
	"a status that comes back before its callback was acknowledged":              flapping,
	"a status that comes back, and is listed each time that it was owed":         flappingListedTwice,
	"a status that comes back once its callback was acknowledged":                flappingAcknowledged,
	"a core that forbids an operation for a while":                               forbidden,
	"a core behind a front":                                                      fronted,
	"a first attempt that a stalled engine repeats once its task has timed out":  stalled,
	"a front that is asked once":                                                 frontedOnce,
	"a revocation while a question is in flight":                                 revokedDuringAQuestion,
	"a push of the final status during a question that was counted and not sent": pushedBeforeItsQuestion,
}

func TestACleanStoryOfQuestionsMakesNoCry(t *testing.T) {
	t.Parallel()
	for name, tell := range cleanQuestions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holds(t, tell().verdict())
		})
	}
}

func (w *world) push(status string, from int) {
	w.call(journal.Push, 202, from, from+5).Status = status
}

// stream is a core that takes 800 ms to answer and asks for a poll every 300 ms. h
// is 6 s, k 4, and there is no limit of polls.
func stream() *world {
	w := &world{operation: plan.Operation{Endpoint: "BELL", ID: "b1"}}
	w.start(201, 0, 10)
	for from := 1000; from < 3000; from += 300 {
		w.push("", from)
	}
	w.poll("new", 12, 812)
	w.poll("waiting_funds", 1012, 1812)
	w.attempt("waiting_funds", 200, 1820, 2420)
	w.poll("done", 2012, 2812)
	w.attempt("done", 200, 2820, 3420)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// rationed is a watch of 8 polls that a core asks for.
func rationed() *world {
	w := &world{operation: plan.Operation{Endpoint: "RATION", ID: "n1"}}
	w.start(201, 0, 10)
	for from := 500; from < 6000; from += 300 {
		w.push("", from)
	}
	for i := range 8 {
		w.poll("new", 12+i*1000, 112+i*1000)
	}
	w.close(operation.OutcomeExpired, "new", false)
	return w
}

func rationedThroughAKill() *world {
	w := rationed()
	w.fault(plan.Kill, "worker-0", 7050, 9000)
	w.poll("new", 13012, 13112)
	return w
}

// tooOld is a watch of 3 polls, during the last of which a push tells what was
// known. h is 700 ms, k 4.
func tooOld() *world {
	w := &world{operation: plan.Operation{Endpoint: "LASTPOLL", ID: "p1"}}
	w.start(201, 0, 10)
	w.poll("waiting_funds", 12, 1012)
	w.attempt("waiting_funds", 200, 1020, 1040)
	w.poll("waiting_funds", 2012, 3012)
	w.push("waiting_funds", 4500)
	w.poll("done", 4012, 5012)
	w.poll("done", 5020, 6020)
	w.attempt("done", 200, 6030, 6040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func tooOldForFree() *world {
	w := tooOld()
	w.state.Polls--
	return w
}

// flapping fails twice before it is superseded, and is acknowledged when it comes
// back. h is 1.5 s, k 8.
func flapping() *world {
	w := &world{operation: plan.Operation{Endpoint: "FLICKER", ID: "f1"}}
	w.start(201, 0, 10)
	w.poll("waiting_funds", 12, 14)
	w.attempt("waiting_funds", 503, 20, 40)
	w.poll("waiting_funds", 1012, 1014)
	w.attempt("waiting_funds", 503, 1542, 1560)
	w.poll("reserved", 2012, 2014)
	w.attempt("reserved", 200, 2020, 2040)
	w.poll("reserved", 3012, 3014)
	w.poll("waiting_funds", 4012, 4014)
	w.attempt("waiting_funds", 200, 4020, 4040)
	w.poll("waiting_funds", 5012, 5014)
	w.poll("done", 6012, 6014)
	w.attempt("done", 200, 6020, 6040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func flappingListedTwice() *world {
	w := flapping()
	first := w.delivery("waiting_funds")
	again := *first
	again.Attempts = first.Attempts[2:]
	first.Attempts, first.Outcome = first.Attempts[:2:2], operation.DeliverySuperseded
	w.state.Deliveries = append(w.state.Deliveries[:2:2], again, w.state.Deliveries[2])
	return w
}

func flappingAcknowledged() *world {
	w := &world{operation: plan.Operation{Endpoint: "FLICKER", ID: "f2"}}
	w.start(201, 0, 10)
	for i, status := range []string{"waiting_funds", "reserved", "waiting_funds", "reserved", "waiting_funds", "done"} {
		w.poll(status, 12+i*1000, 14+i*1000)
		if i < 2 || status == "done" {
			w.attempt(status, 200, 20+i*1000, 40+i*1000)
		}
	}
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// notSentAgain is a status that comes back and is not sent again, until another one
// supersedes it at last.
func notSentAgain(done int) func(*world) {
	return func(w *world) {
		d := w.delivery("waiting_funds")
		d.Attempts, d.Outcome = d.Attempts[:2], operation.DeliverySuperseded
		w.requests = append(w.requests[:3:3], w.requests[4])
		w.polls = w.polls[:6]
		w.state.Polls = 6
		for from := 6012; from < done; from += 1000 {
			w.poll("waiting_funds", from, from+2)
		}
		w.poll("done", done, done+2)
		w.requests[3].Span = during(done+9, done+27)
		w.delivery("done").Attempts[0].At = operation.At(at(done + 8))
	}
}

// forbidden is told of again 15 s after its core forbade to.
func forbidden() *world {
	w := &world{operation: plan.Operation{Endpoint: "GUARDED", ID: "g1"}}
	w.start(201, 0, 10)
	w.poll("", 12, 14)
	w.polls[0].Forbidden = true
	w.state.Polls = 0
	w.poll("done", 15012, 15014)
	w.attempt("done", 200, 15020, 15040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

// fronted asks a front first, and then the core behind it.
func fronted() *world {
	w := &world{operation: plan.Operation{Endpoint: "FACADE", ID: "h1"}}
	w.start(201, 0, 10)
	w.page(12)
	w.poll("new", 16, 18)
	w.page(2012)
	w.poll("done", 2016, 2018)
	w.attempt("done", 200, 2020, 2040)
	w.close(operation.OutcomeAcknowledged, "done", true)
	return w
}

func (w *world) page(from int) {
	w.polls = append(w.polls, journal.Poll{Span: during(from, from), Page: string(plan.PageEmpty)})
}

// stalled is a first attempt whose workflow task could not be completed in time.
func stalled() *world {
	w := stream()
	w.start(200, 2500, 8000)
	w.delivery("done").Attempts[0].At = operation.At(at(7820))
	w.request("done", 200, 7821, 8419)
	return w
}

// frontedOnce asks the base URL first that worked last.
func frontedOnce() *world {
	w := fronted()
	w.polls = append(w.polls[:2:2], w.polls[3])
	return w
}

func revokedDuringAQuestion() *world {
	w := revokedByUser()
	w.poll("reserved", 110, 1110)
	return w
}

func pushedBeforeItsQuestion() *world {
	w := pushed()
	w.state.Polls++
	return w
}

func init() {
	for name, b := range questionBugs {
		bugs[name] = b
	}
}

// askedAgain adds a question that begins at that millisecond.
func askedAgain(from int) func(*world) {
	return func(w *world) { w.poll("reserved", from, from+2) }
}

var questionBugs = map[string]bug{
	"promise 2: more polls than are allowed, with polls asked for": {
		says: "at most 8 were allowed", tell: rationed, mutate: func(w *world) { w.poll("new", 8012, 8112) },
		explain: func(w *world) { w.fault(plan.Kill, "api-0", 7050, 9000) },
		not:     func(w *world) { w.fault(plan.Terminate, "api-0", 7050, 9000) },
	},
	"promise 2: two polls more than are allowed": {
		says: "at most 8 were allowed", tell: rationed,
		mutate: func(w *world) {
			w.poll("new", 13012, 13112)
			w.poll("new", 19012, 19112)
		},
		explain: func(w *world) {
			w.fault(plan.Kill, "worker-0", 7050, 9000)
			w.fault(plan.Kill, "worker-1", 13050, 15000)
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-0", 7050, 9000) },
	},
	"promise 2: two polls more than are allowed, as a worker is stopped for 5 s": {
		says: "at most 8 were allowed", tell: rationed,
		mutate: func(w *world) {
			w.poll("new", 13012, 13112)
			w.poll("new", 14012, 14112)
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 7050, 12050) },
		not:     func(w *world) { w.fault(plan.Freeze, "worker-0", 7050, 11050) },
	},
	"promise 2: more polls are counted than are allowed": {
		says: "the state says 9; at most 8 were allowed", tell: rationed, mutate: func(w *world) { w.state.Polls = 9 },
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 3000, 5000) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 9500, 9900) },
	},
	"promise 2: a poll that a push asked for is not counted": {
		says: "the core was asked 3 times, and the state says 2", tell: stream, mutate: func(w *world) { w.state.Polls = 2 },
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 1500, 2000) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 5000, 6000) },
	},
	"promise 2: a poll is not counted, and a worker is killed during a later attempt": {
		says: "the core was asked 3 times, and the state says 2", tell: transfer,
		mutate: func(w *world) {
			w.state.Polls = 2
			d := w.delivery("done")
			d.Attempts, w.requests = nil, w.requests[:2]
			w.attempt("done", 503, 4020, 4040)
			for i := range 4 {
				w.attempt("done", 503, 4760+i*740, 4780+i*740)
			}
			w.attempt("done", 200, 7720, 7740)
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 4030, 5000) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 7000, 8000) },
	},
	"promise 2: a poll is counted that nobody made, without a push or with one": {
		says: "the core was asked 3 times, and the state says 5", tell: stream, mutate: func(w *world) { w.state.Polls = 5 },
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 900, 1000) },
		not:     func(w *world) { w.fault(plan.Kill, "worker-0", 1000, 2000) },
	},
	"promise 2: two questions at once": {
		says: "asked 1 times while it was answering", tell: stream, mutate: func(w *world) { w.polls[0].Ended = at(1300) },
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 500, 900) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 500, 900) },
	},
	"promise 2: two questions within a second": {
		says: "asked 2 times too soon", tell: stream,
		mutate: func(w *world) {
			w.polls[0].Ended = at(112)
			w.poll("new", 412, 512)
		},
		explain: func(w *world) { w.fault(plan.Latency, "ringback>cores", -1000, 200) },
		not:     func(w *world) { w.fault(plan.Latency, "starters>api-0", -1000, 200) },
	},
	"promise 2: a question after a revocation": {
		says: "ended the watch, and the core was asked again", tell: revokedByUser, mutate: askedAgain(2012),
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 50, 1500) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 50, 1500) },
	},
	"promise 2: a question after a withdrawal": {
		says: "ended the watch, and the core was asked again", tell: withdrawn, mutate: askedAgain(2012),
		explain: func(w *world) { w.fault(plan.Reset, "worker-1>temporal", 50, 1500) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 50, 1500) },
	},
	"promise 2: a question after a pushed final status": {
		says: "the answer to a push at", tell: pushed, mutate: askedAgain(2112),
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 1005, 3000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 1005, 3000) },
	},
	"promise 2: a question after a final answer": {
		says: "a final answer at", tell: stream,
		mutate:  func(w *world) { w.poll("done", 4012, 4812) },
		explain: func(w *world) { w.fault(plan.Freeze, "temporal", 2500, 3000) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 2500, 3000) },
	},
	"promise 2: a question after a push that was refused as closed": {
		says: "the answer to a push at", tell: expired,
		mutate: func(w *world) {
			w.call(journal.Push, 409, 15100, 15110).Problem = "closed"
			w.poll("new", 16212, 16214)
		},
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 14000, 15500) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 14000, 15500) },
	},
	"promise 2: a page is taken for an answer": {
		says: "was not asked at the next base URL", tell: fronted,
		mutate: func(w *world) {
			w.polls = append(w.polls[:1:1], w.polls[2:]...)
		},
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 13, 500) },
		not:     func(w *world) { w.fault(plan.SlotsFull, "receivers", 13, 500) },
	},
	"promise 2: a signed question is sent twice": {
		says: "with a nonce that it knew", tell: transfer,
		mutate: func(w *world) {
			w.polls = append(w.polls, journal.Poll{Span: during(16, 17), Repeated: true})
		},
		not: func(w *world) { w.fault(plan.Reset, "ringback>cores", 0, 500) },
	},
	"promise 2: an operation waits since its core forbade another one": {
		says: "poll 2 came", tell: forbidden,
		mutate: func(w *world) {
			w.polls[0].Forbidden, w.polls[0].Status = false, "new"
			w.state.Polls = 2
		},
		explain: func(w *world) { w.fault(plan.CoreDown, "cores", 500, 900) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 500, 900) },
	},
	"promise 2: a forbidden operation is left alone for good": {
		says: "poll 2 came", tell: forbidden,
		mutate: func(w *world) {
			w.polls[1].Span, w.requests[0].Span = during(65012, 65014), during(65021, 65039)
			w.delivery("done").Attempts[0].At = operation.At(at(65020))
		},
	},
	"promise 3: an answer is dropped since the core asked for a poll": {
		lost: true, says: `told "waiting_funds" by a poll`, tell: stream,
		mutate: func(w *world) {
			w.requests, w.state.Deliveries = w.requests[1:], w.state.Deliveries[1:]
			w.polls[2].Span, w.requests[0].Span = during(4700, 5500), during(5511, 6109)
			w.delivery("done").Attempts[0].At = operation.At(at(5510))
		},
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 1700, 1900) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 1700, 1900) },
	},
	"promise 3: a first attempt waits until the core asks for no more polls": {
		says: `the first attempt about "waiting_funds" came`, tell: stream,
		mutate: func(w *world) {
			w.delivery("done").Attempts, w.delivery("done").Outcome = nil, operation.DeliveryPending
			w.requests[0].Span, w.requests = during(4021, 4119), w.requests[:1]
			w.delivery("waiting_funds").Attempts[0].At = operation.At(at(4020))
			w.delivery("waiting_funds").Attempts[0].TookMS = 100
			w.attempt("done", 200, 4130, 4230)
		},
		explain: func(w *world) { w.fault(plan.Latency, "worker-0>temporal", 1500, 2500) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 1500, 2500) },
	},
	"promise 3: a final answer is dropped for being old": {
		lost: true, says: `told "done" by a poll`, tell: tooOld,
		mutate: func(w *world) {
			w.polls, w.state.Polls = w.polls[:3], 3
			w.requests, w.state.Deliveries = w.requests[:1], w.state.Deliveries[:1]
			w.close(operation.OutcomeExpired, "waiting_funds", false)
		},
		not: func(w *world) { w.fault(plan.Terminate, "worker-0", 4000, 5500) },
	},
	"promise 3: a status that comes back is not sent again": {
		lost: true, says: `"waiting_funds" was told again at 12:00:04.014`, tell: flapping, mutate: notSentAgain(9012),
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 3500, 5500) },
		not:     func(w *world) { w.fault(plan.SkewedClock, "receivers", 3500, 5500) },
	},
	"promise 4: a status that comes back is sent before it does": {
		says: "after a newer callback had begun", tell: flapping,
		mutate: func(w *world) {
			w.requests[3].Span = during(3543, 3559)
			w.delivery("waiting_funds").Attempts[2].At = operation.At(at(3542))
		},
		not: func(w *world) { w.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 5: a status that comes back begins to count anew": {
		says: "has the number 1", tell: flapping, mutate: func(w *world) { w.delivery("waiting_funds").Attempts[2].Number = 1 },
	},
	"promise 11: a status that did not come back has two deliveries": {
		says: "has two deliveries", tell: transfer,
		mutate: func(w *world) { w.state.Deliveries = append(w.state.Deliveries[:1:1], w.state.Deliveries...) },
	},
	"promise 11: a final status is sent again after older ones that were pushed": {
		says: "was sent again", tell: stream,
		mutate: func(w *world) {
			w.push("reserved", 2900)
			w.request("reserved", 200, 3450, 3500)
			w.request("done", 200, 3600, 3700)
		},
		not: func(w *world) { w.fault(plan.Terminate, "worker-0", 2700, 3700) },
	},
	"promise 5: a request is repeated sooner than its workflow task can time out": {
		says: "in no record", tell: stream, mutate: func(w *world) { w.request("done", 200, 2814, 2819) },
		explain: func(w *world) { w.fault(plan.Kill, "worker-0", 2816, 4000) },
		not:     func(w *world) { w.start(200, 2500, 5000) },
	},
	"promise 5: a request during an attempt is in no record": {
		says: "in no record", tell: stream, mutate: func(w *world) { w.request("done", 200, 3000, 3300) },
		explain: func(w *world) { w.fault(plan.Freeze, "worker-0", 2900, 3100) },
		not:     func(w *world) { w.fault(plan.Terminate, "worker-0", 2900, 3100) },
	},
}

func TestABugAmongQuestionsIsFoundAlsoWhereTheCoreCalls(t *testing.T) {
	t.Parallel()
	w := rationed()
	w.poll("new", 8012, 8112)
	w.push("waiting_funds", 12000)
	require.True(t, cries(w.verdict(), false, "at most 8 were allowed"))
}

func TestWhatIsToldAgainAfterAFinalStatusIsNotOwed(t *testing.T) {
	t.Parallel()
	w := superseded()
	w.push("reserved", 2500)
	holds(t, w.verdict())
}

func TestACoreThatIsDownForASecondExcusesNoStorm(t *testing.T) {
	t.Parallel()
	w := stream()
	for from := 1020; from < 1500; from += 40 {
		w.poll("waiting_funds", from, from+800)
	}
	w.fault(plan.CoreDown, "cores", 1100, 2100)
	v := w.verdict()
	require.True(t, cries(v, false, "while it was answering"))
	require.True(t, cries(v, false, "too soon"))
}

func TestTheTimelineTellsPagesAndWhatWasForbidden(t *testing.T) {
	t.Parallel()
	for says, tell := range map[string]func() *world{
		`the front answers "empty 200"`: fronted,
		`poll: "" forbidden`:            forbidden,
	} {
		w := tell()
		w.unread = 404
		v := w.verdict()
		require.Len(t, v.Cries, 1)
		require.Contains(t, strings.Join(v.Cries[0].Timeline, "\n"), says)
	}
}
