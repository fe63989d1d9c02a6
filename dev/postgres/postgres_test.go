package postgres_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

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

func TestPostgreSQLKeepsItsDataAndItsAddressOverAKillAndAStop(t *testing.T) {
	t.Parallel()
	c := start(t, postgres.Options{})
	db := open(t, c.URL("postgres"))
	_, err := db.ExecContext(t.Context(), "CREATE TABLE kept (n int)")
	require.NoError(t, err)
	for n, end := range []func() error{c.Kill, c.Stop} {
		_, err := db.ExecContext(t.Context(), "INSERT INTO kept VALUES ($1)", n)
		require.NoError(t, err)
		require.NoError(t, end())
		require.Error(t, db.PingContext(t.Context()), "it has ended")
		require.NoError(t, c.Restart(t.Context()))
		var count int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM kept").Scan(&count))
		require.Equal(t, n+1, count)
	}
}

func TestPostgreSQLsSessionsAreStoppedAndGoOn(t *testing.T) {
	t.Parallel()
	c := start(t, postgres.Options{})
	db := open(t, c.URL("postgres"))
	require.NoError(t, db.PingContext(t.Context()))
	require.NoError(t, c.Signal(syscall.SIGSTOP))
	answered := make(chan error, 1)
	go func() { answered <- db.PingContext(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-answered:
		require.NoError(t, err)
		require.Fail(t, "a server that is stopped answered")
	case <-time.After(500 * time.Millisecond):
	}
	require.NoError(t, c.Signal(syscall.SIGCONT))
	require.NoError(t, <-answered)
}

func TestADirectoryThatIsNotThereIsAnErrorOfPostgreSQL(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: "/nonexistent"})
	require.ErrorContains(t, err, "/nonexistent")
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn+"?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func show(t *testing.T, dsn, setting string) string {
	t.Helper()
	var value string
	require.NoError(t, open(t, dsn).QueryRowContext(t.Context(), "SHOW "+setting).Scan(&value))
	return value
}
