package plan

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	ukrcard = "ukrcard"
	paysera = "paysera"
)

// vocabulary is what the statuses of one core mean, written here a second time
// from its documents.
type vocabulary struct {
	// first is before anything happened, silent what may follow and no callback is about.
	// A revocation is allowed at first, and refused at silent.
	first, silent string
	// telling are in their order; callbacks are about them, and a revocation is allowed at them.
	telling []string
	final   []string
}

var vocabularies = map[string]vocabulary{
	// Only 1 and 2 have callbacks (doc-1275862).
	ukrcard: {first: "0", silent: "5", final: []string{"1", "2"}},
	paysera: {
		first: "new", silent: "processing",
		telling: []string{"waiting_registration", "waiting_funds", "reserved"},
		final:   []string{"done", "done", "done", "done", "rejected", "failed", "revoked"},
	},
}

// history is a way that operations go.
type history struct {
	name   string
	weight int
	// sources are the kinds of source that it can be lived at, at the one
	// endpoint that it needs, if any.
	sources []string
	at      string
	script  func(*rand.Rand, vocabulary, *Operation)
}

func (h history) often() int { return h.weight }

// choosy is a history that needs an endpoint of its own: its receivers are healthy.
func (h history) choosy() bool { return h.at != "" }

var (
	both = []string{ukrcard, paysera}
	// tells are the cores with statuses that have callbacks and are not final.
	tells = []string{paysera}
)

// ownEndpoints are those that a history needs for itself.
var ownEndpoints = []string{
	"TILL", "LAPSING", "FLEETING", "BELL", "RATION", "KIOSK", "LASTPOLL", "FLICKER", "GUARDED", "FACADE", "LOBBY",
}

var histories = []history{
	{name: "final at once", weight: 22, sources: both, script: finalAtOnce},
	{name: "long polls", weight: 12, sources: both, script: longPolls},
	{name: "intermediate statuses", weight: 16, sources: tells, script: intermediate},
	{name: "statuses not wanted", weight: 4, sources: tells, script: notWanted},
	{name: "status known", weight: 4, sources: tells, script: known},
	{name: "pushed changes", weight: 8, at: "TILL", script: pushedChanges},
	{name: "pushes without a change", weight: 4, sources: both, script: pushedAgain},
	{name: "revoked", weight: 6, sources: both, script: revoked},
	{name: "revoked about when it is final", weight: 2, sources: both, script: revokedLate},
	{name: "revoked when it may not be", weight: 2, sources: tells, script: revokedInVain},
	{name: "withdrawn while watched", weight: 4, sources: both, script: withdrawnWatched},
	{name: "withdrawn while it is delivered", weight: 4, sources: both, script: withdrawnDelivering},
	{name: "started repeatedly", weight: 6, sources: both, script: startedRepeatedly},
	{name: "started with other content", weight: 2, sources: both, script: clashing},
	{name: "polls used up", weight: 2, at: "LAPSING", script: neverFinal},
	{name: "expired", weight: 2, at: "FLEETING", script: neverFinal},
	{name: "polled on request in a burst", weight: 4, at: "BELL", script: burst},
	{name: "polled on request all the time", weight: 4, at: "BELL", script: stream},
	{name: "pushed while the final status is delivered", weight: 4, at: "BELL", script: pushedLate},
	{name: "polled on request with few polls", weight: 4, at: "RATION", script: rationed},
	{name: "polled on request until polls are used up", weight: 3, at: "KIOSK", script: rationed},
	{name: "pushed during the last poll", weight: 3, at: "LASTPOLL", script: pushedDuringLastPoll},
	{name: "flapping", weight: 4, at: "FLICKER", script: flapping},
	{name: "forbidden", weight: 1, at: "GUARDED", script: forbidden},
	{name: "beside a forbidden one", weight: 8, at: "GUARDED", script: longPolls},
	{name: "behind a front, paysera", weight: 2, at: "FACADE", script: fronted},
	{name: "behind a front, ukrcard", weight: 2, at: "LOBBY", script: fronted},
}

// Histories are the ways that operations go, which Operation.History names.
var Histories = func() []string {
	var names []string
	for _, h := range histories {
		names = append(names, h.name)
	}
	return names
}()

// endpoint is one that this can be lived at: most unhealthy receivers have
// endpoints of their own, and some share one with healthy ones.
func (h history) endpoint(r *rand.Rand, answering receiver) Endpoint {
	if h.choosy() {
		found, _ := EndpointByName(h.at)
		return found
	}
	sort := Mixed
	if r.IntN(4) > 0 {
		sort = Troubled
		if answering.name == healthy.name {
			sort = Healthy
		}
	}
	kind := one(r, h.sources...)
	return one(r, slices.DeleteFunc(slices.Clone(Endpoints), func(e Endpoint) bool {
		return e.Receivers != sort || e.SourceKind != kind || owned(e)
	})...)
}

