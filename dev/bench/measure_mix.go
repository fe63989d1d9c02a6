package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/internal/operation"
)

// mixRows begins the names of the mix's rows.
const mixRows = "the mix: "

// mixFirst puts the rows of the mix before all others.
func mixFirst(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return rank(a) - rank(b) })
	return rows
}

func rank(r row) int {
	if strings.HasPrefix(r.Measure, mixRows) {
		return 0
	}
	return 1
}

// mixCost is what the mix costs: CPU time in ms, database bytes and history events for an
// operation, and the subject's peak memory in MiB.
type mixCost struct{ cpu, bytes, events, memory float64 }

// mix measures the mix, of plain and Ringback.
func (s *testbed) mix(ctx context.Context) error {
	plain, err := s.mixOf(ctx, "plain", s.plain)
	if err != nil {
		return err
	}
	ringback, err := s.mixOf(ctx, "ringback", s.ringback)
	if err != nil {
		return err
	}
	add := func(measure, unit string, value float64, want *target, note string) {
		s.add(mixRows+measure, unit, value, want, note)
	}
	rate := func(c mixCost) float64 { return float64(runtime.NumCPU()) * 1000 / c.cpu }
	add("CPU per operation, Ringback", "ms", ringback.cpu, nil, "without what the idle processes use in the same time")
	add("CPU per operation, plain", "ms", plain.cpu, nil, "")
	add("CPU per operation, Ringback / plain", "", ringback.cpu/plain.cpu, atMost(0.35), "")
	add("operations with all CPUs, Ringback", "/s", rate(ringback), nil, "derived: the CPUs' time / CPU per operation")
	add("operations with all CPUs, plain", "/s", rate(plain), nil, "")
	add("peak memory, Ringback", "MiB", ringback.memory, nil, "resident, api and worker in one process")
	add("peak memory, plain", "MiB", plain.memory, nil, "")
	add("database per operation, Ringback", "KiB", ringback.bytes/1024, nil, "histories and visibility of closed operations, without free space")
	add("database per operation, plain", "KiB", plain.bytes/1024, nil, "")
	add("database per operation, Ringback / plain", "", ringback.bytes/plain.bytes, atMost(0.6), "")
	add("history events per operation, Ringback", "", ringback.events, nil, "")
	add("history events per operation, plain", "", plain.events, nil, "")
	return nil
}

func (s *testbed) mixOf(ctx context.Context, name string, subject *role) (mixCost, error) {
	m := s.extent.Mix
	before, err := s.databaseBytes(ctx)
	if err != nil {
		return mixCost{}, err
	}
	idle, err := s.idleShare(ctx, subject, m.Idle)
	if err != nil {
		return mixCost{}, err
	}
	if err := errors.Join(subject.call(ctx, "Collect", struct{}{}, &struct{}{}), resetPeak(subject.PID())); err != nil {
		return mixCost{}, err
	}
	l := load{Prefix: mixID + s.prefix(0), Count: m.Operations, PerSecond: m.PerSecond}
	begun := time.Now()
	used, err := s.cpuFor(subject, func() error { return s.runMix(ctx, name, l) })
	used -= time.Duration(idle * float64(time.Since(begun)))
	if err != nil {
		return mixCost{}, err
	}
	_, peak, err := memoryOf(subject.PID())
	if err != nil {
		return mixCost{}, err
	}
	events, err := s.checkMix(ctx, name, l)
	if err != nil {
		return mixCost{}, err
	}
	if err := s.awaitIdle(ctx, subject); err != nil {
		return mixCost{}, err
	}
	after, err := s.databaseBytes(ctx)
	n := float64(l.Count)
	return mixCost{cpu: ms(used) / n, bytes: (after - before) / n, events: float64(events) / n, memory: float64(peak) / (1 << 20)}, err
}

// idleShare is which part of one CPU the subject, the server and the database use with
// nothing to do.
func (s *testbed) idleShare(ctx context.Context, subject *role, d time.Duration) (float64, error) {
	if err := s.awaitIdle(ctx, subject); err != nil {
		return 0, err
	}
	used, err := s.cpuFor(subject, func() error { time.Sleep(d); return nil })
	return float64(used) / float64(d+settleTime), err
}

// runMix starts the operations and waits until each has had its polls and attempts, or
// should have had them.
func (s *testbed) runMix(ctx context.Context, name string, l load) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var starts sync.WaitGroup
	starts.Go(func() {
		var err error
		if name == "plain" {
			_, err = s.ask(ctx, s.plain, "start mix", l)
		} else {
			_, err = s.call(ctx, "starts of the mix", l, s.startMix)
		}
		if err != nil {
			cancel(err)
		}
	})
	if err := s.followMix(ctx, name, l); err != nil {
		cancel(err)
	}
	starts.Wait()
	return context.Cause(ctx)
}

// mixPatience is how long after its time the last operation is waited for.
const mixPatience = 2 * time.Minute

