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
	// first is before anything happened, silent what may follow and rings nobody.
	// A revocation is allowed at first, and refused at silent.
	first, silent string
	// telling are in their order; they ring, and a revocation is allowed at them.
	telling []string
	final   []string
}

var vocabularies = map[string]vocabulary{
	// Only 1 and 2 ring (doc-1275862).
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
	// tells are the cores with statuses that ring and are not final.
	tells = []string{paysera}
)

// ownEndpoints are those that a history needs for itself.
var ownEndpoints = []string{"TILL", "LAPSING", "FLEETING"}

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
	{name: "withdrawn while it rings", weight: 4, sources: both, script: withdrawnRinging},
	{name: "started repeatedly", weight: 6, sources: both, script: startedRepeatedly},
	{name: "started with other content", weight: 2, sources: both, script: clashing},
	{name: "polls used up", weight: 2, at: "LAPSING", script: neverFinal},
	{name: "expired", weight: 2, at: "FLEETING", script: neverFinal},
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
func (h history) endpoint(r *rand.Rand, rung receiver) Endpoint {
	if h.choosy() {
		found, _ := EndpointByName(h.at)
		return found
	}
	sort := Mixed
	if r.IntN(4) > 0 {
		sort = Troubled
		if rung.name == healthy.name {
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

// telling goes through some of the statuses that ring and are not final.
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
		// The client has the final one: nothing rings.
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
		o.Pushes = append(o.Pushes, Push(step))
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

// withdrawnRinging comes too late for a receiver that is well.
func withdrawnRinging(r *rand.Rand, v vocabulary, o *Operation) {
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
