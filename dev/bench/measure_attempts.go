package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// shortGap is an h that a delivery waits for in the worker, longGap one that it waits
	// for on the server, as it does for every h over 5 s.
	shortGap = time.Second
	longGap  = 6 * time.Second
)

// attempts measures the CPU time of one further attempt, of plain and Ringback.
func (s *testbed) attempts(ctx context.Context) error {
	var cpu [3]float64
	for i, c := range []crowd{
		{s.plain, "down", s.prefix(1), "count attempts", plainGap, 40},
		{s.ringback, endpointDown(shortGap), s.prefix(1), "count attempts", shortGap, 100},
		{s.ringback, endpointDown(longGap), s.prefix(1), "count attempts", longGap, 160},
	} {
		var err error
		if cpu[i], err = s.further(ctx, c); err != nil {
			return err
		}
	}
	plain, short, long := cpu[0], cpu[1], cpu[2]
	s.add("CPU of one further attempt, plain", "ms", plain, nil, fmt.Sprintf("h = %v", plainGap))
	for _, m := range []struct {
		h         time.Duration
		cpu, most float64
		note      string
	}{
		{shortGap, short, 0.15, "waits in the worker, as for every h up to 5 s"},
		{longGap, long, 1, "waits on the server, as for h = 60 s"},
	} {
		s.add(fmt.Sprintf("CPU of one further attempt, h = %v", m.h), "ms", m.cpu, nil, m.note)
		s.add(fmt.Sprintf("CPU of one further attempt, h = %v / plain", m.h), "", m.cpu/plain, atMost(m.most), m.note)
	}
	return nil
}
