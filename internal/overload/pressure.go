package overload

import (
	"sync"
	"time"
)

const (
	// tick is how often the pressure changes.
	tick = 250 * time.Millisecond
	// looksBack is over how many ticks lateness is judged.
	looksBack = 8
	// callbackLate and pollLate are from when on one is late.
	callbackLate = time.Second
	pollLate     = 5 * time.Second
	// fewestLate is how many must be late to say anything: one may be for many
	// reasons; and lateShare is which part of all of them.
	fewestLate = 10
	lateShare  = 0.2
	// backlogHolds is how long what was seen of the server's backlog holds.
	backlogHolds = 3 * time.Second
	// rises and falls are by how much the pressure changes in a tick: it narrows
	// starts down to one at a time within 2.5 s, and everything is let in again
	// 10 s after the highest of it.
	rises = 0.1
	falls = 0.05
	// highest is where polls give way as well as starts.
	highest = 2
	// fewest is the share of polls and the like that is let in whatever is late:
	// if something is late that no one can help, work goes on. One start at a time
	// is let in, too.
	fewest = 0.1
)

// pressure rises while callbacks or polls are late and falls while they are not.
// From 0 to 1 it narrows the door for starts, from 1 to 2 it puts polls off. Late polls raise it to 1
// at most. It is brought up to date when somebody asks.
type pressure struct {
	mu    sync.Mutex
	level float64
	// at is the beginning of the tick at hand, recent[0] what began in it.
	at      time.Time
	recent  [looksBack]tally
	backlog Backlog
	// sawAt is when backlog was seen.
	sawAt time.Time
}

// tally counts what began, and what of it was late.
type tally struct{ callbacks, lateCallbacks, polls, latePolls int }

// shares are how much of starts and polls is let in, from 1 for all to 0.
type shares struct{ starts, polls float64 }

func (p *pressure) shares() shares {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	return shares{
		starts: max(1-p.level, 0),
		polls:  min(2-p.level, 1),
	}
}

func (p *pressure) began(w Work, late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(time.Now())
	now := &p.recent[0]
	if w == Poll {
		now.polls++
		if late > pollLate {
			now.latePolls++
		}
		return
	}
	now.callbacks++
	if late > callbackLate {
		now.lateCallbacks++
	}
}

func (p *pressure) saw(b Backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.advance(now)
	p.backlog, p.sawAt = b, now
}

// advance lets the ticks pass that are over, as many of them as can matter.
func (p *pressure) advance(now time.Time) {
	const all = int(highest/falls) + looksBack
	if now.Sub(p.at) > time.Duration(all)*tick {
		p.at = now.Add(-time.Duration(all) * tick)
	}
	for ; now.Sub(p.at) >= tick; p.at = p.at.Add(tick) {
		p.pass()
	}
}

// pass ends the tick at hand.
func (p *pressure) pass() {
	held := p.at.Sub(p.sawAt) < backlogHolds
	sum := p.sum()
	switch {
	case mostlyLate(sum.lateCallbacks, sum.callbacks) || held && p.backlog.Callbacks > callbackLate:
		p.level = min(p.level+rises, highest)
	case p.level <= 1 && (mostlyLate(sum.latePolls, sum.polls) || held && p.backlog.Polls > pollLate):
		p.level = min(p.level+rises, 1)
	default:
		p.level = max(p.level-falls, 0)
	}
	copy(p.recent[1:], p.recent[:])
	p.recent[0] = tally{}
}

func (p *pressure) sum() (sum tally) {
	for _, t := range p.recent {
		sum.callbacks += t.callbacks
		sum.lateCallbacks += t.lateCallbacks
		sum.polls += t.polls
		sum.latePolls += t.latePolls
	}
	return sum
}

func mostlyLate(late, all int) bool {
	return late >= fewestLate && float64(late) >= lateShare*float64(all)
}

// seen is the server's backlog, as far as it holds.
func (p *pressure) seen() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.sawAt) >= backlogHolds {
		return Backlog{}
	}
	return p.backlog
}
