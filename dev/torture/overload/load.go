package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// caller calls the API and keeps what became of each start.
type caller struct {
	base, key string
	http      http.Client
	serial    atomic.Int64

	mu       sync.Mutex
	accepted map[string]start
}

// start is one that was accepted.
type start struct {
	at   time.Time
	took time.Duration
}

func newCaller(base, key string) *caller {
	return &caller{
		base: base, key: key, accepted: map[string]start{},
		http: http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096}},
	}
}

// call makes one call and returns its status, 0 where no answer came, and its
// Retry-After.
func (c *caller) call(ctx context.Context, method, path, body string) (status int, retryAfter string) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, ""
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header.Get("Retry-After")
}

// id is a new one.
func (c *caller) id(prefix string) string { return fmt.Sprintf("%s-%d", prefix, c.serial.Add(1)) }

// start starts an operation.
func (c *caller) start(ctx context.Context, endpoint, id string) (status int, retryAfter string) {
	body, err := json.Marshal(map[string]any{
		"endpoint": endpoint, "operation_id": id, "method": "payment",
		"reference": map[string]string{"registered_at": "2026-11-21T09:30:00Z"},
	})
	if err != nil {
		return 0, ""
	}
	begun := time.Now()
	status, retryAfter = c.call(ctx, http.MethodPost, "/v1/operations", string(body))
	if status == http.StatusCreated || status == http.StatusOK {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.accepted[id] = start{begun, time.Since(begun)}
	}
	return status, retryAfter
}

// startAll starts n operations and returns their ids.
func (c *caller) startAll(ctx context.Context, endpoint, prefix string, n int) ([]string, error) {
	var ids []string
	for range n {
		id := c.id(prefix)
		if status, _ := c.start(ctx, endpoint, id); status != http.StatusCreated {
			return nil, fmt.Errorf("start %s of %s: answered %d", id, endpoint, status)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// within are the accepted starts of that span.
func (c *caller) within(s span) map[string]start {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]start{}
	for id, a := range c.accepted {
		if s.holds(a.at) {
			found[id] = a
		}
	}
	return found
}

// tally is what became of some calls.
type tally struct {
	mu                                                    sync.Mutex
	span                                                  span
	offered, accepted, shed, withoutRetryAfter, other, no int
	// shedAt is when each was shed.
	shedAt []time.Time
}

func (t *tally) note(status int, retryAfter string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offered++
	switch status {
	case http.StatusCreated, http.StatusOK:
		t.accepted++
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		t.shed++
		t.shedAt = append(t.shedAt, time.Now())
		if seconds, err := strconv.Atoi(retryAfter); err != nil || seconds < 1 {
			t.withoutRetryAfter++
		}
	case 0:
		t.no++
	default:
		t.other++
	}
}

// closed lets n starters call one after another for d.
func (c *caller) closed(ctx context.Context, n int, d time.Duration) *tally {
	t := &tally{span: span{time.Now(), time.Now().Add(d)}}
	var starters sync.WaitGroup
	for range n {
		starters.Go(func() {
			for time.Now().Before(t.span.to) && ctx.Err() == nil {
				t.note(c.start(ctx, quick, c.id("q")))
			}
		})
	}
	starters.Wait()
	return t
}

// again are starts that were shed and are sent again: at once by those that
// don't obey Retry-After, when it is over by those that do. Those that wait
// equally long are in one queue, the first to be sent first.
type again struct {
	mu     sync.Mutex
	queues [comeBackWithin + 1][]retrial
}

// comeBackWithin is the longest Retry-After in seconds that is told apart.
const comeBackWithin = 5

type retrial struct {
	id   string
	from time.Time
}

func (a *again) add(id, retryAfter string, obeys bool) {
	wait, _ := strconv.Atoi(retryAfter) // one that is missing is counted elsewhere
	if !obeys {
		wait = 0
	}
	wait = min(wait, comeBackWithin)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queues[wait] = append(a.queues[wait], retrial{id, time.Now().Add(time.Duration(wait) * time.Second)})
}

// next takes one that may be sent again now.
func (a *again) next() (id string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for i, queue := range a.queues {
		if len(queue) > 0 && queue[0].from.Before(now) {
			a.queues[i] = queue[1:]
			return queue[0].id, true
		}
	}
	return "", false
}

// maxInFlight bounds the calls of an open loop that wait for an answer.
const maxInFlight = 8192

// open asks for perSecond starts in each second of d, whatever comes of them.
// Of what is shed every second one obeys Retry-After; all are sent again, within
// the same rate.
func (c *caller) open(ctx context.Context, perSecond float64, d time.Duration) *tally {
	begun := time.Now()
	t := &tally{span: span{begun, begun.Add(d)}}
	var calls sync.WaitGroup
	defer calls.Wait()
	var shed again
	inFlight := make(chan struct{}, maxInFlight)
	gap := time.Duration(float64(time.Second) / perSecond)
	for i := range int(perSecond * d.Seconds()) {
		select {
		case <-ctx.Done():
			return t
		case <-time.After(time.Until(begun.Add(time.Duration(i) * gap))):
		}
		id, ok := shed.next()
		if !ok {
			id = c.id("q")
		}
		inFlight <- struct{}{}
		calls.Go(func() {
			defer func() { <-inFlight }()
			status, retryAfter := c.start(ctx, quick, id)
			t.note(status, retryAfter)
			if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
				shed.add(id, retryAfter, i%2 == 0)
			}
		})
	}
	return t
}

// each calls do perSecond times a second until ctx ends.
func each(ctx context.Context, perSecond int, do func(i int)) *sync.WaitGroup {
	var calls sync.WaitGroup
	calls.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				calls.Go(func() { do(i) })
			}
		}
	})
	return &calls
}
