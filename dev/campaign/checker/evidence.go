package checker

import (
	"net/http"
	"slices"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
	"ringback/internal/operation"
)

// evidence is everything that was planned and seen of one operation.
type evidence struct {
	plan.Operation
	key      operation.Key
	planned  bool
	endpoint plan.Endpoint
	rules    rules

	calls []journal.Call
	// polls reached the core; pages were answered by a gateway instead.
	polls, pages []journal.Poll
	requests     []*request
	// read is the state that the API returned in the end; nil: none was read.
	read       *journal.State
	deliveries []*delivery
}

// request is one to a receiver, with the recorded attempt that made it.
type request struct {
	journal.Request
	attempt *attempt
	// excused is the fault because of which it is not recorded, or came late.
	excused *fault
}

// end is when its answer was written, or when it began if that is not known.
func (r *request) end() time.Time { return latest(r.Began, r.Ended) }

// attempt is one in the API's state, with the request that it made.
type attempt struct {
	operation.Attempt
	request *request
}

func (a *attempt) began() time.Time { return a.At.Time }
func (a *attempt) end() time.Time   { return a.End().Time }

// interrupted reports whether the attempt is recorded with an unknown end, as having
// lasted for its time-out (docs/adr/0003).
func (a *attempt) interrupted(timeout time.Duration) bool {
	return a.HTTPStatus == 0 && a.Verdict == operation.Unacknowledged && a.TookMS == timeout.Milliseconds()
}

// timedOutDuringAnswer reports whether the answer was sent about when the attempt's
// time-out ended.
func (a *attempt) timedOutDuringAnswer(timeout time.Duration) bool {
	return a.Verdict == operation.Unacknowledged && a.HTTPStatus == 0 && a.TookMS >= timeout.Milliseconds() &&
		a.request != nil && a.request.Ended.After(a.began().Add(timeout-timeoutTolerance))
}

// delivery is one in the API's state.
type delivery struct {
	operation.Delivery
	attempts []*attempt
	requests []*request
}

// endsWatch reports whether the delivery is about a watch that ended without a final
// status.
func (d *delivery) endsWatch() bool {
	return d.Reason == operation.ReasonPollsUsedUp || d.Reason == operation.ReasonLifetimeOver
}

func (o *evidence) timeout() time.Duration  { return o.endpoint.Policy.Delivery.Timeout() }
func (o *evidence) interval() time.Duration { return o.endpoint.Policy.Delivery.Interval() }
func (o *evidence) state() operation.State  { return o.read.State }

// status is the one that the state shows.
func (o *evidence) status() string {
	if s := o.state().Status; s != nil {
		return s.Value
	}
	return ""
}

func (o *evidence) deliveryOf(callbackID string) *delivery {
	for _, d := range o.deliveries {
		if d.CallbackID == callbackID {
			return d
		}
	}
	return nil
}

func (o *evidence) hasDelivery(status string) bool {
	return slices.ContainsFunc(o.deliveries, func(d *delivery) bool { return d.Status == status })
}

// accepted is the span in which the operation was accepted; false if no start was
// answered with 200 or 201.
func (o *evidence) accepted() (span, bool) {
	var s span
	for _, call := range o.calls {
		if call.Kind != journal.Start {
			continue
		}
		switch {
		case call.HTTPStatus == http.StatusCreated:
			return span{call.Began, call.Ended}, true
		case s.from.IsZero():
			s.from = call.Began
		}
		if call.HTTPStatus == http.StatusOK && s.to.IsZero() {
			s.to = call.Ended
		}
	}
	return s, !s.to.IsZero()
}

// life is from the first to the last thing that was seen of the operation.
func (o *evidence) life() span {
	s := span{}
	widen := func(seen journal.Span) {
		if s.from.IsZero() || seen.Began.Before(s.from) {
			s.from = seen.Began
		}
		s.to = latest(s.to, latest(seen.Began, seen.Ended))
	}
	for _, call := range o.calls {
		widen(call.Span)
	}
	for _, p := range o.polls {
		widen(p.Span)
	}
	for _, r := range o.requests {
		widen(r.Span)
	}
	return s
}

// refused reports whether a call was answered and changed nothing.
func refused(call journal.Call) bool {
	return call.HTTPStatus >= 400 && call.HTTPStatus < 500
}

// bringsStatus reports whether a call may have brought a status.
func bringsStatus(call journal.Call) bool {
	return !refused(call) && (call.Kind == journal.Revoke || call.Kind == journal.Push && call.Status != "")
}

// endsWatch reports whether a call's answer means that the watch is over.
func (o *evidence) endsWatch(call journal.Call) bool {
	switch call.Kind {
	case journal.Revoke, journal.Withdraw:
		return call.HTTPStatus == http.StatusOK
	case journal.Push:
		final := call.HTTPStatus == http.StatusAccepted && o.rules.isFinal(call.Status)
		return final || call.HTTPStatus == http.StatusConflict && call.Problem == problemClosed
	}
	return false
}

