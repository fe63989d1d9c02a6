package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ringback/internal/operation"
)

// reads measures how long reading a state takes beside 50 starts a second.
func (b *bench) reads(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		closed := steady(s.prefix(1), steadyRate, b.extent.ReadsFor).to(endpointOK)
		if _, _, err := b.deliver(ctx, s, "ringback", closed); err != nil {
			return err
		}
		running := steady(s.prefix(0), steadyRate, b.extent.ReadsFor).to(endpointOpen)
		if _, err := b.call(ctx, s, "starts", running, s.start); err != nil {
			return err
		}
		p99 := map[string]time.Duration{}
		for _, m := range []struct {
			name string
			of   load
			read func(load) (result, error)
		}{
			{"Describe", closed, func(l load) (result, error) { return b.ask(ctx, s, s.floor, "describe", l) }},
			{"closed", closed, func(l load) (result, error) { return b.call(ctx, s, "reads", l, s.readState) }},
			{"running", running, func(l load) (result, error) { return b.call(ctx, s, "reads", l, s.readState) }},
		} {
			b.log("%s: reads, %s", s.database, m.name)
			took, err := b.beside(ctx, s, m.of, m.read)
			if err != nil {
				return err
			}
			p99[m.name] = percentile(took, 0.99)
			measure := "GET of a " + m.name + " state"
			if m.name == "Describe" {
				measure = m.name
			}
			b.table.add(s.database, measure+" at 200/s beside 50 starts/s, p99", "ms", ms(p99[m.name]), nil, "")
		}
		b.table.add(s.database, "GET of a closed state, p99 / Describe", "", float64(p99["closed"])/float64(p99["Describe"]), atMost(2), "")
		b.table.add(s.database, "GET of a running state, p99 / Describe", "", float64(p99["running"])/float64(p99["Describe"]), nil, "")
	}
	return nil
}

// beside reads the operations of a load, readRate a second, beside a steady load of
// starts.
func (b *bench) beside(ctx context.Context, s *testbed, of load, read func(load) (result, error)) ([]time.Duration, error) {
	var started error
	var all sync.WaitGroup
	all.Go(func() {
		l := steady(s.prefix(1), steadyRate, b.extent.ReadsFor/2).to(endpointOK)
		_, _, started = b.deliver(ctx, s, "ringback", l)
	})
	of.PerSecond, of.Count = readRate, min(of.Count, int(readRate*b.extent.ReadsFor.Seconds()/2))
	out, err := read(of)
	all.Wait()
	return out.Took, errors.Join(err, started)
}

// revocations measures how long a revocation takes while a receiver takes ten seconds.
func (b *bench) revocations(ctx context.Context, s *testbed) error {
	for range b.extent.Rounds {
		var took []time.Duration
		for range 3 {
			id := s.prefix(0)
			address := s.simulatorURL + "/callback/" + endpointPath(revocationSlow) + "/" + id
			if err := s.startWith(ctx, operation.StartRequest{Endpoint: endpointRevocable, OperationID: id, Callback: operation.Target{URL: address}}); err != nil {
				return err
			}
			if err := b.awaitArrival(ctx, id); err != nil {
				return err
			}
			one, err := b.revoked(ctx, s, id)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		b.table.add(s.database, "revocation while a receiver takes 10 s, the latest answer", "ms", ms(percentile(took, 1)), atMost(1000), "")
	}
	return nil
}

// revoked is how long it takes until the revocation is accepted, repeated if needed.
func (b *bench) revoked(ctx context.Context, s *testbed, id string) (time.Duration, error) {
	for begun := time.Now(); ; {
		_, err := s.api.Revoke(ctx, operation.Key{Endpoint: endpointRevocable, OperationID: id}, "core", "")
		if took := time.Since(begun); err == nil || took > time.Minute {
			return took, err
		}
	}
}

func (b *bench) awaitArrival(ctx context.Context, id string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var n int
		if err := b.simulator.ask(ctx, request{Do: "count arrivals", Prefix: id}, &n); err != nil {
			return err
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("the operation %s got no callback within 30 s", id)
}
