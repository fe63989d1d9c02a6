package temporalserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/dev/postgres"
	"ringback/dev/proc"
	"ringback/dev/temporalserver"
)

// serveDir makes this test binary a Temporal server on that directory instead
// of a test, so that a test can kill it.
const serveDir = "TEMPORALSERVER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveDir); dir != "" {
		serve(dir)
	}
	os.Exit(m.Run())
}

func serve(dir string) {
	server, err := temporalserver.Start(context.Background(), temporalserver.Options{DataDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("serving", server.FrontendAddr())
	select {}
}

func TestAServerInMemoryRunsAWorkflow(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Options{})
	runsWorkflow(t, server.FrontendAddr(), "one")
}

func TestAServerOnPostgreSQLRunsAWorkflowAndStartsAgainOnItsSchema(t *testing.T) {
	t.Parallel()
	cluster, err := postgres.Start(t.Context(), postgres.Options{Dir: postgresDir(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	p, err := temporalserver.ParsePostgres(cluster.URL("temporal"))
	require.NoError(t, err)

	first := start(t, temporalserver.Options{Postgres: &p})
	runsWorkflow(t, first.FrontendAddr(), "one")
	require.NoError(t, first.Stop())

	second := start(t, temporalserver.Options{Postgres: &p})
	knowsWorkflow(t, second.FrontendAddr(), "one")
}

func TestAKilledServerStartsAgainOnItsFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a dir with a space, a % and a ?")
	first, addr := startProcess(t, dir)
	runsWorkflow(t, addr, "one")
	require.NoError(t, first.Kill())

	second, addr := startProcess(t, dir)
	knowsWorkflow(t, addr, "one")
	runsWorkflow(t, addr, "two")
	require.NoError(t, second.Kill())
}

func TestADataDirectoryOpensTunedAndUntuned(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		made, opened temporalserver.Options
		files        []string
	}{
		"made by a stock server and opened tuned": {made: temporalserver.Options{Stock: true}, files: []string{"temporal.db"}},
		"made tuned and opened by a stock server": {opened: temporalserver.Options{Stock: true}, files: []string{"temporal.db", "visibility.db"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.made.DataDir, tt.opened.DataDir = dir, dir
			first := start(t, tt.made)
			runsWorkflow(t, first.FrontendAddr(), "one")
			require.NoError(t, first.Stop())

			second := start(t, tt.opened)
			knowsWorkflow(t, second.FrontendAddr(), "one")
			runsWorkflow(t, second.FrontendAddr(), "two")
			lists(t, second.FrontendAddr(), `ExecutionStatus = "Completed"`, "two", "one")
			require.NoError(t, second.Stop())
			files, err := filepath.Glob(filepath.Join(dir, "*.db"))
			require.NoError(t, err)
			for i := range files {
				files[i] = filepath.Base(files[i])
			}
			require.Equal(t, tt.files, files)
		})
	}
}

// What operators, the UI and Ringback ask visibility for is answered also with
// few indexes, and so is what nobody kept an index for.
func TestATunedServerAnswersEveryList(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Options{DataDir: t.TempDir()})
	c := dial(t, server.FrontendAddr(), temporalserver.DefaultNamespace)
	types := map[string]enumspb.IndexedValueType{"Word": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"Number": enumspb.INDEXED_VALUE_TYPE_INT, "Moment": enumspb.INDEXED_VALUE_TYPE_DATETIME, "Words": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST}
	_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
		Namespace: temporalserver.DefaultNamespace, SearchAttributes: types})
	require.NoError(t, err)
	w := worker.New(c, "queue", worker.Options{})
	w.RegisterWorkflow(answer)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	attributes := temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword("Word").ValueSet("blue"),
		temporal.NewSearchAttributeKeyInt64("Number").ValueSet(7), temporal.NewSearchAttributeKeyTime("Moment").ValueSet(time.Now()),
		temporal.NewSearchAttributeKeyKeywordList("Words").ValueSet([]string{"a", "b"}))
	var run client.WorkflowRun
	require.Eventually(t, func() bool { // the server learns of new attributes within seconds
		run, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "shop/1", TaskQueue: "queue", TypedSearchAttributes: attributes}, answer)
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	require.NoError(t, run.Get(t.Context(), nil))
	for _, query := range []string{
		"", `WorkflowId = "shop/1"`, `WorkflowId STARTS_WITH "shop/"`, `RunId = "` + run.GetRunID() + `"`, `WorkflowType = "answer"`,
		`ExecutionStatus = "Completed"`, `StartTime > "2020-01-01T00:00:00Z"`, `CloseTime > "2020-01-01T00:00:00Z"`,
		`ExecutionTime > "2020-01-01T00:00:00Z"`, `ExecutionDuration >= 0`, `HistoryLength > 0`, `TaskQueue = "queue"`, `RootWorkflowId = "shop/1"`,
		`Word = "blue" AND ExecutionStatus = "Completed"`, `Number = 7`, `Moment < "2099-01-01T00:00:00Z"`, `Words = "b"`,
	} {
		lists(t, server.FrontendAddr(), query, "shop/1")
	}
}

func TestTheNamespaceKeepsClosedRunsForThirtyDays(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Options{Namespaces: []string{"payments"}})
	c := dial(t, server.FrontendAddr(), "payments")
	answer, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "payments"})
	require.NoError(t, err)
	require.Equal(t, 30*24*time.Hour, answer.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
}

