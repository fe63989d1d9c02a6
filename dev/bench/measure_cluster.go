package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	apiclient "ringback/api/client"
)

// manyShards are as many history shards as docker-compose.yml has. The other measures have
// the few of the server's sample.
const manyShards = 512

// compareCluster compares few history shards with many, and one process of Temporal and
// one of Ringback with several of each, on the same cores.
func (s *testbed) compareCluster(ctx context.Context) (err error) {
	if s.extent.Quick || s.database != onPostgres {
		return nil
	}
	one, err := s.openTestbed(ctx, s.database, Setup{Shards: manyShards})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.close()) }()
	if err := s.compareShards(ctx, one); err != nil {
		return err
	}
	cluster, err := s.openTestbed(ctx, s.database, Setup{Shards: manyShards, HistoryHosts: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.close()) }()
	return s.compareProcesses(ctx, one, cluster)
}

// compareShards compares a server with few history shards with one that has many.
func (s *testbed) compareShards(ctx context.Context, many *testbed) (err error) {
	few, err := s.openTestbed(ctx, s.database, Setup{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, few.close()) }()
	servers := []sharded{{"4 history shards", few}, {fmt.Sprintf("%d history shards", manyShards), many}}
	for round := range s.extent.Rounds + 1 {
		for _, server := range servers {
			floor, err := server.floorOnce(ctx)
			if err != nil {
				return err
			}
			if round == 0 {
				continue // warm-up
			}
			s.add("CPU of the floor, "+server.shards, "ms", floor, nil, "")
		}
	}
	return s.compareIdle(ctx, servers)
}

// sharded is a server with so many shards.
type sharded struct {
	shards string
	*testbed
}

// compareIdle compares servers at the same time.
func (s *testbed) compareIdle(ctx context.Context, servers []sharded) error {
	if err := servers[0].awaitIdle(ctx, servers[0].floor); err != nil {
		return err
	}
	begun := []time.Duration{}
	for _, server := range servers {
		used, err := server.usedCPU(server.floor)
		if err != nil {
			return err
		}
		begun = append(begun, used)
	}
	time.Sleep(s.extent.Idle)
	for i, server := range servers {
		used, err := server.usedCPU(server.floor)
		if err != nil {
			return err
		}
		s.add("CPU of an idle second, "+server.shards, "ms", ms(used-begun[i])/s.extent.Idle.Seconds(), nil, "server and database")
	}
	return nil
}

// layout is how Temporal and Ringback are divided into processes.
type layout struct {
	name  string
	at    *testbed
	parts []string
}

// compareProcesses compares bursts at one process of Temporal and one of Ringback with
// bursts at the cluster.
func (s *testbed) compareProcesses(ctx context.Context, one, cluster *testbed) error {
	const together = "one process"
	for _, l := range []layout{
		{together, one, []string{""}},
		{"Temporal in three", cluster, []string{""}},
		{"Temporal in three, two api and two worker", cluster, []string{"api", "worker", "api", "worker"}},
	} {
		if err := s.burstsAt(ctx, l); err != nil {
			return err
		}
		if l.name != together {
			s.add("burst throughput, "+l.name+" / "+together, "", s.value("burst throughput, "+l.name)/s.value("burst throughput, "+together), nil, "on the same cores")
		}
	}
	return nil
}

// burstsAt measures the bursts of a layout, whose Ringback runs only meanwhile.
func (s *testbed) burstsAt(ctx context.Context, l layout) (err error) {
	servers := l.at.others
	defer func() {
		for _, r := range l.at.others[len(servers):] {
			err = errors.Join(err, l.at.end(r))
		}
		l.at.others = servers
	}()
	apis, err := s.openParts(ctx, l.at, l.parts)
	if err != nil {
		return err
	}
	for round := range s.extent.Rounds + 1 {
		count := s.extent.Burst
		if round == 0 {
			count = 60 // warm-up
		}
		cost, err := l.at.burstAt(ctx, apis, burst(s.prefix(1), count))
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		s.add("burst throughput, "+l.name, "/s", cost.rate, nil, fmt.Sprintf("%d history shards", manyShards))
		s.add("CPU per operation, "+l.name, "ms", cost.cpu, nil, "")
	}
	return nil
}

// openParts starts Ringback at another testbed, with the configuration of this one, and
// returns a client of each API.
func (s *testbed) openParts(ctx context.Context, at *testbed, parts []string) (apis []*apiclient.Client, err error) {
	for _, part := range parts {
		r, base, err := at.start(ctx, "ringback", Setup{Temporal: at.temporal, Config: s.config, Part: part})
		if err != nil {
			return nil, err
		}
		at.others = append(at.others, r)
		if part != "worker" {
			apis = append(apis, &apiclient.Client{MaxAttempts: 1, Base: base, Key: s.key, HTTP: *keepAlive()})
		}
	}
	return apis, nil
}

// burstAt starts a burst of operations at the APIs in turn. Testbeds share the simulator,
// so the ids are the caller's.
func (s *testbed) burstAt(ctx context.Context, apis []*apiclient.Client, l load) (burstCost, error) {
	l = l.to(endpointOK)
	var started atomic.Int64
	var out result
	var got map[string][]arrival
	used, err := s.cpuFor(s.floor, func() (err error) {
		out, err = s.call(ctx, "starts", l, func(ctx context.Context, endpoint, id string) error {
			return createAt(ctx, apis[started.Add(1)%int64(len(apis))], startRequest(endpoint, id))
		})
		if err != nil {
			return err
		}
		l.Count -= out.Failed
		got, err = s.arrivals(ctx, l, 2*time.Minute)
		return err
	})
	if err != nil {
		return burstCost{}, err
	}
	n := float64(l.Count)
	return burstCost{ms(used) / n, n / duration(out, got).Seconds()}, nil
}
