package plan

import (
	"math/rand/v2"
	"time"
)

type receiver struct {
	name   string
	weight int
	make   func(*rand.Rand) Receiver
}

func (r receiver) frequency() int { return r.weight }

var healthy = receiver{"acknowledges", 58, func(*rand.Rand) Receiver { return Receiver{Behaviour: Acknowledges} }}

// dedicatedReceivers are those of endpoints that are dedicated to a history.
var dedicatedReceivers = map[ReceiverKind]receiver{
	Healthy: healthy,
	Slow: {"is slow", 0, func(r *rand.Rand) Receiver {
		return Receiver{Behaviour: Acknowledges, Delay: between(r, 300*time.Millisecond, 600*time.Millisecond)}
	}},
	Failing: {"fails at first", 0, atFirst(Fails)},
}

var receivers = []receiver{
	healthy,
	{"is slow", 8, func(r *rand.Rand) Receiver {
		return Receiver{Behaviour: Acknowledges, Delay: between(r, 300*time.Millisecond, longestDelay)}
	}},
	{"fails at first", 10, atFirst(Fails)},
	{"fails always", 6, always(Fails)},
	{"hangs up at first", 5, atFirst(HangsUp)},
	{"hangs up always", 2, always(HangsUp)},
	{"drops its answer at first", 5, atFirst(DropsAnswer)},
	{"is skewed", 4, always(Skewed)},
	{"is gone", 2, always(Gone)},
}

// longestDelay leaves time for a slow network within an attempt's time-out.
const longestDelay = 3 * time.Second

// smallestK is that of Endpoints: a receiver that fails at first acknowledges before.
const smallestK = 4

func atFirst(b Behaviour) func(*rand.Rand) Receiver {
	return func(r *rand.Rand) Receiver { return Receiver{Behaviour: b, First: 1 + r.IntN(smallestK-1)} }
}

func always(b Behaviour) func(*rand.Rand) Receiver {
	return func(*rand.Rand) Receiver { return Receiver{Behaviour: b, First: Always} }
}
