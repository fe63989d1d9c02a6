package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/semaphore"
)

// Why a running activity is to stop waiting. An attempt in flight is never cut
// off by any of them.
var (
	// errUnwanted: the workflow cancelled the activity.
	errUnwanted = errors.New("no longer wanted")
	// errInterrupted: an operator paused or reset the activity.
	errInterrupted = errors.New("paused or reset by an operator")
	// errStopping: the worker is stopping.
	errStopping = errors.New("the worker is stopping")
	// errLost: the server no longer counts on this run of the activity, and
	// wants no answer.
	errLost = errors.New("the server gave the activity up")
)

// heart keeps a running activity's record on the server. Every record goes
// through it, synchronously and in order: the SDK's own heartbeats are
// throttled, and a late flush would overwrite a newer record.
type heart struct {
	beat  func(ctx context.Context, taskToken []byte, details ...any) error
	leave func(ctx context.Context, taskToken []byte, cause error, details any) error
	token []byte
	// line is where the worker's records and beats queue for the server.
	line *semaphore.Weighted

	// turn is held while a beat is on its way, and to change what follows it.
	turn    chan struct{}
	details any
	// beaten is when the server was last told something.
	beaten time.Time
	// broken is closed, and cause set, at the first beat that says stop.
	broken chan struct{}
	cause  error
}

func (a *Activities) newHeart(ctx context.Context) *heart {
	return &heart{
		beat: a.Heartbeat, leave: a.Yield, token: activity.GetInfo(ctx).TaskToken, line: a.line(),
		turn: make(chan struct{}, 1), broken: make(chan struct{}),
	}
}

func (h *heart) takeTurn() (yield func()) {
	h.turn <- struct{}{}
	return func() { <-h.turn }
}

// beatsAtOnce is how many records and beats of one worker are on their way at a
// time. After a crash thousands of deliveries are taken up in the same moment:
// what the server can't take within beatWithin would be given up, and sent again.
const beatsAtOnce = 32

func (a *Activities) line() *semaphore.Weighted {
	a.lineOnce.Do(func() { a.beats = semaphore.NewWeighted(beatsAtOnce) })
	return a.beats
}

// Room waits until all records have gone out that are in line now: a worker has
// no use for more work before.
func (a *Activities) Room(ctx context.Context) error {
	line := a.line()
	if err := line.Acquire(ctx, 1); err != nil {
		return err
	}
	line.Release(1)
	return nil
}

// beatWithin bounds one beat: to less than any heartbeat timeout, after which
// the server may have started the activity elsewhere.
const beatWithin = 4 * time.Second

// record keeps details on the server. Where it returns an error, such as why
// the activity is to stop, the record stands as it did: the server keeps what
// it is told also with an answer that says stop, so it is told what was before.
func (h *heart) record(ctx context.Context, details any) error {
	defer h.takeTurn()()
	if h.cause != nil {
		return h.cause
	}
	before := h.details
	h.details = details
	err := h.send(ctx)
	if err != nil {
		h.details = before
		_ = h.send(ctx)
	}
	return err
}

// yield gives the slot back with a last record. What it returns is for the
// activity to return: where the call was lost, the cause, and the record before
// stands.
func (h *heart) yield(ctx context.Context, details any, cause error) error {
	defer h.takeTurn()()
	if h.cause != nil {
		return h.cause
	}
	ctx, cancel := context.WithTimeout(ctx, beatWithin)
	defer cancel()
	err := h.leave(ctx, h.token, cause, details)
	switch stop := stopCause(err); {
	case err == nil:
		return activity.ErrResultPending
	case stop != nil:
		return stop
	}
	return cause
}

// note changes what the next beat records, without one.
func (h *heart) note(details any) {
	defer h.takeTurn()()
	h.details = details
}

// send beats also after an answer that said stop: an attempt in flight is let
// finish, and a server that hears nothing would give it up meanwhile.
func (h *heart) send(ctx context.Context) error {
	if err := h.line.Acquire(ctx, 1); err != nil {
		return err
	}
	defer h.line.Release(1)
	ctx, cancel := context.WithTimeout(ctx, beatWithin)
	defer cancel()
	err := h.beat(ctx, h.token, h.details)
	cause := stopCause(err)
	if err == nil || cause != nil {
		h.beaten = time.Now()
	}
	if cause == nil {
		return err
	}
	if h.cause == nil {
		h.cause = cause
		close(h.broken)
	}
	return cause
}

func stopCause(err error) error {
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

// isStop reports whether err is why the server wants the activity to stop.
func isStop(err error) bool {
	return errors.Is(err, errUnwanted) || errors.Is(err, errInterrupted) || errors.Is(err, errLost)
}

// keepBeating repeats the latest record where the server heard nothing for gap,
// until the returned func is called, and sooner after a beat that failed in
// passing.
func (h *heart) keepBeating(ctx context.Context, gap time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() {
		next := time.NewTimer(gap)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			next.Reset(h.repeatAfter(ctx, gap))
		}
	})
	return func() { cancel(); beating.Wait() }
}

// repeatAfter repeats the latest record if the server heard nothing for gap, and
// returns when to look again.
func (h *heart) repeatAfter(ctx context.Context, gap time.Duration) time.Duration {
	defer h.takeTurn()()
	if rest := gap - time.Since(h.beaten); rest > 0 {
		return rest
	}
	if err := h.send(ctx); err != nil && !isStop(err) {
		return min(gap, missedBeat)
	}
	return gap
}

// missedBeat is when a beat that failed is made again.
const missedBeat = 2 * time.Second

// repeat keeps the latest note on the server, if it can.
func (h *heart) repeat(ctx context.Context) {
	defer h.takeTurn()()
	_ = h.send(ctx)
}

// sleepUntil waits in the worker, or returns why the activity is to stop.
func (h *heart) sleepUntil(ctx context.Context, due time.Time) error {
	rest := time.Until(due)
	if rest <= 0 {
		return h.told(ctx)
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.broken:
	case <-activity.GetWorkerStopChannel(ctx):
	case <-ctx.Done():
	}
	return h.told(ctx)
}

// told is why the activity is to stop, if it is.
func (h *heart) told(ctx context.Context) error {
	select {
	case <-h.broken:
		return h.cause
	default:
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
func waitOnServer(kind, message string, due time.Time) error {
	// The zero time is as long ago as a duration can say: nothing is taken off it.
	delay := max(time.Until(due), wakesEarly+time.Millisecond) - wakesEarly
	return temporal.NewApplicationErrorWithOptions(message, kind, temporal.ApplicationErrorOptions{
		NextRetryDelay: delay,
		Category:       temporal.ApplicationErrorCategoryBenign,
	})
}
