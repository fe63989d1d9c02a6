package temporalserver_test

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/dev/postgres"
	"ringback/dev/temporalserver"
	"ringback/internal/operation"
	"ringback/internal/service"
	"ringback/internal/views"
	"ringback/workflows"
)

// runs are SQL with names in braces: 100,000 runs of the last 30 days, of 50 endpoints.
// 600 are open, of which 100 deliver. Of the others 1,000 are exhausted, 100 terminated,
// and 500 acknowledged after a callback that was not.
const runs = `
INSERT INTO executions_visibility (namespace_id, run_id, start_time, execution_time, workflow_id, workflow_type_name, status, close_time, encoding, search_attributes)
SELECT '{namespace}', md5(n::text), at, at, 'E' || n % 50 || '/' || n,
  CASE WHEN n % 1000 = 7 THEN 'Notice' WHEN n % 10000 = 8 THEN 'Outage' ELSE 'Operation' END,
  CASE WHEN n <= 600 THEN 1 WHEN n % 100 = 7 THEN 3 WHEN n % 1000 = 8 THEN 5 ELSE 2 END,
  CASE WHEN n > 600 THEN at + interval '20 s' END, 'Json',
  jsonb_build_object('{RingbackEndpoint}', 'E' || n % 50)
    || CASE WHEN n <= 100 THEN '{"{RingbackPhase}": "delivering"}'
         WHEN n > 600 AND n % 100 = 7 THEN '{"{RingbackOutcome}": "exhausted", "{RingbackStatus}": "done", "{RingbackUndelivered}": 1}'
         WHEN n > 600 AND n % 200 = 9 THEN '{"{RingbackUndelivered}": 1}' ELSE '{}' END::jsonb
FROM (SELECT n, now() at time zone 'UTC' - n * interval '26 s' AS at FROM generate_series(1, 100000) AS n) AS each;
ANALYZE executions_visibility;
CREATE EXTENSION pg_stat_statements`

// TestEveryViewReadsFewBlocksOnPostgreSQL holds the list of indexes to what Ringback and
// its documents ask visibility for, which reads a part of the table's blocks alone.
func TestEveryViewReadsFewBlocksOnPostgreSQL(t *testing.T) {
	t.Parallel()
	cluster, err := postgres.Start(t.Context(), postgres.Options{Dir: postgresDir(t), Settings: map[string]string{
		"fsync": "off", "shared_preload_libraries": "pg_stat_statements",
		"default_statistics_target": "1000", // all rows are sampled, so that the plans are the same in every run
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	p, err := temporalserver.ParsePostgres(cluster.URL("temporal"))
	require.NoError(t, err)
	server := start(t, temporalserver.Options{Postgres: &p, Attributes: workflows.Attributes})
	c := dial(t, server.FrontendAddr(), temporalserver.DefaultNamespace)
	db, err := sql.Open("postgres", cluster.URL("temporal_visibility")+"?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	fill(t, c, db)

	for name, ask := range asked(t, c) {
		_, err := db.ExecContext(t.Context(), "SELECT pg_stat_statements_reset()")
		require.NoError(t, err)
		require.NoError(t, ask(), name)
		var read, all int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0), pg_relation_size('executions_visibility') / 8192
			FROM pg_stat_statements WHERE query LIKE '%FROM executions_visibility%'`).Scan(&read, &all))
		t.Logf("%5d of %d blocks: %s", read, all, name)
		require.Positive(t, read, name)
		require.Less(t, read, all/2, name)
	}
}

func fill(t *testing.T, c client.Client, db *sql.DB) {
	t.Helper()
	namespace, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: temporalserver.DefaultNamespace})
	require.NoError(t, err)
	fields := []string{"{namespace}", namespace.GetNamespaceInfo().GetId()}
	for slot, name := range namespace.GetConfig().GetCustomSearchAttributeAliases() {
		fields = append(fields, "{"+name+"}", slot)
	}
	_, err = db.ExecContext(t.Context(), strings.NewReplacer(fields...).Replace(runs))
	require.NoError(t, err)
}

// asked are the questions by their names: the UI's default list, the views, the queries
// of docs/operations/ui.md and of docs/operations/upgrade.md, and the lists of the API.
func asked(t *testing.T, c client.Client) map[string]func() error {
	t.Helper()
	now := time.Now()
	queries := map[string]string{"": "", `WorkflowId STARTS_WITH "E7/70"`: `WorkflowId STARTS_WITH "E7/70"`, "children": `ParentWorkflowId = "E7/7"`,
		"drained": `TemporalWorkerDeploymentVersion="ringback:1.4.0" AND ExecutionStatus="Running"`}
	content, err := os.ReadFile("../../docs/operations/ui.md")
	require.NoError(t, err)
	saved := regexp.MustCompile("(?m)^\\| (.+) \\| `(.+=.+)` \\|$").FindAllStringSubmatch(string(content), -1)
	require.Len(t, saved, 18)
	for _, row := range saved {
		yesterday := now.Add(-24 * time.Hour).UTC().Format(time.RFC3339)
		queries[row[1]] = strings.ReplaceAll(regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z`).ReplaceAllString(row[2], yesterday), "QUICK", "E7")
	}
	for _, view := range views.All("E7", now) {
		queries[view.Name] = view.Query
	}
	questions := map[string]func() error{}
	for name, query := range queries {
		questions[name] = func() error {
			_, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: temporalserver.DefaultNamespace, Query: query, PageSize: 100})
			return err
		}
	}
	maps.Copy(questions, askedByTheAPI(t, c, operation.At(now.Add(-24*time.Hour))))
	return questions
}

func askedByTheAPI(t *testing.T, c client.Client, yesterday operation.Time) map[string]func() error {
	t.Helper()
	s := &service.Service{Client: c, Namespace: temporalserver.DefaultNamespace, Endpoint: func(string) (operation.Endpoint, bool) { return operation.Endpoint{}, true }}
	questions := map[string]func() error{
		"CountOpen": func() error { _, err := s.CountOpen(t.Context()); return err },
	}
	for _, q := range []operation.ListQuery{
		{}, {Endpoint: "E7"}, {Endpoint: "E7", Outcome: operation.OutcomeExhausted}, {Outcome: operation.OutcomeTerminated},
		{Undelivered: true, ByClose: true, Since: yesterday}, {Endpoint: "E7", Undelivered: true}, {Since: yesterday},
		{Phase: operation.OnHold}, {Status: "done"}, {HTTPStatus: "5xx"}, {Endpoint: "E7", HTTPStatus: "503"},
	} {
		questions[fmt.Sprintf("%+v", q)] = func() error { _, err := s.List(t.Context(), q); return err }
	}
	return questions
}
