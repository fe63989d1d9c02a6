// Package compose_test checks the container files. With the build tag docker, docker runs
// them (docker_test.go). Without it, compose-go loads docker-compose.yml as docker does, its
// one-shot jobs' scripts run here, on a PostgreSQL of the test's own, and the image's
// programs are built from what the image is built from.
package compose_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// root is the repository's, seen from this package.
const root = "../.."

const password = "a-password-that-is-only-here"

// load reads docker-compose.yml as docker would with that environment.
func load(t *testing.T, environment ...string) (*types.Project, error) {
	t.Helper()
	secrets := filepath.Join(t.TempDir(), "ringback.env")
	require.NoError(t, os.WriteFile(secrets, []byte("WSGATE_PASSWORD=x\n"), 0o600))
	options, err := cli.NewProjectOptions(
		[]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithEnv(append(environment, "RINGBACK_ENV_FILE="+secrets)),
		cli.WithInterpolation(true), cli.WithResolvedPaths(true),
	)
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "POSTGRES_PASSWORD="+password)
	require.NoError(t, err)
	return p
}

const (
	healthy   = types.ServiceConditionHealthy
	completed = types.ServiceConditionCompletedSuccessfully
)

// services are what docker-compose.yml is made of.
var services = map[string]struct {
	image string
	needs map[string]string
	// networks that the service is in.
	networks []string
	// checked says that its health is asked for.
	checked bool
	// once says that it does its job and ends.
	once bool
	// port is the loopback port that it can be reached by; empty: none.
	port string
}{
	"postgresql": {
		image: "postgres:16.10-bookworm", networks: []string{"database"}, checked: true,
	},
	"schema": {
		image: "temporalio/admin-tools:1.32.1", once: true, networks: []string{"database"},
		needs: map[string]string{"postgresql": healthy},
	},
	"temporal": {
		image: "temporalio/server:1.32.1", checked: true, port: "7233", networks: []string{"database", "temporal"},
		needs: map[string]string{"postgresql": healthy, "schema": completed},
	},
	"namespace": {
		image: "temporalio/admin-tools:1.32.1", once: true, networks: []string{"temporal"},
		needs: map[string]string{"temporal": healthy},
	},
	"temporal-ui": {
		image: "temporalio/ui:2.54.1", checked: true, port: "8233", networks: []string{"temporal"},
		needs: map[string]string{"temporal": healthy, "namespace": completed},
	},
	"api": {
		image: "ringback:local", checked: true, port: "8080", networks: []string{"temporal", "telemetry"},
		needs: map[string]string{"temporal": healthy, "namespace": completed},
	},
	// A worker shows itself to the other services alone.
	"worker": {
		image: "ringback:local", checked: true, networks: []string{"temporal", "telemetry"},
		needs: map[string]string{"temporal": healthy, "namespace": completed},
	},
}

func TestEveryServiceIsAsItIsMeantToBe(t *testing.T) {
	t.Parallel()
	p := project(t)
	require.ElementsMatch(t, keys(services), p.ServiceNames())
	for name, want := range services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.Services[name]
			require.Equal(t, want.image, got.Image)
			require.ElementsMatch(t, want.networks, keys(got.Networks))
			needs := map[string]string{}
			for other, dependency := range got.DependsOn {
				require.Truef(t, dependency.Required, "%s", other)
				needs[other] = dependency.Condition
			}
			if want.needs == nil {
				want.needs = map[string]string{}
			}
			require.Equal(t, want.needs, needs)
			requireRestart(t, got, want.once)
			requireHealthCheck(t, got, want.checked)
			requirePort(t, got, want.port)
		})
	}
}

func requireRestart(t *testing.T, s types.ServiceConfig, once bool) {
	t.Helper()
	if once {
		require.Regexp(t, `^on-failure:\d+$`, s.Restart, "a job that succeeded must not start again")
		return
	}
	require.Equal(t, "unless-stopped", s.Restart)
}

