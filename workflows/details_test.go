package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
)

func TestARunShowsItsDetails(t *testing.T) {
	t.Parallel()
	var open string
	m, _ := row{in: paysera(k(3)), core: says("reserved", "reserved", "done"), receiver: []receiverReply{ack, fails}}.run(t, func(m *simulator) {
		m.env.RegisterDelayedCallback(func() { open = currentDetails(t, m) }, time.Minute)
	})
	require.Contains(t, open, "**watching** · status `reserved`")
	require.Contains(t, open, "| 1\u00A0 | 2026-11-21 09:00:00.000\u00A0 | 200\u00A0 | acknowledged\u00A0 |")
	closed := currentDetails(t, m)
	require.Contains(t, closed, "**exhausted** · status `done` (final)")
	require.Contains(t, closed, "| 3\u00A0 | 09:22:00.000\u00A0 | 500\u00A0 | unacknowledged\u00A0 | `HTTP 500` |")
	require.Contains(t, closed, "starter redeliver SHOP 1 --reason")
}

// currentDetails are what the UI would show now.
func currentDetails(t *testing.T, m *simulator) string {
	t.Helper()
	value, err := m.env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(t, value.Get(&metadata))
	return metadata.GetCurrentDetails()
}