// followMix revokes and withdraws operations until all are at their end.
func (s *testbed) followMix(ctx context.Context, name string, l load) error {
	m, changed := s.extent.Mix, map[string]bool{}
	starts := time.Duration(float64(l.Count) / l.PerSecond * float64(time.Second))
	deadline := time.Now().Add(starts + m.longest() + mixPatience)
	for left := l.Count; left > 0 && time.Now().Before(deadline); time.Sleep(time.Second) {
		got, err := s.seen(ctx, l)
		if err != nil {
			return err
		}
		left = 0
		for i := range l.Count {
			id, p := l.id(i), mixPathOf(i)
			if !changed[id] && p.mayChange(m, got.polls[id], got.callbacks[id]) {
				if err := s.changeMix(ctx, name, id, p); err != nil {
					return err
				}
				changed[id] = true
			}
			if got.polls[id] < p.polls(m) || len(got.callbacks[id]) < len(p.callbacks()) || changed[id] != p.isChanged() {
				left++
			}
		}
	}
	return nil
}

// mixRequest starts an operation of the mix through the API.
func (s *testbed) mixRequest(p mixPath, id string) operation.StartRequest {
	if !p.paysera {
		return startRequest(endpointMixUkrcard, id)
	}
	address := s.simulatorURL + "/callback/" + mixHow + "/" + id
	return operation.StartRequest{Endpoint: endpointMixPaysera, OperationID: id, Callback: operation.Target{URL: address}}
}

// repeating is a client of the API that repeats what is shed, as a core does.
func (s *testbed) repeating() *apiclient.Client {
	core := *s.api
	core.MaxAttempts = 0
	return &core
}

func (s *testbed) startMix(ctx context.Context, _, id string) error {
	p, _ := mixOf(id) // no other is started
	_, _, err := s.repeating().Start(ctx, s.mixRequest(p, id))
	return err
}

// changeMix revokes or withdraws an operation.
func (s *testbed) changeMix(ctx context.Context, name, id string, p mixPath) (err error) {
	key := s.mixRequest(p, id).Key()
	switch {
	case name == "plain":
		_, err = s.plain.ask(ctx, Request{Do: "change mix", Prefix: id})
	case p.end == mixWithdrawn:
		_, err = s.repeating().Withdraw(ctx, key)
	default:
		_, err = s.repeating().Revoke(ctx, key, "core", "")
	}
	return err
}

// mixSeen is what the simulator got, by operation id: the polls, and the statuses of all
// attempts.
type mixSeen struct {
	polls     map[string]int
	callbacks map[string][]string
}

func (s *testbed) seen(ctx context.Context, l load) (mixSeen, error) {
	polls, err := s.simulator.ask(ctx, Request{Do: "polls", Prefix: l.Prefix + "-"})
	if err != nil {
		return mixSeen{}, err
	}
	arrivals, err := s.simulator.ask(ctx, Request{Do: "arrivals", Prefix: l.Prefix + "-"})
	callbacks := map[string][]string{}
	for id, all := range arrivals.Arrivals {
		for _, a := range all {
			callbacks[id] = append(callbacks[id], a.Status)
		}
	}
	return mixSeen{polls.Polls, callbacks}, err
}

// mixStrays is which part of the operations may go another way than theirs before the
// figures mean nothing.
const mixStrays = 0.01

// checkMix compares each operation with its path and returns the history events of all.
func (s *testbed) checkMix(ctx context.Context, name string, l load) (events int64, err error) {
	got, err := s.seen(ctx, l)
	if err != nil {
		return 0, err
	}
	temporal, err := dial(s.temporal, client.ConnectionOptions{})
	if err != nil {
		return 0, err
	}
	defer temporal.Close()
	var strays []string
	for i := range l.Count {
		id, p := l.id(i), mixPathOf(i)
		workflowID := id
		if name != "plain" {
			workflowID = s.mixRequest(p, id).Key().WorkflowID()
		}
		answer, err := temporal.DescribeWorkflowExecution(ctx, workflowID, "")
		if err != nil {
			return 0, err
		}
		run := answer.GetWorkflowExecutionInfo()
		events += run.GetHistoryLength()
		if !p.isPolled(s.extent.Mix, got.polls[id]) || !slices.Equal(got.callbacks[id], p.callbacks()) || run.GetStatus() != p.closes() {
			strays = append(strays, fmt.Sprintf("%s (%v) had %d polls, the callbacks %v, and is %v; its path has %d polls, %v, %v", id, p,
				got.polls[id], got.callbacks[id], run.GetStatus(), p.polls(s.extent.Mix), p.callbacks(), p.closes()))
		}
	}
	s.add(mixRows+"operations that went another way than theirs, "+name, "", float64(len(strays)), atMost(0), "polls, callbacks and end of each are checked")
	for _, stray := range strays[:min(len(strays), 10)] {
		s.log("%s: %s: %s", s.database, name, stray)
	}
	if float64(len(strays)) > mixStrays*float64(l.Count) {
		return 0, fmt.Errorf("%d of %d operations went another way than theirs at %s; one of them: %s", len(strays), l.Count, name, strays[0])
	}
	return events, nil
}

// closes is how the run ends, Ringback's and plain's.
func (p mixPath) closes() enumspb.WorkflowExecutionStatus {
	switch p.end {
	case mixExhausted:
		return enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	case mixWithdrawn:
		return enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	default:
		return enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}
}
