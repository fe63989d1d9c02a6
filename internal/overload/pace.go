package overload

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxCalls is how many calls of one program are under way at a time at most: after a
	// crash thousands of deliveries are resumed in the same moment.
	maxCalls = 32
	// slowCall is what a call takes at most that is not slow: well below the 3 s
	// after which Temporal gives up what it does itself.
	slowCall = time.Second
)

// Pace bounds how many calls to Temporal are under way at a time, so that it completes
// them in time: one that it gives up has cost it as much, and is made again. After a
// slow call half as many are made at once, after as many fast ones one more. The others
// wait here, those for callbacks before those for polls. Its methods are safe for
// concurrent use.
type Pace struct {
	mu      sync.Mutex
	limit   float64
	running int
	// callbacks and others are the calls that wait, first come, first served.
	callbacks, others []chan struct{}
	// halvedAt is when the limit was halved last. What began before says nothing about it.
	halvedAt time.Time
}

// NewPace makes a Pace at which no call was slow yet.
func NewPace() *Pace { return &Pace{limit: maxCalls} }

// Acquire waits until a call for such work may be made. The caller calls release once,
// when it ended.
func (p *Pace) Acquire(ctx context.Context, w Work) (release func(), err error) {
	queue := &p.others
	if w == Callback {
		queue = &p.callbacks
	}
	if err := p.wait(ctx, queue); err != nil {
		return nil, err
	}
	begun := time.Now()
	return func() { p.end(begun) }, nil
}

// Await waits until the calls that wait now are under way.
func (p *Pace) Await(ctx context.Context) error {
	err := p.wait(ctx, &p.others)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running--
		p.runNext()
	}
	return err
}

func (p *Pace) wait(ctx context.Context, queue *[]chan struct{}) error {
	turn := make(chan struct{})
	p.mu.Lock()
	*queue = append(*queue, turn)
	p.runNext()
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(*queue, turn)
	if i < 0 {
		return nil // its turn came at the same moment
	}
	*queue = slices.Delete(*queue, i, i+1)
	return ctx.Err()
}

func (p *Pace) end(begun time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	switch now := time.Now(); {
	case now.Sub(begun) <= slowCall:
		p.quicken()
	case !begun.Before(p.halvedAt):
		p.limit, p.halvedAt = max(p.limit/2, 1), now
	}
	p.runNext()
}

func (p *Pace) quicken() { p.limit = min(p.limit+1/p.limit, maxCalls) }

func (p *Pace) runNext() {
	for _, queue := range []*[]chan struct{}{&p.callbacks, &p.others} {
		for ; len(*queue) > 0 && p.running < int(p.limit); p.running++ {
			close((*queue)[0])
			*queue = slices.Delete(*queue, 0, 1)
		}
	}
}

// startsAtOnce is limit, or how many calls are made at once while that is cut.
func (p *Pace) startsAtOnce(limit int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit == maxCalls {
		return limit
	}
	return min(limit, int(p.limit))
}

// startEnded counts a start that took as long, if it was fast: most operations make no
// other call. Slow ones are limited by the lateness that they cause.
func (p *Pace) startEnded(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took <= slowCall {
		p.quicken()
		p.runNext()
	}
}
