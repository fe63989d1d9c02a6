package service

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"ringback/internal/operation"
	"ringback/workflows"
)

// lasting is the input of an operation that is watched for so long.
func lasting(lifetime time.Duration) workflows.Input {
	return workflows.Input{Policy: operation.Policy{
		Poll:     operation.PollPolicy{IntervalMS: 60_000, LifetimeMS: lifetime.Milliseconds()},
		Delivery: operation.DeliveryPolicy{IntervalMS: 1000, Attempts: 10, TimeoutMS: 5000},
	}}
}

func TestWhatLastsLongIsLetGoOnWithTheCurrentBuild(t *testing.T) {
	t.Parallel()
	none := client.VersioningOverride(nil)
	for name, tc := range map[string]struct {
		versioned bool
		lifetime  time.Duration
		override  client.VersioningOverride
	}{
		"a short one stays where it began":                   {true, 20 * time.Minute, none},
		"one of thirty days does not":                        {true, 720 * time.Hour, &client.AutoUpgradeVersioningOverride{}},
		"where nothing is versioned nothing is said of it":   {false, 720 * time.Hour, none},
		"where nothing is versioned a short one is the same": {false, 20 * time.Minute, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Service{Versioned: tc.versioned}
			require.Equal(t, tc.override, s.startOptions(lasting(tc.lifetime)).VersioningOverride)
		})
	}
}

func TestAStartIsEagerUnlessTheServerMustDecideWhere(t *testing.T) {
	t.Parallel()
	require.True(t, (&Service{}).startOptions(lasting(time.Hour)).EnableEagerStart)
	for _, here := range []bool{true, false} {
		s := Service{Eager: func() bool { return here }}
		require.Equal(t, here, s.startOptions(lasting(time.Hour)).EnableEagerStart)
	}
}

func TestABuildTakesAllOnlyAsTheCurrentOneWithoutARamp(t *testing.T) {
	t.Parallel()
	first, second := Build{"ringback", "1"}, Build{"ringback", "2"}
	for name, tc := range map[string]struct {
		routing Routing
		all     bool
	}{
		"it is current":                             {Routing{Current: first}, true},
		"a share of what begins goes elsewhere":     {Routing{Current: first, Ramping: true}, false},
		"another build is current":                  {Routing{Current: second}, false},
		"another deployment's build of the same id": {Routing{Current: Build{"other", "1"}}, false},
		"none is current":                           {Routing{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.all, tc.routing.SendsAllTo(first))
		})
	}
}
