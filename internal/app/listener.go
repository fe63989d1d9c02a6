package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"ringback/internal/config"
)

// maxConnections bounds the connections of a program's listener.
const maxConnections = 10_000

// listener is the one listener of a program. Its address and whether it speaks TLS
// stay as they were when it was opened, so that a reload must fit it.
type listener struct {
	net.Listener
	// address is host:port as it was configured, purpose what is served there.
	address, purpose string
	// configured is the address in a configuration; nil: a flag replaced it.
	configured func(*config.Config) string
	encrypted  bool
}

// chooseListener is the listener by the configuration in force and the flags, not
// yet opened.
func (p *process) chooseListener() (listener, error) {
	c, replaced := p.config.file(), p.Listen
	l := listener{purpose: "the API", configured: func(c *config.Config) string { return c.API.Listen }, encrypted: c.API.TLS != nil}
	if !p.API {
		l.purpose, l.configured = "telemetry", func(c *config.Config) string { return c.Telemetry.Listen }
		replaced = p.TelemetryListen
	}
	l.address = l.configured(c)
	if replaced != "" {
		l.address, l.configured = replaced, nil
	}
	return l, l.check(c)
}

// check is an error where c does not fit the listener. Without keys every caller is
// let in: neither a reload that takes the last key away nor a flag may then open the
// API to the network.
func (l listener) check(c *config.Config) error {
	if len(c.API.Keys) == 0 {
		if err := l.checkLoopback(); err != nil {
			return err
		}
	}
	if l.encrypted != (c.API.TLS != nil) {
		return errors.New("api.tls can't be switched on or off while the program runs: start it anew")
	}
	if l.configured != nil && l.configured(c) != l.address {
		return fmt.Errorf("%s listens on %s and can't be moved to %s while the program runs: start it anew", l.purpose, l.address, l.configured(c))
	}
	return nil
}

func (l listener) checkLoopback() error {
	host, _, err := net.SplitHostPort(l.address)
	if err != nil {
		return fmt.Errorf("the address %q is not host:port: %w", l.address, err)
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || (err == nil && ip.Unmap().IsLoopback()) {
		return nil
	}
	return fmt.Errorf("can't listen on %s: without api.keys everybody is let in, so allowed is a loopback address such as 127.0.0.1:8080", l.address)
}

// serve opens the listener and serves on it; a failure cancels the run.
func (p *process) serve(cancel context.CancelCauseFunc) (stop func(), err error) {
	p.listener.Listener, err = net.Listen("tcp", p.listener.address) //nolint:noctx // opened once, before anything could cancel it
	if err != nil {
		return nil, fmt.Errorf("listening on %s for %s: %w", p.listener.address, p.listener.purpose, err)
	}
	if p.API {
		p.api = p.newAPI()
	} else {
		p.api = p.newProbes()
	}
	server := p.api.HTTPServer()
	go func() {
		if err := p.serveOn(server, maxConnections); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving %s on %s: %w", p.listener.purpose, p.listener.address, err))
		}
	}()
	return func() { _ = server.Close() }, nil
}

// serveOn serves on the listener, with the certificates of the configuration in
// force at each handshake.
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

// boundedListener accepts a connection when one of the server's places is free; more
// connections wait in the kernel.
type boundedListener struct {
	net.Listener
	places chan struct{}
}

// boundConnections frees a place by the server's state of a connection. A wrapped
// connection, as netutil.LimitListener has it, could not be closed for writing alone:
// net/http does that after refusing a request that is too long to be read.
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
