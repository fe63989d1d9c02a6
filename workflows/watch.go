package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/internal/operation"
	"ringback/internal/ui"
)

const (
	// pollTimeout bounds one poll inside a workflow task; the source's own is shorter.
	pollTimeout = 2 * time.Minute
	// repollLifetime is how long a redelivery waits for the answer to its one poll.
	repollLifetime = time.Minute
)

// watchRun is a Watch activity that was started.
type watchRun struct {
	*activityRun
	in activities.WatchInput
}

// pollFirst polls inside the workflow task where that is allowed. A redelivery polls once.
func (r *run) pollFirst(ctx workflow.Context) {
	switch {
	case r.repolling():
		r.repoll(ctx)
	case r.in.Redelivery == nil && r.in.Carried == nil && r.in.Policy.Poll.InitialDelayMS == 0 && r.op.Watching():
		r.pollInTask(ctx)
	}
}

// pollInTask polls inside the workflow task, unless the source was slow lately.
func (r *run) pollInTask(ctx workflow.Context) bool {
	record, begun := r.op.Watch(), r.now()
	_, began := r.currentTask()
	local := workflow.WithLocalActivityOptions(ctx, localOptions(pollTimeout))
	var result activities.PollResult
	err := workflow.ExecuteLocalActivity(local, acts.Poll, activities.PollInput{Source: r.in.Source, Query: r.query(), TaskBegan: began}).Get(local, &result)
	switch {
	case err != nil:
		workflow.GetLogger(ctx).Warn("the answer to a poll inside a workflow task was lost", "error", err)
		record.BeginPoll(begun)
		record.Interrupt()
	case result.HeldBack != "":
		return false
	default:
		record.BeginPoll(result.BegunAt)
		result.RecordIn(&record)
	}
	r.op.RecordWatch(record)
	return true
}

// localOptions are for one poll or attempt inside a workflow task. The SDK must not
// retry it: a killed worker would forget how often it was made.
func localOptions(timeout time.Duration) workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: timeout + time.Minute,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	}
}

func (r *run) query() operation.Query {
	return operation.Query{OperationID: r.in.Start.OperationID, Method: r.in.Start.Method, Reference: r.in.Start.Reference}
}

// startWatch starts the Watch activity. It counts and times its polls itself: its retry
// policy shows the gap in the Temporal UI.
func (r *run) startWatch(ctx workflow.Context, policy operation.PollPolicy, acceptedAt operation.Time) *watchRun {
	in, gap := r.watchInput(ctx, policy, acceptedAt), max(policy.Gap(1), time.Millisecond)
	return &watchRun{in: in, activityRun: start(ctx, ActivityWatch, in, workflow.ActivityOptions{
		StartToCloseTimeout: policy.Lifetime() + time.Hour,
		HeartbeatTimeout:    activities.WatchHeartbeatTimeout(policy),
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: gap, BackoffCoefficient: 1, MaximumInterval: gap},
		Priority:            temporal.Priority{PriorityKey: PriorityWatch, FairnessKey: in.Key.Endpoint},
		Summary:             ui.Summary("watch %s at %s (one run may make many polls)", in.Key.OperationID, in.Source),
	})}
}

// watchInput is the input of the Watch activity that starts in this workflow task.
func (r *run) watchInput(ctx workflow.Context, policy operation.PollPolicy, acceptedAt operation.Time) activities.WatchInput {
	record := r.op.Watch()
	record.PollNow = record.PollNow || r.pollNow
	r.pollNow, r.statusPushed = false, false
	r.watchBegunIn, r.nextPollAt = workflow.GetInfo(ctx).GetCurrentHistoryLength(), record.Due(policy, acceptedAt)
	return activities.WatchInput{
		Key: r.in.Start.Key(), Source: r.in.Source, Query: r.query(), Policy: policy,
		AcceptedAt: acceptedAt, Known: r.op.LastStatus(), Record: record,
	}
}

