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

// vocabulary is a core's statuses, from its documents.
type vocabulary struct {
	// initial comes first, silent may follow; neither has a callback. A revocation is
	// allowed at initial and refused at silent.
	initial, silent string
	// intermediate statuses have callbacks, in this order; a revocation is allowed.
	intermediate []string
	final        []string
}

var vocabularies = map[string]vocabulary{
	// Only 1 and 2 have callbacks (doc-1275862).
	ukrcard: {initial: "0", silent: "5", final: []string{"1", "2"}},
	paysera: {
		initial: "new", silent: "processing",
		intermediate: []string{"waiting_registration", "waiting_funds", "reserved"},
		final:        []string{"done", "done", "done", "done", "rejected", "failed", "revoked"},
	},
}

// history is how an operation develops.
type history struct {
	name   string
	weight int
	// sources are the kinds of source that it is for; endpoint is the one dedicated
	// to it, if any.
	sources  []string
	endpoint string
	script   func(*rand.Rand, vocabulary, *Operation)
}

func (h history) frequency() int { return h.weight }

func (h history) dedicated() bool { return h.endpoint != "" }

var (
	both = []string{ukrcard, paysera}
	// withIntermediate are the cores with callbacks about statuses that are not final.
	withIntermediate = []string{paysera}
)

var histories = []history{
	{name: "final at once", weight: 22, sources: both, script: finalAtOnce},
	{name: "long polls", weight: 12, sources: both, script: longPolls},
	{name: "intermediate statuses", weight: 16, sources: withIntermediate, script: intermediate},
	{name: "statuses not wanted", weight: 4, sources: withIntermediate, script: notWanted},
	{name: "status known", weight: 4, sources: withIntermediate, script: known},
	{name: "pushed changes", weight: 8, endpoint: "TILL", script: pushedChanges},
	{name: "pushes without a change", weight: 4, sources: both, script: pushedAgain},
	{name: "revoked", weight: 6, sources: both, script: revoked},
	{name: "revoked about when it is final", weight: 2, sources: both, script: revokedLate},
	{name: "revoked when it may not be", weight: 2, sources: withIntermediate, script: revokedInVain},
	{name: "withdrawn while watched", weight: 4, sources: both, script: withdrawnWatched},
	{name: "withdrawn while it is delivered", weight: 4, sources: both, script: withdrawnDelivering},
	{name: "started repeatedly", weight: 6, sources: both, script: startedRepeatedly},
	{name: "started with other content", weight: 2, sources: both, script: clashing},
	{name: "polls used up", weight: 2, endpoint: "LAPSING", script: neverFinal},
	{name: "expired", weight: 2, endpoint: "FLEETING", script: neverFinal},
	{name: "polled on request in a burst", weight: 4, endpoint: "BELL", script: burst},
	{name: "polled on request all the time", weight: 4, endpoint: "BELL", script: stream},
	{name: "pushed while the final status is delivered", weight: 4, endpoint: "BELL", script: pushedLate},
	{name: "polled on request with few polls", weight: 4, endpoint: "RATION", script: limitedPolls},
	{name: "polled on request until polls are used up", weight: 3, endpoint: "KIOSK", script: limitedPolls},
	{name: "pushed during the last poll", weight: 3, endpoint: "LASTPOLL", script: pushedDuringLastPoll},
	{name: "flapping", weight: 4, endpoint: "FLICKER", script: flapping},
	{name: "forbidden", weight: 1, endpoint: "GUARDED", script: forbidden},
	{name: "beside a forbidden one", weight: 8, endpoint: "GUARDED", script: longPolls},
	{name: "behind a gateway, paysera", weight: 2, endpoint: "FACADE", script: behindGateway},
	{name: "behind a gateway, ukrcard", weight: 2, endpoint: "LOBBY", script: behindGateway},
}

// Histories are the values of Operation.History.
var Histories = func() []string {
	var names []string
	for _, h := range histories {
		names = append(names, h.name)
	}
	return names
}()

// endpointFor picks an endpoint. Most unhealthy receivers have endpoints of their own,
// and some share one with healthy ones.
func (h history) endpointFor(r *rand.Rand, receiving receiver) Endpoint {
	if h.dedicated() {
		found, _ := EndpointByName(h.endpoint)
		return found
	}
	kind := Mixed
	if r.IntN(4) > 0 {
		kind = Unhealthy
		if receiving.name == healthy.name {
			kind = Healthy
		}
	}
	source := one(r, h.sources...)
	return one(r, slices.DeleteFunc(slices.Clone(Endpoints), func(e Endpoint) bool {
		return e.Receivers != kind || e.SourceKind != source || isDedicated(e)
	})...)
}

// isDedicated reports whether only certain histories use the endpoint.
func isDedicated(e Endpoint) bool {
	return slices.ContainsFunc(histories, func(h history) bool { return h.endpoint == e.Name })
}

func finalAtOnce(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: one(r, v.final...)}}
}

func longPolls(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{
		{Status: v.initial},
		{After: between(r, 3*time.Second, 6*time.Second), Status: v.silent},
		{After: between(r, 9*time.Second, 25*time.Second), Status: one(r, v.final...)},
	}
}

// intermediate statuses sometimes change before the callback about one is sent.
func intermediate(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = intermediateSteps(r, v)
	after := o.Steps[len(o.Steps)-1].After + between(r, 400*time.Millisecond, 4*time.Second)
	o.Steps = append(o.Steps, Step{After: after, Status: one(r, v.final...)})
}

