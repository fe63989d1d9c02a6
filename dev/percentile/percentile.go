// Package percentile tells what most of some measured values do not exceed.
package percentile

import (
	"math"
	"slices"
)

// Of is the smallest of values that the share p of them, from 0 to 1, does not
// exceed: 0 is for the shortest, 0.5 for the median, 1 for the longest. The values
// stay in their order. Of none it is the largest value that there is: what was
// never measured reaches no target that bounds it from above.
func Of[T ~int64](values []T, p float64) T {
	if len(values) == 0 {
		return math.MaxInt64
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
