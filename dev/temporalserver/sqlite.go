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
	databaseFile = "temporal.db"
	lockFile     = "lock"

	historySchema    = "sqlite/v3/temporal/schema.sql"
	visibilitySchema = "sqlite/v3/visibility/schema.sql"
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

// fileStores opens the database in dir, made on first use. One file for both
// stores is the stock lay-out; giving visibility a file of its own is a matter
// of a second fileDatabase here.
func fileStores(ctx context.Context, dir string) (stores, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return stores{}, fmt.Errorf("find data directory %q: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stores{}, fmt.Errorf("make data directory: %w", err)
	}
	release, err := lock(filepath.Join(dir, lockFile))
	if err != nil {
		return stores{}, fmt.Errorf("data directory %s is in use by another server: %w", dir, err)
	}
	db, err := fileDatabase(ctx, filepath.Join(dir, databaseFile), historySchema, visibilitySchema)
	if err != nil {
		return stores{}, errors.Join(err, release())
	}
	s := newStores("SQLite in "+dir, 1, db, db)
	s.release = release
	return s, nil
}

// fileDatabase is a SQLite database whose commits are on the disk when they
// return: a write-ahead log, synced at each commit, so that neither a killed
// process nor a lost power supply takes back what was answered.
func fileDatabase(ctx context.Context, path string, schemas ...string) (*config.SQL, error) {
	if err := setUp(ctx, path, schemas); err != nil {
		return nil, fmt.Errorf("set up the database %s: %w", path, err)
	}
	return &config.SQL{
		PluginName:   sqlite.PluginName,
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
func setUp(ctx context.Context, path string, schemas []string) (err error) {
	db, err := sql.Open("sqlite", "file:"+escape(path)+"?mode=rwc&_pragma=journal_mode=wal&_pragma=synchronous=full&_pragma=busy_timeout=10000")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
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
