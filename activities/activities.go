// Package activities polls sources and sends callbacks. Poll and Attempt are local
// activities inside a workflow task; Watch and Deliver wait in the worker where the
// wait is short, on the server where it is long.
package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"

	"ringback/internal/operation"
	"ringback/internal/overload"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// Source is a configured core.
type Source struct {
	source.Source
	// Vocabulary are the kind's documented statuses; others are counted.
	Vocabulary []string
}

// Activities are the activities of one worker.
type Activities struct {
	// Endpoint finds an endpoint in the configuration in force.
	Endpoint func(name string) (receiver.Endpoint, bool)
	// InDialect is an endpoint as it gets callbacks of another dialect than its own, or
	// what the configuration in force lacks for them.
	InDialect func(e receiver.Endpoint, dialect string) (receiver.Endpoint, error)
	// Source finds a source in the configuration in force.
	Source func(name string) (Source, bool)
	// Heartbeat records details of a running activity on the server.
	Heartbeat func(ctx context.Context, taskToken []byte, details ...any) error
	// Yield ends a run of an activity with a cause after which the server retries it,
	// and records details in the same write.
	Yield func(ctx context.Context, taskToken []byte, cause error, details any) error
	// Complete ends an activity that has no result.
	Complete func(ctx context.Context, taskToken []byte) error
	// Identity is the worker's on the server, and names the task queue of InterruptHere.
	Identity string
	// Pending describes a pending activity of a run; nil: it has ended.
	Pending func(ctx context.Context, in InterruptInput) (*PendingActivity, error)
	// MatchedRuns lists a page of the runs that a bulk redelivery is about;
	// RedeliverRun may be repeated.
	MatchedRuns  func(ctx context.Context, job operation.BulkRedelivery, pageToken string, pageSize int) (operation.RunPage, error)
	RedeliverRun func(ctx context.Context, run operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error)
	// ReportHealth, which may be nil, reports that an endpoint is failing, after
	// FailingAfter unacknowledged attempts in a row (0: never), or well.
	ReportHealth func(ctx context.Context, endpoint string, h operation.Health) error
	FailingAfter func(endpoint string) int
	// AttemptBegan and PollBegan get how late an attempt or a poll began. They may be nil.
	AttemptBegan, PollBegan func(late time.Duration)
	// PollGivesWay and RedeliveryGivesWay say whether a poll, or the next operation of
	// a bulk redelivery, is to give way to late callbacks. They may be nil.
	PollGivesWay, RedeliveryGivesWay func() bool
	// BuildChecks are what CheckBuild asks, in this order.
	BuildChecks []BuildCheck
	// Pace is at what records are sent.
	Pace *overload.Pace
	// Slots is how many activities the worker runs at once; 0: not known.
	Slots   int
	Metrics *Metrics
	Log     *zap.Logger

	running   running
	holds     holds
	receivers receiver.Receivers
	attempts  once[AttemptResult]
	polls     once[PollResult]
	sources   sync.Map // of *sourceLimiter by name
	health    healthReports
}

// The closed list of error types that an activity of Ringback fails with.
const (
	// TypeWaiting: the activity gave its slot back until the next poll or attempt is due.
	TypeWaiting = "Waiting"
	// TypeHeldBack: a bulkhead, a breaker, a missing configuration or an endpoint on hold;
	// nothing was made or counted.
	TypeHeldBack = "HeldBack"
	// TypeNotRecorded: the server did not keep the record of an attempt, which was not made.
	TypeNotRecorded = "NotRecorded"
	// TypeBadInput: the activity's input or record can never be read.
	TypeBadInput = "BadInput"
	// TypeExhausted and TypeGone: the delivery has ended so; its record is in the details.
	// A run that fails for it has the same type.
	TypeExhausted = "Exhausted"
	TypeGone      = "Gone"
)

// checkWorkflow refuses an input that was made for another workflow, whatever scheduled
// the activity: its id decides what may be done, and to whom.
func checkWorkflow(ctx context.Context, want string) error {
	if id := activity.GetInfo(ctx).WorkflowExecution.ID; id != want {
		return badInput(fmt.Errorf("the input is that of %q, and this is %q; nothing was done", want, id))
	}
	return nil
}

// checkCallback is checkWorkflow of an operation's callback. Notices are delivered by
// workflows of other ids.
func checkCallback(ctx context.Context, c operation.Callback) error {
	if c.Notice != nil || !activity.IsActivity(ctx) {
		return nil
	}
	return checkWorkflow(ctx, c.Key.WorkflowID())
}

func badInput(err error) error {
	return temporal.NewNonRetryableApplicationError(err.Error(), TypeBadInput, err)
}