func requireHealthCheck(t *testing.T, s types.ServiceConfig, checked bool) {
	t.Helper()
	if !checked {
		require.Nil(t, s.HealthCheck)
		return
	}
	require.NotNil(t, s.HealthCheck)
	require.Greater(t, len(s.HealthCheck.Test), 1)
	require.NotNil(t, s.HealthCheck.Interval)
	require.NotNil(t, s.HealthCheck.Timeout)
	require.NotNil(t, s.HealthCheck.Retries)
	require.False(t, s.HealthCheck.Disable)
}

func requirePort(t *testing.T, s types.ServiceConfig, port string) {
	t.Helper()
	if port == "" {
		require.Empty(t, s.Ports)
		return
	}
	require.Len(t, s.Ports, 1)
	require.Equal(t, "127.0.0.1", s.Ports[0].HostIP, "reached from this machine only")
	require.Equal(t, port, s.Ports[0].Published)
}

// TestWhatIsWaitedForCanBeWaitedFor holds that a service that others wait to be
// healthy has a health check, and that one that they wait to complete ends.
func TestWhatIsWaitedForCanBeWaitedFor(t *testing.T) {
	t.Parallel()
	p := project(t)
	for _, s := range p.Services {
		for other, dependency := range s.DependsOn {
			if dependency.Condition == healthy {
				require.NotNilf(t, p.Services[other].HealthCheck, "%s waits for %s", s.Name, other)
			}
			if dependency.Condition == completed {
				require.Truef(t, strings.HasPrefix(p.Services[other].Restart, "on-failure"), "%s waits for %s", s.Name, other)
			}
		}
	}
}

func TestEveryImageIsPinned(t *testing.T) {
	t.Parallel()
	exact := regexp.MustCompile(`^[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z0-9]+)?$`)
	for _, s := range project(t).Services {
		if s.Build != nil {
			continue // built here
		}
		require.Regexp(t, exact, s.Image, s.Name)
	}
	for _, from := range fromLines(t) {
		require.Regexp(t, exact, from)
	}
}

// TestTheImagesAreOfTheVersionsThatTheTestsRun holds that what the compose file
// runs is what the end-to-end tests ran.
func TestTheImagesAreOfTheVersionsThatTheTestsRun(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "dev", "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", content, nil)
	require.NoError(t, err)
	versions := map[string]string{}
	for _, r := range mod.Require {
		versions[r.Mod.Path] = strings.TrimPrefix(r.Mod.Version, "v")
	}
	p := project(t)
	server := versions["go.temporal.io/server"]
	require.Equal(t, "temporalio/server:"+server, p.Services["temporal"].Image)
	require.Equal(t, "temporalio/admin-tools:"+server, p.Services["schema"].Image)
	require.Equal(t, "temporalio/admin-tools:"+server, p.Services["namespace"].Image)
	require.Equal(t, "temporalio/ui:"+versions["github.com/temporalio/ui-server/v2"], p.Services["temporal-ui"].Image)
	require.Equal(t, "golang:"+mod.Go.Version+"-bookworm", fromLines(t)[0])
}

func TestNothingStartsWithoutAPassword(t *testing.T) {
	t.Parallel()
	for name, environment := range map[string][]string{
		"not set": nil,
		"empty":   {"POSTGRES_PASSWORD="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, environment...)
			require.ErrorContains(t, err, "set POSTGRES_PASSWORD in .env")
		})
	}
}

