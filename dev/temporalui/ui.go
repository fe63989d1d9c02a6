// Package temporalui runs the Temporal UI inside this process, its pages
// embedded, on a Temporal frontend.
package temporalui

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"

	"ringback/dev/port"
)

// Options says where the UI listens and what it shows.
type Options struct {
	// Addr is host:port; port 0 is a free port.
	Addr string
	// FrontendAddr is the host:port of the Temporal frontend.
	FrontendAddr string
	// Namespace is the one that it opens with.
	Namespace string
	// CodecEndpoint is the base URL of a codec server that browsers are signed
	// in at; empty: none.
	CodecEndpoint string
}

// UI is a running Temporal UI.
type UI struct {
	server *server.Server
	addr   string
	done   chan struct{}
}

// Start returns when the UI answers. An address that is taken is an error;
// one lost to another program between the check and the bind ends the
// process, as the UI's own server does.
func Start(ctx context.Context, o Options) (*UI, error) {
	held, err := port.Hold(ctx, o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start the Temporal UI: %w", err)
	}
	defer func() { _ = port.Release(held) }()
	addr := held.AddrPort()
	ui := &UI{addr: addr.String(), done: make(chan struct{})}
	ui.server = server.NewServer(server_options.WithConfigProvider(&config.Config{
		Host:                hostOf(addr.Addr()),
		Port:                int(addr.Port()),
		TemporalGRPCAddress: o.FrontendAddr,
		DefaultNamespace:    o.Namespace,
		EnableUI:            true,
		// The UI is served without TLS here, where a secure cookie is never sent.
		CORS:             config.CORS{CookieInsecure: true},
		Codec:            config.Codec{Endpoint: o.CodecEndpoint, IncludeCredentials: o.CodecEndpoint != ""},
		HideLogs:         true,
		DisableNewsFetch: true,
	}))
	go func() {
		defer close(ui.done)
		_ = ui.server.Start()
	}()
	if err := ui.awaitReady(ctx); err != nil {
		ui.Stop()
		return nil, err
	}
	return ui, nil
}

// URL is the UI's base address, without a slash at the end.
func (u *UI) URL() string { return "http://" + u.addr }

// Stop closes the UI at once, connections included.
func (u *UI) Stop() {
	u.server.Stop()
	<-u.done
}

func (u *UI) awaitReady(ctx context.Context) error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	for {
		err := ask(ctx, client, u.URL()+"/healthz")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Temporal UI on %s: %w (last answer: %w)", u.addr, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %s", url, response.Status)
	}
	return nil
}

// hostOf is the host as the UI's configuration joins it to a port.
func hostOf(host netip.Addr) string {
	if host.Is6() {
		return "[" + host.String() + "]"
	}
	return host.String()
}
