package rest

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ringback/internal/operation"
)

// Limit bounds how often one key may call.
type Limit struct {
	// PerSecond is the lasting rate; 0: no limit.
	PerSecond float64
	// Burst is how many calls may come at once; less than 1 is 1.
	Burst int
}

// limiter holds one token bucket per key name. It grows by the names that were
// ever configured while the program runs.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// take refuses the call of the key with that name once its limit is used up,
// and says so.
func (l *limiter) take(name string, limit Limit, says string) error {
	if limit.PerSecond <= 0 {
		return nil
	}
	booked := l.bucket(name, limit).Reserve()
	wait := booked.Delay()
	if wait == 0 {
		return nil
	}
	booked.Cancel()
	return &operation.Error{
		Problem:    ProblemTooManyRequests,
		Detail:     says,
		RetryAfter: max(wait, time.Second),
	}
}

func (l *limiter) bucket(name string, limit Limit) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, burst := l.buckets[name], max(limit.Burst, 1)
	if b == nil {
		b = rate.NewLimiter(rate.Limit(limit.PerSecond), burst)
		if l.buckets == nil {
			l.buckets = map[string]*rate.Limiter{}
		}
		l.buckets[name] = b
	}
	if b.Limit() != rate.Limit(limit.PerSecond) || b.Burst() != burst {
		b.SetLimit(rate.Limit(limit.PerSecond))
		b.SetBurst(burst)
	}
	return b
}
