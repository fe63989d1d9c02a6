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

// askingTime is how long a redelivery waits for the answer to its repoll, in ms.
const askingTime = 60_000

func (o *operation) query() callback.Query {
	return callback.Query{OperationID: o.in.Start.OperationID, Method: o.in.Start.Method, Reference: o.in.Start.Reference}
}

// pollOnce asks the source inside the workflow task at hand and reports whether
// it was asked: one that was slow lately is left to the watch.
func (o *operation) pollOnce() bool {
	ctx := workflow.WithLocalActivityOptions(o.ctx, localOptions(pollTimeout))
	before := o.ledger.Last()
	var result activities.PollResult
	err := workflow.ExecuteLocalActivity(ctx, acts.Poll, activities.PollInput{Source: o.in.Source, Query: o.query()}).Get(ctx, &result)
	if err != nil {
		workflow.GetLogger(o.ctx).Warn("a poll inside a workflow task failed; the watch goes on", "error", err)
		return false
	}
	if result.HeldBack != "" {
		return false
	}
	o.lastPoll = callback.WatchProgress{BegunAt: result.BegunAt, EndedAt: result.EndedAt, NotBefore: result.NotBefore}
	if !result.Free {
		o.ledger.CountPolls(1)
	}
	if result.Observation != nil {
		o.ledger.Record(o.following(*result.Observation, before))
	}
	return true
}

// following is what was observed after before was known. The clocks that dated
// the two may disagree.
func (o *operation) following(observed callback.Observation, before *callback.Observation) callback.Observation {
	if before == nil || !observed.BegunAt.Before(before.ObservedAt) || !o.hearsInOrder() {
		return observed
	}
	return observed.Following(before)
}

// lookAgain stops a watch that is over or that what was said made outdated. One
// that is to poll now gives way to another, which polls at once.
func (o *operation) lookAgain() {
	if !o.rewatch && !o.pollNow && o.ledger.Watching() {
		return
	}
	o.stopWatch()
	if o.pollNow {
		o.lastPoll, o.early = callback.WatchProgress{}, true
	}
	o.rewatch, o.pollNow = false, false
}

// look keeps a watch running as long as it is wanted.
func (o *operation) look() {
	if o.watch == nil && o.ledger.Watching() {
		o.startWatch()
	}
}

func (o *operation) startWatch() {
	ctx, cancel := workflow.WithCancel(workflow.WithActivityOptions(o.ctx, watchOptions(o.in)))
	progress := o.lastPoll
	progress.Polls, progress.Last, progress.Partial = o.ledger.Polls(), o.ledger.Last(), o.ledger.Told()
	o.watchPolls = progress.Polls
	acceptedAt := callback.At(workflow.GetInfo(o.ctx).WorkflowStartTime)
	policy := o.in.Policy.Poll
	if o.early || o.asking {
		policy.InitialDelayMS = 0
	}
	if o.asking {
		policy.MaxPolls = progress.Polls + 1
		policy.LifetimeMS = o.now().Sub(acceptedAt.Time).Milliseconds() + askingTime
	}
	o.watch = &task{cancel: cancel, future: workflow.ExecuteActivity(ctx, acts.Watch, activities.WatchInput{
		Key: o.in.Start.Key(), Source: o.in.Source, Query: o.query(), Policy: policy,
		AcceptedAt: acceptedAt, Known: o.ledger.Known(), Progress: progress,
	})}
}

// watched reports whether a watch is on its way, or was told to end and has not.
func (o *operation) watched() bool {
	return o.watch != nil || (o.leaving != nil && !o.leaving.ready())
}

// stopWatch ends a watch that nobody waits for. What it recorded is read
// before: a watch that waits on the server takes its record with it.
func (o *operation) stopWatch() {
	if o.watch == nil {
		return
	}
	var pending *callback.WatchProgress
	if !o.watch.ready() {
		pending = o.readPending().Watch
	}
	if o.watch.ready() {
		o.gatherWatch()
		return
	}
	o.watch.cancel()
	o.leaving, o.watch = o.watch, nil
	if pending != nil {
		o.takeProgress(*pending)
	}
	if o.asking {
		o.ringAgain()
	}
}

func (o *operation) gatherWatch() {
	var result activities.WatchResult
	err := o.watch.future.Get(o.ctx, &result)
	o.watch = nil
	if err != nil {
		// A lost watch begins anew where the run knows it was.
		workflow.GetLogger(o.ctx).Warn("a watch failed; another goes on", "error", err)
	} else {
		o.takeProgress(result.Progress)
	}
	switch {
	case o.asking:
		o.ringAgain()
	case result.End != "":
		o.ledger.EndWatch(result.End, o.now())
	}
}

// takeProgress takes how far a watch came.
func (o *operation) takeProgress(p callback.WatchProgress) {
	o.lastPoll = p
	o.ledger.CountPolls(p.Polls - o.watchPolls)
	if p.Last != nil {
		o.ledger.Record(*p.Last)
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
