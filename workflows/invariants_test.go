package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
)

// trace is what the core, the receiver and the callers saw of one run of an
// operation, and how it ended. The invariants know nothing else of the run.
type trace struct {
	key    operation.Key
	policy operation.Policy
	rules  operation.Rules
	// known is the status that the client had at the start; wanted filters
	// which statuses are delivered (empty: all).
	known  string
	wanted []string

	started  operation.Time
	polls    []poll
	requests []request
	acts     []taken
	ending   operation.Record
	// histories are the lengths of the runs that continued each other; twice are the
	// activities that were begun while one of the same type was pending.
	histories []int
	twice     []string
	// forgotten says that a workflow task was refused by the server and repeated, and did
	// not come to what it had done before: the known exception of Signals and cancellations
	// that overtake a poll or an attempt.
	forgotten bool

	// latency is the most that the simulated server adds to what it passes on.
	latency time.Duration
	// missing is how long the endpoint may be, the wait until that is noticed included.
	missing time.Duration
	// earlier is the run that this one redelivers, or nil.
	earlier        *trace
	repoll, forced bool
}

// poll is one poll as the core saw it.
type poll struct {
	begun, ended operation.Time
	// answered says that there was an answer; its status may be empty.
	answered bool
	status   string
	// free polls are refused (401, 403) and cost none of max_polls; neither do lost
	// ones, whose worker died.
	free, lost bool
}

// request is one attempt as the receiver saw it.
type request struct {
	begun, ended operation.Time
	callback     operation.Callback
	number       int
	acknowledged bool
	// lost says that the worker died, which the server notices later.
	lost bool
	// inTask says that it was made inside a workflow task; refused, that the server refused
	// the task: its repetition may put what a Signal brought before it.
	inTask, refused bool
}

func (r request) status() string { return r.callback.Observation.Status }

// taken is an act that reached the run, when it did. One that the run refused
// is not in the trace.
type taken struct {
	kind   actKind
	status string
	at     operation.Time
}

// statement is what the core said, by answer or by push. recorded is the latest time
// at which the run could record it.
type statement struct {
	begun, ended, recorded operation.Time
	status                 string
}

// statements are in the order in which they ended.
func (t *trace) statements() []statement {
	var all []statement
	for _, q := range t.polls {
		if q.answered {
			all = append(all, statement{q.begun, q.ended, t.recorded(q).Add(t.latency), q.status})
		}
	}
	for _, a := range t.acts {
		switch a.kind {
		case push:
			all = append(all, statement{a.at, a.at, a.at, a.status})
		case revoke:
			all = append(all, statement{a.at, a.at, a.at, t.rules.Revoked})
		case pollNow, withdraw:
		}
	}
	slices.SortStableFunc(all, func(a, b statement) int { return a.ended.Compare(b.ended.Time) })
	return all
}

// runs are this one and those before it, oldest first.
func (t *trace) runs() []*trace {
	if t == nil {
		return nil
	}
	return append(t.earlier.runs(), t)
}

// life are the requests of all runs, oldest first.
func (t *trace) life() []request {
	var all []request
	for _, r := range t.runs() {
		all = append(all, r.requests...)
	}
	return all
}

// delivered reports whether status owes the client a callback.
func (t *trace) delivered(status string) bool {
	return t.rules.Delivers(status) && (len(t.wanted) == 0 || slices.Contains(t.wanted, status))
}

// overtaken reports whether a push or a revocation may have been recorded after
// the poll began and before its answer was.
func (t *trace) overtaken(q poll) bool {
	return slices.ContainsFunc(t.acts, func(a taken) bool {
		return (a.kind == push || a.kind == revoke) && !a.at.Before(q.begun) && !a.at.After(t.recorded(q).Add(t.latency))
	})
}

// recorded is when the run could record a poll's answer: after the attempt inside a
// workflow task that it was making, if any, after what reached it at that moment, and after
// a "poll now", which interrupts the watch whose answer is on its way; each within a step of
// the simulated clock.
func (t *trace) recorded(q poll) operation.Time {
	const step = time.Millisecond
	at := q.ended
	for _, r := range t.requests {
		if r.inTask && !r.begun.After(at) && r.ended.After(at) {
			at = r.ended
		}
	}
	for _, a := range t.acts {
		if a.kind == pollNow && !a.at.Before(q.ended) && !a.at.After(at.Add(step+t.latency)) {
			at = a.at.Add(t.latency)
		}
	}
	return at.Add(step)
}

