package main

import (
	"context"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	temporalsdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ringback/activities"
	"ringback/dev/temporalserver"
	"ringback/internal/app"
	"ringback/internal/config"
	"ringback/internal/egress"
	"ringback/internal/overload"
	"ringback/internal/receiver"
	"ringback/internal/service"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

// openServer starts a Temporal server and returns its address.
func openServer(ctx context.Context, s Setup) (handlers, func() error, string, error) {
	o := temporalserver.Options{DataDir: s.Dir, Stock: s.Stock, Shards: s.Shards, Services: s.Services, Addr: s.Addr}
	if s.Postgres != "" {
		p, err := temporalserver.ParsePostgres(s.Postgres)
		if err != nil {
			return nil, nil, "", err
		}
		o.Postgres = &p
	}
	server, err := temporalserver.Start(ctx, o)
	if err != nil {
		return nil, nil, "", err
	}
	return nil, server.Stop, server.FrontendAddr(), nil
}

// openRingback runs the program api with its worker, or one of them, and returns the
// API's base URL.
func openRingback(ctx context.Context, s Setup) (handlers, func() error, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{
			ConfigPath: s.Config, Temporal: client.Options{HostPort: s.Temporal}, API: s.Part != "worker", Worker: s.Part != "api", Listen: "127.0.0.1:0", TelemetryListen: "127.0.0.1:0",
			Log: telemetry.NewLogger(os.Stderr, zapcore.InfoLevel), Started: func(address, _ string) { started <- address },
		})
	}()
	select {
	case err := <-ended:
		cancel()
		return nil, nil, "", err
	case address := <-started:
		stop := func() error {
			cancel()
			return <-ended
		}
		return nil, stop, "http://" + address, nil
	}
}

// openService is Ringback without its HTTP API: workflow, activities and starts in one
// process.
func openService(_ context.Context, s Setup) (handlers, func() error, string, error) {
	c, err := config.Load(s.Config)
	if err != nil {
		return nil, nil, "", err
	}
	temporal, err := dial(s.Temporal, uncompressed())
	if err != nil {
		return nil, nil, "", err
	}
	guard := egress.NewOfNetworks(c.Egress.Allow)
	w := worker.New(temporal, workflows.TaskQueue, worker.Options{})
	workflows.Register(w, serviceActivities(c, guard, temporal))
	starter := &service.Service{
		Client: temporal, Namespace: client.DefaultNamespace, Converter: converter.GetDefaultDataConverter(),
		Endpoint: c.Endpoint, EndpointNames: func() []string { return nil }, CheckURL: guard.CheckURL,
	}
	start := func(ctx context.Context, endpoint, id string) error {
		_, _, err := starter.Start(ctx, startRequest(endpoint, id))
		return err
	}
	return handlers{"start": makes(start)}, closing(w, temporal), "", w.Start()
}

// serviceActivities makes the activities as internal/app does.
func serviceActivities(c *config.Config, guard *egress.Guard, temporal client.Client) *activities.Activities {
	endpoints, sources := map[string]receiver.Endpoint{}, map[string]activities.Source{}
	for name, e := range c.Endpoints {
		d, _ := c.Dialect(e.Dialect) // the configuration is valid
		endpoints[name] = receiver.Endpoint{Name: name, Dialect: d, URL: e.URL, Client: guard.Client(e.TLS.Config(), 0), Header: http.Header{}}
	}
	for name, src := range c.Sources {
		kind, _ := c.Kind(src.Kind) // the configuration is valid
		sources[name] = activities.Source{Source: kind.Open(src.Open(guard.Client)), Vocabulary: kind.Vocabulary}
	}
	return &activities.Activities{
		Endpoint:  func(name string) (receiver.Endpoint, bool) { e, ok := endpoints[name]; return e, ok },
		Source:    func(name string) (activities.Source, bool) { s, ok := sources[name]; return s, ok },
		Heartbeat: temporal.RecordActivityHeartbeat,
		Yield: (&service.Service{
			Client: temporal, Namespace: client.DefaultNamespace, Converter: converter.GetDefaultDataConverter(),
			Failures: temporalsdk.GetDefaultFailureConverter(),
		}).RetryLater,
		Pending: func(context.Context, activities.InterruptInput) (*activities.PendingActivity, error) {
			return nil, nil // used only when an activity is interrupted
		},
		Pace: overload.NewPace(), Metrics: activities.NewMetrics(prometheus.NewRegistry()), Log: zap.NewNop(),
	}
}
