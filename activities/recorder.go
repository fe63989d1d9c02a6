package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/internal/operation"
	"ringback/internal/overload"
)

// Why a running activity stops waiting. None cuts off a poll or an attempt in flight.
var (
	// errEndedByWorkflow: the workflow interrupted or cancelled the activity.
	errEndedByWorkflow = errors.New("no longer wanted")
	// errPausedOrReset: an operator paused or reset the activity.
	errPausedOrReset = errors.New("paused or reset by an operator")
	// errStopping: the worker is stopping.
	errStopping = errors.New("the worker is stopping")
	// errLost: the server gave up this run of the activity.
	errLost = errors.New("the server gave the activity up")
)

// recorder keeps a running activity's record on the server, synchronously and in order:
// the SDK's own heartbeats are throttled, and a late one would overwrite a newer
// record.
type recorder struct {
	heartbeat func(ctx context.Context, taskToken []byte, details ...any) error
	yieldTask func(ctx context.Context, taskToken []byte, cause error, details any) error
	info      activity.Info
	pace      *overload.Pace
	work      overload.Work

	// sending is held while a heartbeat is under way. It is a channel, since synctest's
	// clock stands still for a mutex.
	sending chan struct{}
	details any
	// startRecords is until when the server's start of this run records one poll or
	// attempt; zero: it does not, or a heartbeat was sent since.
	startRecords time.Time
	// sentAt is when the latest heartbeat reached the server, took how long that took.
	sentAt time.Time
	took   time.Duration

	// polls are those that a watch has made, the one in flight included.
	polls atomic.Int64
	// recorded says that this run has sent a record, which the server may have kept.
	recorded atomic.Bool

	// mu is held while the activity gives its slot back. stopped is closed, and cause
	// set, once it is to stop, unless it has yielded.
	mu      sync.Mutex
	stopped chan struct{}
	cause   error
	yielded bool
}

