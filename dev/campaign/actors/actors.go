// Package actors is everything around Ringback in a campaign: the cores that it
// polls, the receivers of its callbacks, and the payment cores that call its API,
// here called starters. Each follows the plan, which it makes from the same options,
// and the clock, and writes what it saw to its journal. Cores and receivers can be
// killed and started again at any time.
package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"ringback/dev/campaign/journal"
	"ringback/dev/campaign/plan"
)

// Options are an actor's, passed to its process as JSON.
type Options struct {
	Plan plan.Options `json:"plan"`
	// Began is when the campaign began: the plan's times count from it.
	Began time.Time `json:"began"`
	// Journal is the file of cores or receivers, the same one after a restart.
	Journal string `json:"journal"`
	// Listen are the addresses to listen on, host:port: three for Cores (wsGate,
	// Paysera, the gateway), one for Receivers.
	Listen []string `json:"listen,omitempty"`
	// URLs are those that Ringback uses.
	URLs URLs `json:"urls,omitzero"`
	// APIs are those that Starters call.
	APIs []API `json:"apis,omitempty"`
}

// URLs are the base URLs of cores and receivers, through the links. Gateway is the
// first base URL of sources behind a gateway.
type URLs struct {
	WSGate    string `json:"wsgate"`
	Paysera   string `json:"paysera"`
	Gateway   string `json:"gateway"`
	Receivers string `json:"receivers"`
}

// API is one of Ringback's APIs: a program's name such as "api-0", and its base URL.
type API struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// actor is what all actors have.
type actor struct {
	Options
	plan       plan.Plan
	operations map[string]plan.Operation
	journal    *journal.Writer
	// fail ends the actor: it must not go on without its journal.
	fail context.CancelCauseFunc
}

// run runs an actor until ctx ends, do returns, or its journal can't be written.
func run(ctx context.Context, o Options, do func(context.Context, *actor) error) error {
	written, err := journal.Open(o.Journal)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	a := &actor{Options: o, plan: plan.Make(o.Plan), journal: written, fail: fail}
	a.operations = a.plan.ByID()
	return errors.Join(do(ctx, a), written.Close())
}

func (a *actor) write(e journal.Entry) {
	if err := a.journal.Write(e); err != nil {
		a.fail(err)
	}
}

// sinceBegin is the time since the campaign began.
func (a *actor) sinceBegin() time.Duration { return time.Since(a.Began) }

// wait waits for a time after the campaign's beginning; false if ctx ended before.
func (a *actor) wait(ctx context.Context, sinceBegin time.Duration) bool {
	return sleep(ctx, sinceBegin-a.sinceBegin())
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// shutdownTimeout is how long a server's open requests may take at the end.
const shutdownTimeout = 2 * time.Second

// serve serves HTTP on addr until stop is called. The end of ctx ends the requests'
// contexts.
func serve(ctx context.Context, addr string, handler http.Handler) (stop func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
