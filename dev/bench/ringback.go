package main

import (
	"context"
	"encoding/json"
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
	"ringback/internal/app"
	"ringback/internal/config"
	"ringback/internal/dialect"
	"ringback/internal/egress"
	"ringback/internal/receiver"
	"ringback/internal/service"
	"ringback/internal/source"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

// openRingback runs the program api with its worker, and returns the API's base URL.
func openRingback(ctx context.Context, settings json.RawMessage) (handler, any, error) {
	var s roleSetup
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{
			ConfigPath: s.Config, Temporal: client.Options{HostPort: s.Temporal}, API: true, Worker: true, Listen: "127.0.0.1:0",
			Log: telemetry.NewLogger(os.Stderr, zapcore.InfoLevel), Started: func(address string) { started <- address },
		})
	}()
	select {
	case err := <-ended:
		cancel()
		return nil, nil, err
	case address := <-started:
		return func(_ context.Context, r request) (any, error) {
			if r.Do == stopping {
				cancel()
				return nil, <-ended
			}
			return nil, unknownRequest(r)
		}, "http://" + address, nil
	}
}

// openService is Ringback without its HTTP API: workflow, activities and starts in one
// process.
func openService(_ context.Context, settings json.RawMessage) (handler, any, error) {
	var s roleSetup
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, nil, err
	}
	c, err := config.Load(s.Config)
	if err != nil {
		return nil, nil, err
	}
	temporal, err := client.Dial(client.Options{
		HostPort: s.Temporal, Logger: telemetry.TemporalLogger(zap.NewNop()), ConnectionOptions: uncompressed(),
	})
	if err != nil {
		return nil, nil, err
	}
	guard := egress.New(c.Egress.Allow)
	acts, err := serviceActivities(c, guard, temporal)
	if err != nil {
		return nil, nil, err
	}
	w := worker.New(temporal, workflows.TaskQueue, worker.Options{})
	workflows.Register(w, acts)
	starter := &service.Service{
		Client: temporal, Namespace: client.DefaultNamespace, Converter: converter.GetDefaultDataConverter(),
		Endpoint: c.Endpoint, EndpointNames: func() []string { return nil }, CheckURL: guard.CheckURL,
	}
	return func(ctx context.Context, r request) (any, error) {
		switch r.Do {
		case "start":
			return r.Load.run(ctx, func(ctx context.Context, endpoint, id string) error {
				_, _, err := starter.Start(ctx, startRequest(endpoint, id))
				return err
			}), nil
		case stopping:
			w.Stop()
			temporal.Close()
			return nil, nil
		}
		return nil, unknownRequest(r)
	}, nil, w.Start()
}

// serviceActivities makes the activities as internal/app does.
func serviceActivities(c *config.Config, guard *egress.Guard, temporal client.Client) (*activities.Activities, error) {
	endpoints, sources := map[string]receiver.Endpoint{}, map[string]activities.Source{}
	for name, e := range c.Endpoints {
		d, _ := dialect.ByName(e.Dialect) // the configuration is valid
		endpoints[name] = receiver.Endpoint{Name: name, Dialect: d, URL: e.URL, Client: guard.Client(e.TLS.Config(), 0), Header: http.Header{}}
	}
	for name, src := range c.Sources {
		kind, _ := source.KindByName(src.Kind) // the configuration is valid
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
		Metrics: activities.NewMetrics(prometheus.NewRegistry()), Log: zap.NewNop(),
	}, nil
}
