package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

const (
	// reached is how soon a change must reach what waits: 250 ms are promised on an idle
	// machine, and a heartbeat would find it after 3 s.
	reached = 1500 * time.Millisecond
	// quiet is how long nothing more may come after an end: longer than the
	// interval at which the operations here are polled.
	quiet = 1500 * time.Millisecond
)

// pushed is the configuration of the endpoints here: the same poll interval of
// a second, so that a push always finds a watch that waits.
func pushed(poll, delivery string) string {
	return fmt.Sprintf("poll: {interval: 1s, lifetime: 3m%s}, delivery: {%s, timeout: 10s}", poll, delivery)
}

// TestAnOperationHasOneWatchOneDeliveryAndOneRecord holds, without any crash, that an operation
// has at most one poll and one request in flight, that both are counted in
// one record, and that nothing is decided on an older one.
func TestAnOperationHasOneWatchOneDeliveryAndOneRecord(t *testing.T) {
	t.Parallel()
	s := newRecording(t, map[string]string{
		"TWICE":     pushed("", "interval: 30s, attempts: 2"),
		"OVERTAKEN": pushed("", "interval: 30s, attempts: 2"),
		"CAPPED":    pushed(", max_polls: 10", "interval: 50ms, attempts: 2"),
		"PRESSED":   "poll: {interval: 30s, lifetime: 3m}, delivery: {interval: 50ms, attempts: 2}",
		"ENDING":    pushed("", "interval: 1s, attempts: 8"),
		"SHORT":     pushed("", "interval: 3s, attempts: 20"),
		"LONG":      pushed("", "interval: 60s, attempts: 20"),
		"OWED":      pushed("", "interval: 50ms, attempts: 1"),
		"RETURNING": pushed("", "interval: 1s, attempts: 20"),
		"LAST":      pushed(", max_polls: 3", "interval: 50ms, attempts: 2"),
		"MISSING":   pushed("", "interval: 50ms, attempts: 1"),
		"REFUSED":   pushed("", "interval: 50ms, attempts: 2"),
		"DISABLED":  pushed("", "interval: 50ms, attempts: 2"),
		"REMOVED":   pushed("", "interval: 50ms, attempts: 2"),
		"CHANGED":   pushed("", "interval: 50ms, attempts: 2"),
		"READ":      pushed("", "interval: 50ms, attempts: 1"),
		"LISTED":    pushed("", "interval: 50ms, attempts: 1"),
		"REPOLLED":  pushed("", "interval: 50ms, attempts: 1"),
	})
	runFew(t, map[string]func(*testing.T){
		"pushes before the final status cause one request":         s.pushesBeforeTheFinalStatus,
		"what is pushed during the last attempt overtakes nothing": s.pushesDuringTheLastAttempt,
		"pushes cost polls": s.pushesCostPolls,
		"a callback does not wait until the pushes stop":                        s.pushesThatGoOn,
		"pushes cause at most one poll a second":                                s.pushesComeTogether,
		"no poll begins after an ending":                                        s.noPollAfterAnEnding,
		"a change of mind reaches a delivery that waits":                        s.aDeliveryThatWaitsIsReached,
		"a final status that was exhausted is owed again":                       s.anExhaustedStatusIsOwedAgain,
		"a status that was superseded is owed again":                            s.aSupersededStatusIsOwedAgain,
		"a status that was superseded before a request is owed again":           s.aStatusThatWasNeverSentIsOwedAgain,
		"a final answer is not dropped for a push of what is known":             s.theLastPollIsInFlight,
		"a missing endpoint costs nothing":                                      s.aMissingEndpoint,
		"a refused poll does not stop a source":                                 s.aRefusedPoll,
		"the same start has the same answer when its endpoint is not as before": s.theSameStart,
		"an outcome is shown of a closed operation only":                        s.readThroughItsEnd,
		"the list is newest first":                                              s.theListIsNewestFirst,
		"a redelivery that waits for its repoll is not released by a push":      s.aPushBeforeTheRepoll,
	})
}

