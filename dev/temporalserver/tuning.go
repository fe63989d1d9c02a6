package temporalserver

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/server/common/dynamicconfig"

	"ringback/deploy"
)

// dynamicConfig is what differs from the stock server's defaults while it runs.
func (o Options) dynamicConfig() dynamicconfig.Client {
	settings := dynamicconfig.StaticClient{}
	if o.Retention < shortestRetention {
		// A run is deleted up to half an hour later than its retention says.
		settings[dynamicconfig.RetentionTimerJitterDuration.Key()] = time.Millisecond
	}
	return settings
}

// shortestRetention is the shortest that a server lets anybody ask for while it
// runs: a shorter one is a test's, which waits for the deletion.
const shortestRetention = time.Hour

// dropIndexes drops the server's indexes of visibility that nobody searches by. The
// query lists those that the database has.
func dropIndexes(ctx context.Context, tx *sql.Tx, query string) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("list the indexes of visibility: %w", err)
	}
	defer func() { _ = rows.Close() }()
	kept := strings.Fields(deploy.VisibilityIndexes)
	var unused []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return fmt.Errorf("list the indexes of visibility: %w", err)
		}
		if !slices.Contains(kept, name) {
			unused = append(unused, name)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list the indexes of visibility: %w", err)
	}
	for _, name := range unused {
		if _, err := tx.ExecContext(ctx, `DROP INDEX "`+name+`"`); err != nil {
			return fmt.Errorf("drop the index %s of visibility: %w", name, err)
		}
	}
	return nil
}
