package checker_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// pollStories have no breach: cores that push, change back, forbid and have a gateway.
var pollStories = map[string]func() *story{
	"a core that requests polls all the time":                          stream,
	"a core that uses up max_polls by requests":                        limited,
	"a killed worker whose poll is repeated and counted":               limitedWithKill,
	"an answer that a push made stale, and that was polled again":      stale,
	"an answer that a push made stale, and whose poll was not counted": staleAndFree,
	"a status that returns before its callback was acknowledged":       flapping,
	"a status that returns, and whose delivery is listed twice":        flappingListedTwice,
	"a status that returns after its callback was acknowledged":        flappingAcknowledged,
	"a status that returns within h":                                   flappingQuickly,
	"a core that answers with 403 for a while":                         forbidden,
	"a core behind a gateway":                                          behindGateway,
	"a first attempt that is repeated as its workflow task timed out":  stalled,
	"a gateway that gets only the first poll":                          gatewayOnce,
	"a revocation while a poll is in flight":                           revokedDuringPoll,
	"a push of the final status that cancels a counted poll":           pushedBeforePoll,
}

func TestAStoryOfPollsWithoutABreachHasNoFinding(t *testing.T) {
	t.Parallel()
	for name, build := range pollStories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireHolds(t, build().verdict())
		})
	}
}

func (s *story) push(status string, from int) {
	s.call(journal.Push, 202, from, from+5).Status = status
}

