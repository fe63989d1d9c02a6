package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/callback"
)

// pollTimeout bounds one poll inside a workflow task; the source's own time-out
// is shorter.
const pollTimeout = 2 * time.Minute

func (o *operation) query() callback.Query {
	return callback.Query{OperationID: o.in.Start.OperationID, Method: o.in.Start.Method, Reference: o.in.Start.Reference}
}

// pollOnce asks the source inside the workflow task at hand. A source that was
// slow lately holds it back, and the watch asks instead.
func (o *operation) pollOnce() {
	ctx := workflow.WithLocalActivityOptions(o.ctx, localOptions(pollTimeout))
	var result activities.PollResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Poll, activities.PollInput{Source: o.in.Source, Query: o.query()}).Get(ctx, &result)
	if err != nil {
		workflow.GetLogger(o.ctx).Warn("a poll inside a workflow task failed; the watch goes on", "error", err)
		return
	}
	o.lastPoll = callback.WatchProgress{BegunAt: result.BegunAt, EndedAt: result.EndedAt, NotBefore: result.NotBefore}
	if result.HeldBack == "" && !result.Free {
		o.ledger.CountPolls(1)
	}
	if result.Observation != nil {
		o.ledger.Record(*result.Observation)
	}
}

// look keeps the watch running as long as it is wanted, and no longer.
func (o *operation) look() {
	if !o.ledger.Watching() {
		o.stopWatch()
		return
	}
	if o.rewatch {
		o.rewatch = false
		o.stopWatch()
	}
	if o.pollNow {
		o.pollNow = false
		o.pollOnce()
		o.ring()
	}
	if o.ledger.Watching() && o.watch == nil {
		o.startWatch()
	}
}

func (o *operation) startWatch() {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(o.ctx, watchOptions(o.in)))
	progress := o.lastPoll
	progress.Polls, progress.Last, progress.Partial = o.ledger.Polls(), o.ledger.Last(), o.ledger.Told()
	known := ""
	if progress.Last != nil {
		known = progress.Last.Status
	}
	o.watchPolls = progress.Polls
	o.watch = &task{cancel: cancel, future: workflow.ExecuteActivity(ctx, acts.Watch, activities.WatchInput{
		Key: o.in.Start.Key(), Source: o.in.Source, Query: o.query(), Policy: o.in.Policy.Poll,
		AcceptedAt: callback.At(workflow.GetInfo(o.ctx).WorkflowStartTime), Known: known, Progress: progress,
	})}
}

// stopWatch ends a watch that nobody waits for. Its polls are read before: a
// watch that waits on the server takes its record with it.
func (o *operation) stopWatch() {
	if o.watch == nil {
		return
	}
	if !o.watch.ready() {
		if p := o.readPending().Watch; p != nil {
			o.ledger.CountPolls(p.Polls - o.watchPolls)
		}
	}
	o.watch.cancel()
	o.watch = nil
}

func (o *operation) gatherWatch() {
	var result activities.WatchResult
	err := o.watch.future.Get(o.ctx, &result)
	o.watch = nil
	if err != nil {
		// A lost watch begins anew where the run knows it was.
		workflow.GetLogger(o.ctx).Warn("a watch failed; another goes on", "error", err)
		return
	}
	o.lastPoll = result.Progress
	o.ledger.CountPolls(result.Progress.Polls - o.watchPolls)
	if result.Progress.Last != nil {
		o.ledger.Record(*result.Progress.Last)
	}
	if result.End != "" {
		o.ledger.EndWatch(result.End, o.now())
	}
}

// readPending reads what the run's activities recorded last, which a
// cancellation would lose. Without an answer the run goes on with what it knows.
func (o *operation) readPending() callback.Progress {
	ctx := workflow.WithLocalActivityOptions(o.ctx, localOptions(0))
	execution := workflow.GetInfo(o.ctx).WorkflowExecution
	var progress callback.Progress
	err := workflow.ExecuteLocalActivity(ctx, acts.ReadPending, execution.ID, execution.RunID).Get(ctx, &progress)
	if err != nil {
		workflow.GetLogger(o.ctx).Warn("the record of a pending activity could not be read", "error", err)
	}
	return progress
}
