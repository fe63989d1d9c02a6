package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/internal/service"
)

func TestAProgramIsABuildByBothVariablesOrNeither(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		deployment, build, fault string
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
			if tc.fault != "" {
				require.ErrorContains(t, err, tc.fault)
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
