package postgres_test

import (
	"database/sql"
	"net/url"
	"os"
	"testing"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"ringback/dev/postgres"
)

func start(t *testing.T, o postgres.Options) *postgres.Cluster {
	t.Helper()
	// The user postgres may not enter what is under t.TempDir.
	dir, err := os.MkdirTemp("", "ringback-pg") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o.Dir = dir
	c, err := postgres.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c
}

func TestPostgreSQLTakesItsPasswordAndItsSettings(t *testing.T) {
	t.Parallel()
	c := start(t, postgres.Options{Settings: map[string]string{"synchronous_commit": "off"}})
	require.Equal(t, "off", show(t, c.URL("postgres"), "synchronous_commit"))
}

func TestPostgreSQLRefusesAWrongPassword(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(start(t, postgres.Options{}).URL("postgres"))
	require.NoError(t, err)
	u.User = url.UserPassword("postgres", "wrong")
	db, err := sql.Open("postgres", u.String()+"?sslmode=disable")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	require.ErrorContains(t, db.PingContext(t.Context()), "password authentication failed")
}

func TestADirectoryThatIsNotThereIsAnErrorOfPostgreSQL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: "/nonexistent"})
	require.ErrorContains(t, err, "/nonexistent")
}

func show(t *testing.T, dsn, setting string) string {
	t.Helper()
	db, err := sql.Open("postgres", dsn+"?sslmode=disable")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	var value string
	require.NoError(t, db.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&value))
	return value
}
