package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	sdktemporal "go.temporal.io/sdk/temporal"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ringback/dev/port"
)

const (
	// DefaultNamespace is created where Options names none.
	DefaultNamespace = "default"
	// DefaultRetention is how long closed runs are kept where Options does
	// not say: the thirty days that bound identity and redelivery.
	DefaultRetention = 30 * 24 * time.Hour

	loopback    = "127.0.0.1"
	clusterName = "active"
)

// Options says where the server listens and where it keeps its state.
type Options struct {
	// Addr is the frontend's host:port; empty, or port 0, is a free port on
	// the loopback address. A process without the frontend is told where it is.
	Addr string
	// DataDir keeps the state in SQLite files in that directory, which is made
	// if it is missing and held by one server at a time. A commit is on the
	// disk when it is answered. Empty: SQLite in memory.
	DataDir string
	// Postgres keeps the state in PostgreSQL instead; DataDir must be empty.
	Postgres *Postgres
	// Services are those that this process runs of a cluster on one PostgreSQL, whose
	// processes find each other there and gossip on loopback ports, so that the shards of
	// a history host that dies move to another: "frontend", "matching", "history" and
	// "worker". None: all four, and no cluster. Start the processes one after the other,
	// the history hosts first: the frontend's Start returns when it has an answer from one.
	Services []string
	// Shards is the number of history shards of a new database; 0: 1 on SQLite and 4 on
	// PostgreSQL, the numbers of the server's samples.
	Shards int32
	// Namespaces are created where they are missing; none: DefaultNamespace.
	Namespaces []string
	// Retention of a namespace that is created; 0: DefaultRetention.
	Retention time.Duration
	// Attributes are the custom search attributes of a namespace that is created.
	// A running server takes seconds to know one that is added to it.
	Attributes []sdktemporal.SearchAttributeKey
	// Stock runs the server as it is sold: without the plugins that keep prepared
	// statements, with all of visibility's indexes, and on SQLite with it in the one
	// file. A data directory that exists keeps its files and their indexes, and a
	// PostgreSQL database the indexes that it has left.
	Stock bool
	// TLS, if set, is what the frontend speaks; nil: none.
	TLS *TLS
	// Allow, if set, decides on each call of a client of the frontend.
	Allow func(Call) bool
	// Log receives the server's own warnings and errors, of which it has some
	// also on good days; nil: only why it ended the process, to stderr.
	Log *zap.Logger
}

// Server is a running Temporal server, or one process of a cluster.
type Server struct {
	server    temporal.Server
	addr      string
	namespace string
	release   func() error
	logged    zap.AtomicLevel
}

// Start sets up the schema and the namespace where they are missing, starts the
// services and returns when the server answers for the namespace. A process without
// the frontend returns when its services run. ctx bounds the start only.
//
// A port that is taken, a data directory in use and a database that can't be
// reached are errors. A port lost to another program between the check and the
// bind ends the process: the server's own listener does that.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	ports, err := holdPorts(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = port.Release(ports.held...) }()
	logged := zap.NewAtomicLevelAt(zapcore.WarnLevel)
	logger := log.NewZapLogger(limit(o.Log, logged))
	stores, err := openStores(ctx, o, logger)
	if err != nil {
		return nil, err
	}
	server, err := launch(ctx, o, ports, stores, logger)
	if err != nil {
		return nil, errors.Join(err, stores.release())
	}
	server.logged = logged
	return server, nil
}

// FrontendAddr is the host:port that clients dial.
func (s *Server) FrontendAddr() string { return s.addr }

// Namespace is the first of the namespaces that Start made sure of.
func (s *Server) Namespace() string { return s.namespace }

// Stop ends every service in order and lets go of the data directory. What the
// services say about each other's end is not logged.
func (s *Server) Stop() error {
	s.logged.SetLevel(zapcore.FatalLevel)
	return errors.Join(s.server.Stop(), s.release())
}

