package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is Count calls, for ids that begin with Prefix: by Callers in a closed loop, or
// PerSecond of them a second.
type load struct {
	Prefix, Endpoint string
	Count, Callers   int
	PerSecond        float64
}

// burst and steady are the two kinds of load.
func burst(prefix string, count int) load { return load{Prefix: prefix, Count: count, Callers: 64} }

func steady(prefix string, perSecond float64, d time.Duration) load {
	return load{Prefix: prefix, Count: int(perSecond * d.Seconds()), PerSecond: perSecond}
}

func (l load) to(endpoint string) load {
	l.Endpoint = endpoint
	return l
}

// result is when each call of a load began, in Unix nanoseconds, and how long it took:
// 0 if it failed. Sample is one of the errors.
type result struct {
	Began  []int64
	Took   []time.Duration
	Failed int
	Sample string
}

// maxInFlight bounds the concurrent calls of an open loop.
const maxInFlight = 8192

// run makes call for each id and waits for all of them.
func (l load) run(ctx context.Context, call func(ctx context.Context, endpoint, id string) error) result {
	out := result{Began: make([]int64, l.Count), Took: make([]time.Duration, l.Count)}
	var failed atomic.Int64
	var sample atomic.Value
	one := func(i int) {
		begun := time.Now()
		out.Began[i] = begun.UnixNano()
		if err := call(ctx, l.Endpoint, l.id(i)); err != nil {
			failed.Add(1)
			sample.CompareAndSwap(nil, err.Error())
			return
		}
		out.Took[i] = time.Since(begun)
	}
	if l.PerSecond > 0 {
		l.openLoop(ctx, one)
	} else {
		l.closedLoop(ctx, one)
	}
	out.Failed = int(failed.Load())
	out.Sample, _ = sample.Load().(string)
	return out
}

// id has at most 32 characters, as every core requires.
func (l load) id(i int) string { return fmt.Sprintf("%s-%d", l.Prefix, i) }

func (l load) closedLoop(ctx context.Context, one func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range l.Callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < l.Count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				one(i)
			}
		})
	}
	all.Wait()
}

func (l load) openLoop(ctx context.Context, one func(int)) {
	var all sync.WaitGroup
	defer all.Wait()
	inFlight := make(chan struct{}, maxInFlight)
	begun := time.Now()
	gap := time.Duration(float64(time.Second) / l.PerSecond)
	for i := range l.Count {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(begun.Add(time.Duration(i) * gap))):
		}
		inFlight <- struct{}{}
		all.Go(func() {
			one(i)
			<-inFlight
		})
	}
}