// counted is how many polls used up max_polls beyond doubt: an answer that was
// overtaken uses up none.
func (t *trace) counted() int {
	count := 0
	for _, q := range t.polls {
		if !q.free && !q.lost && !(q.answered && t.overtaken(q)) {
			count++
		}
	}
	return count
}

// first is when an act of one of these kinds was taken first; ok is false where
// none was.
func (t *trace) first(match func(taken) bool) (at operation.Time, ok bool) {
	for _, a := range t.acts {
		if match(a) && (!ok || a.at.Before(at)) {
			at, ok = a.at, true
		}
	}
	return at, ok
}

func (t *trace) withdrawn() (operation.Time, bool) {
	return t.first(func(a taken) bool { return a.kind == withdraw })
}

// invariant is true of every run, whatever happens to it. It returns what broke
// it, or an empty string.
type invariant struct {
	name   string
	broken func(*trace) string
}

var invariants = []invariant{
	{"at most one Watch and one Deliver are pending", oneActivityOfEachType},
	{"at most one poll to the core is in flight", onePollInFlight},
	{"at most one request to the receiver is in flight", oneRequestInFlight},
	{"the state counts the polls that the core was asked", pollsAreCounted},
	{"max_polls bounds the polls", maxPollsBoundsPolls},
	{"polls come at most once a second, or at the policy's gap", pollsAreSpaced},
	{"no poll begins after a final answer", finalAnswerIsTheLast},
	{"a final answer is recorded", finalAnswerIsRecorded},
	{"a final answer is delivered at once", finalAnswerIsDeliveredAtOnce},
	{"nothing begins after the end is decided", endingEnds},
	{"a callback is not sent again once it was acknowledged", acknowledgedOnce},
	{"one callback id has one body", oneBody},
	{"attempt numbers go on over the whole life of a callback", numbersGoOn},
	{"callbacks do not overtake each other", order},
	{"a delivery has at most k attempts", atMostK},
	{"h passes between the attempts of a delivery", hIsKept},
	{"what the client does not have is due", lastStatusIsSent},
	{"a status that returns and was not acknowledged is due again", lastStatusIsSentAgain},
	{"the state shows the attempts that the receiver saw", stateShowsAttempts},
	{"the outcome is what the receiver and the core saw", outcomeAgrees},
}

func onePollInFlight(t *trace) string {
	for i := 1; i < len(t.polls); i++ {
		if before, q := t.polls[i-1], t.polls[i]; q.begun.Before(before.ended) {
			return fmt.Sprintf("poll %d begins before poll %d ends", i+1, i)
		}
	}
	return ""
}

func oneRequestInFlight(t *trace) string {
	for i := 1; i < len(t.requests); i++ {
		if before, r := t.requests[i-1], t.requests[i]; r.begun.Before(before.ended) {
			return fmt.Sprintf("request %d begins before request %d ends", i+1, i)
		}
	}
	return ""
}

func oneActivityOfEachType(t *trace) string {
	if len(t.twice) > 0 {
		return fmt.Sprintf("begun while another was pending: %v", t.twice)
	}
	return ""
}

func pollsAreCounted(t *trace) string {
	if polls := t.ending.State.Polls; polls != len(t.polls) {
		return fmt.Sprintf("the core was asked %d times, the state says %d", len(t.polls), polls)
	}
	return ""
}

func maxPollsBoundsPolls(t *trace) string {
	limit := t.policy.Poll.Limit()
	if counted := t.counted(); limit > 0 && counted > limit {
		return fmt.Sprintf("%d polls, max_polls is %d", counted, limit)
	}
	return ""
}

