// Package temporalui runs the Temporal UI inside this process, its pages
// embedded, on a Temporal frontend.
package temporalui

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/temporalio/ui-server/v2/server/api"
	"github.com/temporalio/ui-server/v2/server/auth"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/csrf"
	"github.com/temporalio/ui-server/v2/server/headers"
	"github.com/temporalio/ui-server/v2/server/route"
	"github.com/temporalio/ui-server/v2/ui"

	"ringback/internal/loopback"
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
	server *http.Server
	addr   string
	done   chan struct{}
}

// Start returns when the UI answers.
func Start(ctx context.Context, o Options) (*UI, error) {
	handler, err := pages(o)
	if err != nil {
		return nil, fmt.Errorf("start the Temporal UI: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start the Temporal UI: %w", err)
	}
	started := &UI{addr: listener.Addr().String(), done: make(chan struct{})}
	started.server = &http.Server{Handler: ofThisMachine(handler), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(started.done)
		_ = started.server.Serve(listener)
	}()
	return started, nil
}

// ofThisMachine refuses what a web page of another origin makes a browser send: the UI
// asks nobody for a key, and may end every run.
func ofThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := loopback.CheckRequest(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// pages are the UI as its own server puts it together, which cannot be given a
// listener or a check of requests, and without its CORS headers.
func pages(o Options) (http.Handler, error) {
	provider, err := config.NewConfigProviderWithRefresh(&config.Config{
		TemporalGRPCAddress: o.FrontendAddr,
		DefaultNamespace:    o.Namespace,
		EnableUI:            true,
		// The UI is served without TLS here, where a secure cookie is never sent.
		CORS:             config.CORS{CookieInsecure: true},
		Codec:            config.Codec{Endpoint: o.CodecEndpoint, IncludeCredentials: o.CodecEndpoint != ""},
		HideLogs:         true,
		DisableNewsFetch: true,
	})
	if err != nil {
		return nil, err
	}
	assets, err := ui.Assets()
	if err == nil {
		assets, err = fs.Sub(assets, "local")
	}
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Use(middleware.Recover(), middleware.Gzip(), middleware.Secure(),
		csrf.EnsureTokenCookie(false), middleware.CSRFWithConfig(csrf.MiddlewareConfig(provider, false)))
	route.SetHealthRoute(e)
	forwarded := headers.WithForwardHeaders([]string{auth.AuthorizationExtrasHeader, "Caller-Type"})
	if err := route.SetAPIRoutes(e, provider, []api.Middleware{forwarded}); err != nil {
		return nil, err
	}
	route.SetAuthRoutes(e, provider)
	if err := route.SetUIRoutes(e, "", assets); err != nil {
		return nil, err
	}
	route.SetRenderRoute(e, "")
	return e, nil
}

// URL is the UI's base address, without a slash at the end.
func (u *UI) URL() string { return "http://" + u.addr }

// Stop closes the UI at once, connections included.
func (u *UI) Stop() {
	_ = u.server.Close()
	<-u.done
}
