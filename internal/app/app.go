package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"ringback/activities"
	"ringback/api/rest"
	"ringback/internal/codec"
	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/internal/service"
	"ringback/internal/telemetry"
	"ringback/workflows"
)

// Options are what a program of Ringback runs with.
type Options struct {
	// ConfigPath is the YAML file, read again at each SIGHUP.
	ConfigPath string
	// Temporal says where the server is, and in which namespace.
	Temporal client.Options
	// UIURL is the base address of the Temporal UI, for links; empty: none.
	UIURL string
	// Build says which build of a worker deployment this process is; zero: it is
	// not versioned.
	Build service.Build
	// API and Worker say what this process hosts.
	API, Worker bool
	// Listen replaces the configuration's api.listen, if not empty.
	Listen string
	// TelemetryListen does so with telemetry.listen, where there is no API.
	TelemetryListen string
	// Spans, if set, is handed the spans instead of an exporter.
	Spans trace.SpanProcessor
	Log   *zap.Logger
	// Started, if set, is called once everything runs, with the address of the
	// API, or without one with that of the metrics.
	Started func(apiAddress string)
}

const (
	// retentionWanted is the namespace's retention that promise 1 is made for.
	retentionWanted = 30 * 24 * time.Hour
	// connectRetry is how often Temporal is tried again while it is away.
	connectRetry = time.Second
	// connectTimeout bounds one such try.
	connectTimeout = 5 * time.Second
	// readyTimeout bounds the question of /readyz to Temporal.
	readyTimeout = 2 * time.Second
	// drainMargin is how much longer than an attempt a stop may take.
	drainMargin = 5 * time.Second
	// cachedRuns bounds the runs that a worker keeps in memory between two of
	// their workflow tasks, about 70 KiB each: an open operation has hours between
	// them, and is read again from its history of a dozen events (docs/adr/0020).
	cachedRuns = 2000
)

// program is one running process of Ringback.
type program struct {
	Options
	registry registry
	client   client.Client
	metrics  *prometheus.Registry
	traces   *telemetry.Traces
	// cardNumbers counts starts that were refused for one.
	cardNumbers cardNumbers
	operations  *telemetry.Operations
	acts        *activities.Metrics
	overload    *overload.Limiter
	// workers serve the common task queue and, each process its own, that on which
	// it is told to interrupt what it runs; the first workersStarted have started.
	workers        []worker.Worker
	workersStarted int
	rest           *rest.Server
	listener       net.Listener
	// door is how the listener was opened, which no reload changes.
	door      door
	connected atomic.Bool
	// away says that Temporal refused its latest connection.
	away atomic.Bool
	// routing is where the server sends new runs, as it said last.
	routing atomic.Pointer[service.Routing]
}

// Run serves until ctx ends, then drains: no new starts, attempts in flight
// finish, everything else is left to others. Temporal may be away at the
// beginning: /readyz says so, and the worker starts as soon as it is there.
func Run(ctx context.Context, o Options) error {
	p := &program{Options: o, metrics: prometheus.NewRegistry()}
	if err := p.prepare(); err != nil {
		return err
	}
	defer p.client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.closeTraces()
	stopReloading := p.reloadOnHangup()
	defer stopReloading()
	stopServing, err := p.serve(cancel)
	if err != nil {
		return err
	}
	defer stopServing()
	err = p.connect(ctx)
	if err == nil {
		p.announce()
		following := p.followBacklog(ctx)
		p.followHealth(ctx)
		following.Wait()
	}
	p.drain()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (p *program) prepare() error {
	c, err := config.Load(p.ConfigPath)
	if err != nil {
		return err
	}
	if err := errors.Join(p.openTraces(c), p.openMetrics()); err != nil {
		return err
	}
	if err := p.registry.use(p.ConfigPath, c); err != nil {
		return err
	}
	if err := p.decideDoor(); err != nil {
		return err
	}
	for _, warning := range c.Warnings {
		p.Log.Warn(warning)
	}
	p.Temporal.Logger = telemetry.TemporalLogger(p.Log)
	if p.Temporal.Namespace == "" {
		p.Temporal.Namespace = client.DefaultNamespace
	}
	if p.Temporal.Identity == "" {
		p.Temporal.Identity = identity()
	}
	if p.Temporal.DataConverter == nil {
		p.Temporal.DataConverter = codec.NewConverter(&p.registry.codec)
	}
	if p.Temporal.ConnectionOptions.GrpcCompression == nil {
		// Packing costs more CPU on both sides than it saves on the wire (docs/adr/0020).
		p.Temporal.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	if p.Temporal.FailureConverter == nil {
		p.Temporal.FailureConverter = codec.NewFailureConverter(&p.registry.codec)
	}
	p.client, err = client.NewLazyClient(service.ClientOptions(p.Temporal))
	if err != nil {
		return fmt.Errorf("configuring the Temporal client for %s: %w", p.Temporal.HostPort, err)
	}
	if p.Worker {
		if err := p.newWorker(); err != nil {
			return err
		}
	}
	p.expect()
	return nil
}

func (p *program) newWorker() error {
	p.operations = telemetry.NewOperations(p.metrics, p.endpointKnown)
	worker.SetStickyWorkflowCacheSize(cachedRuns)
	acts := p.activities()
	tuner, err := newSlots(acts.AwaitRecordQueue)
	if err != nil {
		return fmt.Errorf("sizing the worker: %w", err)
	}
	common := worker.New(p.client, workflows.TaskQueue, worker.Options{
		Tuner:                      tuner,
		ActivityTaskPollerBehavior: pollers(),
		WorkflowTaskPollerBehavior: pollers(),
		WorkerStopTimeout:          p.registry.longestAttempt() + drainMargin,
		Interceptors:               []interceptor.WorkerInterceptor{p.operations},
		DeploymentOptions:          deploymentOptions(p.Build),
	})
	workflows.Register(common, p.observed(acts))
	own := worker.New(p.client, workflows.InterruptQueue(p.Temporal.Identity), worker.Options{
		DisableWorkflowWorker:      true,
		ActivityTaskPollerBehavior: worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: 1}),
	})
	own.RegisterActivity(acts.InterruptHere)
	p.workers = []worker.Worker{common, own}
	return nil
}

