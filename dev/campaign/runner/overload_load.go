package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// starts are the calls of cores that start operations at one API, each made once,
// and what was accepted of them. It is safe for concurrent use.
type starts struct {
	client *apiclient.Client
	serial atomic.Int64

	mu       sync.Mutex
	accepted map[operation.Key]accepted
}

// accepted is when a start was begun that was accepted, and how long it took.
type accepted struct {
	at   time.Time
	took time.Duration
}

// startPatience is how long the answer to a start is waited for.
const startPatience = time.Minute

func newStarts(api *apiclient.Client) *starts {
	client := *api
	client.HTTP.Timeout = startPatience
	return &starts{client: &client, accepted: map[operation.Key]accepted{}}
}

// key is that of an operation that there is not yet.
func (s *starts) key(endpoint, prefix string) operation.Key {
	return operation.Key{Endpoint: endpoint, OperationID: fmt.Sprintf("%s-%d", prefix, s.serial.Add(1))}
}

func (s *starts) startOnce(ctx context.Context, key operation.Key) error {
	begun := time.Now()
	_, _, err := s.client.Start(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID})
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.accepted[key] = accepted{begun, time.Since(begun)}
	}
	return err
}

// within are those that were begun in a span.
func (s *starts) within(during span) map[operation.Key]accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[operation.Key]accepted{}
	for key, a := range s.accepted {
		if during.holds(a.at) {
			found[key] = a
		}
	}
	return found
}

func (s *starts) took(during span) (all []time.Duration) {
	for _, a := range s.within(during) {
		all = append(all, a.took)
	}
	return all
}

// closedLoop lets so many callers start one operation after another.
func (s *starts) closedLoop(ctx context.Context, callers int, length time.Duration) *answers {
	a := newAnswers(length)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for time.Now().Before(a.to) && ctx.Err() == nil {
				a.note(s.startOnce(ctx, s.key(fresh, "fresh")))
			}
		})
	}
	all.Wait()
	return a
}

// maxInFlight bounds the calls of an open loop that wait for an answer.
const maxInFlight = 8192

// openLoop asks for so many starts a second, whatever comes of them. Of what is
// shed every second one obeys Retry-After; all are sent again, within the same
// rate.
func (s *starts) openLoop(ctx context.Context, perSecond float64, length time.Duration) *answers {
	a := newAnswers(length)
	var again comebacks
	var all sync.WaitGroup
	defer all.Wait()
	inFlight := make(chan struct{}, maxInFlight)
	for n := range evenly(ctx, perSecond) {
		if float64(n) >= perSecond*length.Seconds() {
			break
		}
		key, ok := again.next(time.Now())
		if !ok {
			key = s.key(fresh, "fresh")
		}
		inFlight <- struct{}{}
		all.Go(func() {
			defer func() { <-inFlight }()
			err := s.startOnce(ctx, key)
			a.note(err)
			if seconds, shed := comeBack(err); shed {
				again.add(key, time.Now(), seconds*(n%2))
			}
		})
	}
	return a
}

// beat calls do so many times a second until ctx ends; wait waits for all of them.
func beat(ctx context.Context, perSecond float64, do func(n int)) (wait func()) {
	var all sync.WaitGroup
	all.Go(func() {
		for n := range evenly(ctx, perSecond) {
			all.Go(func() { do(n) })
		}
	})
	return all.Wait
}

// span is a time that is looked at by itself.
type span struct{ from, to time.Time }

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// answers are what became of the calls in a span.
type answers struct {
	span
	mu                                                 sync.Mutex
	offered, accepted, shed, withoutRetryAfter, failed int
	// why is the first failure.
	why error
}

func newAnswers(length time.Duration) *answers {
	now := time.Now()
	return &answers{span: span{now, now.Add(length)}}
}

func (a *answers) note(err error) {
	seconds, shed := comeBack(err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offered++
	switch {
	case err == nil:
		a.accepted++
	case shed:
		a.shed++
		if seconds == 0 {
			a.withoutRetryAfter++
		}
	default:
		a.failed++
		if a.why == nil {
			a.why = err
		}
	}
}

// comeBack reports whether a call was shed: answered 503 or 429. Then it is also
// told after how many seconds to come back; 0 is none that makes sense.
func comeBack(err error) (seconds int, shed bool) {
	p, ok := errors.AsType[*apiclient.Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable && p.Status != http.StatusTooManyRequests {
		return 0, false
	}
	seconds, _ = strconv.Atoi(p.RetryAfter) // 0 if it is not a number
	return max(seconds, 0), true
}

// comebacks are starts that were shed and are to be sent again. Those that wait
// equally long are in one queue, the first to be sent first.
type comebacks struct {
	mu     sync.Mutex
	queues [longestWait + 1][]comeback
}

// longestWait is the longest Retry-After, in seconds, that is told apart.
const longestWait = 5

type comeback struct {
	key  operation.Key
	from time.Time
}

func (c *comebacks) add(key operation.Key, now time.Time, seconds int) {
	seconds = min(seconds, longestWait)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queues[seconds] = append(c.queues[seconds], comeback{key, now.Add(time.Duration(seconds) * time.Second)})
}

// next takes one that may be sent again now.
func (c *comebacks) next(now time.Time) (key operation.Key, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, queue := range c.queues {
		if len(queue) > 0 && !queue[0].from.After(now) {
			c.queues[i] = queue[1:]
			return queue[0].key, true
		}
	}
	return operation.Key{}, false
}
