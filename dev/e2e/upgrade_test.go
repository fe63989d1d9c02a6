package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	apiclient "ringback/api/client"
	"ringback/dev/drill"
	"ringback/dev/proc"
	"ringback/dev/simulator"
	"ringback/internal/operation"
	"ringback/internal/service"
)

// These tests upgrade from one build to another whose workflow code commands
// something else, with operations open across it (docs/operations/upgrade.md).

// deployment is the name that all builds share.
const deployment = "ringback"

// The code of the next version (testdata/upgrade).
const (
	asItIs = ""
	// careless can't read the histories of the version before, careful can.
	careless = "careless"
	careful  = "careful"
	// released is the code of the last release, from the repository's history.
	released = "released"
)

// build is both programs of one build, running. The one without an id is not
// versioned.
type build struct {
	id                    string
	apiProgram, workerOne *proc.Process
	api                   *apiclient.Client
}

func (w *environment) build(t *testing.T, code, id string) *build {
	t.Helper()
	dir := programsOf(t, code)
	var environment []string
	if id != "" {
		environment = []string{"TEMPORAL_DEPLOYMENT_NAME=" + deployment, "TEMPORAL_WORKER_BUILD_ID=" + id}
	}
	b := &build{id: id}
	b.workerOne = w.launchFrom(t, filepath.Join(dir, "worker"), environment)
	b.apiProgram = w.launchFrom(t, filepath.Join(dir, "api"), environment, "-listen", "127.0.0.1:0")
	awaitOutput(t, b.workerOne, `"msg":"running"`)
	b.api = &apiclient.Client{MaxAttempts: 1, Base: "http://" + awaitOutput(t, b.apiProgram, `"api":"([^"]+)"`)}
	return b
}

var backlogOfCallbacks = regexp.MustCompile(`(?m)^ringback_backlog_age_seconds{work="callback"} (\S+)$`)

// backlogAge is for how long callbacks wait on the server, as its worker sees it.
func (b *build) backlogAge(t *testing.T) time.Duration {
	t.Helper()
	shown := backlogOfCallbacks.FindStringSubmatch(scrape(t, awaitOutput(t, b.workerOne, `"telemetry":"([^"]+)"`)))
	require.NotNil(t, shown)
	age, err := time.ParseDuration(shown[1] + "s")
	require.NoError(t, err)
	return age
}

// stop stops a program as an operator does; it ends well.
func stop(t *testing.T, p *proc.Process) {
	t.Helper()
	require.NoError(t, p.Stop(syscall.SIGTERM, grace))
	require.NoError(t, p.Err())
}

func (b *build) stop(t *testing.T) {
	t.Helper()
	stop(t, b.apiProgram)
	stop(t, b.workerOne)
}

var builds sync.Mutex

// programsOf builds the programs with the code of testdata/upgrade in the place
// of the workflow Operation, and returns their folder.
func programsOf(t *testing.T, code string) (dir string) {
	t.Helper()
	dir = filepath.Join(filepath.Dir(program(t, "api")), code)
	builds.Lock()
	defer builds.Unlock()
	if _, err := os.Stat(filepath.Join(dir, "worker")); err == nil {
		return dir
	}
	if code == released {
		buildRelease(t, dir+"/")
		return dir
	}
	register, err := os.ReadFile("../../workflows/register.go")
	require.NoError(t, err)
	changed := strings.Replace(string(register), "(Operation, ", "(Next, ", 1)
	require.NotEqual(t, string(register), changed)
	registers := filepath.Join(t.TempDir(), "register.go")
	require.NoError(t, os.WriteFile(registers, []byte(changed), 0o600))
	buildWith(t, dir+"/", map[string]string{
		absolute(t, "../../workflows/register.go"): registers,
		absolute(t, "../../workflows/next.go"):     absolute(t, "testdata/upgrade/"+code+".go"),
	}, "./api", "./worker")
	return dir
}

// buildRelease builds the last release's programs from its commit: that of its tag or,
// where a clone has no tags, the one that wrote its heading into the CHANGELOG.
func buildRelease(t *testing.T, out string) {
	t.Helper()
	source := t.TempDir()
	output := runShell(t, "../..", `
commit=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) ||
  commit=$(git log --format=%H -S"$(grep -m 1 '^## \[[0-9]' CHANGELOG.md)" -- CHANGELOG.md | tail -n 1)
echo "the last release is commit ${commit:?none has a tag or a heading in CHANGELOG.md}"
git archive "$commit" | tar -x -C "$SOURCE"
go -C "$SOURCE" build -buildvcs=false -o "$OUT" ./api ./worker`, "SOURCE="+source, "OUT="+out)
	t.Log(output)
}