// pollsAreSpaced lets the last poll come sooner: it is clipped to the
// lifetime, or in a redelivery to the minute that its one answer is waited for. An answer
// that was overtaken is asked for again, within this limit.
func pollsAreSpaced(t *trace) string {
	deadline, minute := t.started.Add(t.policy.Poll.Lifetime()), t.started.Add(time.Minute)
	for i := 1; i < len(t.polls); i++ {
		least := min(time.Second, t.policy.Poll.Gap(i))
		gap := t.polls[i].begun.Sub(t.polls[i-1].begun.Time)
		lastAnswer := t.earlier != nil && t.polls[i].begun.Sub(minute.Time).Abs() <= t.latency
		if gap < least && t.polls[i].begun.Before(deadline) && !lastAnswer {
			return fmt.Sprintf("poll %d begins %s after poll %d, not %s", i+1, gap, i, least)
		}
	}
	return ""
}

func finalAnswerIsTheLast(t *trace) string {
	for i, q := range t.polls {
		if !q.answered || !t.rules.IsFinal(q.status) || t.overtaken(q) {
			continue
		}
		for _, later := range t.polls[i+1:] {
			if later.begun.After(q.ended) {
				return fmt.Sprintf("the answer to poll %d was %q, and another poll begins at %s", i+1, q.status, t.since(later.begun))
			}
		}
	}
	return ""
}

func finalAnswerIsRecorded(t *trace) string {
	if len(t.polls) == 0 {
		return ""
	}
	last := t.polls[len(t.polls)-1]
	if at, ok := t.withdrawn(); ok && !at.After(t.recorded(last).Add(t.latency)) {
		return ""
	}
	s := t.ending.State
	if last.answered && t.rules.IsFinal(last.status) && (s.Status == nil || !s.Status.Final) {
		return fmt.Sprintf("the core's last answer is %q, the run ends as %q with status %v", last.status, s.Outcome, s.Status)
	}
	return ""
}

// promptly is what an attempt may wait for besides the server: it may be held
// back once for two seconds.
const promptly = 3 * time.Second

func finalAnswerIsDeliveredAtOnce(t *trace) string {
	for i, q := range t.polls {
		if !q.answered || !t.rules.IsFinal(q.status) {
			continue
		}
		begun := slices.ContainsFunc(t.requests, func(r request) bool { return r.begun.Before(q.ended) })
		stopped := slices.ContainsFunc(t.acts, func(a taken) bool { return a.kind != pollNow })
		if begun || stopped || t.earlier != nil || !t.delivered(q.status) || q.status == t.known {
			return ""
		}
		if limit := promptly + 2*t.latency + t.missing; len(t.requests) == 0 || t.requests[0].begun.After(q.ended.Add(limit)) {
			return fmt.Sprintf("the answer to poll %d was %q, and no request begins within %s", i+1, q.status, limit)
		}
		return ""
	}
	return ""
}

// endingDecided is how soon a run stops what it is doing once its end is decided.
const endingDecided = 250 * time.Millisecond

func endingEnds(t *trace) string {
	decided, ok := t.first(func(a taken) bool {
		return a.kind == withdraw || a.kind == revoke || a.kind == push && t.rules.IsFinal(a.status)
	})
	if limit := decided.Add(endingDecided + t.latency); ok {
		for i, q := range t.polls {
			if q.begun.After(limit) {
				return fmt.Sprintf("poll %d begins after the end was decided at %s", i+1, t.since(decided))
			}
		}
	}
	withdrawn, ok := t.withdrawn()
	if limit := withdrawn.Add(endingDecided + t.latency); ok {
		for i, r := range t.requests {
			if r.begun.After(limit) && t.ending.State.Outcome == operation.OutcomeWithdrawn {
				return fmt.Sprintf("request %d begins after the withdrawal at %s", i+1, t.since(withdrawn))
			}
		}
	}
	return ""
}

// acknowledgedOnce lets a forced redelivery send its callback again, once.
func acknowledgedOnce(t *trace) string {
	acknowledged := map[string]bool{}
	for _, run := range t.runs() {
		if run.forced && len(run.earlier.ending.Callbacks) > 0 {
			delete(acknowledged, run.earlier.ending.Callbacks[len(run.earlier.ending.Callbacks)-1].ID)
		}
		for i, r := range run.requests {
			if acknowledged[r.callback.ID] {
				return fmt.Sprintf("request %d is about %q, which was acknowledged", i+1, r.status())
			}
			acknowledged[r.callback.ID] = r.acknowledged
		}
	}
	return ""
}

