package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// PollInput asks for one poll.
type PollInput struct {
	Source string          `json:"source"`
	Query  operation.Query `json:"query"`
	// TaskBegan is when the server began the workflow task that polls.
	TaskBegan operation.Time `json:"task_began"`
}

// PollResult is one poll's answer. Without an observation, Error says why.
type PollResult struct {
	// HeldBack says that no poll was made, and why.
	HeldBack string `json:"held_back,omitempty"`
	// Uncounted polls cost none of max_polls (401 and 403, promise 2).
	Uncounted   bool                   `json:"free,omitempty"`
	Observation *operation.Observation `json:"observation,omitempty"`
	Error       string                 `json:"error,omitempty"`
	BegunAt     operation.Time         `json:"begun_at"`
	EndedAt     operation.Time         `json:"ended_at"`
	// NotBefore is the core's Retry-After.
	NotBefore operation.Time `json:"not_before,omitzero"`
}

// RecordIn records the end of the poll in flight.
func (p PollResult) RecordIn(r *operation.WatchRecord) {
	r.EndPoll(p.BegunAt, p.EndedAt, p.Observation, !p.Uncounted)
	r.NotBefore, r.Failure = p.NotBefore, p.Error
}

// Poll polls a source once inside a workflow task, if that began just now, unless the source
// was slow lately. It never fails.
func (a *Activities) Poll(ctx context.Context, in PollInput) (PollResult, error) {
	src, ok := a.Source(in.Source)
	if !ok {
		return a.sourceMissing(in.Source), nil
	}
	// A run polls inside a workflow task once.
	result, err := a.polls.do(taskKey(ctx, "poll", 1), func() (PollResult, error) {
		if err := checkTask(in.TaskBegan); err != nil {
			return PollResult{}, err
		}
		permit, _, err := a.sourceLimiter(in.Source).acquire(in.Query.OperationID, bulkhead.WorkflowTaskProbe)
		if err != nil {
			return PollResult{}, err
		}
		return a.poll(context.WithoutCancel(ctx), src, in, 0, permit), nil
	})
	if err != nil {
		return PollResult{HeldBack: err.Error()}, nil //nolint:nilerr // why it was held back is in the result
	}
	return result, nil
}

func (a *Activities) sourceMissing(name string) PollResult {
	a.Metrics.missing.WithLabelValues("source").Inc()
	a.Log.Error("a source is not in this program's configuration; its operations wait", zap.String("source", name))
	return PollResult{HeldBack: "the source " + name + " is not in this worker's configuration"}
}

// poll polls src once, counts and logs it, and gives the permit back. number
// is the poll's among those of the operation, 0 where only the workflow knows it.
func (a *Activities) poll(ctx context.Context, src Source, in PollInput, number int, permit *pollPermit) PollResult {
	defer a.Metrics.inFlightUntilDone("source", in.Source)()
	begun := time.Now()
	permit.slot.Begin()
	observation, err := src.Poll(ctx, in.Query)
	ended := time.Now()
	// By the clock as it is at the end, also where it was set meanwhile.
	result := PollResult{BegunAt: operation.At(ended.Add(-ended.Sub(begun))), EndedAt: operation.At(ended)}
	permit.release(ended.Sub(begun), err)
	a.Log.Debug("poll", zap.String("source", in.Source), workflowID(ctx), zap.Int("number", number),
		zap.String("status", observation.Status), zap.Any("raw", observation.Raw), zap.Error(err), runID(ctx))
	if err != nil {
		a.pollFailed(in, err, &result)
		return result
	}
	observation.BegunAt, observation.ObservedAt = result.BegunAt, result.EndedAt
	result.Observation = &observation
	a.Metrics.polls.WithLabelValues(in.Source, "answered").Inc()
	if observation.Status != "" && !slices.Contains(src.Vocabulary, observation.Status) {
		a.Metrics.unknownStatus.WithLabelValues(in.Source).Inc()
	}
	return result
}

func (a *Activities) pollFailed(in PollInput, err error, result *PollResult) {
	result.Error = err.Error()
	kind := source.Unavailable
	if failure, ok := errors.AsType[*source.Error](err); ok {
		kind = failure.Kind
		if failure.RetryAfter > 0 {
			result.NotBefore = result.EndedAt.Add(failure.RetryAfter)
		}
	}
	a.Metrics.polls.WithLabelValues(in.Source, string(kind)).Inc()
	if kind == source.Unauthorized {
		result.Uncounted = true
		a.Log.Error("a core refuses our credentials; the operation rests, and the source where others are refused, too",
			zap.String("source", in.Source), zap.String("operation_id", in.Query.OperationID), zap.Error(err))
	}
}

var (
	// errRefused: the core refused our credentials for this operation, or for others.
	errRefused = errors.New("the core refused our credentials lately")
	// errNotMade: the poll or attempt was not made after all.
	errNotMade = errors.New("not made")
)

// sourceLimiter bounds the polls in flight at one source, with a breaker against
// refused credentials.
type sourceLimiter struct {
	bulkhead *bulkhead.Bulkhead
	refusals source.Refusals
}

// pollPermit lets one poll be made. It is given back once.
type pollPermit struct {
	slot        *bulkhead.Slot
	refusals    *source.Refusals
	operationID string
}

// release ends a poll that took that long and ended with err, errNotMade if it was not made.
func (p *pollPermit) release(took time.Duration, err error) {
	if errors.Is(err, errNotMade) {
		p.slot.Cancel()
	} else {
		p.slot.Release(took)
	}
	p.refusals.Answered(p.operationID, err, time.Now())
}

// acquire allows one poll of an operation, or says why it is held back and for how long.
func (l *sourceLimiter) acquire(operationID string, from bulkhead.From) (permit *pollPermit, wait time.Duration, err error) {
	slot, err := l.bulkhead.Acquire(from)
	if err != nil {
		return nil, 0, err
	}
	if wait, ok := l.refusals.Allow(operationID, time.Now()); !ok {
		slot.Cancel()
		return nil, wait, errRefused
	}
	return &pollPermit{slot, &l.refusals, operationID}, 0, nil
}

func (l *sourceLimiter) state() receiver.State {
	state := receiver.State{Limit: l.bulkhead.Limit()}
	if l.refusals.Open() {
		state.Open = 1
	}
	return state
}

func (a *Activities) sourceLimiter(name string) *sourceLimiter {
	limiter, _ := a.sources.LoadOrStore(name, &sourceLimiter{bulkhead: bulkhead.New(0)})
	return limiter.(*sourceLimiter)
}
