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
	// atOnce explains only what was in flight when the fault began.
	atOnce time.Duration = -1
	// atEnd explains only what was in flight when the fault ended.
	atEnd time.Duration = -2
	// allowedDelay is how late something may be without a fault, on one machine that
	// does everything at once.
	allowedDelay = 2 * time.Second
	// settleTime is how long broken connections last after a fault, and how long a
	// result takes to be recorded without one.
	settleTime = time.Second
	// slowStart is after how long a start shows that Temporal stalls. Otherwise it
	// takes a fiftieth of that, and what follows it needs several such writes.
	slowStart = settleTime
	// recoveryTime is the longest recovery from a fault: a watch whose gaps are short is
	// taken over after 30 seconds and its first gap, and its poll is then due.
	recoveryTime = 40 * time.Second
	// taskTimeout is the workflow task timeout, after which polls and attempts inside
	// a task are repeated.
	taskTimeout = 5 * time.Second
	// updateTimeout is how long the API waits for a worker to take an Update.
	updateTimeout = 3 * time.Second
	// cancelDelay is how long a waiting delivery takes to be stopped (promise 7).
	cancelDelay = 250 * time.Millisecond
	// verdictDelay is how long an attempt's verdict may wait to be recorded, unless it
	// is an acknowledgement.
	verdictDelay = 3500 * time.Millisecond
	// lostRunFound is after how long, beside h, a lost run is found at the latest: after its
	// heartbeat timeout. Then an attempt that only its start records has that time.
	lostRunFound = 10*time.Second + allowedDelay
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
	kills   = []plan.FaultKind{plan.Kill}
	freezes = []plan.FaultKind{plan.Freeze}
	stops   = []plan.FaultKind{plan.Kill, plan.Terminate, plan.Freeze, plan.CoreDown, plan.DatabaseRefuses}
	cuts    = []plan.FaultKind{plan.Reset, plan.Blackhole}
	// repairs leave half-dead connections, which are closed at the end of the fault.
	repairs  = []plan.FaultKind{plan.SlowClose}
	outages  = slices.Concat(stops, cuts)
	injected = slices.Concat(outages, []plan.FaultKind{plan.Latency, plan.SlowClose, plan.SlotsFull})
	// Stalled and Overloaded are at the place load only.
	orStalled = append(slices.Clone(injected), Stalled)
	orLoad    = append(slices.Clone(orStalled), Overloaded)
)

// explanation says that faults of these kinds at one of these places explain
// anomalies that overlap them, and why.
type explanation struct {
	of []anomaly
	by []plan.FaultKind
	at []place
	// after is how long after its end a fault still explains them, or atOnce or atEnd.
	after time.Duration
	why   string
}

func of(anomalies ...anomaly) []anomaly { return anomalies }
func at(places ...place) []place        { return places }

// repetitions are what comes of work whose end was not recorded, so that it is
// repeated, or of work that was recorded and not done.
var repetitions = of(pollAnswerLost, pollUncounted, pollNotSent, pollsOverlap, pollTooSoon, attemptNotSent, interrupted, unrecorded)

// explanations are everything that excuses anything. The first one that fits counts,
// injected faults before load.
var explanations = []explanation{
	{of(unanswered), stops, at(programs), settleTime, "the API was down"},
	{of(unanswered), injected, at(callers), settleTime, "the link to the API was broken"},
	{of(timedOut), orLoad, at(temporal, load), taskTimeout, "an API waits for Temporal as long as a caller waits for the API"},

	{slices.Concat(repetitions, of(pageAccepted)), kills, at(programs), atOnce, "the worker was killed before it recorded, or between recording and sending"},
	{slices.Concat(repetitions, of(pageAccepted, delayed)), freezes, at(programs), settleTime, "the worker was frozen meanwhile, and another took over"},
	{of(unrecorded), freezes, at(programs), taskTimeout, "the workflow task of a first attempt was repeated while its worker was frozen"},
	{slices.Concat(repetitions, of(recordDelayed)), orStalled, at(temporal, load), taskTimeout, "it could not be recorded in time, or the confirmation did not reach the worker"},
	{of(interrupted), orLoad, at(load), taskTimeout, "the verdict could not be recorded in time"},

	{of(pollAnswerLost, pollNotArrived), outages, at(cores), settleTime, "a poll without an answer counts, and may not have arrived"},
	{of(pollAnswerLost, pollNotArrived, pollUncounted), repairs, at(cores), atEnd, "the connection was closed with the poll or its answer, and a poll is repeated on another"},
	{of(pollUncounted), cuts, at(cores), settleTime, "a poll is repeated on a new connection"},
	{of(pollsOverlap, pollTooSoon, pageAccepted), injected, at(cores), settleTime, "a poll was delayed on its way, or its answer was"},

	{of(notReached, answerLost), outages, at(receivers), settleTime, "the request or its answer did not arrive"},
	{of(notReached, answerLost), repairs, at(receivers), atEnd, "the connection was closed with the request or its answer"},
	{of(delayed), injected, at(receivers), settleTime, "the request was delayed on its way, or its receiver was frozen"},

	{of(late), injected, at(programs, temporal, receivers, cores), recoveryTime, "another worker takes over, and what waits for it, or for the broken one, goes on later"},
	{of(late), orLoad, at(load), recoveryTime, "there is more to do than can be done in time, as the API says"},
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
			if call.Settled() && call.Ended.Sub(call.Began) > slowStart {
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
	if e.after == atOnce {
		return span{f.Began, f.Began}
	}
	if e.after == atEnd {
		return span{f.Ended, f.Ended.Add(settleTime)}
	}
	return span{f.Began, f.Ended.Add(e.after)}
}

func (f *fault) matches(of anomaly, e explanation) bool {
	return slices.Contains(e.of, of) && slices.Contains(e.at, f.place) && slices.Contains(e.by, plan.FaultKind(f.Kind))
}

// explains reports whether the fault explains an anomaly within s.
func (f *fault) explains(of anomaly, s span) bool {
	return slices.ContainsFunc(explanations, func(e explanation) bool { return f.matches(of, e) && f.spanOf(e).overlaps(s) })
}

// latestFault is the latest fault that explains an anomaly in a span that fits; nil if
// there is none.
func (c *check) latestFault(of anomaly, fits func(*fault, span) bool) *fault {
	for _, byLoad := range []bool{false, true} {
		for _, e := range explanations {
			for _, f := range slices.Backward(c.faults) {
				if (f.place == load) == byLoad && f.matches(of, e) && fits(f, f.spanOf(e)) {
					return f
				}
			}
		}
	}
	return nil
}

// explain is the fault that explains an anomaly within s; nil if there is none.
func (c *check) explain(of anomaly, s span) *fault {
	return c.latestFault(of, func(_ *fault, in span) bool { return in.overlaps(s) })
}

// explainLate is the fault because of which something that was due came late. It
// remembers how long the recovery took.
func (c *check) explainLate(due, came time.Time) *fault {
	f := c.delaying(came)
	if f != nil {
		f.recovery = max(f.recovery, came.Sub(latest(f.Ended, due)))
	}
	return f
}

// delaying is the fault because of which something may have come so late.
func (c *check) delaying(came time.Time) *fault {
	return c.explain(late, span{came, came})
}
