package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// A run of one seed takes about a minute. In full, as make chaos has it:
// go -C dev test -run TestChaos ./e2e -args -chaos-operations=200 -chaos-seeds=10.
var (
	chaosSeeds = flag.Int("chaos-seeds", 1, "how many seeds TestChaos runs, beginning with -chaos-seed")
	chaosSeed  = flag.Uint64("chaos-seed", 1, "the first seed of TestChaos")
	// The race detector makes 200 too many for two processors.
	chaosOperations = flag.Int("chaos-operations", 60, "how many operations TestChaos runs for each seed")
)

const (
	chaosActs = 20
	// chaosSpan is how long the acts go on.
	chaosSpan = 24 * time.Second
	// chaosBegin is the time within which the operations are started.
	chaosBegin    = 24 * time.Second
	chaosMaxPolls = 12
	chaosK        = 4
	chaosTimeout  = time.Second
	// chaosReceivers are endpoints whose receivers are 10, 20, … 90 % good.
	chaosReceivers = 9
)

// TestChaos runs operations whose cores push, flap, err and answer slowly and whose
// receivers fail, and checks every promise from outside once all have ended. A seed
// decides every act, its moment and every answer, but not their interleaving.
func TestChaos(t *testing.T) {
	endpoints := map[string]string{}
	for i := range chaosReceivers {
		endpoints[chaosEndpoint(i)] = fmt.Sprintf("poll: {interval: 1s, lifetime: 25s, max_polls: %d}, delivery: {interval: 300ms, attempts: %d, timeout: %s}",
			chaosMaxPolls, chaosK, chaosTimeout)
	}
	s := newRecording(t, endpoints)
	for n := range *chaosSeeds {
		seed := *chaosSeed + uint64(n)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { s.chaos(t, seed) })
	}
}

func chaosEndpoint(i int) string { return fmt.Sprintf("GOOD%d", (i%chaosReceivers+1)*10) }

func (s *recording) chaos(t *testing.T, seed uint64) {
	t.Helper()
	begun := time.Now()
	actors := make([]*actor, *chaosOperations)
	var acting sync.WaitGroup
	for i := range actors {
		actors[i] = newActor(s, seed, i)
		acting.Go(func() { actors[i].live(t.Context()) })
	}
	acting.Wait()
	time.Sleep(quiet)
	broken := map[string]int{}
	calls, acts, started := 0, 0, 0
	for _, a := range actors {
		if !a.started {
			continue
		}
		started++
		story := a.end(t.Context())
		calls += len(story.polls) + len(story.requests)
		acts += len(story.acts)
		faults := story.faults()
		// One story is described in full for each promise.
		first := false
		for _, f := range faults {
			first = first || broken[f.promise] == 0
			broken[f.promise]++
		}
		if first {
			t.Errorf("seed %d: %s", seed, story.describe(faults))
		}
	}
	t.Logf("seed %d: %d operations, %d acts, %d calls at core and receiver, %s", seed, started, acts, calls, time.Since(begun).Round(time.Second))
	if started < *chaosOperations*9/10 {
		t.Errorf("seed %d: %d operations were accepted: the machine has too much else to do", seed, started)
	}
	for _, promise := range slices.Sorted(maps.Keys(broken)) {
		t.Errorf("seed %d: %d times: %s", seed, broken[promise], promise)
	}
}

// act is one call of the API, or one that is planned.
type act struct {
	at time.Duration
	// what is the call; status is the pushed one, or the initiator of a revocation.
	what, status string
	redelivery   operation.RedeliveryRequest

	began, ended time.Time
	// httpStatus is 0 where there was no error.
	httpStatus int
	failure    string
}

// The acts.
const (
	actPush      = "push"
	actRevoke    = "revoke"
	actWithdraw  = "withdraw"
	actStart     = "start again"
	actRedeliver = "redeliver"
	actGet       = "get"
)

// accepted says that the API did what was asked, or may have: an answer to come
// back later says nothing of it.
func (a act) accepted() bool {
	return a.failure == "" || a.httpStatus == http.StatusServiceUnavailable || a.httpStatus == http.StatusTooManyRequests
}