// oneBody leaves the reason out: it is for operators, and in no body.
func oneBody(t *trace) string {
	bodies := map[string]string{}
	for _, r := range t.life() {
		c := r.callback
		if c.ID != operation.CallbackID(t.key, r.status()) {
			return fmt.Sprintf("the callback about %q has the id of another", r.status())
		}
		c.Reason = ""
		body := fmt.Sprintf("%+v", c)
		if before, ok := bodies[c.ID]; ok && before != body {
			return fmt.Sprintf("the callback about %q changed from %s to %s", r.status(), before, body)
		}
		if !r.refused {
			bodies[c.ID] = body
		}
	}
	return ""
}

func numbersGoOn(t *trace) string {
	numbers := map[string]int{}
	for _, r := range t.life() {
		numbers[r.callback.ID]++
		if r.number != numbers[r.callback.ID] {
			return fmt.Sprintf("attempt %d about %q is numbered %d", numbers[r.callback.ID], r.status(), r.number)
		}
	}
	return ""
}

// order lets an older callback follow a newer one where the core said its status
// again: it is due again. A final one is never too old, and nothing but itself
// follows it.
func order(t *trace) string {
	statements := t.statements()
	for i := 1; i < len(t.requests); i++ {
		before, r := t.requests[i-1], t.requests[i]
		if before.callback.ID == r.callback.ID || before.refused {
			continue
		}
		if before.callback.Final && !t.repoll {
			return fmt.Sprintf("request %d is about %q, after the final %q", i+1, r.status(), before.status())
		}
		observed := before.callback.Observation.ObservedAt
		again := slices.ContainsFunc(statements, func(s statement) bool {
			return s.status == r.status() && !s.ended.Before(observed) && !s.ended.After(r.begun)
		})
		if r.callback.Observation.ObservedAt.Before(observed) && !again && !r.callback.Final {
			return fmt.Sprintf("request %d is about %q, which is older than %q", i+1, r.status(), before.status())
		}
	}
	return ""
}

// span is from first to last, both included.
type span struct{ first, last operation.Time }

func (s span) meets(first, last operation.Time) bool {
	return !s.last.Before(first) && !s.first.After(last)
}

// returns are when the core said status again after another one, or for the first
// time in a redelivery, which may deliver it by itself. The run hears of a return later
// where it records the other status later: with what the core says then. An answer that
// was overtaken is heard of before or after what overtook it, so that either may return.
func (t *trace) returns(status string) []span {
	var all []span
	var other, last statement
	seen := t.earlier != nil
	for _, s := range t.statements() {
		switch {
		case s.status == "":
			continue
		case s.status != status:
			other = s
		case seen && last.status != status:
			all = append(all, span{s.ended, s.ended})
		case len(all) > 0 && !last.ended.After(other.recorded):
			all[len(all)-1].last = s.ended
		}
		last, seen = s, seen || s.status == status
	}
	for _, q := range t.polls {
		if q.answered && t.overtaken(q) {
			all = append(all, span{q.ended, t.recorded(q).Add(t.latency)})
		}
	}
	return all
}

// unanswered is 1 where the end of the watch may owe again what was exhausted.
func (t *trace) unanswered() int {
	if t.rules.DeliversUnanswered && t.earlier != nil {
		return 1
	}
	return 0
}

// atMostK allows k more each time that a status returns, which may owe it again.
func atMostK(t *trace) string {
	made := map[string]int{}
	for _, r := range t.requests {
		made[r.status()]++
	}
	for status, n := range made {
		if most := t.policy.Delivery.Attempts * (1 + len(t.returns(status)) + t.unanswered()); n > most {
			return fmt.Sprintf("%d attempts about %q, at most %d are allowed", n, status, most)
		}
	}
	return ""
}

// hIsKept holds between attempts of one delivery: a status that returned
// between them may have begun another.
func hIsKept(t *trace) string {
	for i := 1; i < len(t.requests); i++ {
		before, r := t.requests[i-1], t.requests[i]
		another := slices.ContainsFunc(t.returns(r.status()), func(s span) bool { return s.meets(before.begun, r.begun) })
		if gap := r.begun.Sub(before.ended.Time); before.callback.ID == r.callback.ID && !another && t.unanswered() == 0 && gap < t.policy.Delivery.Interval() {
			return fmt.Sprintf("request %d begins %s after request %d ended", i+1, gap, i)
		}
	}
	return ""
}

