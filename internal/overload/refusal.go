package overload

import (
	"math/rand/v2"
	"time"

	"ringback/internal/operation"
)

// Of a call that is refused the API makes a 503 with Retry-After.

// Why something was refused or put off.
const (
	// reasonLate: callbacks or polls are late.
	reasonLate = "late"
	// reasonQueue: its turn did not come in time, or too many wait already.
	reasonQueue = "queue"
	// reasonBound: as many calls of the kind run as may at once.
	reasonBound = "bound"
)

func (l *Limiter) refuse(w Work, reason string) error {
	l.metrics.shed.WithLabelValues(string(w), reason).Inc()
	return l.refusal()
}

// refusal asks to come back after 1 to 5 s: the later the fewer starts run, and
// at random, so that not all come back at once.
func (l *Limiter) refusal() error {
	spread := time.Second + time.Duration((1-l.pressure.shares().starts)*float64(3*time.Second))
	return &operation.Error{
		Problem:    operation.ProblemOverloaded,
		Detail:     "Ringback is overloaded and did nothing about this request; wait as Retry-After says, then send the same request again.",
		RetryAfter: time.Second + rand.N(spread), //nolint:gosec // spreads load
	}
}
