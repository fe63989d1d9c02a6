package operation

import "time"

// MinPollGap is the least time between two polls where the second was requested or
// repeats a lost one.
const MinPollGap = time.Second

// WatchRecord counts the polls of an operation's watch and keeps the last answer.
type WatchRecord struct {
	// Polls counts the polls begun, one in flight included.
	Polls int `json:"polls"`
	// Uncounted are those that use up none of max_polls: refused, lost, or dropped as stale.
	Uncounted int `json:"uncounted,omitempty"`
	// PollBegunAt is when the latest poll began, PollEndedAt when it ended: zero while in flight.
	PollBegunAt Time `json:"asked_at,omitzero"`
	PollEndedAt Time `json:"answered_at,omitzero"`
	// Last is the last status recorded, or the last answer without one.
	Last *Observation `json:"last,omitempty"`
	// Failure is why the latest poll brought no answer; empty: it brought one.
	Failure string `json:"failure,omitempty"`
	// Repeat says that the latest answer was lost or dropped: the poll is repeated,
	// also past max_polls and the lifetime. PollNow requests one that counts against
	// both.
	Repeat  bool `json:"again,omitempty"`
	PollNow bool `json:"poll_now,omitempty"`
	// NotBefore holds the next poll back (429 with Retry-After, a breaker).
	NotBefore  Time `json:"not_before,omitzero"`
	NextPollAt Time `json:"next_poll_at,omitzero"`
	// Partial says that the run knows more than this record: deliveries, or a revocation.
	Partial bool `json:"partial,omitempty"`
	// Run is which run of the activity wrote this record; 0, in older ones: not known.
	Run int `json:"run,omitempty"`
}

// RunLost reports whether the latest of that many runs of an activity left no record.
// run is the one that left the record, which has none in older records.
func RunLost(runs, run int, recorded bool) bool {
	return runs > run && (run > 0 || !recorded)
}

// BeginPoll records that a poll begins.
func (r *WatchRecord) BeginPoll(at Time) {
	r.Polls++
	r.PollBegunAt, r.PollEndedAt, r.NotBefore, r.NextPollAt = at, Time{}, Time{}, Time{}
	r.Repeat, r.PollNow = false, false
}

// EndPoll records the answer to the poll in flight, or nil, which counts as newer than
// what was recorded before, whatever the clocks say. counted is false where it uses up
// none of max_polls.
func (r *WatchRecord) EndPoll(begun, ended Time, o *Observation, counted bool) {
	r.PollBegunAt, r.PollEndedAt = begun, ended
	if !counted {
		r.Uncounted++
	}
	if o != nil {
		newer := o.Following(r.Last)
		r.Last = &newer
	}
}

// Interrupt ends a poll whose answer was lost with its worker. It is repeated.
func (r *WatchRecord) Interrupt() {
	if inFlight := !r.PollBegunAt.IsZero() && r.PollEndedAt.IsZero(); inFlight {
		r.PollEndedAt = r.PollBegunAt
		r.repeatPoll()
	}
}

// Lose counts a poll for a run that left no record, if one was due by now: it may have
// been made.
func (r *WatchRecord) Lose(now Time, p PollPolicy, acceptedAt Time) {
	r.Interrupt()
	if !r.Due(p, acceptedAt).After(now) {
		r.BeginPoll(now)
		r.Interrupt()
	}
}

// repeatPoll has the latest poll repeated at no cost.
func (r *WatchRecord) repeatPoll() { r.Uncounted, r.Repeat = r.Uncounted+1, true }

// CountedPolls are the polls that use up max_polls.
func (r *WatchRecord) CountedPolls() int { return r.Polls - r.Uncounted }

// End is why no further poll is due: ReasonPollsUsedUp, ReasonLifetimeOver, or empty.
func (r *WatchRecord) End(p PollPolicy, acceptedAt Time) string {
	switch {
	case r.Repeat:
		return ""
	case p.UsedUp(r.CountedPolls()):
		return ReasonPollsUsedUp
	case !r.PollBegunAt.Before(acceptedAt.Add(p.Lifetime())):
		return ReasonLifetimeOver
	}
	return ""
}

// Due is when the next poll is due: the policy's gap after the beginning of the latest,
// or after its end where it took longer than the gap; never past the lifetime.
func (r *WatchRecord) Due(p PollPolicy, acceptedAt Time) Time {
	due, deadline := acceptedAt.Add(p.InitialDelay()), acceptedAt.Add(p.Lifetime())
	switch {
	case r.Repeat, r.PollNow:
		due = r.PollBegunAt.Add(MinPollGap)
	case !r.PollBegunAt.IsZero():
		gap := p.Gap(r.CountedPolls())
		due = r.PollBegunAt.Add(gap)
		if r.PollEndedAt.After(due) {
			due = r.PollEndedAt.Add(gap)
		}
	}
	if r.NotBefore.After(due) {
		due = r.NotBefore
	}
	if due.After(deadline) && !r.Repeat {
		due = deadline
	}
	return due
}

// CatchUp moves the record to now where it dates the latest poll in the future: the
// clock was set back since.
func (r *WatchRecord) CatchUp(now Time) {
	ahead := r.PollBegunAt.Sub(now.Time)
	if r.PollBegunAt.IsZero() || ahead <= 0 {
		return
	}
	r.PollBegunAt, r.PollEndedAt = r.PollBegunAt.Add(-ahead), r.PollEndedAt.Add(-ahead)
	if !r.NotBefore.IsZero() {
		r.NotBefore = r.NotBefore.Add(-ahead)
	}
}

// Merge takes over a later record of the same watch.
func (r *WatchRecord) Merge(later WatchRecord) {
	if later.Polls >= r.Polls {
		*r = later
	}
}
