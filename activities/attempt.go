package activities

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.uber.org/zap"

	"ringback/internal/bulkhead"
	"ringback/internal/operation"
	"ringback/internal/receiver"
)

type (
	// AttemptRequest asks for one attempt.
	AttemptRequest = receiver.Request
	// AttemptResult is one attempt, or why none was made.
	AttemptResult = receiver.Result
)

// AttemptInput asks for one attempt inside a workflow task.
type AttemptInput struct {
	AttemptRequest
	// TaskBegan is when the server began the task.
	TaskBegan operation.Time `json:"task_began"`
}

// Attempt makes one attempt inside a workflow task, if that began just now and the receiver
// answered fast lately. It fails for another workflow's input alone. Losing the task, or its
// worker, may repeat it (promise 5's exception).
func (a *Activities) Attempt(ctx context.Context, in AttemptInput) (AttemptResult, error) {
	if err := checkCallback(ctx, in.Callback); err != nil {
		return AttemptResult{}, err
	}
	endpoint, missing := a.endpointFor(in.Callback.Key.Endpoint, in.Callback.Dialect, in.URL)
	if missing != "" {
		return AttemptResult{HeldBack: missing}, nil
	}
	if endpoint.OnHold {
		return AttemptResult{HeldBack: reasonOnHold(endpoint.Name), OnHold: true}, nil
	}
	result, err := a.attempts.do(taskKey(ctx, in.Callback.ID, in.Number), func() (AttemptResult, error) {
		if err := checkTask(in.TaskBegan); err != nil {
			return AttemptResult{}, err
		}
		permit, err := a.receivers.Acquire(endpoint, in.URL, bulkhead.WorkflowTask)
		if err != nil {
			return AttemptResult{}, err
		}
		return a.send(context.WithoutCancel(ctx), endpoint, in.AttemptRequest, permit), nil
	})
	if err != nil {
		return AttemptResult{HeldBack: err.Error()}, nil //nolint:nilerr // why it was held back is in the result
	}
	return result, nil
}

// checkTask refuses a call inside a workflow task that the server may have begun too long
// ago, by this worker's clock. A worker that was frozen would make calls of tasks that
// others have done since; one that is on time keeps its task for as long as the call takes.
func checkTask(began operation.Time) error {
	late := time.Since(began.Time).Round(time.Millisecond)
	if late.Abs() >= startedLately {
		return fmt.Errorf("this worker's clock is %s from when the server began the workflow task", late)
	}
	return nil
}

// taskKey identifies a call inside a workflow task, also one that is handed out again.
func taskKey(ctx context.Context, what string, number int) string {
	if !activity.IsActivity(ctx) {
		return rand.Text()
	}
	return fmt.Sprintf("%s/%s/%d", activity.GetInfo(ctx).WorkflowExecution.RunID, what, number)
}

// endpointFor looks an endpoint up for an operation that was started with this dialect
// and URL, each may be empty. missing says what this program's configuration lacks.
func (a *Activities) endpointFor(name, dialect, url string) (e receiver.Endpoint, missing string) {
	e, ok := a.Endpoint(name)
	var err error
	if ok && dialect != "" && dialect != e.Dialect.Name() {
		e, err = a.InDialect(e, dialect)
	}
	switch {
	case !ok:
		a.Log.Error("an endpoint is not in this program's configuration; its deliveries wait", zap.String("endpoint", name))
		missing = "the endpoint " + name + " is not in this worker's configuration"
	case err != nil:
		a.Log.Error("an endpoint can't get callbacks of a dialect that its operations were started with; their deliveries wait", zap.String("endpoint", name), zap.Error(err))
		missing = err.Error()
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
func (a *Activities) send(ctx context.Context, e receiver.Endpoint, in AttemptRequest, permit *receiver.Permit) AttemptResult {
	defer a.Metrics.inFlightUntilDone("endpoint", e.Name)()
	result := permit.Send(ctx, e, in)
	attempt := result.Attempt
	a.Metrics.countAttempt(e.Name, in, attempt)
	a.updateHealth(ctx, e.Name, attempt)
	a.Log.Info("attempt",
		zap.String("endpoint", e.Name), zap.String("operation_id", in.Callback.Key.OperationID),
		zap.String("callback_id", in.Callback.ID), zap.String("status", in.Callback.Observation.Status),
		zap.Int("number", in.Number), zap.String("host", result.Host), zap.Int("http_status", attempt.HTTPStatus),
		zap.String("verdict", string(attempt.Verdict)), zap.String("reason", attempt.Reason),
		zap.Int64("took_ms", attempt.TookMS), zap.Int64("first_byte_ms", attempt.FirstByteMS),
		zap.String("remote_address", result.RemoteAddress), zap.String("tls_version", attempt.TLSVersion), runID(ctx), traceID(ctx))
	return result
}
