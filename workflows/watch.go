package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
)

const (
	// pollTimeout bounds one poll inside a workflow task; the source's own time-out
	// is shorter.
	pollTimeout = 2 * time.Minute
	// repollLifetime is how long a redelivery waits for the answer to its one poll.
	repollLifetime = time.Minute
)

// watch polls the source until the operation is final, or its watch is over: once
// inside the workflow task at hand, then by a Watch activity at a time.
func (r *run) watch(ctx workflow.Context) {
	defer func() { r.watchOver = true }()
	switch again := r.in.Redelivery; {
	case r.repolling() && !r.repoll(ctx):
		return
	case again == nil && r.in.Carried == nil && r.in.Policy.Poll.InitialDelayMS == 0 && r.ledger.Watching():
		r.pollInTask(ctx)
	}
	for r.ledger.Watching() && !r.leaving() {
		r.watchOnce(ctx, r.in.Policy.Poll, r.in.AcceptedAt, r.untilOutdated)
	}
}

// pollInTask asks the source inside the workflow task at hand and reports whether
// it was asked: one that was slow lately is left to a Watch activity.
func (r *run) pollInTask(ctx workflow.Context) bool {
	record, begun := r.ledger.Watch(), r.now()
	local := workflow.WithLocalActivityOptions(ctx, localOptions(pollTimeout))
	var result activities.PollResult
	err := workflow.ExecuteLocalActivity(local, acts.Poll, activities.PollInput{Source: r.in.Source, Query: r.query()}).Get(local, &result)
	switch {
	case err != nil:
		workflow.GetLogger(ctx).Warn("the answer to a poll inside a workflow task was lost", "error", err)
		record.BeginPoll(begun)
		record.Interrupt()
	case result.HeldBack != "":
		return false
	default:
		record.BeginPoll(result.BegunAt)
		record.EndPoll(result.BegunAt, result.EndedAt, result.Observation, !result.Free)
		record.NotBefore = result.NotBefore
	}
	r.ledger.TakeWatch(record)
	return true
}

func (r *run) query() operation.Query {
	return operation.Query{OperationID: r.in.Start.OperationID, Method: r.in.Start.Method, Reference: r.in.Start.Reference}
}

// watchOnce polls by one Watch activity until that ends, or until says that it is
// to end after the question in flight. It returns when it has ended: two are never
// pending.
func (r *run) watchOnce(ctx workflow.Context, policy operation.PollPolicy, acceptedAt operation.Time, until func(workflow.Context, *task, operation.WatchRecord)) {
	given := r.ledger.Watch()
	given.PollNow = given.PollNow || r.pollNow
	r.pollNow, r.statusPushed = false, false
	r.watchBegan = workflow.GetInfo(ctx).GetCurrentHistoryLength()
	t := begin(ctx, watchOptions(r.in), ActivityWatch, activities.WatchInput{
		Key: r.in.Start.Key(), Source: r.in.Source, Query: r.query(), Policy: policy,
		AcceptedAt: acceptedAt, Known: r.ledger.Known(), Record: given,
	})
	until(ctx, t, given)
	t.stop(ctx)
	r.watchBegan = 0
	r.takeWatch(ctx, t, given)
}

// untilOutdated waits until the watch has ended, or is not wanted as it is. "Poll
// now" ends it after the question in flight, unless it is about to ask anyway: so
// pushes, however many, never keep a question from being asked. It waits with no
// timer: one that fires in the workflow task that closes the run would have the
// server refuse that task, and the attempt made in it be made again.
func (r *run) untilOutdated(ctx workflow.Context, t *task, given operation.WatchRecord) {
	outdated := func() bool {
		return t.ready() || r.leaving() || !r.ledger.Watching() || r.statusPushed
	}
	for {
		r.await(ctx, func() bool { return outdated() || r.pollNow })
		unless := activities.InterruptInput{UnlessAboutToAsk: given.PollNow || given.Repeat, Polls: given.Polls}
		if outdated() || t.stopUnless(ctx, unless) {
			return
		}
		r.pollNow = false
	}
}

// takeWatch takes over how far a Watch activity came.
func (r *run) takeWatch(ctx workflow.Context, t *task, given operation.WatchRecord) {
	var result activities.WatchResult
	err := t.future.Get(ctx, &result)
	if err != nil {
		result.Record = newestWatch(given, t.pending.Watch, recordIn[operation.WatchRecord](err))
	}
	observed := r.ledger.TakeWatch(result.Record)
	switch {
	case err != nil && !wasCancelled(err):
		workflow.GetLogger(ctx).Warn("a watch failed; another goes on", "error", err)
		_, _ = workflow.AwaitWithTimeout(ctx, lostActivityWait, r.leaving)
	case result.End != "" && observed != operation.ObservedStale && !r.repolling():
		r.ledger.EndWatch(result.End, r.now())
	}
}

// repolling reports whether a redelivery's one question is not decided: its end is
// not that of the operation's watch.
func (r *run) repolling() bool { return r.in.Redelivery != nil && r.in.Redelivery.Repoll }

func newestWatch(newest operation.WatchRecord, others ...*operation.WatchRecord) operation.WatchRecord {
	for _, other := range others {
		if other != nil && other.Polls >= newest.Polls {
			newest = *other
		}
	}
	return newest
}

// repoll asks the source once before the previous run's callback is delivered
// again, and reports whether that was decided: not, where the run is leaving.
func (r *run) repoll(ctx workflow.Context) bool {
	if !r.pollInTask(ctx) {
		once := operation.PollPolicy{IntervalMS: operation.MinPollGap.Milliseconds(), MaxPolls: r.ledger.Counted() + 1, LifetimeMS: repollLifetime.Milliseconds()}
		r.watchOnce(ctx, once, r.now(), func(ctx workflow.Context, t *task, _ operation.WatchRecord) {
			r.await(ctx, func() bool { return t.ready() || r.leaving() || !r.ledger.Watching() })
		})
	}
	if r.leaving() {
		return false
	}
	r.redeliver()
	return true
}

// redeliver owes the previous run's last callback, unless the source said another
// status.
func (r *run) redeliver() {
	r.in.Redelivery = new(*r.in.Redelivery)
	r.in.Redelivery.Repoll = false
	r.ledger.Redeliver()
	if !r.in.Redelivery.Watch {
		r.ledger.StopWatch()
	}
}
