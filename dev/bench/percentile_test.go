package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPercentileIsTheSmallestValueThatTheShareDoesNotExceed(t *testing.T) {
	t.Parallel()
	values := []time.Duration{5, 1, 4, 2, 3}
	for p, want := range map[float64]time.Duration{0: 1, 0.2: 1, 0.21: 2, 0.5: 3, 0.99: 5, 1: 5} {
		require.Equal(t, want, percentile(values, p), p)
	}
	require.Equal(t, []time.Duration{5, 1, 4, 2, 3}, values, "the values keep their order")
	require.Equal(t, time.Duration(math.MaxInt64), percentile(nil, 0.5))
}
