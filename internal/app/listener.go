package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"ringback/internal/config"
)

const (
	// maxConnections bounds the connections of the API, of which one address may have
	// half: behind a proxy one address is everybody, and the other half is for others.
	maxConnections = 10_000
	// maxProbeConnections bounds those of probes and scrapers likewise.
	maxProbeConnections = 100
)

// listener is one of a program's two. Its address and whether it speaks TLS stay as they
// were when it was opened, so that a reload must fit it.
type listener struct {
	net.Listener
	// address is host:port as it was configured.
	address   string
	encrypted bool
}

// chooseListeners chooses them by the configuration in force; they are not yet opened.
func (p *process) chooseListeners() error {
	c := p.config.file()
	p.apiListener = listener{address: p.apiAddress(c), encrypted: c.API.TLS != nil}
	p.telemetryListener = listener{address: p.telemetryAddress(c), encrypted: c.API.TLS != nil}
	return p.checkListeners(c)
}

// apiAddress is the API's by c and the flag, which goes before it; telemetryAddress is
// that of probes and metrics.
func (p *process) apiAddress(c *config.Config) string { return cmp.Or(p.Listen, c.API.Listen) }

func (p *process) telemetryAddress(c *config.Config) string {
	return cmp.Or(p.TelemetryListen, c.Telemetry.Listen)
}

// checkListeners is an error where c does not fit the listeners. A reload that removes
// the last key must not open them to the network.
func (p *process) checkListeners(c *config.Config) error {
	err := p.telemetryListener.check(c, p.telemetryAddress(c))
	if p.API {
		err = cmp.Or(p.apiListener.check(c, p.apiAddress(c)), err)
	}
	return err
}

func (l listener) check(c *config.Config, address string) error {
	if err := c.API.CheckListen(l.address); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if l.encrypted != (c.API.TLS != nil) {
		return errors.New("api.tls cannot be switched on or off while the program runs; restart it")
	}
	if address != l.address {
		return fmt.Errorf("listening on %s cannot move to %s while the program runs; restart it", l.address, address)
	}
	return nil
}

// serve opens the listeners and serves on them; a failure cancels the run.
func (p *process) serve(cancel context.CancelCauseFunc) (stop func(), err error) {
	p.api = p.newServer()
	stopProbes, err := p.open(&p.telemetryListener, p.api.ProbesServer(), maxProbeConnections, cancel)
	if err != nil {
		return nil, fmt.Errorf("%w; /metrics, /healthz and /readyz are there, and a second program on one machine needs another telemetry.listen or -telemetry-listen", err)
	}
	if !p.API {
		return stopProbes, nil
	}
	stopAPI, err := p.open(&p.apiListener, p.api.HTTPServer(), maxConnections, cancel)
	if err != nil {
		stopProbes()
		return nil, err
	}
	return func() { stopAPI(); stopProbes() }, nil
}

// open opens a listener and serves on it.
func (p *process) open(l *listener, server *http.Server, connections int, cancel context.CancelCauseFunc) (stop func(), err error) {
	l.Listener, err = net.Listen("tcp", l.address) //nolint:noctx // opened once, before anything could cancel it
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", l.address, err)
	}
	go func() {
		if err := p.serveOn(*l, server, connections); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving on %s: %w", l.address, err))
		}
	}()
	return func() { _ = server.Close() }, nil
}

// serveOn reads the certificates of the configuration in force at each handshake.
func (p *process) serveOn(l listener, server *http.Server, connections int) error {
	bounded := boundConnections(l.Listener, server, connections)
	if !l.encrypted {
		return server.Serve(bounded)
	}
	server.TLSConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.config.current.Load().tls, nil },
	}
	return server.ServeTLS(bounded, "", "")
}
