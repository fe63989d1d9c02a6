package activities

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.uber.org/zap"

	"ringback/internal/dialect"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

// AttemptInput asks for one attempt.
type AttemptInput struct {
	Callback operation.Callback `json:"callback"`
	// URL is the one that the operation's start brought; empty: the endpoint's.
	URL       string `json:"url,omitempty"`
	TimeoutMS int64  `json:"timeout_ms"`
	// Number is the attempt's, counted from 1 over the callback's life.
	Number int `json:"number"`
}

func (in AttemptInput) request() receiver.Request {
	return receiver.Request{
		Callback: in.Callback, URL: in.URL, Number: in.Number,
		Timeout: time.Duration(in.TimeoutMS) * time.Millisecond,
	}
}

// AttemptResult is one attempt, or why none was made.
type AttemptResult struct {
	// HeldBack says that no attempt was made, and why.
	HeldBack string            `json:"held_back,omitempty"`
	Attempt  operation.Attempt `json:"attempt,omitzero"`
	// Ended is operation.DeliveryGone where the delivery is over without an
	// acknowledgement; Reason says why.
	Ended  operation.DeliveryOutcome `json:"ended,omitempty"`
	Reason string                    `json:"reason,omitempty"`
	// NotBefore is the receiver's Retry-After, where it is honoured.
	NotBefore operation.Time `json:"not_before,omitzero"`
}

// Attempt makes one attempt inside a workflow task, if the receiver answered
// fast lately. It never fails: what went wrong is in the result. Losing the
// workflow task, or the worker that remembers the attempt, may repeat it
// (promise 5's exception).
func (a *Activities) Attempt(ctx context.Context, in AttemptInput) (AttemptResult, error) {
	endpoint, missing := a.endpointFor(in.Callback.Key.Endpoint, in.Callback.Dialect, in.URL)
	if missing != "" {
		return AttemptResult{HeldBack: missing}, nil
	}
	r, err := a.attempts.Do(taskKey(ctx, in.Callback.ID, in.Number), func() (receiver.Result, error) {
		permit, err := a.receivers.AcquireLocal(endpoint, in.URL)
		if err != nil {
			return receiver.Result{}, err
		}
		return a.send(context.WithoutCancel(ctx), endpoint, in, permit), nil
	})
	if err != nil {
		return AttemptResult{HeldBack: err.Error()}, nil //nolint:nilerr // what was held back is in the result
	}
	return AttemptResult{Attempt: r.Attempt, Ended: r.Ended, Reason: r.Reason, NotBefore: r.NotBefore}, nil
}

// taskKey is that of a call made inside a workflow task, for as long as this worker
// remembers it: the server refuses a task that closes the run while a Signal comes
// in, and hands it out again. If another worker takes it, the call is repeated.
func taskKey(ctx context.Context, what string, number int) string {
	if !activity.IsActivity(ctx) {
		return rand.Text()
	}
	return fmt.Sprintf("%s/%s/%d", activity.GetInfo(ctx).WorkflowExecution.RunID, what, number)
}

// endpointFor is the endpoint of an operation that was started with this dialect
// and brought this URL, each empty if it did not; or why its deliveries wait: what they need is not in this program's file.
func (a *Activities) endpointFor(name, startedWith, url string) (e receiver.Endpoint, missing string) {
	e, ok := a.Endpoint(name)
	if written, known := dialect.ByName(startedWith); known {
		e.Dialect = written
	}
	switch {
	case !ok:
		a.Log.Error("an endpoint is not in this program's configuration; its deliveries wait", zap.String("endpoint", name))
		missing = "the endpoint " + name + " is not in this worker's configuration"
	case e.URL == "" && url == "":
		a.Log.Error("the url of an endpoint is not in this program's configuration; operations that brought none wait", zap.String("endpoint", name))
		missing = "the url of the endpoint " + name + " is not in this worker's configuration, and the operation brought none"
	default:
		return e, ""
	}
	a.Metrics.missing.WithLabelValues("endpoint").Inc()
	return e, missing
}

// send makes one attempt, counts and logs it, and gives the permit back.
func (a *Activities) send(ctx context.Context, e receiver.Endpoint, in AttemptInput, permit *receiver.Permit) receiver.Result {
	defer a.Metrics.underWay("endpoint", e.Name)()
	result := receiver.Send(ctx, e, in.request())
	permit.Release(result)
	attempt := result.Attempt
	a.Metrics.attempted(e.Name, in, attempt)
	a.judged(ctx, e.Name, attempt)
	a.Log.Info("attempt",
		zap.String("endpoint", e.Name), zap.String("operation_id", in.Callback.Key.OperationID),
		zap.String("callback_id", in.Callback.ID), zap.String("status", in.Callback.Observation.Status),
		zap.Int("number", in.Number), zap.Int("http_status", attempt.HTTPStatus),
		zap.String("verdict", string(attempt.Verdict)), zap.String("reason", attempt.Reason),
		zap.Int64("took_ms", attempt.TookMS), runID(ctx), traceID(ctx))
	return result
}