func (a *Activities) newRecorder(ctx context.Context, w overload.Work) *recorder {
	return &recorder{
		heartbeat: a.Heartbeat, yieldTask: a.Yield, info: activity.GetInfo(ctx), pace: a.Pace, work: w,
		sending: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// startedLately is how long ago, by this worker's clock, the server may have started a
// run that its start records a poll or attempt of, or a workflow task that makes one: well
// within the time-outs after which another worker has it.
const startedLately = time.Second

// readRecord reads the record that an earlier run of the activity left, if any.
func readRecord[T any](ctx context.Context, record *T) error {
	if !activity.HasHeartbeatDetails(ctx) {
		return nil
	}
	var recorded T // what it leaves out is zero, not what the input had
	if err := activity.GetHeartbeatDetails(ctx, &recorded); err != nil {
		return badInput(fmt.Errorf("reading the record of an earlier run: %w", err))
	}
	*record = recorded
	return nil
}

// resume reads the record that the activity's earlier runs left, if any, and its Run. It
// reports whether a run since then was lost: one that left no record counts as having
// made one poll or attempt, since the server's start of it was record enough for that,
// for the next recordsFor. A run knows too little of the others after an operator's reset.
func resume[T any](ctx context.Context, r *recorder, record *T, run *int, recordsFor time.Duration) (lost bool, err error) {
	info, recorded := activity.GetInfo(ctx), activity.HasHeartbeatDetails(ctx)
	*run = 0
	if err := readRecord(ctx, record); err != nil {
		return false, err
	}
	before := int(info.Attempt) - 1
	lost = operation.RunLost(before, *run, recorded)
	follows := before == *run && recorded == (before > 0)
	if follows && time.Since(info.StartedTime).Abs() < startedLately {
		r.startRecords = time.Now().Add(recordsFor)
	}
	*run = int(info.Attempt)
	return lost, nil
}

func (r *recorder) lock() (unlock func()) {
	r.sending <- struct{}{}
	return func() { <-r.sending }
}

// recordWithin bounds one record: to less than any heartbeat timeout.
const recordWithin = 4 * time.Second

// record writes details to the server before a poll or attempt, unless the start of this
// run records it, or returns an error, such as why the activity is to stop. Then the
// record stays as it was: the server keeps the details of a heartbeat that it answers
// with a stop, so the ones before are sent again.
func (r *recorder) record(ctx context.Context, details any) error {
	defer r.lock()()
	if cause := r.stopCause(); cause != nil {
		return cause
	}
	before := r.details
	r.details = details
	if r.startIsRecord() {
		return nil
	}
	err := r.send(ctx)
	if err != nil {
		r.details = before
		_ = r.send(ctx)
	}
	return err
}

// startIsRecord reports, once, whether the server's start of this run records the poll
// or attempt that begins now. Both clocks must say so: one stands still while a machine
// is suspended, and the other may be set.
func (r *recorder) startIsRecord() bool {
	until := r.startRecords
	r.startRecords = time.Time{}
	now := time.Now()
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

// yield gives the slot back with a last record, and returns what the activity is to
// return: cause where the server did not take the call.
func (r *recorder) yield(ctx context.Context, details any, cause error) error {
	defer r.lock()()
	release, err := r.pace.Acquire(ctx, r.work)
	if err != nil {
		return cause
	}
	defer release()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return r.cause
	}
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	err = r.yieldTask(ctx, r.info.TaskToken, cause, details)
	if stop := stopCauseOf(err); stop != nil {
		return stop
	}
	r.yielded = true
	if err == nil {
		return activity.ErrResultPending
	}
	return cause
}

// lastTook is how long the latest record took to reach the server.
func (r *recorder) lastTook() time.Duration {
	defer r.lock()()
	return r.took
}

// note sets what the next heartbeat records, without sending one.
func (r *recorder) note(details any) {
	defer r.lock()()
	r.details = details
}

// send sends a heartbeat, also after a stop: an attempt in flight may finish.
func (r *recorder) send(ctx context.Context) error {
	r.startRecords = time.Time{} // the server may keep it although the answer is lost
	r.recorded.Store(true)
	begun := time.Now()
	defer func() { r.took = time.Since(begun) }()
	release, err := r.pace.Acquire(ctx, r.work)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	err = r.heartbeat(ctx, r.info.TaskToken, r.details)
	cause := stopCauseOf(err)
	if err == nil || cause != nil {
		r.sentAt = time.Now()
	}
	if cause == nil {
		return err
	}
	r.stop(cause)
	return cause
}

// unrecorded says whether only the start of this run records the poll or attempt that it
// may be making.
func (r *recorder) unrecorded() (p operation.Pending) {
	switch {
	case r.recorded.Load():
	case r.work == overload.Poll:
		p.WatchLost = int(r.info.Attempt)
	default:
		p.DeliveryLost, p.AttemptBy = int(r.info.Attempt), AttemptBy(operation.At(r.info.StartedTime))
	}
	return p
}

// stop ends the activity after what it has in flight, and reports whether that is for
// its workflow. The first cause counts.
func (r *recorder) stop(cause error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil && !r.yielded {
		r.cause = cause
		close(r.stopped)
	}
	return errors.Is(r.cause, errEndedByWorkflow)
}

// stopCause is why the workflow or the server stops the activity, or nil.
func (r *recorder) stopCause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

func stopCauseOf(err error) error {
	var notFound *serviceerror.NotFound
	switch {
	case temporal.IsCanceledError(err):
		return errEndedByWorkflow
	case errors.Is(err, activity.ErrActivityPaused), errors.Is(err, activity.ErrActivityReset):
		return errPausedOrReset
	case errors.As(err, &notFound):
		return errLost
	}
	return nil
}

// isStop reports whether err is why the activity is to stop.
func isStop(err error) bool {
	return errors.Is(err, errEndedByWorkflow) || errors.Is(err, errPausedOrReset) || errors.Is(err, errLost)
}

// keepAlive repeats the latest record every gap, and sooner after a failure, until stop
// is called.
func (r *recorder) keepAlive(ctx context.Context, gap time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		next := time.NewTimer(gap)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			next.Reset(r.repeatIfDue(ctx, gap))
		}
	})
	return func() { cancel(); running.Wait() }
}

// repeatIfDue repeats the latest record if none was sent for gap, and returns when the
// next is due.
func (r *recorder) repeatIfDue(ctx context.Context, gap time.Duration) time.Duration {
	defer r.lock()()
	if rest := gap - time.Since(r.sentAt); rest > 0 {
		return rest
	}
	if err := r.send(ctx); err != nil && !isStop(err) {
		return min(gap, retryHeartbeat)
	}
	return gap
}

// retryHeartbeat is how soon a heartbeat that failed is sent again.
const retryHeartbeat = 2 * time.Second

// repeat sends the latest record once more; one that fails is lost.
func (r *recorder) repeat(ctx context.Context) {
	defer r.lock()()
	_ = r.send(ctx)
}

// sleepUntil waits in the worker, or returns why the activity is to stop.
func (r *recorder) sleepUntil(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		return r.mustStop(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stopped:
	case <-activity.GetWorkerStopChannel(ctx):
	case <-ctx.Done():
	}
	return r.mustStop(ctx)
}

// mustStop is why the activity is to stop, if it is.
func (r *recorder) mustStop(ctx context.Context) error {
	if cause := r.stopCause(); cause != nil {
		return cause
	}
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return errStopping
	case <-ctx.Done():
		return errStopping
	default:
		return nil
	}
}
