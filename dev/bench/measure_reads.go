package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// reads measures how long reading a state takes beside 50 starts a second.
func (s *testbed) reads(ctx context.Context) error {
	closed := steady(s.prefix(1), steadyRate, s.extent.ReadsFor).to(endpointOK)
	if _, _, err := s.deliver(ctx, "ringback", closed); err != nil {
		return err
	}
	running := steady(s.prefix(0), steadyRate, s.extent.ReadsFor).to(endpointOpen)
	if _, err := s.call(ctx, "starts", running, s.startOperation); err != nil {
		return err
	}
	read := func(l load) (result, error) {
		return s.call(ctx, "reads", l, func(ctx context.Context, endpoint, id string) error {
			_, err := s.api.Call(ctx, http.MethodGet, apiclient.Path(operation.Key{Endpoint: endpoint, OperationID: id}), nil, nil)
			return err
		})
	}
	var p99 [3]time.Duration
	for i, m := range []struct {
		name string
		of   load
		read func(load) (result, error)
	}{
		{"Describe", closed, func(l load) (result, error) { return s.ask(ctx, s.floor, "describe", l) }},
		{"GET of a closed state", closed, read},
		{"GET of a running state", running, read},
	} {
		took, err := s.beside(ctx, m.of, m.read)
		if err != nil {
			return err
		}
		p99[i] = percentile(took, 0.99)
		s.add(m.name+" at 200/s beside 50 starts/s, p99", "ms", ms(p99[i]), nil, "")
	}
	s.add("GET of a closed state, p99 / Describe", "", float64(p99[1])/float64(p99[0]), atMost(2), "")
	s.add("GET of a running state, p99 / Describe", "", float64(p99[2])/float64(p99[0]), nil, "")
	return nil
}

// beside reads the operations of a load, readRate a second, beside a steady load of
// starts.
func (s *testbed) beside(ctx context.Context, of load, read func(load) (result, error)) ([]time.Duration, error) {
	var started error
	var all sync.WaitGroup
	starts := steady(s.prefix(1), steadyRate, s.extent.ReadsFor/2).to(endpointOK)
	all.Go(func() { _, _, started = s.deliver(ctx, "ringback", starts) })
	of.PerSecond, of.Count = readRate, min(of.Count, int(readRate*s.extent.ReadsFor.Seconds()/2))
	out, err := read(of)
	all.Wait()
	return out.Took, errors.Join(err, started)
}

// revocationSlow is how long the receiver takes while a revocation is made.
const revocationSlow = 10 * time.Second

// revocations measures how long a revocation takes while a receiver takes ten seconds.
func (s *testbed) revocations(ctx context.Context) error {
	var took []time.Duration
	for range 3 {
		l := burst(s.prefix(0), 1)
		key := operation.Key{Endpoint: endpointRevocable, OperationID: l.id(0)}
		address := s.simulatorURL + "/callback/" + endpointPath(revocationSlow) + "/" + key.OperationID
		if err := s.create(ctx, operation.StartRequest{Endpoint: key.Endpoint, OperationID: key.OperationID, Callback: operation.Target{URL: address}}); err != nil {
			return err
		}
		if err := s.await(ctx, "count arrivals", l, 1, 30*time.Second); err != nil {
			return err
		}
		// Repeated until it is accepted.
		for begun := time.Now(); ; {
			_, err := s.api.Revoke(ctx, key, "core", "")
			if err == nil {
				took = append(took, time.Since(begun))
				break
			}
			if time.Since(begun) > time.Minute {
				return err
			}
		}
	}
	s.add("revocation while a receiver takes 10 s, the latest answer", "ms", ms(percentile(took, 1)), atMost(1000), "")
	return nil
}
