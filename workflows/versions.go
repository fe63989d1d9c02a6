package workflows

import "go.temporal.io/sdk/workflow"

// Changes of what a run commands, each behind a predicate that says what it is.
// A run whose history is older answers false for good, so that it replays.
const (
	changeTellsMore    = "tells-more"
	changeHearsInOrder = "hears-in-order"
	changeHearsFirst   = "hears-first"
	changeHearsSignals = "hears-signals"
)

// tellsMore reports whether the run writes the search attributes
// AttributeUndelivered and AttributePhase, and gives notices.
//
// It is asked off the happy path alone: the first answer is two events.
func (o *operation) tellsMore() bool {
	return workflow.GetVersion(o.ctx, changeTellsMore, workflow.DefaultVersion, 1) == 1
}

// hearsInOrder reports whether what is heard later counts as newer, also where
// the clock that dates it is behind: the worker's dates polls, the server's
// pushes. It is asked only where they disagree.
func (o *operation) hearsInOrder() bool {
	return workflow.GetVersion(o.ctx, changeHearsInOrder, workflow.DefaultVersion, 1) == 1
}

// hearsFirst reports whether what was said before the run's first workflow task
// was worked on is heard before the first poll, which sees what came later. It is
// asked only where something was said: no worker was there, or the task was lost.
func (o *operation) hearsFirst() bool {
	return workflow.GetVersion(o.ctx, changeHearsFirst, workflow.DefaultVersion, 1) == 1
}

// hearsSignals reports whether an Update hears what was said by Signal before it:
// the SDK lets the handlers of Updates go first in a workflow task. It is asked
// only where a Signal waits.
func (o *operation) hearsSignals() bool {
	return workflow.GetVersion(o.ctx, changeHearsSignals, workflow.DefaultVersion, 1) == 1
}
