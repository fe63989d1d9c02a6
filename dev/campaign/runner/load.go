package runner

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// caller is a payment core that starts operations, at whichever API answers.
type caller struct {
	apis []*apiclient.Client
	turn atomic.Int64
	// repeated counts calls that were made once more, failed those given up.
	repeated, failed atomic.Int64
	mu               sync.Mutex
	why              error
}

func (s *Stage) newCaller() *caller {
	c := &caller{}
	transport := &http.Transport{MaxIdleConnsPerHost: 4096}
	s.ends = append(s.ends, func() error { transport.CloseIdleConnections(); return nil })
	for n := range s.apis {
		api := s.api(n)
		api.Key, api.HTTP = "", http.Client{Transport: transport, Timeout: 10 * time.Second}
		c.apis = append(c.apis, api)
	}
	return c
}

const (
	// callerPatience bounds a start with all its tries.
	callerPatience = 3 * time.Minute
	// shortestPause is before the first try that follows one at every API; it
	// doubles up to longestPause.
	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

// start starts an operation: where an API says to come back, or says nothing, it
// asks the next one.
func (c *caller) start(ctx context.Context, key operation.Key) {
	ctx, cancel := context.WithTimeout(ctx, callerPatience)
	defer cancel()
	first, pause := int(c.turn.Add(1)), shortestPause
	for n := 0; ; n++ {
		_, _, err := c.apis[(first+n)%len(c.apis)].Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID})
		if err == nil {
			return
		}
		if status := apiclient.Status(err); ctx.Err() != nil || status != 0 && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			c.give(fmt.Errorf("start %s: %w", key.WorkflowID(), err))
			return
		}
		c.repeated.Add(1)
		if n%len(c.apis) == len(c.apis)-1 {
			_ = until(ctx, time.Now().Add(pause))
			pause = min(2*pause, longestPause)
		}
	}
}

func (c *caller) give(err error) {
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = err
	}
}

// stream starts so many operations a second, evenly, and waits for the answers.
// next says which is the n-th, or that there are no more. It returns when each
// was begun.
func (c *caller) stream(ctx context.Context, perSecond float64, next func(n int) (operation.Key, bool)) map[operation.Key]time.Time {
	var all sync.WaitGroup
	defer all.Wait()
	began := map[operation.Key]time.Time{}
	for n := range evenly(ctx, perSecond) {
		key, more := next(n)
		if !more {
			break
		}
		began[key] = time.Now()
		all.Go(func() { c.start(ctx, key) })
	}
	return began
}

// evenly counts from 0, so many numbers a second, until ctx ends.
func evenly(ctx context.Context, perSecond float64) iter.Seq[int] {
	return func(yield func(int) bool) {
		first := time.Now()
		for n := 0; until(ctx, first.Add(time.Duration(float64(n)/perSecond*float64(time.Second)))) == nil; n++ {
			if !yield(n) {
				return
			}
		}
	}
}
