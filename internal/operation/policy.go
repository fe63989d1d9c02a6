package operation

import "time"

// Policy is how an operation is polled and its callbacks are delivered.
type Policy struct {
	Poll     PollPolicy     `json:"poll"`
	Delivery DeliveryPolicy `json:"delivery"`
	// Supersede is SupersedeLatest or SupersedeEvery: what becomes of an older pending callback.
	Supersede string `json:"supersede"`
	// Push is one of PushPolicies; empty, in runs that began without it: PushHint.
	Push string `json:"push,omitempty"`
}

// The values of an endpoint's push: what a status is that a caller of the API pushes.
const (
	// PushTrust takes it as an observation.
	PushTrust = "trust"
	// PushHint polls the source at once, and takes what that answers.
	PushHint = "hint"
	// PushOff refuses it.
	PushOff = "off"
)

// PushPolicies are all values of an endpoint's push.
var PushPolicies = []string{PushTrust, PushHint, PushOff}

// The two values of an endpoint's supersede (promise 4).
const (
	// SupersedeLatest drops an older, non-final callback for a newer one.
	SupersedeLatest = "latest"
	// SupersedeEvery queues the newer one behind it.
	SupersedeEvery = "every"
)

// PollPolicy is when the source is polled (promise 2).
type PollPolicy struct {
	// ScheduleMS are the gaps between the beginnings of polls, of which the last
	// repeats. Empty: IntervalMS is every gap.
	ScheduleMS []int64 `json:"schedule_ms,omitempty"`
	IntervalMS int64   `json:"interval_ms,omitempty"`
	// MaxPolls bounds the polls; 0: one more than the schedule has gaps, or no bound.
	MaxPolls       int   `json:"max_polls,omitempty"`
	LifetimeMS     int64 `json:"lifetime_ms"`
	InitialDelayMS int64 `json:"initial_delay_ms,omitempty"`
}

// Limit is the greatest number of polls; 0 means that only the lifetime bounds them.
func (p PollPolicy) Limit() int {
	if p.MaxPolls == 0 && len(p.ScheduleMS) > 0 {
		return len(p.ScheduleMS) + 1
	}
	return p.MaxPolls
}

// UsedUp reports whether no poll is left after that many.
func (p PollPolicy) UsedUp(polls int) bool { return p.Limit() > 0 && polls >= p.Limit() }

// Gap is the time from the beginning of the last of so many polls to the next one's.
func (p PollPolicy) Gap(polls int) time.Duration {
	if len(p.ScheduleMS) == 0 {
		return time.Duration(p.IntervalMS) * time.Millisecond
	}
	i := min(max(polls-1, 0), len(p.ScheduleMS)-1)
	return time.Duration(p.ScheduleMS[i]) * time.Millisecond
}

// LongestGap is the longest gap up to the limit; 0: all are longer.
func (p PollPolicy) LongestGap(limit time.Duration) time.Duration {
	longest := time.Duration(0)
	for polls := range max(len(p.ScheduleMS), 1) {
		if gap := p.Gap(polls + 1); gap <= limit {
			longest = max(longest, gap)
		}
	}
	return longest
}

// Lifetime is how long an operation is watched after its acceptance.
func (p PollPolicy) Lifetime() time.Duration { return time.Duration(p.LifetimeMS) * time.Millisecond }

// InitialDelay is the wait before the first poll.
func (p PollPolicy) InitialDelay() time.Duration {
	return time.Duration(p.InitialDelayMS) * time.Millisecond
}

// DeliveryPolicy is h and k (promise 5).
type DeliveryPolicy struct {
	// IntervalMS is h: from the end of one attempt to the start of the next.
	IntervalMS int64 `json:"interval_ms"`
	// Attempts is k: the most attempts that one delivery may record.
	Attempts int `json:"attempts"`
	// TimeoutMS bounds one attempt, from dialling to the end of the answer.
	TimeoutMS int64 `json:"timeout_ms"`
}

// Interval is h.
func (p DeliveryPolicy) Interval() time.Duration {
	return time.Duration(p.IntervalMS) * time.Millisecond
}

// Timeout bounds one attempt.
func (p DeliveryPolicy) Timeout() time.Duration { return time.Duration(p.TimeoutMS) * time.Millisecond }