func TestNoPasswordIsWritten(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(?i)password|pwd|secret|token|_key$`)
	found := 0
	for _, s := range project(t).Services {
		for name, value := range s.Environment {
			if secret.MatchString(name) && name != "WSGATE_PASSWORD" {
				require.Equalf(t, password, *value, "%s of %s comes from the environment", name, s.Name)
				found++
			}
		}
	}
	require.Equal(t, 3, found, "of postgresql, schema and temporal")
	for _, name := range []string{".env.example", "deploy/ringback.env.example"} {
		for variable, value := range variables(t, name) {
			if secret.MatchString(variable) {
				require.Emptyf(t, value, "%s in %s", variable, name)
			}
		}
	}
}

// TestTheExamplesNameEveryVariable holds that the two example
// files ask for everything.
func TestTheExamplesNameEveryVariable(t *testing.T) {
	t.Parallel()
	compose := read(t, "docker-compose.yml")
	named := variables(t, ".env.example")
	for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(compose, -1) {
		if strings.HasPrefix(match[1], "RINGBACK_") {
			continue // where files lie: the defaults do
		}
		require.Contains(t, named, match[1], ".env.example")
	}
	secrets := variables(t, "deploy/ringback.env.example")
	live := regexp.MustCompile(`(?m)^[^#\n]*\$\{env:([A-Z_]+)\}`)
	var used []string
	for _, match := range live.FindAllStringSubmatch(read(t, "deploy/ringback.example.yml"), -1) {
		used = append(used, match[1])
	}
	require.ElementsMatch(t, keys(secrets), used)
}

func TestVolumesHaveNamesAndMountedFilesAreThere(t *testing.T) {
	t.Parallel()
	p := project(t)
	require.Contains(t, p.Volumes, "database")
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeVolume:
				require.Containsf(t, p.Volumes, v.Source, "the volume at %s of %s", v.Target, s.Name)
			case types.VolumeTypeBind:
				_, err := os.Stat(v.Source)
				require.NoErrorf(t, err, "%s of %s", v.Target, s.Name)
				require.Truef(t, v.ReadOnly, "%s of %s", v.Target, s.Name)
			default:
				require.Failf(t, "unexpected", "%s volume at %s of %s", v.Type, v.Target, s.Name)
			}
		}
	}
	require.Len(t, p.Services["postgresql"].Volumes, 1)
	require.Equal(t, "/var/lib/postgresql/data", p.Services["postgresql"].Volumes[0].Target)
}

func TestOnlyTemporalReachesTheDatabase(t *testing.T) {
	t.Parallel()
	p := project(t)
	require.True(t, p.Networks["database"].Internal)
	for _, s := range p.Services {
		_, there := s.Networks["database"]
		require.Equalf(t, s.Name == "postgresql" || s.Name == "schema" || s.Name == "temporal", there, "%s", s.Name)
	}
}

func TestOurProgramsAreConfined(t *testing.T) {
	t.Parallel()
	p := project(t)
	for _, name := range []string{"api", "worker"} {
		s := p.Services[name]
		require.True(t, s.ReadOnly, "the root file system")
		require.Equal(t, []string{"ALL"}, s.CapDrop)
		require.Empty(t, s.CapAdd)
		require.False(t, s.Privileged)
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true")
		require.NotNil(t, s.StopGracePeriod)
		require.Equal(t, "temporal:7233", *s.Environment["TEMPORAL_ADDRESS"])
		require.NotContains(t, s.Environment, "POSTGRES_PASSWORD")
		require.Equal(t, "/etc/ringback", s.Volumes[0].Target)
		require.Contains(t, s.Command, "/etc/ringback/ringback.yml")
	}
	require.Equal(t, p.Services["api"].Volumes, p.Services["worker"].Volumes, "one configuration")
	require.Equal(t, p.Services["api"].Environment, p.Services["worker"].Environment)
	for _, s := range p.Services {
		require.Containsf(t, s.SecurityOpt, "no-new-privileges:true", "%s", s.Name)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(content)
}

// variables are the assignments of an example of an environment file.
func variables(t *testing.T, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(read(t, name)) {
		if variable, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[variable] = value
		}
	}
	return found
}

func fromLines(t *testing.T) []string {
	t.Helper()
	var images []string
	for line := range strings.Lines(read(t, "Dockerfile")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "FROM" && fields[1] != "scratch" {
			images = append(images, fields[1])
		}
	}
	require.NotEmpty(t, images)
	return images
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for key := range m {
		all = append(all, key)
	}
	return all
}
