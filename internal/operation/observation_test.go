package operation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestAnObservationIsNeverDatedBeforeTheOneThatItFollows(t *testing.T) {
	t.Parallel()
	noon := operation.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	before := &operation.Observation{Status: "new", BegunAt: noon, ObservedAt: noon.Add(time.Second)}
	for _, tt := range []struct {
		name          string
		before        *operation.Observation
		begun, read   operation.Time
		begins, reads operation.Time
	}{
		{"the first one of all stays as it is", nil, noon, noon, noon, noon},
		{"one that is later stays as it is", before, noon.Add(time.Minute), noon.Add(2 * time.Minute), noon.Add(time.Minute), noon.Add(2 * time.Minute)},
		{"one of a clock that was set back begins when the other was read", before, noon.Add(-time.Hour), noon.Add(-time.Hour), before.ObservedAt, before.ObservedAt},
		{"one that was on its way when the clocks disagreed keeps its end", before, noon, noon.Add(time.Minute), before.ObservedAt, noon.Add(time.Minute)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := operation.Observation{Status: "done", BegunAt: tt.begun, ObservedAt: tt.read}.Following(tt.before)
			require.Equal(t, operation.Observation{Status: "done", BegunAt: tt.begins, ObservedAt: tt.reads}, got)
		})
	}
}

func TestRulesSayWhatAStatusMeans(t *testing.T) {
	t.Parallel()
	rules := operation.Rules{
		Final:     []string{"done", "revoked"},
		Delivered: []string{"waiting_funds", "done"},
		Revocable: []string{"new", "waiting", "waiting_*"},
	}
	for _, tt := range []struct {
		name, status               string
		final, delivers, revocable bool
	}{
		{"one that is in two sets", "done", true, true, false},
		{"one that is final and is not delivered", "revoked", true, false, false},
		{"one that matches by its beginning", "waiting_password", false, false, true},
		{"one that is delivered and matches by its beginning", "waiting_funds", false, true, true},
		{"the beginning itself, without what follows", "waiting_", false, false, true},
		{"one that is named whole", "waiting", false, false, true},
		{"one that only begins like a whole name", "newer", false, false, false},
		{"the asterisk is no letter of another set", "waiting*", false, false, false},
		{"another case is another status", "Done", false, false, false},
		{"an unknown one means nothing", "frozen", false, false, false},
		{"none known yet may be revoked and is nothing else", "", false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.final, rules.IsFinal(tt.status), "final")
			require.Equal(t, tt.delivers, rules.Delivers(tt.status), "delivers")
			require.Equal(t, tt.revocable, rules.IsRevocable(tt.status), "revocable")
		})
	}
}

func TestAnAsteriskAloneMatchesEveryStatusButNone(t *testing.T) {
	t.Parallel()
	rules := operation.Rules{Delivered: []string{"*"}}
	require.True(t, rules.Delivers("anything"))
	require.False(t, rules.Delivers(""))
	require.False(t, operation.Rules{Delivered: []string{""}}.Delivers("anything"))
	require.False(t, operation.Rules{}.Delivers("anything"))
}
