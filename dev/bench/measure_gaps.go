package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// gaps measures from the end of the first attempt to the beginning of the second, under
// a load of 50/s. All rounds are started first, so that the longest h is waited for once.
func (b *bench) gaps(ctx context.Context, s *testbed) error {
	rounds := make([][]load, b.extent.Rounds)
	for i := range rounds {
		var err error
		if rounds[i], err = b.startGaps(ctx, s); err != nil {
			return err
		}
	}
	for _, loads := range rounds {
		for i, h := range b.extent.Gaps {
			if err := b.gap(ctx, s, h, loads[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// gapsRate is how many operations a second fail their first attempt, for each h.
const gapsRate = 2.0

// startGaps starts operations whose first attempt fails, some for each h, and
// others that are acknowledged.
func (b *bench) startGaps(ctx context.Context, s *testbed) ([]load, error) {
	var all sync.WaitGroup
	loads, errs := make([]load, len(b.extent.Gaps)+1), make([]error, len(b.extent.Gaps)+1)
	for i := range loads {
		endpoint, rate := endpointOK, steadyRate-gapsRate*float64(len(b.extent.Gaps))
		if i < len(b.extent.Gaps) {
			endpoint, rate = endpointGap(b.extent.Gaps[i]), gapsRate
		}
		loads[i] = steady(s.prefix(1), rate, b.extent.GapsFor).to(endpoint)
		all.Go(func() {
			var out result
			out, errs[i] = b.call(ctx, s, "starts", loads[i], s.start)
			loads[i].Count -= out.Failed
		})
	}
	all.Wait()
	return loads, errors.Join(errs...)
}

func (b *bench) gap(ctx context.Context, s *testbed, h time.Duration, l load) error {
	gapsBeyond := func(got map[string][]arrival) (over []time.Duration) {
		for _, a := range got {
			if len(a) > 1 && a[0].Answered > 0 {
				over = append(over, time.Duration(a[1].Came-a[0].Answered)-h)
			}
		}
		return over
	}
	var over []time.Duration
	for deadline := time.Now().Add(h + 20*time.Second); len(over) < l.Count; time.Sleep(50 * time.Millisecond) {
		got, err := s.arrivals(ctx, l, time.Minute)
		if err != nil {
			return err
		}
		if over = gapsBeyond(got); time.Now().After(deadline) && len(over) < l.Count {
			return fmt.Errorf("at h = %v, only %d of %d operations got a second attempt", h, len(over), l.Count)
		}
	}
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, p99", h), "ms", ms(percentile(over, 0.99)), atMost(ms(gapMargin)), "")
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, shortest", h), "ms", ms(percentile(over, 0)), atLeast(-1), "clocks are read on both sides of a socket")
	return nil
}
