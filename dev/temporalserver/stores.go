package temporalserver

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// stores is where a server keeps its state: one place for histories and one
// for visibility, which may be the same.
type stores struct {
	persistence config.Persistence
	// where names the place in errors.
	where   string
	release func() error
}

const (
	historyStore    = "history"
	visibilityStore = "visibility"
)

// openStores brings the schema up to date and makes sure of the namespaces.
func openStores(ctx context.Context, o Options, logger log.Logger) (stores, error) {
	s, err := chooseStores(ctx, o, logger)
	if err != nil {
		return stores{}, err
	}
	if o.Shards > 0 {
		s.persistence.NumHistoryShards = o.Shards
	}
	if err := ensureNamespaces(s, o); err != nil {
		_ = s.release()
		return stores{}, err
	}
	return s, nil
}

func chooseStores(ctx context.Context, o Options, logger log.Logger) (stores, error) {
	switch {
	case o.Postgres != nil:
		return postgresStores(ctx, o, logger)
	case o.DataDir != "":
		return fileStores(ctx, o)
	default:
		return memoryStores(), nil
	}
}

// newStores keeps histories in one SQL database and visibility in another or
// the same. More shards than one only pay where the database has many writers.
func newStores(where string, shards int32, history, visibility *config.SQL) stores {
	return stores{
		where:   where,
		release: func() error { return nil },
		persistence: config.Persistence{
			DefaultStore:     historyStore,
			VisibilityStore:  visibilityStore,
			NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{
				historyStore:    {SQL: history},
				visibilityStore: {SQL: visibility},
			},
		},
	}
}

// ensureNamespaces writes the namespaces' rows before the server starts, so that
// the server knows them from its first second. CreateNamespaces lives in the SQLite
// schema's package but goes through the configured plugin, whichever that is. A
// namespace that exists stays as it is.
func ensureNamespaces(s stores, o Options) error {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, key := range o.Attributes {
		attributes[key.GetName()] = key.GetValueType()
	}
	for _, name := range o.Namespaces {
		namespace, err := sqlite.NewNamespaceConfig(clusterName, name, false, attributes)
		if err != nil {
			return fmt.Errorf("describe namespace %q: %w", name, err)
		}
		namespace.Detail.Config.Retention = durationpb.New(o.Retention)
		if err := sqlite.CreateNamespaces(s.persistence.DataStores[historyStore].SQL, namespace); err != nil {
			return fmt.Errorf("create namespace %q on %s: %w", name, s.where, err)
		}
	}
	return nil
}