// actor is one operation's core, receiver and caller of the API.
type actor struct {
	// started says that the operation was accepted.
	started   bool
	recording *recording
	request   operation.StartRequest
	startsAt  time.Duration
	acts      []act
	states    []operation.State
	closings  map[string]operation.State
	uncounted bool
	faulty    []fault
}

// fault is one broken promise.
type fault struct{ promise, detail string }

var (
	chaosOpen  = []string{"new", "waiting", "waiting_funds", "waiting_password", "reserved", "processing"}
	chaosFinal = []string{"done", "rejected", "revoked", "failed"}
)

// newActor plans operation i of a seed.
func newActor(s *recording, seed uint64, i int) *actor {
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	a := &actor{
		recording: s,
		request:   operation.StartRequest{Endpoint: chaosEndpoint(i), OperationID: fmt.Sprintf("s%d-%d", seed, i)},
		startsAt:  chance(random, chaosBegin),
		closings:  map[string]operation.State{},
	}
	for range chaosActs {
		a.acts = append(a.acts, plannedAct(random))
	}
	slices.SortStableFunc(a.acts, func(x, y act) int { return int(x.at - y.at) })
	good := i%chaosReceivers*10 + 10
	s.put(a.request.OperationID, inTurn(chaosCore(random)...), inTurn(chaosReceiver(random, good)...))
	return a
}

func chance(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most)))
}

func one[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

func plannedAct(random *rand.Rand) act {
	a := act{at: chance(random, chaosSpan)}
	if random.IntN(3) == 0 {
		// Some come in bursts, at the beginning of a second.
		a.at = a.at.Truncate(2*time.Second) + chance(random, 300*time.Millisecond)
	}
	switch p := random.IntN(100); {
	case p < 32:
		a.what = actPush
	case p < 48:
		a.what, a.status = actPush, one(random, chaosOpen)
	case p < 51:
		a.what, a.status = actPush, one(random, chaosFinal)
	case p < 54:
		a.what, a.status = actRevoke, one(random, operation.Initiators)
	case p < 56:
		a.what = actWithdraw
	case p < 68:
		a.what = actStart
	case p < 80:
		a.what = actRedeliver
		a.redelivery = operation.RedeliveryRequest{Repoll: random.IntN(2) == 0, Force: random.IntN(3) == 0}
	default:
		a.what = actGet
	}
	return a
}

// chaosCore is a core that flaps, errs and answers slowly.
func chaosCore(random *rand.Rand) []reply {
	const polls = 60
	now := one(random, chaosOpen)
	finalAt := 2 + random.IntN(14)
	replies := make([]reply, polls)
	for n := range replies {
		switch {
		case n == finalAt:
			now = one(random, chaosFinal)
		case n < finalAt && random.IntN(100) < 30:
			now = one(random, chaosOpen)
		case n > finalAt && random.IntN(100) < 5:
			now = one(random, append(slices.Clone(chaosOpen), chaosFinal...))
		}
		replies[n] = reply{status: now, delay: chance(random, 30*time.Millisecond)}
		switch p := random.IntN(100); {
		case p < 15:
			replies[n].delay = 300*time.Millisecond + chance(random, 1200*time.Millisecond)
		case p < 20:
			replies[n].broken = true
		case p < 30:
			replies[n].httpStatus = one(random, []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusTooManyRequests})
		}
	}
	return replies
}

// chaosReceiver acknowledges good of 100 requests; the others are refused,
// broken off or left to time out. One operation in 25 meets one that is gone.
func chaosReceiver(random *rand.Rand, good int) []reply {
	const requests = 80
	replies := make([]reply, requests)
	gone := random.IntN(25) == 0
	for n := range replies {
		replies[n].delay = chance(random, 30*time.Millisecond)
		if random.IntN(5) == 0 {
			replies[n].delay = 100*time.Millisecond + chance(random, 500*time.Millisecond)
		}
		switch p := random.IntN(100); {
		case p < good:
		case gone:
			replies[n].httpStatus = http.StatusGone
		case random.IntN(12) == 0:
			replies[n].delay = 2 * chaosTimeout
		case random.IntN(5) == 0:
			replies[n].broken = true
		default:
			replies[n].httpStatus = one(random, []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusNotFound, http.StatusFound})
		}
	}
	return replies
}

