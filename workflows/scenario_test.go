package workflows_test

import (
	"time"

	"pgregory.net/rapid"

	"ringback/internal/operation"
)

// scenario is all that happens to one run: what the core and the receiver will
// answer, what callers do, and how late the server and the workers are.
type scenario struct {
	// kind is that of the source.
	kind   string
	policy operation.Policy
	known  string
	wanted []string
	// answers and replies are taken in turn; the last one repeats.
	answers []coreAnswer
	replies []receiverReply
	acts    []act
	// notInTask keeps polls and attempts out of workflow tasks.
	notInTask bool
	// elsewhere runs activities in another process than workflow tasks.
	elsewhere bool
	// unreadable fails the interruption of activities.
	unreadable bool
	// historyLimit is the length of a history at which the server suggests that the
	// run continue as new; 0: never.
	historyLimit int
	late         lateness
	// prepare adds to the test environment before the run begins.
	prepare func(*simulator)
}

// latency is the most that the simulated server and workers add to what they pass on.
func (s scenario) latency() time.Duration {
	return s.late.ends + s.late.arrives + s.late.reading
}

// longestMissing is the longest that the endpoint is missing, until that is noticed.
func (s scenario) longestMissing() (longest time.Duration) {
	for _, r := range s.replies {
		if r.missing > 0 {
			longest = max(longest, r.missing+30*time.Second)
		}
	}
	return longest
}

// coreAnswer is the core's answer to one poll.
type coreAnswer struct {
	status string
	takes  time.Duration
	// fails brings no status; refused is a failure that costs no poll (401); lost is
	// an answer during which the worker dies.
	fails, refused, lost bool
	// ahead is how far the clock of the worker that polls is ahead of the server's.
	ahead time.Duration
	// with happens in the same workflow task as the end of the poll.
	with *act
}

// receiverReply is the receiver's answer to one request.
type receiverReply struct {
	status int
	takes  time.Duration
	// heldBack puts the attempt off once; lost ends the worker during it, in the last
	// run of the activity that the server allows where lastRun is set.
	heldBack, lost, lastRun bool
	// egress is an address that the egress guard refuses.
	egress bool
	// with happens in the same workflow task as the end of the attempt.
	with *act
	// missing is for how long the configuration lacks the endpoint before it; onHold says
	// that it has it, on hold.
	missing time.Duration
	onHold  bool
}

type actKind string

const (
	pollNow  actKind = "poll now"
	push     actKind = "push"
	revoke   actKind = "revoke"
	withdraw actKind = "withdraw"
)

// act is what a caller does, times times (0: once), gap apart.
type act struct {
	after, gap time.Duration
	times      int
	kind       actKind
	// status of a push, initiator of a revocation.
	status string
	// reason of a revocation.
	reason string
	// bySignal takes the Signal (or the cancellation) instead of the Update.
	bySignal bool
	// arg, if set, is sent instead of what the other fields say.
	arg any
}

// lateness is what lies between a decision and its effect.
type lateness struct {
	// notice is how long an activity that could not be interrupted runs on before it
	// knows that it was cancelled: until its next heartbeat.
	notice time.Duration
	// ends is how long the end of an activity takes to reach the server, arrives how
	// long it then takes to reach the workflow.
	ends, arrives time.Duration
	// reading is how long reading the record of a pending activity takes.
	reading time.Duration
}

var vocabularies = map[string][]string{
	"paysera": {"waiting_funds", "reserved", "processing", "waiting_password", "done", "rejected", "revoked"},
	"ukrcard": {"0", "5", "", "3", "1", "2"},
}

func anyScenario(t *rapid.T) scenario {
	s := scenario{kind: rapid.SampledFrom([]string{"paysera", "paysera", "ukrcard"}).Draw(t, "kind")}
	statuses := vocabularies[s.kind]
	s.policy = anyPolicy(t, s.kind)
	s.known = rapid.SampledFrom([]string{"", "", statuses[0]}).Draw(t, "known")
	if rapid.IntRange(0, 4).Draw(t, "filtered") == 4 {
		s.wanted = statuses[2:5]
	}
	s.anyReactions(t)
	s.acts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act { return anyAct(t, statuses) }), 0, 5).Draw(t, "acts")
	return s
}

