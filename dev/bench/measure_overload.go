package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
)

const (
	// overloadFactor is how many times the measured capacity is asked for.
	overloadFactor = 3
	// dueOperations fail every dueGap meanwhile.
	dueOperations = 60
	// recovered is reached once for so many seconds no start was shed and p99 was at
	// most calmStart.
	recoveredSeconds = 5
	calmStart        = 250 * time.Millisecond
	// growth is by how many MiB Ringback's peak memory may grow.
	growth = 256.0
)

// overload asks for three times the capacity, and measures what becomes of the starts,
// of callbacks that are due meanwhile, and how soon starts are fast again.
func (s *testbed) overload(ctx context.Context) error {
	if s.extent.Overload == 0 {
		return nil
	}
	full := burst(s.prefix(1), 4*s.extent.Burst)
	out, got, err := s.deliver(ctx, "ringback", full)
	if err != nil {
		return err
	}
	capacity := float64(full.Count) / duration(out, got).Seconds()
	due := burst(s.prefix(1), dueOperations).to(endpointDue)
	if _, _, err := s.deliver(ctx, "ringback", due); err != nil {
		return err
	}
	_, before, err := memoryOf(s.ringback.PID())
	if err != nil {
		return err
	}
	from := time.Now()
	s.log("%s: %.0f starts a second for %v", s.database, overloadFactor*capacity, s.extent.Overload)
	flood := s.flood(ctx, steady(s.prefix(1), overloadFactor*capacity, s.extent.Overload).to(endpointOK))
	to := time.Now()
	_, after, err := memoryOf(s.ringback.PID())
	if err != nil {
		return err
	}
	recovery := s.recovery(ctx, max(capacity/5, 1))
	accepted := flood.load
	accepted.Count -= flood.result.Failed
	started, err := s.arrivals(ctx, accepted, 2*time.Minute) // everything accepted is delivered
	if err != nil {
		return err
	}
	dueArrivals, err := s.arrivals(ctx, due, time.Minute)
	if err != nil {
		return err
	}
	s.add("capacity", "/s", capacity, nil, "64 callers, to the last callback received")
	s.add("overload: starts accepted", "/s", float64(accepted.Count)/s.extent.Overload.Seconds(), nil, fmt.Sprintf("of %d times the capacity", overloadFactor))
	s.add("overload: start to callback, p99", "ms", ms(percentile(latencies(flood.load, flood.result, started), 0.99)), nil, "of accepted starts")
	s.add("overload: starts shed without Retry-After", "", float64(flood.withoutRetryAfter.Load()), atMost(0), "")
	s.add("overload: starts that failed otherwise", "", float64(flood.failed.Load()), atMost(0), "")
	s.add("overload: callbacks due meanwhile, late at p99", "ms", ms(percentile(lateness(dueArrivals, from, to), 0.99)), atMost(2000), "")
	s.add("overload: growth of Ringback's peak memory", "MiB", float64(after-before)/(1<<20), atMost(growth), "")
	s.add("overload: starts fast again after", "s", recovery.Seconds(), atMost(60), fmt.Sprintf("p99 at most %v and none shed for %d s", calmStart, recoveredSeconds))
	return nil
}

// flood is a load of starts that may be shed.
type flood struct {
	load   load
	result result
	// failed starts are neither accepted nor shed.
	withoutRetryAfter, failed atomic.Int64
}

func (s *testbed) flood(ctx context.Context, l load) *flood {
	f := &flood{load: l}
	f.result = l.run(ctx, func(ctx context.Context, endpoint, id string) error {
		err := s.startOperation(ctx, endpoint, id)
		p, ok := errors.AsType[*apiclient.Problem](err)
		switch {
		case err == nil:
		case !ok || p.Status != http.StatusServiceUnavailable && p.Status != http.StatusTooManyRequests:
			f.failed.Add(1)
		case p.RetryAfter == "":
			f.withoutRetryAfter.Add(1)
		}
		return err
	})
	return f
}

// shed is how many starts were refused for now.
func (f *flood) shed() float64 { return float64(int64(f.result.Failed) - f.failed.Load()) }

// recovery is how long it takes until starts are fast and none is shed.
func (s *testbed) recovery(ctx context.Context, perSecond float64) time.Duration {
	begun, calm := time.Now(), 0
	for calm < recoveredSeconds && time.Since(begun) < 2*time.Minute && ctx.Err() == nil {
		second := s.flood(ctx, steady(s.prefix(1), perSecond, time.Second).to(endpointOK)).result
		if calm++; second.Failed > 0 || percentile(second.Took, 0.99) > calmStart {
			calm = 0
		}
	}
	return max(time.Since(begun)-time.Duration(calm)*time.Second, 0)
}

// lateness is how late each attempt was that was due between from and to, dueGap after
// the one before it.
func lateness(got map[string][]arrival, from, to time.Time) []time.Duration {
	var all []time.Duration
	for _, a := range got {
		for i := 1; i < len(a); i++ {
			due := time.Unix(0, a[i-1].Answered).Add(dueGap)
			if due.After(from) && due.Before(to) {
				all = append(all, max(time.Unix(0, a[i].Came).Sub(due), 0))
			}
		}
	}
	return all
}