// live starts the operation, makes its acts and waits for its end.
func (a *actor) live(ctx context.Context) {
	begun := time.Now()
	time.Sleep(a.startsAt)
	if a.started = a.start(ctx); !a.started {
		return
	}
	for i := range a.acts {
		time.Sleep(time.Until(begun.Add(a.startsAt + a.acts[i].at)))
		a.make(ctx, &a.acts[i])
	}
	a.awaitEnd(ctx)
}

// start starts the operation. An answer to come back later may hide that it is
// there already.
func (a *actor) start(ctx context.Context) bool {
	for until, first := time.Now().Add(patience), true; ; first = false {
		_, created, err := a.recording.Start(ctx, a.request)
		switch {
		case err == nil && (created || !first):
			return true
		case later(err) && time.Now().Before(until):
			time.Sleep(500 * time.Millisecond)
		case later(err):
			// There was too much to do all the time: it is no operation.
			return false
		default:
			a.fault("a new operation is answered with 201", "created %v, %v", created, err)
			return false
		}
	}
}

func (a *actor) fault(promise, form string, args ...any) {
	a.faulty = append(a.faulty, fault{promise, fmt.Sprintf(form, args...)})
}

func (a *actor) make(ctx context.Context, planned *act) {
	key := a.request.Key()
	api := direct(a.recording.Client)
	// The last look at a run that a redelivery may follow.
	if planned.what == actRedeliver {
		a.look(ctx)
	}
	planned.began = time.Now()
	var err error
	switch planned.what {
	case actPush:
		err = api.Push(ctx, key, planned.status)
	case actRevoke:
		_, err = api.Revoke(ctx, key, planned.status, "")
	case actWithdraw:
		_, err = api.Withdraw(ctx, key)
	case actStart:
		var created bool
		if _, created, err = api.Start(ctx, a.request); created {
			a.fault("the same start is not a new operation", "201")
		}
	case actRedeliver:
		var state operation.State
		state, err = api.Redeliver(ctx, key, planned.redelivery)
		a.redelivered(state, err)
	default:
		a.look(ctx)
	}
	planned.ended = time.Now()
	if err == nil {
		return
	}
	planned.httpStatus, planned.failure = apiclient.Status(err), err.Error()
	conflicts := planned.what != actStart && planned.httpStatus == http.StatusConflict
	if !conflicts && !later(err) {
		a.fault("a call is answered as it should be", "%s: %v", planned.what, err)
	}
}

// look reads the state and keeps what a closed run says.
func (a *actor) look(ctx context.Context) {
	state, err := a.recording.State(ctx, a.request.Key())
	if err != nil {
		if !later(err) {
			a.fault("a call is answered as it should be", "get: %v", err)
		}
		return
	}
	a.states = append(a.states, state)
	if state.Phase == operation.Closed {
		a.closings[state.RunID] = state
	}
}

// redelivered checks that the run before was seen closed: otherwise its polls
// are not known.
func (a *actor) redelivered(after operation.State, err error) {
	if later(err) {
		a.uncounted = true
	}
	if err != nil {
		return
	}
	if len(a.states) == 0 || a.states[len(a.states)-1].Phase != operation.Closed || a.states[len(a.states)-1].RunID == after.RunID {
		a.uncounted = true
	}
}

func (a *actor) awaitEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const gap = time.Second
	for ctx.Err() == nil {
		a.look(ctx)
		if n := len(a.states); n > 0 && a.states[n-1].Phase == operation.Closed {
			return
		}
		time.Sleep(gap)
	}
	a.fault("every operation ends", "not after %s", patience)
}

// story is what can be known of an operation from outside, after its end.
type story struct {
	*actor
	state           operation.State
	polls, requests []recordedCall
}

func (a *actor) end(ctx context.Context) story {
	a.look(ctx)
	s := story{actor: a, polls: a.recording.polls(a.request.OperationID), requests: a.recording.requests(a.request.OperationID)}
	if len(a.states) > 0 {
		s.state = a.states[len(a.states)-1]
	}
	return s
}

// faults are the promises that the story breaks.
func (s story) faults() []fault {
	if s.state.Phase == operation.Closed {
		s.checkCounts()
		s.checkDeliveries()
		s.checkOutcome()
		s.checkFinal()
	}
	s.checkAtOnce()
	s.checkOrder()
	s.checkStates()
	return s.faulty
}