// pushesBeforeTheFinalStatus: several empty pushes within a second, then done.
func (s *recording) pushesBeforeTheFinalStatus(t *testing.T) {
	t.Helper()
	receiver := steady(reply{delay: 600 * time.Millisecond})
	s.warm(t, "TWICE")
	rows := map[string]func(*testing.T){}
	for i := range 16 {
		id := fmt.Sprintf("twice-%d", i)
		rows[id] = func(t *testing.T) {
			t.Helper()
			core := &setting{now: reply{status: "processing"}}
			key := s.open(t, "TWICE", id, core.answer, receiver)
			s.awaitPoll(t, id, 1, true)
			s.pushesThenDone(t, key, core, i)
			state := s.close(t, key)
			time.Sleep(quiet)
			require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
			require.Equal(t, []string{"done"}, statusesOf(s.requests(id)))
			require.Equal(t, 1, attempts(state))
		}
	}
	runTogether(t, rows)
}

// pushesThenDone pushes emptily, 2 to 5 times in about half a second, and lets the core
// say done just after the poll that was due without them. Had each push a
// watch of its own, the oldest would learn it last, during the attempt.
func (s *recording) pushesThenDone(t *testing.T, key operation.Key, core *setting, i int) {
	t.Helper()
	pushes := 2 + i%4
	due := s.polls(key.OperationID)[0].began.Add(time.Second)
	for range pushes {
		s.push(t, key, "")
		time.Sleep(300 * time.Millisecond / time.Duration(pushes))
	}
	time.Sleep(time.Until(due.Add(60 * time.Millisecond)))
	core.set(reply{status: "done"})
}

// warm lets the worker know that an endpoint answers fast, so that first
// attempts are made inside workflow tasks.
func (s *recording) warm(t *testing.T, endpoint string) {
	t.Helper()
	s.close(t, s.open(t, endpoint, "warm-"+endpoint, steady(reply{status: "done"}), steady(reply{})))
}

func (s *recording) pushesDuringTheLastAttempt(t *testing.T) {
	t.Helper()
	receiver := steady(reply{delay: 600 * time.Millisecond})
	s.warm(t, "OVERTAKEN")
	rows := map[string]func(*testing.T){}
	for i := range 16 {
		id := fmt.Sprintf("overtaken-%d", i)
		rows[id] = func(t *testing.T) {
			t.Helper()
			core := &setting{now: reply{status: "processing"}}
			key := s.open(t, "OVERTAKEN", id, core.answer, receiver)
			s.awaitPoll(t, id, 1, true)
			s.pushesThenDone(t, key, core, i)
			s.awaitRequest(t, id, 1, false)
			s.push(t, key, "reserved")
			s.push(t, key, "waiting_funds")
			state := s.close(t, key)
			time.Sleep(quiet)
			requests := s.requests(id)
			require.Equal(t, []string{"done"}, statusesOf(requests))
			require.Equal(t, map[string]int{requests[0].callbackID: 1}, bodies(requests))
			require.Equal(t, 1, attempts(state))
		}
	}
	runTogether(t, rows)
}

func (s *recording) pushesCostPolls(t *testing.T) {
	t.Helper()
	const maxPolls = 10
	rows := map[string]func(*testing.T){}
	for _, pushes := range []int{1, 8, 30} {
		id := fmt.Sprintf("capped-%d", pushes)
		rows[id] = func(t *testing.T) {
			t.Helper()
			key := s.open(t, "CAPPED", id, steady(reply{status: "processing"}), steady(reply{}))
			for range pushes {
				time.Sleep(100 * time.Millisecond)
				s.push(t, key, "")
			}
			state := s.close(t, key)
			time.Sleep(quiet)
			asked := s.polls(id)
			require.LessOrEqual(t, len(asked), maxPolls)
			require.Equal(t, len(asked), state.Polls)
			require.Equal(t, 1, mostAtOnce(asked))
			require.Equal(t, operation.OutcomeExpired, state.Outcome)
		}
	}
	runTogether(t, rows)
}