// anyReactions draws how the core, the receiver and the server behave: anew for each redelivery.
func (s *scenario) anyReactions(t *rapid.T) {
	statuses := vocabularies[s.kind]
	s.answers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) coreAnswer { return anyAnswer(t, statuses) }), 1, 8).Draw(t, "answers")
	s.replies = rapid.SliceOfN(rapid.Custom(anyReply), 1, 8).Draw(t, "replies")
	s.notInTask = rapid.IntRange(0, 3).Draw(t, "not in task") == 3
	s.elsewhere = rapid.IntRange(0, 3).Draw(t, "elsewhere") == 3
	// A run of fewer than 20 events would end before it had waited for anything.
	s.historyLimit = rapid.SampledFrom([]int{0, 0, 0, 20, 40, 100}).Draw(t, "history limit")
	s.late = lateness{
		notice:  anyDuration(t, "notice", 0, 0, 3000, 9900),
		ends:    anyDuration(t, "ends", 0, 0, 20, 300, 2000),
		arrives: anyDuration(t, "arrives", 0, 0, 20, 300),
		reading: anyDuration(t, "reading", 0, 0, 20, 300),
	}
}

func anyPolicy(t *rapid.T, kind string) operation.Policy {
	p := operation.Policy{
		Poll: operation.PollPolicy{
			LifetimeMS:     rapid.SampledFrom([]int64{10_000, 1000, 60_000, 300_000}).Draw(t, "lifetime"),
			MaxPolls:       rapid.SampledFrom([]int{0, 0, 1, 3, 10}).Draw(t, "max polls"),
			InitialDelayMS: rapid.SampledFrom([]int64{0, 0, 0, 3000}).Draw(t, "initial delay"),
		},
		Delivery: operation.DeliveryPolicy{
			IntervalMS: rapid.SampledFrom([]int64{1000, 10, 4000, 7000, 60_000}).Draw(t, "h"),
			Attempts:   rapid.IntRange(1, 5).Draw(t, "k"), TimeoutMS: 10_000,
		},
		Supersede: rapid.SampledFrom([]string{operation.SupersedeLatest, operation.SupersedeEvery}).Draw(t, "supersede"),
	}
	if kind == "ukrcard" {
		p.Poll.ScheduleMS = []int64{5000, 10_000, 15_000}
	} else {
		p.Poll.IntervalMS = rapid.SampledFrom([]int64{1000, 500, 7000, 50_000}).Draw(t, "interval")
	}
	return p
}

// anyAnswer is seldom final, so that runs get somewhere.
func anyAnswer(t *rapid.T, statuses []string) coreAnswer {
	a := coreAnswer{takes: anyDuration(t, "takes", 0, 0, 300, 1000, 9000)}
	switch rapid.IntRange(0, 9).Draw(t, "answer") {
	case 9:
		a.fails = true
		a.lost = rapid.Bool().Draw(t, "lost")
	case 8:
		a.fails, a.refused = true, true
	case 5, 6, 7:
		a.status = rapid.SampledFrom(statuses).Draw(t, "status")
	default:
		a.status = rapid.SampledFrom(statuses[:4]).Draw(t, "status")
	}
	return a
}

func anyReply(t *rapid.T) receiverReply {
	r := receiverReply{
		status: rapid.SampledFrom([]int{200, 200, 500, 500, 500, 410}).Draw(t, "http"),
		takes:  anyDuration(t, "takes", 0, 0, 40, 600, 2500, 9000),
	}
	switch rapid.IntRange(0, 9).Draw(t, "trouble") {
	case 9:
		r.heldBack = true
	case 8:
		r.lost = r.status == 500
	case 7:
		r.missing = anyDuration(t, "missing", 1000, 30_000, 600_000)
		r.onHold = rapid.Bool().Draw(t, "on hold")
	}
	return r
}

// anyAct is one push or another act at any moment, or a burst within a second.
func anyAct(t *rapid.T, statuses []string) act {
	a := act{
		after: time.Duration(rapid.OneOf(
			rapid.IntRange(1, 3000), rapid.IntRange(1, 70_000), rapid.SampledFrom([]int{999, 1000, 5000, 7001, 59_999, 299_999}),
		).Draw(t, "after")) * time.Millisecond,
		kind:     rapid.SampledFrom([]actKind{pollNow, push, push, pollNow, revoke, withdraw}).Draw(t, "kind"),
		bySignal: rapid.Bool().Draw(t, "by signal"),
		times:    1,
	}
	switch a.kind {
	case push:
		a.status = rapid.SampledFrom(statuses).Filter(func(s string) bool { return s != "" }).Draw(t, "status")
	case revoke:
		a.status = rapid.SampledFrom(operation.Initiators).Draw(t, "initiator")
	case pollNow, withdraw:
	}
	if rapid.Bool().Draw(t, "burst") {
		a.times = rapid.IntRange(2, 30).Draw(t, "times")
		a.gap = anyDuration(t, "gap", 0, 30, 300)
	}
	return a
}

func anyDuration(t *rapid.T, label string, ms ...int) time.Duration {
	return time.Duration(rapid.SampledFrom(ms).Draw(t, label)) * time.Millisecond
}