// identity is this process's on the server: no other has it, since it names the
// task queue of this process alone.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%s@%s", os.Getpid(), host, strings.ToLower(rand.Text()[:8]))
}

func (p *program) activities() *activities.Activities {
	operations := p.newService()
	return &activities.Activities{
		Endpoint:    p.registry.endpoint,
		Source:      p.registry.source,
		Heartbeat:   p.client.RecordActivityHeartbeat,
		Yield:       operations.RetryLater,
		Identity:    p.Temporal.Identity,
		Pending:     p.pending,
		Signal:      p.client.SignalWorkflow,
		MatchedRuns: operations.MatchedRuns, RedeliverRun: operations.RedeliverRun,
		ReportHealth: p.report, FailingAfter: p.registry.failingAfter,
		Metrics: activities.NewMetrics(p.metrics),
		Log:     p.Log,
	}
}

// report tells who hears notices how an endpoint is.
func (p *program) report(ctx context.Context, endpoint string, h operation.Health) error {
	hearing := p.registry.config().Hearing(endpoint)
	if hearing == nil {
		return nil
	}
	return service.ReportHealth(ctx, p.client, *hearing, endpoint, h)
}

func (p *program) pending(ctx context.Context, in activities.InterruptInput) (*activities.PendingActivity, error) {
	return service.DescribePending(ctx, p.client, p.Temporal.DataConverter, in)
}

// serve opens the program's listener and serves on it; a failure cancels the run.
func (p *program) serve(cancel context.CancelCauseFunc) (stop func(), err error) {
	p.listener, err = net.Listen("tcp", p.door.address) //nolint:noctx // opened once, before anything could cancel it
	if err != nil {
		return nil, fmt.Errorf("listening on %s for %s: %w", p.door.address, p.door.purpose, err)
	}
	if p.listener, err = bounded(p.listener, connectionsAtOnce); err != nil {
		return nil, err
	}
	if p.API {
		p.rest = p.apiServer()
	} else {
		p.rest = p.probesServer()
	}
	server := p.rest.HTTPServer()
	go func() {
		if err := p.serveOn(server); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving %s on %s: %w", p.door.purpose, p.door.address, err))
		}
	}()
	return func() { _ = server.Close() }, nil
}

func (p *program) newService() *service.Service {
	return &service.Service{
		Client: p.client, Namespace: p.Temporal.Namespace, Identity: p.Temporal.Identity,
		Converter: readable{p.Temporal.DataConverter}, Failures: p.Temporal.FailureConverter,
		Endpoint: p.registry.start, EndpointNames: p.registry.endpointNames, CheckURL: p.registry.checkURL,
		Vocabulary: vocabulary(),
		UIURL:      p.UIURL, CardNumber: p.cardNumbers.refused,
		Versioned: p.Build.Versioned(), Eager: p.beginsHere,
	}
}