// pushesThatGoOn: a slow core has its answer read while it goes on to push.
func (s *recording) pushesThatGoOn(t *testing.T) {
	t.Helper()
	const id = "pressed-slow"
	core := inTurn(reply{status: "processing", delay: time.Second}, reply{status: "done", delay: time.Second})
	key := s.open(t, "PRESSED", id, core, steady(reply{}))
	s.awaitPoll(t, id, 1, true)
	for until := time.Now().Add(patience); len(s.requests(id)) == 0; time.Sleep(300 * time.Millisecond) {
		require.True(t, time.Now().Before(until), "no callback although the core has said done")
		s.push(t, key, "")
	}
	s.close(t, key)
	require.Equal(t, 1, mostAtOnce(s.polls(id)))
	require.Len(t, s.requests(id), 1)
}

func (s *recording) pushesComeTogether(t *testing.T) {
	t.Helper()
	const id = "pressed-fast"
	key := s.open(t, "PRESSED", id, steady(reply{status: "processing", delay: 20 * time.Millisecond}), steady(reply{}))
	s.awaitPoll(t, id, 1, true)
	begun := time.Now()
	for time.Since(begun) < 4*time.Second {
		s.push(t, key, "")
		time.Sleep(100 * time.Millisecond)
	}
	s.withdraw(t, key)
	asked := s.polls(id)
	require.Equal(t, 1, mostAtOnce(asked))
	require.Greater(t, len(asked), 2, "pushes do ask")
	require.LessOrEqual(t, len(asked), int(time.Since(begun)/time.Second)+2)
}

func (s *recording) noPollAfterAnEnding(t *testing.T) {
	t.Helper()
	rows := map[string]func(*testing.T){}
	for name, end := range map[string]func(*testing.T, operation.Key){
		"revoked":   s.revoke,
		"withdrawn": s.withdraw,
		"done":      func(t *testing.T, key operation.Key) { t.Helper(); s.mustPush(t, key, "done") },
	} {
		rows[name] = func(t *testing.T) {
			t.Helper()
			// The best of a few tries: the machine may be busy.
			best := time.Hour
			for n := 0; n < 3 && best > reached; n++ {
				best = min(best, s.lastPollAfter(t, fmt.Sprintf("ending-%s-%d", name, n), end))
			}
			require.LessOrEqual(t, best, reached)
		}
	}
	runTogether(t, rows)
}

// lastPollAfter is how long after an ending the latest poll began. The delivery keeps
// the run open, so that a watch that is not ended would show: it polls each second.
func (s *recording) lastPollAfter(t *testing.T, id string, end func(*testing.T, operation.Key)) time.Duration {
	t.Helper()
	key := s.open(t, "ENDING", id, steady(reply{status: "reserved"}), steady(reply{httpStatus: http.StatusServiceUnavailable, delay: 2 * time.Second}))
	s.awaitRequest(t, id, 1, false)
	for range 3 {
		s.push(t, key, "")
		time.Sleep(100 * time.Millisecond)
	}
	end(t, key)
	ended := time.Now()
	time.Sleep(8 * time.Second)
	polls := s.polls(id)
	return polls[len(polls)-1].began.Sub(ended)
}

func (s *recording) aDeliveryThatWaitsIsReached(t *testing.T) {
	t.Helper()
	rows := map[string]func(*testing.T){}
	for _, endpoint := range []string{"SHORT", "LONG"} {
		rows[endpoint+" is superseded"] = func(t *testing.T) {
			t.Helper()
			s.reaches(t, endpoint, "superseded-"+endpoint, func(key operation.Key) {
				s.put(key.OperationID, steady(reply{status: "reserved"}), steady(reply{}))
				s.mustPush(t, key, "reserved")
			}, func(key operation.Key) {
				require.Eventually(t, func() bool {
					return slices.Contains(statusesOf(s.requests(key.OperationID)), "reserved")
				}, patience, 2*time.Millisecond)
			})
		}
		rows[endpoint+" is withdrawn"] = func(t *testing.T) {
			t.Helper()
			s.reaches(t, endpoint, "withdrawn-"+endpoint, func(key operation.Key) { s.withdraw(t, key) }, func(key operation.Key) {
				require.Equal(t, operation.OutcomeWithdrawn, awaitClosed(t, s.Client, key).Outcome)
				require.Len(t, s.requests(key.OperationID), 1)
			})
		}
	}
	runTogether(t, rows)
}