// buildWith builds programs with files replaced by others, into out.
func buildWith(t *testing.T, out string, replaced map[string]string, programs ...string) {
	t.Helper()
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replaced})
	require.NoError(t, err)
	list := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	arguments := append([]string{"-C", "../..", "build", "-overlay", list, "-o", out}, programs...)
	output, err := exec.CommandContext(t.Context(), "go", arguments...).CombinedOutput()
	require.NoErrorf(t, err, "build %v: %s", programs, output)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// makeCurrent makes a build the current one.
func makeCurrent(t *testing.T, c temporalClient, id string) {
	t.Helper()
	require.NoError(t, drill.MakeCurrent(t.Context(), c, deployment, id))
}

// move does what temporal workflow update-options does.
func move(t *testing.T, c temporalClient, key operation.Key, to client.VersioningOverride) {
	t.Helper()
	_, err := c.UpdateWorkflowExecutionOptions(t.Context(), client.UpdateWorkflowExecutionOptionsRequest{
		WorkflowId: key.WorkflowID(), WorkflowExecutionOptionsChanges: client.WorkflowExecutionOptionsChanges{
			VersioningOverride: &client.VersioningOverrideChange{Value: to}},
	})
	require.NoError(t, err)
}

func pinnedTo(id string) client.VersioningOverride {
	return &client.PinnedVersioningOverride{Version: worker.WorkerDeploymentVersion{DeploymentName: deployment, BuildID: id}}
}

// buildsOf are the builds that completed a run's workflow tasks, one after another.
func buildsOf(events []*historypb.HistoryEvent) []string {
	var all []string
	for _, event := range events {
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			all = append(all, event.GetWorkflowTaskCompletedEventAttributes().GetDeploymentVersion().GetBuildId())
		}
	}
	return slices.Compact(all)
}

// asNext reports whether a run commanded what the next version commands.
func asNext(events []*historypb.HistoryEvent) bool {
	return slices.ContainsFunc(events, func(e *historypb.HistoryEvent) bool {
		return e.GetMarkerRecordedEventAttributes().GetMarkerName() == "SideEffect"
	})
}

// requireRan requires by which builds and as which version an operation ran.
func requireRan(t *testing.T, c temporalClient, key operation.Key, next bool, builds ...string) {
	t.Helper()
	events := history(t, c, key)
	require.Equal(t, builds, buildsOf(events), key.OperationID)
	require.Equal(t, next, asNext(events), key.OperationID)
}

// requireDelivered requires that an operation was acknowledged, by the one request that was.
func requireDelivered(t *testing.T, api *apiclient.Client, r *simulator.Receiver, key operation.Key) operation.State {
	t.Helper()
	state := awaitClosed(t, api, key)
	require.Equal(t, operation.OutcomeAcknowledged, state.Outcome, key.OperationID)
	require.Len(t, state.Deliveries, 1)
	attempts := state.Deliveries[0].Attempts // the latest of them, where they are many
	requireNumbered(t, attempts, attempts[0].Number)
	require.Len(t, r.Received(key.OperationID), attempts[len(attempts)-1].Number, "each attempt of %s is one request", key.OperationID)
	require.Equal(t, 1, acknowledged(r, key.OperationID), "%s is acknowledged once", key.OperationID)
	return state
}

// startMany starts operations of an endpoint with those ids, whose core says status.
func (w *environment) startMany(t *testing.T, api *apiclient.Client, endpoint, status string, first, n int) []operation.Key {
	t.Helper()
	var keys []operation.Key
	for i := range n {
		id := fmt.Sprint(first + i)
		w.core.SetStatus(id, status)
		keys = append(keys, start(t, api, operation.StartRequest{Endpoint: endpoint, OperationID: id}))
	}
	for _, key := range keys {
		awaitState(t, api, key, func(s operation.State) bool { return s.Polls > 0 })
	}
	return keys
}

// traffic is a payment core that starts operations one after another, at
// whichever API lets it.
type traffic struct {
	mu       sync.Mutex
	apis     []*apiclient.Client
	accepted []operation.Key
	refused  int
	ending   chan struct{}
	ended    chan error
}

const trafficPause = 40 * time.Millisecond

func (w *environment) traffic(t *testing.T, first int, apis ...*apiclient.Client) *traffic {
	t.Helper()
	f := &traffic{apis: apis, ending: make(chan struct{}), ended: make(chan error, 1)}
	go func() { f.ended <- f.flow(t.Context(), w, first) }()
	return f
}