func (s story) checkAtOnce() {
	if n := mostAtOnce(s.polls); n > 1 {
		s.fault("one poll at a time", "%d", n)
	}
	if n := mostAtOnce(s.requests); n > 1 {
		s.fault("one request at a time", "%d", n)
	}
}

func (s story) checkStates() {
	for _, state := range s.states {
		if (state.Phase == operation.Closed) != (state.Outcome != operation.OutcomeNone) {
			s.fault("an outcome is shown of a closed operation only", "phase %s, outcome %s", state.Phase, state.Outcome)
		}
	}
}

// overtaken counts the polls whose answer may have been recorded after a status that was
// pushed meanwhile: such a poll costs none of max_polls.
func (s story) overtaken() (n int) {
	for _, q := range s.polls {
		if slices.ContainsFunc(s.acts, func(a act) bool {
			pushes := a.what == actPush && a.status != "" && a.accepted()
			return pushes && a.ended.After(q.began) && a.began.Before(q.ended.Add(time.Second))
		}) {
			n++
		}
	}
	return n
}

// redeliveries counts those that were accepted, from a moment to another.
func (s story) redeliveries(from, to time.Time, which func(operation.RedeliveryRequest) bool) int {
	n := 0
	for _, a := range s.acts {
		if a.what == actRedeliver && a.accepted() && a.ended.After(from) && a.began.Before(to) && which(a.redelivery) {
			n++
		}
	}
	return n
}

func (s story) runs() int {
	return 1 + s.redeliveries(time.Time{}, time.Now(), func(operation.RedeliveryRequest) bool { return true })
}

func (s story) checkCounts() {
	asked := len(s.polls)
	if asked-s.overtaken() > chaosMaxPolls*s.runs() {
		s.fault("max_polls is not exceeded", "%d polls in %d runs", asked, s.runs())
	}
	polls := 0
	for _, state := range s.closings {
		polls += state.Polls
	}
	// On a starved machine one may be recorded that is then not asked, and a lost
	// first workflow task asks its one again.
	if off := polls - asked; !s.uncounted && max(off, -off) > s.runs() {
		s.fault("polls are counted as the core saw them", "%d counted, %d at the core", polls, asked)
	}
	// An attempt that was recorded and then lost with its activity was not sent.
	recorded, answered := map[string]int{}, map[string]int{}
	for _, d := range s.state.Deliveries {
		for _, attempt := range d.Attempts {
			recorded[d.CallbackID]++
			if attempt.HTTPStatus != 0 {
				answered[d.CallbackID]++
			}
		}
	}
	received := map[string]int{}
	for _, r := range s.requests {
		received[r.callbackID]++
	}
	for _, d := range s.state.Deliveries {
		id := d.CallbackID
		if received[id] < answered[id] || received[id] > recorded[id] {
			s.fault("attempts are the requests", "%s: %d attempts, %d of them answered, %d requests", id, recorded[id], answered[id], received[id])
		}
		delete(received, id)
	}
	for id, n := range received {
		s.fault("attempts are the requests", "%s: no attempt, %d requests", id, n)
	}
}

// statement is a status as the core said it, by a push or by an answer.
type statement struct {
	status       string
	began, ended time.Time
}

func (s story) statements() []statement {
	var all []statement
	for _, a := range s.acts {
		if a.what == actPush && a.status != "" && a.accepted() {
			all = append(all, statement{a.status, a.began, a.ended})
		}
	}
	for _, q := range s.polls {
		if q.succeeded() {
			all = append(all, statement{q.reply.status, q.began, q.ended})
		}
	}
	slices.SortFunc(all, func(a, b statement) int { return a.ended.Compare(b.ended) })
	return all
}

// said counts how often the core said a status anew within a time.
func (s story) said(status string, from, to time.Time) int {
	n, before := 0, ""
	for _, said := range s.statements() {
		if said.status == status && before != status && said.ended.After(from) && said.began.Before(to) {
			n++
		}
		before = said.status
	}
	return n
}