// connect waits for Temporal, prepares its namespace and starts the worker.
func (p *program) connect(ctx context.Context) error {
	for {
		err := p.tryConnect(ctx)
		if err == nil {
			p.connected.Store(true)
			return nil
		}
		p.Log.Warn("Temporal is not ready yet; trying again", zap.String("address", p.Temporal.HostPort),
			zap.Duration("in", connectRetry), zap.Error(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(connectRetry):
		}
	}
}

func (p *program) tryConnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	retention, err := service.Prepare(ctx, p.client, p.Temporal.Namespace)
	if err != nil {
		return err
	}
	if retention < retentionWanted {
		p.Log.Warn("the namespace's retention is below 30 days: later, a start is no longer known as a duplicate and nothing can be redelivered",
			zap.String("namespace", p.Temporal.Namespace), zap.Duration("retention", retention))
	}
	p.readRouting(ctx)
	for ; p.workersStarted < len(p.workers); p.workersStarted++ {
		if err := p.workers[p.workersStarted].Start(); err != nil {
			return fmt.Errorf("starting the worker on the task queue %s: %w", workflows.TaskQueue, err)
		}
	}
	return nil
}

func (p *program) announce() {
	address, of := p.listener.Addr().String(), "telemetry"
	if p.API {
		of = "api"
	}
	p.Log.Info("running", zap.String(of, address), zap.Bool("worker", p.Worker),
		zap.String("temporal", p.Temporal.HostPort), zap.String("namespace", p.Temporal.Namespace),
		zap.String("config_hash", p.registry.hash()), zap.String("build", p.Build.ID))
	if p.Started != nil {
		p.Started(address)
	}
}

// errAway is what a caller is told while Temporal is away.
func errAway() error {
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: connectRetry,
		Detail: "Temporal does not answer; try again.",
	}
}

// ready asks Temporal.
func (p *program) ready(ctx context.Context) error {
	if !p.connected.Load() {
		return errAway()
	}
	if err := p.askHealth(ctx); err != nil {
		return fmt.Errorf("%w (%s: %w)", errAway(), p.Temporal.HostPort, err)
	}
	return nil
}

func (p *program) askHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	_, err := p.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// absent says at once that Temporal is away, where a start would find out only
// by its time-out. A server that is merely slow is not away.
func (p *program) absent() error {
	if !p.connected.Load() || p.away.Load() {
		return errAway()
	}
	return nil
}

// followHealth keeps absent up to date until ctx ends.
func (p *program) followHealth(ctx context.Context) {
	ticker := time.NewTicker(connectRetry)
	defer ticker.Stop()
	for {
		var refused *serviceerror.Unavailable
		p.away.Store(errors.As(p.askHealth(ctx), &refused))
		p.readRouting(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// drain stops in the order in which nothing is lost: first no new starts, whose
// eager tasks a stopping worker would strand, then the worker.
func (p *program) drain() {
	p.Log.Info("stopping: attempts in flight finish first")
	if p.rest != nil {
		ctx, cancel := context.WithTimeout(context.Background(), rest.DefaultStartTimeout)
		defer cancel()
		if err := p.rest.Drain(ctx); err != nil {
			p.Log.Warn("starts were still in flight at the stop", zap.Error(err))
		}
	}
	if p.connected.Load() {
		for _, w := range p.workers {
			w.Stop()
		}
	}
	p.Log.Info("stopped")
}

// reloadOnHangup reads the configuration again at each SIGHUP. A bad file is
// refused and the old one stays.
func (p *program) reloadOnHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			p.reload()
		}
	}()
	return func() { signal.Stop(hangups); close(hangups); <-done }
}

func (p *program) reload() {
	before := p.registry.hash()
	c, err := p.load()
	if err != nil {
		p.Log.Error("the configuration is refused; the one before stays in force",
			zap.String("config_hash", before), zap.Error(err))
		return
	}
	for _, warning := range c.Warnings {
		p.Log.Warn(warning)
	}
	p.expect()
	p.Log.Info("the configuration is reloaded", zap.String("before", before), zap.String("config_hash", c.Hash))
}

// load puts the file as it is now in force; one that is bad, or that does not
// fit the door as it was opened, changes nothing.
func (p *program) load() (*config.Config, error) {
	c, err := config.Load(p.ConfigPath)
	if err != nil {
		return nil, err
	}
	if err := p.door.fits(c); err != nil {
		return nil, fmt.Errorf("%s: %w", p.ConfigPath, err)
	}
	return c, p.registry.use(p.ConfigPath, c)
}
