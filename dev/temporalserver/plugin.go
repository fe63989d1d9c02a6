package temporalserver

import (
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/iancoleman/strcase"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	persistencesql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
)

const (
	// keepingPlugin is the server's SQLite plugin on connections that keep
	// their statements.
	keepingPlugin = "sqlite-kept-statements"
	// sqliteDriver is the name under which the server's driver is registered.
	sqliteDriver = "sqlite"
)

var keeping = &plugin{open: map[string]*sqlx.DB{}}

func init() { persistencesql.RegisterPlugin(keepingPlugin, keeping) }

// plugin hands out the stock plugin's stores on connections of its own: one for
// a database, shared by all the services.
type plugin struct {
	mu   sync.Mutex
	open map[string]*sqlx.DB
}

// GetVisibilityQueryConverter is the stock plugin's.
func (p *plugin) GetVisibilityQueryConverter() sqlplugin.VisibilityQueryConverter {
	converter, err := persistencesql.GetPluginVisibilityQueryConverter(sqlite.PluginName)
	if err != nil {
		panic(err) // the import above registers it
	}
	return converter
}

// CreateDB makes the stock plugin's store and puts it on a connection that
// keeps its statements.
func (p *plugin) CreateDB(
	kind sqlplugin.DbKind, cfg *config.SQL, r resolver.ServiceResolver, logger log.Logger, m metrics.Handler,
) (sqlplugin.GenericDB, error) {
	stock := *cfg
	stock.PluginName = sqlite.PluginName
	db, err := persistencesql.NewSQLDB(kind, &stock, r, logger, m)
	if err != nil {
		return nil, err
	}
	connection, err := p.use(cfg)
	if err != nil {
		return nil, err
	}
	if err := rewire(db, connection); err != nil {
		return nil, err
	}
	return db, nil
}

// rewire gives a store of the stock plugin another connection. The plugin has
// no option for it, as PostgreSQL's has, so its two private fields are set: a
// server whose plugin looks different is refused here, and Options.Stock does
// without.
func rewire(db sqlplugin.DB, connection *sqlx.DB) error {
	store := reflect.ValueOf(db)
	if store.Kind() != reflect.Pointer || store.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("the SQLite plugin's store is a %T, which statements can't be kept for", db)
	}
	pool, conn := store.Elem().FieldByName("db"), store.Elem().FieldByName("conn")
	if !pool.IsValid() || pool.Type() != reflect.TypeFor[*sqlx.DB]() ||
		!conn.IsValid() || conn.Type() != reflect.TypeFor[sqlplugin.Conn]() {
		return fmt.Errorf("the SQLite plugin's %T has no connection where statements could be kept", db)
	}
	*(**sqlx.DB)(unsafe.Pointer(pool.UnsafeAddr())) = connection       //nolint:gosec // checked just above
	*(*sqlplugin.Conn)(unsafe.Pointer(conn.UnsafeAddr())) = connection //nolint:gosec // checked just above
	return nil
}

// use opens cfg's database where it is not open yet. As with the stock plugin,
// a store that is closed leaves it open: at the start, the server goes on with
// stores that it has closed.
func (p *plugin) use(cfg *config.SQL) (*sqlx.DB, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := dataSource(cfg)
	if db, ok := p.open[name]; ok {
		return db, nil
	}
	if err := registerKeepingDriver(); err != nil {
		return nil, err
	}
	db, err := sqlx.Connect(keepingPlugin, name)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", cfg.DatabaseName, err)
	}
	// As the stock plugin has it: one writer, who never waits for itself.
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.MapperFunc(strcase.ToSnake)
	p.open[name] = db
	return db, nil
}

// registerKeepingDriver makes the keeping driver known, around the server's own.
var registerKeepingDriver = sync.OnceValue(func() error {
	stock, err := sql.Open(sqliteDriver, "file::memory:")
	if err != nil {
		return fmt.Errorf("find the server's SQLite driver: %w", err)
	}
	sql.Register(keepingPlugin, keepingDriver{stock.Driver()})
	return stock.Close()
})

// close closes cfg's database, once its server has ended.
func (p *plugin) close(cfg *config.SQL) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := dataSource(cfg)
	db, ok := p.open[name]
	if !ok {
		return nil
	}
	delete(p.open, name)
	return db.Close()
}

// dataSource writes cfg as the stock plugin does, the same each time: it is by
// its data source that a database is found open.
func dataSource(cfg *config.SQL) string {
	values := url.Values{"_time_format": {"sqlite"}}
	for _, name := range slices.Sorted(maps.Keys(cfg.ConnectAttributes)) {
		value := cfg.ConnectAttributes[name]
		if name == "mode" {
			values.Set(name, value)
			continue
		}
		values.Add("_pragma", name+"="+value)
	}
	return "file:" + cfg.DatabaseName + "?" + values.Encode()
}
