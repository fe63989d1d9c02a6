// Package app wires Ringback's programs: configuration, Temporal, worker and API.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"ringback/activities"
	"ringback/api/rest"
	"ringback/internal/codec"
	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/internal/service"
	"ringback/internal/telemetry"
	"ringback/internal/version"
)

// Options are what a program of Ringback runs with.
type Options struct {
	// ConfigPath is the YAML file, read again when its content changes, or that of a file
	// that it names, and at each SIGHUP.
	ConfigPath string
	// Temporal says where the server is, and in which namespace.
	Temporal client.Options
	// UIURL is the base address of the Temporal UI, for links; empty: none.
	UIURL string
	// Build is this process's build of a worker deployment; zero: not versioned.
	Build       service.Build
	API, Worker bool
	// Listen, if not empty, replaces api.listen of the configuration, and
	// TelemetryListen replaces telemetry.listen, where probes and metrics are.
	Listen, TelemetryListen string
	// GatePing is the endpoint that the gate of a new build sends a test callback; empty: none.
	GatePing string
	// Spans, if set, takes the spans instead of an exporter.
	Spans trace.SpanProcessor
	Log   *zap.Logger
	// unscreened, if set, is told the endpoints whose ids Log need not mask.
	unscreened *telemetry.Unscreened
	// Started, if set, is called once everything runs, with the listeners' addresses; that
	// of the API is empty in a program without one.
	Started func(api, telemetry string)
}

// drainMargin is how much longer than an attempt a stop may take.
const drainMargin = 5 * time.Second

// process is one running process of Ringback.
type process struct {
	Options
	config liveConfig
	// files are what the configuration was read from the last time, also if it was refused.
	files config.Files
	// refused is set while the configuration that was read the last time is not in force.
	refused atomic.Bool
	// reloaded is sent to after each reload.
	reloaded chan struct{}
	registry *prometheus.Registry
	metrics  metrics
	traces   *telemetry.Traces
	overload *overload.Limiter
	client   client.Client
	service  *service.Service
	// workers serve the common task queue and this process's own, on which others ask it
	// to interrupt an activity; the first workersStarted have started.
	workers        []worker.Worker
	workersStarted int
	outcomes       *telemetry.Operations
	activities     *activities.Activities
	// apiListener is not used in a program without the API.
	apiListener, telemetryListener listener

	api   *rest.Server
	audit telemetry.AuditFile
	// connected: Temporal was reached and the workers run. away: it refused the latest call.
	// mistaken: it cannot be reached until a setting is mended.
	connected, away, mistaken atomic.Bool
}

