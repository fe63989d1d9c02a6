// Package activities polls sources and sends callbacks to receivers: one poll, one
// attempt, and the two long-running efforts made of them, the watch and the
// delivery.
//
// Poll and Attempt run as local activities inside a workflow task; Watch and
// Deliver are regular ones, and wait in the worker where the wait is short, on
// the server where it is long.
package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"ringback/internal/operation"
	"ringback/internal/receiver"
	"ringback/internal/source"
)

// Source is a configured core.
type Source struct {
	source.Source
	// Vocabulary are the kind's documented statuses; others are counted.
	Vocabulary []string
}

// Activities are the activities of one worker. The zero value of a nil pointer
// serves workflows for method references.
type Activities struct {
	// Endpoint finds an endpoint in the configuration in force.
	Endpoint func(name string) (receiver.Endpoint, bool)
	// Source finds a source in the configuration in force.
	Source func(name string) (Source, bool)
	// Heartbeat records details of a running activity on the server and
	// returns when they are kept: client.Client's RecordActivityHeartbeat.
	Heartbeat func(ctx context.Context, taskToken []byte, details ...any) error
	// Yield ends a run of an activity with a cause that lets the server wake it
	// again, and records details in the same write.
	Yield func(ctx context.Context, taskToken []byte, cause error, details any) error
	// Identity is the worker's on the server, and names the task queue on which
	// this process alone takes InterruptHere.
	Identity string
	// Pending describes a pending activity of a run; nil: it has ended.
	Pending func(ctx context.Context, in InterruptInput) (*PendingActivity, error)
	// Signal is client.Client's SignalWorkflow. It may be nil: then runs learn about
	// unacknowledged attempts only when a delivery ends.
	Signal func(ctx context.Context, workflowID, runID, signal string, arg any) error
	// MatchedRuns lists a page of the runs that a bulk redelivery is about, and
	// RedeliverRun redelivers one of them; it may be repeated.
	MatchedRuns  func(ctx context.Context, f operation.Filter, force bool, pageToken string, pageSize int) (operation.RunPage, error)
	RedeliverRun func(ctx context.Context, run operation.RunRef, r operation.RedeliveryRequest) (operation.Redelivered, error)
	// ReportHealth reports for notices that an endpoint is failing or well;
	// FailingAfter is after how many unacknowledged attempts in a row it is failing,
	// 0 where nobody is notified. ReportHealth may be nil.
	ReportHealth func(ctx context.Context, endpoint string, h operation.Health) error
	FailingAfter func(endpoint string) int
	// AttemptBegan and PollBegan get how late an attempt of a delivery, or a poll of
	// a watch, began after it was due. They may be nil.
	AttemptBegan, PollBegan func(late time.Duration)
	// PollGivesWay says whether a poll, RedeliveryGivesWay whether the next
	// operation of a bulk redelivery, is to give way to callbacks that are late.
	// They may be nil: then nothing does.
	PollGivesWay, RedeliveryGivesWay func() bool
	// Slots is how many activities the worker runs at once; 0: not known. Where
	// most of them are taken, watches give theirs back sooner.
	Slots   int
	Metrics *Metrics
	Log     *zap.Logger

	running   running
	queueOnce sync.Once
	queue     *semaphore.Weighted
	receivers receiver.Receivers
	attempts  once[AttemptResult]
	polls     once[PollResult]
	sources   sync.Map // of *sourceLimiter by name
	health    healthReports
}

// The closed list of error types that an activity of Ringback fails with.
const (
	// TypeWaiting: nothing failed; the activity gave its slot back until the
	// next poll or attempt is due, and the server wakes it then.
	TypeWaiting = "Waiting"
	// TypeHeldBack: the bulkhead, a breaker or a missing configuration held a
	// poll or an attempt back; none was made, and none is counted.
	TypeHeldBack = "HeldBack"
	// TypeNotRecorded: the server did not keep the record of an attempt, so
	// the attempt was not made.
	TypeNotRecorded = "NotRecorded"
	// TypeBadInput: the activity's input or record can never be read.
	TypeBadInput = "BadInput"
)

func badInput(err error) error {
	return temporal.NewNonRetryableApplicationError(err.Error(), TypeBadInput, err)
}
