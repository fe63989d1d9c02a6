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
	"golang.org/x/sync/semaphore"
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
	token     []byte
	// queue is where the worker's records wait for the server.
	queue *semaphore.Weighted

	// sending is held while a heartbeat is under way. It is a channel, since synctest's
	// clock stands still for a mutex.
	sending chan struct{}
	details any
	// sentAt is when the latest heartbeat reached the server, took how long that took.
	sentAt time.Time
	took   time.Duration

	// polls are those that a watch has made, the one in flight included.
	polls atomic.Int64

	// mu is held while the activity gives its slot back. stopped is closed, and cause
	// set, once it is to stop, unless it has yielded.
	mu      sync.Mutex
	stopped chan struct{}
	cause   error
	yielded bool
}

func (a *Activities) newRecorder(ctx context.Context) *recorder {
	return &recorder{
		heartbeat: a.Heartbeat, yieldTask: a.Yield, token: activity.GetInfo(ctx).TaskToken, queue: a.recordQueue(),
		sending: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// resume reads the record that an earlier run of the activity left, if any.
func resume(ctx context.Context, record any) error {
	if !activity.HasHeartbeatDetails(ctx) {
		return nil
	}
	if err := activity.GetHeartbeatDetails(ctx, record); err != nil {
		return badInput(fmt.Errorf("reading the record of an earlier run: %w", err))
	}
	return nil
}

func (r *recorder) lock() (unlock func()) {
	r.sending <- struct{}{}
	return func() { <-r.sending }
}

// recordsAtOnce is how many records of one worker are under way at a time: after a
// crash thousands of deliveries are resumed in the same moment.
const recordsAtOnce = 32

func (a *Activities) recordQueue() *semaphore.Weighted {
	a.queueOnce.Do(func() { a.queue = semaphore.NewWeighted(recordsAtOnce) })
	return a.queue
}

// AwaitRecordQueue waits until the records that wait now have been sent. A worker
// should take no activity before.
func (a *Activities) AwaitRecordQueue(ctx context.Context) error {
	queue := a.recordQueue()
	if err := queue.Acquire(ctx, 1); err != nil {
		return err
	}
	queue.Release(1)
	return nil
}

// recordWithin bounds one record: to less than any heartbeat timeout.
const recordWithin = 4 * time.Second

// record writes details to the server, or returns an error, such as why the activity is
// to stop. Then the record stays as it was: the server keeps the details of a heartbeat
// that it answers with a stop, so the ones before are sent again.
func (r *recorder) record(ctx context.Context, details any) error {
	defer r.lock()()
	if cause := r.stopCause(); cause != nil {
		return cause
	}
	before := r.details
	r.details = details
	err := r.send(ctx)
	if err != nil {
		r.details = before
		_ = r.send(ctx)
	}
	return err
}

// yield gives the slot back with a last record, and returns what the activity is to
// return: cause where the server did not take the call.
func (r *recorder) yield(ctx context.Context, details any, cause error) error {
	defer r.lock()()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return r.cause
	}
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	err := r.yieldTask(ctx, r.token, cause, details)
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
	begun := time.Now()
	defer func() { r.took = time.Since(begun) }()
	if err := r.queue.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.queue.Release(1)
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	err := r.heartbeat(ctx, r.token, r.details)
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
	timer := time.NewTimer(time.Until(due))
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
