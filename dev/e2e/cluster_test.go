package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	apiclient "ringback/api/client"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/dev/temporalserver"
	"ringback/internal/operation"
	"ringback/workflows"
)

// asMember makes this test binary a process of a Temporal cluster: its value names the
// process's services, its arguments are the PostgreSQL and the frontend's address.
const asMember = "RINGBACK_E2E_AS_MEMBER"

// memberShards are as many history shards as docker-compose.yml has, so that each host
// holds many of them.
const memberShards = 512

func serveMember(services string) int {
	p, err := temporalserver.ParsePostgres(os.Args[1])
	if err == nil {
		_, err = temporalserver.Start(context.Background(), temporalserver.Options{
			Postgres: &p, Addr: os.Args[2], Services: strings.Split(services, ","), Shards: memberShards, Attributes: workflows.Attributes,
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("serving", services)
	select {}
}

// startCluster runs a Temporal server of three processes on one PostgreSQL: two history
// hosts, and the frontend with the other services.
func startCluster(t *testing.T) (server *temporalServer, historyHosts []*proc.Process) {
	t.Helper()
	database, _ := startPostgresWith(t, map[string]string{"max_connections": temporalserver.ClusterConnections})
	server = &temporalServer{addr: heldAddress(t), namespace: client.DefaultNamespace}
	member := func(services string) *proc.Process {
		command := exec.Command(os.Args[0], database.URL("temporal"), server.addr)
		command.Env = append(os.Environ(), asMember+"="+services)
		process, err := proc.Start(command)
		require.NoError(t, err)
		t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, grace) })
		awaitOutput(t, process, "serving "+services)
		return process
	}
	historyHosts = []*proc.Process{member("history"), member("history")}
	server.process = member("frontend,matching,worker")
	server.awaitShards(t, 2)
	return server, historyHosts
}

// awaitShards waits until that many history hosts share the shards.
func (e *temporalServer) awaitShards(t *testing.T, hosts int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, temporalserver.AwaitShards(ctx, e.addr, hosts))
}

// TestAHistoryHostThatDiesLosesNothing kills one of two history hosts amid a steady load.
// Nobody restarts it.
func TestAHistoryHostThatDiesLosesNothing(t *testing.T) {
	server, historyHosts := startCluster(t)
	w := newEnvironment(t, server, patient)
	w.appendConfig(t, "  "+endpointAt(w.standard, "WATCHED", "{interval: 500ms, lifetime: 5m}", patient.delivery))
	w.appendConfig(t, "  "+endpointAt(w.standard, "SLOWLY", "{interval: 500ms, lifetime: 5m}", waitsOnServer.delivery))
	var apis []*apiclient.Client
	for range 2 {
		_, api := w.api(t, "127.0.0.1:0", "-worker=false")
		apis = append(apis, api)
		w.worker(t)
	}

	load := clusterLoad()
	refused := make([]error, len(load))
	var callers sync.WaitGroup
	pace := time.NewTicker(80 * time.Millisecond)
	defer pace.Stop()
	for n, o := range load {
		if n == len(load)/2 {
			require.NoError(t, historyHosts[0].Kill())
		}
		w.core.Schedule(o.id, o.core...)
		w.standard.Script(o.id, o.receiver...)
		callers.Go(func() { _, _, refused[n] = apis[n%len(apis)].Start(t.Context(), o.request()) })
		<-pace.C
	}
	callers.Wait()
	server.awaitShards(t, 1)
	for n, o := range load {
		require.NoError(t, refused[n], "a caller that repeats its start has it accepted")
		state := awaitClosed(t, apis[n%len(apis)], o.request().Key())
		require.Equal(t, o.outcome, state.Outcome, o.id)
		o.check(t, state, w.standard.Received(o.id))
	}
}

// clusterOperation is one operation of the load.
type clusterOperation struct {
	endpoint, id string
	core         []simulator.TransferStep
	receiver     []simulator.Reply
	outcome      operation.Outcome
	h            time.Duration
}

func (o clusterOperation) request() operation.StartRequest {
	return operation.StartRequest{Endpoint: o.endpoint, OperationID: o.id}
}

// check compares what is recorded with what the receiver got.
func (o clusterOperation) check(t *testing.T, state operation.State, received []simulator.Received) {
	t.Helper()
	recorded := 0
	for _, d := range state.Deliveries {
		require.LessOrEqual(t, len(d.Attempts), patientAttempts, o.id)
		recorded += len(d.Attempts)
	}
	if len(received) == recorded+1 {
		received = received[1:] // it was made inside a workflow task that was lost with the host
	}
	require.LessOrEqual(t, len(received), recorded, o.id)
	require.Equal(t, "done", received[len(received)-1].Status, o.id)
	for i, got := range received {
		require.False(t, got.Overlaps, o.id)
		if i > 0 && got.Attempt > 1 {
			require.GreaterOrEqual(t, got.Gap, o.h, o.id)
		}
	}
}

// clusterLoad are the paths of an operation in turn.
func clusterLoad() []clusterOperation {
	const each = 40
	fails, done := failing(http.StatusServiceUnavailable), simulator.Steps("done")
	watched := []simulator.TransferStep{{Status: "waiting_funds", For: 3 * time.Second}, {Status: "done"}}
	var load []clusterOperation
	for n := range each {
		for i, o := range []clusterOperation{
			{endpoint: ledger, core: done, outcome: operation.OutcomeAcknowledged, h: patientInterval},
			{endpoint: ledger, core: done, receiver: []simulator.Reply{fails, fails, simulator.Acknowledge}, outcome: operation.OutcomeAcknowledged, h: patientInterval},
			{endpoint: ledger, core: done, receiver: []simulator.Reply{fails}, outcome: operation.OutcomeExhausted, h: patientInterval},
			{endpoint: "WATCHED", core: watched, outcome: operation.OutcomeAcknowledged, h: patientInterval},
			{endpoint: "SLOWLY", core: done, receiver: []simulator.Reply{fails, simulator.Acknowledge}, outcome: operation.OutcomeAcknowledged, h: serverInterval},
		} {
			o.id = fmt.Sprintf("%d%03d", i+1, n)
			load = append(load, o)
		}
	}
	return load
}