// reaches changes an operation whose delivery waits for its second attempt and
// requires that the effect comes soon, in the best of a few tries: the machine may
// be busy.
func (s *recording) reaches(t *testing.T, endpoint, id string, change, effect func(operation.Key)) {
	t.Helper()
	best := time.Hour
	for n := 0; n < 5 && best > reached; n++ {
		failing := steady(reply{httpStatus: http.StatusServiceUnavailable})
		key := s.open(t, endpoint, fmt.Sprintf("%s-%d", id, n), steady(reply{status: "waiting_funds"}), failing)
		s.awaitRequest(t, key.OperationID, 1, true)
		time.Sleep(300 * time.Millisecond) // until the attempt is recorded and the delivery waits
		change(key)
		changed := time.Now()
		effect(key)
		best = min(best, time.Since(changed))
	}
	require.LessOrEqual(t, best, reached)
}

// anExhaustedStatusIsOwedAgain: done was never acknowledged, failed was, and
// then the core says done again.
func (s *recording) anExhaustedStatusIsOwedAgain(t *testing.T) {
	t.Helper()
	const id = "owed"
	core := &setting{now: reply{status: "done"}}
	key := s.open(t, "OWED", id, core.answer, inTurn(reply{httpStatus: http.StatusServiceUnavailable}, reply{}))
	require.Equal(t, operation.OutcomeExhausted, s.close(t, key).Outcome)

	core.set(reply{status: "failed"})
	s.repoll(t, key)
	require.Equal(t, operation.OutcomeAcknowledged, s.close(t, key).Outcome)
	require.Equal(t, []string{"done", "failed"}, statusesOf(s.requests(id)))

	core.set(reply{status: "done"})
	s.repoll(t, key)
	state := s.close(t, key)
	requests := s.requests(id)
	require.Equal(t, []string{"done", "failed", "done"}, statusesOf(requests))
	require.Equal(t, requests[0].callbackID, requests[2].callbackID)
	require.Equal(t, map[string]int{requests[0].callbackID: 1, requests[1].callbackID: 1}, bodies(requests))
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	attemptsGoOn(t, state, requests[0].callbackID, 2)
}

// repoll redelivers what the core says now, by force where that is asked for.
func (s *recording) repoll(t *testing.T, key operation.Key) {
	t.Helper()
	request := operation.RedeliveryRequest{Repoll: true}
	if err := s.redeliver(t, key, request); apiclient.Status(err) != http.StatusConflict {
		require.NoError(t, err)
		return
	}
	request.Force = true
	// Within a second a call is taken for the one before it, made twice.
	require.Eventually(t, func() bool { return s.redeliver(t, key, request) == nil }, patience, 200*time.Millisecond)
}

// attemptsGoOn requires that the callback's attempts are numbered from 1 to n.
func attemptsGoOn(t *testing.T, state operation.State, callbackID string, n int) {
	t.Helper()
	var found []operation.Attempt
	for _, d := range state.Deliveries {
		if d.CallbackID == callbackID {
			found = append(found, d.Attempts...)
		}
	}
	require.Len(t, found, n, "%+v", state.Deliveries)
	requireNumbered(t, found, 1)
}

func (s *recording) aSupersededStatusIsOwedAgain(t *testing.T) {
	t.Helper()
	const id = "returning"
	core := &setting{now: reply{status: "waiting_funds"}}
	key := s.open(t, "RETURNING", id, core.answer, inTurn(reply{httpStatus: http.StatusServiceUnavailable}, reply{}))
	s.awaitRequest(t, id, 1, true)
	for n, status := range []string{"reserved", "waiting_funds", "done"} {
		core.set(reply{status: status})
		s.mustPush(t, key, status)
		s.awaitDone(t, id, n+2, status)
	}
	state := s.close(t, key)
	requests := s.requests(id)
	require.Equal(t, []string{"waiting_funds", "reserved", "waiting_funds", "done"}, statusesOf(requests))
	require.Equal(t, requests[0].callbackID, requests[2].callbackID)
	require.Equal(t, map[string]int{requests[0].callbackID: 1, requests[1].callbackID: 1, requests[3].callbackID: 1}, bodies(requests))
	attemptsGoOn(t, state, requests[0].callbackID, 2)
}