// stream is a core that answers in 800 ms and requests a poll every 300 ms. h is 6 s,
// k 4, and there is no max_polls.
func stream() *story {
	s := &story{operation: plan.Operation{Endpoint: "BELL", ID: "b1"}}
	s.start(201, 0, 10)
	for from := 1000; from < 3000; from += 300 {
		s.push("", from)
	}
	s.poll("new", 12, 812)
	s.poll("waiting_funds", 1012, 1812)
	s.attempt("waiting_funds", 200, 1820, 2420)
	s.poll("done", 2012, 2812)
	s.attempt("done", 200, 2820, 3420)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// limited is a core that requests polls where max_polls is 8.
func limited() *story {
	s := &story{operation: plan.Operation{Endpoint: "RATION", ID: "n1"}}
	s.start(201, 0, 10)
	for from := 500; from < 6000; from += 300 {
		s.push("", from)
	}
	for i := range 8 {
		s.poll("new", 12+i*1000, 112+i*1000)
	}
	s.close(operation.OutcomeExpired, "new", false)
	return s
}

func limitedWithKill() *story {
	s := limited()
	s.fault(plan.Kill, "worker-0", 7050, 9000)
	s.poll("new", 13012, 13112)
	return s
}

// stale has a push of a known status during the last of 3 polls. h is 700 ms, k 4.
func stale() *story {
	s := &story{operation: plan.Operation{Endpoint: "LASTPOLL", ID: "p1"}}
	s.start(201, 0, 10)
	s.poll("waiting_funds", 12, 1012)
	s.attempt("waiting_funds", 200, 1020, 1040)
	s.poll("waiting_funds", 2012, 3012)
	s.push("waiting_funds", 4500)
	s.poll("done", 4012, 5012)
	s.poll("done", 5020, 6020)
	s.attempt("done", 200, 6030, 6040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func staleAndFree() *story {
	s := stale()
	s.state.Polls--
	return s
}

// flapping has a status that fails twice, is superseded, and is acknowledged when it
// returns. h is 1.5 s, k 8.
func flapping() *story {
	s := &story{operation: plan.Operation{Endpoint: "FLICKER", ID: "f1"}}
	s.start(201, 0, 10)
	s.poll("waiting_funds", 12, 14)
	s.attempt("waiting_funds", 503, 20, 40)
	s.poll("waiting_funds", 1012, 1014)
	s.attempt("waiting_funds", 503, 1542, 1560)
	s.poll("reserved", 2012, 2014)
	s.attempt("reserved", 200, 2020, 2040)
	s.poll("reserved", 3012, 3014)
	s.poll("waiting_funds", 4012, 4014)
	s.attempt("waiting_funds", 200, 4020, 4040)
	s.poll("waiting_funds", 5012, 5014)
	s.poll("done", 6012, 6014)
	s.attempt("done", 200, 6020, 6040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func flappingListedTwice() *story {
	s := flapping()
	first := s.delivery("waiting_funds")
	again := *first
	again.Attempts = first.Attempts[2:]
	first.Attempts, first.Outcome = first.Attempts[:2:2], operation.DeliverySuperseded
	s.state.Deliveries = append(s.state.Deliveries[:2:2], again, s.state.Deliveries[2])
	return s
}

func flappingAcknowledged() *story {
	s := &story{operation: plan.Operation{Endpoint: "FLICKER", ID: "f2"}}
	s.start(201, 0, 10)
	for i, status := range []string{"waiting_funds", "reserved", "waiting_funds", "reserved", "waiting_funds", "done"} {
		s.poll(status, 12+i*1000, 14+i*1000)
		if i < 2 || status == "done" {
			s.attempt(status, 200, 20+i*1000, 40+i*1000)
		}
	}
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// flappingQuickly is attempted again 960 ms after an attempt that took long; h is 1.5 s.
func flappingQuickly() *story {
	s := &story{operation: plan.Operation{Endpoint: "FLICKER", ID: "f3"}}
	s.start(201, 0, 10)
	s.poll("waiting_funds", 12, 14)
	s.attempt("waiting_funds", 503, 20, 3060)
	s.poll("reserved", 1012, 1014)
	s.attempt("reserved", 200, 3070, 3080)
	s.poll("waiting_funds", 4012, 4014)
	s.attempt("waiting_funds", 200, 4020, 4030)
	s.poll("done", 5012, 5014)
	s.attempt("done", 200, 5020, 5030)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// notSentAgain has a status that returns and is not sent again before another one
// supersedes it at done.
func notSentAgain(done int) func(*story) {
	return func(s *story) {
		d := s.delivery("waiting_funds")
		d.Attempts, d.Outcome = d.Attempts[:2], operation.DeliverySuperseded
		s.requests = append(s.requests[:3:3], s.requests[4])
		s.polls = s.polls[:6]
		s.state.Polls = 6
		for from := 6012; from < done; from += 1000 {
			s.poll("waiting_funds", from, from+2)
		}
		s.poll("done", done, done+2)
		s.requests[3].Span = during(done+9, done+27)
		s.delivery("done").Attempts[0].At = operation.At(at(done + 8))
	}
}

// forbidden is polled again 15 s after an answer of 403.
func forbidden() *story {
	s := &story{operation: plan.Operation{Endpoint: "GUARDED", ID: "g1"}}
	s.start(201, 0, 10)
	s.poll("", 12, 14)
	s.polls[0].Forbidden = true
	s.state.Polls = 0
	s.poll("done", 15012, 15014)
	s.attempt("done", 200, 15020, 15040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

// behindGateway polls a gateway first, and then the core behind it.
func behindGateway() *story {
	s := &story{operation: plan.Operation{Endpoint: "FACADE", ID: "h1"}}
	s.start(201, 0, 10)
	s.page(12)
	s.poll("new", 16, 18)
	s.page(2012)
	s.poll("done", 2016, 2018)
	s.attempt("done", 200, 2020, 2040)
	s.close(operation.OutcomeAcknowledged, "done", true)
	return s
}

func (s *story) page(from int) {
	s.polls = append(s.polls, journal.Poll{Span: during(from, from), Page: string(plan.PageEmpty)})
}

// stalled is a first attempt whose workflow task could not be completed in time.
func stalled() *story {
	s := stream()
	s.start(200, 2500, 8000)
	s.delivery("done").Attempts[0].At = operation.At(at(7820))
	s.request("done", 200, 7821, 8419)
	return s
}

// gatewayOnce polls the base URL first that worked last.
func gatewayOnce() *story {
	s := behindGateway()
	s.polls = append(s.polls[:2:2], s.polls[3])
	return s
}

func revokedDuringPoll() *story {
	s := revokedByUser()
	s.poll("reserved", 110, 1110)
	return s
}

func pushedBeforePoll() *story {
	s := pushed()
	s.state.Polls++
	return s
}

func init() { maps.Copy(breaches, pollBreaches) }

// polledAgain adds a poll.
func polledAgain(from int) func(*story) {
	return func(s *story) { s.poll("reserved", from, from+2) }
}

var pollBreaches = map[string]breach{
	"promise 2: more polls than max_polls, on request": {
		finding: "max_polls is 8", build: limited, breakIt: func(s *story) { s.poll("new", 8012, 8112) },
		explain:   func(s *story) { s.fault(plan.Kill, "api-0", 7050, 9000) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "api-0", 7050, 9000) },
	},
	"promise 2: two polls more than max_polls": {
		finding: "max_polls is 8", build: limited,
		breakIt: func(s *story) {
			s.poll("new", 13012, 13112)
			s.poll("new", 19012, 19112)
		},
		explain: func(s *story) {
			s.fault(plan.Kill, "worker-0", 7050, 9000)
			s.fault(plan.Kill, "worker-1", 13050, 15000)
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 7050, 9000) },
	},
	"promise 2: two polls more than max_polls, while a worker is frozen for 5 s": {
		finding: "max_polls is 8", build: limited,
		breakIt: func(s *story) {
			s.poll("new", 13012, 13112)
			s.poll("new", 14012, 14112)
		},
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 7050, 12050) },
		unrelated: func(s *story) { s.fault(plan.Freeze, "worker-0", 7050, 11050) },
	},
	"promise 2: more polls are counted than max_polls": {
		finding: "the state counts 9; max_polls is 8", build: limited, breakIt: func(s *story) { s.state.Polls = 9 },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 3000, 5000) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 9500, 9900) },
	},
	"promise 2: a requested poll is not counted": {
		finding: "3 polls reached the core, and the state counts 2", build: stream, breakIt: func(s *story) { s.state.Polls = 2 },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 1500, 2000) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 5000, 6000) },
	},
	"promise 2: a poll is repeated as its connection is closed": {
		finding: "3 polls reached the core, and the state counts 2", build: stream, breakIt: func(s *story) { s.state.Polls = 2 },
		explain:   func(s *story) { s.fault(plan.SlowClose, "ringback>cores", 500, 1800) },
		unrelated: func(s *story) { s.fault(plan.SlowClose, "ringback>receivers", 500, 1800) },
	},
	"promise 2: a poll is not counted, and a worker is killed during a later attempt": {
		finding: "3 polls reached the core, and the state counts 2", build: transfer,
		breakIt: func(s *story) {
			s.state.Polls = 2
			d := s.delivery("done")
			d.Attempts, s.requests = nil, s.requests[:2]
			s.attempt("done", 503, 4020, 4040)
			for i := range 4 {
				s.attempt("done", 503, 4760+i*740, 4780+i*740)
			}
			s.attempt("done", 200, 7720, 7740)
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 4030, 5000) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 7000, 8000) },
	},
	"promise 2: two polls are counted that were not made, with pushes": {
		finding: "3 polls reached the core, and the state counts 5", build: stream, breakIt: func(s *story) { s.state.Polls = 5 },
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 900, 1000) },
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-0", 1000, 2000) },
	},
	"promise 2: two polls at once": {
		finding: "1 polls came while another was being answered", build: stream, breakIt: func(s *story) { s.polls[0].Ended = at(1300) },
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 500, 900) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 500, 900) },
	},
	"promise 2: two polls within a second": {
		finding: "2 polls came too soon", build: stream,
		breakIt: func(s *story) {
			s.polls[0].Ended = at(112)
			s.poll("new", 412, 512)
		},
		explain:   func(s *story) { s.fault(plan.Latency, "ringback>cores", -1000, 200) },
		unrelated: func(s *story) { s.fault(plan.Latency, "starters>api-0", -1000, 200) },
	},
	"promise 2: a poll after a revocation": {
		finding: "ended the watch, and a poll came", build: revokedByUser, breakIt: polledAgain(2012),
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 50, 1500) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 50, 1500) },
	},
	"promise 2: a poll after a withdrawal": {
		finding: "ended the watch, and a poll came", build: withdrawn, breakIt: polledAgain(2012),
		explain:   func(s *story) { s.fault(plan.Reset, "worker-1>temporal", 50, 1500) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 50, 1500) },
	},
	"promise 2: a poll after a pushed final status": {
		finding: "the answer to a push at", build: pushed, breakIt: polledAgain(2112),
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 1005, 3000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 1005, 3000) },
	},
	"promise 2: a poll after a final status": {
		finding: "a final status at", build: stream,
		breakIt:   func(s *story) { s.poll("done", 4012, 4812) },
		explain:   func(s *story) { s.fault(plan.Freeze, "temporal", 2500, 3000) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 2500, 3000) },
	},
	"promise 2: a poll after a push that was refused as closed": {
		finding: "the answer to a push at", build: expired,
		breakIt: func(s *story) {
			s.call(journal.Push, 409, 15100, 15110).Problem = "closed"
			s.poll("new", 16212, 16214)
		},
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 14000, 15500) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 14000, 15500) },
	},
	"promise 2: a page is taken for an answer": {
		finding: "no poll at the next base URL", build: behindGateway,
		breakIt: func(s *story) {
			s.polls = append(s.polls[:1:1], s.polls[2:]...)
		},
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 13, 500) },
		unrelated: func(s *story) { s.fault(plan.SlotsFull, "receivers", 13, 500) },
	},
	"promise 2: a poll is repeated with its nonce": {
		finding: "with a used nonce", build: transfer,
		breakIt: func(s *story) {
			s.polls = append(s.polls, journal.Poll{Span: during(16, 17), Repeated: true})
		},
		unrelated: func(s *story) { s.fault(plan.Reset, "ringback>cores", 0, 500) },
	},
	"promise 2: an operation waits as if its poll had been forbidden": {
		finding: "poll 2 came", build: forbidden,
		breakIt: func(s *story) {
			s.polls[0].Forbidden, s.polls[0].Status = false, "new"
			s.state.Polls = 2
		},
		explain:   func(s *story) { s.fault(plan.CoreDown, "cores", 500, 900) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 500, 900) },
	},
	"promise 2: a forbidden operation is not polled again in time": {
		finding: "poll 2 came", build: forbidden,
		breakIt: func(s *story) {
			s.polls[1].Span, s.requests[0].Span = during(65012, 65014), during(65021, 65039)
			s.delivery("done").Attempts[0].At = operation.At(at(65020))
		},
	},
	"promise 3: an answer is dropped because the core requested a poll": {
		lost: true, finding: `"waiting_funds" was observed by a poll`, build: stream,
		breakIt: func(s *story) {
			s.requests, s.state.Deliveries = s.requests[1:], s.state.Deliveries[1:]
			s.polls[2].Span, s.requests[0].Span = during(4700, 5500), during(5511, 6109)
			s.delivery("done").Attempts[0].At = operation.At(at(5510))
		},
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 1700, 1900) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 1700, 1900) },
	},
	"promise 3: a first attempt waits until the core requests no more polls": {
		finding: `the first attempt about "waiting_funds" came`, build: stream,
		breakIt: func(s *story) {
			s.delivery("done").Attempts, s.delivery("done").Outcome = nil, operation.DeliveryPending
			s.requests[0].Span, s.requests = during(4021, 4119), s.requests[:1]
			s.delivery("waiting_funds").Attempts[0].At = operation.At(at(4020))
			s.delivery("waiting_funds").Attempts[0].TookMS = 100
			s.attempt("done", 200, 4130, 4230)
		},
		explain:   func(s *story) { s.fault(plan.Latency, "worker-0>temporal", 1500, 2500) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 1500, 2500) },
	},
	"promise 3: a final answer is dropped as stale": {
		lost: true, finding: `"done" was observed by a poll`, build: stale,
		breakIt: func(s *story) {
			s.polls, s.state.Polls = s.polls[:3], 3
			s.requests, s.state.Deliveries = s.requests[:1], s.state.Deliveries[:1]
			s.close(operation.OutcomeExpired, "waiting_funds", false)
		},
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 4000, 5500) },
	},
	"promise 3: a status that returns is not sent again": {
		lost: true, finding: `"waiting_funds" returned at 12:00:04.014`, build: flapping, breakIt: notSentAgain(9012),
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 3500, 5500) },
		unrelated: func(s *story) { s.fault(plan.SkewedClock, "receivers", 3500, 5500) },
	},
	"promise 4: a superseded status is sent before it returns": {
		finding: "after a newer callback", build: flapping,
		breakIt: func(s *story) {
			s.requests[3].Span = during(3543, 3559)
			s.delivery("waiting_funds").Attempts[2].At = operation.At(at(3542))
		},
		unrelated: func(s *story) { s.fault(plan.Kill, "worker-1", 100, 500) },
	},
	"promise 5: a status that returns begins to count again": {
		finding: "has the number 1", build: flapping, breakIt: func(s *story) { s.delivery("waiting_funds").Attempts[2].Number = 1 },
	},
	"promise 11: a status that did not return has two deliveries": {
		finding: "has two deliveries", build: transfer,
		breakIt: func(s *story) { s.state.Deliveries = append(s.state.Deliveries[:1:1], s.state.Deliveries...) },
	},
	"promise 11: a final status is sent again after pushes of older ones": {
		finding: "got it again", build: stream,
		breakIt: func(s *story) {
			s.push("reserved", 2900)
			s.request("reserved", 200, 3450, 3500)
			s.request("done", 200, 3600, 3700)
		},
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 2700, 3700) },
	},
	"promise 5: a request is repeated sooner than its workflow task can time out": {
		finding: "none of the", build: stream, breakIt: func(s *story) { s.request("done", 200, 2814, 2819) },
		explain:   func(s *story) { s.fault(plan.Kill, "worker-0", 2816, 4000) },
		unrelated: func(s *story) { s.start(200, 2500, 5000) },
	},
	"promise 5: a request is repeated as a push became a Signal while Temporal stalled": {
		finding: "none of the", build: stalled, breakIt: func(s *story) { s.requests[1].Span = during(7000, 7005) },
		explain:   func(s *story) { s.call(journal.Push, 202, 4000, 7500) },
		unrelated: func(s *story) { s.call(journal.Push, 202, 5000, 7500) },
	},
	"promise 5: a request during an attempt is not recorded": {
		finding: "none of the", build: stream, breakIt: func(s *story) { s.request("done", 200, 3000, 3300) },
		explain:   func(s *story) { s.fault(plan.Freeze, "worker-0", 2900, 3100) },
		unrelated: func(s *story) { s.fault(plan.Terminate, "worker-0", 2900, 3100) },
	},
}