// intermediateSteps goes through some of the intermediate statuses.
func intermediateSteps(r *rand.Rand, v vocabulary) []Step {
	var steps []Step
	after := time.Duration(0)
	for _, status := range v.intermediate[r.IntN(len(v.intermediate)-1):] {
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
		// The client knows the final status: there is no callback.
		o.Steps = o.Steps[len(o.Steps)-1:]
		o.Steps[0].After = 0
		o.KnownStatus = o.Steps[0].Status
	}
}

// pushedChanges are pushed long before the next poll.
func pushedChanges(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{
		{Status: v.intermediate[1]},
		{After: between(r, 2*time.Second, 4*time.Second), Status: v.intermediate[2]},
		{After: between(r, 6*time.Second, 9*time.Second), Status: one(r, v.final...)},
	}
	for _, step := range o.Steps[1:] {
		o.Pushes = append(o.Pushes, Push{After: step.After, Status: step.Status})
	}
}

// pushedAgain pushes a known status, requests a poll, and pushes the final status when
// it is probably known, too.
func pushedAgain(r *rand.Rand, v vocabulary, o *Operation) {
	final := Step{After: between(r, 6*time.Second, 9*time.Second), Status: one(r, v.final...)}
	o.Steps = []Step{{Status: v.initial}, final}
	o.Pushes = []Push{
		{After: between(r, 2*time.Second, 3*time.Second), Status: v.initial},
		{After: between(r, 4*time.Second, 5*time.Second)},
		{After: final.After + between(r, time.Second, 4*time.Second), Status: final.Status},
	}
}

// revoked operations stay revocable until their revocation.
func revoked(r *rand.Rand, v vocabulary, o *Operation) {
	o.Steps = []Step{{Status: v.initial}}
	if len(v.intermediate) > 0 && r.IntN(2) == 0 {
		o.Steps = intermediateSteps(r, v)
	}
	o.Revocation = &Revocation{After: between(r, time.Second, 7*time.Second), InitiatedBy: one(r, "client", "user", "core")}
}

// revokedLate races with the final status: the API's answer says which was first.
func revokedLate(r *rand.Rand, v vocabulary, o *Operation) {
	final := between(r, 2*time.Second, 5*time.Second)
	o.Steps = []Step{{Status: v.initial}, {After: final, Status: v.final[0]}}
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

// withdrawnDelivering comes too late for a healthy receiver.
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
	o.Steps = []Step{{Status: v.initial}}
}

// burst requests two to five polls within a second, around when the status becomes
// final.
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

// stream requests a poll every 0.3 seconds, at a core that answers more slowly.
func stream(r *rand.Rand, v vocabulary, o *Operation) {
	final := turnsFinal(r, v, o)
	o.Latency = between(r, 700*time.Millisecond, 1200*time.Millisecond)
	o.Pushes = pollRequests(final-between(r, time.Second, 3*time.Second), final+between(r, time.Second, 4*time.Second))
}

// pushedLate requests polls and then pushes older statuses while the final one is
// probably being delivered to a slow receiver.
func pushedLate(r *rand.Rand, v vocabulary, o *Operation) {
	final := turnsFinal(r, v, o)
	o.Pushes = pollRequests(final-between(r, 500*time.Millisecond, 2*time.Second), final-100*time.Millisecond)
	after := final + between(r, 0, time.Second)
	for _, status := range []string{"reserved", "waiting_funds"} {
		o.Pushes = append(o.Pushes, Push{After: after, Status: status})
		after += between(r, 100*time.Millisecond, 500*time.Millisecond)
	}
}

// limitedPolls requests more polls than max_polls; the status becomes final before or
// after the last one.
func limitedPolls(r *rand.Rand, v vocabulary, o *Operation) {
	turnsFinal(r, v, o)
	o.Latency = upTo(r, 600*time.Millisecond)
	first := between(r, 500*time.Millisecond, 2*time.Second)
	o.Pushes = pollRequests(first, first+between(r, 2*time.Second, 6*time.Second))
}

// pushedDuringLastPoll becomes final right before the last poll, and pushes a known
// status while the core answers it.
func pushedDuringLastPoll(r *rand.Rand, v vocabulary, o *Operation) {
	const gap = time.Second
	o.Latency = gap
	last := (lastPolls - 1) * (o.Latency + gap)
	o.Steps = []Step{{Status: v.intermediate[1]}, {After: last - 600*time.Millisecond, Status: one(r, v.final...)}}
	for after := last; after <= last+o.Latency; after += between(r, 150*time.Millisecond, 400*time.Millisecond) {
		o.Pushes = append(o.Pushes, Push{After: after, Status: v.intermediate[1]})
	}
}

// flapping alternates between two statuses, at a receiver that fails at first, so that
// superseded statuses come back. Some cores push the changes.
func flapping(r *rand.Rand, v vocabulary, o *Operation) {
	after := time.Duration(0)
	for i := range 4 {
		o.Steps = append(o.Steps, Step{After: after, Status: v.intermediate[1+i%2]})
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

// forbidden operations have polls answered with 403, for some seconds or until a
// push, a revocation or a withdrawal ends them.
func forbidden(r *rand.Rand, v vocabulary, o *Operation) {
	over := between(r, 8*time.Second, 12*time.Second)
	o.Steps = []Step{{Status: v.initial, Forbidden: true}, {After: over, Status: one(r, v.final...)}}
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

// behindGateway has a gateway that answers first, with a page.
func behindGateway(r *rand.Rand, v vocabulary, o *Operation) {
	turnsFinal(r, v, o)
	o.Page = one(r, Pages...)
}

// turnsFinal goes from the initial to a final status at the returned time.
func turnsFinal(r *rand.Rand, v vocabulary, o *Operation) time.Duration {
	final := between(r, 3*time.Second, 7*time.Second)
	o.Steps = []Step{{Status: v.initial}, {After: final, Status: one(r, v.final...)}}
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
