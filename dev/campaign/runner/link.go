package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"ringback/dev/campaign/plan"
)

// link is the network between two programs. Its methods are not safe for
// concurrent use.
type link struct {
	name  string
	pipes []*pipe
}

// open accepts connections.
func (l *link) open() error { return l.each((*pipe).open) }

// refuse closes every connection and accepts no new one.
func (l *link) refuse() {
	for _, p := range l.pipes {
		p.proxy.Stop()
	}
}

// impair begins a fault for open and new connections.
func (l *link) impair(kind plan.FaultKind) error {
	return l.each(func(p *pipe) error { return p.impair(kind) })
}

// repair ends the fault. It closes every connection, since some are half dead
// then, except after latency.
func (l *link) repair(kind plan.FaultKind) error {
	if kind != plan.Latency {
		l.refuse()
		return l.open()
	}
	return l.each((*pipe).clear)
}

func (l *link) each(do func(*pipe) error) error {
	for _, p := range l.pipes {
		if err := do(p); err != nil {
			return fmt.Errorf("the link %s from %s to %s: %w", l.name, p.listen, p.upstream, err)
		}
	}
	return nil
}

// pipe is one toxiproxy in this process.
type pipe struct {
	listen, upstream string
	hub              *toxiproxy.ApiServer
	proxy            *toxiproxy.Proxy
}

// newHub is what toxiproxy's proxies belong to; it serves nothing.
func newHub() *toxiproxy.ApiServer {
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
}

// open makes a new proxy: one that had toxics does not recover fully.
func (p *pipe) open() error {
	p.proxy = toxiproxy.NewProxy(p.hub, p.upstream, p.listen, p.upstream)
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// toxics are members of toxiproxy's JSON, added to each direction of a link. Times are
// in milliseconds.
var toxics = map[plan.FaultKind]string{
	plan.Latency: `"type": "latency", "attributes": {"latency": 150, "jitter": 100}`,
	// Half of the connections are reset at the first byte: some requests arrive
	// whose answers do not, and some retries succeed.
	plan.Reset:     `"type": "reset_peer", "toxicity": 0.5, "attributes": {"timeout": 0}`,
	plan.Blackhole: `"type": "timeout", "attributes": {"timeout": 0}`,
	plan.SlowClose: `"type": "slow_close", "attributes": {"delay": 2000}`,
}

func (p *pipe) impair(kind plan.FaultKind) error {
	return withTimeout("add "+string(kind), func() error {
		for _, stream := range []string{"upstream", "downstream"} {
			toxic := fmt.Sprintf(`{"stream": %q, %s}`, stream, toxics[kind])
			if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *pipe) clear() error {
	return withTimeout("remove every toxic", func() error {
		p.proxy.Toxics.ResetToxics(context.Background())
		return nil
	})
}

// toxicTimeout bounds a call of toxiproxy, which waits forever for a peer that
// reads nothing.
const toxicTimeout = 20 * time.Second

var errHangs = errors.New("toxiproxy hangs")

func withTimeout(what string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-time.After(toxicTimeout):
		return fmt.Errorf("%s: %w", what, errHangs)
	}
}
