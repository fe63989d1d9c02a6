package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/internal/operation"
	"ringback/workflows"
)

func TestOnlyWhatIsOverWithinADayIsPinned(t *testing.T) {
	t.Parallel()
	ukrcard := operation.Policy{
		Poll:     operation.PollPolicy{ScheduleMS: []int64{5000}, LifetimeMS: (20 * time.Minute).Milliseconds()},
		Delivery: operation.DeliveryPolicy{IntervalMS: 3000, Attempts: 10, TimeoutMS: 10_000},
	}
	changed := func(change func(*operation.Policy)) operation.Policy {
		policy := ukrcard
		change(&policy)
		return policy
	}
	month := changed(func(p *operation.Policy) { p.Poll.LifetimeMS = (720 * time.Hour).Milliseconds() })
	for name, tc := range map[string]struct {
		policy     operation.Policy
		redelivery *workflows.Redelivery
		pinned     bool
	}{
		"a payment of twenty minutes":                     {ukrcard, nil, true},
		"a transfer of thirty days":                       {month, nil, false},
		"its redelivery, which only delivers":             {month, &workflows.Redelivery{}, true},
		"its redelivery, which watches again":             {month, &workflows.Redelivery{Watch: true}, false},
		"one that begins late":                            {changed(func(p *operation.Policy) { p.Poll.InitialDelayMS = (24 * time.Hour).Milliseconds() }), nil, false},
		"one whose attempts may take days":                {changed(func(p *operation.Policy) { p.Delivery.IntervalMS, p.Delivery.Attempts = 3_600_000, 30 }), nil, false},
		"one whose attempts may take days for their time": {changed(func(p *operation.Policy) { p.Delivery.TimeoutMS, p.Delivery.Attempts = 120_000, 1000 }), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.pinned, workflows.Input{Policy: tc.policy, Redelivery: tc.redelivery}.Pinned())
		})
	}
}

// registry remembers what is registered.
type registry struct {
	worker.Registry
	behaviors map[string]workflow.VersioningBehavior
}

func (r *registry) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) {
	r.behaviors[o.Name] = o.VersioningBehavior
}

// RegisterActivity is of no interest here.
func (r *registry) RegisterActivity(any) {}

func TestEveryWorkflowSaysOnWhichBuildItGoesOn(t *testing.T) {
	t.Parallel()
	r := &registry{behaviors: map[string]workflow.VersioningBehavior{}}
	workflows.Register(r, nil)
	require.Equal(t, map[string]workflow.VersioningBehavior{
		workflows.OperationType:      workflow.VersioningBehaviorPinned,
		workflows.BulkRedeliveryType: workflow.VersioningBehaviorAutoUpgrade,
		workflows.NoticeType:         workflow.VersioningBehaviorAutoUpgrade,
		workflows.OutageType:         workflow.VersioningBehaviorAutoUpgrade,
		workflows.GateType:           workflow.VersioningBehaviorPinned,
	}, r.behaviors)
}
