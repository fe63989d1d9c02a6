package activities_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// counted are the counters above zero, by name and labels.
func counted(t *testing.T, b *fixture) map[string]float64 {
	t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, pair := range metric.GetLabel() {
				name += " " + pair.GetName() + "=" + pair.GetValue()
			}
			if family.GetType() == dto.MetricType_COUNTER && metric.GetCounter().GetValue() > 0 {
				found[name] = metric.GetCounter().GetValue()
			}
		}
	}
	return found
}

// Operations of any number must not add to the metrics: an operation's id, a
// status and an error's text are no labels.
func TestMetricsCountByConfiguredNamesAndClosedListsOnly(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.receiver.answer = statuses(500, 200)
		_, err := b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		b.receiver.running.Wait()

		b.core.answer = func(_ context.Context, n int) (operation.Observation, error) {
			switch n {
			case 1:
				return operation.Observation{Status: "done"}, nil
			case 2:
				return operation.Observation{Status: "unknown 1"}, nil
			case 3:
				return operation.Observation{Status: "unknown 2"}, nil
			case 4:
				return operation.Observation{}, nil
			case 5:
				return operation.Observation{}, http.ErrHandlerTimeout
			}
			return operation.Observation{}, &source.Error{Kind: source.Unauthorized}
		}
		for range 6 {
			_, err := b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
			require.NoError(t, err)
		}
		watch := watchInput(interval(time.Second, time.Second))
		watch.Record.Polls = 1
		_, err = b.watch(watch, run{})
		require.NoError(t, err)
		b.missing = true
		_, err = b.deliver(deliverInput(time.Second, 3), run{})
		require.NoError(t, err)
		_, err = b.Poll(t.Context(), activities.PollInput{TaskBegan: operation.At(time.Now()), Source: "wallet"})
		require.NoError(t, err)

		require.Equal(t, map[string]float64{
			"ringback_attempts_total endpoint=WALLET_SHOP verdict=acknowledged":   1,
			"ringback_attempts_total endpoint=WALLET_SHOP verdict=unacknowledged": 1,
			"ringback_polls_total result=answered source=wallet":                  4,
			"ringback_polls_total result=unavailable source=wallet":               1,
			"ringback_polls_total result=unauthorized source=wallet":              2,
			"ringback_unknown_statuses_total source=wallet":                       2,
			"ringback_held_back_total kind=source name=wallet":                    1,
			"ringback_missing_configuration_total kind=endpoint":                  1,
			"ringback_missing_configuration_total kind=source":                    1,
		}, counted(t, b))
	})
}

func TestATroubledEndpointIsShown(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		b.metrics.MustRegister(activities.IsolationMetrics(b.Activities))
		b.receiver.answer = statuses(500)
		_, err := b.deliver(deliverInput(time.Second, 20), run{})
		require.NoError(t, err)
		families, err := b.metrics.Gather()
		require.NoError(t, err)
		at := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "ringback_endpoint_troubled" })
		require.GreaterOrEqual(t, at, 0)
		require.InDelta(t, 1, families[at].GetMetric()[0].GetGauge().GetValue(), 0)
	})
}

func TestCountersOfConfiguredNamesBeginAtZero(t *testing.T) {
	t.Parallel()
	b := newFixture()
	b.Metrics.InitLabels([]string{"LEDGER", shop}, []string{"wallet"})
	shown, err := b.metrics.Gather()
	require.NoError(t, err)
	series := map[string]int{}
	for _, family := range shown {
		series[family.GetName()] = len(family.GetMetric())
	}
	require.Equal(t, map[string]int{
		"ringback_attempts_total": 4, "ringback_polls_total": 6, "ringback_held_back_total": 3,
		"ringback_unknown_statuses_total": 1, "ringback_missing_configuration_total": 2,
	}, series)
	require.Empty(t, counted(t, b))
}
