package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestFiguresSayWhichTargetIsMissed(t *testing.T) {
	t.Parallel()
	var f Figures
	f.told("starts", 3)
	f.wanted("duplicates", 0, "none", true)
	require.Zero(t, f.Missed())
	f.wanted("failed", 2, "none", false)
	require.Equal(t, 1, f.Missed())
	var table strings.Builder
	require.NoError(t, f.Print(&table))
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, []string{"duplicates", "0", "none", "reached"}, strings.Fields(lines[1]))
	require.Equal(t, []string{"failed", "2", "none", "MISSED"}, strings.Fields(lines[2]))
}

// second is that second of a scenario whose worker is killed at 10 and started
// again at 11.
func second(n float64) time.Time {
	return time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(time.Second)))
}

func TestWhatAKillLeavesBehind(t *testing.T) {
	t.Parallel()
	took := func(came, answered float64) rung {
		return rung{came: second(came), answered: second(answered), took: true}
	}
	refused := func(came float64) rung { return rung{came: second(came), answered: second(came)} }
	for name, tc := range map[string]struct {
		began                            float64
		rings                            []rung
		late                             []time.Duration
		duplicates, inFlight, unrecorded int
	}{
		"a callback that was acknowledged long before is nothing":        {began: 1, rings: []rung{took(2, 3)}},
		"one that waited is as late as it comes after the restart":       {began: 1, rings: []rung{refused(2), took(14, 14.1)}, late: []time.Duration{3 * time.Second}},
		"one that was started while the worker was away is late as well": {began: 10.5, rings: []rung{took(12, 12.1)}, late: []time.Duration{time.Second}},
		"one that was started after the restart is not late":             {began: 11.5, rings: []rung{took(15, 15.1)}},
		"one that was in flight and comes again is a duplicate":          {began: 9, rings: []rung{took(9.9, 10.1), took(16, 16.1)}, duplicates: 1, inFlight: 1},
		"one that was answered just before may not have been recorded":   {began: 9, rings: []rung{took(9.7, 9.8), took(16, 16.1)}, duplicates: 1, unrecorded: 1},
		"one that nobody answered is in flight":                          {began: 9, rings: []rung{{came: second(9.9)}, took(12, 12.1)}, late: []time.Duration{time.Second}, inFlight: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := operation.Key{Endpoint: fresh, OperationID: "1"}
			keys := map[operation.Key]time.Time{key: second(tc.began)}
			y := &yard{rings: map[string][]rung{"1": tc.rings}}
			b := &backlog{scenario: &scenario{yard: y}, killed: second(10), restarted: second(11)}
			require.Equal(t, tc.late, b.overdue(keys))
			require.Equal(t, tc.duplicates, duplicates(y, keys))
			inFlight, unrecorded := y.underWay(b.killed)
			require.Equal(t, tc.inFlight, inFlight)
			require.Equal(t, tc.unrecorded, unrecorded)
		})
	}
}