// owned is an endpoint that only the histories that need it are lived at.
func owned(e Endpoint) bool { return slices.Contains(ownEndpoints, e.Name) }

func finalAtOnce(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: one(r, v.final...)}}
}

func longPolls(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{
		{Status: v.first},
		{After: between(r, 3*time.Second, 6*time.Second), Status: v.silent},
		{After: between(r, 9*time.Second, 25*time.Second), Status: one(r, v.final...)},
	}
}

// intermediate goes so quickly at times that a status overtakes the callback
// about the one before.
func intermediate(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = telling(r, v)
	after := o.Steps[len(o.Steps)-1].After + between(r, 400*time.Millisecond, 4*time.Second)
	o.Steps = append(o.Steps, Step{After: after, Status: one(r, v.final...)})
}

// telling goes through some of the statuses that have callbacks and are not final.
func telling(r *rand.Rand, v vocabulary) []Step {
	var steps []Step
	after := time.Duration(0)
	for _, status := range v.telling[r.IntN(len(v.telling)-1):] {
		steps = append(steps, Step{After: after, Status: status})
		after += between(r, 400*time.Millisecond, 4*time.Second)
	}
	return steps
}

func notWanted(r *rand.Rand, v vocabulary, o *Operation) {
	intermediate(r, v, o)
	o.Wanted = []string{"done", "failed"}
}

func known(r *rand.Rand, v vocabulary, o *Operation) {
	intermediate(r, v, o)
	o.KnownStatus = o.Steps[0].Status
	if r.IntN(4) == 0 {
		// The client has the final one: nothing is owed.
		o.Steps = o.Steps[len(o.Steps)-1:]
		o.Steps[0].After = 0
		o.KnownStatus = o.Steps[0].Status
	}
}

// pushedChanges are told by the core long before they would be asked for.
func pushedChanges(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{
		{Status: v.telling[1]},
		{After: between(r, 2*time.Second, 4*time.Second), Status: v.telling[2]},
		{After: between(r, 6*time.Second, 9*time.Second), Status: one(r, v.final...)},
	}
	for _, step := range o.Steps[1:] {
		o.Pushes = append(o.Pushes, Push{After: step.After, Status: step.Status})
	}
}

// pushedAgain tells what is known, asks to poll, and tells the final status when
// it is likely to be known as well.
func pushedAgain(r *rand.Rand, v vocabulary, o *Operation) {
	final := Step{After: between(r, 6*time.Second, 9*time.Second), Status: one(r, v.final...)}
	o.Steps = []Step{{Status: v.first}, final}
	o.Pushes = []Push{
		{After: between(r, 2*time.Second, 3*time.Second), Status: v.first},
		{After: between(r, 4*time.Second, 5*time.Second)},
		{After: final.After + between(r, time.Second, 4*time.Second), Status: final.Status},
	}
}

// revoked stays revocable for good, so that nothing can come before it.
func revoked(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: v.first}}
	if len(v.telling) > 0 && r.IntN(2) == 0 {
		o.Steps = telling(r, v)
	}
	o.Revocation = &Revocation{After: between(r, time.Second, 7*time.Second), InitiatedBy: one(r, "client", "user", "core")}
}

// revokedLate may be first or not: the API's answer decides which is final.
func revokedLate(r *rand.Rand, v vocabulary, o *Operation) {
	final := between(r, 2*time.Second, 5*time.Second)
	o.Steps = []Step{{Status: v.first}, {After: final, Status: v.final[0]}}
	o.Revocation = &Revocation{After: final + between(r, -500*time.Millisecond, 1500*time.Millisecond), InitiatedBy: one(r, "user", "core")}
}

func revokedInVain(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: v.silent}, {After: between(r, 7*time.Second, 9*time.Second), Status: v.final[0]}}
	o.Revocation = &Revocation{After: between(r, 3*time.Second, 5*time.Second), InitiatedBy: "core"}
}

func withdrawnWatched(r *rand.Rand, v vocabulary, o *Operation) {
	neverFinal(r, v, o)
	at := between(r, time.Second, 7*time.Second)
	o.Withdrawal = &at
}

// withdrawnDelivering comes too late for a receiver that is well.
func withdrawnDelivering(r *rand.Rand, v vocabulary, o *Operation) {
	finalAtOnce(r, v, o)
	at := between(r, time.Second, 4*time.Second)
	o.Withdrawal = &at
}

func startedRepeatedly(r *rand.Rand, v vocabulary, o *Operation) {
	finalAtOnce(r, v, o)
	if r.IntN(2) == 0 {
		longPolls(r, v, o)
	}
	o.Starts = 2 + r.IntN(3)
}

func clashing(r *rand.Rand, v vocabulary, o *Operation) {
	longPolls(r, v, o)
	o.Clashes = true
}

func neverFinal(_ *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: v.first}}
}

