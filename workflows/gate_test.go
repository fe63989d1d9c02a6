package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/internal/codec"
	"ringback/workflows"
)

func TestAGateEndsAsTheChecksOfItsBuildDo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// failing is how many times a core can't be reached.
		failing int
		fails   string
	}{
		"all checks pass at once":            {0, ""},
		"a core that was away comes back":    {5, ""},
		"a core stays away for ten minutes":  {1000, activities.TypeSourceFails},
		"a core comes back after the gate's": {26, activities.TypeSourceFails},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := environment()
			// A program with keys: the controller's start has no input that could be sealed.
			sealing := &codec.Codec{}
			sealing.Use([]codec.Key{{ID: "a"}}, false)
			env.SetDataConverter(codec.NewConverter(sealing))
			calls := 0
			build := &activities.Activities{BuildChecks: []activities.BuildCheck{{Type: activities.TypeSourceFails, Check: func(context.Context) error {
				calls++
				if calls <= tt.failing {
					return context.DeadlineExceeded
				}
				return nil
			}}}}
			workflows.Register(env, build)
			begun := env.Now()
			env.ExecuteWorkflow(workflows.GateType)
			require.True(t, env.IsWorkflowCompleted())
			if tt.fails == "" {
				require.NoError(t, env.GetWorkflowError())
				require.Equal(t, tt.failing+1, calls)
				return
			}
			var failed *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &failed)
			require.Equal(t, tt.fails, failed.Type())
			require.LessOrEqual(t, env.Now().Sub(begun), 10*time.Minute)
		})
	}
}
