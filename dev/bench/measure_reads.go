package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ringback/dev/percentile"
)

// reads measure how long a state takes beside 50 starts a second.
func (b *bench) reads(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		closed := steady(s.prefix(1), steadyRate, b.extent.ReadsFor).to(endpointOK)
		if _, _, err := b.ring(ctx, s, "ringback", closed); err != nil {
			return err
		}
		running := steady(s.prefix(0), steadyRate, b.extent.ReadsFor).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", running, s.api.start); err != nil {
			return err
		}
		p99 := map[string]time.Duration{}
		for _, m := range []struct {
			name  string
			of    load
			asked func(load) (loaded, error)
		}{
			{"Describe", closed, func(l load) (loaded, error) { return b.ask(ctx, s, s.floor, "describe", l) }},
			{"closed", closed, func(l load) (loaded, error) { return b.call(ctx, s, "reads", l, s.api.state) }},
			{"running", running, func(l load) (loaded, error) { return b.call(ctx, s, "reads", l, s.api.state) }},
		} {
			b.say("%s: reads, %s", s.database, m.name)
			took, err := b.beside(ctx, s, m.of, m.asked)
			if err != nil {
				return err
			}
			p99[m.name] = percentile.Of(took, 0.99)
			if m.name == "Describe" {
				b.table.add(s.database, "Describe at 200/s beside 50 starts/s, p99", "ms", ms(p99[m.name]), nil, "")
				continue
			}
			b.table.add(s.database, "GET of a "+m.name+" state at 200/s beside 50 starts/s, p99", "ms", ms(p99[m.name]), nil, "")
		}
		b.table.add(s.database, "GET of a closed state, p99 / Describe", "", float64(p99["closed"])/float64(p99["Describe"]), atMost(2), "")
		b.table.add(s.database, "GET of a running state, p99 / Describe", "", float64(p99["running"])/float64(p99["Describe"]), nil, "")
	}
	return nil
}

// beside asks about the operations of a load, readRate a second, while as many
// are started as the steady load has.
func (b *bench) beside(ctx context.Context, s *stage, of load, ask func(load) (loaded, error)) ([]time.Duration, error) {
	var started error
	var all sync.WaitGroup
	all.Go(func() {
		l := steady(s.prefix(1), steadyRate, b.extent.ReadsFor/2).to(endpointOK)
		_, _, started = b.ring(ctx, s, "ringback", l)
	})
	of.PerSecond, of.Count = readRate, min(of.Count, int(readRate*b.extent.ReadsFor.Seconds()/2))
	out, err := ask(of)
	all.Wait()
	return out.Took, errors.Join(err, started)
}

// revocations measure how long one takes while a receiver takes ten seconds.
func (b *bench) revocations(ctx context.Context, s *stage) error {
	for range b.extent.Rounds {
		var took []time.Duration
		for range 3 {
			id := s.prefix(0)
			address := s.worldURL + "/callback/" + endpointPath(revocationSlow) + "/" + id
			if err := s.api.startAt(ctx, endpointRevocable, id, address); err != nil {
				return err
			}
			if err := b.awaitRinging(ctx, id); err != nil {
				return err
			}
			one, err := b.revoked(ctx, s, id)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		b.table.add(s.database, "revocation while a receiver takes 10 s, the latest answer", "ms", ms(percentile.Of(took, 1)), atMost(1000), "")
	}
	return nil
}

// revoked is how long it took until the revocation was accepted, as a core
// calls that tries again when it is told to.
func (b *bench) revoked(ctx context.Context, s *stage, id string) (time.Duration, error) {
	for begun := time.Now(); ; {
		err := s.api.revoke(ctx, endpointRevocable, id)
		if took := time.Since(begun); err == nil || took > time.Minute {
			return took, err
		}
	}
}

func (b *bench) awaitRinging(ctx context.Context, id string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var n int
		if err := b.world.ask(ctx, order{Do: "arrived", Prefix: id}, &n); err != nil {
			return err
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("the operation %s was not rung within 30 s", id)
}
