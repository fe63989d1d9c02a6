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

// Limiter holds one token bucket per name, of a key or an endpoint. It grows by the names
// that were ever configured while the program runs.
type Limiter struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// allow refuses a call of a key whose limit is used up.
func (s *Server) allow(r *request) error {
	if r.isRead() {
		return s.allowRead(r)
	}
	return s.changes.Allow(r.caller.Name, s.options.Settings().ChangeLimit,
		"This key changes more often than it may, and nothing was changed; wait as Retry-After says.")
}

func (s *Server) allowRead(r *request) error {
	return s.reads.Allow(r.caller.Name, s.options.Settings().ReadLimit,
		"This key reads more often than it may; wait as Retry-After says. A callback comes sooner than the next read would.")
}

// Allow refuses what is beyond the limit of a name, with that detail.
func (l *Limiter) Allow(name string, limit Limit, detail string) error {
	if limit.PerSecond <= 0 {
		return nil
	}
	reservation := l.bucket(name, limit).Reserve()
	wait := reservation.Delay()
	if wait == 0 {
		return nil
	}
	reservation.Cancel() // a refused call costs nothing
	return &operation.Error{Problem: ProblemTooManyRequests, Detail: detail, RetryAfter: max(wait, time.Second)}
}

func (l *Limiter) bucket(name string, limit Limit) *rate.Limiter {
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
