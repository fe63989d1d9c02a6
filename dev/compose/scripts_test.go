package compose_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/dev/postgres"
)

// run is a script of deploy/, with path before PATH.
func run(t *testing.T, script, path string, environment ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(root, "deploy", script))
	cmd.Env = append([]string{"PATH=" + path + string(os.PathListSeparator) + os.Getenv("PATH")}, environment...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func output(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, arguments...).CombinedOutput()
	require.NoErrorf(t, err, "%s %s: %s", name, strings.Join(arguments, " "), out)
	return strings.TrimSpace(string(out))
}

// TestTheSchemaJobMakesOnPostgreSQLWhatTheServerNeeds runs the job twice, as a second
// `docker compose up` does, with the tool of the server's own version.
func TestTheSchemaJobMakesOnPostgreSQLWhatTheServerNeeds(t *testing.T) {
	t.Parallel()
	// The user postgres may not enter what is under t.TempDir.
	dir, err := os.MkdirTemp("", "ringback-pg") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cluster, err := postgres.Start(t.Context(), postgres.Options{Dir: dir, Settings: map[string]string{"fsync": "off"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	u, err := url.Parse(cluster.URL("postgres"))
	require.NoError(t, err)
	secret, _ := u.User.Password()

	tools := t.TempDir()
	output(t, "go", "build", "-o", filepath.Join(tools, "temporal-sql-tool"), "go.temporal.io/server/cmd/tools/sql")
	server := output(t, "go", "list", "-m", "-f", "{{.Dir}}", "go.temporal.io/server")
	environment := []string{
		"SQL_PLUGIN=postgres12", "SQL_HOST=" + u.Hostname(), "SQL_PORT=" + u.Port(),
		"SQL_USER=" + u.User.Username(), "SQL_PASSWORD=" + secret,
		"SCHEMAS=" + filepath.Join(server, "schema", "postgresql", "v12"),
	}
	for range 2 {
		out, err := run(t, "schema.sh", tools, environment...)
		require.NoError(t, err, out)
		require.Contains(t, out, "schema: ready")
		require.NotContains(t, out, secret)
	}
	for database, table := range map[string]string{"temporal": "executions", "temporal_visibility": "executions_visibility"} {
		require.Equal(t, table, query(t, cluster.URL(database), "SELECT to_regclass('"+table+"')"))
		require.NotEqual(t, "0.0", query(t, cluster.URL(database), "SELECT curr_version FROM schema_version"))
	}

	visibility := cluster.URL("temporal_visibility")
	requireIndexes(t, visibility, strings.Fields(read(t, "deploy/visibility-indexes.txt")))
	_, err = run(t, "schema.sh", tools, append(environment, "VISIBILITY_INDEXES=some")...)
	require.Error(t, err)
	out, err := run(t, "schema.sh", tools, append(environment, "VISIBILITY_INDEXES=all")...)
	require.NoError(t, err, out)
	schema, err := os.ReadFile(filepath.Join(server, "schema", "postgresql", "v12", "visibility", "schema.sql"))
	require.NoError(t, err)
	var all []string
	for _, index := range regexp.MustCompile(`(?m)^CREATE INDEX (\S+)`).FindAllSubmatch(schema, -1) {
		all = append(all, string(index[1]))
	}
	requireIndexes(t, visibility, all)
	for _, slot := range regexp.MustCompile(`by_(keyword|int)_\d+`).FindAllString(strings.Join(all, " "), -1) {
		require.Contains(t, read(t, "deploy/visibility-indexes.txt"), slot, "an attribute of Ringback's may get any slot of its type")
	}

	free := lock(t, visibility)
	out, err = run(t, "schema.sh", tools, environment...)
	require.NoError(t, err, "Temporal serves with all indexes, too")
	require.Contains(t, out, "the next run tries again")
	requireIndexes(t, visibility, all)
	free()
	query(t, visibility, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_status'::regclass RETURNING 'half built'")
	out, err = run(t, "schema.sh", tools, environment...)
	require.NoError(t, err, out)
	requireIndexes(t, visibility, strings.Fields(read(t, "deploy/visibility-indexes.txt")))

	wrong := append(environment[:4:4], "SQL_PASSWORD=wrong", environment[5])
	_, err = run(t, "schema.sh", tools, wrong...)
	require.Error(t, err, "what failed must not look done")
}

// requireIndexes holds visibility's indexes that can be used, besides the primary key's.
func requireIndexes(t *testing.T, dsn string, want []string) {
	t.Helper()
	require.ElementsMatch(t, want, strings.Fields(query(t, dsn, `SELECT string_agg(relname, ' ') FROM pg_index
		JOIN pg_class ON oid = indexrelid WHERE indrelid = 'executions_visibility'::regclass AND indisvalid AND NOT indisprimary`)))
}

// lock keeps visibility as a long backup does, until it is freed.
func lock(t *testing.T, dsn string) (free func()) {
	t.Helper()
	db, err := sql.Open("postgres", dsn+"?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "LOCK TABLE executions_visibility IN ACCESS SHARE MODE")
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback()) }
}

// fakeTemporal stands for the temporal command of admin-tools: it writes down
// what it is asked and fails as often as the files beside it have lines.
const fakeTemporal = `#!/bin/sh
dir=$(dirname "$0")
echo "$*" >> "$dir/asked"
case "$*" in
*"cluster health"*) fails=unhealthy ;;
*"namespace describe"*) fails=unknown ;;
*"namespace create"*) fails=uncreated ;;
*"search-attribute list"*) cat "$dir/attributes" ;;
*"search-attribute create"*) echo "$7 Keyword" >> "$dir/attributes" ;;
esac
if [ -s "$dir/$fails" ]; then
  sed -i 1d "$dir/$fails"
  exit 1
fi
`

func TestTheNamespaceJob(t *testing.T) {
	t.Parallel()
	const (
		health   = "operator cluster health"
		describe = "operator namespace describe --namespace ringback"
		create   = "operator namespace create --namespace ringback --retention 30d"
	)
	for _, row := range []struct {
		name                          string
		unhealthy, unknown, uncreated int
		asked                         []string
		says                          string
		fails                         bool
	}{
		{"makes a namespace that is not there", 0, 2, 0, []string{health, describe, describe, create, describe}, "ringback made, retention 30d", false},
		{"leaves one that is there", 0, 0, 0, []string{health, describe}, "ringback is there", false},
		{"waits for a server that is starting", 2, 0, 0, []string{health, health, health, describe}, "ringback is there", false},
		{"waits until the server knows of it", 0, 4, 0, []string{health, describe, describe, create, describe, describe, describe}, "ringback made", false},
		{"takes one that another run made in between", 0, 2, 1, []string{health, describe, describe, create, describe, describe}, "ringback made", false},
		{"tries again when making it fails", 0, 4, 1, []string{health, describe, describe, create, describe, describe, create, describe}, "ringback made", false},
		{"gives up on a server that never serves", 99, 0, 0, []string{health, health, health}, "gave up after 3 tries: serves", true},
		{"gives up on a namespace that can't be made", 0, 99, 99, nil, "gave up after 3 tries: make", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal"), []byte(fakeTemporal), 0o700))
			for file, lines := range map[string]int{"unhealthy": row.unhealthy, "unknown": row.unknown, "uncreated": row.uncreated} {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(strings.Repeat("fail\n", lines)), 0o600))
			}
			out, err := run(t, "namespace.sh", dir, "TEMPORAL_ADDRESS=127.0.0.1:1", "NAMESPACE=ringback", "TRIES=3", "PAUSE=0")
			require.Equalf(t, row.fails, err != nil, "%s", out)
			require.Contains(t, out, row.says)
			if row.asked != nil {
				asked, err := os.ReadFile(filepath.Join(dir, "asked"))
				require.NoError(t, err)
				require.Equal(t, row.asked, strings.Split(strings.TrimSpace(string(asked)), "\n"))
			}
		})
	}
}