func (s story) checkDeliveries() {
	byID := map[string][]recordedCall{}
	for _, r := range s.requests {
		byID[r.callbackID] = append(byID[r.callbackID], r)
	}
	for i, d := range s.state.Deliveries {
		requests := byID[d.CallbackID]
		acknowledged := slices.ContainsFunc(requests, recordedCall.succeeded)
		switch d.Outcome {
		case operation.DeliveryAcknowledged:
			if !acknowledged {
				s.fault("what is acknowledged was answered so", "%s", d.Status)
			}
		case operation.DeliveryExhausted:
			if len(d.Attempts) < chaosK {
				s.fault("exhausted is after k attempts", "%s: %d", d.Status, len(d.Attempts))
			}
		case operation.DeliverySuperseded:
			if i == len(s.state.Deliveries)-1 && s.state.Outcome != operation.OutcomeWithdrawn && s.state.Revocation == nil && s.said(d.Status, time.Time{}, time.Now()) == 1 {
				s.fault("superseded is by something newer", "%s", d.Status)
			}
		case operation.DeliveryPending:
			s.fault("nothing is pending after the end", "%s", d.Status)
		case operation.DeliveryGone:
		}
		if acknowledged && d.Outcome != operation.DeliveryAcknowledged && s.runs() == 1 {
			s.fault("what was answered so is acknowledged", "%s: %s", d.Status, d.Outcome)
		}
	}
	for id, requests := range byID {
		s.checkRequests(id, requests)
	}
	for id, different := range bodies(s.requests) {
		if different > 1 {
			s.fault("one webhook-id has one body", "%s: %d bodies", id, different)
		}
	}
}

// checkRequests holds k, and that what was acknowledged is not sent again
// unless by force.
func (s story) checkRequests(id string, requests []recordedCall) {
	status := requests[0].status
	anyForm := func(operation.RedeliveryRequest) bool { return true }
	efforts := max(1, s.said(status, time.Time{}, time.Now())) + s.redeliveries(time.Time{}, time.Now(), anyForm)
	if len(requests) > chaosK*efforts {
		s.fault("at most k requests", "%s %s: %d requests in at most %d deliveries", id, status, len(requests), efforts)
	}
	for i, r := range requests[:len(requests)-1] {
		forced := func(r operation.RedeliveryRequest) bool { return r.Force }
		if r.succeeded() && s.redeliveries(r.began, requests[i+1].began, forced) == 0 {
			s.fault("what was acknowledged is not sent again", "%s %s: request %d of %d was acknowledged", id, status, i+1, len(requests))
		}
	}
}

// checkOrder holds that nothing older follows unless it returned, and nothing
// else a final status unless a repoll found it.
func (s story) checkOrder() {
	final, newest := -1, 0
	for i, r := range s.requests {
		// From the first request about it: a redelivery may send it again.
		if final >= 0 && r.callbackID != s.requests[final].callbackID && s.redeliveries(s.requests[final].began, r.began, func(r operation.RedeliveryRequest) bool { return r.Repoll }) == 0 {
			s.fault("nothing follows a final status", "%s after %s", r.status, s.requests[final].status)
		}
		if r.final && (final < 0 || r.callbackID != s.requests[final].callbackID) {
			final = i
		}
		before := s.requests[newest]
		if r.observedAt.Before(before.observedAt) && s.said(r.status, before.observedAt, r.began) == 0 {
			s.fault("nothing older follows", "%s of %s after %s of %s", r.status, clock(r.observedAt), before.status, clock(before.observedAt))
		}
		if !r.observedAt.Before(before.observedAt) {
			newest = i
		}
	}
}

// lastOwed is the last delivery that was not superseded, or nil.
func (s story) lastOwed() *operation.Delivery {
	for i := len(s.state.Deliveries) - 1; i >= 0; i-- {
		if s.state.Deliveries[i].Outcome != operation.DeliverySuperseded {
			return &s.state.Deliveries[i]
		}
	}
	return nil
}

func (s story) checkOutcome() {
	final := s.state.Status != nil && s.state.Status.Final
	owed := s.lastOwed()
	withdrawn := slices.ContainsFunc(s.acts, func(a act) bool { return a.what == actWithdraw && a.accepted() })
	right := true
	switch s.state.Outcome {
	case operation.OutcomeAcknowledged, operation.OutcomeExhausted, operation.OutcomeGone:
		right = owed != nil && string(owed.Outcome) == string(s.state.Outcome)
	case operation.OutcomeRevoked:
		right = owed == nil && final
	case operation.OutcomeWithdrawn:
		right = withdrawn
	case operation.OutcomeExpired:
		right = owed == nil && !final
	case operation.OutcomeNone, operation.OutcomeTerminated:
		right = false
	}
	if !right {
		s.fault("the outcome follows the precedence", "%s: final %v, withdrawal accepted %v, last owed %+v", s.state.Outcome, final, withdrawn, owed)
	}
}