func (f *traffic) flow(ctx context.Context, w *environment, first int) error {
	for id := first; ; id++ {
		select {
		case <-f.ending:
			return nil
		case <-time.After(trafficPause):
		}
		request := entry(fmt.Sprint(id))
		w.core.SetStatus(request.OperationID, "done")
		if err := f.start(ctx, request); err != nil {
			return err
		}
	}
}

// start sends a start to one API after another until one has taken it.
func (f *traffic) start(ctx context.Context, r operation.StartRequest) error {
	var refusals error
	for i := range 500 {
		f.mu.Lock()
		api := f.apis[(len(f.accepted)+i)%len(f.apis)]
		f.mu.Unlock()
		_, _, err := api.Start(ctx, r)
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.accepted = append(f.accepted, r.Key())
			return nil
		}
		refusals = errors.Join(refusals, err)
		f.mu.Lock()
		f.refused++
		f.mu.Unlock()
		time.Sleep(trafficPause / 2)
	}
	return fmt.Errorf("no API took %s: %w", r.OperationID, refusals)
}

// through sends it through other APIs from now on.
func (f *traffic) through(apis ...*apiclient.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apis = apis
}

// soFar is how many were accepted.
func (f *traffic) soFar() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.accepted)
}

// end stops it and returns what was accepted.
func (f *traffic) end(t *testing.T) []operation.Key {
	t.Helper()
	close(f.ending)
	require.NoError(t, <-f.ended)
	t.Logf("%d operations were begun during the upgrade; %d calls were refused and sent again", len(f.accepted), f.refused)
	return f.accepted
}

// newUpgradeEnvironment has endpoints whose operations are pinned (RETRIED, SELDOM), and
// some that last for a month (MONTH, MONTHLY). Deliveries of SELDOM and MONTHLY wait on the server.
func newUpgradeEnvironment(t *testing.T) (*environment, *simulator.Receiver) {
	t.Helper()
	books := receiver(t, "standard")
	return newEnvironment(t, sharedServer(t), quick,
		endpointAt(books, "RETRIED", "{interval: 500ms, lifetime: 1h}", "{interval: 2s, attempts: 200}"),
		endpointAt(books, "SELDOM", "{interval: 11s, lifetime: 1h}", "{interval: 6s, attempts: 20}"),
		endpointAt(books, "MONTH", "{interval: 500ms, lifetime: 720h}", "{interval: 2s, attempts: 200}"),
		endpointAt(books, "MONTHLY", "{interval: 11s, lifetime: 720h}", "{interval: 6s, attempts: 20}")), books
}

// running counts the operations that are open on a build, as the runbook does.
func running(t *testing.T, c temporalClient, id string) int64 {
	t.Helper()
	response, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: fmt.Sprintf("TemporalWorkerDeploymentVersion=%q AND ExecutionStatus='Running'", deployment+":"+id),
	})
	require.NoError(t, err)
	return response.GetCount()
}

func (w *environment) setStatuses(status string, keys ...[]operation.Key) {
	for _, key := range slices.Concat(keys...) {
		w.core.SetStatus(key.OperationID, status)
	}
}