func TestTheNamespaceJobAddsTheSearchAttributesThatAreMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal"), []byte(fakeTemporal), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "attributes"), []byte("RingbackPhase Keyword\n"), 0o600))
	for range 2 {
		out, err := run(t, "namespace.sh", dir, "TEMPORAL_ADDRESS=127.0.0.1:1", "NAMESPACE=ringback", "TRIES=3", "PAUSE=0",
			"SEARCH_ATTRIBUTES=RingbackEndpoint=Keyword RingbackPhase=Keyword RingbackUndelivered=Int")
		require.NoError(t, err, out)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	require.NoError(t, err)
	require.Equal(t, []string{
		"operator search-attribute create --namespace ringback --name RingbackEndpoint --type Keyword",
		"operator search-attribute create --namespace ringback --name RingbackUndelivered --type Int",
	}, slices.DeleteFunc(strings.Split(strings.TrimSpace(string(asked)), "\n"), func(line string) bool { return !strings.Contains(line, "create") }))
}

func TestAScriptSaysWhichVariableIsMissing(t *testing.T) {
	t.Parallel()
	for script, missing := range map[string]string{"schema.sh": "SQL_HOST", "namespace.sh": "TEMPORAL_ADDRESS"} {
		out, err := run(t, script, t.TempDir())
		require.Error(t, err)
		require.Contains(t, out, missing)
	}
}

// TestComposeTestSaysWhatIsMissing runs the script of make compose-test with stand-ins
// for the programs of this machine.
func TestComposeTestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	const noEngine, engine = "exit 1", "exit 0"
	for name, c := range map[string]struct {
		programs []string
		// docker does this where it is asked for Compose's version, and for the engine's.
		compose, version string
		says             string
	}{
		"no package": {
			says: "needs more of Debian: apt-get install docker.io git busybox netcat-openbsd prometheus",
		},
		"docker's client in a package of its own": {
			programs: []string{"dockerd", "git", "busybox", "nc", "prometheus"},
			says:     "needs more of Debian: apt-get install docker-cli",
		},
		"no Compose": {
			programs: []string{"docker", "dockerd", "git", "busybox", "nc", "prometheus", "go"},
			compose:  "exit 1", version: noEngine,
			says: "building v2.40.3, which takes some minutes, once.\ngo mod download github.com/docker/compose/v2@v2.40.3",
		},
		"an old Compose": {
			programs: []string{"docker", "dockerd", "git", "busybox", "nc", "prometheus", "go"},
			compose:  "echo 2.23.3-1", version: noEngine,
			says: "building v2.40.3, which takes some minutes, once.\ngo mod download github.com/docker/compose/v2@v2.40.3",
		},
		"an engine": {
			programs: []string{"docker", "dockerd", "git", "busybox", "nc", "prometheus"},
			compose:  "echo 2.24.0", version: engine,
			says: "systemctl stop docker.socket docker",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			for _, program := range c.programs {
				text := "#!/bin/sh\necho ${0##*/} $* >&2\nexit 1\n"
				if program == "docker" {
					text = "#!/bin/sh\n[ $1 = compose ] && " + c.compose + "\n[ $1 = version ] && " + c.version + "\n"
				}
				require.NoError(t, os.WriteFile(filepath.Join(path, program), []byte(text), 0o700))
			}
			bash, err := exec.LookPath("bash")
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), bash, filepath.Join(root, "scripts", "compose-test"))
			cmd.Env = []string{"PATH=" + path}
			said, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(said), c.says)
		})
	}
}
