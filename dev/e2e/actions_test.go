package e2e_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheHappyPathCostsTwoTemporalActions reads what the program counts itself; a plain
// sample's workflow and its two activities are three. An activity makes the first attempt
// at an endpoint that it has not called yet, so another operation comes before.
func TestTheHappyPathCostsTwoTemporalActions(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t).Client
	counted := func() map[string]int {
		all := map[string]int{}
		for _, line := range regexp.MustCompile(`(?m)^ringback_temporal_actions_total\{action="(\w+)"\} (\d+)`).FindAllStringSubmatch(scrape(t, telemetryAddress(t, api)), -1) {
			all[line[1]], _ = strconv.Atoi(line[2])
		}
		return all
	}
	temporal := w.temporalClient(t)
	deliver := func(id string) {
		w.core.SetStatus(id, "done")
		// Not awaited over the API: reading an open operation is an action, too.
		require.NoError(t, temporal.GetWorkflow(t.Context(), start(t, api, entry(id)).WorkflowID(), "").Get(t.Context(), nil))
	}
	deliver("1")
	// A call is counted once it is answered, which may be after the run has closed; its
	// last command unsets the phase.
	require.Eventually(t, func() bool { return counted()["upsert_workflow_search_attributes"] == 2 }, patience, 20*time.Millisecond)
	want := counted()
	want["start_workflow"]++
	want["record_activity_markers"]++
	deliver("2")
	require.Eventually(t, func() bool { return counted()["record_activity_markers"] == want["record_activity_markers"] }, patience, 20*time.Millisecond)
	require.Equal(t, want, counted())
}
