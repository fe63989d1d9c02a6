package temporalserver

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/config"
)

func openKeeping(t *testing.T) *sql.DB {
	t.Helper()
	p := &plugin{open: map[string]*sqlx.DB{}}
	cfg := &config.SQL{DatabaseName: escape(filepath.Join(t.TempDir(), "x.db")), ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "wal"}}
	db, err := p.use(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.close(cfg)); require.Empty(t, p.open) })
	_, err = db.Exec("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
	require.NoError(t, err)
	return db.DB
}

func TestADatabaseIsOpenedOnce(t *testing.T) {
	t.Parallel()
	p := &plugin{open: map[string]*sqlx.DB{}}
	path := escape(filepath.Join(t.TempDir(), "x.db"))
	for range 50 {
		_, err := p.use(&config.SQL{DatabaseName: path, ConnectAttributes: map[string]string{
			"mode": "rwc", "journal_mode": "wal", "synchronous": "full", "busy_timeout": "10000",
		}})
		require.NoError(t, err)
	}
	require.Len(t, p.open, 1, "each service of the server asks for it")
	for _, db := range p.open {
		require.NoError(t, db.Close())
	}
}

func TestAStatementIsAnsweredEachTimeAnew(t *testing.T) {
	t.Parallel()
	db := openKeeping(t)
	for i := range 3 {
		_, err := db.Exec("INSERT INTO thing VALUES (?, ?)", i, fmt.Sprint("thing ", i))
		require.NoError(t, err)
	}
	for i := range 3 {
		var name string
		require.NoError(t, db.QueryRow("SELECT name FROM thing WHERE id = ?", i).Scan(&name))
		require.Equal(t, fmt.Sprint("thing ", i), name)
	}
	require.ErrorIs(t, db.QueryRow("SELECT name FROM thing WHERE id = ?", 9).Scan(new(string)), sql.ErrNoRows)
}

func TestAStatementThatFailedWorksTheNextTime(t *testing.T) {
	t.Parallel()
	db := openKeeping(t)
	const insert = "INSERT INTO thing VALUES (?, 'x')"
	_, err := db.Exec(insert, 1)
	require.NoError(t, err)
	_, err = db.Exec(insert, 1)
	require.ErrorContains(t, err, "UNIQUE constraint failed")
	_, err = db.Exec(insert, 2)
	require.NoError(t, err)
}

func TestAStatementFollowsAChangeOfItsTable(t *testing.T) {
	t.Parallel()
	db := openKeeping(t)
	_, err := db.Exec("INSERT INTO thing VALUES (1, 'x')")
	require.NoError(t, err)
	columns := func() int {
		rows, err := db.Query("SELECT * FROM thing")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		require.True(t, rows.Next())
		names, err := rows.Columns()
		require.NoError(t, err)
		return len(names)
	}
	require.Equal(t, 2, columns())
	_, err = db.Exec("ALTER TABLE thing ADD COLUMN more TEXT")
	require.NoError(t, err)
	require.Equal(t, 3, columns())
}

func TestAStatementMayBeAskedAgainWhileItIsRead(t *testing.T) {
	t.Parallel()
	db := openKeeping(t)
	for i := range 3 {
		_, err := db.Exec("INSERT INTO thing VALUES (?, 'x')", i)
		require.NoError(t, err)
	}
	tx, err := db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	ids := func(inner func()) (got []int) {
		rows, err := tx.Query("SELECT id FROM thing ORDER BY id")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var id int
			require.NoError(t, rows.Scan(&id))
			got = append(got, id)
			inner()
		}
		return got
	}
	require.Equal(t, []int{0, 1, 2}, ids(func() {
		require.Equal(t, []int{0, 1, 2}, ids(func() {}))
	}))
}

func TestAConnectionKeepsTheStatementsUsedLast(t *testing.T) {
	t.Parallel()
	db := openKeeping(t)
	for i := range 2 * statementsKept {
		var got int
		require.NoError(t, db.QueryRow(fmt.Sprint("SELECT ", i)).Scan(&got))
		require.Equal(t, i, got)
	}
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.Raw(func(c any) error {
		kept := c.(*keepingConn)
		require.Equal(t, statementsKept, kept.recent.Len())
		require.Len(t, kept.byText, statementsKept)
		require.Contains(t, kept.byText, fmt.Sprint("SELECT ", 2*statementsKept-1))
		require.NotContains(t, kept.byText, "SELECT 0")
		return nil
	}))
}
