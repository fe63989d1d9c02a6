package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"

	"ringback/internal/operation"
	"ringback/workflows"
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
	require.Contains(t, closed, "| 3\u00A0 | 09:22:00.000\u00A0 | 500\u00A0 | unacknowledged\u00A0 | none\u00A0 | none\u00A0 | `HTTP 500` |")
	require.Contains(t, closed, "starter redeliver SHOP 1 --reason")
}

// TestASignalThatIsNotTakenLeavesALineInTheDetails: who sends one in the UI gets no answer.
func TestASignalThatIsNotTakenLeavesALineInTheDetails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal string
		arg    any
		want   string
	}{
		"no JSON object":             {"revoke", "user", "`its input could not be read: it is a JSON object, sealed where there are codec keys`"},
		"a revocation by nobody":     {"revoke", map[string]string{}, "`The request is not valid; nothing was changed. initiated_by: is not one of client, user, core`"},
		"a status that can't be one": {"status", map[string]string{"status": "a b"}, "`The request is not valid; nothing was changed. status: holds a character outside letters, digits, _, . and -`"},
		"a name that no Signal has":  {"revocation", map[string]string{"initiated_by": "user"}, "`there is no Signal of that name; an operation takes status and revoke`"},
		"too late for a revocation":  {"revoke", map[string]string{"initiated_by": "user"}, "`The operation SHOP/1 has status \"reserved\", which can't be revoked.`"},
		"a push where there is none": {"status", map[string]any{"status": "done", "by_api": true}, "`the endpoint takes no pushed status (push: off)`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := paysera(func(in *workflows.Input) { in.Policy.Push, in.Rules.Revocable = operation.PushOff, nil })
			var shown string
			row{in: in, core: says("reserved", "reserved", "done"), receiver: []receiverReply{ack}}.run(t, func(m *simulator) {
				m.env.RegisterDelayedCallback(func() { m.env.SignalWorkflow(c.signal, c.arg) }, time.Minute)
				m.env.RegisterDelayedCallback(func() { shown = currentDetails(t, m) }, 2*time.Minute)
			})
			require.Contains(t, shown, "\nSignal `"+c.signal+"` at 2026-11-21T09:01:00.000Z was not taken: "+c.want+"\n")
		})
	}
}

func TestTheDetailsSayHowManyPollsAndAttemptsTheyKnowOf(t *testing.T) {
	t.Parallel()
	var watching, delivering string
	row{in: paysera(k(3)), core: says("reserved", "reserved", "done"), receiver: []receiverReply{ack, fails}}.run(t, func(m *simulator) {
		m.env.RegisterDelayedCallback(func() { watching = currentDetails(t, m) }, 15*time.Minute)
		m.env.RegisterDelayedCallback(func() { delivering = currentDetails(t, m) }, 20*time.Minute+90*time.Second)
	})
	require.Contains(t, watching, " · 1 poll known, the latest at 2026-11-21T09:00:00.000Z\n\nThe polls made by now are in Pending Activities,")
	require.Contains(t, delivering, " · 3 polls\n\nThe run knows of no attempt after number 1, of 2026-11-21T09:20:00.000Z.")
	require.Contains(t, delivering, "“Attempt n / 3” counts runs of that activity, not attempts.")
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
