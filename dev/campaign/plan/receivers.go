package plan

import (
	"math/rand/v2"
	"time"
)

// receiver is a sort of receiver.
type receiver struct {
	name   string
	weight int
	make   func(*rand.Rand) Receiver
}

func (r receiver) often() int { return r.weight }

var healthy = receiver{"acknowledges", 58, func(*rand.Rand) Receiver { return Receiver{Manner: Acknowledges} }}

// ownReceivers are those of endpoints that a history needs for itself.
var ownReceivers = map[Receivers]receiver{
	Healthy: healthy,
	Slow: {"takes its time", 0, func(r *rand.Rand) Receiver {
		return Receiver{Manner: Acknowledges, Delay: between(r, 300*time.Millisecond, 600*time.Millisecond)}
	}},
	Failing: {"fails at first", 0, atFirst(Fails)},
}

var receivers = []receiver{
	healthy,
	{"is slow", 8, func(r *rand.Rand) Receiver {
		return Receiver{Manner: Acknowledges, Delay: between(r, 300*time.Millisecond, longestDelay)}
	}},
	{"fails at first", 10, atFirst(Fails)},
	{"fails always", 6, always(Fails)},
	{"hangs up at first", 5, atFirst(HangsUp)},
	{"hangs up always", 2, always(HangsUp)},
	{"drops its answer at first", 5, atFirst(DropsAnswer)},
	{"is skewed", 4, always(Skewed)},
	{"is gone", 2, always(Gone)},
}

// longestDelay leaves an attempt the time for a network that is slow as well.
const longestDelay = 3 * time.Second

// fewest is the least k of Endpoints: who fails at first acknowledges in the end.
const fewest = 4

func atFirst(m Manner) func(*rand.Rand) Receiver {
	return func(r *rand.Rand) Receiver { return Receiver{Manner: m, First: 1 + r.IntN(fewest-1)} }
}

func always(m Manner) func(*rand.Rand) Receiver {
	return func(*rand.Rand) Receiver { return Receiver{Manner: m, First: Always} }
}