func TestPinnedOperationsEndOnTheBuildThatBeganThem(t *testing.T) {
	w, books := newUpgradeEnvironment(t)
	c := w.temporalClient(t)
	first := w.build(t, asItIs, "1")
	makeCurrent(t, c, "1")
	awaitOutput(t, first.apiProgram, "this build is current")

	watched := w.startMany(t, first.api, "RETRIED", "processing", 7101, 5)
	seldom := w.startMany(t, first.api, "SELDOM", "processing", 7201, 3)
	books.Default(failing(http.StatusServiceUnavailable))
	delivering := append(w.startMany(t, first.api, "RETRIED", "done", 7301, 5), w.startMany(t, first.api, "SELDOM", "done", 7401, 3)...)
	left := w.startMany(t, first.api, "SELDOM", "processing", 7501, 1)[0]
	begun := w.traffic(t, 100_001, first.api)

	// Its API takes starts as well, and yet all of them begin on the build before.
	second := w.build(t, careless, "2")
	begun.through(first.api, second.api)
	key := w.startMany(t, second.api, ledger, "done", 7601, 1)[0]
	requireDelivered(t, second.api, w.standard, key)
	requireRan(t, c, key, false, "1")

	makeCurrent(t, c, "2")
	awaitOutput(t, second.apiProgram, "this build is current")
	awaitOutput(t, first.apiProgram, "another build is current")
	for i, api := range []*apiclient.Client{first.api, second.api} {
		key := w.startMany(t, api, ledger, "done", 7701+i, 1)[0]
		requireDelivered(t, second.api, w.standard, key)
		requireRan(t, c, key, true, "2")
	}
	stop(t, first.apiProgram)
	begun.through(second.api)
	upgraded := begun.soFar()

	// The worker before goes on with what it began.
	w.setStatuses("done", watched, seldom)
	books.Default(simulator.Acknowledge)
	for _, key := range slices.Concat(watched, seldom, delivering) {
		requireDelivered(t, second.api, books, key)
		requireRan(t, c, key, false, "1")
	}
	for _, key := range delivering {
		requireInterval(t, books, key.OperationID, 200, 2*time.Second)
	}
	require.Eventually(t, func() bool { return running(t, c, "1") == 1 }, patience, 100*time.Millisecond, "all but the one that is left")
	accepted := begun.end(t)
	require.Greater(t, len(accepted), upgraded)
	for i, key := range accepted {
		requireDelivered(t, second.api, w.standard, key)
		if i >= upgraded {
			requireRan(t, c, key, true, "2")
		}
	}

	t.Run("moved to a build that can't read it, a run loses nothing, and goes on with one that can", func(t *testing.T) {
		stop(t, first.workerOne)
		w.setStatuses("done", []operation.Key{left})
		move(t, c, left, pinnedTo("2"))
		require.Eventually(t, func() bool {
			return slices.ContainsFunc(history(t, c, left), func(e *historypb.HistoryEvent) bool {
				return e.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
			})
		}, patience, 100*time.Millisecond)
		require.Empty(t, books.Received(left.OperationID))
		again := w.build(t, asItIs, "1")
		move(t, c, left, pinnedTo("1"))
		requireDelivered(t, second.api, books, left)
		requireRan(t, c, left, false, "1")
		again.stop(t)
	})
	second.stop(t)
}

func TestLongOperationsGoOnWithTheCurrentBuild(t *testing.T) {
	const many = 20
	programsOf(t, careful) // the build would outlast the bulk redelivery
	w, books := newUpgradeEnvironment(t)
	c := w.temporalClient(t)
	first := w.build(t, asItIs, "1")
	makeCurrent(t, c, "1")
	awaitOutput(t, first.apiProgram, "this build is current")

	failed := exhaustMany(t, w, first.api, many)
	month := w.startMany(t, first.api, "MONTH", "processing", 8101, 3)
	monthly := w.startMany(t, first.api, "MONTHLY", "processing", 8201, 3)
	books.Default(failing(http.StatusServiceUnavailable))
	delivering := append(w.startMany(t, first.api, "MONTH", "done", 8301, 3), w.startMany(t, first.api, "MONTHLY", "done", 8401, 3)...)
	leftWatching := w.startMany(t, first.api, "SELDOM", "processing", 8501, 1)[0]
	leftDelivering := w.startMany(t, first.api, "SELDOM", "done", 8502, 1)[0]
	leftRevoked := w.startMany(t, first.api, "SELDOM", "waiting", 8503, 1)[0]
	leftWithdrawn := w.startMany(t, first.api, "SELDOM", "waiting", 8504, 1)[0]
	bulk, err := first.api.StartBulkRedelivery(t.Context(), operation.BulkRedeliveryRequest{Filter: operation.Filter{Endpoint: ledger}, RatePerSecond: 1, Reason: "receiver repaired"})
	require.NoError(t, err)
	awaitRedelivery(t, first.api, bulk.ID, func(r operation.BulkRedelivery) bool { return r.Done > 0 })

	second := w.build(t, careful, "2")
	makeCurrent(t, c, "2")
	awaitOutput(t, second.apiProgram, "this build is current")
	begun := w.traffic(t, 200_001, second.api)
	first.stop(t)
	require.Less(t, awaitRedelivery(t, second.api, bulk.ID, func(operation.BulkRedelivery) bool { return true }).Done, many, "it is open across the upgrade")

	w.setStatuses("done", month, monthly)
	unmoved := len(books.Received(leftDelivering.OperationID))
	w.setStatuses("done", []operation.Key{leftWatching})
	time.Sleep(12 * time.Second)
	require.Empty(t, books.Received(leftWatching.OperationID), "nobody polls for the build that is gone")
	require.Len(t, books.Received(leftDelivering.OperationID), unmoved, "nothing is delivered for it")
	for _, key := range []operation.Key{leftWatching, leftDelivering} {
		state, err := second.api.State(t.Context(), key)
		require.NoError(t, err, "its state is readable")
		require.NotEqual(t, operation.Closed, state.Phase)
	}
	_, err = second.api.Revoke(t.Context(), leftRevoked, "client", "")
	require.Equal(t, http.StatusServiceUnavailable, apiclient.Status(err), "nobody can say whether it may be revoked")
	withdraw(t, second.api, leftWithdrawn)
	left, err := (&service.Service{Client: c, Namespace: c.namespace}).ReadTaskQueue(t.Context())
	require.NoError(t, err)
	require.Greater(t, left.Backlog.Callbacks, time.Second, "what is left waits")
	require.Less(t, second.backlogAge(t), left.Backlog.Callbacks, "and holds back nothing else")
	books.Default(simulator.Acknowledge)
	for _, key := range slices.Concat(month, monthly, delivering) {
		requireDelivered(t, second.api, books, key)
		requireRan(t, c, key, false, "1", "2")
	}
	for _, key := range []operation.Key{leftWatching, leftDelivering} {
		move(t, c, key, &client.AutoUpgradeVersioningOverride{})
		requireDelivered(t, second.api, books, key)
		requireRan(t, c, key, false, "1", "2")
		requireInterval(t, books, key.OperationID, 20, 6*time.Second)
	}
	for key, outcome := range map[operation.Key]operation.Outcome{leftRevoked: operation.OutcomeRevoked, leftWithdrawn: operation.OutcomeWithdrawn} {
		move(t, c, key, &client.AutoUpgradeVersioningOverride{})
		if key == leftRevoked {
			_, err := second.api.Revoke(t.Context(), key, "client", "")
			require.NoError(t, err, "sent again, it is taken")
		}
		require.Equal(t, outcome, awaitClosed(t, second.api, key).Outcome)
		require.Empty(t, books.Received(key.OperationID))
	}

	// A bulk redelivery gives way to callbacks that are late, as they may be on a
	// slow machine under this traffic.
	accepted := begun.end(t)
	done := awaitRedelivery(t, second.api, bulk.ID, isDone)
	require.Equal(t, operation.BulkRedeliveryProgress{Done: many}, done.BulkRedeliveryProgress)
	for _, key := range failed {
		awaitClosed(t, second.api, key)
		require.Equal(t, 1, acknowledged(w.standard, key.OperationID), "%s is redelivered once", key.OperationID)
	}
	for _, key := range accepted {
		requireDelivered(t, second.api, w.standard, key)
		requireRan(t, c, key, true, "2")
	}
	require.Eventually(t, func() bool { return running(t, c, "1") == 0 }, patience, 100*time.Millisecond)
	second.stop(t)
}

