package temporalserver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema"
)

const (
	databaseFile   = "temporal.db"
	visibilityFile = "visibility.db"
	lockFile       = "lock"

	historySchema    = "sqlite/v3/temporal/schema.sql"
	visibilitySchema = "sqlite/v3/visibility/schema.sql"

	sqliteIndexes = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'executions_visibility' AND sql IS NOT NULL"
)

// memoryStores is a database of its own that ends with the process; the plugin
// sets up its schema when it opens it.
func memoryStores() stores {
	db := &config.SQL{
		PluginName:        sqlite.PluginName,
		DatabaseName:      "ringback-" + uuid.NewString(),
		ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
	}
	return newStores("SQLite in memory", 1, db, db)
}

// fileStores opens the databases in o.DataDir, made on first use.
func fileStores(ctx context.Context, o Options) (stores, error) {
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return stores{}, fmt.Errorf("find data directory %q: %w", o.DataDir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stores{}, fmt.Errorf("make data directory: %w", err)
	}
	release, err := lock(dir)
	if err != nil {
		return stores{}, err
	}
	history, visibility, err := o.databases(ctx, dir)
	if err != nil {
		return stores{}, errors.Join(err, release())
	}
	s := newStores("SQLite in "+dir, 1, history, visibility)
	s.release = func() error { return errors.Join(keeping.close(history), keeping.close(visibility), release()) }
	return s, nil
}

// databases opens visibility in a file of its own, or in the history's where a
// directory has it there already. A file that exists keeps the indexes it has.
func (o Options) databases(ctx context.Context, dir string) (history, visibility *config.SQL, err error) {
	historyPath, visibilityPath := filepath.Join(dir, databaseFile), filepath.Join(dir, visibilityFile)
	if !exists(visibilityPath) && (o.Stock || exists(historyPath)) {
		history, err = o.fileDatabase(ctx, historyPath, historySchema, visibilitySchema)
		return history, history, err
	}
	// Visibility first: its file says where to look after a start that was killed
	// between the two.
	if visibility, err = o.fileDatabase(ctx, visibilityPath, visibilitySchema); err != nil {
		return nil, nil, err
	}
	history, err = o.fileDatabase(ctx, historyPath, historySchema)
	return history, visibility, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// fileDatabase is a SQLite database whose commits are on the disk when they
// return: a write-ahead log, synced at each commit, so that neither a killed
// process nor a lost power supply takes back what was answered.
func (o Options) fileDatabase(ctx context.Context, path string, schemas ...string) (*config.SQL, error) {
	if err := o.setUp(ctx, path, schemas); err != nil {
		return nil, fmt.Errorf("set up the database %s: %w", path, err)
	}
	plugin := keepingPlugin
	if o.Stock {
		plugin = sqlite.PluginName
	}
	return &config.SQL{
		PluginName:   plugin,
		DatabaseName: escape(path),
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"journal_mode": "wal",
			"synchronous":  "full",
			"busy_timeout": "10000",
		},
	}, nil
}

// setUp creates the tables of schemas in one transaction: a start that is
// killed half-way leaves an empty database, not half a schema.
func (o Options) setUp(ctx context.Context, path string, schemas []string) error {
	db, err := sql.Open(sqliteDriver, "file:"+escape(path)+"?mode=rwc&_pragma=journal_mode=wal&_pragma=synchronous=full&_pragma=busy_timeout=10000")
	if err != nil {
		return err
	}
	return inTransaction(ctx, db, func(tx *sql.Tx) error { return o.createTables(ctx, tx, schemas) })
}

// createTables leaves a database alone that has tables.
func (o Options) createTables(ctx context.Context, tx *sql.Tx, schemas []string) error {
	var tables int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table'").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return nil
	}
	for _, name := range schemas {
		if err := execute(ctx, tx, name); err != nil {
			return err
		}
	}
	if o.Stock {
		return nil
	}
	return dropIndexes(ctx, tx, sqliteIndexes)
}

// inTransaction does something in one transaction on db, and closes db.
func inTransaction(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func execute(ctx context.Context, tx *sql.Tx, name string) error {
	script, err := fs.ReadFile(schema.Assets(), name)
	if err != nil {
		return fmt.Errorf("read the server's schema %s: %w", name, err)
	}
	statements, err := persistence.LoadAndSplitQueryFromReaders([]io.Reader{bytes.NewReader(script)})
	if err != nil {
		return fmt.Errorf("split the server's schema %s: %w", name, err)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("execute %q of %s: %w", statement, name, err)
		}
	}
	return nil
}

// escape writes path as the path of SQLite's file: URI.
func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }
