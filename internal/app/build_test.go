package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/service"
)

func TestAProgramIsABuildByBothVariablesOrNeither(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		deployment, build, says string
	}{
		"neither: it is not versioned": {"", "", ""},
		"both":                         {"ringback", "1.4.0", ""},
		"a controller's name has its namespace before": {"payments/ringback", "v1-ab12", ""},
		"a build without a deployment":                 {"", "1.4.0", "set both"},
		"a deployment without a build":                 {"ringback", "", "set both"},
		"a name with a dot":                            {"ring.back", "1", "a dot or a colon"},
		"a name with a colon":                          {"ring:back", "1", "a dot or a colon"},
		"a name that is Temporal's own":                {"__ringback", "1", "Temporal's own"},
		"a build id that is Temporal's own":            {"ringback", "__unversioned__", "Temporal's own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			build, err := buildFrom(func(variable string) string {
				return map[string]string{"TEMPORAL_DEPLOYMENT_NAME": tc.deployment, "TEMPORAL_WORKER_BUILD_ID": tc.build}[variable]
			})
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, service.Build{Deployment: tc.deployment, ID: tc.build}, build)
			options := deploymentOptions(build)
			require.Equal(t, tc.build != "", options.UseVersioning)
			require.Equal(t, tc.build, options.Version.BuildID)
		})
	}
}

func TestRunsBeginHereOnlyWhereTheServerWouldSendThem(t *testing.T) {
	t.Parallel()
	build := service.Build{Deployment: "ringback", ID: "1"}
	p := &program{}
	require.True(t, p.beginsHere(), "a program that is not versioned asks nobody")
	require.True(t, p.current())
	p.Build = build
	require.False(t, p.beginsHere(), "nothing is known yet")
	require.False(t, p.current())
	p.routing.Store(&service.Routing{Current: build})
	require.True(t, p.beginsHere())
	require.True(t, p.current())
	p.routing.Store(&service.Routing{Current: build, Ramping: true})
	require.False(t, p.beginsHere(), "the server decides")
	require.True(t, p.current())
	p.routing.Store(&service.Routing{Current: service.Build{Deployment: "ringback", ID: "2"}})
	require.False(t, p.beginsHere())
	require.False(t, p.current())
}

func TestTheBacklogsOfTheCurrentBuildAndOfThisOneCount(t *testing.T) {
	t.Parallel()
	first, second := service.Build{Deployment: "ringback", ID: "1"}, service.Build{Deployment: "ringback", ID: "2"}
	p := &program{}
	require.Empty(t, p.backlogCounts(), "of programs that are not versioned all counts")
	p.Build = first
	require.Empty(t, p.backlogCounts(), "nothing is known yet")
	p.routing.Store(&service.Routing{})
	require.Empty(t, p.backlogCounts(), "no build is current: what has none waits for whoever asks")
	p.routing.Store(&service.Routing{Current: first})
	require.Equal(t, []service.Build{first}, p.backlogCounts())
	p.routing.Store(&service.Routing{Current: second})
	require.Equal(t, []service.Build{second, first}, p.backlogCounts())
}
