package rest

import (
	"context"
	"math"
	"time"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// drainRetryAfter is when a start refused by a draining program may come back: by
// then a load balancer has seen readyz.
const drainRetryAfter = 2 * time.Second

const allStarts = math.MaxInt64

// Drain makes /readyz return 503 and refuses new starts and redeliveries with 503
// and Retry-After, and returns when those in flight have ended, or with ctx's
// error. Everything else is served on. Draining can't be undone.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	if err := s.starts.Acquire(ctx, allStarts); err != nil {
		return err
	}
	s.starts.Release(allStarts)
	return nil
}

var errDraining = &operation.Error{
	Problem:    operation.ProblemUnavailable,
	Detail:     "This program is shutting down and takes no new operations; send the request again.",
	RetryAfter: drainRetryAfter,
}

// acquire waits until a call may run, or refuses it. Drain waits for starts.
func (s *Server) acquire(ctx context.Context, w overload.Work, endpoint string) (release func(error), err error) {
	if w != overload.Start {
		return s.options.Acquire(ctx, w, endpoint)
	}
	if !s.starts.TryAcquire(1) {
		return nil, errDraining
	}
	defer func() {
		if err != nil {
			s.starts.Release(1)
		}
	}()
	if s.draining.Load() { // read after TryAcquire: Drain may be over
		return nil, errDraining
	}
	releaseStart, err := s.options.Acquire(ctx, w, endpoint)
	if err != nil {
		return nil, err
	}
	return func(err error) {
		releaseStart(err)
		s.starts.Release(1)
	}, nil
}
