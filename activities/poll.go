package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/source"
)

// PollInput asks for one poll.
type PollInput struct {
	Source string          `json:"source"`
	Query  operation.Query `json:"query"`
}

// PollResult is one poll's answer. Without an observation, Error says why.
type PollResult struct {
	// HeldBack says that no poll was made, and why.
	HeldBack string `json:"held_back,omitempty"`
	// Free polls cost none of max_polls (401 and 403, promise 2).
	Free        bool                   `json:"free,omitempty"`
	Observation *operation.Observation `json:"observation,omitempty"`
	Error       string                 `json:"error,omitempty"`
	BegunAt     operation.Time         `json:"begun_at"`
	EndedAt     operation.Time         `json:"ended_at"`
	// NotBefore is when the core asked to be asked again.
	NotBefore operation.Time `json:"not_before,omitzero"`
}

// Poll asks a source once, inside a workflow task. It never fails: what went
// wrong is in the result. A source that was slow lately is left to Watch.
func (a *Activities) Poll(ctx context.Context, in PollInput) (PollResult, error) {
	src, ok := a.Source(in.Source)
	if !ok {
		return a.sourceMissing(in.Source), nil
	}
	// A run asks inside a workflow task once.
	result, err := a.polls.Do(taskKey(ctx, "poll", 1), func() (PollResult, error) {
		permit, _, err := a.sources.of(in.Source).acquire(in.Query.OperationID, (*bulkhead.Bulkhead).AcquireFirst)
		if err != nil {
			return PollResult{}, err
		}
		return a.ask(context.WithoutCancel(ctx), src, in, permit), nil
	})
	if err != nil {
		return PollResult{HeldBack: err.Error()}, nil //nolint:nilerr // what was held back is in the result
	}
	return result, nil
}

func (a *Activities) sourceMissing(name string) PollResult {
	a.Metrics.missing.WithLabelValues("source").Inc()
	a.Log.Error("a source is not in this program's configuration; its operations wait", zap.String("source", name))
	return PollResult{HeldBack: "the source " + name + " is not in this worker's configuration"}
}

func (a *Activities) ask(ctx context.Context, src Source, in PollInput, permit *pollPermit) PollResult {
	defer a.Metrics.underWay("source", in.Source)()
	begun := time.Now()
	observation, err := src.Poll(ctx, in.Query)
	ended := time.Now()
	// By the clock as it is at the end, also where it was set meanwhile.
	result := PollResult{BegunAt: operation.At(ended.Add(-ended.Sub(begun))), EndedAt: operation.At(ended)}
	permit.release(ended.Sub(begun), err)
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
	var failure *source.Error
	if errors.As(err, &failure) {
		kind = failure.Kind
		if failure.RetryAfter > 0 {
			result.NotBefore = result.EndedAt.Add(failure.RetryAfter)
		}
	}
	a.Metrics.polls.WithLabelValues(in.Source, string(kind)).Inc()
	if kind == source.Unauthorized {
		result.Free = true
		a.Log.Error("a core refuses our credentials; the operation rests, and the source where others are refused, too",
			zap.String("source", in.Source), zap.String("operation_id", in.Query.OperationID), zap.Error(err))
	}
}
