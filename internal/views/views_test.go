package views_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/views"
	"ringback/workflows"
)

// TestTheViewsAreTheDocuments: an end-to-end test runs the document's queries on a server.
func TestTheViewsAreTheDocuments(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/operations/ui.md")
	require.NoError(t, err)
	all := views.All("", time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC))
	require.Len(t, all, 4)
	for _, view := range all {
		require.Contains(t, string(content), "| "+view.Finds+" | `"+view.Query+"` |")
		require.Contains(t, string(content), views.Link("http://127.0.0.1:8233/namespaces/default/workflows", view.Query))
	}
}

func TestAViewOfOneEndpointHasTheAttributesOfRuns(t *testing.T) {
	t.Parallel()
	for _, view := range views.All("SHOP", time.Now()) {
		require.True(t, strings.HasPrefix(view.Query, workflows.AttributeEndpoint.GetName()+`="SHOP" AND WorkflowType="`+workflows.OperationType+`" AND ExecutionStatus=`), view.Query)
		if view.Name != "failed" {
			require.Contains(t, view.Query, workflows.AttributePhase.GetName())
		}
	}
}