// awaitDone waits for request number n, which must be about status.
func (s *recording) awaitDone(t *testing.T, id string, n int, status string) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if requests := s.requests(id); len(requests) >= n && !requests[n-1].ended.IsZero() {
			require.Equal(t, status, requests[n-1].status)
			return
		}
	}
	require.Fail(t, "no request", "number %d, about %s; there were %v", n, status, statusesOf(s.requests(id)))
}

// aStatusThatWasNeverSentIsOwedAgain: reserved waits behind a request, is
// superseded there by waiting_password and returns.
func (s *recording) aStatusThatWasNeverSentIsOwedAgain(t *testing.T) {
	t.Helper()
	const id = "unsent"
	slowly := reply{delay: 2 * time.Second}
	core := &setting{now: reply{status: "waiting_funds"}}
	key := s.open(t, "RETURNING", id, core.answer, inTurn(slowly, reply{}))
	s.awaitRequest(t, id, 1, false)
	for _, status := range []string{"reserved", "waiting_password"} {
		core.set(reply{status: status})
		s.mustPush(t, key, status)
	}
	s.awaitDone(t, id, 2, "waiting_password")
	for n, status := range []string{"reserved", "done"} {
		core.set(reply{status: status})
		s.mustPush(t, key, status)
		s.awaitDone(t, id, n+3, status)
	}
	require.Equal(t, operation.OutcomeAcknowledged, s.close(t, key).Outcome)
	require.Equal(t, []string{"waiting_funds", "waiting_password", "reserved", "done"}, statusesOf(s.requests(id)))
}

func (s *recording) theLastPollIsInFlight(t *testing.T) {
	t.Helper()
	const id = "last"
	waiting := reply{status: "waiting"}
	key := s.open(t, "LAST", id, inTurn(waiting, waiting, reply{status: "done", delay: 1500 * time.Millisecond}), steady(reply{}))
	s.awaitPoll(t, id, 3, false)
	time.Sleep(300 * time.Millisecond)
	s.push(t, key, "waiting")
	state := s.close(t, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome)
	require.Equal(t, []string{"done"}, statusesOf(s.requests(id)))
}

// aMissingEndpoint holds back one callback each of three operations.
func (s *recording) aMissingEndpoint(t *testing.T) {
	t.Helper()
	temporal := s.temporalClient(t)
	// What the endpoint's absence finds open: the receiver has refused nothing yet.
	opened := map[string]operation.Key{}
	cores := map[string]*setting{}
	for _, id := range []string{"missing-done", "missing-revoked", "missing-withdrawn"} {
		cores[id] = &setting{now: reply{status: "processing"}}
		opened[id] = s.open(t, "MISSING", id, cores[id].answer, steady(reply{}))
		s.awaitPoll(t, id, 1, true)
	}
	var line string
	s.reconfigure(t, func(endpoints map[string]string) {
		line = endpoints["MISSING"]
		delete(endpoints, "MISSING")
	})
	for id, status := range map[string]string{"missing-done": "done", "missing-revoked": "reserved", "missing-withdrawn": "reserved"} {
		cores[id].set(reply{status: status})
		s.mustPush(t, opened[id], status)
	}
	time.Sleep(10 * time.Second)
	for id, key := range opened {
		if n := events(t, temporal, key); n >= 60 {
			t.Errorf("%s has %d events", id, n)
		}
		state := awaitState(t, s.Client, key, func(operation.State) bool { return true })
		require.NotEqual(t, operation.Closed, state.Phase, "%+v", state)
		require.Empty(t, s.requests(id))
	}
	s.revoke(t, opened["missing-revoked"])
	s.withdraw(t, opened["missing-withdrawn"])
	require.Equal(t, operation.OutcomeWithdrawn, s.close(t, opened["missing-withdrawn"]).Outcome)
	s.reconfigure(t, func(endpoints map[string]string) { endpoints["MISSING"] = line })
	for id, status := range map[string]string{"missing-done": "done", "missing-revoked": "revoked"} {
		require.Equal(t, operation.OutcomeAcknowledged, s.close(t, opened[id]).Outcome)
		require.Equal(t, []string{status}, statusesOf(s.requests(id)))
	}
}

