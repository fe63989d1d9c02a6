package activities

import (
	"time"

	"ringback/internal/callback"
)

// What an earlier run recorded is in wall time, which may have been set since;
// within a run the clock that nobody sets counts (docs/adr/0045).

// clocksAgree is within what the clocks of two workers are taken to agree.
const clocksAgree = time.Second

// unset is due by the clock that nobody sets, from now on. What is due at once
// stays the zero time.
func unset(due callback.Time) time.Time {
	if due.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	return now.Add(due.Sub(now))
}

// putOff is until when the first poll or attempt of all is put off: now, where
// the record says longer than any is, since the clock was set back.
func putOff(notBefore, now callback.Time) callback.Time {
	if notBefore.After(now.Add(longestHold)) {
		return now
	}
	return notBefore
}
