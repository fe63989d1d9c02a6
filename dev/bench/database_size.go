package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	_ "github.com/lib/pq" // PostgreSQL; SQLite's driver comes with the Temporal server.
)

// databaseBytes is what the server's databases hold, histories and visibility. Free
// space is left out: it is used again, so it would count for the subject before.
func (s *testbed) databaseBytes(ctx context.Context) (float64, error) {
	if s.cluster == nil {
		const live = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
		files, err := filepath.Glob(filepath.Join(s.dir, "*.db"))
		for i := range files {
			files[i] = "file:" + files[i] + "?_pragma=busy_timeout=10000"
		}
		return sumOf(ctx, err, "sqlite", files, "PRAGMA wal_checkpoint", live)
	}
	var databases []string
	for _, name := range []string{"temporal", "temporal_visibility"} {
		databases = append(databases, s.cluster.URL(name)+"?sslmode=disable")
	}
	return sumOf(ctx, nil, "postgres", databases, "VACUUM FULL", "SELECT pg_database_size(current_database())")
}

// sumOf prepares each database and adds up what the query says of it.
func sumOf(ctx context.Context, err error, driver string, databases []string, prepare, query string) (sum float64, _ error) {
	for _, name := range databases {
		err = errors.Join(err, func() error {
			db, err := sql.Open(driver, name)
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			if _, err := db.ExecContext(ctx, prepare); err != nil {
				return err
			}
			var bytes float64
			err = db.QueryRowContext(ctx, query).Scan(&bytes)
			sum += bytes
			return err
		}())
	}
	if err != nil {
		return 0, fmt.Errorf("measure the databases' size: %w", err)
	}
	return sum, nil
}
