package checker

import (
	"slices"
	"strings"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// place is where a fault was, as far as it can be seen from outside: not which of
// several workers sent a request.
type place string

const (
	// programs are Ringback's own; each of them has a worker.
	programs place = "programs"
	// temporal is the Temporal server, its database and the links to them.
	temporal  place = "temporal"
	receivers place = "receivers"
	cores     place = "cores"
	callers   place = "callers"
	// load is a fault that nobody injected: see addLoadFaults.
	load place = "load"
)

func placeOf(on string) place {
	switch {
	case strings.HasSuffix(on, ">temporal"), strings.HasSuffix(on, ">postgres"), on == "temporal", on == "postgres":
		return temporal
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
	unanswered anomaly = "call without an answer"
	timedOut   anomaly = "call that timed out"

	pollAnswerLost anomaly = "poll whose answer was lost"
	pollUncounted  anomaly = "poll that is not counted" // or is beyond max_polls
	pollNotSent    anomaly = "poll counted and not sent"
	pollNotArrived anomaly = "poll that reached no core"
	pollsOverlap   anomaly = "two polls at once"
	pollTooSoon    anomaly = "poll that came too soon"
	nonceReused    anomaly = "poll repeated with its nonce" // no fault explains it
	pageAccepted   anomaly = "page taken for an answer"

	notReached     anomaly = "attempt that reached no receiver"
	attemptNotSent anomaly = "attempt recorded and not sent"
	answerLost     anomaly = "attempt whose answer was lost"
	interrupted    anomaly = "attempt interrupted" // its end is not known
	unrecorded     anomaly = "request beyond the recorded attempts"
	delayed        anomaly = "request that came late"
	// recordDelayed is a delayed request of an interrupted attempt, whose recorded time
	// is the one before its record was made.
	recordDelayed anomaly = "request that waited for its record"
	// duplicate is a request about a callback that was accepted and answered. The
	// other anomalies explain it.
	duplicate anomaly = "duplicate"

	late anomaly = "late"
)

const (
	// allowedDelay is how late something may be without a fault, on one machine that
	// does everything at once.
	allowedDelay = 2 * time.Second
	// settleTime is how long broken connections last after a fault, and how long a
	// result takes to be recorded without one.
	settleTime = time.Second
	// recoveryTime is the longest recovery from a fault: a watch is taken over after
	// 20 seconds, and its poll is then due.
	recoveryTime = 25 * time.Second
	// taskTimeout is the workflow task timeout, after which polls and attempts inside
	// a task are repeated.
	taskTimeout = 5 * time.Second
	// cancelDelay is how long a waiting delivery takes to be stopped (promise 7).
	cancelDelay = 250 * time.Millisecond
	// verdictDelay is how long an attempt's verdict may wait to be recorded, unless it
	// is an acknowledgement.
	verdictDelay = 3 * time.Second
	// recordTimeout is how long an attempt waits for its record before it is given up.
	recordTimeout = 4 * time.Second
	// timeoutTolerance is how close an answer and the end of a time-out may be for
	// either to count.
	timeoutTolerance = 50 * time.Millisecond
	// clockTolerance is the difference between wall clock and monotonic clock, read
	// one after the other by a process that is short of CPU.
	clockTolerance = 5 * time.Millisecond
)

// Faults that nobody injected. The API's answers show them.
const (
	// Stalled: Temporal does not answer starts, or slowly.
	Stalled plan.FaultKind = "Temporal stalls"
	// Overloaded: an API refuses starts as overloaded.
	Overloaded plan.FaultKind = "API overloaded"
)

var (
	crashes  = []plan.FaultKind{plan.Kill}
	freezes  = []plan.FaultKind{plan.Freeze}
	stops    = []plan.FaultKind{plan.Kill, plan.Terminate, plan.Freeze, plan.CoreDown, plan.DatabaseRefuses}
	cuts     = []plan.FaultKind{plan.Reset, plan.Blackhole}
	outages  = slices.Concat(stops, cuts)
	injected = slices.Concat(outages, []plan.FaultKind{plan.Latency})
	// Stalled and Overloaded are at the place load only.
	orStalled = append(slices.Clone(injected), Stalled)
	orLoad    = append(slices.Clone(orStalled), Overloaded)
)

// during says which part of a fault explains an anomaly.
type during int

const (
	wholeFault during = iota
	// beginning: only what was in flight then is interrupted.
	beginning
)

// explanation says that faults of these kinds at one of these places explain an
// anomaly that overlaps them, and why.
type explanation struct {
	of    anomaly
	by    []plan.FaultKind
	at    []place
	after time.Duration
	part  during
	why   string
}

func at(places ...place) []place { return places }

// explanations are everything that excuses anything. The first one that fits counts,
// injected faults before load.
var explanations = []explanation{
	{unanswered, stops, at(programs), settleTime, wholeFault, "the API was down"},
	{unanswered, injected, at(callers), settleTime, wholeFault, "the link to the API was broken"},
	{timedOut, orLoad, at(temporal, load), taskTimeout, wholeFault, "an API waits for Temporal as long as a caller waits for the API"},

	{pollAnswerLost, crashes, at(programs), 0, beginning, "the worker was killed before it recorded the answer"},
	{pollAnswerLost, freezes, at(programs), settleTime, wholeFault, "the worker was frozen, and its late answer was refused"},
	{pollAnswerLost, outages, at(cores), settleTime, wholeFault, "the answer did not arrive"},
	{pollAnswerLost, orStalled, at(temporal, load), taskTimeout, wholeFault, "the answer could not be recorded in time, and the poll was repeated"},

	{pollUncounted, crashes, at(programs), 0, beginning, "the poll in flight of a killed worker is repeated"},
	{pollUncounted, freezes, at(programs), settleTime, wholeFault, "the polls of a frozen worker are repeated"},
	{pollUncounted, orStalled, at(temporal, load), taskTimeout, wholeFault, "a poll whose result could not be recorded in time is repeated"},
	{pollUncounted, cuts, at(cores), settleTime, wholeFault, "a poll is repeated on a new connection"},

	{pollNotSent, crashes, at(programs), 0, beginning, "the worker was killed between recording and sending"},
	{pollNotSent, freezes, at(programs), settleTime, wholeFault, "the worker was frozen between recording and sending"},
	{pollNotSent, orStalled, at(temporal, load), taskTimeout, wholeFault, "the record was made, but its confirmation did not reach the worker"},

	{pollNotArrived, outages, at(cores), settleTime, wholeFault, "a poll without an answer counts, and may not have arrived"},

	{pollsOverlap, crashes, at(programs), 0, beginning, "the core still answers the killed worker"},
	{pollsOverlap, freezes, at(programs), settleTime, wholeFault, "a frozen worker goes on after another took over"},
	{pollsOverlap, orStalled, at(temporal, load), taskTimeout, wholeFault, "a workflow task is repeated while its poll is in flight"},
	{pollsOverlap, injected, at(cores), settleTime, wholeFault, "Ringback does not wait for an answer that does not arrive"},

	{pollTooSoon, crashes, at(programs), 0, beginning, "a killed worker's poll is repeated"},
	{pollTooSoon, freezes, at(programs), settleTime, wholeFault, "a frozen worker's poll is repeated, and sent when it goes on"},
	{pollTooSoon, orStalled, at(temporal, load), taskTimeout, wholeFault, "a poll that could not be recorded is repeated"},
	{pollTooSoon, injected, at(cores), settleTime, wholeFault, "a poll that was delayed on its way arrives close to the next one"},

	{pageAccepted, crashes, at(programs), 0, beginning, "the worker was killed between two base URLs"},
	{pageAccepted, freezes, at(programs), settleTime, wholeFault, "the worker was frozen between two base URLs"},
	{pageAccepted, injected, at(cores), settleTime, wholeFault, "the page or the next poll did not arrive in time"},

	{notReached, outages, at(receivers), settleTime, wholeFault, "the request did not arrive"},

	{attemptNotSent, crashes, at(programs), 0, beginning, "the worker was killed between recording and sending"},
	{attemptNotSent, freezes, at(programs), settleTime, wholeFault, "the worker was frozen between recording and sending"},
	{attemptNotSent, orStalled, at(temporal, load), taskTimeout, wholeFault, "the record was made, but its confirmation did not reach the worker"},

	{answerLost, outages, at(receivers), settleTime, wholeFault, "the answer did not arrive"},

	{interrupted, crashes, at(programs), 0, beginning, "the worker was killed before it recorded the verdict"},
	{interrupted, freezes, at(programs), settleTime, wholeFault, "the worker was frozen, and its late verdict was refused"},
	{interrupted, orLoad, at(temporal, load), taskTimeout, wholeFault, "the verdict could not be recorded in time"},

	{unrecorded, crashes, at(programs), 0, beginning, "the workflow task of a first attempt was lost with its worker and repeated"},
	{unrecorded, freezes, at(programs), taskTimeout, wholeFault, "the workflow task of a first attempt was repeated while its worker was frozen"},
	{unrecorded, orStalled, at(temporal, load), taskTimeout, wholeFault, "the workflow task of a first attempt could not complete in time and was repeated"},

	{delayed, freezes, at(programs), settleTime, wholeFault, "the worker was frozen between recording and sending"},
	{delayed, injected, at(receivers), settleTime, wholeFault, "the request was delayed on its way, or its receiver was frozen"},

	{recordDelayed, orStalled, at(temporal, load), taskTimeout, wholeFault, "an attempt is sent once it is recorded, which took long"},

	{late, injected, at(programs), recoveryTime, wholeFault, "another worker takes over, or this one goes on when it is back"},
	{late, injected, at(temporal), recoveryTime, wholeFault, "nothing goes on without Temporal"},
	{late, injected, at(receivers), recoveryTime, wholeFault, "a receiver that answers nothing opens its breaker, which delays attempts"},
	{late, injected, at(cores), recoveryTime, wholeFault, "polls wait for a core that does not answer"},
	{late, orLoad, at(load), recoveryTime, wholeFault, "there is more to do than can be done in time, as the API says"},
}

// loadGap is how close two such answers are that belong to one fault.
const loadGap = 3 * time.Second

// addLoadFaults adds the faults Stalled and Overloaded: a start needs nothing but
// Temporal, so that its answer shows them.
func (c *check) addLoadFaults() {
	kinds := map[string]plan.FaultKind{problemUnavailable: Stalled, problemOverloaded: Overloaded}
	spans := map[plan.FaultKind][]span{}
	for _, o := range c.operations {
		for _, call := range o.calls {
			kind, shown := kinds[call.Problem]
			if call.Settled() && call.Ended.Sub(call.Began) > allowedDelay {
				kind, shown = Stalled, true
			}
			if shown && call.Kind == journal.Start {
				spans[kind] = append(spans[kind], span{call.Began, latest(call.Began, call.Ended)})
			}
		}
	}
	for kind, all := range spans {
		slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
		var last *fault
		for _, s := range all {
			if last == nil || s.from.After(last.Ended.Add(loadGap)) {
				last = &fault{place: load, explained: map[anomaly]int{}}
				last.Kind, last.On, last.Began = string(kind), string(load), s.from
				c.faults = append(c.faults, last)
			}
			last.Ended = latest(last.Ended, s.to)
		}
	}
}

// fault is one fault with what it explains.
type fault struct {
	journal.Fault
	place     place
	explained map[anomaly]int
	// recovery is the longest lateness that it explains, counted from its end.
	recovery time.Duration
}

// spanOf is the span in which the fault explains an anomaly by e.
func (f *fault) spanOf(e explanation) span {
	switch e.part {
	case beginning:
		return span{f.Began, f.Began.Add(e.after)}
	default:
		return span{f.Began, f.Ended.Add(e.after)}
	}
}

func (f *fault) matches(e explanation) bool {
	return slices.Contains(e.at, f.place) && slices.Contains(e.by, plan.FaultKind(f.Kind))
}

// explains reports whether the fault explains an anomaly within s.
func (f *fault) explains(of anomaly, s span) bool {
	return slices.ContainsFunc(explanations, func(e explanation) bool {
		return e.of == of && f.matches(e) && f.spanOf(e).overlaps(s)
	})
}

// explain is the fault that explains an anomaly within s, the latest one if there are
// several; nil if there is none. If program is set, the fault must be its own or that
// of a link to it.
func (c *check) explain(of anomaly, s span, program string) *fault {
	for _, byLoad := range []bool{false, true} {
		for _, e := range explanations {
			if e.of != of {
				continue
			}
			for _, f := range slices.Backward(c.faults) {
				concerned := program == "" || f.On == program || strings.HasSuffix(f.On, ">"+program)
				if (f.place == load) == byLoad && concerned && f.matches(e) && f.spanOf(e).overlaps(s) {
					return f
				}
			}
		}
	}
	return nil
}

// explainLate is the fault because of which something that was due came late. It
// remembers how long the recovery took.
func (c *check) explainLate(due, came time.Time) *fault {
	f := c.delaying(due, came)
	if f != nil {
		f.recovery = max(f.recovery, came.Sub(latest(f.Ended, due)))
	}
	return f
}

// delaying is the latest fault because of which something may have come late,
// an injected one if there is one. It must have come before the end of the recovery.
func (c *check) delaying(due, came time.Time) *fault {
	var byLoad *fault
	for _, f := range slices.Backward(c.faults) {
		delays := slices.ContainsFunc(explanations, func(e explanation) bool {
			return e.of == late && f.matches(e) && f.spanOf(e).overlaps(span{due, came}) && !came.After(f.Ended.Add(e.after))
		})
		switch {
		case !delays:
		case f.place != load:
			return f
		case byLoad == nil:
			byLoad = f
		}
	}
	return byLoad
}