func (o Options) complete() (Options, error) {
	if o.DataDir != "" && o.Postgres != nil {
		return o, fmt.Errorf("a Temporal server keeps its state in one place: data directory %q or PostgreSQL %s, not both", o.DataDir, o.Postgres.Addr)
	}
	if err := o.checkServices(); err != nil {
		return o, err
	}
	if o.Addr == "" {
		o.Addr = net.JoinHostPort(loopback, "0")
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{DefaultNamespace}
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Log == nil {
		o.Log = fatalToStderr()
	}
	return o, nil
}

// fatalToStderr is as quiet as can be: the server ends the process when it
// logs at this level, so that it must be said.
func fatalToStderr() *zap.Logger {
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(zapcore.FatalLevel)
	c.Encoding = "console"
	return zap.Must(c.Build())
}

// limit lets pass what level allows, without stack traces: the server logs
// them for each of its errors.
func limit(l *zap.Logger, level zap.AtomicLevel) *zap.Logger {
	return l.WithOptions(zap.AddStacktrace(zapcore.FatalLevel), zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return limited{Core: core, level: level}
	}))
}

// limited is a core whose level can be raised while it is in use.
type limited struct {
	zapcore.Core
	level zap.AtomicLevel
}

// Enabled reports whether both the level and the core let l pass.
func (c limited) Enabled(l zapcore.Level) bool { return c.level.Enabled(l) && c.Core.Enabled(l) }

// With adds fields to the core, written when something passes the level: the
// server adds some to every request.
func (c limited) With(fields []zapcore.Field) zapcore.Core {
	return limited{Core: zapcore.NewLazyWith(c.Core, fields), level: c.level}
}

// Check adds the core to ce where e passes.
func (c limited) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) {
		return ce
	}
	return c.Core.Check(e, ce)
}

// launch starts the services on ports and waits until they answer.
func launch(ctx context.Context, o Options, p ports, s stores, logger log.Logger) (*Server, error) {
	authorizer, claims := authorization.NewNoopAuthorizer(), authorization.NewNoopClaimMapper()
	if o.Allow != nil {
		authorizer, claims = allow(o.Allow), allow(o.Allow)
	}
	options := []temporal.ServerOption{
		temporal.WithConfig(o.configure(p, s)),
		temporal.ForServices(o.services()),
		temporal.WithLogger(logger),
		temporal.WithDynamicConfigClient(o.dynamicConfig()),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
	}
	if !o.clustered() {
		options = append(options, temporal.WithStaticHosts(p.staticHosts()))
	}
	server, err := temporal.NewServer(options...)
	if err != nil {
		return nil, fmt.Errorf("make the Temporal server on %s: %w", s.where, err)
	}
	if err := server.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the Temporal server on %s: %w", s.where, err), server.Stop())
	}
	running := &Server{server: server, addr: p.frontend, namespace: o.Namespaces[0], release: s.release}
	if !o.runs(primitives.FrontendService) {
		return running, nil
	}
	if err := running.awaitReady(ctx, o.TLS); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return running, nil
}

// awaitReady asks for a workflow that does not exist until the answer is that
// it does not exist: then frontend, history and the database all serve.
func (s *Server) awaitReady(ctx context.Context, t *TLS) error {
	options, err := t.clientOptions(s.addr, s.namespace)
	if err != nil {
		return fmt.Errorf("read the certificates of the Temporal server on %s: %w", s.addr, err)
	}
	options.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.NewLazyClient(options)
	if err != nil {
		return fmt.Errorf("dial the Temporal server on %s: %w", s.addr, err)
	}
	defer c.Close()
	for {
		err := probe(ctx, c)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Temporal server on %s: %w (last answer: %w)", s.addr, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func probe(ctx context.Context, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := c.DescribeWorkflowExecution(ctx, "ringback-readiness-probe", "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return nil
	}
	return err
}

func (o Options) configure(p ports, s stores) *config.Config {
	return &config.Config{
		Global: config.Global{
			TLS:        o.TLS.root(),
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback},
		},
		Persistence: s.persistence,
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: p.frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            p.services(),
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
		PublicClient: config.PublicClient{HostPort: p.frontend},
	}
}
