package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/dev/simulator"
	"ringback/internal/operation"
)

// savedViews are the queries that docs/operations/ui.md offers, by what they find.
func savedViews(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("../../docs/operations/ui.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(content), "\n## Queries to save\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "\n## ")
	views := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (.+) \\| `(.+)` \\|$").FindAllStringSubmatch(text, -1) {
		views[row[1]] = row[2]
	}
	return views
}

// TestSavedViewsFindTheRightRunsAndNoOthers runs every query of the document on
// a real server. A time in it stands for the moment after "old".
func TestSavedViewsFindTheRightRunsAndNoOthers(t *testing.T) {
	t.Parallel()
	books, operators := receiver(t, "standard"), receiver(t, "standard")
	w := newEnvironment(t, sharedServer(t), quick,
		endpointAt(books, "QUICK", "{interval: 100ms, lifetime: 720h}", "{interval: 20ms, attempts: 3}"),
		endpointAt(books, "OTHER", "{interval: 100ms, lifetime: 720h}", "{interval: 20ms, attempts: 3}"),
		endpointAt(books, "SLOW", "{interval: 10m, lifetime: 720h}", "{interval: 30m, attempts: 3}"),
		endpointAt(books, "BRIEF", "{interval: 100ms, lifetime: 300ms}", "{interval: 20ms, attempts: 3}"),
		fmt.Sprintf(`HELD: {dialect: standard, source: wallet, enabled: hold, url: %q, poll: {interval: 10m, lifetime: 720h}, delivery: {interval: 30m, attempts: 3}}`, books.URL()),
		fmt.Sprintf(`OPERATORS: {dialect: standard, url: %q, delivery: {interval: 20ms, attempts: 2}}`, operators.URL()))
	w.appendConfig(t, "notices: {endpoint: OPERATORS, failing_after: 3}")
	api := w.run(t).Client
	c := w.temporalClient(t)
	operators.Script("gone", failing(http.StatusServiceUnavailable))
	unavailable := failing(http.StatusServiceUnavailable)
	begin := func(name, id, status string, replies ...simulator.Reply) operation.Key {
		w.core.SetStatus(id, status)
		if len(replies) > 0 {
			books.Script(id, replies...)
		}
		return start(t, api, operation.StartRequest{Endpoint: name, OperationID: id})
	}

	awaitClosed(t, api, begin("QUICK", "old-failed", "done", unavailable))
	old := begin("SLOW", "old-watching", "processing")
	awaitPending(t, c, old, "Watch")
	time.Sleep(50 * time.Millisecond)
	cut := operation.At(time.Now())
	time.Sleep(50 * time.Millisecond)

	awaitClosed(t, api, begin("QUICK", "q1", "done"))
	awaitClosed(t, api, begin("QUICK", "failed", "done", unavailable))
	awaitClosed(t, api, begin("BRIEF", "expired", "processing"))
	gone := awaitClosed(t, api, begin("OTHER", "gone", "done", failing(http.StatusGone)))
	require.Equal(t, operation.OutcomeGone, gone.Outcome)
	begin("SLOW", "watching", "processing")
	awaitPending(t, c, begin("SLOW", "delivering", "done", unavailable), "Deliver")
	begin("HELD", "held", "done")
	paused := begin("SLOW", "paused", "done", unavailable)
	awaitPending(t, c, paused, "Deliver")
	pauseActivity(t, c, paused.WorkflowID(), "Deliver")
	superseded := begin("SLOW", "superseded", "reserved", unavailable, simulator.Acknowledge)
	awaitPending(t, c, superseded, "Deliver")
	require.NoError(t, api.Push(t.Context(), superseded, "done"))
	awaitClosed(t, api, superseded)
	withdrawn := begin("SLOW", "withdrawn", "done", unavailable)
	awaitPending(t, c, withdrawn, "Deliver")
	withdraw(t, api, withdrawn)
	awaitClosed(t, api, withdrawn)
	terminated := begin("SLOW", "terminated", "processing")
	require.NoError(t, c.TerminateWorkflow(t.Context(), terminated.WorkflowID(), "", "by an operator"))

	finds := map[string][]string{
		"the same of the last day":                                     {"QUICK/failed", "OTHER/gone"},
		"the same of one endpoint":                                     {"QUICK/failed"},
		"still watching for over an hour":                              {"SLOW/old-watching"},
		"retrying now, or at a first attempt that takes long":          {"SLOW/delivering", "SLOW/paused"},
		"with a callback that waits since its endpoint is on hold":     {"HELD/held"},
		"by the HTTP status of the last attempt: `503`, `5xx`, `none`": {"QUICK/old-failed", "QUICK/failed"},
		"never arrived": {"QUICK/old-failed", "QUICK/failed", "BRIEF/expired", "OTHER/gone", "SLOW/superseded", "SLOW/terminated"},
		"runs that failed, also since redelivered":                           {"QUICK/old-failed", "QUICK/failed", "OTHER/gone"},
		"by outcome: `exhausted`, `gone`, `revoked`, `withdrawn`, `expired`": {"QUICK/old-failed", "QUICK/failed"},
		"by the last status of what did not end acknowledged":                {"QUICK/old-failed", "QUICK/failed"},
		"acknowledged, but an older callback was superseded before it was":   {"SLOW/superseded"},
		"acknowledged":              {"QUICK/q1", "SLOW/superseded"},
		"terminated by somebody":    {"SLOW/terminated"},
		"open":                      {"SLOW/old-watching", "SLOW/watching", "SLOW/delivering", "SLOW/paused", "HELD/held"},
		"paused by somebody":        {"SLOW/paused"},
		"all runs of one operation": {"QUICK/q1"},
		"endpoints that are failing now, where notices are configured": {"outage:QUICK"},
		"notices that nobody acknowledged":                             {"notice:" + gone.Deliveries[0].CallbackID + ":" + gone.RunID},
	}
	views := savedViews(t)
	require.Len(t, views, len(finds))
	for name, query := range views {
		require.Contains(t, finds, name)
		query = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z`).ReplaceAllString(query, cut.String())
		want := slices.Sorted(slices.Values(finds[name]))
		var found []string
		for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			if found = idsOf(t, c, query); slices.Equal(want, found) {
				break
			}
		}
		require.Equal(t, want, found, "%s: %s", name, query)
	}
	for want, q := range map[string]operation.ListQuery{
		"OTHER/gone":    {HTTPStatus: "410"},
		"QUICK/failed":  {HTTPStatus: "5xx", Since: cut},
		"HELD/held":     {Phase: operation.OnHold},
		"BRIEF/expired": {Status: "processing"},
	} {
		page, err := api.List(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, page.Operations, 1, "%+v", q)
		require.Equal(t, want, page.Operations[0].WorkflowID())
	}
}

// idsOf are the workflow ids that a query of visibility finds, sorted.
func idsOf(t *testing.T, c temporalClient, query string) []string {
	t.Helper()
	response, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: c.namespace, Query: query})
	require.NoError(t, err, query)
	var ids []string
	for _, execution := range response.GetExecutions() {
		ids = append(ids, execution.GetExecution().GetWorkflowId())
	}
	slices.Sort(ids)
	return ids
}
