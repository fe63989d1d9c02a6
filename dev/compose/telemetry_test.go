package compose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// telemetry is what the profile of that name adds.
func telemetry(t *testing.T) *types.Project {
	t.Helper()
	secrets := filepath.Join(t.TempDir(), "ringback.env")
	require.NoError(t, os.WriteFile(secrets, []byte("WSGATE_PASSWORD=x\n"), 0o600))
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithEnv([]string{"POSTGRES_PASSWORD=" + password, "RINGBACK_ENV_FILE=" + secrets}),
		cli.WithInterpolation(true), cli.WithResolvedPaths(true), cli.WithProfiles([]string{"telemetry"}))
	require.NoError(t, err)
	p, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return p
}

func TestPrometheusAndGrafanaAreThereOnRequestAlone(t *testing.T) {
	t.Parallel()
	require.NotContains(t, project(t).ServiceNames(), "prometheus")
	p := telemetry(t)
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	for name, port := range map[string]string{"prometheus": "9090", "grafana": "3000"} {
		s := p.Services[name]
		require.Regexp(t, pinned, s.Image)
		requireHealthCheck(t, s, true)
		requirePort(t, s, port)
		require.Equal(t, []string{"telemetry"}, keys(s.Networks), "Temporal is out of its reach")
		require.Equal(t, []string{"ALL"}, s.CapDrop)
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true")
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				_, err := os.Stat(v.Source)
				require.NoError(t, err)
				require.True(t, v.ReadOnly)
			}
		}
	}
	require.Equal(t, "prometheus_key", p.Services["prometheus"].Secrets[0].Source)
}

// TestEveryLogIsBounded: docker's default keeps all of a log.
func TestEveryLogIsBounded(t *testing.T) {
	t.Parallel()
	for _, s := range telemetry(t).Services {
		require.NotNilf(t, s.Logging, "%s", s.Name)
		require.Equal(t, "json-file", s.Logging.Driver)
		require.Equalf(t, types.Options{"max-size": "50m", "max-file": "5"}, s.Logging.Options, "%s", s.Name)
	}
}

// TestGrafanaFindsTheDashboardAndTheDashboardItsData holds what no engine here
// can: that the names in the files fit each other.
func TestGrafanaFindsTheDashboardAndTheDashboardItsData(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		UID, Title string
		Templating struct {
			List []struct{ Name, Type, Query any }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "deploy/grafana/ringback.json")), &dashboard))
	require.Equal(t, "ringback", dashboard.UID)
	require.Equal(t, "datasource", dashboard.Templating.List[0].Name)
	require.Equal(t, "prometheus", dashboard.Templating.List[0].Query)
	require.Contains(t, read(t, "deploy/grafana/provisioning/datasources/prometheus.yml"), `url: "http://prometheus:9090"`)
	require.Contains(t, read(t, "deploy/grafana/provisioning/dashboards/ringback.yml"), "path: /var/lib/grafana/dashboards")
	scraped := read(t, "deploy/prometheus/prometheus.yml")
	require.Contains(t, scraped, `targets: ["api:9464"]`)
	require.Contains(t, scraped, `targets: ["worker:9464"]`)
	require.Contains(t, scraped, "credentials_file: /run/secrets/prometheus_key")
	require.Contains(t, read(t, "deploy/ringback.example.yml"), "listen: 0.0.0.0:9464", "where Prometheus finds both")
}
