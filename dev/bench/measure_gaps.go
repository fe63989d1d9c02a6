package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// gapsRate is how many operations a second fail their first attempt, for each h.
	gapsRate = 2.0
	// gapMargin is how late an attempt may be at p99 (promise 5).
	gapMargin = 50 * time.Millisecond
)

// gaps measures from the end of the first attempt to the beginning of the second, under
// a load of 50/s.
func (s *testbed) gaps(ctx context.Context) error {
	var all sync.WaitGroup
	loads, errs := make([]load, len(s.extent.Gaps)+1), make([]error, len(s.extent.Gaps)+1)
	for i := range loads {
		endpoint, rate := endpointOK, steadyRate-gapsRate*float64(len(s.extent.Gaps))
		if i < len(s.extent.Gaps) {
			endpoint, rate = endpointGap(s.extent.Gaps[i]), gapsRate
		}
		loads[i] = steady(s.prefix(1), rate, s.extent.GapsFor).to(endpoint)
		all.Go(func() {
			var out result
			out, errs[i] = s.call(ctx, "starts", loads[i], s.startOperation)
			loads[i].Count -= out.Failed
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, h := range s.extent.Gaps {
		if err := s.gap(ctx, h, loads[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *testbed) gap(ctx context.Context, h time.Duration, l load) error {
	var over []time.Duration
	for deadline := time.Now().Add(h + 20*time.Second); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.arrivals(ctx, l, time.Minute)
		if err != nil {
			return err
		}
		over = nil
		for _, a := range got {
			if len(a) > 1 && a[0].Answered > 0 {
				over = append(over, time.Duration(a[1].Came-a[0].Answered)-h)
			}
		}
		if len(over) >= l.Count {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("at h = %v, only %d of %d operations got a second attempt", h, len(over), l.Count)
		}
	}
	s.add(fmt.Sprintf("gap beyond h = %v, p99", h), "ms", ms(percentile(over, 0.99)), atMost(ms(gapMargin)), "")
	s.add(fmt.Sprintf("gap beyond h = %v, shortest", h), "ms", ms(percentile(over, 0)), atLeast(-1), "clocks are read on both sides of a socket")
	return nil
}