// events is how long the latest run's history is.
func events(t *testing.T, c client.Client, key operation.Key) int64 {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), key.WorkflowID(), "")
	require.NoError(t, err)
	return described.GetWorkflowExecutionInfo().GetHistoryLength()
}

// aRefusedPoll: the core answers about one transfer of eleven with 403.
func (s *recording) aRefusedPoll(t *testing.T) {
	t.Helper()
	s.open(t, "REFUSED", "refused", steady(reply{httpStatus: http.StatusForbidden}), steady(reply{}))
	s.awaitPoll(t, "refused", 1, true)
	core := &setting{now: reply{status: "processing"}}
	var healthy []operation.Key
	for i := range 10 {
		healthy = append(healthy, s.open(t, "REFUSED", fmt.Sprintf("healthy-%d", i), core.answer, steady(reply{})))
	}
	for _, key := range healthy {
		s.awaitPoll(t, key.OperationID, 5, true)
	}
	core.set(reply{status: "done"})
	for _, key := range healthy {
		require.Equal(t, operation.OutcomeAcknowledged, s.close(t, key).Outcome)
	}
}

func (s *recording) theSameStart(t *testing.T) {
	t.Helper()
	changes := map[string]func(line string) string{
		"DISABLED": func(line string) string { return "enabled: false, " + line },
		"REMOVED":  func(string) string { return "" },
		"CHANGED":  func(line string) string { return "statuses: [done], " + line },
	}
	requests := map[string]operation.StartRequest{}
	for endpoint := range changes {
		key := s.open(t, endpoint, "same-"+endpoint, steady(reply{status: "done"}), steady(reply{}))
		requests[endpoint] = operation.StartRequest{Endpoint: endpoint, OperationID: key.OperationID}
		require.Equal(t, operation.OutcomeAcknowledged, s.close(t, key).Outcome)
	}
	s.reconfigure(t, func(endpoints map[string]string) {
		for endpoint, change := range changes {
			endpoints[endpoint] = change(endpoints[endpoint])
			if endpoints[endpoint] == "" {
				delete(endpoints, endpoint)
			}
		}
	})
	for endpoint, request := range requests {
		_, created, err := s.Start(t.Context(), request)
		if err != nil || created {
			t.Errorf("the same start once its endpoint is %s: created %v, %v", endpoint, created, err)
		}
	}
}

func (s *recording) readThroughItsEnd(t *testing.T) {
	t.Helper()
	var readers sync.WaitGroup
	for i := range 12 {
		id := fmt.Sprintf("read-%d", i)
		receiver := inTurn(reply{delay: time.Duration(i*40) * time.Millisecond})
		key := s.open(t, "READ", id, inTurn(reply{status: "waiting"}, reply{status: "done"}), receiver)
		readers.Go(func() {
			for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
				state, err := s.State(t.Context(), key)
				if err != nil {
					continue
				}
				if (state.Phase == operation.Closed) != (state.Outcome != operation.OutcomeNone) {
					t.Errorf("%s: phase %s, outcome %q", id, state.Phase, state.Outcome)
				}
				if state.Phase == operation.Closed {
					return
				}
			}
			t.Errorf("%s did not close", id)
		})
	}
	readers.Wait()
}

