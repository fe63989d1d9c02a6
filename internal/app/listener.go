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

// maxConnections bounds the connections of a program's listener.
const maxConnections = 10_000

// listener is the one listener of a program. Its address and whether it speaks TLS
// stay as they were when it was opened, so that a reload must fit it.
type listener struct {
	net.Listener
	// address is host:port as it was configured.
	address   string
	encrypted bool
}

// listenAddress is the address by c and the flags, which go before it.
func (p *process) listenAddress(c *config.Config) string {
	if p.API {
		return cmp.Or(p.Listen, c.API.Listen)
	}
	return cmp.Or(p.TelemetryListen, c.Telemetry.Listen)
}

// chooseListener is the listener by the configuration in force, not yet opened.
func (p *process) chooseListener() error {
	c := p.config.file()
	p.listener = listener{address: p.listenAddress(c), encrypted: c.API.TLS != nil}
	return p.checkListener(c)
}

// checkListener is an error where c does not fit the listener. A reload that removes
// the last key must not open the API to the network.
func (p *process) checkListener(c *config.Config) error {
	if err := c.API.CheckListen(p.listener.address); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if p.listener.encrypted != (c.API.TLS != nil) {
		return errors.New("api.tls cannot be switched on or off while the program runs; restart it")
	}
	if address := p.listenAddress(c); address != p.listener.address {
		return fmt.Errorf("listening on %s cannot move to %s while the program runs; restart it", p.listener.address, address)
	}
	return nil
}

// serve opens the listener and serves on it; a failure cancels the run.
func (p *process) serve(cancel context.CancelCauseFunc) (stop func(), err error) {
	p.listener.Listener, err = net.Listen("tcp", p.listener.address) //nolint:noctx // opened once, before anything could cancel it
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", p.listener.address, err)
	}
	if p.API {
		p.api = p.newAPI()
	} else {
		p.api = p.newProbes()
	}
	server := p.api.HTTPServer()
	go func() {
		if err := p.serveOn(server, maxConnections); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving on %s: %w", p.listener.address, err))
		}
	}()
	return func() { _ = server.Close() }, nil
}

// serveOn reads the certificates of the configuration in force at each handshake.
func (p *process) serveOn(server *http.Server, connections int) error {
	bounded := boundConnections(p.listener.Listener, server, connections)
	if !p.listener.encrypted {
		return server.Serve(bounded)
	}
	server.TLSConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.config.current.Load().tls, nil },
	}
	return server.ServeTLS(bounded, "", "")
}

// boundedListener accepts a connection when a place is free; others wait in the kernel.
type boundedListener struct {
	net.Listener
	places chan struct{}
}

// boundConnections frees a place when the server closes a connection. A wrapped one, as
// of netutil.LimitListener, could not be closed for writing alone, which net/http does
// after refusing a request that is too long.
func boundConnections(l net.Listener, server *http.Server, connections int) net.Listener {
	bounded := boundedListener{l, make(chan struct{}, connections)}
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			<-bounded.places
		}
	}
	return bounded
}

// Accept waits for a place, then for a connection.
func (l boundedListener) Accept() (net.Conn, error) {
	l.places <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
	}
	return conn, err
}
