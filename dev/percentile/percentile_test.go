package percentile_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/percentile"
)

func TestAPercentileIsOneOfTheValuesInTheirOrderBySize(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for n := range 100 {
		hundred = append(hundred, time.Duration(100-n))
	}
	for name, tc := range map[string]struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		"none reaches no target":                          {p: 0.99, want: math.MaxInt64},
		"one is every percentile":                         {of: []time.Duration{7}, p: 0.01, want: 7},
		"0 is the shortest":                               {of: []time.Duration{3, 1, 2}, p: 0, want: 1},
		"half of three do not exceed the second":          {of: []time.Duration{3, 1, 2}, p: 0.5, want: 2},
		"half of two do not exceed the first":             {of: []time.Duration{2, 1}, p: 0.5, want: 1},
		"1 is the longest":                                {of: []time.Duration{3, 1, 2}, p: 1, want: 3},
		"99 of a hundred leave out the longest alone":     {of: hundred, p: 0.99, want: 99},
		"beyond 99 of a hundred there is but the longest": {of: hundred, p: 0.995, want: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, percentile.Of(tc.of, tc.p))
		})
	}
}

func TestTheValuesStayInTheirOrder(t *testing.T) {
	t.Parallel()
	values := []time.Duration{3, 1, 2}
	percentile.Of(values, 0.5)
	require.Equal(t, []time.Duration{3, 1, 2}, values)
}
