package main

import (
	"context"
	"encoding/json"
	"fmt"
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

// openRingback runs the program api with its worker, as it is sold; its value
// is the API's address.
func openRingback(ctx context.Context, settings json.RawMessage) (handler, any, error) {
	var s temporalSetup
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
		return func(_ context.Context, o order) (any, error) {
			if o.Do == stopping {
				cancel()
				return nil, <-ended
			}
			return nil, fmt.Errorf("ringback knows no order %q", o.Do)
		}, "http://" + address, nil
	}
}

// openDesk is Ringback without its HTTP API: the same workflow, activities and
// start, called in this process.
func openDesk(_ context.Context, settings json.RawMessage) (handler, any, error) {
	var s temporalSetup
	if err := json.Unmarshal(settings, &s); err != nil {
		return nil, nil, err
	}
	c, err := config.Load(s.Config) //nolint:contextcheck // reading a file asks nobody
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
	acts, err := deskActivities(c, guard, temporal)
	if err != nil {
		return nil, nil, err
	}
	w := worker.New(temporal, workflows.TaskQueue, worker.Options{})
	workflows.Register(w, acts)
	operations := &service.Service{
		Client: temporal, Namespace: client.DefaultNamespace, Converter: converter.GetDefaultDataConverter(),
		Endpoint: c.Endpoint, EndpointNames: func() []string { return nil }, CheckURL: guard.CheckURL,
	}
	return func(ctx context.Context, o order) (any, error) {
		switch o.Do {
		case "start":
			return o.Load.run(ctx, func(ctx context.Context, endpoint, id string) error {
				_, _, err := operations.Start(ctx, startRequest(endpoint, id))
				return err
			}), nil
		case stopping:
			w.Stop()
			temporal.Close()
			return nil, nil
		}
		return nil, fmt.Errorf("the desk knows no order %q", o.Do)
	}, nil, w.Start()
}

// deskActivities are the activities as internal/app makes them.
func deskActivities(c *config.Config, guard *egress.Guard, temporal client.Client) (*activities.Activities, error) {
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
			return nil, nil // only what interrupts an activity asks
		},
		Metrics: activities.NewMetrics(prometheus.NewRegistry()), Log: zap.NewNop(),
	}, nil
}