// withdrawalRequested reports whether a withdrawal was requested, and not refused, by then.
func (o *evidence) withdrawalRequested(by time.Time) bool {
	return slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return call.Kind == journal.Withdraw && !refused(call) && !call.Began.After(by)
	})
}

// revokedSilently reports whether the planned revocation has no callback: the client
// made it or does not want to be told.
func (o *evidence) revokedSilently() bool {
	return o.Revocation != nil && o.Revocation.InitiatedBy == operation.InitiatedByClient ||
		!o.rules.isDelivered(revoked, o.Wanted)
}

// observation is a status that a core answered, pushed or revoked.
type observation struct {
	span
	status string
	// by is byPoll, journal.Push or journal.Revoke.
	by string
	// certain says that no fault can have kept it from being recorded.
	certain bool
}

const byPoll = "poll"

// observations are all statuses that Ringback may have observed, in order.
func (c *check) observations(o *evidence) []observation {
	var all []observation
	// The first poll may be made inside a workflow task, and so may its repetition.
	inTask := true
	for _, p := range o.polls {
		s := span{p.Began, latest(p.Began, p.Ended)}
		recorded := s.to
		if inTask {
			recorded = o.taskEnd(s.to)
		}
		certain := !p.Ended.IsZero() && c.explain(pollAnswerLost, span{s.from, recorded.Add(settleTime)}) == nil
		inTask = inTask && !certain
		if p.Status != "" {
			all = append(all, observation{s, p.Status, byPoll, certain})
		}
	}
	for _, call := range o.calls {
		s := span{call.Began, latest(call.Began, call.Ended)}
		switch {
		case refused(call):
		case call.Kind == journal.Push && call.Status != "":
			all = append(all, observation{s, call.Status, journal.Push, call.HTTPStatus == http.StatusAccepted})
		case call.Kind == journal.Revoke:
			all = append(all, observation{s, revoked, journal.Revoke, call.HTTPStatus == http.StatusOK})
		}
	}
	slices.SortStableFunc(all, func(a, b observation) int { return a.from.Compare(b.from) })
	return all
}

// taskEnd is when the workflow task of a poll ended: with the first attempt, if one
// followed at once.
func (o *evidence) taskEnd(polled time.Time) time.Time {
	for _, r := range o.requests {
		if (span{polled, polled.Add(settleTime)}).contains(r.Began) {
			return r.end()
		}
	}
	return polled
}

// stale reports whether a poll's answer may be out of date: the core pushed or
// revoked before the answer was recorded.
func (c *check) stale(o *evidence, s observation) bool {
	return s.by == byPoll && slices.ContainsFunc(o.calls, func(call journal.Call) bool {
		return bringsStatus(call) && !latest(call.Began, call.Ended).Before(s.from) && c.beforeRecord(s, call)
	})
}

// beforeRecord reports whether a call may have begun before s was recorded, at the
// latest possible time.
func (c *check) beforeRecord(s observation, call journal.Call) bool {
	return !call.Began.After(s.to.Add(allowedDelay)) || c.delaying(call.Began) != nil
}

// firstObserved is when the status of a delivery was first observed for certain.
func (c *check) firstObserved(o *evidence, d *delivery) (time.Time, bool) {
	all := c.observations(o)
	at := slices.IndexFunc(all, func(s observation) bool { return s.status == d.Status && s.certain && !c.stale(o, s) })
	if at < 0 {
		at = slices.IndexFunc(all, func(s observation) bool { return s.status == d.Status && s.certain })
	}
	if at < 0 {
		return time.Time{}, false
	}
	return all[at].to, true
}

// observedBy reports whether a status was observed by then; the zero time is no limit.
func observedBy(all []observation, status string, by time.Time) bool {
	return slices.ContainsFunc(all, func(s observation) bool {
		return s.status == status && (by.IsZero() || !s.from.After(by.Add(millisecond)))
	})
}

// mayReturn reports whether a status may have been observed again after another one.
func (c *check) mayReturn(o *evidence, status string) bool {
	var statuses []string
	for _, s := range c.observations(o) {
		statuses = append(statuses, s.status)
	}
	first := slices.Index(statuses, status)
	if first < 0 {
		return false
	}
	other := slices.IndexFunc(statuses[first:], func(s string) bool { return s != status })
	return other >= 0 && slices.Contains(statuses[first+other:], status)
}

// millisecond is the resolution of the API's times.
const millisecond = time.Millisecond

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// span is a time span, both ends included.
type span struct{ from, to time.Time }

func (s span) overlaps(o span) bool      { return !s.from.After(o.to) && !o.from.After(s.to) }
func (s span) contains(t time.Time) bool { return s.overlaps(span{t, t}) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func timeOfDay(t time.Time) string { return t.UTC().Format("15:04:05.000") }