// Run serves until ctx ends, then drains: it takes no new starts and finishes the
// attempts in flight. If Temporal is away at first, /readyz fails, and the worker starts
// once it is there.
func Run(ctx context.Context, o Options) error {
	p := &process{Options: o, registry: prometheus.NewRegistry()}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	defer p.client.Close()
	defer p.audit.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.closeTraces()
	stopReloading := p.followConfig() //nolint:contextcheck // a reload under way ends by itself
	defer stopReloading()
	stopServing, err := p.serve(cancel)
	if err != nil {
		return err
	}
	defer stopServing()
	if p.connect(ctx) == nil {
		p.logRunning()
		p.followTemporal(ctx)
	}
	p.drain() //nolint:contextcheck // ctx is over
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// prepare makes all parts, without the network.
func (p *process) prepare(ctx context.Context) error {
	c, err := p.read()
	if err != nil {
		return err
	}
	if err := errors.Join(p.openTraces(ctx, c), p.openMetrics()); err != nil {
		return err
	}
	if err := p.config.use(p.ConfigPath, c); err != nil {
		return err
	}
	if err := p.chooseListeners(); err != nil {
		return err
	}
	if err := p.openAudit(c); err != nil {
		return err
	}
	p.overload = overload.New(p.registry, func() int { return p.config.file().API.MaxStarts }, p.troubled)
	if err := p.newService(); err != nil {
		return err
	}
	if p.Worker {
		if err := p.newWorkers(); err != nil {
			return err
		}
	}
	p.showConfig(c)
	if len(c.API.Keys) == 0 && !c.API.Anonymous {
		p.Log.Warn("api.keys has no keys: every program of this machine may make every call; api.anonymous: true says that this is on purpose")
	}
	return nil
}

// newService connects the service to Temporal at its first call.
func (p *process) newService() error {
	o := &p.Temporal
	o.Logger = telemetry.TemporalLogger(p.Log)
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	if o.Identity == "" {
		o.Identity = identity()
	}
	if o.DataConverter == nil {
		o.DataConverter = codec.NewConverter(&p.config.codec)
	}
	if o.FailureConverter == nil {
		o.FailureConverter = codec.NewFailureConverter(&p.config.codec)
	}
	if o.ConnectionOptions.GrpcCompression == nil {
		// It costs more CPU on both sides than it saves on the wire.
		o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	o.ConnectionOptions.DialOptions = append(slices.Clip(o.ConnectionOptions.DialOptions),
		grpc.WithChainUnaryInterceptor(telemetry.NewActions(p.registry).Intercept))
	var err error
	p.client, err = client.NewLazyClient(service.ClientOptions(*o))
	if err != nil {
		return fmt.Errorf("configuring the Temporal client for %s: %w", o.HostPort, err)
	}
	p.service = &service.Service{
		Client: p.client, Namespace: o.Namespace, Identity: o.Identity, Converter: o.DataConverter, Failures: o.FailureConverter,
		Endpoint: func(name string) (operation.Endpoint, bool) { return p.config.file().Endpoint(name) }, EndpointNames: p.config.endpointNames, Vocabulary: func() []string { return p.config.file().Vocabulary() },
		CheckURL:          func(ctx context.Context, url string) error { return p.config.file().Guard.CheckURL(ctx, url) },
		CardNumberRefused: func(endpoint string) { p.metrics.cardNumberRefusals.WithLabelValues(endpoint).Inc() },
		PageKey:           func() []byte { return p.config.file().PageKey },
		UIURL:             p.UIURL, Build: p.Build,
	}
	return nil
}

// identity is unique: it names the task queue of this process.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%s@%s", os.Getpid(), host, strings.ToLower(rand.Text()[:8]))
}

func (p *process) logRunning() {
	api, address := "", zap.Skip()
	if p.API {
		api = p.apiListener.Addr().String()
		address = zap.String("api", api)
	}
	probes := p.telemetryListener.Addr().String()
	p.Log.Info("running", zap.String("version", version.String()), address, zap.String("telemetry", probes), zap.Bool("worker", p.Worker),
		zap.String("temporal", p.Temporal.HostPort), zap.String("namespace", p.Temporal.Namespace),
		zap.String("config_hash", p.config.hash()), zap.String("build", p.Build.ID))
	if p.Started != nil {
		p.Started(api, probes)
	}
}

// drain first refuses new starts, whose eager tasks a stopping worker would strand,
// and then stops the worker.
func (p *process) drain() {
	p.Log.Info("stopping: attempts in flight finish first")
	ctx, cancel := context.WithTimeout(context.Background(), rest.DefaultChangeTimeout)
	defer cancel()
	if err := p.api.Drain(ctx); err != nil {
		p.Log.Warn("starts were still in flight at the stop", zap.Error(err))
	}
	if p.connected.Load() {
		for _, w := range p.workers {
			w.Stop()
		}
		p.giveBackHolds()
	}
	p.Log.Info("stopped")
}

// giveBackTimeout is how long a stop waits for the server to take back the deliveries that
// wait for endpoints on hold.
const giveBackTimeout = time.Minute

func (p *process) giveBackHolds() {
	if p.activities == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
	defer cancel()
	activities.ReleaseHolds(ctx, p.activities, true)
}
