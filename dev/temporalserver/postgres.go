package temporalserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.temporal.io/server/common/auth"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"
)

// ClusterConnections is a max_connections that is enough for a cluster of two history
// hosts: each service of each process takes up to 40, and PostgreSQL's default is 100.
const ClusterConnections = "250"

// Postgres is a PostgreSQL 12 or newer. The two databases are created if the
// user may do so and they are missing.
type Postgres struct {
	// Addr is host:port.
	Addr     string
	User     string
	Password string
	// Database holds the histories, Database + "_visibility" the visibility.
	Database string
	// CA is a PEM file; with it TLS is spoken, to a server whose certificate is of
	// that authority and for Addr's host (sslmode verify-full).
	CA string
}

func (p Postgres) sslQuery() string {
	if p.CA == "" {
		return "sslmode=disable"
	}
	return url.Values{"sslmode": {verifyFull}, "sslrootcert": {p.CA}}.Encode()
}

func (p Postgres) tls() *auth.TLS {
	if p.CA == "" {
		return nil
	}
	return &auth.TLS{Enabled: true, CaFile: p.CA, EnableHostVerification: true}
}

const verifyFull = "verify-full"

const (
	postgresHistorySchema    = "postgresql/v12/temporal"
	postgresVisibilitySchema = "postgresql/v12/visibility"

	postgresIndexes = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'executions_visibility'::regclass AND NOT indisprimary"

	// postgresShards and postgresConns are those of the server's sample
	// configuration.
	postgresShards = 4
	postgresConns  = 20
)

// ParsePostgres reads postgres://user:password@host:port/database; port 5432
// and database "temporal" are the defaults. With ?sslmode=verify-full&sslrootcert=FILE
// TLS is spoken.
func ParsePostgres(dsn string) (Postgres, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil || u.Hostname() == "" || !strings.HasPrefix(u.Scheme, "postgres") {
		return Postgres{}, errors.New("a PostgreSQL address is postgres://user:password@host:port/database")
	}
	password, _ := u.User.Password()
	p := Postgres{Addr: u.Host, User: u.User.Username(), Password: password, Database: strings.Trim(u.Path, "/")}
	switch query := u.Query(); {
	case query.Get("sslmode") == verifyFull && query.Get("sslrootcert") != "":
		p.CA = query.Get("sslrootcert")
	case u.RawQuery != "":
		return Postgres{}, errors.New("a PostgreSQL address takes sslmode=verify-full and sslrootcert=FILE together, and nothing else")
	}
	if u.Port() == "" {
		p.Addr = net.JoinHostPort(u.Hostname(), "5432")
	}
	if p.Database == "" {
		p.Database = "temporal"
	}
	return p, nil
}

func postgresStores(ctx context.Context, o Options, logger log.Logger) (stores, error) {
	p, plugin := *o.Postgres, postgresql.PluginName
	if !o.Stock {
		plugin = postgresql.PluginNamePGX
	}
	history, err := postgresDatabase(ctx, p, plugin, p.Database, postgresHistorySchema, logger)
	if err != nil {
		return stores{}, err
	}
	visibility, err := postgresDatabase(ctx, p, plugin, p.Database+"_visibility", postgresVisibilitySchema, logger)
	if err != nil {
		return stores{}, err
	}
	if !o.Stock {
		if err := p.dropIndexes(ctx, visibility.DatabaseName); err != nil {
			return stores{}, fmt.Errorf("leave few indexes in database %q at %s: %w", visibility.DatabaseName, p.Addr, err)
		}
	}
	return newStores("PostgreSQL at "+p.Addr, postgresShards, history, visibility), nil
}

func postgresDatabase(ctx context.Context, p Postgres, plugin, name, schemaName string, logger log.Logger) (*config.SQL, error) {
	if err := createDatabase(ctx, p, name); err != nil {
		return nil, fmt.Errorf("create database %q at %s: %w", name, p.Addr, err)
	}
	db := &config.SQL{
		PluginName:      plugin,
		ConnectAddr:     p.Addr,
		ConnectProtocol: "tcp",
		User:            p.User,
		Password:        p.Password,
		DatabaseName:    name,
		MaxConns:        postgresConns,
		MaxIdleConns:    postgresConns,
		TLS:             p.tls(),
	}
	if err := updateSchema(db, schemaName, logger); err != nil {
		return nil, fmt.Errorf("bring the schema of database %q at %s up to date: %w", name, p.Addr, err)
	}
	return db, nil
}

func createDatabase(ctx context.Context, p Postgres, name string) (err error) {
	db, err := p.open("postgres")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var exists bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE DATABASE "`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	return err
}

func (p Postgres) open(database string) (*sql.DB, error) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.User, p.Password), Host: p.Addr, Path: "/" + database, RawQuery: p.sslQuery()}
	return sql.Open("postgres", u.String())
}

func (p Postgres) dropIndexes(ctx context.Context, database string) error {
	db, err := p.open(database)
	if err != nil {
		return err
	}
	return inTransaction(ctx, db, func(tx *sql.Tx) error { return dropIndexes(ctx, tx, postgresIndexes) })
}

// updateSchema is what temporal-sql-tool's setup-schema and update-schema do,
// with the schema that is embedded in this very server. Both steps pass over
// what is already there.
func updateSchema(db *config.SQL, schemaName string, logger log.Logger) error {
	conn, err := sqltool.NewConnection(db, logger)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ReadSchemaVersion(); err != nil {
		setup := schema.NewSetupSchemaTask(conn, &schema.SetupConfig{InitialVersion: "0.0"}, logger)
		if err := setup.Run(); err != nil {
			return err
		}
	}
	return schema.NewUpdateSchemaTask(conn, &schema.UpdateConfig{SchemaName: schemaName}, logger).Run()
}
