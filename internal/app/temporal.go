package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/workflows"
)

const (
	// retentionWanted is the namespace's retention of promise 1.
	retentionWanted = 30 * 24 * time.Hour
	// connectRetry is the first wait between two tries to connect, and doubles up to
	// connectRetryAway; or up to connectRetryMistake where somebody must mend a setting.
	connectRetry        = time.Second
	connectRetryAway    = 5 * time.Second
	connectRetryMistake = 30 * time.Second
	connectTimeout      = 5 * time.Second
	// checkInterval is between two reads of Temporal's health and of the task queue.
	checkInterval = time.Second
	checkTimeout  = 2 * time.Second
	// countInterval is between two counts of open operations, a query of the server.
	countInterval = 20 * time.Second
)

// connect waits for Temporal, prepares its namespace and starts the workers.
func (p *process) connect(ctx context.Context) error {
	for wait := connectRetry; ; {
		err := p.tryConnect(ctx)
		if err == nil {
			p.connected.Store(true)
			return nil
		}
		mistake := p.mistake(ctx, err)
		p.mistaken.Store(mistake != "")
		fields := []zap.Field{zap.String("address", p.Temporal.HostPort), zap.Duration("trying_again_in", wait), zap.Error(err)}
		longest := connectRetryAway
		if mistake != "" {
			longest = connectRetryMistake
			p.Log.Error("Temporal cannot be used as it is set here", append(fields, zap.String("mistake", mistake))...)
		} else {
			p.Log.Warn("Temporal is not ready yet", fields...)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

func (p *process) tryConnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	retention, err := p.service.PrepareNamespace(ctx)
	if err != nil {
		return err
	}
	if retention < retentionWanted {
		p.Log.Warn("the namespace's retention is below 30 days: later, a start is no longer known as a duplicate and nothing can be redelivered",
			zap.String("namespace", p.Temporal.Namespace), zap.Duration("retention", retention))
	}
	p.readTaskQueue(ctx)
	for ; p.workersStarted < len(p.workers); p.workersStarted++ {
		if err := p.workers[p.workersStarted].Start(); err != nil {
			return fmt.Errorf("starting the worker on the task queue %s: %w", workflows.TaskQueue, err)
		}
	}
	return nil
}

// followTemporal reads the server's state until ctx ends.
func (p *process) followTemporal(ctx context.Context) {
	var following sync.WaitGroup
	following.Go(func() { repeat(ctx, checkInterval, p.checkHealth) })
	following.Go(func() { repeat(ctx, checkInterval, p.readTaskQueue) })
	if p.API {
		following.Go(func() { repeat(ctx, countInterval, p.countOpen) })
	}
	following.Wait()
}

// repeat calls do, for at most checkTimeout, at each interval until ctx ends.
func repeat(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, checkTimeout)
		do(bounded)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *process) checkHealth(ctx context.Context) {
	_, err := p.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	var refused *serviceerror.Unavailable
	p.away.Store(errors.As(err, &refused))
}

// readTaskQueue reads the routing and the backlog. While the server does not respond,
// the routing that it reported last holds.
func (p *process) readTaskQueue(ctx context.Context) {
	before, known := p.service.Routing()
	queue, err := p.service.ReadTaskQueue(ctx)
	if err != nil {
		p.Log.Debug("the backlog is not known", zap.Error(err))
		return
	}
	p.overload.ObserveBacklog(queue.Backlog, queue.OwnBacklog)
	if p.Build.Versioned() && (!known || before != queue.Routing) {
		p.logRouting(queue.Routing)
	}
}

func (p *process) logRouting(r service.Routing) {
	fields := []zap.Field{zap.Stringer("build", p.Build), zap.Stringer("current", r.Current), zap.Bool("ramping", r.Ramping)}
	switch {
	case r.SendsAllTo(p.Build):
		p.Log.Info("this build is current: new operations begin in it", fields...)
	case r.Current.Versioned():
		p.Log.Info("another build is current, or has a share: the server decides where operations begin", fields...)
	default:
		p.Log.Warn("no build is current: operations begin in programs that are not versioned, or wait until `temporal worker deployment set-current-version` names a build", fields...)
	}
}

// buildCurrent reports whether new operations, or a share of them, may begin here.
func (p *process) buildCurrent() bool {
	routing, known := p.service.Routing()
	return !p.Build.Versioned() || known && routing.Current == p.Build
}

func (p *process) countOpen(ctx context.Context) {
	known := math.NaN()
	if open, err := p.service.CountOpen(ctx); err == nil {
		known = float64(open)
	}
	p.metrics.openOperations.Set(known)
}

// checkReachable is an error while Temporal is known to refuse connections: a start
// would see that only by its timeout.
func (p *process) checkReachable() error {
	if p.connected.Load() && p.away.Load() {
		return errAway()
	}
	return p.notConnected()
}

// notConnected is why Temporal can't be called yet; nil once it can.
func (p *process) notConnected() error {
	switch {
	case p.connected.Load():
		return nil
	case p.mistaken.Load():
		return &operation.Error{
			Problem: operation.ProblemUnavailable, RetryAfter: connectRetryMistake,
			Detail: "Temporal cannot be used as it is set here; the log of this program says what to mend.",
		}
	default:
		return errAway()
	}
}

// ready is nil if Temporal responds now.
func (p *process) ready(ctx context.Context) error {
	if err := p.notConnected(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := p.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("%w (%s: %w)", errAway(), p.Temporal.HostPort, err)
	}
	return nil
}

func errAway() error {
	return &operation.Error{
		Problem: operation.ProblemUnavailable, RetryAfter: connectRetry,
		Detail: "Temporal does not answer; try again.",
	}
}