// awaitOutdated waits until the watch has ended, or is to be stopped. "Poll now" stops
// it after the poll in flight, unless it is about to poll anyway. It uses no timer,
// whose event could have the server refuse the workflow task that closes the run.
func (r *run) awaitOutdated(ctx workflow.Context, t *watchRun) {
	outdated := func() bool {
		return t.ready() || r.continuesAsNew() || !r.op.Watching() || r.statusPushed
	}
	for {
		r.await(ctx, func() bool { return outdated() || r.pollNow })
		unless := activities.InterruptInput{UnlessAboutToPoll: t.in.Record.PollNow || t.in.Record.Repeat, Polls: t.in.Record.Polls}
		if outdated() || t.stopUnless(ctx, unless) {
			return
		}
		r.pollNow = false
	}
}

// endWatch stops the Watch activity and records how far it came.
func (r *run) endWatch(ctx workflow.Context, t *watchRun) {
	t.stop(ctx)
	r.watchBegunIn = 0
	var result activities.WatchResult
	err := t.future.Get(ctx, &result)
	if err != nil {
		result.Record, result.Record.Run = t.in.Record, 0 // of this activity
		mergeRecorded(&result.Record, t.pending.Watch, err)
		if t.pending.WatchLost > result.Record.Run {
			r.losePoll(ctx, t, &result.Record)
		}
	}
	observed := r.op.RecordWatch(result.Record)
	switch {
	case err != nil && !wasCancelled(err):
		workflow.GetLogger(ctx).Warn("a Watch activity failed; another goes on", "error", err)
		_, _ = workflow.AwaitWithTimeout(ctx, lostActivityWait, r.continuesAsNew)
	case result.End != "" && observed != operation.ObservedStale && !r.repolling():
		r.op.EndWatch(result.End, r.now())
	}
}

// losePoll counts a poll for a watch that was lost, if one was due. 1.0.0 counted one always,
// and does so still where it began: "poll now" stops the next watch otherwise by it.
func (r *run) losePoll(ctx workflow.Context, t *watchRun, record *operation.WatchRecord) {
	if workflow.GetVersion(ctx, "count-lost-polls-that-were-due", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		record.BeginPoll(r.now())
		record.Interrupt()
		return
	}
	record.Lose(r.now(), t.in.Policy, t.in.AcceptedAt)
}

// awaitPushes waits for the statuses that a core pushes, until one is final or the
// lifetime is over.
func (r *run) awaitPushes(ctx workflow.Context) {
	left := r.in.AcceptedAt.Add(r.in.Policy.Poll.Lifetime()).Sub(r.now().Time)
	r.showDetails()
	decided, err := workflow.AwaitWithTimeout(ctx, left, func() bool { return !r.op.Watching() || r.continuesAsNew() })
	if err == nil && !decided {
		r.op.EndWatch(operation.ReasonLifetimeOver, r.now())
	}
}

// repolling reports whether a redelivery has still to make its one poll.
func (r *run) repolling() bool { return r.in.Redelivery != nil && r.in.Redelivery.Repoll }

// repoll polls once before it redelivers. A run that is to continue as new leaves that
// to the next.
func (r *run) repoll(ctx workflow.Context) {
	if !r.pollInTask(ctx) {
		polled := r.op.Watch()
		once := operation.PollPolicy{IntervalMS: operation.MinPollGap.Milliseconds(), MaxPolls: polled.CountedPolls() + 1, LifetimeMS: repollLifetime.Milliseconds()}
		t := r.startWatch(ctx, once, r.now())
		r.await(ctx, func() bool { return t.ready() || r.continuesAsNew() || !r.op.Watching() })
		r.endWatch(ctx, t)
	}
	if !r.continuesAsNew() {
		r.redeliver()
	}
}

// redeliver makes the previous run's last callback due, unless there is another status.
func (r *run) redeliver() {
	r.in.Redelivery = new(*r.in.Redelivery)
	r.in.Redelivery.Repoll = false
	r.op.Redeliver()
	if !r.in.Redelivery.Watch {
		r.op.StopWatch()
	}
}