// lastStatusIsSent and lastStatusIsSentAgain look at the last status that the core said, where the order
// of what it said is beyond doubt: the client has it, or was sent it since it was
// said. lastStatusIsSentAgain is for one that had been said before another.
func lastStatusIsSent(t *trace) string {
	status, since := t.unsent()
	if status == "" || t.earlier != nil || len(t.returns(status)) > 0 {
		return ""
	}
	return fmt.Sprintf("the core said %q at %s and the client was not sent it, outcome %q", status, since, t.ending.State.Outcome)
}

func lastStatusIsSentAgain(t *trace) string {
	status, since := t.unsent()
	if status == "" || t.earlier == nil && len(t.returns(status)) == 0 {
		return ""
	}
	return fmt.Sprintf("the core said %q again at %s; the client was not sent it since and never acknowledged it, outcome %q",
		status, since, t.ending.State.Outcome)
}

// unsent is the last status said, and when, if the client should have been sent
// it and was not; else empty.
func (t *trace) unsent() (string, time.Duration) {
	statements := t.inOrder()
	if len(statements) == 0 {
		return "", 0
	}
	since := len(statements) - 1
	status := statements[since].status
	for since > 0 && statements[since-1].status == status {
		since--
	}
	r := t.ending.State.Revocation
	byClient := r != nil && r.InitiatedBy == operation.InitiatedByClient
	revokedBefore := r != nil && t.earlier != nil
	if !t.delivered(status) || status == t.known || byClient || revokedBefore {
		return "", 0
	}
	has := func(r request) bool { return r.status() == status && r.acknowledged }
	wasSent := func(r request) bool {
		settled := r.ended
		if r.lost {
			settled = settled.Add(activities.DeliverHeartbeatTimeout + 2*t.latency)
		}
		same := since == 0 && t.earlier != nil // as the run before knew it: it did not return
		return r.status() == status && (same || !settled.Before(statements[since].begun))
	}
	if slices.ContainsFunc(t.life(), has) || slices.ContainsFunc(t.requests, wasSent) {
		return "", 0
	}
	return status, t.since(statements[since].ended)
}

// inOrder are the statements with a status, up to the first final one: what
// contradicts it is counted, not delivered. It is empty where their order is in
// doubt, or nobody wants to know.
func (t *trace) inOrder() []statement {
	if _, ok := t.withdrawn(); ok || slices.ContainsFunc(t.polls, t.overtaken) || onePollInFlight(t) != "" {
		return nil
	}
	statements := slices.DeleteFunc(t.statements(), func(s statement) bool { return s.status == "" })
	if at := slices.IndexFunc(statements, func(s statement) bool { return t.rules.IsFinal(s.status) }); at >= 0 {
		statements = statements[:at+1]
	}
	return statements
}

func stateShowsAttempts(t *trace) string {
	forced := slices.ContainsFunc(t.runs(), func(t *trace) bool { return t.forced })
	seen, acknowledged := map[string]int{}, map[string]bool{}
	for _, r := range t.life() {
		seen[r.callback.ID]++
		acknowledged[r.callback.ID] = acknowledged[r.callback.ID] || r.acknowledged
	}
	for _, d := range t.ending.State.Deliveries {
		if want := min(seen[d.CallbackID], operation.AttemptsKept); len(d.Attempts) != want {
			return fmt.Sprintf("%d attempts about %q were seen, the state shows %d", want, d.Status, len(d.Attempts))
		}
		if d.Outcome == operation.DeliveryPending {
			return fmt.Sprintf("the delivery of %q is pending in a closed run", d.Status)
		}
		if acknowledged[d.CallbackID] != (d.Outcome == operation.DeliveryAcknowledged) && !forced {
			return fmt.Sprintf("the delivery of %q is %s, acknowledged is %t", d.Status, d.Outcome, acknowledged[d.CallbackID])
		}
		delete(seen, d.CallbackID)
	}
	if len(seen) > 0 {
		return fmt.Sprintf("requests that no delivery shows: %v", seen)
	}
	return ""
}