// theListIsNewestFirst among closed, open and redelivered operations.
func (s *recording) theListIsNewestFirst(t *testing.T) {
	t.Helper()
	var ids []string
	var redelivered operation.Key
	for i := range 10 {
		id := fmt.Sprintf("listed-%d", i)
		status, receiver := "processing", steady(reply{})
		if i%2 == 0 {
			status = "done"
		}
		if i == 2 {
			receiver = inTurn(reply{httpStatus: http.StatusServiceUnavailable}, reply{})
		}
		key := s.open(t, "LISTED", id, steady(reply{status: status}), receiver)
		if status == "done" {
			s.close(t, key)
		}
		if i == 2 {
			redelivered = key
		}
		ids = append(ids, id)
	}
	require.NoError(t, s.redeliver(t, redelivered, operation.RedeliveryRequest{}))
	s.close(t, redelivered)
	var listed []operation.Summary
	require.Eventually(t, func() bool {
		page, err := s.List(t.Context(), operation.ListQuery{Endpoint: "LISTED"})
		listed = page.Operations
		open := 0
		for _, o := range listed {
			if o.Phase != operation.Closed {
				open++
			}
		}
		return err == nil && len(listed) >= len(ids) && open == 5
	}, patience, 100*time.Millisecond)
	require.True(t, sort.SliceIsSorted(listed, func(i, j int) bool { return newer(listed[i], listed[j]) }), "%s", startsOf(listed))
}

// newer is the list's order: what is open by its start, then what is closed by its
// end.
func newer(a, b operation.Summary) bool {
	switch {
	case a.ClosedAt == nil && b.ClosedAt == nil:
		return a.StartedAt.After(b.StartedAt)
	case a.ClosedAt == nil || b.ClosedAt == nil:
		return a.ClosedAt == nil
	}
	return a.ClosedAt.After(*b.ClosedAt)
}

// startsOf is a list in short.
func startsOf(listed []operation.Summary) string {
	var lines []string
	for _, o := range listed {
		lines = append(lines, fmt.Sprintf("%s %s started %s", o.OperationID, o.Phase, o.StartedAt.Format("05.000")))
	}
	return strings.Join(lines, "\n")
}

// aPushBeforeTheRepoll asks a core that is known to be slow: a poll inside a
// workflow task would keep the push away.
func (s *recording) aPushBeforeTheRepoll(t *testing.T) {
	t.Helper()
	const id = "repolled"
	slowly := 1500 * time.Millisecond
	s.close(t, s.open(t, "REPOLLED", "slow", steady(reply{status: "done", delay: slowly}), steady(reply{})))
	core := &setting{now: reply{status: "done", delay: slowly}}
	key := s.open(t, "REPOLLED", id, core.answer, inTurn(reply{httpStatus: http.StatusServiceUnavailable}, reply{}))
	require.Equal(t, operation.OutcomeExhausted, s.close(t, key).Outcome)
	asked := len(s.polls(id))
	core.set(reply{status: "failed", delay: 3 * time.Second})
	require.NoError(t, s.redeliver(t, key, operation.RedeliveryRequest{Repoll: true}))
	s.awaitPoll(t, id, asked+1, false)
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		s.push(t, key, "")
	}
	require.Equal(t, operation.OutcomeAcknowledged, s.close(t, key).Outcome)
	require.Equal(t, []string{"done", "failed"}, statusesOf(s.requests(id)))
}

// TestAWorkerKilledDuringAWatchAddsAtMostOnePoll holds that a kill adds at most
// the one poll that was in flight.
func TestAWorkerKilledDuringAWatchAddsAtMostOnePoll(t *testing.T) {
	t.Parallel()
	const maxPolls, id = 8, "killed"
	s := newIdleRecording(t, map[string]string{"CAPPED": pushed(", max_polls: 8", "interval: 50ms, attempts: 2")})
	_, api := s.api(t, "127.0.0.1:0", "-worker=false")
	first := s.worker(t)
	s.put(id, steady(reply{status: "processing", delay: 200 * time.Millisecond}), steady(reply{}))
	key := start(t, api, operation.StartRequest{Endpoint: "CAPPED", OperationID: id})
	s.awaitPoll(t, id, 6, false)
	require.NoError(t, first.Kill())
	s.worker(t)
	state := awaitClosed(t, api, key)
	time.Sleep(quiet)
	asked := len(s.polls(id))
	require.LessOrEqual(t, asked, maxPolls+1)
	require.Equal(t, asked, state.Polls, "the state says what the core saw")
}
