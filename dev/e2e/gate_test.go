package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"

	"ringback/activities"
	"ringback/internal/app"
	"ringback/workflows"
)

func TestABuildPassesItsGateOnlyWhereItWorks(t *testing.T) {
	t.Parallel()
	w := newEnvironment(t, sharedServer(t), quick)
	api := w.run(t, func(o *app.Options) { o.GatePing = "LEDGER" }).Client
	w.core.SetStatus("951", "done")
	awaitClosed(t, api, start(t, api, entry("951"))) // whose memo the gate opens
	c := w.temporalClient(t)
	gate := func(id string) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.TaskQueue}, workflows.GateType)
		require.NoError(t, err)
		return run
	}
	require.NoError(t, gate("gate of a build that works").Get(t.Context(), nil))

	whole, err := os.ReadFile(w.config)
	require.NoError(t, err)
	w.edit(t, func(text string) string { return strings.ReplaceAll(text, "attempts: 4", "attempts: 0") })
	run := gate("gate of a file that is mended meanwhile")
	require.Eventually(t, func() bool {
		description, err := c.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
		return err == nil && slices.ContainsFunc(description.GetPendingActivities(), func(p *workflowpb.PendingActivityInfo) bool {
			return p.GetLastFailure().GetApplicationFailureInfo().GetType() == activities.TypeConfigurationFails
		})
	}, patience, 20*time.Millisecond)
	require.NoError(t, os.WriteFile(w.config, whole, 0o600))
	require.NoError(t, run.Get(t.Context(), nil), "failed checks are repeated")
}