// surelySaid says that the core said a status and Ringback had it.
func (s story) surelySaid(status string) bool {
	return slices.ContainsFunc(s.acts, func(a act) bool {
		return a.what == actPush && !a.ended.IsZero() && a.failure == "" && a.status == status
	}) ||
		slices.ContainsFunc(s.polls, func(q recordedCall) bool { return q.succeeded() && q.reply.status == status })
}

// checkFinal holds that a final status is not lost: what the core said to the
// end is recorded, and its callback exists.
func (s story) checkFinal() {
	repoll := s.redeliveries(time.Time{}, time.Now(), func(r operation.RedeliveryRequest) bool { return r.Repoll })
	withdrawn := slices.ContainsFunc(s.acts, func(a act) bool { return a.what == actWithdraw && a.accepted() })
	if withdrawn || repoll > 0 {
		return
	}
	final := s.state.Status != nil && s.state.Status.Final
	for _, status := range chaosFinal {
		if !final && s.surelySaid(status) {
			s.fault("a final status is recorded", "%s was said, the operation ended %s with %+v", status, s.state.Outcome, s.state.Status)
		}
	}
	byClient := s.state.Revocation != nil && s.state.Revocation.InitiatedBy == operation.InitiatedByClient
	if !final || byClient {
		return
	}
	at := slices.IndexFunc(s.state.Deliveries, func(d operation.Delivery) bool { return d.Status == s.state.Status.Value })
	if at < 0 || s.state.Deliveries[at].Outcome == operation.DeliverySuperseded {
		s.fault("a final status is delivered", "%s: %+v", s.state.Status.Value, s.state.Deliveries)
	}
}

func clock(at time.Time) string { return at.Format("05.000") }

// describe is the story in the order of time.
func (s story) describe(faults []fault) string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, a := range s.acts {
		if a.began.IsZero() || a.what == actGet {
			continue
		}
		text := fmt.Sprintf("api      %s %s", a.what, a.status)
		if a.what == actRedeliver {
			text += fmt.Sprintf("%+v", a.redelivery)
		}
		lines = append(lines, line{a.began, fmt.Sprintf("%s, %s %d", text, clock(a.ended), a.httpStatus)})
	}
	for _, q := range s.polls {
		lines = append(lines, line{q.began, fmt.Sprintf("core     %s, %s", q.reply.status, outcomeOf(q))})
	}
	for _, r := range s.requests {
		lines = append(lines, line{r.began, fmt.Sprintf("receiver %s of %s %s, %s", r.status, clock(r.observedAt), r.callbackID, outcomeOf(r))})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", s.request.Key().WorkflowID())
	for _, f := range faults {
		fmt.Fprintf(&text, "  BROKEN: %s: %s\n", f.promise, f.detail)
	}
	for _, l := range lines {
		fmt.Fprintf(&text, "  %s %s\n", clock(l.at), l.text)
	}
	fmt.Fprintf(&text, "  state: %s %s, status %+v, %d polls, revocation %+v\n", s.state.Phase, s.state.Outcome, s.state.Status, s.state.Polls, s.state.Revocation)
	for _, d := range s.state.Deliveries {
		fmt.Fprintf(&text, "    %s %s %s %s: %d attempts\n", d.Status, d.CallbackID, d.Outcome, d.Reason, len(d.Attempts))
	}
	return text.String()
}

// outcomeOf is how a call ended, in a word.
func outcomeOf(c recordedCall) string {
	switch {
	case c.ended.IsZero():
		return "not over"
	case c.abandoned:
		return clock(c.ended) + " abandoned"
	case c.reply.broken:
		return clock(c.ended) + " broken off"
	}
	return fmt.Sprintf("%s %d", clock(c.ended), max(c.reply.httpStatus, http.StatusOK))
}