func TestTheNamespaceKnowsItsAttributesFromTheStart(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Options{Attributes: []temporal.SearchAttributeKey{
		temporal.NewSearchAttributeKeyKeyword("Endpoint"), temporal.NewSearchAttributeKeyKeyword("Outcome"), temporal.NewSearchAttributeKeyInt64("Undelivered"),
	}})
	c := dial(t, server.FrontendAddr(), temporalserver.DefaultNamespace)
	count, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: temporalserver.DefaultNamespace, Query: "Endpoint = 'a' AND Outcome = 'b' AND Undelivered > 0",
	})
	require.NoError(t, err)
	require.Zero(t, count.GetCount())
}

func TestADataDirectoryIsServedByOneServerAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, temporalserver.Options{DataDir: dir})
	_, err := temporalserver.Start(t.Context(), temporalserver.Options{DataDir: dir})
	require.ErrorContains(t, err, dir+" is in use by another server")

	require.NoError(t, first.Stop())
	start(t, temporalserver.Options{DataDir: dir})
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	unwritable := t.TempDir() // also by root
	require.NoError(t, os.Mkdir(filepath.Join(unwritable, "lock"), 0o700))
	for name, tt := range map[string]struct {
		options temporalserver.Options
		says    string
	}{
		"an address that is taken":                   {temporalserver.Options{Addr: taken.Addr().String()}, "address already in use"},
		"an address without a port":                  {temporalserver.Options{Addr: "127.0.0.1"}, "missing port"},
		"a service that there is not":                {temporalserver.Options{Services: []string{"ui"}}, `no service "ui"`},
		"a part of a cluster without its PostgreSQL": {temporalserver.Options{Services: []string{"history"}}, "needs Postgres"},
		"a history host that no frontend is told of": {temporalserver.Options{Services: []string{"history"}, Postgres: &temporalserver.Postgres{}}, "needs Addr"},
		"two places for the state":                   {temporalserver.Options{DataDir: "x", Postgres: &temporalserver.Postgres{Addr: "127.0.0.1:1"}}, "not both"},
		"a PostgreSQL that is not there":             {temporalserver.Options{Postgres: &temporalserver.Postgres{Addr: "127.0.0.1:1", User: "u", Database: "d"}}, "connection refused"},
		"a data directory that is a file":            {temporalserver.Options{DataDir: os.Args[0]}, "make data directory"},
		"a data directory that cannot be written in": {temporalserver.Options{DataDir: unwritable}, "write in the data directory: open " + unwritable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := temporalserver.Start(t.Context(), tt.options)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestAPostgreSQLAddressIsReadWithItsDefaults(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]temporalserver.Postgres{
		"postgres://ann:s%40crt@127.0.0.1:6000/bank":                        {Addr: "127.0.0.1:6000", User: "ann", Password: "s@crt", Database: "bank"},
		"postgres://ann:x@db:1/bank?sslmode=verify-full&sslrootcert=ca.pem": {Addr: "db:1", User: "ann", Password: "x", Database: "bank", CA: "ca.pem"},
		"postgresql://ann:x@db":                                             {Addr: "db:5432", User: "ann", Password: "x", Database: "temporal"},
	} {
		got, err := temporalserver.ParsePostgres(dsn)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, dsn := range []string{"", "mysql://a:b@c", "postgres://127.0.0.1:6000/bank", "postgres://a:b@/x", ":", "postgres://a:b@c?sslmode=require", "postgres://a:b@c?sslmode=verify-full"} {
		_, err := temporalserver.ParsePostgres(dsn)
		require.Error(t, err, dsn)
	}
}

func start(t *testing.T, o temporalserver.Options) *temporalserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server, err := temporalserver.Start(ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

func startProcess(t *testing.T, dir string) (*proc.Process, string) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), serveDir+"="+dir)
	process, err := proc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Stop(syscall.SIGKILL, time.Second) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	addr, err := process.Await(ctx, `serving (\S+)`)
	require.NoError(t, err)
	return process, addr
}

// postgresDir is a directory that the user postgres may enter.
func postgresDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ringback-pg") //nolint:usetesting // t.TempDir may not be entered by another user
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func dial(t *testing.T, addr, namespace string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: addr, Namespace: namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func answer(workflow.Context) (int, error) { return 42, nil }

func runsWorkflow(t *testing.T, addr, id string) {
	t.Helper()
	c := dial(t, addr, temporalserver.DefaultNamespace)
	w := worker.New(c, "queue", worker.Options{})
	w.RegisterWorkflow(answer)
	require.NoError(t, w.Start())
	defer w.Stop()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "queue"}, answer)
	require.NoError(t, err)
	var got int
	require.NoError(t, run.Get(t.Context(), &got))
	require.Equal(t, 42, got)
}

func knowsWorkflow(t *testing.T, addr, id string) {
	t.Helper()
	c := dial(t, addr, temporalserver.DefaultNamespace)
	var got int
	require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), &got))
	require.Equal(t, 42, got)
}

// lists waits until query finds exactly these workflows, newest first:
// visibility follows after the fact.
func lists(t *testing.T, addr, query string, want ...string) {
	t.Helper()
	c := dial(t, addr, temporalserver.DefaultNamespace)
	var got []string
	ok := func() bool {
		response, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		require.NoError(t, err, query)
		got = nil
		for _, e := range response.GetExecutions() {
			if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
				got = append(got, e.GetExecution().GetWorkflowId())
			}
		}
		return slices.Equal(want, got)
	}
	for deadline := time.Now().Add(time.Minute); !ok() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	require.Equal(t, want, got, query)
}
