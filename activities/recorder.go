package activities

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/semaphore"
)

// Why a running activity is to stop waiting. A question or an attempt in flight is
// never cut off by any of them.
var (
	// errUnwanted: the workflow interrupted or cancelled the activity.
	errUnwanted = errors.New("no longer wanted")
	// errInterrupted: an operator paused or reset the activity.
	errInterrupted = errors.New("paused or reset by an operator")
	// errStopping: the worker is stopping.
	errStopping = errors.New("the worker is stopping")
	// errLost: the server no longer counts on this run of the activity, and
	// wants no answer.
	errLost = errors.New("the server gave the activity up")
)

// recorder keeps a running activity's record on the server. Every record goes
// through it, synchronously and in order: the SDK's own heartbeats are
// throttled, and a late flush would overwrite a newer record.
type recorder struct {
	heartbeat func(ctx context.Context, taskToken []byte, details ...any) error
	yieldTask func(ctx context.Context, taskToken []byte, cause error, details any) error
	token     []byte
	// queue is where the worker's records wait for the server.
	queue *semaphore.Weighted

	// turn is held while a heartbeat is on its way, and to change what follows it.
	turn    chan struct{}
	details any
	// sentAt is when the server was last told something, and took how long that
	// lasted, in the queue included.
	sentAt time.Time
	took   time.Duration

	// polls are the questions that a watch has asked, this one's included.
	polls atomic.Int64

	// mu is held while the activity gives its slot back. stopped is closed, and cause
	// set, once the activity is to stop; left says that it has given its slot back, so
	// that it can't be told any more.
	mu      sync.Mutex
	stopped chan struct{}
	cause   error
	left    bool
}

func (a *Activities) newRecorder(ctx context.Context) *recorder {
	return &recorder{
		heartbeat: a.Heartbeat, yieldTask: a.Yield, token: activity.GetInfo(ctx).TaskToken, queue: a.recordQueue(),
		turn: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

func (r *recorder) takeTurn() (release func()) {
	r.turn <- struct{}{}
	return func() { <-r.turn }
}

// recordsAtOnce is how many records of one worker are on their way at a time.
// After a crash thousands of deliveries are taken up in the same moment: what the
// server can't take within recordWithin would be given up, and sent again.
const recordsAtOnce = 32

func (a *Activities) recordQueue() *semaphore.Weighted {
	a.queueOnce.Do(func() { a.queue = semaphore.NewWeighted(recordsAtOnce) })
	return a.queue
}

// AwaitRecordQueue waits until all records have gone out that wait now: a worker has no use
// for more work before.
func (a *Activities) AwaitRecordQueue(ctx context.Context) error {
	queue := a.recordQueue()
	if err := queue.Acquire(ctx, 1); err != nil {
		return err
	}
	queue.Release(1)
	return nil
}

// recordWithin bounds one record: to less than any heartbeat timeout, after which
// the server may have started the activity elsewhere.
const recordWithin = 4 * time.Second

// record keeps details on the server. Where it returns an error, such as why
// the activity is to stop, the record stands as it did: the server keeps what
// it is told also with an answer that says stop, so it is told what was before.
func (r *recorder) record(ctx context.Context, details any) error {
	defer r.takeTurn()()
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

// yield gives the slot back with a last record. What it returns is for the
// activity to return: where the call was lost, the cause, and the record before
// stands.
func (r *recorder) yield(ctx context.Context, details any, cause error) error {
	defer r.takeTurn()()
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
	r.left = true
	if err == nil {
		return activity.ErrResultPending
	}
	return cause
}

// lastTook is how long the latest record took to reach the server.
func (r *recorder) lastTook() time.Duration {
	defer r.takeTurn()()
	return r.took
}

// note changes what the next heartbeat records, without one.
func (r *recorder) note(details any) {
	defer r.takeTurn()()
	r.details = details
}

// send makes a heartbeat, also after one that was answered with stop: an attempt
// in flight is let finish, and a server that hears nothing would give it up
// meanwhile.
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

// stop makes the activity end after what it has in flight, and reports whether it
// will. The first cause counts.
func (r *recorder) stop(cause error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil && !r.left {
		r.cause = cause
		close(r.stopped)
	}
	return errors.Is(r.cause, errUnwanted)
}

// stopCause is why the activity is to stop by its workflow or the server, or nil.
func (r *recorder) stopCause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

func stopCauseOf(err error) error {
	var notFound *serviceerror.NotFound
	switch {
	case temporal.IsCanceledError(err):
		return errUnwanted
	case errors.Is(err, activity.ErrActivityPaused), errors.Is(err, activity.ErrActivityReset):
		return errInterrupted
	case errors.As(err, &notFound):
		return errLost
	}
	return nil
}

// isStop reports whether err is why the activity is to stop.
func isStop(err error) bool {
	return errors.Is(err, errUnwanted) || errors.Is(err, errInterrupted) || errors.Is(err, errLost)
}

// keepAlive repeats the latest record where the server heard nothing for gap,
// until the returned func is called, and sooner after a heartbeat that failed in
// passing.
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
			next.Reset(r.repeatAfter(ctx, gap))
		}
	})
	return func() { cancel(); running.Wait() }
}

// repeatAfter repeats the latest record if the server heard nothing for gap, and
// returns when to look again.
func (r *recorder) repeatAfter(ctx context.Context, gap time.Duration) time.Duration {
	defer r.takeTurn()()
	if rest := gap - time.Since(r.sentAt); rest > 0 {
		return rest
	}
	if err := r.send(ctx); err != nil && !isStop(err) {
		return min(gap, retryHeartbeat)
	}
	return gap
}

// retryHeartbeat is when a heartbeat that failed is made again.
const retryHeartbeat = 2 * time.Second

// repeat keeps the latest note on the server, if it can.
func (r *recorder) repeat(ctx context.Context) {
	defer r.takeTurn()()
	_ = r.send(ctx)
}

// sleepUntil waits in the worker, or returns why the activity is to stop.
func (r *recorder) sleepUntil(ctx context.Context, due time.Time) error {
	rest := time.Until(due)
	if rest <= 0 {
		return r.mustStop(ctx)
	}
	timer := time.NewTimer(rest)
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

const (
	// waitsInWorker is the longest wait that a running activity sits out; a
	// longer one gives the slot back (design section 3, Waits).
	waitsInWorker = 5 * time.Second
	// wakesEarly is how much before its time the server is asked to wake an
	// activity, which then waits out the rest: the server is late, never early.
	wakesEarly = 500 * time.Millisecond
)

// waitOnServer is the error with which an activity gives its slot back until due.
// details are its record, which reaches the workflow where that cancels the
// activity at the same moment; they must be small (4 KB).
func waitOnServer(kind, message string, due time.Time, details ...any) error {
	// The zero time is as long ago as a duration can say: nothing is taken off it.
	delay := max(time.Until(due), wakesEarly+time.Millisecond) - wakesEarly
	return temporal.NewApplicationErrorWithOptions(message, kind, temporal.ApplicationErrorOptions{
		NextRetryDelay: delay,
		Category:       temporal.ApplicationErrorCategoryBenign,
		Details:        details,
	})
}
