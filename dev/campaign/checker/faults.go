package checker

import (
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// place is whose fault it is, as far as the outside can tell them apart: which
// of several workers made a request is not to be seen.
type place string

const (
	// programs are Ringback's own; each of them hosts a worker.
	programs place = "programs"
	// engine is the Temporal server, its database and the ways to them.
	engine    place = "engine"
	receivers place = "receivers"
	cores     place = "cores"
	callers   place = "callers"
	// itself is a fault that nobody injected.
	itself place = "itself"
)

func placeOf(on string) place {
	switch {
	case strings.HasSuffix(on, ">temporal"), strings.HasSuffix(on, ">postgres"), on == "temporal", on == "postgres":
		return engine
	case strings.HasSuffix(on, "receivers"):
		return receivers
	case strings.HasSuffix(on, "cores"):
		return cores
	case strings.HasPrefix(on, "starters"):
		return callers
	}
	return programs
}

// anomaly is something that a fault may explain.
type anomaly string

const (
	// unanswered: a call of the API got no answer.
	unanswered anomaly = "call without an answer"
	// awaited: the same, for as long as a caller waits.
	awaited anomaly = "call whose answer took too long"
	// unread: a core gave an answer that Ringback does not know of.
	unread anomaly = "poll whose answer was lost"
	// unreached: a recorded attempt that no receiver saw.
	unreached anomaly = "attempt that reached nobody"
	// unsent: the same, and the record says that nobody saw its end.
	unsent anomaly = "attempt recorded and not sent"
	// unseen: a recorded attempt whose verdict is not what the receiver answered.
	unseen anomaly = "attempt whose answer was lost"
	// interrupted: a recorded attempt whose end nobody saw.
	interrupted anomaly = "attempt interrupted"
	// unrecorded: a request that is in no record, beyond k.
	unrecorded anomaly = "request beyond the recorded attempts"
	// delayed: a request that came long after its attempt began.
	delayed anomaly = "request that came late to its attempt"
	// longRecorded: the same, where nobody saw the attempt's end, so that its
	// moment is still the one before it was recorded.
	longRecorded anomaly = "request that waited for its record"
	// late: an attempt, a poll or their end that was overdue.
	late anomaly = "overdue"
	// uncounted: polls that a core saw and the state does not count, or that are
	// more than max_polls.
	uncounted anomaly = "polls that are not counted"
	// unasked: a poll that the state counts, and that was never sent.
	unasked anomaly = "poll recorded and not asked"
	// simultaneous: a core was asked while it was answering.
	simultaneous anomaly = "two questions at once"
	// soon: a core was asked again sooner than the policy has it.
	soon anomaly = "question that came too soon"
	// nonce: a signed question came twice. Nothing explains it.
	nonce anomaly = "signed question that was sent twice"
	// unfollowed: a page ended the round of base URLs.
	unfollowed anomaly = "page that was taken for an answer"
	// unarrived: polls that the state counts and no core saw.
	unarrived anomaly = "polls that reached no core"
	// duplicate: a request about a callback that the receiver had taken, its
	// whole answer written. It is explained as one of those above.
	duplicate anomaly = "duplicate"
)

const (
	// prompt is how late something may be on a machine that does everything at
	// once, without a fault.
	prompt = 2 * time.Second
	// beats is how long a verdict may wait to be recorded, unless it acknowledges.
	beats = 3 * time.Second
	// hears is how long it takes until a delivery that waits is no longer sent.
	hears = 250 * time.Millisecond
	// task is how long after a workflow task began the server gives it to
	// somebody else; attempts and polls inside it are repeated then.
	task = 5 * time.Second
	// recovers is when everything is on time again after a fault: the longest time
	// after which work is taken over is a watch's, 20 seconds, and it is then due.
	recovers = 25 * time.Second
	// settles is when connections that a fault broke are gone, and how long what was
	// done takes to be recorded on a machine that does everything at once.
	settles = time.Second
	// crosses is how close an answer and the end of its attempt's time-out may be
	// for either to win.
	crosses = 50 * time.Millisecond
	// readApart is how far the wall clock and the one that nobody sets may be apart
	// as a starved process reads them, one after the other. What the receiver saw
	// is held more strictly.
	readApart = 5 * time.Millisecond
	// records is how long an attempt waits for its record at most, before it is
	// given up and not made.
	records = 4 * time.Second
)

// explanation says that faults of these kinds at that place explain an anomaly
// whose span meets theirs, and why.
type explanation struct {
	of    anomaly
	by    []plan.FaultKind
	at    place
	after time.Duration
	// instant: what the fault interrupts is what was in flight as it began; how
	// long it takes to repair explains nothing more.
	instant bool
	// mended: what is cut is what was in flight as the fault ended.
	mended bool
	why    string
}

var (
	crashes = []plan.FaultKind{plan.Kill}
	freezes = []plan.FaultKind{plan.Freeze}
	stops   = []plan.FaultKind{plan.Kill, plan.Terminate, plan.Freeze, plan.CoreDown, plan.DatabaseRefuses}
	cuts    = []plan.FaultKind{plan.Reset, plan.Blackhole}
	slows   = []plan.FaultKind{plan.Latency, plan.SlowClose, plan.SlotsFull}
	// lingers leaves connections that are not what they seem, so that all of them
	// are cut as the link is mended.
	lingers  = []plan.FaultKind{plan.SlowClose}
	outages  = slices.Concat(stops, cuts)
	anything = slices.Concat(stops, cuts, slows)
)

// Nobody injects these: they follow from what the API itself answered. They have
// rows of their own in the table, so that nothing hides behind them: on a machine
// that is large enough for its campaign there are none but beside other faults.
const (
	// Stalled is an engine that answers no start in time, or takes long over one.
	Stalled plan.FaultKind = "engine stalls"
	// Overloaded is an API that says so, and accepts nothing meanwhile.
	Overloaded plan.FaultKind = "API overloaded"
)

var (
	stalls = []plan.FaultKind{Stalled}
	shed   = []plan.FaultKind{Stalled, Overloaded}
	// together is how close two such answers are that are one fault.
	together = 3 * time.Second
)

// explanations are everything that excuses anything. The first that fits is
// the one that is counted, so the narrowest come first.
var explanations = []explanation{
	{of: unanswered, by: stops, at: programs, after: settles, why: "the API that was called was away"},
	{of: unanswered, by: anything, at: callers, after: settles, why: "the way to the API was broken"},

	{of: awaited, by: anything, at: engine, after: task, why: "an API waits for the engine for as long as a caller waits for the API"},
	{of: awaited, by: shed, at: itself, after: task, why: "the same, and the API says that it has too much to do"},

	{of: unread, by: crashes, at: programs, instant: true, why: "the worker that had asked was killed before the answer was recorded"},
	{of: unread, by: freezes, at: programs, after: settles, why: "the worker that had asked was taken for dead, and its answer refused when it came"},
	{of: unread, by: outages, at: cores, after: settles, why: "the answer did not arrive"},
	{of: unread, by: lingers, at: cores, after: settles, mended: true, why: "the answer was cut off as its link was mended"},
	{of: unread, by: anything, at: engine, after: task, why: "the answer could not be recorded in time, so that the poll was repeated"},
	{of: unread, by: stalls, at: itself, after: task, why: "the answer could not be recorded in time, so that the poll was repeated"},

	{of: unreached, by: outages, at: receivers, after: settles, why: "the request did not arrive"},
	{of: unreached, by: lingers, at: receivers, after: settles, mended: true, why: "the request was cut off as its link was mended"},
	{of: unsent, by: crashes, at: programs, instant: true, why: "the attempt was recorded, and the worker killed before it was sent"},
	{of: unsent, by: freezes, at: programs, after: settles, why: "the attempt was recorded, and the worker stopped before it was sent"},
	{of: unsent, by: anything, at: engine, after: task, why: "the record was made and the worker not told so, which sends nothing that is not recorded"},
	{of: unsent, by: stalls, at: itself, after: task, why: "the record was made and the worker not told so in time, which sends nothing that is not recorded"},

	{of: unseen, by: outages, at: receivers, after: settles, why: "the answer did not arrive"},
	{of: unseen, by: lingers, at: receivers, after: settles, mended: true, why: "the answer was cut off as its link was mended"},
	{of: interrupted, by: crashes, at: programs, instant: true, why: "the worker was killed before the verdict was recorded"},
	{of: interrupted, by: freezes, at: programs, after: settles, why: "the worker was taken for dead, and its verdict refused when it came"},
	{of: interrupted, by: anything, at: engine, after: task, why: "the verdict could not be recorded before somebody else took the delivery up"},
	{of: interrupted, by: shed, at: itself, after: task, why: "a verdict that the engine takes too long to record is not recorded, and the attempt after it not made"},

	{of: unrecorded, by: crashes, at: programs, instant: true, why: "the workflow task of a first attempt was lost with its worker, and repeated"},
	{of: unrecorded, by: freezes, at: programs, after: task, why: "the workflow task of a first attempt was repeated while its worker was stopped, which then went on"},
	{of: unrecorded, by: anything, at: engine, after: task, why: "the workflow task of a first attempt could not be completed in time, and was repeated"},
	{of: unrecorded, by: stalls, at: itself, after: task, why: "the workflow task of a first attempt could not be completed in time, and was repeated"},

	{of: delayed, by: freezes, at: programs, after: settles, why: "the worker was stopped between recording and sending"},
	{of: delayed, by: anything, at: receivers, after: settles, why: "the request waited on its way, or for a receiver that was stopped"},

	{of: longRecorded, by: anything, at: engine, after: task, why: "the engine took long to record the attempt, which is not sent before"},
	{of: longRecorded, by: stalls, at: itself, after: task, why: "the engine took long to record the attempt, which is not sent before"},

	{of: late, by: anything, at: programs, after: recovers, why: "what the program had in hand is taken over, or taken up when it is back"},
	{of: late, by: anything, at: engine, after: recovers, why: "nothing goes on without the engine"},
	{of: late, by: anything, at: receivers, after: recovers, why: "a receiver that answers nobody has its breaker opened, and attempts held back"},
	{of: late, by: anything, at: cores, after: recovers, why: "polls wait for a core that does not answer"},
	{of: late, by: shed, at: itself, after: recovers, why: "there is more to do than is done in time, as the API says"},

	{of: uncounted, by: crashes, at: programs, instant: true, why: "the question in flight of a killed worker, or that of its workflow task, is asked again"},
	{of: uncounted, by: freezes, at: programs, after: settles, why: "the question of a worker that was taken for dead is asked again, and so is that of each workflow task that it was given"},
	{of: uncounted, by: anything, at: engine, after: task, why: "the question of a workflow task, or of a watch, that could not be completed in time is asked again"},
	{of: uncounted, by: stalls, at: itself, after: task, why: "the same"},
	{of: uncounted, by: cuts, at: cores, after: settles, why: "a question whose connection broke may be asked again on another"},

	{of: unasked, by: crashes, at: programs, instant: true, why: "the question was recorded, and the worker killed before it was sent"},
	{of: unasked, by: freezes, at: programs, after: settles, why: "the question was recorded, and the worker stopped before it was sent"},
	{of: unasked, by: anything, at: engine, after: task, why: "the record was made and the worker not told so, which asks nothing that is not recorded"},
	{of: unasked, by: stalls, at: itself, after: task, why: "the same"},

	{of: simultaneous, by: crashes, at: programs, instant: true, why: "the core goes on answering a worker that was killed"},
	{of: simultaneous, by: freezes, at: programs, after: settles, why: "a worker that was taken for dead goes on"},
	{of: simultaneous, by: anything, at: engine, after: task, why: "a workflow task that could not be completed in time is repeated while its question is in flight"},
	{of: simultaneous, by: stalls, at: itself, after: task, why: "the same"},
	{of: simultaneous, by: anything, at: cores, after: settles, why: "an answer that does not arrive is not waited for"},

	{of: soon, by: crashes, at: programs, instant: true, why: "what a killed worker had asked is asked again"},
	{of: soon, by: freezes, at: programs, after: settles, why: "what a stopped worker had asked is asked again, and it goes on when it can"},
	{of: soon, by: anything, at: engine, after: task, why: "what could not be recorded is asked again"},
	{of: soon, by: stalls, at: itself, after: task, why: "the same"},
	{of: soon, by: anything, at: cores, after: settles, why: "a question that was held on its way comes close to the one after it"},

	{of: unfollowed, by: crashes, at: programs, instant: true, why: "the worker was killed between two base URLs"},
	{of: unfollowed, by: freezes, at: programs, after: settles, why: "the worker was stopped between two base URLs"},
	{of: unfollowed, by: anything, at: cores, after: settles, why: "the page or the next question did not arrive in time"},

	{of: unarrived, by: outages, at: cores, after: settles, why: "a poll that gets no answer counts, and may not have reached the core"},
	{of: unarrived, by: lingers, at: cores, after: settles, mended: true, why: "a poll that is cut off as its link is mended counts, and may not have reached the core"},
}

// gatherShedding finds the faults that the API told of.
func (c *check) gatherShedding() {
	kinds := map[string]plan.FaultKind{problemUnavailable: Stalled, problemOverloaded: Overloaded}
	said := map[plan.FaultKind][]span{}
	for _, o := range c.operations {
		for _, call := range o.calls {
			kind, tells := kinds[call.Problem]
			if call.Settled() && call.Ended.Sub(call.Began) > prompt {
				kind, tells = Stalled, true
			}
			// A start needs nothing but the engine.
			if tells && call.What == journal.Start {
				said[kind] = append(said[kind], span{call.Began, latest(call.Began, call.Ended)})
			}
		}
	}
	for kind, spans := range said {
		slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
		var last *fault
		for _, s := range spans {
			if last == nil || s.from.After(last.Ended.Add(together)) {
				last = &fault{place: itself, explained: map[anomaly]int{}}
				last.Kind, last.On, last.Began = string(kind), "itself", s.from
				c.faults = append(c.faults, last)
			}
			last.Ended = latest(last.Ended, s.to)
		}
	}
}

// span is a stretch of time, both ends included.
type span struct{ from, to time.Time }

func (s span) meets(o span) bool { return !s.from.After(o.to) && !o.from.After(s.to) }

// fault is one that was injected, with what it was found to explain.
type fault struct {
	journal.Fault
	place     place
	explained map[anomaly]int
	// recovery is the longest time that something which it made late took, counted
	// from when it was over, or from when that was due if later.
	recovery time.Duration
}

// covers is when the fault explains an anomaly by e.
func (f *fault) covers(e explanation) span {
	switch {
	case e.instant:
		return span{f.Began, f.Began.Add(e.after)}
	case e.mended:
		return span{f.Ended, f.Ended.Add(e.after)}
	}
	return span{f.Began, f.Ended.Add(e.after)}
}

// explain is the fault that explains an anomaly which was caused in s, if there
// is one. on, where not empty, is the program that it must have befallen, or the
// way to it.
func (c *check) explain(of anomaly, s span, on string) *fault {
	for _, e := range explanations {
		if e.of != of {
			continue
		}
		// The latest is what is still being recovered from.
		for _, f := range slices.Backward(c.faults) {
			if f.befell(on) && f.fits(e, s) {
				return f
			}
		}
	}
	return nil
}

// explains reports whether the fault explains an anomaly that was caused in s.
func (f *fault) explains(of anomaly, s span) bool {
	return slices.ContainsFunc(explanations, func(e explanation) bool { return e.of == of && f.fits(e, s) })
}

func (f *fault) fits(e explanation, s span) bool {
	return f.place == e.at && slices.Contains(e.by, plan.FaultKind(f.Kind)) && f.covers(e).meets(s)
}

func (f *fault) befell(program string) bool {
	return program == "" || f.On == program || strings.HasSuffix(f.On, ">"+program)
}

// explainLate is explain for what was due and came late: it must have come
// before the fault was recovered from. How long that took is remembered.
func (c *check) explainLate(due, came time.Time) *fault {
	f := c.delaying(due, came)
	if f != nil {
		f.recovery = max(f.recovery, came.Sub(latest(f.Ended, due)))
	}
	return f
}

// delaying is the fault for which something may have come late; one that was
// injected, if there is one.
func (c *check) delaying(due, came time.Time) *fault {
	var told *fault
	for _, f := range slices.Backward(c.faults) {
		switch {
		case !f.delays(due, came):
		case f.place != itself:
			return f
		case told == nil:
			told = f
		}
	}
	return told
}

func (f *fault) delays(due, came time.Time) bool {
	return slices.ContainsFunc(explanations, func(e explanation) bool {
		return e.of == late && e.at == f.place && slices.Contains(e.by, plan.FaultKind(f.Kind)) &&
			f.covers(e).meets(span{due, came}) && !came.After(f.Ended.Add(e.after))
	})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