// outcomeAgrees is the precedence of outcomes as far as it is seen from continued.
func outcomeAgrees(t *trace) string {
	s := t.ending.State
	final := s.Status != nil && s.Status.Final
	ended := func(outcome operation.DeliveryOutcome) bool {
		return slices.ContainsFunc(s.Deliveries, func(d operation.Delivery) bool { return d.Outcome == outcome })
	}
	_, withdrawn := t.withdrawn()
	agrees := map[operation.Outcome]bool{
		operation.OutcomeAcknowledged: ended(operation.DeliveryAcknowledged) || final,
		operation.OutcomeExhausted:    ended(operation.DeliveryExhausted),
		operation.OutcomeGone:         ended(operation.DeliveryGone),
		operation.OutcomeRevoked:      final && s.Status.Value == t.rules.Revoked,
		operation.OutcomeWithdrawn:    withdrawn,
		operation.OutcomeExpired:      !final,
	}
	for _, r := range t.requests {
		if r.callback.Final && r.acknowledged && t.earlier == nil && s.Outcome != operation.OutcomeAcknowledged {
			return fmt.Sprintf("the final %q was acknowledged, the outcome is %q", r.status(), s.Outcome)
		}
		if r.callback.Final && t.earlier == nil && s.Status.Value != r.status() {
			return fmt.Sprintf("the final %q was sent, the status is %q", r.status(), s.Status.Value)
		}
	}
	if !agrees[s.Outcome] {
		return fmt.Sprintf("the outcome is %q with status %v and deliveries %v", s.Outcome, s.Status, s.Deliveries)
	}
	return ""
}

func (t *trace) since(at operation.Time) time.Duration { return at.Sub(t.started.Time) }

// String tells the trace in the order in which things began.
func (t *trace) String() string {
	type line struct {
		at   operation.Time
		text string
	}
	var lines []line
	for i, q := range t.polls {
		answer := fmt.Sprintf("%q", q.status)
		if !q.answered {
			answer = "no answer"
		}
		lines = append(lines, line{q.begun, fmt.Sprintf("poll %d, until %s: %s", i+1, t.since(q.ended), answer)})
	}
	for i, r := range t.requests {
		lines = append(lines, line{r.begun, fmt.Sprintf("request %d, until %s: attempt %d about %q, acknowledged %t", i+1, t.since(r.ended), r.number, r.status(), r.acknowledged)})
	}
	for _, a := range t.acts {
		lines = append(lines, line{a.at, fmt.Sprintf("%s %s", a.kind, a.status)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at.Time) })
	var b strings.Builder
	if t.earlier != nil {
		fmt.Fprintf(&b, "%v-- redelivered, repoll %t, forced %t\n", t.earlier, t.repoll, t.forced)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%10s %s\n", t.since(l.at), l.text)
	}
	s := t.ending.State
	fmt.Fprintf(&b, "   outcome %s, polls %d, status %v\n", s.Outcome, s.Polls, s.Status)
	for _, d := range s.Deliveries {
		fmt.Fprintf(&b, "   delivery %q %s %s, %d attempts\n", d.Status, d.Outcome, d.Reason, len(d.Attempts))
	}
	return b.String()
}

// TestARunMayHearOfAReturnLaterThanTheCoreSaysIt checks hIsKept by a run that could
// record what a poll answered at 1.3 s only, so that the push at 1.4 s was the return.
func TestARunMayHearOfAReturnLaterThanTheCoreSaysIt(t *testing.T) {
	at := func(ms int) operation.Time { return operation.At(time.UnixMilli(int64(ms))) }
	attempt := func(begun, ended int) request {
		return request{begun: at(begun), ended: at(ended), callback: operation.Callback{ID: "b", Observation: operation.Observation{Status: "b"}}}
	}
	seen := &trace{
		latency:  300 * time.Millisecond,
		policy:   operation.Policy{Delivery: operation.DeliveryPolicy{IntervalMS: 1000}},
		polls:    []poll{{at(0), at(0), true, "b", false, false}, {at(1000), at(1000), true, "a", false, false}},
		acts:     []taken{{push, "b", at(1100)}, {push, "b", at(1400)}, {push, "b", at(1500)}},
		requests: []request{attempt(1200, 1300), attempt(1450, 1500)},
	}
	require.Empty(t, hIsKept(seen))
	seen.requests = append(seen.requests, attempt(1600, 1700))
	require.Equal(t, "request 3 begins 100ms after request 2 ended", hIsKept(seen))
}
