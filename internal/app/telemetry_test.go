package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestOpenOperationsAreCountedByOneQueryAtATimeAndNotWithEachScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		answer, failure := int64(7), error(nil)
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(newOpenCollector(func(context.Context) (int64, error) {
			asked++
			return answer, failure
		}))
		shown := func() []float64 {
			families, err := r.Gather()
			require.NoError(t, err)
			var values []float64
			for _, family := range families {
				values = append(values, family.GetMetric()[0].GetGauge().GetValue())
			}
			return values
		}
		require.Equal(t, []float64{7}, shown())
		answer = 8
		require.Equal(t, []float64{7}, shown(), "as it was a moment ago")
		require.Equal(t, 1, asked)
		time.Sleep(countedFor)
		require.Equal(t, []float64{8}, shown())
		failure = errors.New("away")
		time.Sleep(countedFor)
		require.Empty(t, shown(), "what is not known is not shown")
		require.Empty(t, shown())
		require.Equal(t, 3, asked, "and a server that is away is not asked more often")
	})
}
