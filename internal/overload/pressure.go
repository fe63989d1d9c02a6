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
	// A callback or a poll is late from this delay on.
	callbackLate = time.Second
	pollLate     = 5 * time.Second
	// At least minLate, and a fifth of all, must be late: one may be for many reasons.
	minLate   = 10
	lateShare = 0.2
	// backlogHolds is for how long an observed backlog is taken to last.
	backlogHolds = 3 * time.Second
	// In a tick the pressure rises or falls by so much: starts are down to one at a
	// time within 2.5 s, and all is as before 10 s after the highest pressure.
	rise        = 0.1
	fall        = 0.05
	maxPressure = 2
	// minShare of the polls goes on whatever is late, as does one start at a time:
	// the cause of the delay may be one that putting them off does not remove.
	minShare = 0.1
)

// pressure rises while callbacks or polls are late, and falls while they are not.
// From 0 to 1 it lowers the limit of starts, from 1 to 2 the share of polls. Late
// polls raise it to 1 at most. It is brought up to date when it is read.
type pressure struct {
	mu    sync.Mutex
	level float64
	// at is the beginning of the current tick, recent[0] what was observed in it.
	at         time.Time
	recent     [recentTicks]delays
	backlog    Backlog
	observedAt time.Time
}

// delays counts what began in a tick.
type delays struct{ callbacks, polls count }

type count struct{ all, late int }

func (c *count) add(all, late int) { c.all, c.late = c.all+all, c.late+late }

func (c count) mostlyLate() bool {
	return c.late >= minLate && float64(c.late) >= lateShare*float64(c.all)
}

// shares are how much of starts and polls goes on, from 1 for all to 0.
type shares struct{ starts, polls float64 }

func (p *pressure) shares() shares {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	return shares{starts: max(1-p.level, 0), polls: min(2-p.level, 1)}
}

func (p *pressure) observeDelay(w Work, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	counted, limit := &p.recent[0].callbacks, callbackLate
	if w == Poll {
		counted, limit = &p.recent[0].polls, pollLate
	}
	late := 0
	if delay > limit {
		late = 1
	}
	counted.add(1, late)
}

func (p *pressure) observeBacklog(b Backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.advance(now)
	p.backlog, p.observedAt = b, now
}

// advance ends the ticks that are over, as many of them as can matter.
func (p *pressure) advance(now time.Time) {
	const most = (maxPressure/fall + recentTicks) * tick
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
		sum.callbacks.add(d.callbacks.all, d.callbacks.late)
		sum.polls.add(d.polls.all, d.polls.late)
	}
	backlog := p.backlogAt(p.at)
	switch {
	case sum.callbacks.mostlyLate() || backlog.Callbacks > callbackLate:
		p.level = min(p.level+rise, maxPressure)
	case p.level <= 1 && (sum.polls.mostlyLate() || backlog.Polls > pollLate):
		p.level = min(p.level+rise, 1)
	default:
		p.level = max(p.level-fall, 0)
	}
	copy(p.recent[1:], p.recent[:])
	p.recent[0] = delays{}
}

// backlogAt is the backlog as last observed, or none if that was too long ago.
func (p *pressure) backlogAt(t time.Time) Backlog {
	if t.Sub(p.observedAt) >= backlogHolds {
		return Backlog{}
	}
	return p.backlog
}

// currentBacklog is backlogAt now.
func (p *pressure) currentBacklog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backlogAt(time.Now())
}
