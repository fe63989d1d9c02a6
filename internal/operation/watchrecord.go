package operation

import "time"

// MinPollGap is the least time between the beginnings of two questions that were
// asked for by "poll now" or repeated because an answer was dropped or lost.
const MinPollGap = time.Second

// WatchRecord is what an operation's watch has asked and was answered. The
// activity that takes the watch up goes by it, and nothing else counts.
type WatchRecord struct {
	// Polls counts the questions asked, one on its way included.
	Polls int `json:"polls"`
	// Uncounted are those of them that use up none of max_polls: refused (401 and
	// 403), lost with their worker, or answered with what was outdated.
	Uncounted int `json:"uncounted,omitempty"`
	// PollBegunAt is when the latest question began. PollEndedAt is when it ended, zero
	// while it is on its way.
	PollBegunAt Time `json:"asked_at,omitzero"`
	PollEndedAt Time `json:"answered_at,omitzero"`
	// Last is the last status recorded, by a poll or a push, or the last answer
	// without one.
	Last *Observation `json:"last,omitempty"`
	// Again says that the latest answer was lost or dropped: the question is asked
	// again, also past max_polls and the lifetime. PollNow says that one was asked
	// for now, within both.
	Repeat  bool `json:"again,omitempty"`
	PollNow bool `json:"poll_now,omitempty"`
	// NotBefore holds the next question back (429 with Retry-After, a breaker).
	NotBefore  Time `json:"not_before,omitzero"`
	NextPollAt Time `json:"next_poll_at,omitzero"`
	// Partial says that the run knows more than this record shows: other
	// deliveries, or a revocation.
	Partial bool `json:"partial,omitempty"`
}

// Ask begins a question.
func (r *WatchRecord) BeginPoll(at Time) {
	r.Polls++
	r.PollBegunAt, r.PollEndedAt, r.NotBefore, r.NextPollAt = at, Time{}, Time{}, Time{}
	r.Repeat, r.PollNow = false, false
}

// Answer ends the question on its way, which took from begun to ended. counted is
// false where it uses up none of max_polls; o is nil where nothing was said about
// the operation. An answer is newer than what was recorded before it was asked
// for, whatever the clocks say.
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

// Interrupt ends a question whose answer was lost with its worker. It is asked
// again, so that a lost worker costs one question and no answer.
func (r *WatchRecord) Interrupt() {
	if r.onItsWay() {
		r.PollEndedAt = r.PollBegunAt
		r.drop()
	}
}

// drop lets the latest question be asked again at no cost.
func (r *WatchRecord) drop() { r.Uncounted, r.Repeat = r.Uncounted+1, true }

func (r *WatchRecord) onItsWay() bool { return !r.PollBegunAt.IsZero() && r.PollEndedAt.IsZero() }

// Counted are the questions that use up max_polls.
func (r *WatchRecord) Counted() int { return r.Polls - r.Uncounted }

// End is why no further question is due: ReasonPollsUsedUp, ReasonLifetimeOver, or
// empty. The last question is asked at the end of the lifetime.
func (r *WatchRecord) End(p PollPolicy, acceptedAt Time) string {
	switch {
	case r.Repeat:
		return ""
	case p.UsedUp(r.Counted()):
		return ReasonPollsUsedUp
	case !r.PollBegunAt.Before(acceptedAt.Add(p.Lifetime())):
		return ReasonLifetimeOver
	}
	return ""
}

// Due is when the next question is: the policy's gap after the beginning of the
// latest (after its end, where it outlasted the gap), never past the lifetime.
func (r *WatchRecord) Due(p PollPolicy, acceptedAt Time) Time {
	due, deadline := acceptedAt.Add(p.InitialDelay()), acceptedAt.Add(p.Lifetime())
	switch {
	case r.Repeat, r.PollNow:
		due = r.PollBegunAt.Add(MinPollGap)
	case !r.PollBegunAt.IsZero():
		gap := p.Gap(r.Counted())
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

// CatchUp moves the record to now where it says that the latest question is yet
// to come: the clock was set back since, and the next would be late by that much.
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
