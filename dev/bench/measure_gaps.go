package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ringback/dev/percentile"
)

// gaps measure the wait between the end of the first attempt and the beginning
// of the second against h, under a load of 50/s. Every round is started before
// the first is gathered: the longest h would be waited for in each.
func (b *bench) gaps(ctx context.Context, s *stage) error {
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

// gapsRate is how many operations a second fail their first attempt at each h;
// the others of the 50 are acknowledged.
const gapsRate = 2.0

// startGaps starts operations whose first attempt fails, some for each h, and
// others that are acknowledged.
func (b *bench) startGaps(ctx context.Context, s *stage) ([]load, error) {
	var all sync.WaitGroup
	loads, errs := make([]load, len(b.extent.Gaps)+1), make([]error, len(b.extent.Gaps)+1)
	for i := range loads {
		endpoint, rate := endpointOK, steadyRate-gapsRate*float64(len(b.extent.Gaps))
		if i < len(b.extent.Gaps) {
			endpoint, rate = endpointGap(b.extent.Gaps[i]), gapsRate
		}
		loads[i] = steady(s.prefix(1), rate, b.extent.GapsFor).to(endpoint)
		all.Go(func() {
			var out loaded
			out, errs[i] = b.call(ctx, s, "starts", loads[i], s.api.start)
			loads[i].Count -= out.Failed
		})
	}
	all.Wait()
	return loads, errors.Join(errs...)
}

func (b *bench) gap(ctx context.Context, s *stage, h time.Duration, l load) error {
	seconds := func(got map[string][]arrival) (over []time.Duration) {
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
		if over = seconds(got); time.Now().After(deadline) && len(over) < l.Count {
			return fmt.Errorf("at h = %v, only %d of %d operations were rung a second time", h, len(over), l.Count)
		}
	}
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, p99", h), "ms", ms(percentile.Of(over, 0.99)), atMost(ms(gapMargin)), "")
	b.table.add(s.database, fmt.Sprintf("gap beyond h = %v, shortest", h), "ms", ms(percentile.Of(over, 0)), atLeast(-1), "clocks are read on both sides of a socket")
	return nil
}
