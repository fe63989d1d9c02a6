package main

import (
	"context"
	"fmt"
	"time"
)

// polls measures the CPU time of one further poll, of plain and Ringback.
func (s *testbed) polls(ctx context.Context) error {
	var cpu [3]float64
	for i, c := range []crowd{
		{s.plain, "ok", s.prefix(0), "count polls", time.Second, 40},
		{s.ringback, endpointSecond, s.prefix(0), "count polls", time.Second, 100},
		{s.ringback, endpointSchedule, s.prefix(0), "count polls", scheduleGap, 240},
	} {
		var err error
		if cpu[i], err = s.further(ctx, c); err != nil {
			return err
		}
	}
	plain, second, schedule := cpu[0], cpu[1], cpu[2]
	s.add("CPU of one further poll, plain", "ms", plain, nil, "a second apart")
	s.add("CPU of one further poll, a second apart", "ms", second, nil, "")
	s.add("CPU of one further poll, on a schedule", "ms", schedule, nil, fmt.Sprintf("gaps of %v; Ukrcard's are 5 s to 10 min", scheduleGap))
	s.add("CPU of one further poll, a second apart / plain", "", second/plain, atMost(0.25), "")
	s.add("CPU of one further poll, on a schedule / plain", "", schedule/plain, atMost(0.25), "")
	return nil
}
