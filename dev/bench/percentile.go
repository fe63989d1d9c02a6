package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest of values that the share p of them, from 0 to 1, does not
// exceed. Of no values it is the largest duration, which misses every upper bound.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return math.MaxInt64
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