func TestTooManyPollsAreFoundAlsoWithALaterPush(t *testing.T) {
	t.Parallel()
	s := limited()
	s.poll("new", 8012, 8112)
	s.push("waiting_funds", 12000)
	require.True(t, hasFinding(s.verdict(), false, "max_polls is 8"))
}

func TestAStatusThatReturnsAfterAFinalOneNeedsNoDelivery(t *testing.T) {
	t.Parallel()
	s := superseded()
	s.push("reserved", 2500)
	requireHolds(t, s.verdict())
}

func TestACoreThatIsDownForASecondDoesNotExplainManyPolls(t *testing.T) {
	t.Parallel()
	s := stream()
	for from := 1020; from < 1500; from += 40 {
		s.poll("waiting_funds", from, from+800)
	}
	s.fault(plan.CoreDown, "cores", 1100, 2100)
	v := s.verdict()
	require.True(t, hasFinding(v, false, "while another was being answered"))
	require.True(t, hasFinding(v, false, "too soon"))
}

func TestTheTimelineHasPagesAndForbiddenPolls(t *testing.T) {
	t.Parallel()
	for line, build := range map[string]func() *story{
		`the gateway answers "empty 200"`: behindGateway,
		`poll: "", forbidden=true`:        forbidden,
	} {
		s := build()
		s.readStatus = 404
		v := s.verdict()
		require.Len(t, v.Findings, 1)
		require.Contains(t, strings.Join(v.Findings[0].Timeline, "\n"), line)
	}
}