// burst asks for a poll two to five times within a second, before the status
// becomes final or while it does.
func burst(r *rand.Rand, v vocabulary, o *Operation) {
	final := turnsFinal(r, v, o)
	if r.IntN(3) == 0 {
		o.Latency = upTo(r, time.Second)
	}
	after := final - between(r, 0, 2500*time.Millisecond)
	for range 2 + r.IntN(4) {
		o.Pushes = append(o.Pushes, Push{After: after})
		after += upTo(r, 200*time.Millisecond)
	}
}

// stream asks for a poll every 0.3 seconds, at a core that takes longer to answer.
func stream(r *rand.Rand, v vocabulary, o *Operation) {
	final := turnsFinal(r, v, o)
	o.Latency = between(r, 700*time.Millisecond, 1200*time.Millisecond)
	o.Pushes = pollRequests(final-between(r, time.Second, 3*time.Second), final+between(r, time.Second, 4*time.Second))
}

// pushedLate asks for polls and then tells older statuses while the final one,
// which was polled meanwhile, is likely to be on its way to a slow receiver.
func pushedLate(r *rand.Rand, v vocabulary, o *Operation) {
	final := turnsFinal(r, v, o)
	o.Pushes = pollRequests(final-between(r, 500*time.Millisecond, 2*time.Second), final-100*time.Millisecond)
	after := final + between(r, 0, time.Second)
	for _, status := range []string{"reserved", "waiting_funds"} {
		o.Pushes = append(o.Pushes, Push{After: after, Status: status})
		after += between(r, 100*time.Millisecond, 500*time.Millisecond)
	}
}

// rationed asks for more polls than there may be; the status may become final
// before or after the last one.
func rationed(r *rand.Rand, v vocabulary, o *Operation) {
	turnsFinal(r, v, o)
	o.Latency = upTo(r, 600*time.Millisecond)
	first := between(r, 500*time.Millisecond, 2*time.Second)
	o.Pushes = pollRequests(first, first+between(r, 2*time.Second, 6*time.Second))
}

// pushedDuringLastPoll becomes final right before the last poll, and tells what is
// known already while that one is being answered.
func pushedDuringLastPoll(r *rand.Rand, v vocabulary, o *Operation) {
	const gap = time.Second
	o.Latency = gap
	last := (lastPolls - 1) * (o.Latency + gap)
	o.Steps = []Step{{Status: v.telling[1]}, {After: last - 600*time.Millisecond, Status: one(r, v.final...)}}
	for after := last; after <= last+o.Latency; after += between(r, 150*time.Millisecond, 400*time.Millisecond) {
		o.Pushes = append(o.Pushes, Push{After: after, Status: v.telling[1]})
	}
}

// flapping goes to and fro between two statuses, at a receiver that fails at
// first, so that some are superseded and come back. Some cores tell it themselves.
func flapping(r *rand.Rand, v vocabulary, o *Operation) {
	after := time.Duration(0)
	for i := range 4 {
		o.Steps = append(o.Steps, Step{After: after, Status: v.telling[1+i%2]})
		after += between(r, 2*time.Second, 7*time.Second)
	}
	o.Steps = append(o.Steps, Step{After: after, Status: one(r, v.final...)})
	if r.IntN(2) == 0 {
		return
	}
	for _, step := range o.Steps[1:] {
		o.Pushes = append(o.Pushes, Push{After: step.After, Status: step.Status})
	}
}

// forbidden is an operation that its core refuses to tell of, for some seconds or
// until the core, which tells it then, or its client ends it.
func forbidden(r *rand.Rand, v vocabulary, o *Operation) {
	over := between(r, 8*time.Second, 12*time.Second)
	o.Steps = []Step{{Status: v.first, Forbidden: true}, {After: over, Status: one(r, v.final...)}}
	switch r.IntN(4) {
	case 0:
		o.Steps[1].Forbidden = true
		o.Pushes = []Push{{After: over, Status: o.Steps[1].Status}}
	case 1:
		o.Steps = o.Steps[:1]
		o.Revocation = &Revocation{After: over, InitiatedBy: "user"}
	case 2:
		o.Steps = o.Steps[:1]
		o.Withdrawal = &over
	}
}

// fronted goes its way behind a front that answers with a page of its own.
func fronted(r *rand.Rand, v vocabulary, o *Operation) {
	turnsFinal(r, v, o)
	o.Page = one(r, Pages...)
}

// turnsFinal is first and, from the returned moment on, final.
func turnsFinal(r *rand.Rand, v vocabulary, o *Operation) time.Duration {
	final := between(r, 3*time.Second, 7*time.Second)
	o.Steps = []Step{{Status: v.first}, {After: final, Status: one(r, v.final...)}}
	return final
}

// pollRequests are empty pushes every 0.3 seconds.
func pollRequests(from, to time.Duration) []Push {
	var pushes []Push
	for after := from; after <= to; after += 300 * time.Millisecond {
		pushes = append(pushes, Push{After: after})
	}
	return pushes
}
