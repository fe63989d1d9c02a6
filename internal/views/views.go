// Package views has the queries by which operators find runs in the Temporal UI, and
// the links to them.
package views

import (
	"fmt"
	"net/url"
	"time"
)

// View is a query of Temporal's visibility.
type View struct {
	// Name is that of its flag of starter open.
	Name string
	// Finds says which runs, Query finds them.
	Finds, Query string
}

const (
	operations  = `WorkflowType="Operation"`
	watchedLong = time.Hour
)

// All are the views at that time, of one endpoint or, where that is empty, of all. The
// queries' language has no "now".
func All(endpoint string, now time.Time) []View {
	of := operations
	if endpoint != "" {
		of = fmt.Sprintf("RingbackEndpoint=%q AND %s", endpoint, operations)
	}
	begun := now.Add(-watchedLong).UTC().Format(time.RFC3339)
	return []View{
		{"failed", "runs that failed, also since redelivered", of + ` AND ExecutionStatus="Failed"`},
		{"retrying", "retrying now, or at a first attempt that takes long", of + ` AND ExecutionStatus="Running" AND RingbackPhase="delivering"`},
		{"on-hold", "with a callback that waits since its endpoint is on hold", of + ` AND ExecutionStatus="Running" AND RingbackPhase="on_hold"`},
		{"watching", "still watching for over an hour", of + ` AND ExecutionStatus="Running" AND StartTime < "` + begun +
			`" AND (RingbackPhase IS NULL OR RingbackPhase="watching")`},
	}
}

// Link is where the Temporal UI shows what a query finds; list is the address of its
// list of runs.
func Link(list, query string) string { return list + "?query=" + url.QueryEscape(query) }
