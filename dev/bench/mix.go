package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mix is a day of a payment core: operations that end on every path, of which each
// hundred has as many (see mixPathOf). Half of them are Ukrcard's, half Paysera's.
type mix struct {
	Operations int
	PerSecond  float64
	// Schedule is the gaps between polls. The polls are used up after one more.
	Schedule []time.Duration
	// Ukrcard and Paysera are h at their endpoints.
	Ukrcard, Paysera time.Duration
	// Idle is how long the idle processes are measured before.
	Idle time.Duration
}

const (
	mixAttempts = 10
	mixTimeout  = 10 * time.Second
	// mixID begins the ids of the mix.
	mixID = "m"
	// mixHow is the path of its receivers.
	mixHow = "mix"
)

// fullMix begins with the gaps of Ukrcard's example, 5 s to 30 s. Its later ones, 1 to
// 10 minutes, are shortened so that the polls are used up within 2.5 minutes. h at
// Paysera is shorter than its 60 s, and beyond the 5 s that Ringback waits in the worker.
var fullMix = mix{
	Operations: 600, PerSecond: 8,
	Schedule: append(seconds(5, 10, 15, 30), slices.Repeat(seconds(15), 6)...),
	Ukrcard:  3 * time.Second, Paysera: 12 * time.Second, Idle: 20 * time.Second,
}

// quickMix has the gaps on both sides of the 5 s that Ringback waits in the worker.
var quickMix = mix{
	Operations: 100, PerSecond: 10,
	Schedule: append(seconds(2, 6, 6, 6), slices.Repeat(seconds(2), 6)...),
	Ukrcard:  time.Second, Paysera: 5500 * time.Millisecond, Idle: 10 * time.Second,
}

func seconds(n ...int) []time.Duration {
	gaps := make([]time.Duration, len(n))
	for i := range n {
		gaps[i] = time.Duration(n[i]) * time.Second
	}
	return gaps
}

// longest is how long after its start an operation is at an end: its polls are used up,
// or its attempts.
func (m mix) longest() time.Duration {
	var polls time.Duration
	for _, gap := range m.Schedule {
		polls += gap
	}
	return max(polls, m.Schedule[0]+mixAttempts*max(m.Ukrcard, m.Paysera))
}

// mixPollsBeforeChange is after how many polls an operation is revoked or withdrawn.
const mixPollsBeforeChange = 2

// mixEnd is how an operation of the mix ends.
type mixEnd string

const (
	mixAcknowledged mixEnd = "acknowledged"
	mixUsedUp       mixEnd = "polls used up"
	mixExhausted    mixEnd = "exhausted"
	mixRevoked      mixEnd = "revoked"
	mixWithdrawn    mixEnd = "withdrawn"
)

// mixPath is what happens to one operation of the mix.
type mixPath struct {
	end     mixEnd
	paysera bool
	// statuses are what the core answers, poll by poll; the last one repeats.
	statuses []string
	// failing is how many attempts of the last callback fail.
	failing int
}

// mixPathOf is the path of the operation with this number.
func mixPathOf(number int) mixPath {
	// 37 spreads each path over the hundred, and keeps odd numbers odd.
	slot := number * 37 % 100
	paysera := slot%2 == 1
	p := mixPath{end: mixAcknowledged, paysera: paysera}
	switch {
	case slot < 45: // final at the first poll
		p.statuses = mixFinalAt(paysera, 1)
	case slot < 75: // final at the second to fourth poll
		p.statuses = mixFinalAt(paysera, 2+slot/2%3)
	case slot < 85:
		p.end, p.statuses = mixUsedUp, mixOpen(paysera)
	case slot < 93: // acknowledged at the second or third attempt
		p.statuses, p.failing = mixFinalSoon(paysera), 1+slot/2%2
	case slot < 97:
		p.end, p.statuses, p.failing = mixExhausted, mixFinalSoon(paysera), mixAttempts
	case slot < 99:
		p.end, p.statuses = mixRevoked, mixOpen(paysera)
	default:
		p.end, p.statuses = mixWithdrawn, mixOpen(paysera)
	}
	return p
}

// mixFinalAt are statuses that are final at a poll, the first to the fourth.
func mixFinalAt(paysera bool, poll int) []string {
	if !paysera {
		return append(slices.Repeat([]string{"0"}, poll-1), "2")
	}
	return [][]string{
		{"done"},
		{"reserved", "done"},
		{"waiting_funds", "reserved", "done"},
		{"waiting_funds", "reserved", "reserved", "done"},
	}[poll-1]
}

// mixFinalSoon are statuses with the fewest polls, and at Paysera with one that is not
// final.
func mixFinalSoon(paysera bool) []string {
	if paysera {
		return mixFinalAt(paysera, 2)
	}
	return mixFinalAt(paysera, 1)
}

// mixOpen are statuses that are never final.
func mixOpen(paysera bool) []string {
	if paysera {
		return []string{"waiting_funds", "reserved"}
	}
	return []string{"0"}
}

// mixOf is the path of the operation with this id, if it is one of the mix.
func mixOf(id string) (mixPath, bool) {
	prefix, number, _ := strings.Cut(id, "-")
	n, err := strconv.Atoi(number)
	return mixPathOf(n), err == nil && strings.HasPrefix(prefix, mixID)
}

// status is what the core answers at a poll.
func (p mixPath) status(poll int) string { return p.statuses[min(poll, len(p.statuses))-1] }

// polls is how many there are in all.
func (p mixPath) polls(m mix) int {
	switch p.end {
	case mixUsedUp:
		return len(m.Schedule) + 1
	case mixRevoked, mixWithdrawn:
		return mixPollsBeforeChange
	default:
		return len(p.statuses)
	}
}

// callbacks are the statuses of all attempts in their order. Paysera's are of each new
// status, Ukrcard's of the last one alone, and of no revocation.
func (p mixPath) callbacks() []string {
	statuses := slices.Compact(slices.Clone(p.statuses))
	switch {
	case !p.paysera && p.end == mixRevoked:
		return nil
	case !p.paysera:
		statuses = statuses[len(statuses)-1:]
	case p.end == mixRevoked:
		statuses = append(statuses, "revoked")
	}
	last := statuses[len(statuses)-1:]
	again := min(p.failing, mixAttempts-1)
	return append(statuses, slices.Repeat(last, again)...)
}

// isChanged reports whether the operation is revoked or withdrawn.
func (p mixPath) isChanged() bool { return p.end == mixRevoked || p.end == mixWithdrawn }

// mayChange reports whether it has had all that comes before.
func (p mixPath) mayChange(m mix, polls int, callbacks []string) bool {
	return p.isChanged() && p.isPolled(m, polls) && (!p.paysera || slices.Equal(callbacks, p.statuses))
}

// isPolled reports whether these are all the polls. A change may come after one more.
func (p mixPath) isPolled(m mix, polls int) bool {
	if p.isChanged() {
		return polls >= p.polls(m) && polls <= len(m.Schedule)
	}
	return polls == p.polls(m)
}

// fails reports whether a receiver answers an attempt with an error: the number counts
// those of this status.
func (p mixPath) fails(status string, number int) bool {
	return number <= p.failing && status == p.status(len(p.statuses))
}

func (p mixPath) String() string {
	core := "Ukrcard"
	if p.paysera {
		core = "Paysera"
	}
	return fmt.Sprintf("%s, %v, %s", core, p.statuses, p.end)
}
