package overload

import (
	"sync"
	"time"
)

const (
	// tick is how often the pressure changes, recentTicks over how many of them
	// lateness is judged: 2 s.
	tick        = 250 * time.Millisecond
	recentTicks = 8
	// A callback or a poll is late from this delay on. From callbackDelayed on a
	// callback's delay is worse than what a server that has time to spare makes.
	callbackDelayed = 100 * time.Millisecond
	callbackLate    = time.Second
	pollLate        = 5 * time.Second
	// At least minLate, and a fifth of all, must be late: one may be for many reasons.
	minLate   = 10
	lateShare = 0.2
	// backlogHolds is for how long an observed backlog is taken to last.
	backlogHolds = 3 * time.Second
	// In a tick the pressure rises or falls by so much: starts are down to one at a
	// time within 2.5 s, and as before 10 s after the highest pressure.
	rise = 0.1
	fall = 0.05
	// Below 1 it falls in 20 s: troubled endpoints' starts cost most in the attempts
	// that follow, so it takes a while until more of them are felt.
	fallBelow1  = fall / 4
	maxPressure = 3
	// minShare of the polls goes on whatever is late, as does one start at a time:
	// the cause of the delay may be one that putting them off does not remove.
	minShare = 0.1
)

// pressure rises while callbacks or polls are late, and falls while they are not.
// From 0 to 1 it lowers the limit of troubled endpoints' starts, from 1 to 2 that of
// all starts, from 2 to 3 the share of polls. Delayed callbacks raise it to 1 at most,
// late polls to 2, and what is late begins at 1. It is brought up to date when it is
// read.
type pressure struct {
	mu    sync.Mutex
	level float64
	// at is the beginning of the current tick, recent[0] what was observed in it.
	at         time.Time
	recent     [recentTicks]delays
	backlog    Backlog
	ownBacklog Backlog
	observedAt time.Time
}

// delays counts what began in a tick. delayed are the callbacks once more.
type delays struct{ callbacks, delayed, polls count }

type count struct{ all, late int }

func (c *count) add(other count) { c.all, c.late = c.all+other.all, c.late+other.late }

func (c *count) observe(delay, limit time.Duration) {
	c.all++
	if delay > limit {
		c.late++
	}
}

func (c count) mostlyLate() bool {
	return c.late >= minLate && float64(c.late) >= lateShare*float64(c.all)
}

// shares are how much of troubled endpoints' starts, of all starts and of polls goes
// on, from 1 for all to 0.
type shares struct{ troubled, starts, polls float64 }

func (p *pressure) shares() shares {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	share := func(from float64) float64 { return min(max(from+1-p.level, 0), 1) }
	return shares{troubled: share(0), starts: share(1), polls: share(2)}
}

func (p *pressure) observeDelay(w Work, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	now := &p.recent[0]
	if w == Poll {
		now.polls.observe(delay, pollLate)
		return
	}
	now.callbacks.observe(delay, callbackLate)
	now.delayed.observe(delay, callbackDelayed)
}

func (p *pressure) observeBacklog(all, own Backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.advance(now)
	p.backlog, p.ownBacklog, p.observedAt = all, own, now
}

// advance ends the ticks that are over, as many of them as can matter.
func (p *pressure) advance(now time.Time) {
	const most = ((maxPressure-1)/fall + 1/fallBelow1 + recentTicks) * tick
	if now.Sub(p.at) > most {
		p.at = now.Add(-most)
	}
	for ; now.Sub(p.at) >= tick; p.at = p.at.Add(tick) {
		p.endTick()
	}
}

func (p *pressure) endTick() {
	var sum delays
	for _, d := range p.recent {
		sum.callbacks.add(d.callbacks)
		sum.delayed.add(d.delayed)
		sum.polls.add(d.polls)
	}
	backlog := p.known(p.backlog, p.at)
	switch {
	case sum.callbacks.mostlyLate() || backlog.Callbacks > callbackLate:
		p.level = min(max(p.level, 1)+rise, maxPressure)
	case p.level <= 2 && (sum.polls.mostlyLate() || backlog.Polls > pollLate):
		p.level = min(max(p.level, 1)+rise, 2)
	case p.level <= 1 && sum.delayed.mostlyLate():
		p.level = min(p.level+rise, 1)
	case p.level > 1:
		p.level -= fall
	default:
		p.level = max(p.level-fallBelow1, 0)
	}
	copy(p.recent[1:], p.recent[:])
	p.recent[0] = delays{}
}

// known is b, which was observed last, or none if that was too long ago.
func (p *pressure) known(b Backlog, t time.Time) Backlog {
	if t.Sub(p.observedAt) >= backlogHolds {
		return Backlog{}
	}
	return b
}

// currentOwnBacklog is ownBacklog as it is known now.
func (p *pressure) currentOwnBacklog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known(p.ownBacklog, time.Now())
}