func TestProgramsThatAreNotVersionedAreUpgradedOneAfterAnother(t *testing.T) {
	for name, id := range map[string]string{
		"to programs that are not versioned either": "",
		"to the first build that is":                "1",
	} {
		t.Run(name, func(t *testing.T) { upgradeOneAfterAnother(t, asItIs, careful, id) })
	}
}

func TestTheLastReleaseIsUpgradedToThis(t *testing.T) {
	upgradeOneAfterAnother(t, released, asItIs, "")
}

// upgradeOneAfterAnother upgrades programs without versions from one code to another,
// which are versioned where they have an id, while operations are open and begin.
func upgradeOneAfterAnother(t *testing.T, from, to, id string) {
	t.Helper()
	w, books := newUpgradeEnvironment(t)
	c := w.temporalClient(t)
	first := w.build(t, from, "")
	watched := slices.Concat(w.startMany(t, first.api, "RETRIED", "processing", 9101, 3), w.startMany(t, first.api, "MONTHLY", "processing", 9201, 3))
	books.Default(failing(http.StatusServiceUnavailable))
	delivering := slices.Concat(w.startMany(t, first.api, "RETRIED", "done", 9301, 3), w.startMany(t, first.api, "SELDOM", "done", 9401, 3))
	begun := w.traffic(t, 300_001, first.api)

	second := w.build(t, to, id)
	if id != "" {
		makeCurrent(t, c, id)
		awaitOutput(t, second.apiProgram, "this build is current")
	}
	begun.through(first.api, second.api)
	first.stop(t)
	begun.through(second.api)
	books.Default(simulator.Acknowledge)
	w.setStatuses("done", watched)
	for _, key := range slices.Concat(watched, delivering) {
		requireDelivered(t, second.api, books, key)
		events := history(t, c, key)
		require.False(t, asNext(events), "%s began before", key.OperationID)
		require.Equal(t, id, buildsOf(events)[len(buildsOf(events))-1], key.OperationID)
	}
	for _, key := range begun.end(t) {
		requireDelivered(t, second.api, w.standard, key)
	}
	last := w.startMany(t, second.api, ledger, "done", 9501, 1)[0]
	requireDelivered(t, second.api, w.standard, last)
	require.Equal(t, to != asItIs, asNext(history(t, c, last)))
	second.stop(t)
}
