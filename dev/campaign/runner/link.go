package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"ringback/dev/campaign/plan"
)

// link is what lies between two programs: who dials one of its pipes reaches the
// other. Its methods must not be called at once.
type link struct {
	name  string
	pipes []*pipe
}

// open lets connections through.
func (l *link) open() error { return l.each((*pipe).open) }

// refuse cuts every connection and lets no one in.
func (l *link) refuse() {
	for _, p := range l.pipes {
		p.proxy.Stop()
	}
}

// poison lets a fault of the network begin, for the connections that there are
// and for new ones.
func (l *link) poison(kind plan.FaultKind) error {
	return l.each(func(p *pipe) error { return p.poison(kind) })
}

// heal ends the fault. What was reset, swallowed or kept from closing leaves
// connections that are not what they seem, so that all of them are cut; those
// that were only slow live on.
func (l *link) heal(kind plan.FaultKind) error {
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

// newHub is what toxiproxy's proxies belong to. It serves nothing, says nothing
// and measures nothing.
func newHub() *toxiproxy.ApiServer {
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
}

// open makes a new proxy, for one that was poisoned never is quite itself again.
func (p *pipe) open() error {
	p.proxy = toxiproxy.NewProxy(p.hub, p.upstream, p.listen, p.upstream)
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// toxic is one of toxiproxy's, as it names them.
type toxic struct {
	Type   string `json:"type"`
	Stream string `json:"stream"`
	// Toxicity is the part of the connections that it befalls.
	Toxicity   float32          `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`
}

// toxics are what a fault of the network does to each direction of a link.
var toxics = map[plan.FaultKind]toxic{
	plan.Latency: {Type: "latency", Toxicity: 1, Attributes: map[string]int64{"latency": 150, "jitter": 100}},
	// Half of the connections are reset at the first byte: some questions arrive
	// and their answers don't, and some of what is tried again succeeds.
	plan.Reset:     {Type: "reset_peer", Toxicity: 0.5, Attributes: map[string]int64{"timeout": 0}},
	plan.Blackhole: {Type: "timeout", Toxicity: 1, Attributes: map[string]int64{"timeout": 0}},
	plan.SlowClose: {Type: "slow_close", Toxicity: 1, Attributes: map[string]int64{"delay": 2000}},
}

func (p *pipe) poison(kind plan.FaultKind) error {
	t, ok := toxics[kind]
	if !ok {
		return fmt.Errorf("it has no fault called %q", kind)
	}
	return bounded("add "+t.Type, func() error {
		for _, t.Stream = range []string{"upstream", "downstream"} {
			written, err := json.Marshal(t)
			if err != nil {
				return err
			}
			if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(written)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *pipe) clear() error {
	return bounded("remove every toxic", func() error {
		p.proxy.Toxics.ResetToxics(context.Background())
		return nil
	})
}

// toxicPatience bounds what toxiproxy does at once, unless a peer that takes
// nothing keeps it waiting for good.
const toxicPatience = 20 * time.Second

var errHangs = errors.New("toxiproxy hangs")

func bounded(what string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-time.After(toxicPatience):
		return fmt.Errorf("%s: %w", what, errHangs)
	}
}
