package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"ringback/internal/config"
)

// door is the one listener of a program: where it is and whether it speaks TLS.
// It stays as it was opened, so that a reload must fit it.
type door struct {
	// address is host:port as it was asked for, purpose what is behind it.
	address, purpose string
	// configured is the address that the file said at the start.
	configured func(*config.Config) string
	encrypted  bool
}

// decideDoor says how the listener is opened by the configuration in force and
// the flags, which replace its address.
func (p *program) decideDoor() error {
	c := p.registry.config()
	p.door = door{purpose: "the API", configured: func(c *config.Config) string { return c.API.Listen }}
	replaced := p.Listen
	if !p.API {
		p.door = door{purpose: "telemetry", configured: func(c *config.Config) string { return c.Telemetry.Listen }}
		replaced = p.TelemetryListen
	}
	p.door.address, p.door.encrypted = p.door.configured(c), c.API.TLS != nil
	if replaced != "" {
		p.door.address, p.door.configured = replaced, nil
	}
	return p.door.fits(c)
}

// fits says what of c can't be with the door as it is. Without keys everybody
// is let in: a reload that takes the last key away must not open a door to the
// network, nor may a flag do so at the start.
func (d door) fits(c *config.Config) error {
	if len(c.API.Keys) == 0 {
		if err := d.loopbackOnly(); err != nil {
			return err
		}
	}
	if d.encrypted != (c.API.TLS != nil) {
		return errors.New("api.tls can't be switched on or off while the program runs: start it anew")
	}
	if d.configured != nil && d.configured(c) != d.address {
		return fmt.Errorf("%s listens on %s and can't be moved to %s while the program runs: start it anew", d.purpose, d.address, d.configured(c))
	}
	return nil
}

func (d door) loopbackOnly() error {
	host, _, err := net.SplitHostPort(d.address)
	if err != nil {
		return fmt.Errorf("the address %q is not host:port: %w", d.address, err)
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || (err == nil && ip.Unmap().IsLoopback()) {
		return nil
	}
	return fmt.Errorf("can't listen on %s: without api.keys everybody is let in, so allowed is a loopback address such as 127.0.0.1:8080", d.address)
}

// serveOn serves on the listener, with the certificates of the configuration in
// force at each handshake.
func (p *program) serveOn(server *http.Server) error {
	if !p.door.encrypted {
		return server.Serve(p.listener)
	}
	server.TLSConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.registry.current.Load().tls, nil },
	}
	return server.ServeTLS(p.listener, "", "")
}
