package app

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"ringback/api/rest"
	"ringback/internal/codec"
	"ringback/internal/config"
	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/internal/source"
	"ringback/internal/telemetry"
	"ringback/internal/version"
)

// openAudit opens the file of c's audit anew.
func (p *process) openAudit(c *config.Config) error {
	file := c.Audit.File
	switch {
	case !p.API:
		return nil
	case file == "":
		p.audit.Close()
		return nil
	case !filepath.IsAbs(file):
		file = filepath.Join(filepath.Dir(p.ConfigPath), file)
	}
	return config.Denied(p.audit.Open(file), "0660")
}

// writeAudit writes to the file of the audit, or where there is none to the log.
func (p *process) writeAudit(fields ...zap.Field) error {
	if p.audit.IsOpen() {
		return p.audit.Write(fields...)
	}
	p.Log.Info("audit", fields...)
	return nil
}

// newServer is the API, with the codec server, beside the probes; in a program without
// an API the probes alone.
func (p *process) newServer() *rest.Server {
	o := rest.Options{
		Settings: p.config.settings, Version: version.String(), Ready: p.ready, Log: p.Log,
		Metrics: promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}),
	}
	if p.API {
		o.Operations = apiService{p.service, &p.config, p.checkReachable}
		o.Acquire = p.overload.Acquire
		o.Audit, o.Codec = p.writeAudit, codec.NewServer(&p.config.codec)
		o.Observe = telemetry.NewRequests(p.registry, p.traces).Observe
	}
	return rest.New(o)
}

// apiService adds to the service what needs the configuration and Temporal's health.
type apiService struct {
	*service.Service
	config         *liveConfig
	checkReachable func() error
}

// Start refuses at once while Temporal is away.
func (s apiService) Start(ctx context.Context, r operation.StartRequest) (state operation.State, created bool, err error) {
	if err := s.checkReachable(); err != nil {
		return operation.State{}, false, err
	}
	return s.Service.Start(ctx, r)
}

// Details reads the operation's details from its source; nothing of them is stored.
func (s apiService) Details(ctx context.Context, key operation.Key) (map[string]any, error) {
	start, err := s.Started(ctx, key)
	if err != nil {
		return nil, err
	}
	endpoint, ok := s.config.file().Endpoint(key.Endpoint)
	if !ok {
		return nil, operation.Refuse(operation.ProblemNotFound, "The endpoint %s is not registered any more.", key.Endpoint)
	}
	if endpoint.Rules.PushOnly {
		return nil, operation.Refuse(operation.ProblemNotFound, "The source %s has no details: it pushes, and is never asked.", endpoint.Source)
	}
	src, ok := s.config.source(endpoint.Source)
	if !ok {
		return nil, operation.Refuse(operation.ProblemNotFound, "The source %s is not registered any more.", endpoint.Source)
	}
	details, err := src.Details(ctx, operation.Query{
		OperationID: start.OperationID, Method: start.Method, Reference: start.Reference,
	})
	if err != nil {
		return nil, sourceError(endpoint.Source, err)
	}
	return details, nil
}

func sourceError(name string, err error) error {
	failure, ok := errors.AsType[*source.Error](err)
	if ok && failure.Kind == source.NotFound && failure.FromCore {
		return operation.Refuse(operation.ProblemNotFound, "The source %s knows no such operation.", name)
	}
	refused := operation.Refuse(operation.ProblemUnavailable, "The source %s did not answer as documented; try again later.", name)
	refused.Err = err
	if ok {
		refused.RetryAfter = failure.RetryAfter
	}
	return refused
}
