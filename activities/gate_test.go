package activities_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
)

func TestACheckOfABuildNamesTheFirstThatFailed(t *testing.T) {
	t.Parallel()
	check := func(kind, says string) activities.BuildCheck {
		return activities.BuildCheck{Type: kind, Check: func(context.Context) error {
			if says == "" {
				return nil
			}
			return errors.New(says)
		}}
	}
	for name, tt := range map[string]struct {
		checks     []activities.BuildCheck
		kind, says string
	}{
		"nothing to check": {},
		"all pass":         {checks: []activities.BuildCheck{check("A", ""), check("B", "")}},
		"one fails":        {[]activities.BuildCheck{check("A", ""), check("B", "b fails")}, "B", "b fails"},
		"two would fail":   {[]activities.BuildCheck{check("A", "a fails"), check("B", "b fails")}, "A", "a fails"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := (&activities.Activities{BuildChecks: tt.checks}).CheckBuild(t.Context())
			if tt.kind == "" {
				require.NoError(t, err)
				return
			}
			var failed *temporal.ApplicationError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, tt.kind, failed.Type())
			require.Equal(t, tt.says, failed.Message())
			require.False(t, failed.NonRetryable(), "what fails now may be mended")
		})
	}
}
